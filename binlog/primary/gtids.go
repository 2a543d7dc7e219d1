package primary

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// gtidSet is a set of GTIDs, sorted by UUID. It is immutable: every change
// returns a new set, so a snapshot may keep one.
type gtidSet []uuidSet

type uuidSet struct {
	uuid   [16]byte
	ranges []gtidRange // sorted, neither touching nor overlapping
}

// gtidRange holds the numbers first to last.
type gtidRange struct{ first, last int64 }

func parseUUID(s string) (id [16]byte, err error) {
	digits := strings.ReplaceAll(strings.TrimSpace(s), "-", "")
	if n, decodeErr := hex.Decode(id[:], []byte(digits[:min(len(digits), 32)])); decodeErr != nil || n != 16 || len(digits) != 32 {
		return id, fmt.Errorf("parse uuid %q: want 32 hex digits", s)
	}
	return id, nil
}

func formatUUID(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseGTIDs reads MySQL's text form, "uuid:1-5:7,uuid:3".
func parseGTIDs(s string) (gtidSet, error) {
	var set gtidSet
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		fields := strings.Split(part, ":")
		id, err := parseUUID(fields[0])
		if err != nil {
			return nil, fmt.Errorf("parse gtid set: %w", err)
		}
		for _, f := range fields[1:] {
			first, last, isRange := strings.Cut(strings.TrimSpace(f), "-")
			if !isRange {
				last = first
			}
			a, errA := strconv.ParseInt(first, 10, 64)
			b, errB := strconv.ParseInt(last, 10, 64)
			if errA != nil || errB != nil || a < 1 || b < a {
				return nil, fmt.Errorf("parse gtid set: interval %q of %s is not n or n-m", f, fields[0])
			}
			set = set.add(id, gtidRange{a, b})
		}
	}
	return set, nil
}

func (s gtidSet) find(id [16]byte) (int, bool) {
	return slices.BinarySearchFunc(s, id, func(u uuidSet, id [16]byte) int { return slices.Compare(u.uuid[:], id[:]) })
}

// add returns s with r of id.
func (s gtidSet) add(id [16]byte, r gtidRange) gtidSet {
	at, found := s.find(id)
	if !found {
		return slices.Insert(slices.Clone(s), at, uuidSet{id, []gtidRange{r}})
	}
	out := slices.Clone(s)
	ranges := slices.Clone(s[at].ranges)
	if last := &ranges[len(ranges)-1]; r.first == last.last+1 { // the usual commit
		last.last = r.last
		out[at].ranges = ranges
		return out
	}
	ranges = append(ranges, r)
	slices.SortFunc(ranges, func(a, b gtidRange) int { return cmp.Compare(a.first, b.first) })
	merged := ranges[:1]
	for _, next := range ranges[1:] {
		if last := &merged[len(merged)-1]; next.first <= last.last+1 {
			last.last = max(last.last, next.last)
		} else {
			merged = append(merged, next)
		}
	}
	out[at].ranges = merged
	return out
}

// union returns the GTIDs of both sets.
func (s gtidSet) union(t gtidSet) gtidSet {
	for _, u := range t {
		for _, r := range u.ranges {
			s = s.add(u.uuid, r)
		}
	}
	return s
}

func (s gtidSet) contains(id [16]byte, gno int64) bool {
	at, found := s.find(id)
	if !found {
		return false
	}
	for _, r := range s[at].ranges {
		if gno >= r.first && gno <= r.last {
			return true
		}
	}
	return false
}

// covers reports whether every GTID of t is in s.
func (s gtidSet) covers(t gtidSet) bool {
	for _, u := range t {
		at, found := s.find(u.uuid)
		for _, r := range u.ranges {
			if !found || !slices.ContainsFunc(s[at].ranges, func(o gtidRange) bool { return o.first <= r.first && r.last <= o.last }) {
				return false
			}
		}
	}
	return true
}

// last returns the highest number of id, 0 when there is none.
func (s gtidSet) last(id [16]byte) int64 {
	at, found := s.find(id)
	if !found {
		return 0
	}
	return s[at].ranges[len(s[at].ranges)-1].last
}

// String returns MySQL's text form on one line.
func (s gtidSet) String() string {
	var b strings.Builder
	for i, u := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(formatUUID(u.uuid))
		for _, r := range u.ranges {
			b.WriteByte(':')
			b.WriteString(strconv.FormatInt(r.first, 10))
			if r.last > r.first {
				b.WriteByte('-')
				b.WriteString(strconv.FormatInt(r.last, 10))
			}
		}
	}
	return b.String()
}

// encode returns the binary form of PREVIOUS_GTIDS and COM_BINLOG_DUMP_GTID:
// the number of UUIDs; each UUID, its number of intervals, and of each interval
// the first number and the one behind the last, 8 bytes each.
func (s gtidSet) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(s)))
	for _, u := range s {
		b = append(b, u.uuid[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(u.ranges)))
		for _, r := range u.ranges {
			b = binary.LittleEndian.AppendUint64(b, uint64(r.first))
			b = binary.LittleEndian.AppendUint64(b, uint64(r.last+1))
		}
	}
	return b
}

var errGTIDBytes = errors.New("decode gtid set: malformed bytes")

// decodeGTIDs reads what encode writes.
func decodeGTIDs(b []byte) (gtidSet, error) {
	next := func() (v uint64, ok bool) {
		if len(b) < 8 {
			return 0, false
		}
		v, b = binary.LittleEndian.Uint64(b), b[8:]
		return v, true
	}
	n, ok := next()
	if !ok || n>>56 != 0 {
		return nil, errGTIDBytes // the top byte announces tags, which are not served
	}
	var set gtidSet
	for range n {
		if len(b) < 16 {
			return nil, errGTIDBytes
		}
		id := [16]byte(b)
		b = b[16:]
		intervals, ok := next()
		if !ok || intervals > uint64(len(b)/16) {
			return nil, errGTIDBytes
		}
		for range intervals {
			first, _ := next()
			end, _ := next()
			if first < 1 || end <= first || end > 1<<63-1 {
				return nil, errGTIDBytes
			}
			set = set.add(id, gtidRange{int64(first), int64(end) - 1})
		}
	}
	return set, nil
}

// subtract returns the GTIDs of s that are not in t.
func (s gtidSet) subtract(t gtidSet) gtidSet {
	var out gtidSet
	for _, u := range s {
		left := u.ranges
		if at, found := t.find(u.uuid); found {
			for _, cut := range t[at].ranges {
				left = without(left, cut)
			}
		}
		if len(left) > 0 {
			out = append(out, uuidSet{u.uuid, left})
		}
	}
	return out
}

// without returns the parts of ranges outside cut.
func without(ranges []gtidRange, cut gtidRange) []gtidRange {
	var out []gtidRange
	for _, r := range ranges {
		if first := (gtidRange{r.first, min(r.last, cut.first-1)}); first.first <= first.last {
			out = append(out, first)
		}
		if last := (gtidRange{max(r.first, cut.last+1), r.last}); last.first <= last.last {
			out = append(out, last)
		}
	}
	return out
}
