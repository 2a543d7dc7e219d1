package expr

import (
	"bytes"
	"cmp"
	"errors"
	"math/big"
	"strconv"
)

// num is an exact decimal number: coefficient × 10^-scale. The coefficient
// stands in small while it fits, else in big; a num is immutable.
type num struct {
	small int64
	big   *big.Int
	scale int
}

// maxNumDigits bounds the digits that are read into a num. MySQL's DECIMAL has
// at most 65 and the largest double 309; what is longer is no number of a
// database, and its arithmetic would have no bound.
const maxNumDigits = 400

var (
	errNotNumber  = errors.New("the text is not a number")
	errLongNumber = errors.New("the number has more than " + strconv.Itoa(maxNumDigits) + " digits")
)

// pow10 holds the powers of ten that fit an int64.
var pow10 = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

func bigPow10(n int) *big.Int {
	if n < len(pow10) {
		return big.NewInt(pow10[n])
	}
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func numFromInt(v int64) num { return num{small: v} }

func numFromUint(v uint64) num {
	if v <= 1<<63-1 {
		return num{small: int64(v)}
	}
	return num{big: new(big.Int).SetUint64(v)}
}

// numFromBig keeps b when it is large; b must not be changed afterwards.
func numFromBig(b *big.Int, scale int) num {
	if b.IsInt64() {
		return num{small: b.Int64(), scale: scale}
	}
	return num{big: b, scale: scale}
}

// coef returns the coefficient; it must not be changed.
func (n num) coef() *big.Int {
	if n.big != nil {
		return n.big
	}
	return big.NewInt(n.small)
}

func (n num) sign() int {
	switch {
	case n.big != nil:
		return n.big.Sign()
	case n.small < 0:
		return -1
	case n.small > 0:
		return 1
	}
	return 0
}

// parseSmallNum reads the decimal text of a number of at most 19 digits that
// fits 64 bits and has no exponent, which is nearly every number there is. ok is false when the text
// is something else, also when it is no number at all.
func parseSmallNum(text []byte) (n num, ok bool) {
	i, neg := 0, false
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		neg = text[i] == '-'
		i++
	}
	if len(text)-i > 20 {
		return num{}, false
	}
	var u uint64
	digits, point := 0, -1
	for ; i < len(text); i++ {
		c := text[i] - '0'
		if c > 9 {
			if text[i] != '.' || point >= 0 {
				return num{}, false
			}
			point = digits
			continue
		}
		u = u*10 + uint64(c)
		digits++
	}
	// Nineteen nines fit a uint64.
	if digits == 0 || digits > 19 || u > 1<<63-1 {
		return num{}, false
	}
	n.small = int64(u)
	if neg {
		n.small = -n.small
	}
	if point >= 0 {
		n.scale = digits - point
	}
	return n, true
}

// parseNum reads the decimal text of a number: sign, digits, point, exponent.
func parseNum(text []byte) (num, error) {
	if n, ok := parseSmallNum(text); ok {
		return n, nil
	}
	if len(text) > 2*maxNumDigits {
		return num{}, errLongNumber
	}
	digits := make([]byte, 0, len(text))
	i, scale, seenPoint, seenDigit := 0, 0, false, false
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		if text[i] == '-' {
			digits = append(digits, '-')
		}
		i++
	}
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			digits, seenDigit = append(digits, c), true
			if seenPoint {
				scale++
			}
		case c == '.' && !seenPoint:
			seenPoint = true
		case (c == 'e' || c == 'E') && seenDigit:
			exp, err := strconv.Atoi(string(text[i+1:]))
			if err != nil {
				return num{}, errNotNumber
			}
			return numFromDigits(digits, scale, exp)
		default:
			return num{}, errNotNumber
		}
	}
	if !seenDigit {
		return num{}, errNotNumber
	}
	return numFromDigits(digits, scale, 0)
}

// numFromDigits builds digits × 10^(exp-scale).
func numFromDigits(digits []byte, scale, exp int) (num, error) {
	if exp > maxNumDigits || exp < -maxNumDigits || len(digits) > maxNumDigits {
		return num{}, errLongNumber
	}
	coef, ok := new(big.Int).SetString(string(digits), 10)
	if !ok {
		return num{}, errNotNumber
	}
	scale -= exp
	if scale < 0 {
		coef.Mul(coef, bigPow10(-scale))
		scale = 0
	}
	return numFromBig(coef, scale), nil
}

// atScale returns the coefficient of n at a scale that is not below its own.
func (n num) atScale(scale int) *big.Int {
	if scale == n.scale {
		return n.coef()
	}
	return new(big.Int).Mul(n.coef(), bigPow10(scale-n.scale))
}

// cmp compares two numbers exactly. It allocates only when 18 digits do not do.
func (n num) cmp(m num) int {
	if n.big == nil && m.big == nil {
		if n.scale == m.scale {
			return cmpInt(n.small, m.small)
		}
		a, b, ok := alignSmall(n, m)
		if ok {
			return cmpInt(a, b)
		}
	}
	if s, t := n.sign(), m.sign(); s != t {
		return cmpInt(int64(s), int64(t))
	}
	scale := max(n.scale, m.scale)
	return n.atScale(scale).Cmp(m.atScale(scale))
}

// alignSmall brings two small coefficients to one scale, if they stay small.
func alignSmall(n, m num) (a, b int64, ok bool) {
	a, b = n.small, m.small
	d := n.scale - m.scale
	if d < 0 {
		a, ok = mulSmall(a, -d)
	} else {
		b, ok = mulSmall(b, d)
	}
	return a, b, ok
}

func mulSmall(v int64, digits int) (int64, bool) {
	if digits >= len(pow10) {
		return 0, v == 0
	}
	p := pow10[digits]
	r := v * p
	return r, r/p == v && !(v == -1<<63 && p == -1)
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (n num) neg() num {
	return numFromBig(new(big.Int).Neg(n.coef()), n.scale)
}

func (n num) add(m num) num {
	scale := max(n.scale, m.scale)
	return numFromBig(new(big.Int).Add(n.atScale(scale), m.atScale(scale)), scale)
}

func (n num) sub(m num) num {
	scale := max(n.scale, m.scale)
	return numFromBig(new(big.Int).Sub(n.atScale(scale), m.atScale(scale)), scale)
}

func (n num) mul(m num) num {
	return numFromBig(new(big.Int).Mul(n.coef(), m.coef()), n.scale+m.scale)
}

// divExtra is how many digits a quotient has beyond its dividend's scale, as
// MySQL's default div_precision_increment.
const divExtra = 4

// quo divides, rounding half away from zero to n's scale and four more digits.
// m must not be zero.
func (n num) quo(m num) num {
	scale := n.scale + divExtra
	// n.coef/10^n.scale / (m.coef/10^m.scale) * 10^scale
	top := new(big.Int).Mul(n.coef(), bigPow10(divExtra+m.scale))
	return numFromBig(divHalfAway(top, m.coef()), scale)
}

// rem is the remainder of a division whose quotient is cut towards zero, so it
// has the sign of n. m must not be zero.
func (n num) rem(m num) num {
	scale := max(n.scale, m.scale)
	return numFromBig(new(big.Int).Rem(n.atScale(scale), m.atScale(scale)), scale)
}

// rescale returns n with exactly scale digits after the point, rounding half
// away from zero.
func (n num) rescale(scale int) num {
	switch {
	case scale == n.scale:
		return n
	case scale > n.scale:
		return numFromBig(n.atScale(scale), scale)
	}
	return numFromBig(divHalfAway(n.coef(), bigPow10(n.scale-scale)), scale)
}

// truncate returns the whole part of n.
func (n num) truncate() num {
	if n.scale == 0 {
		return n
	}
	return numFromBig(new(big.Int).Quo(n.coef(), bigPow10(n.scale)), 0)
}

// divHalfAway returns a/b rounded to the nearest whole number, halves away
// from zero.
func divHalfAway(a, b *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(a, b, new(big.Int))
	r.Abs(r).Lsh(r, 1)
	if r.CmpAbs(b) >= 0 {
		if a.Sign()*b.Sign() < 0 {
			return q.Sub(q, big.NewInt(1))
		}
		return q.Add(q, big.NewInt(1))
	}
	return q
}

// digits counts the decimal digits of the coefficient; 0 has one.
func (n num) digits() int {
	if n.big != nil {
		return len(n.big.Text(10)) - b2i(n.big.Sign() < 0)
	}
	d := 1
	for v := n.small / 10; v != 0; v /= 10 {
		d++
	}
	return d
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// appendText appends the decimal text of n with all digits of its scale.
func (n num) appendText(dst []byte) []byte {
	start := len(dst)
	if n.big != nil {
		dst = n.big.Append(dst, 10)
	} else {
		dst = strconv.AppendInt(dst, n.small, 10)
	}
	if n.scale == 0 {
		return dst
	}
	if dst[start] == '-' {
		start++
	}
	// At least one digit stands before the point.
	for len(dst)-start <= n.scale {
		dst = append(dst, 0)
		copy(dst[start+1:], dst[start:])
		dst[start] = '0'
	}
	point := len(dst) - n.scale
	dst = append(dst, 0)
	copy(dst[point+1:], dst[point:])
	dst[point] = '.'
	return dst
}

// float returns the nearest double.
func (n num) float() float64 {
	if n.big == nil && n.scale == 0 {
		return float64(n.small)
	}
	// Parsing the text rounds once; dividing would round twice.
	f, _ := strconv.ParseFloat(string(n.appendText(nil)), 64)
	return f
}

// int64 returns n as an int64, if it is a whole number that fits.
func (n num) int64() (int64, bool) {
	t := n
	if n.scale != 0 {
		t = n.truncate()
		if t.cmp(n) != 0 {
			return 0, false
		}
	}
	return t.small, t.big == nil
}

// longNum is a decimal number as its text, for comparing what does not fit an
// int64 without making a big.Int of every row's number.
type longNum struct {
	neg         bool
	whole, frac []byte // no zeros in front of whole, none behind frac
}

// splitNum takes the text of a number without an exponent apart.
func splitNum(text []byte) (longNum, bool) {
	var n longNum
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		n.neg, text = text[0] == '-', text[1:]
	}
	if len(text) == 0 || len(text) > maxNumDigits {
		return n, false
	}
	point := len(text)
	for i, c := range text {
		switch {
		case c == '.' && point == len(text):
			point = i
		case c < '0' || c > '9':
			return n, false
		}
	}
	n.whole = bytes.TrimLeft(text[:point], "0")
	if point < len(text) {
		n.frac = bytes.TrimRight(text[point+1:], "0")
	}
	if len(n.whole)+len(n.frac) == 0 {
		n.neg = false
	}
	return n, len(text) > 1 || point > 0
}

// cmpLong compares two numbers exactly.
func cmpLong(a, b longNum) int {
	if a.neg != b.neg {
		return b2i(b.neg) - b2i(a.neg)
	}
	if a.neg {
		a, b = b, a
	}
	if c := cmp.Compare(len(a.whole), len(b.whole)); c != 0 {
		return c
	}
	return cmp.Or(bytes.Compare(a.whole, b.whole), bytes.Compare(a.frac, b.frac))
}
