package windowing

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
)

// Int is a signed integer of 256 bits: four 64-bit limbs, least significant
// first, in two's complement. A DECIMAL(65,30) scaled by 10^30 takes 216 of
// them, which leaves room for 2^39 additions.
type Int [4]uint64

// MaxDigits is the number of decimal digits that a parsed value may have.
const MaxDigits = 65

// Errors of ParseScaled.
var (
	errNotDecimal = errors.New("not a decimal number")
	errDigits     = fmt.Errorf("more than %d digits", MaxDigits)
	errScale      = errors.New("more digits after the point than the column's type has")
)

// Add adds x to z.
func (z *Int) Add(x *Int) {
	var c uint64
	z[0], c = bits.Add64(z[0], x[0], 0)
	z[1], c = bits.Add64(z[1], x[1], c)
	z[2], c = bits.Add64(z[2], x[2], c)
	z[3], _ = bits.Add64(z[3], x[3], c)
}

// Neg makes z the number of the other sign.
func (z *Int) Neg() {
	c := uint64(1)
	for i := range z {
		z[i], c = bits.Add64(^z[i], 0, c)
	}
}

// Negative reports whether z is below zero.
func (z *Int) Negative() bool { return z[3]>>63 != 0 }

// IsZero reports whether z is zero.
func (z *Int) IsZero() bool { return *z == Int{} }

// mulAdd sets z to z*m + a, for z not negative.
func (z *Int) mulAdd(m, a uint64) {
	for i := range z {
		hi, lo := bits.Mul64(z[i], m)
		var c uint64
		z[i], c = bits.Add64(lo, a, 0)
		a = hi + c
	}
}

// divSmall divides z, which must not be negative, by d and returns the rest.
func (z *Int) divSmall(d uint64) uint64 {
	var rest uint64
	for i := len(z) - 1; i >= 0; i-- {
		z[i], rest = bits.Div64(rest, z[i], d)
	}
	return rest
}

// chunkDigits is the number of digits that one 64-bit word takes at a time.
const chunkDigits = 18

var pow10 = func() (p [chunkDigits + 1]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// ParseScaled sets z to the decimal number text times 10^scale. The text is
// that of an exact number: digits with at most one point and a sign in front,
// no exponent. Digits beyond scale must be zero.
func (z *Int) ParseScaled(text []byte, scale int) error {
	*z = Int{}
	negative := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		negative = text[0] == '-'
		text = text[1:]
	}
	var word uint64
	n, digits, fraction, point := 0, 0, 0, false
	for i, c := range text {
		if c == '.' && !point && i > 0 && i < len(text)-1 {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			return errNotDecimal
		}
		if point {
			if fraction == scale {
				if c != '0' {
					return errScale
				}
				continue
			}
			fraction++
		}
		if digits++; digits > MaxDigits {
			return errDigits
		}
		word = 10*word + uint64(c-'0')
		if n++; n == chunkDigits {
			z.mulAdd(pow10[n], word)
			word, n = 0, 0
		}
	}
	if digits == 0 {
		return errNotDecimal
	}
	z.mulAdd(pow10[n], word)
	for missing := scale - fraction; missing > 0; {
		step := min(missing, chunkDigits)
		z.mulAdd(pow10[step], 0)
		missing -= step
	}
	if negative {
		z.Neg()
	}
	return nil
}

// Append appends the decimal text of z.
func (z *Int) Append(dst []byte) []byte {
	v := *z
	if v.Negative() {
		dst = append(dst, '-')
		v.Neg()
	}
	var words [5]uint64
	n := 0
	for {
		words[n] = v.divSmall(pow10[chunkDigits])
		n++
		if v.IsZero() {
			break
		}
	}
	dst = strconv.AppendUint(dst, words[n-1], 10)
	for i := n - 2; i >= 0; i-- {
		for p := chunkDigits - 1; p > 0 && words[i] < pow10[p]; p-- {
			dst = append(dst, '0')
		}
		dst = strconv.AppendUint(dst, words[i], 10)
	}
	return dst
}

// String returns the decimal text of z.
func (z *Int) String() string { return string(z.Append(nil)) }
