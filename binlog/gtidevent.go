package binlog

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// gtidEvent is what GTID, ANONYMOUS_GTID and GTID_TAGGED say about the
// transaction behind them.
type gtidEvent struct {
	id txID // not known for an anonymous one
	// immediate and original are commit times in microseconds, 0 = unknown.
	immediate, original int64
}

// A commit time takes 7 bytes; the top bit of the first says that a second,
// the original one, follows.
const (
	commitTimeSize = 7
	originalBit    = 1 << 55
)

// parseGTID reads GTID and ANONYMOUS_GTID: flags 1, uuid 16, gno 8, and since
// MySQL 5.7 the logical clock (type 1, two numbers of 8), since 8.0 the commit
// times.
func parseGTID(ev event) (gtidEvent, error) {
	f := fields{b: ev.body}
	f.take(1)
	var out gtidEvent
	copy(out.id.gtid.UUID[:], f.take(16))
	out.id.gtid.GNO = int64(f.uint(8))
	if f.short {
		return gtidEvent{}, fmt.Errorf("parse %v: %d bytes are too few", ev.kind, len(ev.body))
	}
	if ev.kind == evAnonymousGTID {
		out.id = txID{}
	} else if gno := out.id.gtid.GNO; gno < 1 || gno > maxGNO {
		return gtidEvent{}, fmt.Errorf("parse %v: transaction number %d is out of range", ev.kind, gno)
	}
	if len(f.b) < 17+commitTimeSize {
		return out, nil
	}
	f.take(17)
	immediate := f.uint(commitTimeSize)
	original := immediate
	if immediate&originalBit != 0 {
		immediate &^= originalBit
		original = f.uint(commitTimeSize)
		if f.short {
			return gtidEvent{}, fmt.Errorf("parse %v: it ends inside a commit time", ev.kind)
		}
	}
	out.immediate, out.original = int64(immediate), int64(original)
	return out, nil
}

// The fields of GTID_TAGGED by their ids. Ids rise; the last three are not
// needed and end the walk.
const (
	tagFlags = iota
	tagUUID
	tagGNO
	tagName
	tagLastCommitted
	tagSequence
	tagImmediate
	tagOriginal
)

// parseTaggedGTID reads GTID_TAGGED (MySQL 8.3+), a message of the server's
// mysql::serialization library: version, size, last field that must be known,
// then fields, each behind its id; numbers have variable lengths.
func parseTaggedGTID(body []byte) (gtidEvent, error) {
	v := varFields{b: body}
	version, size := v.uint(), v.uint()
	lastNeeded := v.uint()
	if v.bad || version != 1 || size != uint64(len(body)) {
		return gtidEvent{}, fmt.Errorf("parse GTID_TAGGED: version %d and size %d of %d bytes, want version 1 and the whole", version, size, len(body))
	}
	if lastNeeded > 11 {
		return gtidEvent{}, fmt.Errorf("parse GTID_TAGGED: field %d must be understood and is not known", lastNeeded)
	}
	var out gtidEvent
	id := &out.id.gtid
	seen := 0
	for len(v.b) > 0 && !v.bad {
		field := v.uint()
		if field > tagOriginal {
			break
		}
		seen |= 1 << field
		switch field {
		case tagFlags:
			v.uint()
		case tagUUID:
			for i := range id.UUID {
				id.UUID[i] = byte(v.uint())
			}
		case tagGNO:
			id.GNO = v.int()
		case tagName:
			id.Tag = strings.ToLower(string(v.take(v.uint())))
		case tagLastCommitted, tagSequence:
			v.int()
		case tagImmediate:
			out.immediate = int64(v.uint())
			out.original = out.immediate
		case tagOriginal:
			out.original = int64(v.uint())
		}
	}
	const needed = 1<<tagUUID | 1<<tagGNO | 1<<tagName
	if _, ok := parseTag(id.Tag); v.bad || seen&needed != needed || (!ok && id.Tag != "") || id.GNO < 1 || id.GNO > maxGNO {
		return gtidEvent{}, fmt.Errorf("parse GTID_TAGGED: its fields are not a GTID")
	}
	return out, nil
}

// varFields reads the variable-length numbers of mysql::serialization: the
// count of trailing one-bits of the first byte says how many bytes follow it,
// the bits above the first zero are the number's lowest.
type varFields struct {
	b   []byte
	bad bool
}

// take returns the next n bytes.
func (v *varFields) take(n uint64) []byte {
	if n > uint64(len(v.b)) {
		v.b, v.bad = nil, true
		return nil
	}
	out := v.b[:n]
	v.b = v.b[n:]
	return out
}

// uint reads an unsigned number.
func (v *varFields) uint() uint64 {
	first := v.take(1)
	if first == nil {
		return 0
	}
	more := 0
	for more < 8 && first[0]>>more&1 == 1 {
		more++
	}
	var rest [8]byte
	copy(rest[:], v.take(uint64(more)))
	high := binary.LittleEndian.Uint64(rest[:])
	if more >= 7 {
		// Neither 7 nor 8 trailing ones leave a bit of the first byte.
		return high
	}
	return uint64(first[0])>>(more+1) | high<<(7-more)
}

// int reads a signed number: zigzag over an unsigned one.
func (v *varFields) int() int64 {
	u := v.uint()
	return int64(u>>1) ^ -int64(u&1)
}
