package expr

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// builtin is one function of the CEL environment. A lazy one is also given the
// errors of its arguments, so that what does not decide the result may fail.
type builtin struct {
	name string
	args int
	lazy bool
	run  func(...ref.Val) ref.Val
}

// takesRaw are the functions that may be given a text whose bytes are not valid
// in its character set: none of them looks inside it.
var takesRaw = map[string]bool{
	"tw_if": true, "tw_coalesce": true, "tw_is_null": true, "tw_not_null": true, "tw_eq": true, "tw_ne": true, "tw_in": true,
}

// guarded is run, which fails on a text that is none.
func (b *builtin) guarded() func(...ref.Val) ref.Val {
	if takesRaw[b.name] {
		return b.run
	}
	return func(a ...ref.Val) ref.Val {
		for _, v := range a {
			if raw, ok := v.(rawVal); ok {
				return raw.fault()
			}
		}
		return b.run(a...)
	}
}

func (v rawVal) fault() ref.Val {
	return types.WrapErr(&fault{msg: errRaw.Error(), col: v.col})
}

var builtins = []builtin{
	{"tw_and", 2, true, func(a ...ref.Val) ref.Val { return logic(a[0], a[1], types.False) }},
	{"tw_or", 2, true, func(a ...ref.Val) ref.Val { return logic(a[0], a[1], types.True) }},
	{"tw_if", 3, true, choose},
	{"tw_coalesce", 2, true, coalesce},
	{"tw_not", 1, false, not},
	{"tw_is_null", 1, false, func(a ...ref.Val) ref.Val { return types.Bool(isNull(a[0])) }},
	{"tw_not_null", 1, false, func(a ...ref.Val) ref.Val { return types.Bool(!isNull(a[0])) }},
	{"tw_eq", 2, false, func(a ...ref.Val) ref.Val { return equal(a[0], a[1]) }},
	{"tw_ne", 2, false, func(a ...ref.Val) ref.Val { return not(equal(a[0], a[1])) }},
	{"tw_lt", 2, false, ordered(func(c int) bool { return c < 0 })},
	{"tw_le", 2, false, ordered(func(c int) bool { return c <= 0 })},
	{"tw_gt", 2, false, ordered(func(c int) bool { return c > 0 })},
	{"tw_ge", 2, false, ordered(func(c int) bool { return c >= 0 })},
	{"tw_in", 2, false, in},
	{"tw_add", 2, false, add},
	{"tw_sub", 2, false, arithmetic(num.sub, func(x, y float64) float64 { return x - y })},
	{"tw_mul", 2, false, arithmetic(num.mul, func(x, y float64) float64 { return x * y })},
	{"tw_div", 2, false, unlessZero(arithmetic(num.quo, func(x, y float64) float64 { return x / y }))},
	{"tw_rem", 2, false, unlessZero(arithmetic(num.rem, math.Mod))},
	{"tw_neg", 1, false, negate},
	{"tw_startsWith", 2, false, textTest(strings.HasPrefix)},
	{"tw_endsWith", 2, false, textTest(strings.HasSuffix)},
	{"tw_contains", 2, false, textTest(strings.Contains)},
	{"tw_matches", 2, false, matches},
	{"tw_lower", 1, false, textChange(strings.ToLower)},
	{"tw_upper", 1, false, textChange(strings.ToUpper)},
	{"tw_size", 1, false, size},
	{"tw_int", 1, false, toInt},
	{"tw_double", 1, false, toDouble},
	{"tw_string", 1, false, toString},
	{"tw_bool", 1, false, toBool},
	{"tw_decimal", 2, false, toDecimal},
}

func isNull(v ref.Val) bool { return v == types.NullValue }

// logic is && or ||: decides is the value of one side that settles it. An
// error counts only when the other side does not settle it, a NULL only when
// neither side does.
func logic(a, b ref.Val, decides types.Bool) ref.Val {
	switch {
	case a == ref.Val(decides) || b == ref.Val(decides):
		return decides
	case types.IsError(a):
		return a
	case types.IsError(b):
		return b
	case isNull(a) || isNull(b):
		return types.NullValue
	}
	return !decides
}

func not(a ...ref.Val) ref.Val {
	if b, ok := a[0].(types.Bool); ok {
		return !b
	}
	return a[0]
}

// choose is a ? b : c; a condition that is NULL chooses c, as SQL's CASE does.
func choose(a ...ref.Val) ref.Val {
	switch {
	case types.IsError(a[0]):
		return a[0]
	case a[0] == ref.Val(types.True):
		return a[1]
	}
	return a[2]
}

func coalesce(a ...ref.Val) ref.Val {
	if isNull(a[0]) {
		return a[1]
	}
	return a[0]
}

// relation is what a comparison finds.
type relation uint8

const (
	related   relation = iota // the values compare
	unknown                   // one is NULL
	unrelated                 // their types differ, which only JSON brings about
)

// compare compares two values. A number and a double compare as doubles.
func compare(a, b ref.Val) (int, relation) {
	if isNull(a) || isNull(b) {
		return 0, unknown
	}
	switch x := a.(type) {
	case numVal:
		switch y := b.(type) {
		case numVal:
			return x.cmp(y.num), related
		case types.Double:
			return cmpFloat(x.float(), float64(y)), related
		}
	case types.Double:
		switch y := b.(type) {
		case numVal:
			return cmpFloat(float64(x), y.float()), related
		case types.Double:
			return cmpFloat(float64(x), float64(y)), related
		}
	case types.String:
		if y, ok := b.(types.String); ok {
			return strings.Compare(string(x), string(y)), related
		}
	case types.Bool:
		if y, ok := b.(types.Bool); ok {
			return b2i(bool(x)) - b2i(bool(y)), related
		}
	case types.Bytes:
		if y, ok := b.(types.Bytes); ok {
			return bytes.Compare(x, y), related
		}
	case timeVal:
		if y, ok := b.(timeVal); ok {
			return cmpTime(x.typ, x.text, y.text), related
		}
	}
	return 0, unrelated
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func equal(a, b ref.Val) ref.Val {
	c, rel := compare(a, b)
	if rel == unknown {
		return types.NullValue
	}
	if x, ok := a.(rawVal); ok {
		if _, ok := b.(rawVal); ok {
			return x.fault() // their character sets may differ
		}
	}
	return types.Bool(rel == related && c == 0)
}

func ordered(holds func(int) bool) func(...ref.Val) ref.Val {
	return func(a ...ref.Val) ref.Val {
		c, rel := compare(a[0], a[1])
		if rel != related {
			return types.NullValue
		}
		return types.Bool(holds(c))
	}
}

func in(a ...ref.Val) ref.Val {
	list, ok := a[1].(traits.Lister)
	if !ok {
		return faultVal("in needs a list")
	}
	result := ref.Val(types.False)
	for it := list.Iterator(); it.HasNext() == types.True; {
		switch e := equal(a[0], it.Next()); {
		case e == ref.Val(types.True):
			return e
		case types.IsError(e):
			return e
		case isNull(e):
			result = e
		}
	}
	return result
}

func add(a ...ref.Val) ref.Val {
	x, ok := a[0].(types.String)
	y, ok2 := a[1].(types.String)
	if !ok || !ok2 {
		return arithmetic(num.add, func(x, y float64) float64 { return x + y })(a...)
	}
	if len(x)+len(y) > maxText {
		return faultVal("the text has more than %d bytes", maxText)
	}
	return x + y
}

// maxText bounds the texts that + builds.
const maxText = 64 << 20

// arithmetic computes with exact numbers, or with doubles when one is a double.
func arithmetic(exact func(num, num) num, inexact func(x, y float64) float64) func(...ref.Val) ref.Val {
	return func(a ...ref.Val) ref.Val {
		if isNull(a[0]) || isNull(a[1]) {
			return types.NullValue
		}
		x, ok := a[0].(numVal)
		y, ok2 := a[1].(numVal)
		if ok && ok2 {
			return numVal{num: exact(x.num, y.num)}
		}
		f, ok := floatOf(a[0])
		g, ok2 := floatOf(a[1])
		if !ok || !ok2 {
			return faultVal("an operand is not a number")
		}
		return finite(inexact(f, g))
	}
}

func floatOf(v ref.Val) (float64, bool) {
	switch v := v.(type) {
	case numVal:
		return v.float(), true
	case types.Double:
		return float64(v), true
	}
	return 0, false
}

func finite(f float64) ref.Val {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return faultVal("the result is not a finite number")
	}
	return types.Double(f)
}

// unlessZero makes a division by zero NULL, as MySQL does.
func unlessZero(divide func(...ref.Val) ref.Val) func(...ref.Val) ref.Val {
	return func(a ...ref.Val) ref.Val {
		switch v := a[1].(type) {
		case numVal:
			if v.sign() == 0 {
				return types.NullValue
			}
		case types.Double:
			if v == 0 {
				return types.NullValue
			}
		}
		return divide(a...)
	}
}

func negate(a ...ref.Val) ref.Val {
	switch v := a[0].(type) {
	case numVal:
		return numVal{num: v.neg()}
	case types.Double:
		return -v
	}
	return a[0]
}

func textTest(test func(s, t string) bool) func(...ref.Val) ref.Val {
	return func(a ...ref.Val) ref.Val {
		s, ok := a[0].(types.String)
		t, ok2 := a[1].(types.String)
		if !ok || !ok2 {
			return types.NullValue
		}
		return types.Bool(test(string(s), string(t)))
	}
}

func textChange(change func(string) string) func(...ref.Val) ref.Val {
	return func(a ...ref.Val) ref.Val {
		if s, ok := a[0].(types.String); ok {
			return types.String(change(string(s)))
		}
		return types.NullValue
	}
}

func matches(a ...ref.Val) ref.Val {
	s, ok := a[0].(types.String)
	re, ok2 := a[1].Value().(*regexp.Regexp)
	if !ok || !ok2 {
		return types.NullValue
	}
	return types.Bool(re.MatchString(string(s)))
}

// size counts the characters of a text, the bytes of bytes, the elements of a
// JSON array and the members of a JSON object; of other JSON it is NULL.
func size(a ...ref.Val) ref.Val {
	switch v := a[0].(type) {
	case types.String:
		return numVal{num: numFromInt(int64(utf8.RuneCountInString(string(v))))}
	case types.Bytes:
		return numVal{num: numFromInt(int64(len(v)))}
	case docVal:
		n, err := countItems(v.text)
		if err != nil {
			return faultVal("%v", err)
		}
		return numVal{num: numFromInt(int64(n))}
	}
	return types.NullValue
}
