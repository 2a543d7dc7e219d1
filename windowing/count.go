package windowing

import "strconv"

// count is count(): the number of rows.
type count struct{}

var _ Aggregate = count{}

func (count) Kind() string   { return "count" }
func (count) Column() string { return "" }
func (count) Scale() int     { return 0 }
func (count) String() string { return "count()" }

func (count) Fold(c *Cell, _ []byte, sign int) error {
	c.Rows += int64(sign)
	return nil
}

func (count) AppendDelta(args []any, c *Cell) []any {
	return append(args, strconv.FormatInt(c.Rows, 10))
}
