package windowing

import (
	"errors"
	"fmt"
	"slices"

	"tailwater/change"
	"tailwater/stream/codec"
)

// Errors of the metadata members.
var (
	errNoTime = errors.New("_ts_us is missing or no time after 1970")
	errNoOp   = errors.New("_op is missing or unknown")
)

// members picks the members of an event that a metric reads. It is the
// change.Row that the metric's condition sees: a column that the event does
// not carry counts as NULL.
type members struct {
	picker  *codec.Picker
	raw     [][]byte
	agg     int
	time    int
	old     int
	groups  []int
	byCol   []int // member of each view column, -1 for none
	columns []change.Column
	names   []string

	// marked says of each member whether it is bytes in place of a text, as _raw
	// tells; it is empty for an event without any. rawAt is the place of _raw, or
	// -1 where no column is read.
	marked []bool
	rawAt  int

	// For rows that are taken back: replaced picks members of _old, was are
	// what it picked, and before is the row as it was.
	replaced    *codec.Picker
	was, before [][]byte
	markedThen  []bool
}

var _ change.Row = (*members)(nil)

// Places of the metadata among the members.
const (
	memberOp = iota
	memberMicros
	memberFirst
)

func newMembers(m *Metric) members {
	names := []string{memberOp: "_op", memberMicros: "_ts_us"}
	at := map[string]int{}
	pick := func(name string) int {
		i, ok := at[name]
		if !ok {
			i = len(names)
			at[name] = i
			names = append(names, name)
		}
		return i
	}
	e := members{agg: -1, time: -1, old: -1, rawAt: -1, columns: m.columns, byCol: make([]int, len(m.columns))}
	if c := m.aggregate.Column(); c != "" {
		e.agg = pick(c)
	}
	for _, g := range m.GroupBy {
		e.groups = append(e.groups, pick(g))
	}
	for i := range e.byCol {
		e.byCol[i] = -1
	}
	if m.where != nil {
		for _, c := range m.where.Columns() {
			e.byCol[c] = pick(m.columns[c].Name)
		}
	}
	if m.Time != CommitTime {
		e.time = pick(m.Time)
	}
	if len(names) > memberFirst {
		e.rawAt = pick(codec.RawName)
	}
	if m.Rows == Latest {
		e.before, e.was = make([][]byte, len(names)+1), make([][]byte, len(names)+1)
		e.old = len(names)
		names = append(names, "_old")
		e.replaced = codec.NewEventPicker(names)
	}
	e.picker = codec.NewEventPicker(names)
	e.raw, e.names = make([][]byte, len(names)), names
	return e
}

// pick reads an event.
func (e *members) pick(value []byte) error {
	if err := e.picker.Pick(value, e.raw); err != nil {
		return err
	}
	e.marked = e.marked[:0]
	if e.rawAt < 0 || e.raw[e.rawAt] == nil {
		return nil
	}
	var err error
	e.marked, err = e.mark(e.marked, e.raw[e.rawAt])
	return err
}

// mark says of each member whether an array of names has its name.
func (e *members) mark(dst []bool, raw []byte) ([]bool, error) {
	names, err := codec.RawNames(raw)
	for _, name := range e.names {
		dst = append(dst, slices.Contains(names, name))
	}
	return dst, err
}

// isRaw reports whether a member is bytes in place of a text.
func (e *members) isRaw(member int) bool { return len(e.marked) > 0 && e.marked[member] }

// swap exchanges the row as it is for the one before it.
func (e *members) swap() {
	e.raw, e.before = e.before, e.raw
	e.marked, e.markedThen = e.markedThen, e.marked
}

func (e *members) op() (change.Op, error) {
	raw := e.raw[memberOp]
	if len(raw) == 3 && (change.Op(raw[1]).Valid() || change.Op(raw[1]) == change.OnTable) {
		return change.Op(raw[1]), nil
	}
	return 0, errNoOp
}

func (e *members) micros() (int64, error) {
	raw := e.raw[memberMicros]
	if len(raw) == 0 || len(raw) > 16 {
		return 0, errNoTime
	}
	var v int64
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, errNoTime
		}
		v = 10*v + int64(c-'0')
	}
	if v == 0 || v > MaxMicros {
		return 0, errNoTime
	}
	return v, nil
}

// replace sets before to the row as it was before an update, and reports
// whether it differs in what the metric reads.
func (e *members) replace() (bool, error) {
	old := e.raw[e.old]
	if old == nil {
		return false, nil
	}
	if err := e.replaced.Pick(old, e.was); err != nil {
		return false, fmt.Errorf("member _old: %w", err)
	}
	differs := false
	copy(e.before, e.raw)
	for i := memberFirst; i < len(e.was); i++ {
		if e.was[i] != nil && i != e.rawAt {
			e.before[i], differs = e.was[i], true
		}
	}
	e.markedThen = e.markedThen[:0]
	if e.rawAt < 0 || e.was[e.rawAt] == nil && len(e.marked) == 0 {
		return differs, nil
	}
	// What _old has is as its own _raw says, and the rest as that of the event.
	var err error
	e.markedThen, err = e.mark(e.markedThen, e.was[e.rawAt])
	for i := range e.was {
		if e.was[i] == nil {
			e.markedThen[i] = e.isRaw(i)
		}
	}
	return differs, err
}

// moment is the time of the row in seconds, when a column gives it.
func (e *members) moment() (seconds int64, ok bool, err error) {
	return moment(orNull(e.raw[e.time]))
}

// value is the raw JSON of the aggregate's column.
func (e *members) value() []byte {
	if e.agg < 0 {
		return nil
	}
	return orNull(e.raw[e.agg])
}

var null = []byte("null")

func orNull(raw []byte) []byte {
	if raw == nil {
		return null
	}
	return raw
}

// appendGroup appends the JSON array of the group's raw values. Bytes in place of
// a text are an object, which is the value of no text.
func (e *members) appendGroup(dst []byte) []byte {
	dst = append(dst, '[')
	for i, g := range e.groups {
		if i > 0 {
			dst = append(dst, ',')
		}
		if e.isRaw(g) {
			dst = append(append(append(dst, `{"_raw":`...), e.raw[g]...), '}')
			continue
		}
		dst = append(dst, orNull(e.raw[g])...)
	}
	return append(dst, ']')
}

// cellOf returns the raw JSON of a view column.
func (e *members) cellOf(col int) []byte {
	if col < 0 || col >= len(e.byCol) || e.byCol[col] < 0 {
		return null
	}
	return orNull(e.raw[e.byCol[col]])
}

// State reports whether a view column is NULL or present.
func (e *members) State(col int) change.CellState {
	if isNull(e.cellOf(col)) {
		return change.Null
	}
	return change.Present
}

// AppendJSON appends the value of a view column: a number without the quotes
// that a view may give it, a JSON column as the document that its text holds.
func (e *members) AppendJSON(dst []byte, col int) ([]byte, error) {
	if col >= 0 && col < len(e.byCol) && e.byCol[col] >= 0 && e.isRaw(e.byCol[col]) {
		return dst, change.ErrInvalidText
	}
	raw := e.cellOf(col)
	if len(raw) < 2 || raw[0] != '"' {
		return append(dst, raw...), nil
	}
	switch e.columns[col].Type {
	case change.Int, change.Uint, change.Bit, change.Decimal:
		return append(dst, raw[1:len(raw)-1]...), nil
	case change.JSON:
		return codec.AppendUnquote(dst, raw)
	}
	return append(dst, raw...), nil
}
