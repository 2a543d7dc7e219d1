package expr

import (
	"fmt"

	"tailwater/change"
)

// Texts is a change.Row over the JSON texts of its cells: nil is absent, the
// text null is NULL. The cell of a JSON column is the document itself.
type Texts [][]byte

var _ change.Row = (*Texts)(nil)

// State reports whether cell col is absent, NULL or present.
func (t *Texts) State(col int) change.CellState { return textState(*t, col) }

// AppendJSON appends the text of cell col.
func (t *Texts) AppendJSON(dst []byte, col int) ([]byte, error) {
	if t.State(col) == change.Absent {
		return dst, fmt.Errorf("read cell %d: it is absent", col)
	}
	return append(dst, (*t)[col]...), nil
}

// EventRow is a change.Row over members that were picked out of the JSON of an
// event, so that an expression over a view's columns can read the event. In an
// event the text of a JSON column is quoted; an EventRow gives the document.
type EventRow struct {
	// Columns are the view's columns, as in its schema.
	Columns []change.Column
	// Cells are the raw texts of the members, in the order of Columns; nil is
	// absent. They may be slices of the event.
	Cells [][]byte
}

var _ change.Row = (*EventRow)(nil)

// State reports whether cell col is absent, NULL or present.
func (r *EventRow) State(col int) change.CellState { return textState(r.Cells, col) }

// AppendJSON appends the text of cell col, or its document.
func (r *EventRow) AppendJSON(dst []byte, col int) ([]byte, error) {
	if r.State(col) == change.Absent {
		return dst, fmt.Errorf("read column %s: the event has no such member", r.name(col))
	}
	cell := r.Cells[col]
	if r.Columns[col].Type != change.JSON || !isQuoted(cell) {
		return append(dst, cell...), nil
	}
	dst, err := AppendUnquoted(dst, cell)
	if err != nil {
		return dst, fmt.Errorf("read column %s: %w", r.name(col), err)
	}
	return dst, nil
}

func (r *EventRow) name(col int) string {
	if col < len(r.Columns) {
		return r.Columns[col].Name
	}
	return fmt.Sprint(col)
}

func textState(cells [][]byte, col int) change.CellState {
	switch {
	case col < 0 || col >= len(cells) || cells[col] == nil:
		return change.Absent
	case len(cells[col]) == 4 && string(cells[col]) == "null":
		return change.Null
	}
	return change.Present
}
