package windowing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"tailwater/change"
)

// Rows says which events a metric counts.
type Rows string

// What is counted; see the package comment.
const (
	Changes Rows = "changes"
	Inserts Rows = "inserts"
	Latest  Rows = "latest"
)

// CommitTime is the time of a transaction's commit.
const CommitTime = "commit"

// OnLate says what a late event does.
type OnLate string

// What a late event does: Revise applies it and publishes the window again,
// Drop counts it and leaves the window.
const (
	Revise OnLate = "revise"
	Drop   OnLate = "drop"
)

// Defaults of a Definition.
const (
	DefaultMaxGroups  = 100_000
	DefaultBuckets    = 1
	DefaultWriteDelay = time.Minute
	DefaultRetain     = 12 * time.Hour
	DefaultSize       = 5 * time.Minute
)

// MaxBuckets is the most buckets that a metric can be split into: a Router
// names those of an event in 64 bits.
const MaxBuckets = 64

// maxWindows bounds the windows that a metric may keep at once.
const maxWindows = 100_000

// Predicate is a compiled condition over a view's columns.
type Predicate interface {
	// Eval reports whether the condition is true: neither false nor NULL.
	Eval(row change.Row) (bool, error)
	// Columns returns the indexes of the columns that are read, ascending.
	Columns() []int
}

// Definition says what a metric is.
type Definition struct {
	// Name is part of every key; letters, digits, _ and -.
	Name string
	// View is the view whose events are counted, Topic the stream's name of it.
	View, Topic string
	// Size is the length of a window, in whole seconds. 0 is 5 minutes.
	Size time.Duration
	// Aggregate is what ParseAggregate reads.
	Aggregate string
	// Rows says what is counted. "" is Changes.
	Rows Rows
	// Time is the DATE, DATETIME or TIMESTAMP column of the view whose time, in
	// UTC, puts a row into a window. "" is CommitTime.
	Time string
	// Where is the text of the condition that Compile gets compiled.
	Where string
	// GroupBy are columns of the view. Without them there is one group, [].
	GroupBy []string
	// MaxGroups bounds the groups of one window; beyond it the metric stops.
	// 0 is 100,000.
	MaxGroups int
	// Buckets is the number of parts that the groups of a wide metric are
	// divided into, each kept by itself; BucketOf says which has a group. 0 is 1.
	Buckets int
	// OnLate says what a late event does. "" is Revise.
	OnLate OnLate
	// Lateness is how long, in log time, a window stays open after its end.
	Lateness time.Duration
	// WaitForShards is how long, in log time, a silent shard may hold a window
	// open. 0 is for ever.
	WaitForShards time.Duration
	// Retain is how long a window is kept after its end, in log time. 0 is 12 hours.
	Retain time.Duration
	// WriteDelay is the longest that a write to the stream can be delayed. It
	// sets how much is given up as lost when the stream's older records are
	// gone. 0 is one minute.
	WriteDelay time.Duration
	// Shards are all shards whose watermarks a window waits for.
	Shards []string
	// Partitions is the number of partitions of Topic.
	Partitions int
}

// Metric is a compiled definition. It is immutable and safe for concurrent use.
type Metric struct {
	Definition
	aggregate  Aggregate
	where      Predicate
	columns    []change.Column
	generation string
}

var (
	metricName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
	shardName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
)

// Compile checks a definition against the columns of its view and fills in the
// defaults. where is the compiled condition, or nil when Where is empty. All
// mistakes are returned at once.
func Compile(d Definition, columns []change.Column, where Predicate) (*Metric, error) {
	d.fill()
	m := &Metric{Definition: d, where: where, columns: columns}
	errs := d.check()
	agg, err := ParseAggregate(d.Aggregate, columns)
	if err != nil {
		errs = append(errs, err)
	}
	m.aggregate = agg
	for _, name := range d.GroupBy {
		if !slices.ContainsFunc(columns, func(c change.Column) bool { return c.Name == name }) {
			errs = append(errs, fmt.Errorf("group_by: view %s has no column %q", d.View, name))
		}
	}
	errs = append(errs, m.checkTime()...)
	if (d.Where == "") != (where == nil) {
		errs = append(errs, fmt.Errorf("where: the text %q and its compiled condition must go together", d.Where))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("compile metric %s: %w", d.Name, err)
	}
	m.generation = m.hash()
	return m, nil
}

// checkTime checks what puts rows into windows.
func (m *Metric) checkTime() []error {
	if m.Time == CommitTime {
		if m.Rows == Latest {
			return []error{errors.New("time commit: rows: latest needs a column of the row, or an update would move it")}
		}
		return nil
	}
	i := slices.IndexFunc(m.columns, func(c change.Column) bool { return c.Name == m.Time })
	if i < 0 {
		return []error{fmt.Errorf("time: view %s has no column %q", m.View, m.Time)}
	}
	if t := m.columns[i].Type; !timed[t] {
		return []error{fmt.Errorf("time: column %s is %s, want date, datetime or timestamp", m.Time, t)}
	}
	return nil
}

func (d *Definition) fill() {
	if d.Size == 0 {
		d.Size = DefaultSize
	}
	if d.Rows == "" {
		d.Rows = Changes
	}
	if d.Time == "" {
		d.Time = CommitTime
	}
	if d.OnLate == "" {
		d.OnLate = Revise
	}
	if d.MaxGroups == 0 {
		d.MaxGroups = DefaultMaxGroups
	}
	if d.Buckets == 0 {
		d.Buckets = DefaultBuckets
	}
	if d.Retain == 0 {
		d.Retain = DefaultRetain
	}
	if d.WriteDelay == 0 {
		d.WriteDelay = DefaultWriteDelay
	}
	d.GroupBy = slices.Clone(d.GroupBy)
	d.Shards = slices.Clone(d.Shards)
	slices.Sort(d.Shards)
}

func (d *Definition) check() (errs []error) {
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(!metricName.MatchString(d.Name), "name %q: want a letter, then letters, digits, _ or -", d.Name)
	bad(d.View == "" || d.Topic == "", "view and topic must be named")
	bad(d.Size < time.Second || d.Size%time.Second != 0, "size %v: want whole seconds", d.Size)
	bad(d.Rows != Changes && d.Rows != Inserts && d.Rows != Latest, "rows %q: want changes, inserts or latest", d.Rows)
	bad(d.Rows == Latest && d.OnLate != Revise, "on_late %q: rows: latest takes rows back, which drop would break; want revise", d.OnLate)
	bad(d.OnLate != Revise && d.OnLate != Drop, "on_late %q: want revise or drop", d.OnLate)
	bad(d.MaxGroups < 0, "max_groups %d: want a positive number", d.MaxGroups)
	bad(d.Buckets < 1 || d.Buckets > MaxBuckets, "buckets %d: want 1 to %d", d.Buckets, MaxBuckets)
	bad(d.Lateness < 0 || d.WaitForShards < 0 || d.WriteDelay < 0, "lateness, wait_for_shards and write delay must not be negative")
	bad(d.Retain < d.Size, "retain %v: want at least the size %v", d.Retain, d.Size)
	bad(d.Size > 0 && d.Retain/d.Size > maxWindows, "retain %v keeps more than %d windows of %v", d.Retain, maxWindows, d.Size)
	bad(d.Partitions < 1, "topic %s: want its number of partitions", d.Topic)
	bad(len(d.Shards) == 0, "no shard is expected")
	for i, s := range d.Shards {
		bad(!shardName.MatchString(s), "shard %q: want letters, digits, _, . or -", s)
		bad(i > 0 && d.Shards[i-1] == s, "shard %q is named twice", s)
	}
	seen := map[string]bool{}
	for _, g := range d.GroupBy {
		bad(seen[g], "group_by: %q is named twice", g)
		seen[g] = true
	}
	return errs
}

// hash returns the generation: what the values depend on, and nothing else.
func (m *Metric) hash() string {
	parts := []any{1, m.View, m.Topic, m.sizeSeconds(), m.aggregate.String(), m.Rows, m.Where, m.GroupBy, m.OnLate, m.Lateness}
	if m.Time != CommitTime {
		parts = append(parts, m.Time)
	}
	if m.Buckets > 1 {
		parts = append(parts, map[string]int{"buckets": m.Buckets})
	}
	b, err := json.Marshal(parts)
	if err != nil {
		panic("windowing: plain values cannot fail to marshal: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

func (m *Metric) sizeSeconds() int64 { return int64(m.Size / time.Second) }

// Generation is a hash of everything that the metric's values depend on. A
// metric whose definition changes is another generation, built beside the old
// one until it has caught up. The number of buckets is part of it, for it says
// where a group's value is kept. What changes neither (max_groups, retain,
// wait_for_shards, shards) is not.
func (m *Metric) Generation() string { return m.generation }

// Aggregate returns the compiled aggregate.
func (m *Metric) Aggregate() Aggregate { return m.aggregate }
