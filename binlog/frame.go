package binlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// framer cuts packets of a dump into events and verifies their checksums. The
// library leaves checksums out of the dump altogether (its session asks for
// NONE), so both the asking and the verifying are ours.
type framer struct {
	// formatted is true behind the first FORMAT_DESCRIPTION of the connection.
	formatted bool
	// checksum is true when events end in a CRC32.
	checksum bool
}

// errChecksum is a flipped bit: on the server's disk, on the way, or here.
type errChecksum struct {
	kind      eventType
	got, want uint32
}

// Error says what did not add up.
func (e *errChecksum) Error() string {
	return fmt.Sprintf("checksum of %v is %08x, want %08x: the event was damaged on the way or on the server's disk", e.kind, e.got, e.want)
}

// next parses one event. The body is a part of packet.
func (f *framer) next(packet []byte) (event, error) {
	h, err := parseHeader(packet)
	if err != nil {
		return event{}, err
	}
	if uint64(h.size) != uint64(len(packet)) {
		return event{header: h}, fmt.Errorf("parse %v: the header says %d bytes, the packet has %d", h.kind, h.size, len(packet))
	}
	ev := event{header: h, body: packet[headerSize:]}
	switch {
	case h.kind == evFormat:
		d, err := parseFormat(ev.body)
		if err != nil {
			return ev, err
		}
		f.formatted, f.checksum = true, d.checksum
		if d.checksum {
			// The in-use flag is flipped in the file without a new checksum.
			return ev, verify(packet, h.kind, true)
		}
		return ev, nil
	case !f.formatted && h.kind == evRotate:
		// Nothing has said yet whether there are checksums. A name with four
		// bytes of one behind it does not pass for a name, so both ways are
		// told apart without a guess.
		if len(ev.body) > checksumSize && verify(packet, h.kind, false) == nil {
			ev.body = ev.body[:len(ev.body)-checksumSize]
		}
		return ev, nil
	case !f.formatted:
		return ev, fmt.Errorf("parse %v: it comes before any FORMAT_DESCRIPTION", h.kind)
	case !f.checksum:
		return ev, nil
	}
	if len(ev.body) < checksumSize {
		return ev, fmt.Errorf("parse %v: %d bytes are too few for a checksum", h.kind, len(packet))
	}
	if err := verify(packet, h.kind, false); err != nil {
		return ev, err
	}
	ev.body = ev.body[:len(ev.body)-checksumSize]
	return ev, nil
}

// flagInUse marks the FORMAT_DESCRIPTION of a file that is being written. The
// server computes the checksum without it.
const flagInUse = 0x01

// verify compares the CRC32 in the last four bytes of an event.
func verify(packet []byte, kind eventType, clearInUse bool) error {
	n := len(packet) - checksumSize
	want := binary.LittleEndian.Uint32(packet[n:])
	var sum uint32
	if clearInUse && packet[17]&flagInUse != 0 {
		sum = crc32.ChecksumIEEE(packet[:17])
		sum = crc32.Update(sum, crc32.IEEETable, []byte{packet[17] &^ flagInUse})
		sum = crc32.Update(sum, crc32.IEEETable, packet[18:n])
	} else {
		sum = crc32.ChecksumIEEE(packet[:n])
	}
	if sum != want {
		return &errChecksum{kind: kind, got: sum, want: want}
	}
	return nil
}
