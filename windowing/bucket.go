package windowing

import (
	"tailwater/change"
	"tailwater/stream"
)

// BucketOf returns which of so many buckets has a group, the JSON array of its
// values: XXH64 of its bytes, seed 0, modulo their number.
func BucketOf(group string, buckets int) int {
	if buckets <= 1 {
		return 0
	}
	return int(stream.KeyHash([]byte(group)) % uint64(buckets))
}

// BucketMaxGroups is the share of max_groups that one bucket has: the whole
// divided by the number of buckets, rounded up.
func (d *Definition) BucketMaxGroups() int {
	if d.Buckets <= 1 {
		return d.MaxGroups
	}
	return (d.MaxGroups + d.Buckets - 1) / d.Buckets
}

// Router says which buckets of a metric an event may touch, so that it is read
// twice and not once per bucket. It is a pure function of the record. One
// goroutine uses it.
type Router struct {
	buckets uint64
	latest  bool
	members members
	text    []byte
}

// everyBucket is what an event touches that is of a table as a whole, or that
// cannot be read: each bucket then finds out by itself.
const everyBucket = ^uint64(0)

// NewRouter returns a router of the metric. It reads the columns of the group
// only.
func NewRouter(m *Metric) *Router {
	bare := &Metric{Definition: m.Definition, aggregate: count{}, columns: m.columns}
	bare.Time = CommitTime
	return &Router{buckets: uint64(m.Buckets), latest: m.Rows == Latest, members: newMembers(bare)}
}

// Route returns a bit for each bucket with a group that the record may change.
// Fold.Pass is enough for the others.
func (r *Router) Route(rec *stream.Record) uint64 {
	if rec.Kind != stream.Event {
		return 0
	}
	e := &r.members
	if err := e.pick(rec.Value); err != nil {
		return everyBucket
	}
	op, err := e.op()
	if err != nil {
		return everyBucket
	}
	if op == change.OnTable {
		return everyBucket
	}
	bits := r.bit()
	if !r.latest || op != change.Update {
		return bits
	}
	if _, err := e.replace(); err != nil {
		return everyBucket
	}
	if e.raw[e.old] != nil {
		e.swap()
		bits |= r.bit()
		e.swap()
	}
	return bits
}

// bit is that of the bucket of the group that the members hold.
func (r *Router) bit() uint64 {
	r.text = r.members.appendGroup(r.text[:0])
	return 1 << (stream.KeyHash(r.text) % r.buckets)
}
