package binlog

import (
	"time"

	"tailwater/change"
)

// Handler receives what one shard's binlog says, in its order, on one
// goroutine. The legal sequence:
//
//	(Begin (Row | Table)* Commit | Idle)*
//
// The Transaction is the same one from Begin to its Commit, and valid until
// Commit returns; a position is valid until the call that brought it returns.
//
// An error from any method stops the shard where it stands; the Reader returns
// it. A method may block: the server is then not read, which is the
// back-pressure.
type Handler interface {
	// Begin opens a transaction.
	Begin(tx *Transaction) error
	// Row hands over one row change of a followed table. The change and its
	// rows are valid until Row returns. An image may lack columns, as its State
	// says, where a session has set binlog_row_image, and generated ones on
	// MariaDB. Absent is never NULL: who needs such a column returns an error.
	Row(tx *Transaction, row *RowChange) error
	// Table hands over one change of a followed table as a whole, in its place
	// among the rows of the transaction: the rows that the table had are gone,
	// or others are there, without row events. Of a dropped database it is one
	// change without a table's name. It is valid until Table returns.
	Table(tx *Transaction, t *change.TableChange) error
	// Commit closes the transaction. Position is behind it.
	Commit(tx *Transaction, position []byte) error
	// Idle is called when nothing came for a while: watermark is the time, in
	// microseconds of the source's clock, before which nothing will come any
	// more; position is behind everything handed over.
	Idle(watermark int64, position []byte) error
}

// Transaction is one transaction of the source.
type Transaction struct {
	// ID is the GTID, or file:pos of its start where the source has none.
	ID string
	// Number counts the shard's transactions, all of them, since the reader's
	// start: the caller adds its base to make an LSN.
	Number uint64
	// CommitMicros is original_commit_timestamp in microseconds, else the best
	// the server says; ImmediateMicros is the commit on the server read from.
	CommitMicros    int64
	ImmediateMicros int64
	// Rows counts the row changes so far, before filtering, and with them the
	// changes of whole tables, of which Tables are.
	Rows, Tables uint32
	// Shadows counts the row changes of tables that an online schema change
	// fills in followed databases; they are copies, and never handed over
	// unless the Filter takes their names.
	Shadows uint32
	// Accepted counts what would have stopped the shard, and was passed over
	// because a person has accepted the transaction.
	Accepted uint32
	// File and Pos are where the transaction starts.
	File string
	Pos  uint64
	// ServerID is the server_id of the server that committed it first.
	ServerID uint32
	// ReadAt is when its first byte was read here.
	ReadAt time.Time
}

// RowChange is one row change of one followed table.
type RowChange struct {
	Op    change.Op
	Table *change.Table
	// Row numbers the change in its transaction from 1, before filtering.
	Row           uint32
	Before, After change.Row
}

// Filter decides which tables are followed. It is asked once per table map.
type Filter func(database, table string) bool
