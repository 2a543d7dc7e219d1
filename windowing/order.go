package windowing

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strconv"

	"tailwater/change"
	"tailwater/stream/codec"
)

// order appends the order text of a value: texts whose bytes are in the order
// of the values of one column. value is raw JSON and not null.
//
//	exact number  sign (1, or 0 below zero), number of digits (two), digits;
//	              below zero all digits but the sign are taken from nine
//	double        the 16 hex digits of its bits, turned so that they sort
//	date, time of day and date   the text without quotes and zone
//	time          the exact number of its microseconds
//	text          its UTF-8, whatever the collation of the column
type order func(dst, value []byte, scale int) ([]byte, error)

// Errors of orders.
var (
	errNotNumber = errors.New("not a number")
	errNotMoment = errors.New("not a date or time")
)

// orderOf returns the order of a type and its name, or nil when it has none.
func orderOf(t change.Type) (order, string) {
	switch t {
	case change.Decimal, change.Int, change.Uint, change.Bit, change.Year:
		return orderExact, "exact"
	case change.Float, change.Double:
		return orderDouble, "double"
	case change.Date, change.DateTime, change.Timestamp:
		return orderMoment, "moment"
	case change.Time:
		return orderTime, "time"
	case change.Text, change.Enum, change.Set:
		return orderText, "text"
	}
	return nil, ""
}

// inside returns what is between the quotes of a JSON string, or value itself.
func inside(value []byte) []byte {
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

func orderExact(dst, value []byte, scale int) ([]byte, error) {
	var v Int
	if err := v.ParseScaled(inside(value), scale); err != nil {
		return dst, err
	}
	return appendOrdered(dst, &v), nil
}

func appendOrdered(dst []byte, v *Int) []byte {
	start, negative, magnitude := len(dst), v.Negative(), *v
	if negative {
		magnitude.Neg()
	}
	dst = magnitude.Append(append(dst, "100"...))
	n := len(dst) - start - 3
	dst[start+1], dst[start+2] = byte('0'+n/10), byte('0'+n%10)
	if negative {
		dst[start] = '0'
		for i := start + 1; i < len(dst); i++ {
			dst[i] = '0' + '9' - dst[i]
		}
	}
	return dst
}

func orderDouble(dst, value []byte, _ int) ([]byte, error) {
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return dst, errNotNumber
	}
	bits := math.Float64bits(v + 0) // -0 is 0
	if bits>>63 != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], bits)
	return hex.AppendEncode(dst, b[:]), nil
}

// orderMoment relies on the width of the text, which a column's type fixes.
func orderMoment(dst, value []byte, _ int) ([]byte, error) {
	text := inside(value)
	if len(text) < len("2006-01-02") {
		return dst, errNotMoment
	}
	if text[len(text)-1] == 'Z' {
		text = text[:len(text)-1]
	}
	return append(dst, text...), nil
}

// orderTime reads "-838:59:59.000".
func orderTime(dst, value []byte, _ int) ([]byte, error) {
	text := inside(value)
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	// Every part but the first has two digits, so that the digits are ordered as
	// the time is, when the fraction has all of its six.
	var v uint64
	fraction := -1
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9' && fraction < 6:
			v = 10*v + uint64(c-'0')
			if fraction >= 0 {
				fraction++
			}
		case c == '.' && fraction < 0:
			fraction = 0
		case c != ':' || fraction >= 0:
			return dst, errNotMoment
		}
	}
	for i := max(fraction, 0); i < 6; i++ {
		v *= 10
	}
	n := Int{v}
	if negative {
		n.Neg()
	}
	return appendOrdered(dst, &n), nil
}

func orderText(dst, value []byte, _ int) ([]byte, error) { return codec.AppendUnquote(dst, value) }
