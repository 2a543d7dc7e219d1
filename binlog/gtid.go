package binlog

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// UUID is the 16 bytes of a server's uuid.
type UUID [16]byte

// GTID names one transaction. Tag is empty or a lower-case tag of MySQL 8.3+.
type GTID struct {
	UUID UUID
	Tag  string
	GNO  int64
}

// maxGNO is the largest transaction number that MySQL gives.
const maxGNO = math.MaxInt64 - 1

// interval is the transactions first..last, both included.
type interval struct{ first, last int64 }

// lane is the transactions of one uuid and tag.
type lane struct {
	uuid UUID
	tag  string
	// ivs are sorted, disjoint and never adjacent.
	ivs []interval
	// text caches the intervals but the last, as ":1-7:9"; it is rebuilt when
	// stale. Commits come in order, so it nearly never is.
	text  []byte
	stale bool
}

// GTIDSet is an exact set of GTIDs: gaps are kept, because a server may commit
// 1-7 and 9 before 8, and whoever flattened that into 1-9 would lose 8. The
// zero value is the empty set. It is not safe for concurrent use.
type GTIDSet struct {
	// lanes are sorted by uuid, then tag; none is empty.
	lanes []lane
}

// ParseGTIDSet reads MySQL's text form: uuids separated by commas, each with
// intervals and tags separated by colons, as uuid:1-5:7:tag:1-3. White space
// and the order do not matter; intervals may overlap.
func ParseGTIDSet(s string) (*GTIDSet, error) {
	set := &GTIDSet{}
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if err := set.parseItem(item); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// parseItem reads uuid:(interval|tag)… into the set.
func (s *GTIDSet) parseItem(item string) error {
	head, rest, ok := strings.Cut(item, ":")
	id, err := ParseUUID(strings.TrimSpace(head))
	if err != nil || !ok {
		return fmt.Errorf("parse gtid set at %q: want uuid:first-last[:first-last…]", abridge(item))
	}
	tag, used := "", false
	for part := range strings.SplitSeq(rest, ":") {
		part = strings.TrimSpace(part)
		if t, ok := parseTag(part); ok {
			if tag != "" && !used {
				return fmt.Errorf("parse gtid set at %q: tag %q has no interval", abridge(item), tag)
			}
			tag, used = t, false
			continue
		}
		iv, err := parseInterval(part)
		if err != nil {
			return fmt.Errorf("parse gtid set at %q: %w", abridge(item), err)
		}
		used = true
		s.addInterval(id, tag, iv)
	}
	if !used {
		return fmt.Errorf("parse gtid set at %q: it ends without an interval", abridge(item))
	}
	return nil
}

// parseTag reads a tag: a letter or underscore, then at most 31 letters,
// digits and underscores. MySQL lowers its case.
func parseTag(s string) (string, bool) {
	if s == "" || len(s) > 32 {
		return "", false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		letter := 'a' <= c && c <= 'z' || s[i] == '_'
		digit := '0' <= s[i] && s[i] <= '9'
		if !letter && (i == 0 || !digit) {
			return "", false
		}
	}
	return strings.ToLower(s), true
}

// parseInterval reads "7" or "1-7".
func parseInterval(s string) (interval, error) {
	a, b, ranged := strings.Cut(s, "-")
	first, err := strconv.ParseInt(strings.TrimSpace(a), 10, 64)
	last := first
	if err == nil && ranged {
		last, err = strconv.ParseInt(strings.TrimSpace(b), 10, 64)
	}
	if err != nil || first < 1 || last < first || last > maxGNO {
		return interval{}, fmt.Errorf("%q is not an interval such as 7 or 1-7", abridge(s))
	}
	return interval{first, last}, nil
}

// abridge keeps foreign text short in errors.
func abridge(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// ParseUUID reads 36 characters of hex digits and dashes, or 32 hex digits.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	digits := s
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		digits = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(digits) != 32 {
		return u, fmt.Errorf("parse uuid %q: want 36 characters such as 3e11fa47-71ca-11e1-9e33-c80aa9429562", abridge(s))
	}
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return u, fmt.Errorf("parse uuid %q: %w", abridge(s), err)
	}
	return u, nil
}

const hexDigits = "0123456789abcdef"

// Append appends the 36 characters of u to dst.
func (u UUID) Append(dst []byte) []byte {
	var b [36]byte
	at := 0
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b[at] = '-'
			at++
		}
		b[at], b[at+1] = hexDigits[c>>4], hexDigits[c&15]
		at += 2
	}
	return append(dst, b[:]...)
}

// String returns the 36 characters of u.
func (u UUID) String() string {
	var b [36]byte
	return string(u.Append(b[:0]))
}

// Append appends uuid:gno or uuid:tag:gno to dst.
func (g GTID) Append(dst []byte) []byte {
	dst = g.UUID.Append(dst)
	dst = append(dst, ':')
	if g.Tag != "" {
		dst = append(dst, g.Tag...)
		dst = append(dst, ':')
	}
	return strconv.AppendInt(dst, g.GNO, 10)
}

// String returns uuid:gno or uuid:tag:gno.
func (g GTID) String() string {
	var b [96]byte
	return string(g.Append(b[:0]))
}

// find returns where the lane of id and tag is, or belongs.
func (s *GTIDSet) find(id UUID, tag string) (int, bool) {
	if n := len(s.lanes); n == 1 && s.lanes[0].uuid == id && s.lanes[0].tag == tag {
		return 0, true
	}
	return slices.BinarySearchFunc(s.lanes, tag, func(l lane, tag string) int {
		return cmp.Or(bytes.Compare(l.uuid[:], id[:]), cmp.Compare(l.tag, tag))
	})
}

// Add adds one transaction.
func (s *GTIDSet) Add(g GTID) { s.addInterval(g.UUID, g.Tag, interval{g.GNO, g.GNO}) }

// addInterval adds the transactions of iv.
func (s *GTIDSet) addInterval(id UUID, tag string, iv interval) {
	i, ok := s.find(id, tag)
	if !ok {
		s.lanes = slices.Insert(s.lanes, i, lane{uuid: id, tag: tag, ivs: []interval{iv}, stale: true})
		return
	}
	s.lanes[i].add(iv)
}

// add adds the transactions of iv. The common case, the transaction behind the
// last one, touches one number.
func (l *lane) add(iv interval) {
	n := len(l.ivs)
	if last := &l.ivs[n-1]; last.last+1 == iv.first {
		last.last = iv.last
		return
	}
	// ivs[a:b] touch or overlap iv.
	a, _ := slices.BinarySearchFunc(l.ivs, iv.first-1, func(x interval, t int64) int { return cmp.Compare(x.last, t) })
	b := a
	for b < n && l.ivs[b].first <= iv.last+1 {
		iv.first, iv.last = min(iv.first, l.ivs[b].first), max(iv.last, l.ivs[b].last)
		b++
	}
	l.ivs = slices.Replace(l.ivs, a, b, iv)
	l.stale = true
}

// Contains reports whether one transaction is in the set.
func (s *GTIDSet) Contains(g GTID) bool {
	i, ok := s.find(g.UUID, g.Tag)
	if !ok {
		return false
	}
	ivs := s.lanes[i].ivs
	j, _ := slices.BinarySearchFunc(ivs, g.GNO, func(x interval, t int64) int { return cmp.Compare(x.last, t) })
	return j < len(ivs) && ivs[j].first <= g.GNO
}

// ContainsSet reports whether every transaction of t is in s.
func (s *GTIDSet) ContainsSet(t *GTIDSet) bool { return t.Minus(s).IsEmpty() }

// Equal reports whether both sets hold the same transactions.
func (s *GTIDSet) Equal(t *GTIDSet) bool {
	return slices.EqualFunc(s.lanes, t.lanes, func(a, b lane) bool {
		return a.uuid == b.uuid && a.tag == b.tag && slices.Equal(a.ivs, b.ivs)
	})
}

// IsEmpty reports whether the set holds no transaction.
func (s *GTIDSet) IsEmpty() bool { return len(s.lanes) == 0 }

// Clone returns a copy that shares nothing with s.
func (s *GTIDSet) Clone() *GTIDSet {
	c := &GTIDSet{lanes: slices.Clone(s.lanes)}
	for i := range c.lanes {
		c.lanes[i].ivs = slices.Clone(c.lanes[i].ivs)
		c.lanes[i].text, c.lanes[i].stale = nil, true
	}
	return c
}

// Union adds every transaction of t to s.
func (s *GTIDSet) Union(t *GTIDSet) {
	for _, l := range t.lanes {
		for _, iv := range l.ivs {
			s.addInterval(l.uuid, l.tag, iv)
		}
	}
}

// Minus returns the transactions of s that are not in t.
func (s *GTIDSet) Minus(t *GTIDSet) *GTIDSet {
	out := &GTIDSet{}
	for _, l := range s.lanes {
		ivs := l.ivs
		if i, ok := t.find(l.uuid, l.tag); ok {
			ivs = minus(ivs, t.lanes[i].ivs)
		}
		if len(ivs) > 0 {
			out.lanes = append(out.lanes, lane{uuid: l.uuid, tag: l.tag, ivs: slices.Clone(ivs), stale: true})
		}
	}
	return out
}

// And returns the transactions of s that are in t as well.
func (s *GTIDSet) And(t *GTIDSet) *GTIDSet { return s.Minus(s.Minus(t)) }

// Count returns how many transactions the set holds.
func (s *GTIDSet) Count() uint64 {
	var n uint64
	for i := range s.lanes {
		for _, iv := range s.lanes[i].ivs {
			n += uint64(iv.last - iv.first + 1)
		}
	}
	return n
}

// of returns the transactions that one server gave their names to.
func (s *GTIDSet) of(uuid string) *GTIDSet {
	out := &GTIDSet{}
	id, err := ParseUUID(uuid)
	for _, l := range s.lanes {
		if err == nil && l.uuid == id {
			out.lanes = append(out.lanes, lane{uuid: l.uuid, tag: l.tag, ivs: slices.Clone(l.ivs), stale: true})
		}
	}
	return out
}

// minus returns what of a is not in b; both are sorted and disjoint.
func minus(a, b []interval) []interval {
	var out []interval
	for _, iv := range a {
		for len(b) > 0 && b[0].last < iv.first {
			b = b[1:]
		}
		for _, cut := range b {
			if cut.first > iv.last {
				break
			}
			if cut.first > iv.first {
				out = append(out, interval{iv.first, cut.first - 1})
			}
			iv.first = cut.last + 1
		}
		if iv.first <= iv.last {
			out = append(out, iv)
		}
	}
	return out
}

// Append appends MySQL's text form of the set to dst, without white space:
// uuids in byte order, each with its untagged intervals first.
func (s *GTIDSet) Append(dst []byte) []byte {
	for i := range s.lanes {
		l := &s.lanes[i]
		if i == 0 || s.lanes[i-1].uuid != l.uuid {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = l.uuid.Append(dst)
		}
		if l.tag != "" {
			dst = append(dst, ':')
			dst = append(dst, l.tag...)
		}
		dst = l.append(dst)
	}
	return dst
}

// append appends ":1-7:9".
func (l *lane) append(dst []byte) []byte {
	n := len(l.ivs)
	if l.stale {
		l.text, l.stale = l.text[:0], false
		for _, iv := range l.ivs[:n-1] {
			l.text = iv.append(l.text)
		}
	}
	return l.ivs[n-1].append(append(dst, l.text...))
}

// append appends ":1-7" or ":9".
func (iv interval) append(dst []byte) []byte {
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, iv.first, 10)
	if iv.last > iv.first {
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, iv.last, 10)
	}
	return dst
}

// String returns MySQL's text form.
func (s *GTIDSet) String() string { return string(s.Append(nil)) }
