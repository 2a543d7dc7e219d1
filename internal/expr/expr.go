// Package expr compiles and evaluates the expressions of a configuration:
// the conditions of views and metrics and the values of computed columns.
package expr

import (
	"errors"

	"tailwater/change"
)

// SyntaxError is a mistake in the text of an expression, found before any row.
type SyntaxError struct {
	// Offset is where the mistake stands, in bytes from the expression's start.
	Offset int
	// Msg says what is wrong, Hint what to write instead. Hint may be empty.
	Msg, Hint string
}

// Error names the offset, the mistake and the hint.
func (e *SyntaxError) Error() string { return e.Msg }

// Predicate is a compiled condition over the columns of a row.
type Predicate struct{}

// Value is a compiled expression that gives a value.
type Value struct{}

var errNotBuilt = errors.New("compile expression: not built")

// CompilePredicate compiles a condition over the columns.
func CompilePredicate(src string, cols []change.Column) (*Predicate, error) { return nil, errNotBuilt }

// Eval reports whether the condition is true for the row: neither false nor NULL.
func (p *Predicate) Eval(row change.Row) (bool, error) { return false, errNotBuilt }

// Columns returns the indexes of the columns that the condition reads, ascending.
func (p *Predicate) Columns() []int { return nil }

// CompileValue compiles an expression that gives a value.
func CompileValue(src string, cols []change.Column) (*Value, error) { return nil, errNotBuilt }

// Column describes the value: type, digits, nullability. Its name is empty.
func (v *Value) Column() change.Column { return change.Column{} }

// AppendJSON appends the JSON text of the value for the row, null when it is NULL.
func (v *Value) AppendJSON(dst []byte, row change.Row) ([]byte, error) { return dst, errNotBuilt }

// Columns returns the indexes of the columns that the expression reads, ascending.
func (v *Value) Columns() []int { return nil }

// CheckSyntax reports the first mistake of src that shows without knowing the columns, as a *SyntaxError.
func CheckSyntax(src string) error { return nil }

// Texts is a change.Row over the JSON texts of its cells: nil is absent, null is NULL.
type Texts [][]byte

var _ change.Row = (*Texts)(nil)

// State reports whether cell col is absent, NULL or present.
func (t *Texts) State(col int) change.CellState { return change.Absent }

// AppendJSON appends the text of cell col.
func (t *Texts) AppendJSON(dst []byte, col int) ([]byte, error) { return dst, errNotBuilt }
