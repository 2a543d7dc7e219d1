package view

import (
	"tailwater/change"
	"tailwater/internal/expr"
)

// typeExamples are the logical types with the JSON text of a cell as a row
// gives it. The table of docs/format/event.md is checked against them.
var typeExamples = []struct {
	column change.Column
	cell   string
}{
	{change.Column{Name: "i", Type: change.Int, Bits: 64}, `-9223372036854775808`},
	{change.Column{Name: "u", Type: change.Uint, Bits: 64}, `18446744073709551615`},
	{change.Column{Name: "f", Type: change.Float}, `3.14`},
	{change.Column{Name: "g", Type: change.Double}, `0.1`},
	{change.Column{Name: "d", Type: change.Decimal, Precision: 12, Scale: 2}, `12.50`},
	{change.Column{Name: "t", Type: change.Text, Length: 255}, `"say \"hé\"\n"`},
	{change.Column{Name: "b", Type: change.Bytes, Length: 16}, `"AAEC/w=="`},
	{change.Column{Name: "day", Type: change.Date}, `"2026-11-20"`},
	{change.Column{Name: "made", Type: change.DateTime, Scale: 3}, `"2026-11-20 10:10:10.123"`},
	{change.Column{Name: "seen", Type: change.Timestamp, Scale: 3}, `"2026-11-20T10:10:10.123Z"`},
	{change.Column{Name: "took", Type: change.Time, Scale: 3}, `"-838:59:59.000"`},
	{change.Column{Name: "y", Type: change.Year}, `2026`},
	{change.Column{Name: "bits", Type: change.Bit, Bits: 9}, `257`},
	{change.Column{Name: "e", Type: change.Enum, Members: []string{"new", "paid"}}, `"paid"`},
	{change.Column{Name: "s", Type: change.Set, Members: []string{"a", "b"}}, `"a,b"`},
	{change.Column{Name: "doc", Type: change.JSON}, `{"a": [1, "x"]}`},
	{change.Column{Name: "spot", Type: change.Geometry}, `{"srid":4326,"wkb":"AQEAAAA="}`},
	{change.Column{Name: "v", Type: change.Vector}, `[1.5,2]`},
}

func everyType() *change.Table {
	t := &change.Table{Database: "shop_03", Name: "orders_7"}
	for _, e := range typeExamples {
		e.column.Nullable = true
		t.Columns = append(t.Columns, e.column)
	}
	return t
}

func everyTypeRow() *expr.Texts {
	var row expr.Texts
	for _, e := range typeExamples {
		row = append(row, []byte(e.cell))
	}
	return &row
}

func everyTypeNull() *expr.Texts {
	var row expr.Texts
	for range typeExamples {
		row = append(row, []byte("null"))
	}
	return &row
}
