package parquet

import (
	"encoding/binary"
	"math/bits"

	pq "github.com/parquet-go/parquet-go"
)

// decimalBytes is the length of the fixed-length bytes of a wide decimal.
const decimalBytes = 16

// decimal stores an exact decimal scaled by the column's scale: in 4, 8 or 16
// bytes by precision.
func (c *converter) decimal(s string, arena *[]byte) (pq.Value, error) {
	hi, lo, neg, ok := unscaled(s, c.col.Precision, c.col.Scale)
	if !ok {
		return pq.Value{}, errMisfit
	}
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	switch {
	case c.col.Precision <= 9:
		return pq.Int32Value(int32(lo)), nil
	case c.col.Precision <= 18:
		return pq.Int64Value(int64(lo)), nil
	}
	start := len(*arena)
	*arena = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(*arena, hi), lo)
	return pq.FixedLenByteArrayValue((*arena)[start:]), nil
}

// unscaled reads plain decimal text as its digits with exactly scale of them
// behind the point, in 128 bits. ok is false when the text is something else,
// or needs more than precision digits; 38 digits fit 127 bits.
func unscaled(s string, precision, scale int) (hi, lo uint64, neg, ok bool) {
	if s != "" && s[0] == '-' {
		neg, s = true, s[1:]
	}
	seen, behind, significant := false, -1, 0
	for i := range len(s) {
		c := s[i]
		if c == '.' && behind < 0 {
			behind = 0
			continue
		}
		if c < '0' || c > '9' {
			return 0, 0, false, false
		}
		seen = true
		if behind >= 0 {
			behind++
		}
		if c != '0' || significant > 0 {
			significant++
		}
		if significant > maxDecimal {
			return 0, 0, false, false
		}
		hi, lo = timesTen(hi, lo, uint64(c-'0'))
	}
	behind = max(behind, 0)
	if !seen || significant > 0 && (behind > scale || significant+scale-behind > precision) {
		return 0, 0, false, false
	}
	for range scale - behind {
		hi, lo = timesTen(hi, lo, 0)
	}
	return hi, lo, neg, true
}

// timesTen returns ten times a number of 128 bits, plus a digit.
func timesTen(hi, lo, digit uint64) (uint64, uint64) {
	over, low := bits.Mul64(lo, 10)
	low, carry := bits.Add64(low, digit, 0)
	return hi*10 + over + carry, low
}
