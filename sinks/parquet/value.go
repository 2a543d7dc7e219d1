package parquet

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"
	"unsafe"

	pq "github.com/parquet-go/parquet-go"

	"tailwater/stream/codec"
)

// errMisfit means that a value is well formed but its column's type cannot
// hold it.
var errMisfit = errors.New("value does not fit the column's type")

// decimalBytes is the length of the fixed-length bytes of a wide decimal.
const decimalBytes = 16

// converter turns raw JSON values of one column into Parquet values.
type converter struct {
	col Column
	buf []byte
}

// value converts raw, which is neither absent nor null. It returns errMisfit
// when the type cannot hold it. The value may alias raw.
func (c *converter) value(raw []byte) (pq.Value, error) {
	if c.col.Kind == KindText {
		return c.text(raw)
	}
	s, err := c.plain(raw)
	if err != nil {
		return pq.Value{}, err
	}
	switch c.col.Kind {
	case KindInt:
		v, err := strconv.ParseInt(s, 10, 64)
		return pq.Int64Value(v), misfit(err)
	case KindDecimal:
		return c.decimal(s)
	case KindFloat:
		v, err := strconv.ParseFloat(s, 32)
		return pq.FloatValue(float32(v)), misfit(err)
	case KindDouble:
		v, err := strconv.ParseFloat(s, 64)
		return pq.DoubleValue(v), misfit(err)
	case KindBool:
		v, err := strconv.ParseBool(s)
		return pq.BooleanValue(v), misfit(err)
	case KindDate:
		t, err := time.Parse(time.DateOnly, s)
		return pq.Int32Value(int32(t.Unix() / 86400)), misfit(err)
	case KindTimestamp, KindDateTime:
		v, err := micros(s)
		return pq.Int64Value(v), err
	case KindBytes:
		b, err := base64.StdEncoding.DecodeString(s)
		return pq.ByteArrayValue(b), misfit(err)
	}
	return pq.Value{}, fmt.Errorf("column %s: unknown kind %q", c.col.Name, c.col.Kind)
}

// plain returns the text of a scalar: a number as it stands, a string unquoted.
func (c *converter) plain(raw []byte) (string, error) {
	if raw[0] == '"' {
		var err error
		if c.buf, err = codec.AppendUnquote(c.buf[:0], raw); err != nil {
			return "", err
		}
		raw = c.buf
	}
	return unsafe.String(unsafe.SliceData(raw), len(raw)), nil
}

func misfit(err error) error {
	if err != nil {
		return errMisfit
	}
	return nil
}

// text stores strings unquoted and everything else as its JSON text.
func (c *converter) text(raw []byte) (pq.Value, error) {
	if raw[0] != '"' {
		return pq.ByteArrayValue(raw), nil
	}
	inner := raw[1 : len(raw)-1]
	for _, b := range inner {
		if b == '\\' {
			out, err := codec.AppendUnquote(nil, raw)
			return pq.ByteArrayValue(out), err
		}
	}
	return pq.ByteArrayValue(inner), nil
}

// micros reads a date and time, with T or a space between them, and with or
// without Z. A bare number is microseconds since the epoch.
func micros(s string) (int64, error) {
	if len(s) < 11 || s[4] != '-' {
		v, err := strconv.ParseInt(s, 10, 64)
		return v, misfit(err)
	}
	layout := "2006-01-02 15:04:05"
	if s[10] == 'T' {
		layout = "2006-01-02T15:04:05"
	}
	if s[len(s)-1] == 'Z' {
		s = s[:len(s)-1]
	}
	t, err := time.Parse(layout, s)
	return t.UnixMicro(), misfit(err)
}

// decimal stores an exact decimal scaled by the column's scale: in 4, 8 or 16
// bytes by precision.
func (c *converter) decimal(s string) (pq.Value, error) {
	neg, digits, scale, err := splitDecimal(s)
	if err != nil || scale > c.col.Scale || len(digits)+c.col.Scale-scale > c.col.Precision {
		return pq.Value{}, errMisfit
	}
	for range c.col.Scale - scale {
		digits = append(digits, '0')
	}
	if c.col.Precision > 18 {
		return wideDecimal(neg, digits)
	}
	var v int64
	for _, d := range digits {
		v = v*10 + int64(d-'0')
	}
	if neg {
		v = -v
	}
	if c.col.Precision <= 9 {
		return pq.Int32Value(int32(v)), nil
	}
	return pq.Int64Value(v), nil
}

// wideDecimal is big-endian two's complement in decimalBytes bytes.
func wideDecimal(neg bool, digits []byte) (pq.Value, error) {
	n, ok := new(big.Int).SetString(string(digits), 10)
	if !ok {
		return pq.Value{}, errMisfit
	}
	if neg {
		n.Neg(n)
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), 8*decimalBytes))
	}
	return pq.FixedLenByteArrayValue(n.FillBytes(make([]byte, decimalBytes))), nil
}

// splitDecimal takes plain decimal text apart: sign, digits without leading
// zeros, and how many of them stand behind the point.
func splitDecimal(s string) (neg bool, digits []byte, scale int, err error) {
	if s != "" && s[0] == '-' {
		neg, s = true, s[1:]
	}
	point := false
	digits = make([]byte, 0, 48)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && !point:
			point = true
		case c >= '0' && c <= '9':
			if point {
				scale++
			}
			if c != '0' || len(digits) > 0 {
				digits = append(digits, c)
			}
		default:
			return false, nil, 0, errMisfit
		}
	}
	if s == "" {
		return false, nil, 0, errMisfit
	}
	if len(digits) == 0 {
		digits = append(digits, '0')
		scale = 0
	}
	return neg, digits, scale, nil
}
