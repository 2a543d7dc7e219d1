package binlog

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

var errNotFinite = errors.New("the number is infinite or not a number, which JSON cannot hold")

// littleEndian reads an unsigned integer of 1 to 8 bytes.
func littleEndian(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v
}

// bigEndian reads an unsigned integer of 1 to 8 bytes.
func bigEndian(b []byte) uint64 {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func appendUint(_ *column, dst, cell []byte) ([]byte, error) {
	return strconv.AppendUint(dst, littleEndian(cell), 10), nil
}

func appendInt(_ *column, dst, cell []byte) ([]byte, error) {
	shift := 64 - 8*uint(len(cell))
	return strconv.AppendInt(dst, int64(littleEndian(cell)<<shift)>>shift, 10), nil
}

// appendYear appends a year: the byte counts from 1900, and 0 is the year 0.
func appendYear(_ *column, dst, cell []byte) ([]byte, error) {
	if cell[0] == 0 {
		return append(dst, '0'), nil
	}
	return strconv.AppendUint(dst, 1900+uint64(cell[0]), 10), nil
}

func appendBit(c *column, dst, cell []byte) ([]byte, error) {
	v := bigEndian(cell)
	if c.Bits < 64 && v>>c.Bits != 0 {
		return dst, errors.New("the value has more bits than the column")
	}
	return strconv.AppendUint(dst, v, 10), nil
}

func appendFloat(_ *column, dst, cell []byte) ([]byte, error) {
	return appendFloatText(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(cell))), 32)
}

func appendDouble(_ *column, dst, cell []byte) ([]byte, error) {
	return appendFloatText(dst, math.Float64frombits(binary.LittleEndian.Uint64(cell)), 64)
}

// appendShortDecimal appends f if four decimals are all it has, as prices and
// quantities do. f is below 1e11 in size, so that its digits, 15 at the most,
// are exact in an integer; a decimal of 15 digits is the only one of its length
// or shorter that reads back as its double.
func appendShortDecimal(dst []byte, f float64) ([]byte, bool) {
	const scale = 10_000
	n := math.Round(f * scale)
	if n/scale != f {
		return dst, false
	}
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	whole, rest := uint64(n)/scale, uint64(n)%scale
	dst = strconv.AppendUint(dst, whole, 10)
	if rest == 0 {
		return dst, true
	}
	dst = append(dst, '.', byte('0'+rest/1000), byte('0'+rest/100%10), byte('0'+rest/10%10), byte('0'+rest%10))
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst, true
}

// appendFloatText appends the shortest decimal text that reads back as f, laid
// out as MySQL does: without an exponent as long as the point stands within 15
// digits of the first, else d.ddde-x.
func appendFloatText(dst []byte, f float64, bits int) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, errNotFinite
	}
	// Well within the range, so that no rounding can lead out of it.
	if a := math.Abs(f); a == 0 || a >= 1e-13 && a < 1e14 {
		if bits == 64 && a >= 1e-3 && a < 1e11 {
			if out, ok := appendShortDecimal(dst, f); ok {
				return out, nil
			}
		}
		return strconv.AppendFloat(dst, f, 'f', -1, bits), nil
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	mark := len(dst) - 1
	for dst[mark] != 'e' {
		mark--
	}
	exponent := 0
	for _, d := range dst[mark+2:] {
		exponent = exponent*10 + int(d-'0')
	}
	negative := dst[mark+1] == '-'
	digits := mark - start
	if dst[start] == '-' {
		digits--
	}
	if digits > 1 { // the point
		digits--
	}
	point := exponent + 1 // digits before the point
	if negative {
		point = 1 - exponent
	}
	const limit = 15
	if point >= 1-limit && (point <= limit || digits > point) {
		return strconv.AppendFloat(dst[:start], f, 'f', -1, bits), nil
	}
	dst = dst[:mark+1]
	if negative {
		dst = append(dst, '-')
	}
	return strconv.AppendUint(dst, uint64(exponent), 10), nil
}
