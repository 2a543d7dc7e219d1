package primary

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"tailwater/binlog/primary/encode"
)

// Large is a transaction of inserts into one table whose rows are made while
// followers read them, so that it takes neither memory nor disk. They are in the
// log only: no SELECT shows them.
type Large struct {
	Database, Table string
	// Rows is their number. Row makes the one with an index from 0, always the
	// same, and may be called from any goroutine. All have the same length in the
	// log.
	Rows int
	Row  func(i int) (encode.Row, error)
	// Compress makes it one zstd TRANSACTION_PAYLOAD. Its compressed bytes are
	// held in memory, and are at most 1 GiB.
	Compress bool
}

// InsertLarge commits the transaction. The server's log is rotated before it,
// and behind it unless it is compressed.
func (s *Server) InsertLarge(o Large) (Committed, error) {
	s.rotate(false)
	s.writing.Lock()
	defer s.writing.Unlock()
	st := s.state.Load()
	slot, v := st.lookup(tableName{o.Database, o.Table})
	if v == nil {
		return Committed{}, fmt.Errorf("insert large: %w: %s.%s", ErrNoTable, o.Database, o.Table)
	}
	m, err := newMaker(o, s.tableMap(st.tables[slot]), v.def, s.log.w)
	if err != nil {
		return Committed{}, fmt.Errorf("insert large into %s.%s: %w", o.Database, o.Table, err)
	}
	now := s.opts.Now()
	h := encode.Header{Timestamp: uint32(now.Unix())}
	micros := now.UnixMicro()
	gtid := encode.GTID{UUID: s.uuid, GNO: st.executed.last(s.uuid) + 1, ImmediateMicros: micros, OriginalMicros: micros, ServerVersion: s.log.version}
	s.xid++
	if o.Compress {
		err = m.compress(h, s.xid)
	} else {
		err = m.lay(h, s.xid)
	}
	if err != nil {
		return Committed{}, fmt.Errorf("insert large into %s.%s: %w", o.Database, o.Table, err)
	}

	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Committed{}, errors.New("insert large: the server is closed")
	}
	f := l.current()
	s.sequence++
	gtid.LastCommitted, gtid.Sequence = s.sequence-1, s.sequence
	h.Type = encode.TypeGTID
	head := l.w.Begin(nil, h)
	head = l.w.End(gtid.Append(head, l.w, len(m.head)+m.events*m.eventBytes+len(m.tail)), 0)
	head = append(head, m.head...)
	l.w.Seal(head, f.size)
	done := Committed{GTID: fmt.Sprintf("%s:%d", formatUUID(s.uuid), gtid.GNO), File: f.name, Pos: uint64(f.size), CommitMicros: micros, Rows: o.Rows}
	next := *st
	next.executed = st.executed.add(s.uuid, gtidRange{gtid.GNO, gtid.GNO})
	s.state.Store(&next)
	l.append(head)
	done.End = uint64(f.size)
	if m.events > 0 || len(m.tail) > 0 {
		m.at = f.size
		done.End += uint64(m.events*m.eventBytes + len(m.tail))
		s.sequence = 0
		l.finish(f, m)
		l.rotate(now, next.executed, false)
	}
	return done, nil
}

// finish appends what m makes to the current file. Nothing but its end may
// follow. The caller holds mu.
func (l *binlog) finish(f *logFile, m *maker) {
	l.w.Seal(m.tail, m.at+int64(m.events*m.eventBytes))
	f.made = m
	f.size = m.at + int64(m.events*m.eventBytes+len(m.tail))
	close(l.grown)
	l.grown = make(chan struct{})
}

// maker makes the events of a Large. head and tail are those before and behind
// the ones that are made, which all have the same length.
type maker struct {
	o     Large
	d     *described
	def   *encode.Table
	w     encode.Writer
	h     encode.Header
	image int
	// perEvent is how many rows an event has.
	perEvent           int
	head, tail         []byte
	events, eventBytes int
	// at is the offset of the first made event.
	at int64
}

func newMaker(o Large, d *described, def *encode.Table, w encode.Writer) (*maker, error) {
	if o.Rows < 1 {
		return nil, errors.New("it has no row")
	}
	m := &maker{o: o, d: d, def: def, w: w}
	image, err := m.row(nil, 0)
	if err != nil {
		return nil, err
	}
	m.image = len(image)
	m.perEvent = max(1, maxRowsEvent/m.image)
	return m, nil
}

// row appends a row's image.
func (m *maker) row(dst []byte, i int) ([]byte, error) {
	row, err := m.o.Row(i)
	if err != nil {
		return nil, err
	}
	_, image, err := m.def.Encode(row, nil)
	if err != nil {
		return nil, err
	}
	if m.image > 0 && len(image) != m.image {
		return nil, fmt.Errorf("row %d takes %d bytes, the first one %d", i, len(image), m.image)
	}
	return append(dst, image...), nil
}

// event appends the rows event k, unsealed, by the writer w.
func (m *maker) event(dst []byte, w encode.Writer, k int) ([]byte, error) {
	h := m.h
	h.Type = encode.TypeWriteRows
	from, to := k*m.perEvent, min((k+1)*m.perEvent, m.o.Rows)
	start := len(dst)
	dst = encode.AppendRowsHeader(w.Begin(dst, h), h.Type, m.d.id, m.d.cols, to == m.o.Rows)
	for i := from; i < to; i++ {
		var err error
		if dst, err = m.row(dst, i); err != nil {
			return nil, err
		}
	}
	return w.End(dst, start), nil
}

// begin appends the events before the rows, and end the one behind them.
func (m *maker) begin(dst []byte, w encode.Writer) []byte {
	h := m.h
	h.Type = encode.TypeQuery
	dst = w.AppendUnsealed(dst, h, encode.Query(m.o.Database, "BEGIN"))
	h.Type = encode.TypeTableMap
	return w.AppendUnsealed(dst, h, m.d.body)
}

func (m *maker) end(dst []byte, w encode.Writer, xid uint64) []byte {
	h := m.h
	h.Type = encode.TypeXID
	return w.AppendUnsealed(dst, h, encode.XID(xid))
}

// lay says what is made: every event but the last, which closes the statement.
func (m *maker) lay(h encode.Header, xid uint64) (err error) {
	m.h = h
	m.head = m.begin(nil, m.w)
	m.events = (m.o.Rows - 1) / m.perEvent
	if m.tail, err = m.event(nil, m.w, m.events); err != nil {
		return err
	}
	m.tail = m.end(m.tail, m.w, xid)
	if m.events > 0 {
		first, err := m.event(nil, m.w, 0)
		if err != nil {
			return err
		}
		m.eventBytes = len(first)
	}
	return nil
}

// compress makes the payload, which is all of head.
func (m *maker) compress(h encode.Header, xid uint64) error {
	m.h = h
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	inner := encode.Writer{ServerID: m.w.ServerID}
	total := 0
	put := func(events []byte) error {
		inner.Seal(events, int64(total))
		total += len(events)
		_, err := z.Write(events)
		return err
	}
	if err := put(m.begin(nil, inner)); err != nil {
		return err
	}
	var event []byte
	for k := range (m.o.Rows + m.perEvent - 1) / m.perEvent {
		if event, err = m.event(event[:0], inner, k); err != nil {
			return err
		}
		if err = put(event); err != nil {
			return err
		}
	}
	if err := errors.Join(put(m.end(nil, inner, xid)), z.Close()); err != nil {
		return err
	}
	if packed.Len() > 1<<30 {
		return fmt.Errorf("it takes %d bytes compressed, above 1 GiB", packed.Len())
	}
	h.Type = encode.TypeTransactionPayload
	m.head = m.w.AppendUnsealed(nil, h, encode.TransactionPayload(nil, packed.Bytes(), total))
	return nil
}

var _ io.ReaderAt = (*maker)(nil)

// ReadAt reads from the offset of the first made event on, and fills b.
func (m *maker) ReadAt(b []byte, off int64) (n int, err error) {
	var event []byte
	for n < len(b) {
		at := off - m.at + int64(n)
		k := m.events
		if m.eventBytes > 0 {
			k = int(min(at/int64(m.eventBytes), int64(m.events)))
		}
		part, from := m.tail, at-int64(k)*int64(m.eventBytes)
		if k < m.events {
			if event, err = m.event(event[:0], m.w, k); err != nil {
				return n, err
			}
			m.w.Seal(event, m.at+int64(k*m.eventBytes))
			part = event
		}
		if from >= int64(len(part)) {
			return n, io.EOF
		}
		n += copy(b[n:], part[from:])
	}
	return n, nil
}
