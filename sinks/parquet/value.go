package parquet

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
	"unsafe"

	pq "github.com/parquet-go/parquet-go"

	"tailwater/change"
	"tailwater/internal/jsontext"
	"tailwater/stream/codec"
)

// errMisfit means that a value is well formed but its column's type cannot
// hold it.
var errMisfit = errors.New("value does not fit the column's type")

// converter turns raw JSON values of one column into Parquet values.
type converter struct {
	col Column
	// from is the place of the raw value among those picked, text the column
	// for misfits or -1.
	from, text int
	buf        []byte
}

// value converts raw, which is neither absent nor null. It returns errMisfit
// when the type cannot hold it. The value aliases raw or the arena, to whose
// end its bytes are appended.
func (c *converter) value(raw []byte, arena *[]byte) (pq.Value, error) {
	if c.col.Kind == KindText {
		return textValue(raw, arena), nil
	}
	s := c.plain(raw)
	switch c.col.Kind {
	case KindInt:
		v, err := strconv.ParseInt(s, 10, 64)
		return pq.Int64Value(v), misfit(err)
	case KindDecimal:
		return c.decimal(s, arena)
	case KindFloat:
		v, err := strconv.ParseFloat(s, 32)
		return pq.FloatValue(float32(v)), misfit(err)
	case KindDouble:
		v, err := strconv.ParseFloat(s, 64)
		return pq.DoubleValue(v), misfit(err)
	case KindBool:
		return pq.BooleanValue(s == "true"), misfitUnless(s == "true" || s == "false")
	case KindDate:
		v, ok := days(s)
		return pq.Int32Value(int32(v)), misfitUnless(ok)
	case KindTimestamp, KindDateTime:
		v, ok := micros(s)
		return pq.Int64Value(v), misfitUnless(ok)
	case KindBytes:
		start := len(*arena)
		b, err := base64.StdEncoding.AppendDecode(*arena, unsafe.Slice(unsafe.StringData(s), len(s)))
		if err != nil {
			return pq.Value{}, errMisfit
		}
		*arena = b
		return pq.ByteArrayValue(b[start:]), nil
	}
	return pq.Value{}, fmt.Errorf("column %s: unknown kind %q", c.col.Name, c.col.Kind)
}

// plain returns the text of a scalar: a number as it stands, a string
// unquoted. It is valid until the next call.
func (c *converter) plain(raw []byte) string {
	if raw[0] == '"' {
		inner := raw[1 : len(raw)-1]
		if escaped(inner) {
			c.buf = codec.AppendText(c.buf[:0], raw)
			inner = c.buf
		}
		raw = inner
	}
	return unsafe.String(unsafe.SliceData(raw), len(raw))
}

// escaped reports whether the inside of a JSON string is not its own text:
// escapes are replaced, and so is what is not UTF-8, for one such value would
// make a file unreadable to others.
func escaped(inner []byte) bool {
	n := jsontext.Clean(inner)
	return n < len(inner) && (bytes.IndexByte(inner[n:], '\\') >= 0 || !utf8.Valid(inner[n:]))
}

func misfit(err error) error { return misfitUnless(err == nil) }

func misfitUnless(ok bool) error {
	if !ok {
		return errMisfit
	}
	return nil
}

// textValue stores strings unquoted and everything else as its JSON text.
func textValue(raw []byte, arena *[]byte) pq.Value {
	if raw[0] != '"' {
		return pq.ByteArrayValue(raw)
	}
	inner := raw[1 : len(raw)-1]
	if !escaped(inner) {
		return pq.ByteArrayValue(inner)
	}
	start := len(*arena)
	*arena = codec.AppendText(*arena, raw)
	return pq.ByteArrayValue((*arena)[start:])
}

// micros reads a date and time, with T or a space between them, and with or
// without Z. A bare number is microseconds since the epoch.
func micros(s string) (int64, bool) {
	if len(s) < 11 || s[4] != '-' {
		v, err := strconv.ParseInt(s, 10, 64)
		return v, err == nil
	}
	if s[len(s)-1] == 'Z' {
		s = s[:len(s)-1]
	}
	if len(s) < 19 || s[10] != ' ' && s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	day, ok := days(s[:10])
	hour, ok1 := digits(s[11:13])
	minute, ok2 := digits(s[14:16])
	second, ok3 := digits(s[17:19])
	if !ok || !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	v := (((int64(day)*24+int64(hour))*60+int64(minute))*60 + int64(second)) * 1e6
	if len(s) == 19 {
		return v, true
	}
	fraction := s[20:]
	f, ok := digits(fraction)
	if s[19] != '.' || !ok || len(fraction) == 0 || len(fraction) > 6 {
		return 0, false
	}
	for range 6 - len(fraction) {
		f *= 10
	}
	return v + int64(f), true
}

// digits reads an unsigned number of at most nine digits.
func digits(s string) (n int, ok bool) {
	if len(s) > 9 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// days reads YYYY-MM-DD as days since 1970-01-01 of the proleptic Gregorian
// calendar. Zero and partial dates are none.
func days(s string) (int, bool) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	y, ok1 := digits(s[:4])
	m, ok2 := digits(s[5:7])
	d, ok3 := digits(s[8:])
	if !ok1 || !ok2 || !ok3 {
		return 0, false
	}
	return change.Days(y, m, d)
}
