package config

import (
	"fmt"
	"strconv"
	"strings"
)

// IDRange is a range of replication server ids, both ends included.
type IDRange struct{ First, Last uint32 }

// String returns first-last, or the one id.
func (r IDRange) String() string {
	if r.First == r.Last {
		return strconv.FormatUint(uint64(r.First), 10)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Len counts the ids of r.
func (r IDRange) Len() int { return int(int64(r.Last) - int64(r.First) + 1) }

// Overlaps reports whether an id is in both.
func (r IDRange) Overlaps(q IDRange) bool { return r.First <= q.Last && q.First <= r.Last }

func (r *IDRange) parseText(text string) error {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 32)
	b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 32)
	switch {
	case errA != nil || errB != nil:
		return badText("bad-range", "%q is no range of server ids: write 5400-5499", text)
	case a == 0:
		return badText("bad-range", "server id 0 is no id: MySQL's go from 1 to 4294967295")
	case a > b:
		e := badText("bad-range", "the range %q ends before it begins", text)
		e.fix = fmt.Sprintf("%d-%d", b, a)
		return e
	}
	r.First, r.Last = uint32(a), uint32(b)
	return nil
}

// maxNames bounds the shards of one source.
const maxNames = 1024

// Names is a list of shard ids.
type Names []string

func (n *Names) parseText(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		ids, err := expandNames(part)
		if err != nil {
			return err
		}
		if *n = append(*n, ids...); len(*n) > maxNames {
			return badText("out-of-range", "%q names more than %d shards", text, maxNames)
		}
	}
	return nil
}

// expandNames returns the ids of one name or range. A range keeps the width of
// its ends: 00..11, 8..12 and a08..a12 are ranges.
func expandNames(part string) ([]string, error) {
	first, last, isRange := strings.Cut(part, "..")
	if !isRange {
		if !patterns["shard"].re.MatchString(part) {
			return nil, badText("bad-name", "%q is no shard id: %s", part, patterns["shard"].says)
		}
		return []string{part}, nil
	}
	prefix := strings.TrimRight(first, "0123456789")
	tail, samePrefix := strings.CutPrefix(last, prefix)
	a, errA := strconv.ParseUint(first[len(prefix):], 10, 32)
	b, errB := strconv.ParseUint(tail, 10, 32)
	if !samePrefix || errA != nil || errB != nil || a > b {
		return nil, badText("bad-range", "%q is no range of shard ids: write 00..11, the smaller first", part)
	}
	if b-a >= maxNames {
		return nil, badText("out-of-range", "%q names more than %d shards", part, maxNames)
	}
	width := 0
	if len(first)-len(prefix) == len(tail) {
		width = len(tail)
	}
	ids := make([]string, 0, b-a+1)
	for i := a; i <= b; i++ {
		id := fmt.Sprintf("%s%0*d", prefix, width, i)
		if !patterns["shard"].re.MatchString(id) {
			return nil, badText("bad-name", "%q is no shard id: %s", id, patterns["shard"].says)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
