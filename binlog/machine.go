package binlog

import (
	"errors"
	"fmt"
	"math"
	"time"

	"tailwater/change"
	"tailwater/internal/failpoint"
)

// The legal sequences of a dump, which the machine below follows. Whatever
// does not stand here stops the shard:
//
//	dump        = { fake ROTATE, file }
//	file        = FORMAT_DESCRIPTION, [PREVIOUS_GTIDS | GTID_LIST], { transaction }, [ROTATE | STOP]
//	transaction = (GTID | GTID_TAGGED | ANONYMOUS_GTID), (group | single | TRANSACTION_PAYLOAD holding one group)
//	            | MariaDB's GTID, (the rest of a group, whatever begins it | single)
//	group       = QUERY begin, { rows | single | savepoint }, (XID | QUERY commit | QUERY rollback)
//	            | QUERY XA START, { rows | savepoint }, QUERY XA END, XA_PREPARE
//	rows        = { ROWS_QUERY }, TABLE_MAP+, ROWS+ of which the last has the flag STMT_END
//	            the outcome of the last one is a single: QUERY XA COMMIT | QUERY XA ROLLBACK (xa.go)
//	single      = { INTVAR | RAND | USER_VAR }, QUERY ddl
//	savepoint   = QUERY savepoint | QUERY rollback to savepoint
//
// A server without GTIDs may leave the first event of a transaction out. HEARTBEAT
// stands anywhere between two events, as do MariaDB's START_ENCRYPTION, ANNOTATE_ROWS
// and BINLOG_CHECKPOINT; an unknown event with the flag "ignorable" is passed over
// wherever it stands. MariaDB's compressed rows and queries stand where the plain ones do.

// phase is where in the sequence the machine stands.
type phase int

const (
	between phase = iota // outside transactions
	named                // behind GTID: a group, a single or a payload follows
	inGroup              // behind BEGIN
)

// machine follows the events of one connection and calls the handler. It has
// no goroutine, no lock and no clock: events and their times are its input.
type machine struct {
	o Options
	h Handler
	// lowerNames is true where the server stores names of tables in lower case
	// but statements may not.
	lowerNames bool
	// accepted are Options.Accepted.
	accepted map[string]bool

	// position is behind the last complete transaction.
	position Position
	// text is the buffer of the position's bytes.
	text []byte

	phase phase
	tx    Transaction
	// id is the open transaction's, not known for an anonymous one.
	id  txID
	ids txNames
	// savepoints are those of the open transaction.
	savepoints []savepoint
	// inPayload is true between the events of a compressed transaction;
	// ended is true once its last event came.
	inPayload, ended bool
	payload          *payloadReader
	// over reports whether the reader was told to end, which a compressed
	// transaction of gigabytes asks between its events; nil is never.
	over func() bool
	xa   xaTransactions
	zip  unzipper

	tables tables
	row    RowChange
	onRow  func(op change.Op, before, after change.Row) error

	// kind is the type of the event at hand, start and end its offsets.
	kind       eventType
	file       string
	start, end uint64

	transactions     uint64
	lastCommitMicros int64
}

// savepoint remembers the rows before it.
type savepoint struct {
	name string
	rows uint32
}

// newMachine returns a machine that goes on from position, which it takes over.
func newMachine(o Options, lowerNames bool, position *Position, h Handler) *machine {
	m := &machine{
		o: o, h: h, lowerNames: lowerNames, position: *position,
		file: position.File, end: position.Pos,
		accepted: make(map[string]bool, len(o.Accepted)),
		payload:  newPayloadReader(o.MaxPayload, o.MaxEvent),
	}
	for _, id := range o.Accepted {
		// What is no id was refused by validate.
		if id, err := CanonicalID(o.Flavor, id); err == nil {
			m.accepted[id] = true
		}
	}
	m.tables.flavor = o.Flavor
	if o.Position == ByGTID {
		// The set says where to go on; the server says in which file that is.
		m.file, m.end = "", 0
	}
	m.tables.filter, m.tables.followsDatabase = o.Filter, o.FollowsDatabase
	m.onRow = m.handRow
	return m
}

// stop returns an error that stops the shard at the event at hand.
func (m *machine) stop(hint, format string, args ...any) error {
	e := &StopError{Shard: m.o.Shard, Reason: fmt.Sprintf(format, args...), File: m.file, Pos: m.start, Hint: hint}
	if m.phase != between {
		e.ID = m.tx.ID
	}
	return e
}

// stopWith is stop with a cause.
func (m *machine) stopWith(err error, hint string) error {
	var handler *HandlerError
	var stopped *StopError
	if errors.As(err, &handler) || errors.As(err, &stopped) {
		return err
	}
	e := m.stop(hint, "%v cannot be read", m.kind).(*StopError)
	e.Err = err
	return e
}

// event takes the next event of the connection, which was read at readAt.
func (m *machine) event(ev event, readAt time.Time) error {
	m.kind = ev.kind
	if err := m.advance(&ev); err != nil {
		return err
	}
	switch ev.kind {
	case evRotate:
		return m.rotate(ev)
	case evFormat:
		return m.format()
	case evPreviousGTIDs:
		return m.previous(ev)
	case evStop:
		return m.need(between)
	case evHeartbeat, evHeartbeatV2:
		return m.heartbeat(ev)
	case evGTID, evAnonymousGTID:
		g, err := parseGTID(ev)
		return m.name(ev, g, err, readAt)
	case evGTIDTagged:
		g, err := parseTaggedGTID(ev.body)
		return m.name(ev, g, err, readAt)
	case evPayload:
		return m.unwrap(ev)
	}
	if m.o.Flavor == MariaDB {
		if known, err := m.maria(ev, readAt); known {
			return err
		}
	}
	return m.inner(ev, readAt)
}

// inner takes an event that may also stand inside a compressed transaction.
func (m *machine) inner(ev event, readAt time.Time) error {
	if m.ended {
		return m.stop(hintReport, "%v follows the end of a compressed transaction inside it", ev.kind)
	}
	if held, err := m.hold(ev); held {
		return err
	}
	switch ev.kind {
	case evQuery:
		return m.query(ev, readAt)
	case evTableMap:
		return m.tableMap(ev)
	case evWriteV1, evUpdateV1, evDeleteV1, evWriteV2, evUpdateV2, evDeleteV2, evPartialUpdate:
		return m.rows(ev)
	case evXID:
		if err := m.need(inGroup); err != nil {
			return err
		}
		return m.commit()
	case evRowsQuery:
		return nil
	case evIntvar, evRand, evUserVar:
		// They belong to the statement behind them, which is judged by itself.
		if m.phase == between {
			return m.stop(hintReport, "%v outside a transaction", ev.kind)
		}
		return nil
	case evIncident:
		return m.stop("rows are missing in this binlog: take a new snapshot behind it, or start behind it", "INCIDENT: the server says that it lost events")
	case evXAPrepare:
		return m.prepareXA(ev)
	}
	if ev.flags&flagIgnorable != 0 {
		return nil
	}
	return m.stop(hintReport, "event %v is not understood", ev.kind)
}

// Hints that several stops share.
const (
	hintReport = "it is not passed over because rows could be lost: report it, with the output of mysqlbinlog at that place"
)

// need reports a sequence that is not legal.
func (m *machine) need(p phase) error {
	if m.phase == p {
		return nil
	}
	where := map[phase]string{between: "outside transactions", named: "behind a GTID", inGroup: "inside a transaction"}
	e := m.stop(hintReport, "%v is out of sequence: it came %s, and may come %s only", m.kind, where[m.phase], where[p]).(*StopError)
	e.sequence = true
	return e
}

// advance moves start and end over the event. Offsets in headers have 32 bits
// and wrap in files above 4 GiB, so the upper ones are kept here.
func (m *machine) advance(ev *event) error {
	m.start = m.end
	switch {
	case ev.flags&flagArtificial != 0, ev.kind == evHeartbeat, ev.kind == evHeartbeatV2:
		return nil
	case ev.next == 0:
		// MariaDB 11.4 and later do not fill in the offset of what went through
		// a transaction's cache; outside of one the event stands in no file.
		if m.phase != between && m.o.Flavor == MariaDB {
			m.end += uint64(ev.size)
		}
		return nil
	case ev.kind == evFormat && m.end != firstEvent:
		// A dump from the middle of a file is told its format first.
		return nil
	}
	end := m.end + uint64(ev.size)
	if uint32(end) != ev.next {
		// The server passed over events that were not asked for: the offset is
		// the next one with these low bits.
		end = m.end&^math.MaxUint32 | uint64(ev.next)
		if end < m.end {
			end += 1 << 32
		}
		m.start = end - min(uint64(ev.size), end)
	}
	m.end = end
	return nil
}

// handed wraps what the handler returned.
func handed(err error) error {
	if err == nil {
		return nil
	}
	return &HandlerError{Err: err}
}

// name opens a transaction.
func (m *machine) name(ev event, g gtidEvent, err error, readAt time.Time) error {
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	if err := m.need(between); err != nil {
		return err
	}
	if !g.id.known() && m.o.Position == ByGTID {
		return m.stop("set gtid_mode=ON, or use position: file", "a transaction without a GTID cannot be remembered by GTID")
	}
	if m.position.seen(g.id) {
		return m.stop("the server was reset, or lost the end of its binlog: compare the tables, then start anew", "transaction %v came again", g.id)
	}
	return m.open(g, ev, readAt)
}

// open begins a transaction at the event at hand.
func (m *machine) open(g gtidEvent, ev event, readAt time.Time) error {
	failpoint.At(failpoint.BinlogGTIDRead)
	m.transactions++
	m.id = g.id
	m.savepoints = m.savepoints[:0]
	m.xa.open, m.xa.outcome = nil, ""
	m.tx = Transaction{
		Number: m.transactions, File: m.file, Pos: m.start, ServerID: ev.serverID, ReadAt: readAt,
		ImmediateMicros: g.immediate, CommitMicros: g.original,
	}
	if g.id.known() {
		m.tx.ID = m.ids.of(g.id)
	} else {
		m.tx.ID = fmt.Sprintf("%s:%d", m.file, m.start)
	}
	if m.tx.ImmediateMicros == 0 {
		m.tx.ImmediateMicros = int64(ev.seconds) * 1e6
	}
	if m.tx.CommitMicros == 0 {
		m.tx.CommitMicros = m.tx.ImmediateMicros
	}
	m.phase = named
	return handed(m.h.Begin(&m.tx))
}

// commit closes the transaction: its GTID joins the set now, not before. Inside
// a payload it waits for the payload's end.
func (m *machine) commit() error {
	if m.inPayload {
		m.ended = true
		return nil
	}
	failpoint.At(failpoint.BinlogCommitRead)
	m.phase = between
	m.position.add(m.id)
	m.moved()
	m.lastCommitMicros = m.tx.CommitMicros
	position := m.bytes()
	failpoint.At(failpoint.BinlogPositionRendered)
	return handed(m.h.Commit(&m.tx, position))
}

// moved sets the position to the end of the event at hand.
func (m *machine) moved() { m.position.File, m.position.Pos = m.file, m.end }

// bytes returns the position's bytes, valid until the next call.
func (m *machine) bytes() []byte {
	m.text = m.position.Append(m.text[:0])
	return m.text
}

// rotate takes the place of the next event from the body alone; the header's
// offset belongs to the old file.
func (m *machine) rotate(ev event) error {
	r, err := parseRotate(ev.body)
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	if err := m.need(between); err != nil {
		return err
	}
	switch {
	case m.file == "":
		// The first word of a connection says where it begins.
	case r.file == m.file && r.pos == m.end:
	case r.file == m.file:
		return m.stop(hintReport, "ROTATE to %s:%d, but %d is where it was read to", r.file, r.pos, m.end)
	default:
		was, _ := fileOrdinal(m.file)
		if now, _ := fileOrdinal(r.file); now < was {
			return m.stop("the server's binlogs were reset: compare the tables, then start anew", "ROTATE goes back to %s", r.file)
		}
		if r.pos != firstEvent {
			return m.stop(hintReport, "ROTATE goes to %s:%d, inside a file that was not read", r.file, r.pos)
		}
	}
	m.file, m.end = r.file, r.pos
	failpoint.At(failpoint.BinlogRotated)
	if m.o.Position == ByFile {
		m.moved()
	}
	return nil
}

// format takes the start of a file: table ids mean nothing across it.
func (m *machine) format() error {
	if m.phase != between {
		return m.stop("the server died while it wrote this transaction: repair or purge the file on the server, then start behind it", "a new binlog begins inside a transaction")
	}
	m.tables.clear()
	return nil
}

// previous learns the executed set where only file and offset were known.
func (m *machine) previous(ev event) error {
	if err := m.need(between); err != nil {
		return err
	}
	if m.position.GTID != nil {
		return nil
	}
	set, err := decodeGTIDSet(ev.body)
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	m.position.GTID = set
	return nil
}

// heartbeat takes the server's word that it has sent all before a place: that
// is how a reader gets past what is not sent to it.
func (m *machine) heartbeat(ev event) error {
	hb, err := parseHeartbeat(ev)
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	if m.phase != between || hb.file != m.file {
		return nil
	}
	if ev.kind == evHeartbeat {
		hb.pos |= m.end &^ math.MaxUint32
	}
	if hb.pos > m.end {
		m.end = hb.pos
		m.moved()
	}
	return nil
}
