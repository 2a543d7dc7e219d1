package redis

import "strconv"

// role says whose window keys a generation writes: the public ones, or its own
// beside them until it has caught up.
type role string

const (
	current   role = "current"
	candidate role = "candidate"
)

// keys names the keys of one generation of a metric. The braces are literal:
// they are Redis's hash tag, which keeps a metric's keys in one slot.
type keys struct {
	base string // tw:{metric}:
	gen  string
	pub  string // base, or base + "c:<generation>:"
}

func (s *Store) keys(metric, gen string, r role) keys {
	k := keys{base: s.prefix + "{" + metric + "}:", gen: gen}
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
