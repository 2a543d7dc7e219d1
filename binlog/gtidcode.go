package binlog

import (
	"encoding/binary"
	"fmt"
)

// The binary form of a GTID set, in COM_BINLOG_DUMP_GTID and PREVIOUS_GTIDS:
// a count of lanes in 8 bytes; per lane the uuid, in the tagged form the tag
// behind its doubled length, the count of intervals, and each interval as
// first and last+1. The tagged form (MySQL 8.3+) says so by a 1 in the highest
// and the lowest byte of the count, which then stands in the six between. It
// is used only where there are tags, because older servers do not read it.

// encode returns the binary form of the set.
func (s *GTIDSet) encode() []byte {
	tagged := false
	for i := range s.lanes {
		tagged = tagged || s.lanes[i].tag != ""
	}
	count := uint64(len(s.lanes))
	if tagged {
		count = 1<<56 | count<<8 | 1
	}
	b := binary.LittleEndian.AppendUint64(nil, count)
	for i := range s.lanes {
		l := &s.lanes[i]
		b = append(b, l.uuid[:]...)
		if tagged {
			b = append(b, byte(len(l.tag)<<1))
			b = append(b, l.tag...)
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(len(l.ivs)))
		for _, iv := range l.ivs {
			b = binary.LittleEndian.AppendUint64(b, uint64(iv.first))
			b = binary.LittleEndian.AppendUint64(b, uint64(iv.last+1))
		}
	}
	return b
}

// decodeGTIDSet reads the binary form.
func decodeGTIDSet(b []byte) (*GTIDSet, error) {
	f := fields{b: b}
	count := f.uint(8)
	tagged := count>>56 == 1
	if tagged {
		count = count << 8 >> 16
	}
	set := &GTIDSet{}
	for ; count > 0 && !f.short; count-- {
		var id UUID
		copy(id[:], f.take(16))
		tag := ""
		if tagged {
			n := f.uint(1)
			tag = string(f.take(n >> 1))
			if _, ok := parseTag(tag); (tag != "" && !ok) || n&1 != 0 {
				return nil, fmt.Errorf("decode gtid set: %q is not a tag", abridge(tag))
			}
		}
		for n := f.uint(8); n > 0 && !f.short; n-- {
			iv := interval{int64(f.uint(8)), int64(f.uint(8)) - 1}
			if !f.short && (iv.first < 1 || iv.last < iv.first || iv.last > maxGNO) {
				return nil, fmt.Errorf("decode gtid set: %d-%d is not an interval", iv.first, iv.last)
			}
			if !f.short {
				set.addInterval(id, tag, iv)
			}
		}
	}
	if f.short || len(f.b) > 0 {
		return nil, fmt.Errorf("decode gtid set: %d bytes do not hold what they announce", len(b))
	}
	return set, nil
}
