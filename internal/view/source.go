package view

import (
	"errors"

	"tailwater/change"
)

// source is a row as the view sees it: the table's columns behind their masks,
// then a text column for each capture. It is the only way from a row to an
// event, so nothing unmasked can leave.
type source struct {
	row change.Row
	// columns describe the cells; a dropped column has no name.
	columns []change.Column
	// masks are by column, nil without a mask; nil as a whole without any.
	masks []*masker
	// constants are the JSON texts of the columns behind the table's.
	constants [][]byte
	table     int
}

var _ change.RawRow = (*source)(nil)

// State reports whether a cell is absent, NULL or present. A dropped column is
// NULL whatever it holds.
func (s *source) State(col int) change.CellState {
	if col >= s.table {
		return change.Present
	}
	if s.masks != nil && s.masks[col] != nil && s.masks[col].kind == maskDrop {
		return change.Null
	}
	return s.row.State(col)
}

// documents returns the row when it renders column col, a JSON column without
// a mask, as a string by itself.
func (s *source) documents(col int) (change.DocumentRow, bool) {
	if col >= s.table || s.masks != nil && s.masks[col] != nil {
		return nil, false
	}
	row, ok := s.row.(change.DocumentRow)
	return row, ok
}

// AppendJSON appends the JSON text of a cell.
func (s *source) AppendJSON(dst []byte, col int) ([]byte, error) {
	if col >= s.table {
		return append(dst, s.constants[col-s.table]...), nil
	}
	if s.masks == nil || s.masks[col] == nil {
		return s.row.AppendJSON(dst, col)
	}
	switch s.State(col) {
	case change.Null:
		return append(dst, "null"...), nil
	case change.Absent:
		return dst, errors.New("the column is absent")
	}
	return s.masks[col].append(dst, s.row, col)
}

// AppendRaw appends the bytes of a cell that AppendJSON has refused with
// change.ErrInvalidText: a masked one shows no more of them than its mask lets.
func (s *source) AppendRaw(dst []byte, col int) ([]byte, error) {
	if s.masks == nil || s.masks[col] == nil {
		return appendRaw(dst, s.row, col)
	}
	return s.masks[col].appendRaw(dst, s.row, col)
}

// appendRaw is AppendRaw of a row, if it has it.
func appendRaw(dst []byte, row change.Row, col int) ([]byte, error) {
	raw, ok := row.(change.RawRow)
	if !ok {
		return dst, change.ErrInvalidText
	}
	return raw.AppendRaw(dst, col)
}
