package binlog

import "errors"

var (
	errDate    = errors.New("the bytes are no date")
	errTimeOf  = errors.New("the bytes are no time of day")
	errInexact = errors.New("the fraction of a second has more digits than the column")
)

const zeroDateTime = "0000-00-00 00:00:00"

// append2 appends a number below 100 with two digits.
func append2(dst []byte, v uint32) []byte {
	return append(dst, byte('0'+v/10), byte('0'+v%10))
}

// appendDateText appends yyyy-mm-dd. Month and day may be zero: zero and
// partial dates keep their text.
func appendDateText(dst []byte, year, month, day uint32) []byte {
	dst = append2(dst, year/100)
	dst = append2(dst, year%100)
	dst = append(dst, '-')
	dst = append2(dst, month)
	dst = append(dst, '-')
	return append2(dst, day)
}

// appendClock appends hh:mm:ss; hours above 99 have three digits.
func appendClock(dst []byte, hour, minute, second uint32) []byte {
	if hour > 99 {
		dst = append(dst, byte('0'+hour/100))
		hour %= 100
	}
	dst = append2(dst, hour)
	dst = append(dst, ':')
	dst = append2(dst, minute)
	dst = append(dst, ':')
	return append2(dst, second)
}

// appendFraction appends the point and digits of a fraction given in
// microseconds; nothing when there are no digits.
func appendFraction(dst []byte, micros uint32, digits int) []byte {
	if digits == 0 {
		return dst
	}
	dst = append(dst, '.')
	at := len(dst)
	dst = appendPadded(dst, micros, 6)
	return dst[:at+digits]
}

// fractionScale is how many microseconds one unit of a stored fraction is, by
// the column's digits: the fraction takes a byte for every two.
var fractionScale = [7]uint32{1, 10000, 10000, 100, 100, 1, 1}

// digitUnit is how many microseconds the last digit of a column is worth.
var digitUnit = [7]uint32{1e6, 1e5, 1e4, 1e3, 100, 10, 1}

// fraction reads the stored fraction of a column with digits as microseconds.
func fraction(b []byte, digits int) (uint32, error) {
	if digits == 0 {
		return 0, nil
	}
	micros := uint64(fractionScale[digits]) * bigEndian(b)
	if micros >= 1e6 {
		return 0, errTimeOf
	}
	if micros%uint64(digitUnit[digits]) != 0 {
		return 0, errInexact
	}
	return uint32(micros), nil
}

// appendDate appends a DATE: three bytes, little endian, of year 15 bits,
// month 4, day 5.
func appendDate(_ *column, dst, cell []byte) ([]byte, error) {
	v := uint32(cell[0]) | uint32(cell[1])<<8 | uint32(cell[2])<<16
	year, month, day := v>>9, v>>5&15, v&31
	if year > 9999 || month > 12 {
		return dst, errDate
	}
	dst = append(dst, '"')
	dst = appendDateText(dst, year, month, day)
	return append(dst, '"'), nil
}

// appendDateTime appends a DATETIME: five bytes, big endian, of sign 1 bit
// (always set), year*13+month 17 bits, day 5, hour 5, minute 6, second 6; then
// the fraction.
func appendDateTime(c *column, dst, cell []byte) ([]byte, error) {
	v := bigEndian(cell[:5])
	if v>>39 == 0 {
		return dst, errDate
	}
	micros, err := fraction(cell[5:], c.Scale)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '"')
	dst, err = appendPacked(dst, v&(1<<39-1))
	dst = appendFraction(dst, micros, c.Scale)
	return append(dst, '"'), err
}

// appendPacked appends yyyy-mm-dd hh:mm:ss of the 39 bits above.
func appendPacked(dst []byte, v uint64) ([]byte, error) {
	days, clock := uint32(v>>17), uint32(v)&(1<<17-1)
	months := days >> 5
	year, month, day := months/13, months%13, days&31
	hour, minute, second := clock>>12, clock>>6&63, clock&63
	if year > 9999 || hour > 23 || minute > 59 || second > 59 {
		return dst, errDate
	}
	dst = appendDateText(dst, year, month, day)
	dst = append(dst, ' ')
	return appendClock(dst, hour, minute, second), nil
}

// appendTimestamp appends a TIMESTAMP: four bytes, big endian, of seconds since
// 1970 in UTC, then the fraction. Zero seconds are the zero date, which has no
// zone.
func appendTimestamp(c *column, dst, cell []byte) ([]byte, error) {
	seconds := uint32(bigEndian(cell[:4]))
	micros, err := fraction(cell[4:], c.Scale)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '"')
	if seconds == 0 {
		dst = append(dst, zeroDateTime...)
		dst = appendFraction(dst, 0, c.Scale)
		return append(dst, '"'), nil
	}
	year, month, day := civil(seconds / 86400)
	clock := seconds % 86400
	dst = appendDateText(dst, year, month, day)
	dst = append(dst, 'T')
	dst = appendClock(dst, clock/3600, clock/60%60, clock%60)
	dst = appendFraction(dst, micros, c.Scale)
	return append(dst, 'Z', '"'), nil
}

// civil returns the Gregorian date of a day since 1970. It counts in years
// that start in March, so that the leap day is a year's last, from the year 0.
func civil(days uint32) (year, month, day uint32) {
	const (
		toMarch0   = 719468 // days from 0000-03-01 to 1970-01-01
		per400     = 146097
		per100     = 36524
		per4       = 1461
		fiveMonths = 153 // days from March to July, and from August to December
	)
	days += toMarch0
	era, of := days/per400, days%per400
	yearOf := (of - of/(per4-1) + of/per100 - of/(per400-1)) / 365
	dayOf := of - (365*yearOf + yearOf/4 - yearOf/100)
	index := (5*dayOf + 2) / fiveMonths
	day = dayOf - (fiveMonths*index+2)/5 + 1
	year, month = yearOf+era*400, index+3
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

// appendTime appends a TIME: three bytes, big endian, of sign 1 bit, unused 1,
// hour 10, minute 6, second 6, then the fraction. All of it is one number with
// a bias of half its range.
func appendTime(c *column, dst, cell []byte) ([]byte, error) {
	bits := 8 * uint(len(cell)-3)
	v := int64(bigEndian(cell)) - 1<<(23+bits)
	dst = append(dst, '"')
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	micros := uint64(v&(1<<bits-1)) * uint64(fractionScale[c.Scale])
	if c.Scale > 0 && micros%uint64(digitUnit[c.Scale]) != 0 {
		return dst, errInexact
	}
	dst, err := appendTimeText(dst, uint64(v)>>bits, micros, c.Scale)
	return append(dst, '"'), err
}

// appendTimeText appends hh:mm:ss and digits of the fraction; clock holds
// hour 10 bits, minute 6, second 6.
func appendTimeText(dst []byte, clock, micros uint64, digits int) ([]byte, error) {
	hour, minute, second := uint32(clock>>12), uint32(clock>>6)&63, uint32(clock)&63
	if clock>>22 != 0 || hour > 838 || minute > 59 || second > 59 || micros >= 1e6 {
		return dst, errTimeOf
	}
	dst = appendClock(dst, hour, minute, second)
	return appendFraction(dst, uint32(micros), digits), nil
}
