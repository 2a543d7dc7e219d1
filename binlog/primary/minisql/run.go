package minisql

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Relation is what a SELECT reads: a table, or a view made of Go values.
type Relation interface {
	// Columns returns the names, in the order of *.
	Columns() []string
	// Rows yields the rows in the order of the key, as far as where does not
	// rule them out at once: the caller tests every row again. Rows of an
	// unordered relation come in any order.
	Rows(where Expr) iter.Seq[[]any]
	// Ordered reports whether Rows comes in the order of these columns, ascending.
	Ordered(columns []string) bool
}

// Column describes a column of a result.
type Column struct {
	Name string
	// Source is the index in the relation, -1 for an expression.
	Source int
}

// Sink takes a result.
type Sink interface {
	// Columns is called once, before the rows.
	Columns(cols []Column) error
	// Row is called for each row, which is valid until Row returns.
	Row(row []any) error
}

// rowEnv adds a row to an environment.
type rowEnv struct {
	Env
	names map[string]int
	row   []any
}

// Column returns the value of the named column of the row.
func (e *rowEnv) Column(name string) (any, error) {
	i, ok := e.names[strings.ToLower(name)]
	if !ok {
		return nil, fmt.Errorf("unknown column %q", name)
	}
	return e.row[i], nil
}

// query is a SELECT on its way.
type query struct {
	s     *Select
	env   *rowEnv
	items []Item
	cols  []Column
}

// Run evaluates s over rel, which is nil without FROM, into sink. Memory is
// bounded by what ORDER BY and GROUP BY have to hold; a scan in key order holds
// nothing.
func Run(s *Select, rel Relation, env Env, sink Sink) error {
	q := &query{s: s, env: &rowEnv{Env: env, names: map[string]int{}}}
	var rows iter.Seq[[]any] = func(yield func([]any) bool) { yield(nil) }
	var names []string
	if rel != nil {
		names = rel.Columns()
		for i, n := range names {
			q.env.names[strings.ToLower(n)] = i
		}
		rows = rel.Rows(s.Where)
	}
	q.resolve(names)
	if err := sink.Columns(q.cols); err != nil || s.Limit == 0 {
		return err
	}
	yield := sink.Row
	if len(s.GroupBy) > 0 || slices.ContainsFunc(q.items, func(it Item) bool { return isAggregate(it.Expr) }) {
		return q.group(rows, yield)
	}
	if len(s.OrderBy) == 0 || rel != nil && q.ordered(rel) {
		return q.scan(rows, yield)
	}
	return q.sort(rows, yield)
}

// resolve replaces * and finds the columns' sources.
func (q *query) resolve(names []string) {
	for _, it := range q.s.Items {
		if it.Expr != nil {
			q.items = append(q.items, it)
			continue
		}
		for _, n := range names {
			q.items = append(q.items, Item{&columnRef{n}, n})
		}
	}
	for _, it := range q.items {
		source := -1
		if c, ok := it.Expr.(*columnRef); ok {
			if i, known := q.env.names[strings.ToLower(c.name)]; known {
				source = i
			}
		}
		q.cols = append(q.cols, Column{it.Name, source})
	}
}

func (q *query) ordered(rel Relation) bool {
	var names []string
	for _, o := range q.s.OrderBy {
		c, ok := o.Expr.(*columnRef)
		if !ok || o.Desc {
			return false
		}
		names = append(names, c.name)
	}
	return rel.Ordered(names)
}

// matches tests WHERE on a row.
func (q *query) matches(row []any) (bool, error) {
	q.env.row = row
	if q.s.Where == nil {
		return true, nil
	}
	v, err := q.s.Where.Eval(q.env)
	if err != nil {
		return false, err
	}
	is, _ := truth(v)
	return is, nil
}

// project computes the result's columns of the current row.
func (q *query) project(out []any) error {
	for i, it := range q.items {
		var err error
		if out[i], err = it.Expr.Eval(q.env); err != nil {
			return err
		}
	}
	return nil
}

func (q *query) scan(rows iter.Seq[[]any], yield func([]any) error) error {
	out := make([]any, len(q.items))
	skip, left := q.s.Offset, q.s.Limit
	for row := range rows {
		ok, err := q.matches(row)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if err := q.project(out); err != nil {
			return err
		}
		if err := yield(out); err != nil {
			return err
		}
		if left--; left == 0 {
			return nil
		}
	}
	return nil
}

// sorted is a row of the result with what it is ordered by.
type sorted struct{ out, by []any }

func (q *query) sort(rows iter.Seq[[]any], yield func([]any) error) error {
	var all []sorted
	for row := range rows {
		ok, err := q.matches(row)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		s := sorted{make([]any, len(q.items)), make([]any, len(q.s.OrderBy))}
		if err := q.project(s.out); err != nil {
			return err
		}
		for i, o := range q.s.OrderBy {
			if s.by[i], err = q.orderValue(o.Expr, s.out); err != nil {
				return err
			}
		}
		all = append(all, s)
	}
	return q.emit(all, yield)
}

// orderValue evaluates an ORDER BY term, which may name a result column.
func (q *query) orderValue(e Expr, out []any) (any, error) {
	if c, ok := e.(*columnRef); ok {
		for i, it := range q.items {
			if strings.EqualFold(it.Name, c.name) {
				return out[i], nil
			}
		}
	}
	if l, ok := e.(*literal); ok {
		if n, ok := l.v.(int64); ok && n >= 1 && int(n) <= len(out) {
			return out[n-1], nil
		}
	}
	return e.Eval(q.env)
}

// emit sorts, cuts and yields.
func (q *query) emit(all []sorted, yield func([]any) error) error {
	slices.SortStableFunc(all, func(a, b sorted) int {
		for i, o := range q.s.OrderBy {
			c := less(a.by[i], b.by[i])
			if o.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	all = all[min(int(q.s.Offset), len(all)):]
	if q.s.Limit >= 0 {
		all = all[:min(int(q.s.Limit), len(all))]
	}
	for _, s := range all {
		if err := yield(s.out); err != nil {
			return err
		}
	}
	return nil
}

// aggregate reports whether the call is one.
func (e *call) aggregate() bool {
	switch e.name {
	case "COUNT", "SUM", "MIN", "MAX":
		return true
	}
	return false
}

func isAggregate(e Expr) bool {
	switch x := e.(type) {
	case *call:
		return x.aggregate() || slices.ContainsFunc(x.args, isAggregate)
	case *cast:
		return isAggregate(x.x)
	}
	return false
}

// groupState is one group: its first row and one accumulator per item.
type groupState struct {
	first []any
	acc   []any
}

var errNested = errors.New("aggregates are served as whole columns only")

func (q *query) group(rows iter.Seq[[]any], yield func([]any) error) error {
	groups := map[string]*groupState{}
	var order []string
	for row := range rows {
		ok, err := q.matches(row)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		key := ""
		for _, e := range q.s.GroupBy {
			v, err := e.Eval(q.env)
			if err != nil {
				return err
			}
			key += fmt.Sprintf("%T\x00%s\x00", v, Text(v))
		}
		g := groups[key]
		if g == nil {
			g = &groupState{first: slices.Clone(row), acc: make([]any, len(q.items))}
			groups[key] = g
			order = append(order, key)
		}
		if err := q.accumulate(g); err != nil {
			return err
		}
	}
	if len(order) == 0 && len(q.s.GroupBy) == 0 {
		groups[""] = &groupState{first: make([]any, len(q.env.names)), acc: make([]any, len(q.items))}
		order = append(order, "")
	}
	var all []sorted
	for _, key := range order {
		s, err := q.finish(groups[key])
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	return q.emit(all, yield)
}

// accumulate adds the current row to the group's aggregates.
func (q *query) accumulate(g *groupState) error {
	for i, it := range q.items {
		c, ok := it.Expr.(*call)
		if !ok || !c.aggregate() {
			if isAggregate(it.Expr) {
				return errNested
			}
			continue
		}
		var v any = int64(1)
		if !c.star {
			if len(c.args) != 1 {
				return fmt.Errorf("%s wants one argument", c.name)
			}
			var err error
			if v, err = c.args[0].Eval(q.env); err != nil {
				return err
			}
		}
		g.acc[i] = fold(c.name, g.acc[i], v)
	}
	return nil
}

// fold adds v to an accumulator; NULL counts nowhere.
func fold(name string, acc, v any) any {
	if v == nil {
		return acc
	}
	switch {
	case name == "COUNT":
		n, _ := acc.(int64)
		return n + 1
	case acc == nil:
		if name == "SUM" && !isNumber(v) {
			return calculate("+", int64(0), v)
		}
		return v
	case name == "SUM":
		return calculate("+", acc, v)
	case (name == "MIN") == (Compare(v, acc) < 0) && Compare(v, acc) != 0:
		return v
	}
	return acc
}

// finish computes a group's row.
func (q *query) finish(g *groupState) (sorted, error) {
	q.env.row = g.first
	s := sorted{make([]any, len(q.items)), make([]any, len(q.s.OrderBy))}
	for i, it := range q.items {
		if c, ok := it.Expr.(*call); ok && c.aggregate() {
			s.out[i] = g.acc[i]
			if c.name == "COUNT" && s.out[i] == nil {
				s.out[i] = int64(0)
			}
			continue
		}
		var err error
		if s.out[i], err = it.Expr.Eval(q.env); err != nil {
			return s, err
		}
	}
	for i, o := range q.s.OrderBy {
		var err error
		if s.by[i], err = q.orderValue(o.Expr, s.out); err != nil {
			return s, err
		}
	}
	return s, nil
}
