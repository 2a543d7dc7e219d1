// Package view turns row changes of physical tables into the flat JSON events
// of named views.
//
// A Definition says what a view is. Compile makes a Plan of it, once per
// distinct shape of a physical table; a Plan holds everything that does not
// depend on the row, so that applying it is a walk over its columns that
// appends to a caller's buffer.
package view

import (
	"fmt"
	"io"

	"tailwater/change"
	"tailwater/internal/envelope"
)

// Definition is a view as the configuration states it, resolved: tables and
// views are one thing here.
type Definition struct {
	// Name is the view's name, and that of its topic and lake table.
	Name string
	// Source is the source whose shards are read.
	Source string
	// Database and Table are anchored patterns of the physical names:
	// "shop_{shard}", "orders_{part}". {x} matches [A-Za-z0-9]+, {x:regex} what
	// the regular expression matches; each becomes a text column x that may be
	// selected and used in Where and Key. {shard} is the shard's id: a table
	// whose name gives another one is refused. A capture may not have the name
	// of a column of the table.
	Database, Table string
	// Select are the view's columns in order. Empty selects every column of
	// the table under its own name.
	Select []Item
	// Where is a CEL expression over the table's columns and the captures; empty
	// takes every row. Like every expression it sees masked columns masked.
	Where string
	// Key are names of view columns or captures, or "shard" for the shard's id.
	// Empty is the table's primary key, whether the view shows it or not.
	Key []string
	// WholeRow takes every column for the key of a table that has no primary key
	// and of which Key says nothing. ShardKey puts the shard's id before either.
	WholeRow, ShardKey bool `json:",omitempty"`
	// Masking is applied to the table's columns, by name, before anything else
	// sees them: select, where, keys, _old and errors. A name that the table
	// does not have is an error, or a renamed column would leave unmasked.
	Masking map[string]Mask
	// Metadata switches the optional metadata members.
	Metadata Metadata
	// QuoteBig writes integers beyond 2^53 and all decimals as JSON strings.
	QuoteBig bool
	// TableEvents has the events of tables that the Envelope's system knows, where
	// that is another one than the flat one, which always has them.
	TableEvents bool
	// Envelope is the form of the events. Metadata and QuoteBig are about the
	// flat one only.
	Envelope envelope.Kind
	// Connector is the kind of the source, mysql or mariadb; for the envelopes
	// that tell it.
	Connector string
}

// Item is one column of a view.
type Item struct {
	// Name of the view's column. "*" stands for every column of the table that
	// no other item names.
	Name string
	// Expr is a column, a capture, "shard", a path into a JSON column
	// (payload.ship.city) or a CEL expression. Empty is Name.
	Expr string
}

// Mask says how a column is made unreadable.
type Mask struct {
	// Kind is "hash" (HMAC-SHA-256 of the text, hex), "drop" (the view has no
	// such column) or "truncate" (the first Keep characters of a text).
	Kind string
	Salt Salt
	Keep int
}

// Salt is the secret of a hash mask. It shows as *** wherever it is printed.
type Salt []byte

// Format prints *** whatever the verb.
func (s Salt) Format(f fmt.State, _ rune) {
	if len(s) > 0 {
		_, _ = io.WriteString(f, "***")
	}
}

// MarshalText gives *** to whoever encodes a Definition.
func (s Salt) MarshalText() ([]byte, error) { return fmt.Append(nil, s), nil }

// Metadata switches optional metadata of events. _op, _shard, _ts_us and _lsn
// are always there.
type Metadata struct {
	NoDB, NoTable, NoGTID, NoSchema, NoOld bool
}

// Change is one row change as the reader hands it to a plan.
type Change struct {
	Op    change.Op
	Shard string
	// TSMicros is the commit time in microseconds since the Unix epoch.
	TSMicros int64
	// LSN has part 0; the plan numbers the parts.
	LSN  change.LSN
	GTID string
	// What only other envelopes than the flat one tell: where the transaction
	// starts, the server that committed it first, and when it was read here, in
	// microseconds.
	File       string
	Pos        uint64
	Server     uint32
	ReadMicros int64
	// Shard is that of the plan. Before is nil on Create and Read, After is nil
	// on Delete.
	Before, After change.Row
}

// Event is one event that a plan made. Key and Value are valid until the next
// Apply of the plan.
type Event struct {
	Op    change.Op
	LSN   change.LSN
	Key   []byte
	Value []byte
	// Raw counts the values that are bytes in place of a text, as _raw says.
	Raw int
}
