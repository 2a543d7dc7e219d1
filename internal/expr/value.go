package expr

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"reflect"
	"strconv"
	"unsafe"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

// value is a value at evaluation, in CEL's terms: types.NullValue, types.Bool,
// types.Double, types.String, types.Bytes, numVal, timeVal, docVal or rawVal.
type value = ref.Val

// opaque makes a type of ours a CEL value. CEL only carries it between our
// functions, so it converts to nothing.
type opaque struct{}

var opaqueType = types.NewOpaqueType("tailwater")

func (opaque) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("the value has no other form")
}
func (opaque) ConvertToType(ref.Type) ref.Val { return types.NewErr("the value has no other type") }
func (opaque) Equal(ref.Val) ref.Val          { return types.False }
func (opaque) Type() ref.Type                 { return opaqueType }

// numVal is an exact number.
type numVal struct {
	opaque
	num
}

// Value returns the number's text.
func (v numVal) Value() any { return string(v.appendText(nil)) }

// timeVal is a date or time: the text of its column's type.
type timeVal struct {
	opaque
	typ  change.Type
	text string
}

// Value returns the text.
func (v timeVal) Value() any { return v.text }

// docVal is a JSON object or array: its text.
type docVal struct {
	opaque
	text []byte
}

// Value returns the text.
func (v docVal) Value() any { return string(v.text) }

// rawVal is a text whose bytes are not valid in its character set. It is equal
// to no text, and whatever would look inside it fails.
type rawVal struct {
	opaque
	// col is the column.
	col string
}

// Value returns nothing: the bytes are no text.
func (v rawVal) Value() any { return nil }

// errRaw is why an expression fails on such a text.
var errRaw = errors.New(change.ErrInvalidText.Error() + ", so an expression can only ask whether it is NULL or equal to a text (it is equal to none): select the column by its name, which keeps it as base64 and says so in _raw, mask it with hash, or correct the row")

// cellError is why a cell cannot be read, for a fault.
func cellError(err error) string {
	if errors.Is(err, change.ErrInvalidText) {
		return errRaw.Error()
	}
	return err.Error()
}

// extraVal carries what a function needs beside its arguments.
type extraVal struct {
	opaque
	of any
}

// Value returns what is carried.
func (v extraVal) Value() any { return v.of }

var (
	_ ref.Val = numVal{}
	_ ref.Val = timeVal{}
	_ ref.Val = docVal{}
	_ ref.Val = rawVal{}
	_ ref.Val = extraVal{}
)

var errCell = errors.New("the cell is not of its column's type")

// loadCell makes a value of the JSON text of a cell of a column. The value
// does not refer to raw.
func loadCell(t change.Type, raw []byte) (value, error) {
	switch typeOfColumn(&change.Column{Type: t}).kind {
	case kindBool:
		switch string(raw) {
		case "true":
			return types.True, nil
		case "false":
			return types.False, nil
		}
		return nil, errCell
	case kindNum:
		n, err := parseNum(numText(raw))
		if err != nil {
			return nil, errCell
		}
		return numVal{num: n}, nil
	case kindDouble:
		f, err := parseFloat(numText(raw))
		if err != nil {
			return nil, errCell
		}
		return types.Double(f), nil
	case kindJSON:
		return loadJSON(raw)
	case kindOpaque:
		return docVal{text: bytes.Clone(raw)}, nil
	}
	text, err := AppendUnquoted(nil, raw)
	if err != nil {
		return nil, errCell
	}
	switch t {
	case change.Bytes:
		b, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil {
			return nil, errCell
		}
		return types.Bytes(b), nil
	case change.Date, change.DateTime, change.Timestamp, change.Time:
		return timeVal{typ: t, text: string(text)}, nil
	}
	return types.String(text), nil
}

// loadJSON makes a value of what a path found; nil is NULL.
func loadJSON(raw []byte) (value, error) {
	if len(raw) == 0 {
		return types.NullValue, nil
	}
	switch raw[0] {
	case '"':
		text, err := AppendUnquoted(nil, raw)
		return types.String(text), err
	case '{', '[':
		return docVal{text: bytes.Clone(raw)}, nil
	case 't', 'f':
		return loadCell(change.Bool, raw)
	}
	n, err := parseNum(raw)
	if err != nil {
		return nil, errJSON
	}
	return numVal{num: n}, nil
}

// numText strips the quotes that large numbers may have in an event.
func numText(raw []byte) []byte {
	if isQuoted(raw) {
		return raw[1 : len(raw)-1]
	}
	return raw
}

// parseFloat reads a finite double without copying its text.
func parseFloat(text []byte) (float64, error) {
	if len(text) == 0 {
		return 0, errNotNumber
	}
	// The string lives no longer than the call and an error is not kept.
	f, err := strconv.ParseFloat(unsafe.String(&text[0], len(text)), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, errNotNumber
	}
	return f, nil
}

// appendValue appends the JSON text of v as a value of column c: a number with
// exactly the column's scale, a document as text.
func appendValue(dst []byte, v value, c *change.Column) ([]byte, error) {
	switch v := v.(type) {
	case types.Null:
		return append(dst, "null"...), nil
	case types.Bool:
		return strconv.AppendBool(dst, bool(v)), nil
	case numVal:
		return appendNum(dst, v.num, c)
	case types.Double:
		return appendFloat(dst, float64(v))
	case types.String:
		return jsontext.AppendQuoted(dst, []byte(v)), nil
	case types.Bytes:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v)
		return append(dst, '"'), nil
	case timeVal:
		return jsontext.AppendQuoted(dst, []byte(v.text)), nil
	case docVal:
		return jsontext.AppendQuoted(dst, v.text), nil
	}
	if raw, ok := v.(rawVal); ok {
		return dst, &fault{msg: errRaw.Error(), col: raw.col}
	}
	return dst, errors.New("the value has no JSON text")
}

func appendNum(dst []byte, n num, c *change.Column) ([]byte, error) {
	if c.Type == change.Double {
		return appendFloat(dst, n.float())
	}
	if c.Type == change.Int {
		v, ok := n.int64()
		if !ok {
			return dst, errors.New("the result does not fit a 64-bit integer")
		}
		return strconv.AppendInt(dst, v, 10), nil
	}
	n = n.rescale(c.Scale)
	if n.digits() > max(c.Precision, 1) {
		return dst, errors.New("the result has more digits than decimal(" + strconv.Itoa(c.Precision) + "," + strconv.Itoa(c.Scale) + ")")
	}
	return n.appendText(dst), nil
}

// appendFloat appends the shortest text that reads back as f.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, errors.New("the result is not a finite number")
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64), nil
}
