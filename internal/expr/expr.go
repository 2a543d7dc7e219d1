package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

// EvalError is a row on which an expression fails. It holds no value of the row.
type EvalError struct {
	// Expr is the text of the expression.
	Expr string
	// Columns are the names of the columns to blame: one when it is known,
	// else all that the failing part reads.
	Columns []string
	// Msg says what is wrong.
	Msg string
}

// Error names the expression, its columns and what is wrong.
func (e *EvalError) Error() string {
	s := fmt.Sprintf("evaluate expression %q", e.Expr)
	switch len(e.Columns) {
	case 0:
	case 1:
		s += ", column " + e.Columns[0]
	default:
		s += ", columns " + strings.Join(e.Columns, ", ")
	}
	return s + ": " + e.Msg
}

// compiled is what predicates and values share.
type compiled struct {
	src  string
	cols []change.Column
	// reads are the indexes of the columns that are read, ascending.
	reads []int
}

func newCompiled(src string, cols []change.Column, root *node) compiled {
	c := compiled{src: src, cols: cols}
	root.walk(func(n *node) {
		if n.op == opLeaf && !slices.Contains(c.reads, n.col) {
			c.reads = append(c.reads, n.col)
		}
	})
	slices.Sort(c.reads)
	return c
}

// Columns returns the indexes of the columns that the expression reads,
// ascending.
func (c *compiled) Columns() []int { return slices.Clone(c.reads) }

// String returns the text of the expression.
func (c *compiled) String() string { return c.src }

// wrap gives an error of evaluation its context.
func (c *compiled) wrap(err error) error {
	e := &EvalError{Expr: c.src, Msg: cellError(err)}
	if f := (*fault)(nil); errors.As(err, &f) && f.col != "" {
		e.Columns = []string{f.col}
		return e
	}
	for _, i := range c.reads {
		e.Columns = append(e.Columns, c.cols[i].Name)
	}
	return e
}

// present fails when the row lacks a column that is read: a row image without
// it has no value, and NULL would be a wrong one.
func (c *compiled) present(row change.Row) error {
	for _, i := range c.reads {
		if row.State(i) == change.Absent {
			return &EvalError{Expr: c.src, Columns: []string{c.cols[i].Name}, Msg: "the row image does not carry the column"}
		}
	}
	return nil
}

// Predicate is a compiled condition over the columns of a row. It reuses
// memory between rows and is not safe for concurrent use.
type Predicate struct {
	compiled
	root test
}

// CompilePredicate compiles a condition. What is wrong with the text is
// reported as a *SyntaxError. cols is kept and must not be changed.
func CompilePredicate(src string, cols []change.Column) (*Predicate, error) {
	n, err := checkCondition(src, cols)
	if err != nil {
		return nil, err
	}
	root, err := (&nativeBuilder{cols: cols}).test(n)
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", src, err)
	}
	return &Predicate{compiled: newCompiled(src, cols, n), root: root}, nil
}

func checkCondition(src string, cols []change.Column) (*node, error) {
	n, err := check(src, cols)
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", src, err)
	}
	if err := (&checker{}).condition(n); err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", src, err)
	}
	return n, nil
}

// Eval reports whether the condition is true for the row: neither false nor
// NULL. An error is an *EvalError.
func (p *Predicate) Eval(row change.Row) (bool, error) {
	if err := p.present(row); err != nil {
		return false, err
	}
	t, err := p.root.eval(row)
	if err != nil {
		return false, p.wrap(err)
	}
	return t == isTrue, nil
}

// Value is a compiled expression that gives a value. It reuses memory between
// rows and is not safe for concurrent use.
type Value struct {
	compiled
	column change.Column
	// leaf is set when the expression is a column or a path and nothing else.
	leaf *node
	run  *program
	// buf holds a cell, plain the document in one of text.
	buf, plain []byte
}

// CompileValue compiles an expression that gives a value. What is wrong with
// the text is reported as a *SyntaxError. cols is kept and must not be changed.
func CompileValue(src string, cols []change.Column) (*Value, error) {
	n, err := check(src, cols)
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", src, err)
	}
	v := &Value{compiled: newCompiled(src, cols, n)}
	if n.op == opLeaf {
		v.leaf = n
		if v.column, err = n.typ.column(); len(n.path) == 0 {
			v.column, err = cols[n.col], nil
			v.column.Name = ""
		}
	} else {
		n = (&checker{}).asText(n)
		if v.column, err = n.typ.column(); err == nil {
			v.run, err = newProgram(n, cols)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", src, err)
	}
	return v, nil
}

// Column describes the values: type, digits, nullability. Its name is empty. A
// path into a JSON column is text: what a JSON string says, and the JSON text
// of everything else. A column alone keeps its own description.
func (v *Value) Column() change.Column { return v.column }

// AppendJSON appends the JSON text of the value for a row, null when it is
// NULL. The text is that of an event: a JSON column is its text as a JSON
// string. On an error, an *EvalError, dst is returned as it was.
func (v *Value) AppendJSON(dst []byte, row change.Row) ([]byte, error) {
	if err := v.present(row); err != nil {
		return dst, err
	}
	if v.leaf != nil {
		return v.appendLeaf(dst, row)
	}
	val, err := v.run.eval(row)
	if err != nil {
		return dst, v.wrap(err)
	}
	out, err := appendValue(dst, val, &v.column)
	if err != nil {
		return dst, v.wrap(err)
	}
	return out, nil
}

func (v *Value) appendLeaf(dst []byte, row change.Row) ([]byte, error) {
	if row.State(v.leaf.col) == change.Null {
		return append(dst, "null"...), nil
	}
	kind := v.cols[v.leaf.col].Type
	if kind != change.JSON && len(v.leaf.path) == 0 {
		out, err := row.AppendJSON(dst, v.leaf.col)
		if err != nil {
			return dst, v.wrap(err)
		}
		return out, nil
	}
	doc, err := row.AppendJSON(v.buf[:0], v.leaf.col)
	if err != nil {
		return dst, v.wrap(err)
	}
	v.buf = keepBuffer(doc)
	if len(v.leaf.path) == 0 {
		return jsontext.AppendQuoted(dst, doc), nil
	}
	raw, plain, err := v.leaf.path.findIn(kind, doc, v.plain)
	v.plain = keepBuffer(plain)
	switch {
	case err != nil:
		return dst, v.wrap(err)
	case raw == nil:
		return append(dst, "null"...), nil
	case raw[0] == '"':
		return append(dst, raw...), nil
	}
	return jsontext.AppendQuoted(dst, raw), nil
}
