package minisql

import (
	"bytes"
	"cmp"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Decimal is an exact decimal number as text.
type Decimal string

// Text prints a value as MySQL does; NULL is the empty string.
func Text(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case []byte:
		return string(x)
	case Decimal:
		return string(x)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// truth returns whether v is true, and whether it is known: NULL is not.
func truth(v any) (is, known bool) {
	if v == nil {
		return false, false
	}
	n := rational(v)
	return n.Sign() != 0, true
}

func boolean(b bool) any {
	if b {
		return int64(1)
	}
	return int64(0)
}

// rational returns v as an exact number; text counts up to where it stops being one.
func rational(v any) *big.Rat {
	r := new(big.Rat)
	switch x := v.(type) {
	case int64:
		return r.SetInt64(x)
	case uint64:
		return r.SetUint64(x)
	case float64:
		if out := r.SetFloat64(x); out != nil {
			return out
		}
		return new(big.Rat)
	}
	text := strings.TrimSpace(Text(v))
	n := span(text, func(c byte) bool { return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' })
	if n > 0 {
		if out, ok := r.SetString(text[:n]); ok {
			return out
		}
	}
	return new(big.Rat)
}

// isNumber reports whether v compares as a number.
func isNumber(v any) bool {
	switch v.(type) {
	case int64, uint64, float64, Decimal:
		return true
	}
	return false
}

// Compare orders two values that are not NULL: numbers by value, a number and a
// text as numbers, strings by their bytes.
func Compare(a, b any) int {
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case uint64:
		if y, ok := b.(uint64); ok {
			return cmp.Compare(x, y)
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case []byte:
		if y, ok := b.([]byte); ok {
			return bytes.Compare(x, y)
		}
	}
	if isNumber(a) || isNumber(b) {
		return rational(a).Cmp(rational(b))
	}
	return strings.Compare(Text(a), Text(b))
}

// less orders values for ORDER BY: NULL first.
func less(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return Compare(a, b)
}

// Like reports whether s matches a LIKE pattern, ASCII letters without case.
func Like(s, pattern string) bool {
	s, pattern = strings.ToLower(s), strings.ToLower(pattern)
	// At a mismatch go back to the last %, which then takes one byte more.
	i, j, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '%':
			star, mark = j, i
			j++
		case j+1 < len(pattern) && pattern[j] == '\\' && pattern[j+1] == s[i]:
			i, j = i+1, j+2
		case j < len(pattern) && pattern[j] != '\\' && (pattern[j] == '_' || pattern[j] == s[i]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "%") == ""
}

// calculate computes x op y exactly; NULL when one is, or for a division by zero.
func calculate(op string, x, y any) any {
	if x == nil || y == nil {
		return nil
	}
	if i, ok := x.(int64); ok && op == "+" { // the fast way for sums of integers
		if j, ok := y.(int64); ok && (i+j > i) == (j > 0) {
			return i + j
		}
	}
	a, b := rational(x), rational(y)
	out := new(big.Rat)
	switch op {
	case "+":
		out.Add(a, b)
	case "-":
		out.Sub(a, b)
	case "*":
		out.Mul(a, b)
	case "/":
		if b.Sign() == 0 {
			return nil
		}
		return Decimal(out.Quo(a, b).FloatString(scale(x) + 4))
	case "%":
		if b.Sign() == 0 {
			return nil
		}
		q := new(big.Rat).Quo(a, b)
		whole := new(big.Rat).SetInt(new(big.Int).Quo(q.Num(), q.Denom()))
		out.Sub(a, whole.Mul(whole, b))
	}
	return fromRational(out, max(scale(x), scale(y)))
}

// scale is the number of digits behind the point.
func scale(v any) int {
	if d, ok := v.(Decimal); ok {
		_, frac, _ := strings.Cut(string(d), ".")
		return len(frac)
	}
	return 0
}

func fromRational(r *big.Rat, scale int) any {
	if r.IsInt() && scale == 0 {
		if r.Num().IsInt64() {
			return r.Num().Int64()
		}
		if r.Num().IsUint64() {
			return r.Num().Uint64()
		}
	}
	return Decimal(r.FloatString(scale))
}
