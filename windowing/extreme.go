package windowing

import (
	"fmt"
	"strconv"

	"tailwater/change"
)

// extreme is min(column) and max(column). The store keeps values by their order
// text, so that one can be taken back. NULLs are left out, and the extreme of
// only NULLs is null. The public text is the event's.
type extreme struct {
	name, column string
	order        order
	// kind names the order, and belongs to the identity: order texts of two
	// kinds must never meet in one set.
	kind  string
	scale int
}

var _ Aggregate = extreme{}

// MaxValueBytes bounds the JSON text of a value of min and max.
const MaxValueBytes = 1 << 16

var errValue = fmt.Errorf("value is longer than %d bytes; compute a shorter one in the view", MaxValueBytes)

func newMin(c *change.Column) (Aggregate, error) { return newExtreme("min", c) }
func newMax(c *change.Column) (Aggregate, error) { return newExtreme("max", c) }

func newExtreme(name string, c *change.Column) (Aggregate, error) {
	o, kind := orderOf(c.Type)
	if o == nil {
		return nil, fmt.Errorf("%s(%s): column is %s, want a number, a date or time, or text", name, c.Name, c.Type)
	}
	e := extreme{name: name, column: c.Name, order: o, kind: kind}
	if c.Type == change.Decimal {
		e.scale = c.Scale
	}
	return e, nil
}

func (e extreme) Kind() string   { return e.name }
func (e extreme) Column() string { return e.column }
func (e extreme) Scale() int     { return e.scale }
func (e extreme) String() string {
	return e.name + "(" + e.column + ")/" + e.kind + "/" + strconv.Itoa(e.scale)
}

func (e extreme) Fold(c *Cell, value []byte, sign int) error {
	c.Rows += int64(sign)
	if !isNull(value) {
		c.Values += int64(sign)
	}
	return nil
}

func (e extreme) AppendDelta(args []any, g *GroupDelta) []any {
	args = append(args, itoa(g.Cell.Rows), itoa(g.Cell.Values), len(g.Values))
	for i := range g.Values {
		v := &g.Values[i]
		args = append(args, v.Order, v.Text, itoa(v.N))
	}
	return args
}

// appendOrder appends the order text of a value that is not null.
func (e extreme) appendOrder(dst, value []byte) ([]byte, error) {
	if len(value) > MaxValueBytes {
		return dst, errValue
	}
	dst, err := e.order(dst, value, e.scale)
	if err != nil {
		return dst, fmt.Errorf("column %s: %w", e.column, err)
	}
	return dst, nil
}

// public is the public text of a value: a number goes without the quotes that
// a view may give it.
func (e extreme) public(value []byte) []byte {
	if e.kind == "exact" {
		return inside(value)
	}
	return value
}

// better reports whether order text a goes before b.
func (e extreme) better(a, b []byte) bool {
	if e.name == "max" {
		return string(a) > string(b)
	}
	return string(a) < string(b)
}
