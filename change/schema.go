package change

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
)

// Type is the logical type of a column: what its JSON text looks like and how
// the lake stores it. The text forms are the public contract of
// docs/format/event.md.
type Type string

// The logical types, with the JSON text of a value.
const (
	Int       Type = "int"       // 42; Bits says how wide
	Uint      Type = "uint"      // 42; Bits says how wide
	Float     Type = "float"     // 3.14, shortest text of a 32-bit float
	Double    Type = "double"    // 3.14, shortest text of a 64-bit float
	Decimal   Type = "decimal"   // 12.50, every digit of the scale
	Text      Type = "text"      // "…", UTF-8
	Bytes     Type = "bytes"     // "…", standard base64 with padding
	Date      Type = "date"      // "2026-11-20"; zero and partial dates keep their text
	DateTime  Type = "datetime"  // "2026-11-20 10:10:10.123", no zone
	Timestamp Type = "timestamp" // "2026-11-20T10:10:10.123Z", UTC
	Time      Type = "time"      // "-838:59:59.000"
	Year      Type = "year"      // 2026; 0 is YEAR 0000
	Bit       Type = "bit"       // 5, an unsigned number
	Enum      Type = "enum"      // "member", "" for the invalid value
	Set       Type = "set"       // "a,b"
	JSON      Type = "json"      // in a Row: the document itself; in an event: its text as a JSON string
	Geometry  Type = "geometry"  // {"srid":0,"wkb":"base64"}
	Vector    Type = "vector"    // [1.5,2]
	Bool      Type = "bool"      // true, computed columns only
)

// Column describes one column of a table or of a view.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
	// Bits is the width of an integer or BIT column: 8, 16, 24, 32, 64, or 1 to 64.
	Bits int `json:"bits,omitempty"`
	// Length is the declared length in bytes of text and binary columns.
	Length int `json:"length,omitempty"`
	// Precision counts all decimal digits of a DECIMAL.
	Precision int `json:"precision,omitempty"`
	// Scale counts the digits after the point: of a DECIMAL, or of the
	// fraction of a second of a temporal column.
	Scale int `json:"scale,omitempty"`
	// Charset is the source's character set name of a text column.
	Charset string `json:"charset,omitempty"`
	// Members are the members of an ENUM or SET, in order.
	Members []string `json:"members,omitempty"`
	// RawMembers are the numbers, from 1, of the members whose bytes are not
	// valid in the column's character set: in Members they are base64.
	RawMembers []int `json:"raw_members,omitempty"`
	// Native is the server's name of the type of a text or binary column: char,
	// varchar, tinytext, text, … or binary, varbinary, tinyblob, blob, …. It is
	// not part of a schema: columns that were stored and read have none.
	Native string `json:"-"`
	// Nullable reports whether the column may hold NULL.
	Nullable bool `json:"nullable,omitempty"`
}

// Table is the shape of a physical table as of one event of its binlog.
// It is immutable once built.
type Table struct {
	Database string
	Name     string
	Columns  []Column
	// PrimaryKey holds the indexes of the primary key's columns, in key order.
	PrimaryKey []int
}

// ColumnIndex returns the index of the column called name, or -1. Names are
// compared as MySQL does: ASCII letters without regard to case.
func (t *Table) ColumnIndex(name string) int {
	for i := range t.Columns {
		if EqualFold(t.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

// EqualFold compares two identifiers without regard to the case of ASCII letters.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Schema is the shape of a view's events: its columns in the order in which
// they stand in every event, and the names of its key columns.
type Schema struct {
	View    string   `json:"view"`
	Columns []Column `json:"columns"`
	Key     []string `json:"key"`
}

// Fingerprint returns 16 hex digits of SHA-256 over the ordered columns and
// the key. Events carry it as _schema.
func (s *Schema) Fingerprint() string {
	b, err := json.Marshal(struct {
		C []Column `json:"c"`
		K []string `json:"k"`
	}{s.Columns, s.Key})
	if err != nil {
		panic("change: schema of plain values cannot fail to marshal: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// CellState says whether a row image has a value for a column.
type CellState uint8

// The states of a cell. Absent is never NULL: the image does not carry the column.
const (
	Absent CellState = iota
	Null
	Present
)

// Row hands out the values of one row image as JSON text.
//
// A Row is valid until the call that received it returns, and is not safe for
// concurrent use.
type Row interface {
	// State reports whether column col is absent, NULL or present.
	State(col int) CellState
	// AppendJSON appends the JSON text of column col to dst. A NULL is null; a
	// JSON column is the document itself, not quoted. It fails when the column
	// is absent or its bytes cannot be understood: with ErrInvalidText, and
	// nothing appended, when that is all that is wrong with a text.
	AppendJSON(dst []byte, col int) ([]byte, error)
}

// ErrInvalidText means that the bytes of a text, of an ENUM's member or of a
// SET's are not valid in the column's character set. Nothing stands for them
// but themselves: who does not ask for them, as a RawRow gives them, fails.
var ErrInvalidText = errors.New("the bytes are not valid in the column's character set")

// RawRow is a Row that gives what AppendJSON refuses with ErrInvalidText.
type RawRow interface {
	Row
	// AppendRaw appends the bytes of column col, as the server stored them, as a
	// JSON string of their base64. The column is one that AppendJSON has just
	// refused with ErrInvalidText.
	AppendRaw(dst []byte, col int) ([]byte, error)
}

// DocumentRow is a Row that renders the JSON text of a document as a JSON
// string at once, where AppendJSON and then quoting would go over it twice.
type DocumentRow interface {
	Row
	// AppendDocument appends the text of column col, a JSON column that is
	// present, as a JSON string. It fails as AppendJSON does.
	AppendDocument(dst []byte, col int) ([]byte, error)
}
