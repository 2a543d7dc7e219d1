package binlog

import (
	"encoding/binary"
	"fmt"
)

// eventType is the type byte of an event header. The numbers are MySQL's
// (libbinlogevents, enum Log_event_type).
type eventType byte

// The event types that the reader understands, with those of MariaDB in
// mariadbevent.go. The list is complete: a type that is in neither stops the
// shard.
const (
	evQuery         eventType = 2
	evStop          eventType = 3
	evRotate        eventType = 4
	evIntvar        eventType = 5
	evRand          eventType = 13
	evUserVar       eventType = 14
	evFormat        eventType = 15
	evXID           eventType = 16
	evTableMap      eventType = 19
	evWriteV1       eventType = 23
	evUpdateV1      eventType = 24
	evDeleteV1      eventType = 25
	evIncident      eventType = 26
	evHeartbeat     eventType = 27
	evIgnorable     eventType = 28
	evRowsQuery     eventType = 29
	evWriteV2       eventType = 30
	evUpdateV2      eventType = 31
	evDeleteV2      eventType = 32
	evGTID          eventType = 33
	evAnonymousGTID eventType = 34
	evPreviousGTIDs eventType = 35
	evXAPrepare     eventType = 38
	evPartialUpdate eventType = 39
	evPayload       eventType = 40
	evHeartbeatV2   eventType = 41
	evGTIDTagged    eventType = 42
)

// eventNames are the names that mysqlbinlog and the manual use.
var eventNames = map[eventType]string{
	0: "UNKNOWN", 1: "START_V3", evQuery: "QUERY", evStop: "STOP", evRotate: "ROTATE", evIntvar: "INTVAR", 6: "LOAD",
	7: "SLAVE", 8: "CREATE_FILE", 9: "APPEND_BLOCK", 10: "EXEC_LOAD", 11: "DELETE_FILE", 12: "NEW_LOAD", evRand: "RAND",
	evUserVar: "USER_VAR", evFormat: "FORMAT_DESCRIPTION", evXID: "XID", 17: "BEGIN_LOAD_QUERY", 18: "EXECUTE_LOAD_QUERY",
	evTableMap: "TABLE_MAP", 20: "WRITE_ROWS_V0", 21: "UPDATE_ROWS_V0", 22: "DELETE_ROWS_V0", evWriteV1: "WRITE_ROWS_V1",
	evUpdateV1: "UPDATE_ROWS_V1", evDeleteV1: "DELETE_ROWS_V1", evIncident: "INCIDENT", evHeartbeat: "HEARTBEAT",
	evIgnorable: "IGNORABLE", evRowsQuery: "ROWS_QUERY", evWriteV2: "WRITE_ROWS", evUpdateV2: "UPDATE_ROWS",
	evDeleteV2: "DELETE_ROWS", evGTID: "GTID", evAnonymousGTID: "ANONYMOUS_GTID", evPreviousGTIDs: "PREVIOUS_GTIDS",
	36: "TRANSACTION_CONTEXT", 37: "VIEW_CHANGE", evXAPrepare: "XA_PREPARE", evPartialUpdate: "PARTIAL_UPDATE_ROWS",
	evPayload: "TRANSACTION_PAYLOAD", evHeartbeatV2: "HEARTBEAT_V2", evGTIDTagged: "GTID_TAGGED",
	evAnnotateRows: "ANNOTATE_ROWS", evBinlogCheckpoint: "BINLOG_CHECKPOINT", evMariaGTID: "GTID", evGTIDList: "GTID_LIST",
	evStartEncryption: "START_ENCRYPTION", evQueryCompressed: "QUERY_COMPRESSED", evWriteZip1: "WRITE_ROWS_COMPRESSED_V1",
	evUpdateZip1: "UPDATE_ROWS_COMPRESSED_V1", evDeleteZip1: "DELETE_ROWS_COMPRESSED_V1", evWriteZip2: "WRITE_ROWS_COMPRESSED",
	evUpdateZip2: "UPDATE_ROWS_COMPRESSED", evDeleteZip2: "DELETE_ROWS_COMPRESSED",
}

// String returns the name, or the number of a type without one.
func (t eventType) String() string {
	if name, ok := eventNames[t]; ok {
		return name
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Flags of an event header.
const (
	flagArtificial = 0x20 // made up by the server: it stands in no file
	flagIgnorable  = 0x80 // who does not know the type may pass over it
)

// headerSize is the length of every event's header (binlog version 4).
const headerSize = 19

// header is the first 19 bytes of an event.
type header struct {
	seconds  uint32 // when the statement began
	kind     eventType
	serverID uint32
	size     uint32 // of the whole event, header and checksum included
	next     uint32 // low 32 bits of the offset behind it in its file; 0: none
	flags    uint16
}

// parseHeader reads a header. It fails on fewer than headerSize bytes.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("parse event header: %d bytes, want at least %d", len(b), headerSize)
	}
	return header{
		seconds:  binary.LittleEndian.Uint32(b[0:]),
		kind:     eventType(b[4]),
		serverID: binary.LittleEndian.Uint32(b[5:]),
		size:     binary.LittleEndian.Uint32(b[9:]),
		next:     binary.LittleEndian.Uint32(b[13:]),
		flags:    binary.LittleEndian.Uint16(b[17:]),
	}, nil
}

// event is one event: its header and its body without the checksum. The body
// is valid until the next event is read.
type event struct {
	header
	body []byte
}

// fields reads little-endian fields. It remembers that it ran short instead of
// failing at each field, so that a parser checks once.
type fields struct {
	b     []byte
	short bool
}

// take returns the next n bytes, or nil when there are fewer.
func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.b)) {
		f.b, f.short = nil, true
		return nil
	}
	out := f.b[:n:n]
	f.b = f.b[n:]
	return out
}

// uint reads n <= 8 bytes as a number.
func (f *fields) uint(n uint64) uint64 {
	var v uint64
	for i, c := range f.take(n) {
		v |= uint64(c) << (8 * i)
	}
	return v
}

// packed reads MySQL's length-encoded integer.
func (f *fields) packed() uint64 {
	switch first := f.uint(1); first {
	case 0xfc:
		return f.uint(2)
	case 0xfd:
		return f.uint(3)
	case 0xfe:
		return f.uint(8)
	case 0xfb, 0xff:
		f.short = true
		return 0
	default:
		return first
	}
}

// rotate is the body of a ROTATE event: where the next event stands.
type rotate struct {
	file string
	pos  uint64
}

// parseRotate reads a ROTATE body. The name is checked, because garbage behind
// it would otherwise become part of a position.
func parseRotate(body []byte) (rotate, error) {
	f := fields{b: body}
	r := rotate{pos: f.uint(8)}
	r.file = string(f.b)
	if f.short || !validFileName(r.file) {
		return rotate{}, fmt.Errorf("parse ROTATE: %q is not the name of a binlog file", abridge(r.file))
	}
	if r.pos < firstEvent {
		return rotate{}, fmt.Errorf("parse ROTATE: offset %d is inside the magic of %s", r.pos, r.file)
	}
	return r, nil
}

// format is what matters of a FORMAT_DESCRIPTION event.
type format struct {
	serverVersion string
	// checksum is true when every event behind this one ends in a CRC32.
	checksum bool
}

// postHeaders are the fixed parts that our parsers rely on. A server that
// sends others (MySQL before 5.1.16 had 4-byte table ids) is refused; 0 is a type
// that it no longer writes.
var postHeaders = map[eventType]byte{
	evQuery: 13, evRotate: 8, evTableMap: 8,
	evWriteV1: 8, evUpdateV1: 8, evDeleteV1: 8, evWriteV2: 10, evUpdateV2: 10, evDeleteV2: 10,
}

// Checksum algorithms as a FORMAT_DESCRIPTION names them.
const (
	checksumNone  = 0
	checksumCRC32 = 1
	checksumSize  = 4
)

// parseFormat reads a FORMAT_DESCRIPTION body, with its trailing algorithm and
// CRC, which it carries whatever the algorithm is.
func parseFormat(body []byte) (format, error) {
	f := fields{b: body}
	version := f.uint(2)
	name := f.take(50)
	f.take(4) // when the file was created
	headerLen := f.uint(1)
	if f.short || len(f.b) < checksumSize+1 {
		return format{}, fmt.Errorf("parse FORMAT_DESCRIPTION: %d bytes are too few", len(body))
	}
	if version != 4 || headerLen != headerSize {
		return format{}, fmt.Errorf("parse FORMAT_DESCRIPTION: binlog version %d with headers of %d bytes, want 4 and %d", version, headerLen, headerSize)
	}
	out := format{serverVersion: cString(name)}
	lengths, algorithm := f.b[:len(f.b)-checksumSize-1], f.b[len(f.b)-checksumSize-1]
	for kind, want := range postHeaders {
		if i := int(kind) - 1; i < len(lengths) && lengths[i] != want && lengths[i] != 0 {
			return format{}, fmt.Errorf("parse FORMAT_DESCRIPTION: %v has %d fixed bytes, want %d", kind, lengths[i], want)
		}
	}
	switch algorithm {
	case checksumNone:
	case checksumCRC32:
		out.checksum = true
	default:
		return format{}, fmt.Errorf("parse FORMAT_DESCRIPTION: checksum algorithm %d is not known", algorithm)
	}
	return out, nil
}

// cString cuts b at its first NUL.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// heartbeat says where the server stands: it has sent everything before.
type heartbeat struct {
	file string
	pos  uint64
}

// parseHeartbeat reads HEARTBEAT (offset in the header, 32 bits) or
// HEARTBEAT_V2 (typed fields: 1 name, 2 offset, 0 end).
func parseHeartbeat(ev event) (heartbeat, error) {
	hb := heartbeat{pos: uint64(ev.next)}
	if ev.kind == evHeartbeat {
		pos, name, ok := longHeartbeat(ev.body)
		if ok {
			hb.pos = pos
		}
		hb.file = string(name)
	} else {
		f := fields{b: ev.body}
		for len(f.b) > 0 && !f.short {
			kind := f.packed()
			if kind == 0 {
				break
			}
			value := f.take(f.packed())
			switch kind {
			case 1:
				hb.file = string(value)
			case 2:
				v := fields{b: value}
				hb.pos = v.packed()
				f.short = f.short || v.short
			}
		}
		if f.short {
			return heartbeat{}, fmt.Errorf("parse HEARTBEAT_V2: it ends inside a field")
		}
	}
	if !validFileName(hb.file) {
		return heartbeat{}, fmt.Errorf("parse %v: %q is not the name of a binlog file", ev.kind, abridge(hb.file))
	}
	return hb, nil
}
