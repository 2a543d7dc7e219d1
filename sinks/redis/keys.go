package redis

import "strconv"

// role says whose window keys a generation writes: the public ones, or its own
// beside them until it has caught up.
type role string

const (
	current   role = "current"
	candidate role = "candidate"
)

// bucket is one of the parts that a metric's groups are divided into: a number
// from 0, of so many.
type bucket struct{ number, of int }

// wide reports whether there are others.
func (b bucket) wide() bool { return b.of > 1 }

// speaks reports whether the bucket speaks for all of its metric: the last does.
func (b bucket) speaks() bool { return b.number == b.of-1 }

// tag is what stands between the braces of the bucket's keys: the metric's name,
// and its own number when it is not the only one. A metric's name has no dot.
func (b bucket) tag(metric string) string {
	if !b.wide() {
		return metric
	}
	return metric + "." + strconv.Itoa(b.number)
}

// bucketsOf lists the buckets of a metric that is divided into n.
func bucketsOf(n int) []bucket {
	out := make([]bucket, max(1, n))
	for i := range out {
		out[i] = bucket{i, len(out)}
	}
	return out
}

// keys names the keys of one generation of a bucket. The braces are literal:
// they are Redis's hash tag, which keeps a bucket's keys in one slot.
type keys struct {
	base string // tw:{metric}: or tw:{metric.bucket}:
	gen  string
	pub  string // base, or base + "c:<generation>:"
}

func (s *Store) keys(tag, gen string, r role) keys {
	k := keys{base: s.prefix + "{" + tag + "}:", gen: gen}
	k.pub = k.base
	if r == candidate {
		k.pub += "c:" + gen + ":"
	}
	return k
}

func (k keys) generations() string { return k.base + "gen" }
func (k keys) state() string       { return k.base + "s:" + k.gen }
func (k keys) windows() string     { return k.pub + "windows" }

func (k keys) events() string { return k.base + "events" }

func (k keys) accumulators(start string) string { return k.base + "a:" + k.gen + ":" + start }
func (k keys) values(start string) string       { return k.pub + "w:" + start }
func (k keys) meta(start string) string         { return k.pub + "meta:" + start }

func (k keys) ordered(start string) string { return k.base + "o:" + k.gen + ":" + start }

// window appends the four keys of a window.
func (k keys) window(dst []string, start string) []string {
	return append(dst, k.accumulators(start), k.values(start), k.meta(start), k.ordered(start))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
