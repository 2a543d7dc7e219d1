package encode

import (
	"encoding/binary"
	"hash/crc32"
)

// The event types that are written or served, by MySQL's number.
const (
	TypeQuery              = 2
	TypeRotate             = 4
	TypeFormatDescription  = 15
	TypeXID                = 16
	TypeTableMap           = 19
	TypeHeartbeat          = 27
	TypeWriteRows          = 30
	TypeUpdateRows         = 31
	TypeDeleteRows         = 32
	TypeGTID               = 33
	TypePreviousGTIDs      = 35
	TypeTransactionPayload = 40
)

// HeaderSize is the length of every event's header:
// timestamp 4, type 1, server id 4, event size 4, end position 4, flags 2.
const HeaderSize = 19

// ChecksumSize is the length of the CRC32 behind an event's body.
const ChecksumSize = 4

// FlagArtificial marks an event that stands in no file.
const FlagArtificial = 0x20

// Magic opens every binary log file.
const Magic = "\xfebin"

// Writer frames event bodies. Its fields are the same for a whole log.
type Writer struct {
	ServerID uint32
	// Checksum appends a CRC32 to every event.
	Checksum bool
}

// Header is what differs from event to event. EndPos is the position behind
// the event in its file, 0 for an artificial one.
type Header struct {
	Timestamp uint32
	Type      byte
	EndPos    uint32
	Flags     uint16
}

// Size returns the length of an event with a body of n bytes.
func (w Writer) Size(n int) int {
	if w.Checksum {
		n += ChecksumSize
	}
	return HeaderSize + n
}

// Append appends the event with body to dst.
func (w Writer) Append(dst []byte, h Header, body []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, h.Timestamp)
	dst = append(dst, h.Type)
	dst = binary.LittleEndian.AppendUint32(dst, w.ServerID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(w.Size(len(body))))
	dst = binary.LittleEndian.AppendUint32(dst, h.EndPos)
	dst = binary.LittleEndian.AppendUint16(dst, h.Flags)
	dst = append(dst, body...)
	if w.Checksum {
		dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
	}
	return dst
}

// postHeaderLengths are the fixed parts of the event types 1 to 42 as of MySQL 8.4.
var postHeaderLengths = [...]byte{
	0, 13, 0, 8, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 99, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0,
	10, 10, 10, 42, 42, 0, 18, 52, 0, 10, 40, 0, 0,
}

// AppendFormatDescription appends the event that opens a file, whole. Its
// checksum algorithm holds for the events after it; the event itself always
// ends with a CRC32, as in MySQL. A nonzero created tells a reader that the
// server has just started.
func (w Writer) AppendFormatDescription(dst []byte, h Header, serverVersion string, created uint32) []byte {
	b := make([]byte, 0, 57+len(postHeaderLengths)+1)
	b = binary.LittleEndian.AppendUint16(b, 4)
	var version [50]byte
	copy(version[:49], serverVersion)
	b = append(b, version[:]...)
	b = binary.LittleEndian.AppendUint32(b, created)
	b = append(b, HeaderSize)
	b = append(b, postHeaderLengths[:]...)
	algorithm := byte(0)
	if w.Checksum {
		algorithm = 1
	}
	b = append(b, algorithm)
	h.Type = TypeFormatDescription
	return Writer{ServerID: w.ServerID, Checksum: true}.Append(dst, h, b)
}

// FormatDescriptionSize is the length of what AppendFormatDescription appends.
const FormatDescriptionSize = HeaderSize + 57 + len(postHeaderLengths) + 1 + ChecksumSize

// Rotate returns the body of an event that names the next file.
func Rotate(file string, pos uint64) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, pos), file...)
}

// XID returns the body of the event that commits a transaction.
func XID(xid uint64) []byte { return binary.LittleEndian.AppendUint64(nil, xid) }

// GTID describes the event that opens a transaction.
type GTID struct {
	UUID [16]byte
	GNO  int64
	// LastCommitted and Sequence number the transactions of one file.
	LastCommitted, Sequence int64
	// ImmediateMicros and OriginalMicros are commit times in microseconds.
	ImmediateMicros, OriginalMicros int64
	// ServerVersion is 80400 for 8.4.0.
	ServerVersion uint32
	// DDL is set for a transaction that is a statement.
	DDL bool
}

// Append appends the body of the event to dst. rest is the length of the
// transaction's other events; the body states the sum with its own event.
func (g *GTID) Append(dst []byte, w Writer, rest int) []byte {
	start := len(dst)
	flags := byte(0)
	if g.DDL {
		flags = 1
	}
	dst = append(dst, flags)
	dst = append(dst, g.UUID[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(g.GNO))
	dst = append(dst, 2)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(g.LastCommitted))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(g.Sequence))
	immediate := uint64(g.ImmediateMicros) & (1<<55 - 1)
	if g.OriginalMicros == g.ImmediateMicros {
		dst = appendUint(dst, immediate, 7)
	} else {
		dst = appendUint(dst, immediate|1<<55, 7)
		dst = appendUint(dst, uint64(g.OriginalMicros)&(1<<55-1), 7)
	}
	fixed := len(dst) - start + 4
	total := 0
	for _, width := range [...]int{1, 3, 4, 9} {
		total = rest + w.Size(fixed+width)
		if lengthSize(uint64(total)) <= width {
			break
		}
	}
	dst = appendLength(dst, uint64(total))
	return binary.LittleEndian.AppendUint32(dst, g.ServerVersion)
}

// Query returns the body of a statement's event: BEGIN, or the text of a DDL.
func Query(database, text string) []byte { return AppendQuery(nil, database, text) }

// AppendQuery appends what Query returns to dst.
func AppendQuery(dst []byte, database, text string) []byte {
	// flags2, sql_mode, catalog, character sets: what MySQL itself writes first.
	const status = "\x00\x00\x00\x00\x00" +
		"\x01\x20\x00\xa0\x45\x00\x00\x00\x00" +
		"\x06\x03std" +
		"\x04\xff\x00\xff\x00\xff\x00"
	dst = binary.LittleEndian.AppendUint32(dst, 8) // thread
	dst = binary.LittleEndian.AppendUint32(dst, 0) // seconds it took
	dst = append(dst, byte(len(database)))
	dst = binary.LittleEndian.AppendUint16(dst, 0) // error code
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(status)))
	dst = append(dst, status...)
	dst = append(dst, database...)
	dst = append(dst, 0)
	return append(dst, text...)
}

// appendUint appends the low n bytes of v, the lowest first.
func appendUint(dst []byte, v uint64, n int) []byte {
	for i := range n {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// appendUintBig appends the low n bytes of v, the highest first.
func appendUintBig(dst []byte, v uint64, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// lengthSize is the number of bytes that appendLength writes for v.
func lengthSize(v uint64) int {
	switch {
	case v < 251:
		return 1
	case v < 1<<16:
		return 3
	case v < 1<<24:
		return 4
	}
	return 9
}

// appendLength appends MySQL's length-encoded integer.
func appendLength(dst []byte, v uint64) []byte {
	switch lengthSize(v) {
	case 1:
		return append(dst, byte(v))
	case 3:
		return appendUint(append(dst, 0xfc), v, 2)
	case 4:
		return appendUint(append(dst, 0xfd), v, 3)
	}
	return appendUint(append(dst, 0xfe), v, 8)
}

// Seal gives every event in events its end position, counted from base, and,
// with w.Checksum, its CRC32. It is for events that were appended before their
// place in the file was known.
func (w Writer) Seal(events []byte, base int64) {
	for len(events) >= HeaderSize {
		size := int(binary.LittleEndian.Uint32(events[9:]))
		base += int64(size)
		binary.LittleEndian.PutUint32(events[13:], uint32(base))
		if w.Checksum {
			body := size - ChecksumSize
			binary.LittleEndian.PutUint32(events[body:], crc32.ChecksumIEEE(events[:body]))
		}
		events = events[size:]
	}
}

// AppendUnsealed appends an event that Seal finishes later.
func (w Writer) AppendUnsealed(dst []byte, h Header, body []byte) []byte {
	start := len(dst)
	dst = append(w.Begin(dst, h), body...)
	return w.End(dst, start)
}

// Begin appends the header of an event whose body the caller appends itself
// before it calls End. Seal finishes the event.
func (w Writer) Begin(dst []byte, h Header) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, h.Timestamp)
	dst = append(dst, h.Type)
	dst = binary.LittleEndian.AppendUint32(dst, w.ServerID)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint16(dst, h.Flags)
}

// End completes the event that Begin opened at start: room for the checksum,
// and the size.
func (w Writer) End(dst []byte, start int) []byte {
	if w.Checksum {
		dst = append(dst, 0, 0, 0, 0)
	}
	binary.LittleEndian.PutUint32(dst[start+9:], uint32(len(dst)-start))
	return dst
}

// Reseal writes the CRC32 of a single event anew after its bytes were changed.
func (w Writer) Reseal(event []byte) {
	if w.Checksum {
		body := len(event) - ChecksumSize
		binary.LittleEndian.PutUint32(event[body:], crc32.ChecksumIEEE(event[:body]))
	}
}
