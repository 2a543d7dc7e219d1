package windowing

import (
	"fmt"
	"slices"
	"strings"

	"tailwater/change"
)

// Aggregate turns the events of one (window, group) into one value. Its delta
// is signed and mergeable: the deltas of two runs of events add up to the
// delta of both. An Aggregate is immutable and safe for concurrent use.
type Aggregate interface {
	// Kind names the merge in the store: "count", "sum", "avg",
	// "min", "max".
	Kind() string
	// Column is the view column that is read, or "" when none is.
	Column() string
	// Scale is the number of digits after the point of the column.
	Scale() int
	// String is the canonical text of the aggregate; it is part of the
	// metric's identity.
	String() string
	// Fold adds one event to a cell, or takes it back: sign is +1 or -1. value
	// is the raw JSON of the column. Fold keeps nothing of it.
	Fold(c *Cell, value []byte, sign int) error
	// AppendDelta appends what the store merges for the group, as arguments of
	// its script.
	AppendDelta(args []any, g *GroupDelta) []any
}

// Cell is the delta of one (window, group).
type Cell struct {
	// Images is the number of row images that were added or taken back.
	Images int64
	// Rows is the number of rows counted.
	Rows int64
	// Values is the number of those whose column is not NULL.
	Values int64
	// Sum is the scaled sum of the values.
	Sum Int
}

// Add adds the delta d to c.
func (c *Cell) Add(d *Cell) {
	c.Images += d.Images
	c.Rows += d.Rows
	c.Values += d.Values
	c.Sum.Add(&d.Sum)
}

// ParseAggregate reads the text of an aggregate, such as "count()" or
// "sum(amount)", for a view with the given columns. Sums of FLOAT and
// DOUBLE columns are refused: they depend on the order of the rows.
func ParseAggregate(text string, columns []change.Column) (Aggregate, error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(text), "(")
	arg, ok2 := strings.CutSuffix(rest, ")")
	name, arg = strings.TrimSpace(name), strings.TrimSpace(arg)
	if !ok || !ok2 {
		return nil, fmt.Errorf("parse aggregate %q: want %s", text, aggregates)
	}
	if name == "count" {
		if arg != "" {
			return nil, fmt.Errorf("parse aggregate %q: count takes no column", text)
		}
		return count{}, nil
	}
	made := map[string]func(c *change.Column) (Aggregate, error){"sum": newSum, "avg": newAvg, "min": newMin, "max": newMax}[name]
	if made == nil {
		return nil, fmt.Errorf("parse aggregate %q: unknown function %q, want %s", text, name, aggregates)
	}
	i := slices.IndexFunc(columns, func(c change.Column) bool { return c.Name == arg })
	if i < 0 {
		return nil, fmt.Errorf("parse aggregate %q: the view has no column %q", text, arg)
	}
	return made(&columns[i])
}

// aggregates is what ParseAggregate reads.
const aggregates = "count(), sum(column), avg(column), min(column) or max(column)"
