package binlog

import (
	"context"
	"time"
)

// Reader follows the binlog of one server. One Run at a time; Preflight and
// Status may be called at any time, from any goroutine.
type Reader struct {
	o Options
}

// New returns a reader, or every mistake in the options.
func New(o Options) (*Reader, error) {
	o.fill()
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Reader{o: o}, nil
}

// Preflight asks the server whether it can be followed, and returns a
// *PreflightError with the complete list when it cannot. It makes one
// connection of its own, and changes nothing.
func (r *Reader) Preflight(ctx context.Context) error { return nil }

// Run follows the binlog over one connection, from a saved position or, when
// that is nil, from Options.Start. It returns when ctx ends, with its cause,
// or when the connection, the server, the handler or something not understood
// ends it; Classify says what then. It never returns nil. The position that
// Commit and Idle hand over is valid until they return.
func (r *Reader) Run(ctx context.Context, position []byte, h Handler) error { return nil }

// Status is what a reader is doing.
type Status struct {
	// Connected is true from the first event of a connection to its end.
	Connected bool
	// ServerVersion, ServerUUID and ServerID are of the server last connected to.
	ServerVersion string
	ServerUUID    string
	ServerID      uint32
	// File and Pos are behind the last event read.
	File string
	Pos  uint64
	// GTID is the text of the executed set at the last commit handed over.
	GTID string
	// LastEvent and LastHeartbeat are when the reader got them, by its own clock.
	LastEvent     time.Time
	LastHeartbeat time.Time
	// LastCommitMicros is the commit time of the last transaction, as the
	// source says it.
	LastCommitMicros int64
	// Transactions, Events and Bytes count what was read since New.
	Transactions uint64
	Events       uint64
	Bytes        uint64
}

// Status returns a snapshot.
func (r *Reader) Status() Status { return Status{} }
