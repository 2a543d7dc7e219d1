package encode

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// moment is a temporal value taken apart.
type moment struct {
	neg                        bool
	year, month, day           int
	hour, minute, second, nano int
}

var errTemporal = errors.New("text is no temporal value of the column's type")

// encodeTemporal appends a DATE, TIME, DATETIME or TIMESTAMP.
func (c *Column) encodeTemporal(v any, dst []byte) (any, []byte, error) {
	var m moment
	switch x := v.(type) {
	case time.Time:
		x = x.UTC().Truncate(time.Microsecond)
		m = moment{
			year: x.Year(), month: int(x.Month()), day: x.Day(),
			hour: x.Hour(), minute: x.Minute(), second: x.Second(), nano: x.Nanosecond(),
		}
		if c.Kind == Time {
			m.year, m.month, m.day = 0, 0, 0
		}
	case string:
		var err error
		if m, err = parseMoment(x, c.Kind); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, typeError(v, "a string or time.Time")
	}
	unit := 1_000_000_000
	for range c.Scale {
		unit /= 10
	}
	m.nano -= m.nano % unit
	text := m.text(c.Kind, c.Scale)
	dst, err := c.appendMoment(dst, m)
	return text, dst, err
}

func (c *Column) appendMoment(dst []byte, m moment) ([]byte, error) {
	switch c.Kind {
	case Date:
		return appendUint(dst, uint64(m.year<<9|m.month<<5|m.day), 3), nil
	case Time:
		return c.appendTime(dst, m), nil
	case DateTime:
		// One sign bit, 17 bits year and month, 5 day, 5 hour, 6 minute, 6 second.
		ym := uint64(m.year*13 + m.month)
		clock := uint64(m.hour<<12 | m.minute<<6 | m.second)
		dst = appendUintBig(dst, 0x8000000000+(ym<<22|uint64(m.day)<<17|clock), 5)
		return c.appendFraction(dst, m.nano), nil
	}
	var seconds int64
	if m.year != 0 {
		at := time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second, 0, time.UTC)
		if seconds = at.Unix(); seconds < 1 || seconds > 1<<31-1 {
			return nil, errors.New("value out of range for timestamp")
		}
	}
	dst = appendUintBig(dst, uint64(seconds), 4)
	return c.appendFraction(dst, m.nano), nil
}

// fractionUnit is the value in nanoseconds of one count of a fraction stored
// in 0 to 3 bytes: two digits a byte.
var fractionUnit = [4]int{1_000_000_000, 10_000_000, 100_000, 1_000}

// appendFraction appends the fraction of a second.
func (c *Column) appendFraction(dst []byte, nano int) []byte {
	n := (c.Scale + 1) / 2
	if n == 0 {
		return dst
	}
	return appendUintBig(dst, uint64(nano/fractionUnit[n]), n)
}

// appendTime appends a TIME: like DATETIME's clock with ten bits of hours, and
// the whole number, fraction included, negated below zero.
func (c *Column) appendTime(dst []byte, m moment) []byte {
	n := (c.Scale + 1) / 2
	packed := int64(m.hour<<12 | m.minute<<6 | m.second)
	packed = packed << (8 * n)
	if n > 0 {
		packed |= int64(m.nano / fractionUnit[n])
	}
	if m.neg {
		packed = -packed
	}
	return appendUintBig(dst, uint64(packed+0x800000<<(8*n)), 3+n)
}

// text prints m with scale digits of the fraction.
func (m moment) text(k Kind, scale int) string {
	date := fmt.Sprintf("%04d-%02d-%02d", m.year, m.month, m.day)
	if k == Date {
		return date
	}
	clock := fmt.Sprintf("%02d:%02d:%02d", m.hour, m.minute, m.second)
	if scale > 0 {
		clock += "." + fmt.Sprintf("%09d", m.nano)[:scale]
	}
	if k == Time {
		if m.neg {
			return "-" + clock
		}
		return clock
	}
	return date + " " + clock
}

func parseMoment(s string, k Kind) (moment, error) {
	var m moment
	clock := s
	if k != Time {
		if len(s) < 10 || s[4] != '-' || s[7] != '-' {
			return m, errTemporal
		}
		var ok [3]bool
		m.year, ok[0] = number(s[:4])
		m.month, ok[1] = number(s[5:7])
		m.day, ok[2] = number(s[8:10])
		if !ok[0] || !ok[1] || !ok[2] || m.month > 12 || m.day > 31 {
			return m, errTemporal
		}
		if len(s) == 10 {
			return m, nil
		}
		if s[10] != ' ' && s[10] != 'T' || k == Date {
			return m, errTemporal
		}
		clock = s[11:]
	}
	m.neg = strings.HasPrefix(clock, "-")
	hour, rest, _ := strings.Cut(strings.TrimPrefix(clock, "-"), ":")
	if len(rest) < 5 || rest[2] != ':' || m.neg && k != Time {
		return m, errTemporal
	}
	var ok [4]bool
	m.hour, ok[0] = number(hour)
	m.minute, ok[1] = number(rest[:2])
	m.second, ok[2] = number(rest[3:5])
	ok[3] = true
	if frac := rest[5:]; frac != "" {
		if frac[0] != '.' || len(frac) > 10 {
			return m, errTemporal
		}
		m.nano, ok[3] = number((frac[1:] + "000000000")[:9])
	}
	limit := 23
	if k == Time {
		limit = 838
	}
	if ok != [4]bool{true, true, true, true} || m.hour > limit || m.minute > 59 || m.second > 59 {
		return m, errTemporal
	}
	return m, nil
}

// number reads decimal digits only.
func number(s string) (int, bool) {
	n := 0
	for _, d := range []byte(s) {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, s != ""
}
