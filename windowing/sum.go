package windowing

import (
	"fmt"
	"strconv"

	"tailwater/change"
)

// sum is sum(column): exact for every number of MySQL but FLOAT and DOUBLE.
// NULLs are left out; the sum of only NULLs is null.
type sum struct {
	column string
	scale  int
}

var _ Aggregate = sum{}

func newSum(c *change.Column) (Aggregate, error) {
	s, err := exactSum("sum", c)
	return s, err
}

func newAvg(c *change.Column) (Aggregate, error) {
	s, err := exactSum("avg", c)
	return avg{s}, err
}

// exactSum is the sum that sum and avg are made of.
func exactSum(name string, c *change.Column) (sum, error) {
	switch c.Type {
	case change.Decimal:
		return sum{c.Name, c.Scale}, nil
	case change.Int, change.Uint, change.Bit, change.Year:
		return sum{c.Name, 0}, nil
	case change.Float, change.Double:
		return sum{}, fmt.Errorf("%s(%s): column is %s, whose sum depends on the order of the rows; cast it to DECIMAL in the view", name, c.Name, c.Type)
	}
	return sum{}, fmt.Errorf("%s(%s): column is %s, want an exact number", name, c.Name, c.Type)
}

func (s sum) Kind() string   { return "sum" }
func (s sum) Column() string { return s.column }
func (s sum) Scale() int     { return s.scale }
func (s sum) String() string { return "sum(" + s.column + ")/" + strconv.Itoa(s.scale) }

func (s sum) Fold(c *Cell, value []byte, sign int) error {
	if isNull(value) {
		c.Rows += int64(sign)
		return nil
	}
	var v Int
	if err := v.ParseScaled(inside(value), s.scale); err != nil { // a view may quote what a double cannot hold
		return fmt.Errorf("column %s: %w", s.column, err)
	}
	if sign < 0 {
		v.Neg()
	}
	c.Rows += int64(sign)
	c.Values += int64(sign)
	c.Sum.Add(&v)
	return nil
}

func (s sum) AppendDelta(args []any, g *GroupDelta) []any {
	return append(args, itoa(g.Cell.Rows), itoa(g.Cell.Values), g.Cell.Sum.String())
}

// isNull reports whether raw JSON is null.
func isNull(raw []byte) bool { return len(raw) == 4 && raw[0] == 'n' }
