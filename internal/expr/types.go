package expr

import (
	"fmt"

	"tailwater/change"
)

// kind is what the checker knows of a value.
type kind uint8

const (
	kindNull   kind = iota // the literal null
	kindBool               // true, false
	kindNum                // an exact number
	kindDouble             // a 32- or 64-bit float
	kindText               // text, also of ENUM and SET
	kindBytes              // bytes, base64 in a row
	kindTime               // DATE, DATETIME, TIMESTAMP, TIME
	kindJSON               // a JSON document or a value inside: known at evaluation only
	kindOpaque             // GEOMETRY and VECTOR: only compared with null
)

// typ is the type of a node.
type typ struct {
	kind     kind
	nullable bool
	// temporal is the logical type of a kindTime.
	temporal change.Type
	// Of a kindNum: whole says that it counts among the integers, wide that it
	// may be beyond 64 bits with sign, digits how many may stand before the
	// point. scale counts those behind it, also of a second's fraction.
	whole, wide   bool
	digits, scale int
}

var (
	typeNull   = typ{kind: kindNull, nullable: true}
	typeText   = typ{kind: kindText}
	typeBool   = typ{kind: kindBool}
	typeDouble = typ{kind: kindDouble}
	typeInt    = typ{kind: kindNum, whole: true, digits: 19}
)

// orNull returns t, nullable when any of the others is.
func (t typ) orNull(others ...*node) typ {
	for _, n := range others {
		t.nullable = t.nullable || n.typ.nullable
	}
	return t
}

// String names the type as a person would.
func (t typ) String() string {
	switch t.kind {
	case kindNull:
		return "null"
	case kindBool:
		return "bool"
	case kindNum:
		if t.whole {
			return "int"
		}
		return fmt.Sprintf("decimal(%d,%d)", t.digits+t.scale, t.scale)
	case kindDouble:
		return "double"
	case kindText:
		return "text"
	case kindBytes:
		return "bytes"
	case kindTime:
		return string(t.temporal)
	case kindJSON:
		return "JSON"
	}
	return "geometry or vector"
}

// digitsOfBits returns how many decimal digits a number of so many bits has.
func digitsOfBits(bits int) int {
	if bits <= 0 || bits > 64 {
		bits = 64
	}
	// 1233/4096 is a little above log10(2).
	return bits*1233>>12 + 1
}

// typeOfColumn returns the type by which a column takes part in expressions.
func typeOfColumn(c *change.Column) typ {
	t := typ{nullable: c.Nullable}
	switch c.Type {
	case change.Int:
		t.kind, t.whole, t.digits = kindNum, true, digitsOfBits(c.Bits)
	case change.Uint, change.Bit:
		t.kind, t.whole, t.digits = kindNum, true, digitsOfBits(c.Bits)
		t.wide = c.Bits <= 0 || c.Bits > 63
	case change.Year:
		t.kind, t.whole, t.digits = kindNum, true, 4
	case change.Decimal:
		t.kind, t.wide, t.digits, t.scale = kindNum, true, c.Precision-c.Scale, c.Scale
		if c.Precision <= 0 {
			t.digits, t.scale = 35, 30
		}
	case change.Float, change.Double:
		t.kind = kindDouble
	case change.Text, change.Enum, change.Set:
		t.kind = kindText
	case change.Bytes:
		t.kind = kindBytes
	case change.Date, change.DateTime, change.Timestamp, change.Time:
		t.kind, t.temporal, t.scale = kindTime, c.Type, c.Scale
	case change.JSON:
		t.kind = kindJSON
	case change.Bool:
		t.kind = kindBool
	default:
		t.kind = kindOpaque
	}
	return t
}

// The widest DECIMAL of MySQL.
const (
	maxPrecision = 65
	maxScale     = 30
)

// column returns the column that holds values of type t.
func (t typ) column() (change.Column, error) {
	c := change.Column{Nullable: t.nullable}
	switch t.kind {
	case kindNull:
		return c, fmt.Errorf("the expression is always NULL")
	case kindBool:
		c.Type = change.Bool
	case kindNum:
		if t.whole && !t.wide {
			c.Type, c.Bits = change.Int, 64
			break
		}
		c.Type, c.Precision, c.Scale = change.Decimal, t.digits+t.scale, t.scale
		if c.Precision > maxPrecision || c.Scale > maxScale {
			return c, fmt.Errorf("the result may have %d digits, %d of them behind the point; a DECIMAL has at most %d and %d", c.Precision, c.Scale, maxPrecision, maxScale)
		}
	case kindDouble:
		c.Type = change.Double
	case kindBytes:
		c.Type = change.Bytes
	case kindTime:
		c.Type, c.Scale = t.temporal, t.scale
	case kindText, kindJSON:
		c.Type = change.Text
	default:
		return c, fmt.Errorf("a geometry or vector cannot be computed")
	}
	return c, nil
}

// op is what a node does.
type op uint8

const (
	opConst op = iota
	opLeaf     // a column, or a path into a JSON column
	opAnd
	opOr
	opNot
	opIf
	opIsNull
	opNotNull
	opEq
	opNe
	opLt
	opLe
	opGt
	opGe
	opIn // args[0] in the rest
	opAdd
	opSub
	opMul
	opDiv
	opRem
	opNeg
	opCall // a function by name
)

// node is one node of a checked expression.
type node struct {
	op   op
	typ  typ
	at   int
	args []*node
	// Of opConst: numVal, types.String, types.Bool, types.Bytes, timeVal or
	// types.NullValue.
	val value
	// Of opLeaf.
	col  int
	path path
	// Of opCall: the function, and what it needs beside its arguments, such as
	// a compiled pattern.
	fn    string
	extra any
}

// isLiteralNull reports whether n is the word null.
func (n *node) isLiteralNull() bool { return n.op == opConst && n.typ.kind == kindNull }

// walk visits n and everything below it.
func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, a := range n.args {
		a.walk(visit)
	}
}
