package binlog

import (
	"math/big"
	"strings"
	"testing"
)

func TestDecimal_BytesAsTheFormatSays(t *testing.T) {
	for _, c := range []struct {
		precision, scale int
		bytes, want      string
	}{
		// 1234567890.1234 of DECIMAL(14,4), the manual's own example.
		{14, 4, "\x81\x0D\xFB\x38\xD2\x04\xD2", "1234567890.1234"},
		{14, 4, "\x7E\xF2\x04\xC7\x2D\xFB\x2D", "-1234567890.1234"},
		{1, 0, "\x80", "0"},
		{1, 0, "\x89", "9"},
		{1, 0, "\x76", "-9"},
		{1, 1, "\x85", "0.5"},
		{2, 1, "\x80\x00", "0.0"},
		{2, 1, "\x7f\xff", "0.0"}, // a zero has no sign
		{9, 0, "\xBB\x9A\xC9\xFF", "999999999"},
		{10, 0, "\x81\x00\x00\x00\x07", "1000000007"},
		{18, 9, "\x80\x00\x00\x01\x00\x00\x00\x01", "1.000000001"},
		{18, 9, "\x80\x00\x00\x00\x00\x00\x00\x00", "0.000000000"},
		{4, 2, "\x8c\x22", "12.34"},
		{20, 0, "\x80\x00\x00\x00\x00\x00\x00\x00\x05", "5"},
	} {
		shape := shapeDecimal(c.precision, c.scale)
		got, err := appendDecimal(nil, &shape, []byte(c.bytes))
		if string(got) != c.want || err != nil {
			t.Errorf("decimal(%d,%d) %x is %s, %v, want %s", c.precision, c.scale, c.bytes, got, err, c.want)
		}
	}
}

func TestDecimal_EveryShapeReadsBackWhatWasWritten(t *testing.T) {
	for precision := 1; precision <= 65; precision++ {
		for scale := 0; scale <= min(precision, 38); scale++ {
			for _, digit := range []string{"9", "1", "0"} {
				digits := strings.Repeat(digit, precision)
				for _, negative := range []bool{false, true} {
					want := textDecimal(digits, scale, negative)
					shape := shapeDecimal(precision, scale)
					got, err := appendDecimal([]byte("x"), &shape, packDecimal(digits, scale, negative))
					if string(got) != "x"+want || err != nil {
						t.Fatalf("decimal(%d,%d): got %s, %v, want x%s", precision, scale, got, err, want)
					}
				}
			}
		}
	}
}

// textDecimal writes digits with the point before the last scale.
func textDecimal(digits string, scale int, negative bool) string {
	whole := strings.TrimLeft(digits[:len(digits)-scale], "0")
	if whole == "" {
		whole = "0"
	}
	if scale > 0 {
		whole += "." + digits[len(digits)-scale:]
	}
	if negative && strings.Trim(digits, "0") != "" {
		return "-" + whole
	}
	return whole
}

// packDecimal writes digits as the server stores them.
func packDecimal(digits string, scale int, negative bool) []byte {
	var out []byte
	group := func(s string) {
		if s == "" {
			return
		}
		v, _ := new(big.Int).SetString(s, 10)
		out = append(out, v.FillBytes(make([]byte, groupBytes[len(s)]))...)
	}
	integer, fraction := digits[:len(digits)-scale], digits[len(digits)-scale:]
	group(integer[:len(integer)%9])
	for integer = integer[len(integer)%9:]; integer != ""; integer = integer[9:] {
		group(integer[:9])
	}
	for ; len(fraction) >= 9; fraction = fraction[9:] {
		group(fraction[:9])
	}
	group(fraction)
	out[0] ^= 0x80
	if negative {
		for i := range out {
			out[i] ^= 0xff
		}
	}
	return out
}

func TestDecimal_GroupsBeyondTheirDigitsAreRefused(t *testing.T) {
	for _, c := range []struct {
		precision, scale int
		bytes            string
	}{
		{9, 0, "\xBB\x9A\xCA\x00"}, // 1000000000
		{1, 0, "\x8a"},
		{1, 0, "\x75"},
		{4, 2, "\x8c\x64"},
		{4, 2, "\x8c"},
		{4, 2, "\x8c\x22\x00"},
	} {
		shape := shapeDecimal(c.precision, c.scale)
		if got, err := appendDecimal(nil, &shape, []byte(c.bytes)); err == nil {
			t.Errorf("decimal(%d,%d) %x is %s, want an error", c.precision, c.scale, c.bytes, got)
		}
	}
}
