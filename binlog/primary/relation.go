package primary

import (
	"iter"
	"strings"

	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/minisql"
)

// tableRelation is a table as a SELECT reads it.
type tableRelation struct {
	v   *version
	env *environment
}

var (
	_ minisql.Relation = (*tableRelation)(nil)
	_ minisql.Relation = (*listRelation)(nil)
)

// Columns returns the table's columns.
func (t *tableRelation) Columns() []string {
	names := make([]string, len(t.v.def.Columns))
	for i := range names {
		names[i] = t.v.def.Columns[i].Name
	}
	return names
}

func (t *tableRelation) keyColumns() []string {
	names := make([]string, len(t.v.def.PrimaryKey))
	for i, k := range t.v.def.PrimaryKey {
		names[i] = t.v.def.Columns[k].Name
	}
	return names
}

// Ordered reports whether columns begin the primary key, or are all of it and more.
func (t *tableRelation) Ordered(columns []string) bool {
	for i, k := range t.keyColumns() {
		if i == len(columns) {
			return true
		}
		if !strings.EqualFold(k, columns[i]) {
			return false
		}
	}
	return true // beyond a whole key nothing is left to order
}

// Rows yields the rows between the key's bounds. The slice is the same each time.
func (t *tableRelation) Rows(where minisql.Expr) iter.Seq[[]any] {
	from := t.bound(where, false)
	to := t.bound(where, true)
	def := t.v.def
	return func(yield func([]any) bool) {
		row := make([]any, len(def.Columns))
		t.v.root.scanRange(from, to, func(r *record) bool {
			copy(row, r.row)
			for i := range def.Columns {
				if text, ok := row[i].(string); ok && def.Columns[i].Kind == encode.Decimal {
					row[i] = minisql.Decimal(text)
				}
			}
			return yield(row)
		})
	}
}

// bound returns the key's bound in where, empty for none.
func (t *tableRelation) bound(where minisql.Expr, upper bool) string {
	values := minisql.Bound(where, t.keyColumns(), t.env, upper)
	key, err := t.v.def.EncodeKeyPrefix(nil, values)
	if err != nil {
		return "" // a value that no row can have, such as a text for a number: test every row
	}
	return string(key)
}

// scanRange is scan that ends behind the last key that is not above to and does
// not begin with it.
func (n *node) scanRange(from, to string, yield func(*record) bool) bool {
	if n == nil {
		return true
	}
	below := to == "" || n.key <= to || strings.HasPrefix(n.key, to)
	if from <= n.key {
		if !n.left.scanRange(from, to, yield) || !below || !yield(n.rec) {
			return false
		}
	}
	return !below || n.right.scanRange(from, to, yield)
}

// listRelation is a relation of rows in memory, such as one of information_schema.
type listRelation struct {
	names []string
	rows  [][]any
}

// Columns returns the names.
func (l *listRelation) Columns() []string { return l.names }

// Ordered is always false.
func (l *listRelation) Ordered([]string) bool { return false }

// Rows yields all rows.
func (l *listRelation) Rows(minisql.Expr) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for _, r := range l.rows {
			if !yield(r) {
				return
			}
		}
	}
}

func (l *listRelation) add(values ...any) { l.rows = append(l.rows, values) }
