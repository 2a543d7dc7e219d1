package binlog

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"time"
)

// The event types of MariaDB alone (sql/log_event.h, enum Log_event_type).
const (
	evAnnotateRows     eventType = 160
	evBinlogCheckpoint eventType = 161
	evMariaGTID        eventType = 162
	evGTIDList         eventType = 163
	evStartEncryption  eventType = 164
	evQueryCompressed  eventType = 165
	evWriteZip1        eventType = 166
	evUpdateZip1       eventType = 167
	evDeleteZip1       eventType = 168
	evWriteZip2        eventType = 169
	evUpdateZip2       eventType = 170
	evDeleteZip2       eventType = 171
)

// uncompressedType says what a compressed event becomes.
var uncompressedType = map[eventType]eventType{
	evQueryCompressed: evQuery,
	evWriteZip1:       evWriteV1, evUpdateZip1: evUpdateV1, evDeleteZip1: evDeleteV1,
	evWriteZip2: evWriteV2, evUpdateZip2: evUpdateV2, evDeleteZip2: evDeleteV2,
}

// Flags of a MariaDB GTID event.
const (
	mariaStandalone  = 0x01 // one statement follows, and no commit behind it
	mariaGroupCommit = 0x02 // the id of a group commit follows the flags
	mariaPreparedXA  = 0x40
	mariaCompletedXA = 0x80
)

// mariaGTIDEvent is what matters of a MariaDB GTID event. Unless standalone is
// set it is the BEGIN of its transaction too.
type mariaGTIDEvent struct {
	id         DomainGTID
	standalone bool
	// prepares is true where the rows of a distributed transaction follow, and
	// completes where its outcome does; xid names it as statements do.
	prepares, completes bool
	xid                 string
}

// parseMariaGTID reads sequence 8, domain 4, flags 1; the server is that of the
// header. By the flags follow the id of a group commit 8, and of a distributed
// transaction the format of its xid 4, the lengths of its two parts 1 and 1, and
// the parts. What comes behind (engines, thread) is not needed.
func parseMariaGTID(ev event) (mariaGTIDEvent, error) {
	f := fields{b: ev.body}
	out := mariaGTIDEvent{id: DomainGTID{Sequence: f.uint(8), Domain: uint32(f.uint(4)), Server: ev.serverID}}
	flags := f.uint(1)
	out.standalone = flags&mariaStandalone != 0
	out.prepares, out.completes = flags&mariaPreparedXA != 0, flags&mariaCompletedXA != 0
	if flags&mariaGroupCommit != 0 {
		f.take(8)
	}
	if out.prepares || out.completes {
		format, global, branch := f.uint(4), f.uint(1), f.uint(1)
		parts := [2][]byte{f.take(global), f.take(branch)}
		out.xid = fmt.Sprintf("X'%x',X'%x',%d", parts[0], parts[1], format)
	}
	if f.short || out.id.Sequence == 0 {
		return mariaGTIDEvent{}, fmt.Errorf("parse GTID: %d bytes are not a GTID of MariaDB", len(ev.body))
	}
	return out, nil
}

// maria takes the events that MariaDB alone has. It reports false for others.
func (m *machine) maria(ev event, readAt time.Time) (bool, error) {
	switch ev.kind {
	case evMariaGTID:
		return true, m.mariaGTID(ev, readAt)
	case evGTIDList:
		return true, m.gtidList(ev)
	case evAnnotateRows, evBinlogCheckpoint, evStartEncryption:
		// The statement behind rows, the oldest file that a crash would need,
		// and the key of a file that is sent decrypted.
		return true, nil
	}
	if kind, ok := uncompressedType[ev.kind]; ok {
		plain, err := m.zip.uncompress(ev.body, kind, m.o.MaxEvent)
		if err != nil {
			return true, m.stopWith(err, m.hintSize(err))
		}
		ev.kind, ev.body = kind, plain
		m.kind = kind
		return true, m.inner(ev, readAt)
	}
	return false, nil
}

// mariaGTID opens a transaction, and its group unless it is a single statement.
func (m *machine) mariaGTID(ev event, readAt time.Time) error {
	g, err := parseMariaGTID(ev)
	if err := m.name(ev, gtidEvent{id: txID{domain: g.id}}, err, readAt); err != nil {
		return err
	}
	switch {
	case g.completes:
		m.xa.outcome = g.xid
		return nil
	case g.prepares:
		return m.startXA(g.xid)
	case !g.standalone:
		m.phase = inGroup
	}
	return nil
}

// gtidList takes the list at the head of a file: all that was logged before
// it. A reader by file that does not know its GTIDs learns them here. For one
// that does it is a proof: what the list has and the reader has not was
// never sent to it.
func (m *machine) gtidList(ev event) error {
	if err := m.need(between); err != nil {
		return err
	}
	list, err := decodeGTIDList(ev.body)
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	if m.position.Domains == nil {
		m.position.Domains = list
		return nil
	}
	if ev.flags&flagArtificial != 0 {
		return nil
	}
	for _, g := range list.last {
		mine, ok := m.position.Domains.Find(g.Domain)
		if !ok || mine.Server == g.Server && mine.Sequence < g.Sequence {
			return m.stop("compare the tables, then start anew; if somebody set gtid_seq_no, leave it to the server and set gtid_strict_mode=ON",
				"the file begins behind transaction %v, which was not read: of domain %d it was read to %v", g, g.Domain, mine)
		}
	}
	return nil
}

// unzipper uncompresses the events of a server with log_bin_compress. It is
// reused from event to event.
type unzipper struct {
	src  bytes.Reader
	zlib io.ReadCloser
	out  []byte
}

var errZip = errors.New("the compressed part is damaged")

// uncompress returns the body of an event of type kind, valid until the next
// call. What stands before the compressed part is as in kind. That part is:
//
//	1: 0x80, the algorithm in bits 4 to 6 (0 is zlib), the length n of the length in the low 3
//	n: length of the text, big endian
//	a zlib stream
func (z *unzipper) uncompress(body []byte, kind eventType, limit int) ([]byte, error) {
	head, err := zipHead(body, kind)
	if err != nil {
		return nil, err
	}
	packed := body[head:]
	if len(packed) == 0 || packed[0]&0x80 == 0 {
		return nil, errZip
	}
	if algorithm := packed[0] >> 4 & 7; algorithm != 0 {
		return nil, fmt.Errorf("compression algorithm %d is not known", algorithm)
	}
	n := int(packed[0] & 7)
	if n < 1 || n > 4 || len(packed) < 1+n {
		return nil, errZip
	}
	size := 0
	for _, c := range packed[1 : 1+n] {
		size = size<<8 | int(c)
	}
	if head+size > limit {
		return nil, &errEventTooLarge{kind: kind, size: head + size, limit: limit}
	}
	if cap(z.out) < head+size || cap(z.out) > keepBuffer && head+size <= keepBuffer {
		z.out = make([]byte, head+size)
	}
	z.out = z.out[:head+size]
	copy(z.out, body[:head])
	return z.out, z.inflate(packed[1+n:], z.out[head:])
}

// inflate fills out with what packed holds, no less and no more.
func (z *unzipper) inflate(packed, out []byte) error {
	z.src.Reset(packed)
	var err error
	if z.zlib == nil {
		z.zlib, err = zlib.NewReader(&z.src)
	} else {
		err = z.zlib.(zlib.Resetter).Reset(&z.src, nil)
	}
	if err != nil {
		z.zlib = nil
		return fmt.Errorf("%w: %w", errZip, err)
	}
	if _, err := io.ReadFull(z.zlib, out); err != nil {
		return fmt.Errorf("%w: %w", errZip, err)
	}
	var more [1]byte
	if _, err := z.zlib.Read(more[:]); err != io.EOF {
		return fmt.Errorf("%w: it holds more than it announces, or fails its checksum: %v", errZip, err)
	}
	return nil
}

// zipHead returns how many bytes of a body are not compressed: of a query all
// before the text, of rows all before the first image.
func zipHead(body []byte, kind eventType) (int, error) {
	f := fields{b: body}
	if kind == evQuery {
		f.take(8)
		database := f.uint(1)
		f.take(2)
		f.take(f.uint(2))
		f.take(database + 1)
	} else {
		f.take(tableMapHeader)
		if kind == evWriteV2 || kind == evUpdateV2 || kind == evDeleteV2 {
			f.take(max(f.uint(2), 2) - 2)
		}
		width := (f.packed() + 7) / 8
		f.take(width)
		if kind == evUpdateV1 || kind == evUpdateV2 {
			f.take(width)
		}
	}
	if f.short {
		return 0, errTruncated
	}
	return len(body) - len(f.b), nil
}
