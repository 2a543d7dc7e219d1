package windowing

import "strconv"

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

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

func (count) AppendDelta(args []any, g *GroupDelta) []any {
	return append(args, itoa(g.Cell.Rows))
}
