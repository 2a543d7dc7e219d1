package redis

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"tailwater/internal/failpoint"
	"tailwater/windowing"
)

// table is one generation of one bucket of a metric in the store. It holds no
// state but its role; one goroutine uses it.
type table struct {
	s *Store
	m *windowing.Metric
	b bucket
	// tag names the bucket, in keys and for people.
	tag  string
	role role
	keys keys
	// other is the generation that has the bucket's public keys while this one
	// is a candidate.
	other string
	// rival is the generation whose windows readers see, in place of this one's.
	rival public
	args  []any
	names []string
}

func (s *Store) table(m *windowing.Metric, number int) *table {
	b := bucket{number, m.Buckets}
	t := &table{s: s, m: m, b: b, tag: b.tag(m.Name)}
	t.setRole(current, "")
	return t
}

// stored is the bookkeeping of a table.
type stored struct {
	exists, open bool
	positions    []windowing.Position
	floor        int64
	watermark    int64
	shards       string
	// starts are those of all windows, ascending.
	starts []int64
}

// windowTTL and stateTTL are backstops for metrics that nobody works on any
// more: windows are deleted by the script that raises the floor. The
// bookkeeping goes first, so that what is left without it is rebuilt, never
// continued; workers extend the windows' time every half retain.
func (t *table) windowTTL() time.Duration {
	return 2*t.m.Retain + t.m.Size + t.m.Lateness + t.m.WaitForShards + time.Hour
}

func (t *table) stateTTL() time.Duration { return t.windowTTL() - t.m.Retain/2 - time.Minute }

func millis(d time.Duration) string { return itoa(d.Milliseconds()) }

func (t *table) shards() string { return strings.Join(t.m.Shards, " ") }

func (t *table) size() int64 { return int64(t.m.Size / time.Second) }

// load reads the bookkeeping at one moment.
func (t *table) load(ctx context.Context) (*stored, error) {
	h, err := t.s.client.HGetAll(ctx, t.keys.state()).Result()
	if err == nil {
		err = failpoint.Err(failpoint.RedisPositionsLoading, io.EOF)
	}
	if err != nil {
		return nil, explain("load positions", err)
	}
	st := &stored{exists: h["v"] != "", positions: make([]windowing.Position, t.m.Partitions), shards: h["shards"]}
	_, st.open = h["open"]
	if v := h["v"]; v != "" && v != "1" {
		return nil, replyError([]string{"FORMAT", v})
	}
	if n := h["partitions"]; n != "" && n != strconv.Itoa(t.m.Partitions) {
		return nil, replyError([]string{"PARTITIONS", n})
	}
	for field, text := range h {
		if err := t.loadField(st, h, field, text); err != nil {
			return nil, fmt.Errorf("load positions of metric %s: %w", t.tag, err)
		}
	}
	slices.Sort(st.starts)
	return st, nil
}

// loadField reads one field of the bookkeeping.
func (t *table) loadField(st *stored, h map[string]string, field, text string) error {
	kind, name, _ := strings.Cut(field, ":")
	switch kind {
	case "floor", "watermark":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: field %s", ErrCorrupt, field)
		}
		if kind == "floor" {
			st.floor = n
		} else {
			st.watermark = n
		}
	case "w":
		n, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: field %s", ErrCorrupt, field)
		}
		st.starts = append(st.starts, n)
	case "p":
		n, err := strconv.Atoi(name)
		if err != nil || n < 0 || n >= len(st.positions) {
			return fmt.Errorf("%w: field %s", ErrCorrupt, field)
		}
		at, err := parsePosition(text)
		if err != nil {
			return err
		}
		if at.Marks, err = parseMarks(h["m:"+name]); err != nil {
			return err
		}
		st.positions[n] = at
	}
	return nil
}

// setShards replaces the stored list of shards by the metric's.
func (t *table) setShards(ctx context.Context, st *stored) error {
	args := []any{st.shards, t.shards(), 0}
	n := 0
	for p, at := range st.positions {
		if at.Incarnation == "" {
			continue
		}
		n++
		args = append(args, p, positionText(at), boundsText(windowing.WatermarksOf(t.m.Shards, at.Marks)))
	}
	args[2] = n
	return t.call(ctx, "replace the list of shards", shardsScript, []string{t.keys.state()}, args)
}

// touch extends the time of every window, so that none expires while somebody
// works on the metric. It writes nothing else and needs no order.
func (t *table) touch(ctx context.Context) error {
	starts, err := t.s.client.ZRange(ctx, t.keys.windows(), 0, -1).Result()
	if err != nil {
		return explain("list windows", err)
	}
	pipe := t.s.client.Pipeline()
	for _, start := range starts {
		for _, key := range t.keys.window(nil, start) {
			pipe.PExpire(ctx, key, t.windowTTL())
		}
	}
	if len(starts) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return explain("extend windows", err)
	}
	return nil
}
