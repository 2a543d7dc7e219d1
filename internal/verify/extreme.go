package verify

import (
	"fmt"
	"math/big"
	"strings"

	"tailwater/change"
)

// extreme reports whether the metric is a minimum or maximum.
func (m *metric) extreme() bool { return m.Value.Func == "min" || m.Value.Func == "max" }

// compete makes a value the total's if it is the better one.
func (m *metric) compete(t *total, text, raw string) error {
	t.values++
	if t.values > 1 {
		less, err := m.less(text, t.best)
		if err != nil {
			return err
		}
		if less != (m.Value.Func == "min") {
			return nil
		}
	}
	t.best, t.shown = text, raw
	switch m.column.Type {
	case change.Int, change.Uint, change.Bit, change.Year, change.Decimal:
		t.shown = text // without the quotes that a view may give a number
	}
	return nil
}

// less compares two values of the metric's column. Texts are compared by their
// bytes, and so are dates and times of day, whose width is fixed.
func (m *metric) less(a, b string) (bool, error) {
	switch m.column.Type {
	case change.Text, change.Enum, change.Set, change.Date, change.DateTime:
		return a < b, nil
	case change.Timestamp:
		return strings.TrimSuffix(a, "Z") < strings.TrimSuffix(b, "Z"), nil
	}
	x, ok := m.number(a)
	y, ok2 := m.number(b)
	if !ok || !ok2 {
		return false, fmt.Errorf("column %s cannot be compared", m.column.Name)
	}
	return x.Cmp(y) < 0, nil
}

// number is the value of a number, or the seconds of a time.
func (m *metric) number(text string) (*big.Rat, bool) {
	if m.column.Type != change.Time {
		return new(big.Rat).SetString(text)
	}
	digits, negative := strings.CutPrefix(text, "-")
	sum := new(big.Rat)
	for part := range strings.SplitSeq(digits, ":") {
		x, ok := new(big.Rat).SetString(part)
		if !ok {
			return nil, false
		}
		sum.Add(sum.Mul(sum, new(big.Rat).SetInt64(60)), x)
	}
	if negative {
		sum.Neg(sum)
	}
	return sum, true
}
