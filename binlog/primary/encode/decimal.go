package encode

import (
	"errors"
	"fmt"
	"strings"
)

// digitBytes is how many bytes hold 0 to 9 decimal digits.
var digitBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

// encodeDecimal appends MySQL's packed decimal: the digits before and after the
// point in groups of nine, four bytes each, the odd group outermost; the sign
// bit is inverted and a negative number has every bit inverted.
func (c *Column) encodeDecimal(v any, dst []byte) (any, []byte, error) {
	text, err := c.decimalText(v)
	if err != nil {
		return nil, nil, err
	}
	digits := text
	neg := strings.HasPrefix(text, "-")
	if neg {
		digits = text[1:]
	}
	whole, frac, _ := strings.Cut(digits, ".")
	intDigits := c.Precision - c.Scale
	if intDigits == 0 {
		whole = ""
	}
	start := len(dst)
	dst = appendDigits(dst, strings.Repeat("0", intDigits-len(whole))+whole, intDigits%9, true)
	dst = appendDigits(dst, frac, c.Scale%9, false)
	if neg {
		for i := start; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	dst[start] ^= 0x80
	return text, dst, nil
}

// appendDigits packs digits, whose odd group of odd digits stands first or last.
func appendDigits(dst []byte, digits string, odd int, oddFirst bool) []byte {
	for len(digits) > 0 {
		n := 9
		if oddFirst && odd > 0 {
			n, odd = odd, 0
		} else if len(digits) < 9 {
			n = len(digits)
		}
		var group uint64
		for _, d := range digits[:n] {
			group = group*10 + uint64(d-'0')
		}
		dst = appendUintBig(dst, group, digitBytes[n])
		digits = digits[n:]
	}
	return dst
}

// decimalText returns v with exactly the column's scale. A value that does not
// fit is an error, never rounded: what is written must stay exact.
func (c *Column) decimalText(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		neg, mag, isInt := integer(v)
		if !isInt {
			return "", typeError(v, "a decimal string or an integer")
		}
		if s = fmt.Sprint(mag); neg {
			s = "-" + s
		}
	}
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	whole, frac, _ := strings.Cut(s, ".")
	if whole+frac == "" || strings.Trim(whole+frac, "0123456789") != "" {
		return "", errors.New("text is not a decimal number")
	}
	whole = strings.TrimLeft(whole, "0")
	if len(frac) > c.Scale && strings.Trim(frac[c.Scale:], "0") != "" || len(whole) > c.Precision-c.Scale {
		return "", fmt.Errorf("value does not fit %s", c.ColumnType())
	}
	frac = (frac + strings.Repeat("0", c.Scale))[:c.Scale]
	zero := whole == "" && strings.Trim(frac, "0") == ""
	if neg && !zero && c.Unsigned {
		return "", fmt.Errorf("value out of range for %s", c.ColumnType())
	}
	if whole == "" {
		whole = "0"
	}
	if c.Scale > 0 {
		whole += "." + frac
	}
	if neg && !zero {
		whole = "-" + whole
	}
	return whole, nil
}
