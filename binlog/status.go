package binlog

import "time"

// Status is what a reader is doing.
type Status struct {
	// Connected is true from the first event of a connection to its end.
	Connected bool
	// ServerVersion, ServerUUID and ServerID are of the server last connected
	// to; the uuid of MariaDB, which has none, is its server_id.
	ServerVersion string
	ServerUUID    string
	ServerID      uint32
	// File and Pos are behind the last event read.
	File string
	Pos  uint64
	// GTID is the text of the executed set at the position last handed over;
	// empty where it is not known.
	GTID string
	// LastEvent and LastHeartbeat are when the reader got them, by its own clock.
	LastEvent     time.Time
	LastHeartbeat time.Time
	// LastCommitMicros is the commit time of the last transaction handed over,
	// as the source says it.
	LastCommitMicros int64
	// Skew is how far the server's clock is from the reader's.
	Skew Skew
	// Transactions, Events and Bytes count what was read since New.
	Transactions uint64
	Events       uint64
	Bytes        uint64
}

// Resume notes where the next Run begins, nil at the start. Until it has read
// further Status shows that place, and not what an earlier Run had read and
// perhaps nobody has kept. What is known of transactions beside the position is
// held against the server then.
func (r *Reader) Resume(position []byte, known Known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position = append([]byte(nil), position...)
	r.status.File, r.status.Pos = "", 0
	r.known = known
}

// Known is what is known of transactions beside a position.
type Known struct {
	// Published are those of which events stand in the stream behind the
	// position, by GTID or file:pos. A server that lacks one is refused.
	Published []string
	// GivenUp are sets of GTIDs of MySQL that were published and then given up as
	// lost, by Move.Foreign. A server that has them after all is refused, for
	// their rows would come twice.
	GivenUp []string
}

// Status returns a snapshot.
func (r *Reader) Status() Status {
	r.mu.Lock()
	st, position := r.status, append([]byte(nil), r.position...)
	r.mu.Unlock()
	if p, err := ParsePosition(position); err == nil {
		st.GTID = p.GTIDText()
	}
	return st
}

// set changes the status.
func (r *Reader) set(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// handOver notes a position that the handler gets.
func (r *Reader) handOver(position []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position = append(r.position[:0], position...)
}
