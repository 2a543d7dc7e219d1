package primary

import (
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"

	"tailwater/binlog/primary/encode"
)

// maxRowsEvent is binlog_row_event_max_size: row events are split beyond it.
const maxRowsEvent = 8192

// entry is one transaction on its way into the log: row changes, or a statement.
type entry struct {
	st        *state // published after it
	opts      CommitOptions
	changes   []rowChange
	statement string
	database  string
}

// commit writes e and publishes its state. The caller holds s.writing.
func (s *Server) commit(e *entry) (Committed, error) {
	now := s.opts.Now()
	if e.opts.ImmediateMicros == 0 {
		e.opts.ImmediateMicros = now.UnixMicro()
	}
	if e.opts.OriginalMicros == 0 {
		e.opts.OriginalMicros = e.opts.ImmediateMicros
	}
	id, gno, err := s.nextGTID(e.opts.GTID)
	if err != nil {
		return Committed{}, err
	}
	header := encode.Header{Timestamp: uint32(e.opts.OriginalMicros / 1_000_000)}
	body := s.appendBody(s.body[:0], header, e)
	s.body = body

	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Committed{}, errors.New("commit: the server is closed")
	}
	f := l.current()
	s.sequence++
	g := encode.GTID{
		UUID: id, GNO: gno, LastCommitted: s.sequence - 1, Sequence: s.sequence,
		ImmediateMicros: e.opts.ImmediateMicros, OriginalMicros: e.opts.OriginalMicros,
		ServerVersion: l.version, DDL: e.statement != "",
	}
	header.Type = encode.TypeGTID
	out := l.w.Begin(s.out[:0], header)
	out = l.w.End(g.Append(out, l.w, len(body)), 0)
	out = append(out, body...)
	l.w.Seal(out, f.size)
	s.out = out
	done := Committed{
		GTID: formatUUID(id) + ":" + fmt.Sprint(gno), File: f.name, Pos: uint64(f.size),
		End: uint64(f.size) + uint64(len(out)), CommitMicros: e.opts.OriginalMicros, Rows: len(e.changes),
	}
	st := *e.st
	st.executed = e.st.executed.add(id, gtidRange{gno, gno})
	l.append(out)
	s.state.Store(&st) // under l.mu: the log never shows a GTID that SELECT does not
	if f.size >= s.opts.FileBytes {
		s.sequence = 0
		l.rotate(now, st.executed, false)
	}
	return done, nil
}

// nextGTID returns the GTID to commit under.
func (s *Server) nextGTID(forced string) (id [16]byte, gno int64, err error) {
	executed := s.state.Load().executed
	if forced == "" {
		return s.uuid, executed.last(s.uuid) + 1, nil
	}
	set, err := parseGTIDs(forced)
	if err != nil {
		return id, 0, fmt.Errorf("commit: %w", err)
	}
	if len(set) != 1 || len(set[0].ranges) != 1 || set[0].ranges[0].first != set[0].ranges[0].last {
		return id, 0, fmt.Errorf("commit: %q is not one GTID", forced)
	}
	id, gno = set[0].uuid, set[0].ranges[0].first
	if executed.contains(id, gno) {
		return id, 0, fmt.Errorf("commit: %s is executed already", forced)
	}
	return id, gno, nil
}

// appendBody appends the events behind the GTID event, unsealed, or the one
// payload event that holds them.
func (s *Server) appendBody(dst []byte, h encode.Header, e *entry) []byte {
	w := s.log.w
	h.Type = encode.TypeQuery
	if e.statement != "" {
		return w.AppendUnsealed(dst, h, encode.Query(e.database, e.statement))
	}
	if !s.opts.Compress {
		return s.appendTransaction(dst, w, h, e)
	}
	inner := encode.Writer{ServerID: w.ServerID}
	plain := s.appendTransaction(nil, inner, h, e)
	inner.Seal(plain, 0)
	packed := s.zstd().EncodeAll(plain, nil)
	h.Type = encode.TypeTransactionPayload
	return w.AppendUnsealed(dst, h, encode.TransactionPayload(nil, packed, len(plain)))
}

// zstd returns the encoder, made at its first use.
func (s *Server) zstd() *zstd.Encoder {
	if s.packer == nil {
		packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic("primary: zstd encoder with constant options: " + err.Error())
		}
		s.packer = packer
	}
	return s.packer
}

// appendTransaction appends QUERY(BEGIN) (TABLE_MAP ROWS+)* XID.
func (s *Server) appendTransaction(dst []byte, w encode.Writer, h encode.Header, e *entry) []byte {
	start := len(dst)
	dst = w.End(encode.AppendQuery(w.Begin(dst, h), e.database, "BEGIN"), start)
	for rest := e.changes; len(rest) > 0; {
		n := statementLength(rest)
		dst = appendStatement(dst, w, h, s.tableMap(e.st.tables[rest[0].slot]), rest[:n])
		rest = rest[n:]
	}
	if len(e.changes) == 0 { // an empty transaction ends with text
		return w.AppendUnsealed(dst, h, encode.Query(e.database, "COMMIT"))
	}
	s.xid++
	h.Type = encode.TypeXID
	return w.AppendUnsealed(dst, h, encode.XID(s.xid))
}

// operation is the event type of a change.
func (c *rowChange) operation() byte {
	switch {
	case c.before == nil:
		return encode.TypeWriteRows
	case c.after == nil:
		return encode.TypeDeleteRows
	}
	return encode.TypeUpdateRows
}

// statementLength returns how many changes form the first statement.
func statementLength(changes []rowChange) int {
	for i := range changes {
		next := i + 1
		if next == len(changes) || changes[i].cut || changes[next].slot != changes[0].slot ||
			changes[next].operation() != changes[0].operation() {
			return next
		}
	}
	return len(changes)
}

// described is a table's map, encoded once per shape.
type described struct {
	id   uint64
	body []byte
	cols int
}

// tableMap returns the table map of v.
func (s *Server) tableMap(v *version) *described {
	if d := s.maps[v.id]; d != nil {
		return d
	}
	d := &described{v.id, v.def.TableMap(v.id, !s.opts.MinimalMetadata), len(v.def.Columns)}
	s.maps[v.id] = d
	return d
}

// appendStatement appends one table map and the changes in row events of at
// most maxRowsEvent bytes, unless a row alone is longer.
func appendStatement(dst []byte, w encode.Writer, h encode.Header, d *described, changes []rowChange) []byte {
	h.Type = encode.TypeTableMap
	dst = w.AppendUnsealed(dst, h, d.body)
	h.Type = changes[0].operation()
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && (n == 0 || size+changes[n].size() <= maxRowsEvent) {
			size += changes[n].size()
			n++
		}
		start := len(dst)
		dst = slices.Grow(dst, size+64+encode.HeaderSize)
		dst = encode.AppendRowsHeader(w.Begin(dst, h), h.Type, d.id, d.cols, n == len(changes))
		for i := range changes[:n] {
			if before := changes[i].before; before != nil {
				dst = append(dst, before.image...)
			}
			if after := changes[i].after; after != nil {
				dst = append(dst, after.image...)
			}
		}
		dst = w.End(dst, start)
		changes = changes[n:]
	}
	return dst
}

func (c *rowChange) size() int {
	n := 0
	if c.before != nil {
		n += len(c.before.image)
	}
	if c.after != nil {
		n += len(c.after.image)
	}
	return n
}
