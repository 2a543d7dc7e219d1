// Package envelope writes change events in the forms of other systems, for
// consumers that were made for those: Debezium's MySQL connector, Maxwell and
// Canal. docs/format/envelopes.md is the contract of their bytes.
//
// It renders no cell of a row itself: it is given the JSON texts of
// docs/format/event.md, behind masks and expressions, and writes each as the
// other system does by its defaults. So a row reads the same whichever way it
// leaves, and nothing masked can come out.
//
// A Renderer knows what does not depend on the row, and appends to a caller's
// buffer. It keeps memory of its own for that: one goroutine uses it.
package envelope

import (
	"fmt"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

// Kind names a form of events. The empty one is Flat.
type Kind string

// The kinds of envelope.
const (
	Flat     Kind = "flat"
	Debezium Kind = "debezium"
	Maxwell  Kind = "maxwell"
	Canal    Kind = "canal"
)

// Kinds are all of them, as they are named in configurations and flags.
var Kinds = []Kind{Flat, Debezium, Maxwell, Canal}

// Parse reads the name of a kind.
func Parse(text string) (Kind, error) {
	if k := Kind(text); slices.Contains(Kinds, k) {
		return k, nil
	}
	names := make([]string, len(Kinds))
	for i, k := range Kinds {
		names[i] = string(k)
	}
	return "", fmt.Errorf("%q is none of %s", text, strings.Join(names, ", "))
}

// IsFlat reports whether events have the form of docs/format/event.md.
func (k Kind) IsFlat() bool { return k == "" || k == Flat }

// Shape is what a Renderer knows beforehand: one table shape of one view on one
// shard.
type Shape struct {
	Shard, Database, Table string
	// Connector is what the source is: mysql or mariadb.
	Connector string
	// Columns describe the cells of an Image. The first Shown of them are the
	// columns of the view, those behind them only parts of the key.
	Columns []change.Column
	Shown   int
	// Key are the cells of the key, KeyNames their names.
	Key      []int
	KeyNames []string
}

// Image hands out the cells of one row image as JSON texts. What it returns is
// read before the call that was given the image returns.
type Image interface {
	Cell(i int) []byte
}

// Event is one event to be written.
type Event struct {
	Op change.Op
	// Commit is when the transaction was committed and Read when it was read
	// here, in microseconds since the Unix epoch; 0 for Read is Commit.
	Commit, Read int64
	// TxID is the GTID, or file:offset where the source has none.
	TxID string
	// File and Pos are where the transaction starts, Row is the number of the row
	// change in it from 1.
	File string
	Pos  uint64
	Row  uint32
	// Server is the id of the server that committed first.
	Server uint32
	// Before is nil on Create and Read, After on Delete.
	Before, After Image
}

// Renderer writes the events of one shape.
type Renderer interface {
	// Append appends the value of an event. An error names the column whose text
	// cannot be written.
	Append(dst []byte, e *Event) ([]byte, error)
	// AppendKey appends the record's key of an image. Equal keys of rows give
	// equal bytes.
	AppendKey(dst []byte, m Image) ([]byte, error)
}

// New returns the renderer of a kind. Flat has none: it is nil.
func New(kind Kind, s *Shape) Renderer {
	switch kind {
	case Debezium:
		return newDebezium(s)
	case Maxwell:
		return newMaxwell(s)
	case Canal:
		return newCanal(s)
	}
	return nil
}

// writer appends one cell that is not NULL in the form of a system.
type writer func(dst, cell []byte) ([]byte, error)

// field is one column of a row: its name as `"name":`, and how it is written;
// nil is as it is.
type field struct {
	name string
	key  []byte
	put  writer
}

// fields makes the fields of all cells of a shape.
func (s *Shape) fields(of func(c *change.Column) writer) []field {
	out := make([]field, len(s.Columns))
	for i := range s.Columns {
		c := &s.Columns[i]
		out[i] = field{name: c.Name, key: member(c.Name), put: of(c)}
	}
	return out
}

// member returns `"name":`.
func member(name string) []byte { return append(quoted(name), ':') }

// quoted returns text as a JSON string.
func quoted(text string) []byte { return jsontext.AppendQuoted(nil, []byte(text)) }

// appendField appends `"name":value`.
func appendField(dst []byte, f *field, m Image, i int) ([]byte, error) {
	return appendCell(append(dst, f.key...), f, m.Cell(i))
}

// appendCell appends a value: NULL is null in every form.
func appendCell(dst []byte, f *field, cell []byte) ([]byte, error) {
	if f.put == nil || isNull(cell) {
		return append(dst, cell...), nil
	}
	dst, err := f.put(dst, cell)
	if err != nil {
		return dst, fmt.Errorf("column %s: %w", f.name, err)
	}
	return dst, nil
}

// appendRow appends the object of the shown cells.
func appendRow(dst []byte, fields []field, m Image) ([]byte, error) {
	dst = append(dst, '{')
	for i := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendField(dst, &fields[i], m, i); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// appendChanged appends the object of the cells that an update changed, as they
// were before.
func appendChanged(dst []byte, fields []field, before, after Image) ([]byte, error) {
	dst = append(dst, '{')
	open := len(dst)
	for i := range fields {
		if string(before.Cell(i)) == string(after.Cell(i)) {
			continue
		}
		if len(dst) > open {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendField(dst, &fields[i], before, i); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// isNull reports whether a cell is NULL. The document null of a JSON column is
// the string "null".
func isNull(cell []byte) bool { return string(cell) == "null" }

// hasGTID reports whether the source names its transactions.
func (e *Event) hasGTID() bool {
	rest, ok := strings.CutPrefix(e.TxID, e.File)
	return e.TxID != "" && !(ok && e.File != "" && strings.HasPrefix(rest, ":"))
}

// number is the number at the end of the transaction's id: the last part of a
// GTID, or the offset in a file.
func (e *Event) number() uint64 {
	n := uint64(0)
	for _, c := range []byte(e.TxID[strings.LastIndexAny(e.TxID, ":-")+1:]) {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

func millis(micros int64) int64 { return floorDiv(micros, 1000) }

// floorDiv rounds down, also below zero.
func floorDiv(a, b int64) int64 {
	q := a / b
	if q*b > a {
		q--
	}
	return q
}
