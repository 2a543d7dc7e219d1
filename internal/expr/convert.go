package expr

import (
	"math"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// toInt cuts towards zero; a text must be a whole number.
func toInt(a ...ref.Val) ref.Val {
	var n num
	switch v := a[0].(type) {
	case types.Null:
		return v
	case numVal:
		n = v.truncate()
	case types.Bool:
		n = numFromInt(int64(b2i(bool(v))))
	case types.Double:
		x, err := parseNum(strconv.AppendFloat(nil, math.Trunc(float64(v)), 'f', -1, 64))
		if err != nil {
			return faultVal("int: the number does not fit")
		}
		n = x
	case types.String:
		x, err := parseNum([]byte(strings.TrimSpace(string(v))))
		if err != nil || x.scale != 0 {
			return faultVal("int: the text is not a whole number")
		}
		n = x
	default:
		return faultVal("int: the JSON value is neither number, text nor truth value")
	}
	if n.big != nil {
		return faultVal("int: the number does not fit 64 bits")
	}
	return numVal{num: n}
}

func toDouble(a ...ref.Val) ref.Val {
	switch v := a[0].(type) {
	case types.Null, types.Double:
		return v
	case numVal:
		return finite(v.float())
	case types.String:
		f, err := parseFloat([]byte(strings.TrimSpace(string(v))))
		if err != nil {
			return faultVal("double: the text is not a number")
		}
		return types.Double(f)
	}
	return faultVal("double: the JSON value is neither number nor text")
}

// toString is the text of a value: of a JSON string what it says, of other
// JSON the JSON itself.
func toString(a ...ref.Val) ref.Val {
	switch v := a[0].(type) {
	case numVal:
		return types.String(v.appendText(nil))
	case types.Bool:
		return types.String(strconv.FormatBool(bool(v)))
	case types.Double:
		b, err := appendFloat(nil, float64(v))
		if err != nil {
			return faultVal("string: %v", err)
		}
		return types.String(b)
	case timeVal:
		return types.String(v.text)
	case docVal:
		return types.String(v.text)
	}
	return a[0]
}

func toBool(a ...ref.Val) ref.Val {
	switch v := a[0].(type) {
	case types.Null, types.Bool:
		return v
	case numVal:
		return types.Bool(v.sign() != 0)
	}
	return faultVal("bool: the JSON value is neither truth value nor number")
}

// toDecimal rounds to the scale, halves away from zero as MySQL does, and
// fails when more digits are needed than the precision has.
func toDecimal(a ...ref.Val) ref.Val {
	var n num
	switch v := a[0].(type) {
	case types.Null:
		return v
	case numVal:
		n = v.num
	case types.Bool:
		n = numFromInt(int64(b2i(bool(v))))
	case types.Double:
		x, err := parseNum(strconv.AppendFloat(nil, float64(v), 'g', -1, 64))
		if err != nil {
			return faultVal("decimal: the number has too many digits")
		}
		n = x
	case types.String:
		x, err := parseNum([]byte(strings.TrimSpace(string(v))))
		if err != nil {
			return faultVal("decimal: the text is not a number")
		}
		n = x
	default:
		return faultVal("decimal: the JSON value is neither number, text nor truth value")
	}
	ps, ok := a[1].Value().([2]int)
	if !ok {
		return faultVal("decimal: precision and scale are missing")
	}
	n = n.rescale(ps[1])
	if n.digits() > max(ps[0], 1) {
		return faultVal("decimal: the number has more digits than decimal(%d,%d)", ps[0], ps[1])
	}
	return numVal{num: n}
}
