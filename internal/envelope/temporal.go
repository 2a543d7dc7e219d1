package envelope

import (
	"errors"
	"strconv"

	"tailwater/change"
)

var errTemporal = errors.New("the text is no date or time")

// moment is a date and a time of day without a zone.
type moment struct {
	// days count from 1970-01-01.
	days int64
	// micros count from midnight.
	micros int64
	// real is false for what no calendar has: zero and partial dates, and days
	// that a month lacks.
	real bool
}

func (t moment) unixMicros() int64 { return t.days*86400e6 + t.micros }

// parseMoment reads the JSON text of a DATE, DATETIME or zero TIMESTAMP.
func parseMoment(cell []byte) (moment, error) {
	var t moment
	if len(cell) < len(`"2026-11-20"`) || cell[0] != '"' || cell[5] != '-' || cell[8] != '-' {
		return t, errTemporal
	}
	year, ok1 := digits(cell[1:5])
	month, ok2 := digits(cell[6:8])
	day, ok3 := digits(cell[9:11])
	if !ok1 || !ok2 || !ok3 {
		return t, errTemporal
	}
	if days, ok := change.Days(int(year), int(month), int(day)); ok && year > 0 {
		t.days, t.real = int64(days), true
	}
	rest := cell[11 : len(cell)-1]
	if len(rest) == 0 {
		return t, nil
	}
	if rest[0] != ' ' && rest[0] != 'T' {
		return t, errTemporal
	}
	var err error
	t.micros, err = parseClock(rest[1:])
	return t, err
}

// parseClock reads hh:mm:ss with any number of hours and an optional fraction,
// as microseconds.
func parseClock(text []byte) (int64, error) {
	point := len(text)
	for i, c := range text {
		if c == '.' {
			point = i
			break
		}
	}
	if point < len("0:00:00") || text[point-3] != ':' || text[point-6] != ':' {
		return 0, errTemporal
	}
	hours, ok1 := digits(text[:point-6])
	minutes, ok2 := digits(text[point-5 : point-3])
	seconds, ok3 := digits(text[point-2 : point])
	if !ok1 || !ok2 || !ok3 {
		return 0, errTemporal
	}
	micros := ((hours*60+minutes)*60 + seconds) * 1e6
	if point == len(text) {
		return micros, nil
	}
	fraction, ok := digits(text[point+1:])
	if !ok || len(text)-point-1 > 6 {
		return 0, errTemporal
	}
	for n := len(text) - point - 1; n < 6; n++ {
		fraction *= 10
	}
	return micros + fraction, nil
}

// digits reads a number of decimal digits only.
func digits(text []byte) (int64, bool) {
	n := int64(0)
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(text) > 0 && len(text) < 18
}

// instant writes a date or time as a number. What no calendar has is null, or
// where the column takes none the day at which time begins.
func instant(nullable bool, of func(moment) int64) writer {
	return func(dst, cell []byte) ([]byte, error) {
		t, err := parseMoment(cell)
		switch {
		case err != nil:
			return dst, err
		case t.real:
			return strconv.AppendInt(dst, of(t), 10), nil
		case nullable:
			return append(dst, "null"...), nil
		}
		return append(dst, '0'), nil
	}
}

// zoned writes a TIMESTAMP as it is: RFC 3339, UTC. The zero one has no zone.
func zoned(nullable bool) writer {
	return func(dst, cell []byte) ([]byte, error) {
		switch {
		case len(cell) > 12 && cell[11] == 'T':
			return append(dst, cell...), nil
		case nullable:
			return append(dst, "null"...), nil
		}
		return append(dst, `"1970-01-01T00:00:00Z"`...), nil
	}
}

// appendLocal writes a TIMESTAMP like a DATETIME, in UTC.
func appendLocal(dst, cell []byte) ([]byte, error) {
	if len(cell) < 14 || cell[11] != 'T' {
		return append(dst, cell...), nil
	}
	dst = append(append(dst, cell[:11]...), ' ')
	dst = append(dst, cell[12:len(cell)-2]...)
	return append(dst, '"'), nil
}

// appendSpan writes a TIME in microseconds.
func appendSpan(dst, cell []byte) ([]byte, error) {
	if len(cell) < 2 || cell[0] != '"' {
		return dst, errTemporal
	}
	text := cell[1 : len(cell)-1]
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	micros, err := parseClock(text)
	if negative {
		micros = -micros
	}
	return strconv.AppendInt(dst, micros, 10), err
}

// appendYearText writes a YEAR with four digits.
func appendYearText(dst, cell []byte) ([]byte, error) {
	dst = append(dst, '"')
	for n := len(cell); n < 4; n++ {
		dst = append(dst, '0')
	}
	return append(append(dst, cell...), '"'), nil
}
