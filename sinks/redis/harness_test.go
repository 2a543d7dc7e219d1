package redis

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

// bench is what a test of the scripts works with: a store, a log and metrics.
type bench struct {
	*testing.T
	mini   *miniredis.Miniredis // nil on a real server
	url    string
	store  *Store
	client goredis.UniversalClient
}

// onBoth runs a test on miniredis and on a real Redis.
func onBoth(t *testing.T, run func(b *bench)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { onMini(t, run) })
	t.Run("redis", func(t *testing.T) { run(newBench(t, nil, realRedis(t))) })
}

// onMini runs a test on miniredis.
func onMini(t *testing.T, run func(b *bench)) {
	t.Helper()
	m := miniredis.RunT(t)
	run(newBench(t, m, "redis://"+m.Addr()))
}

func realRedis(t testing.TB) string {
	t.Helper()
	return "redis://" + testenv.Redis(t).Addr
}

func newBench(t *testing.T, m *miniredis.Miniredis, url string) *bench {
	t.Helper()
	s, err := Open(Options{URL: url})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return &bench{T: t, mini: m, url: url, store: s, client: s.client}
}

// metric compiles a definition over ordersColumns with small windows of ten
// seconds, two partitions and the shards 00 and 01.
func (b *bench) metric(change func(d *windowing.Definition)) *windowing.Metric {
	b.Helper()
	return compile(b, change)
}

func compile(t testing.TB, change func(d *windowing.Definition)) *windowing.Metric {
	t.Helper()
	d := windowing.Definition{
		Name: "gmv", View: "orders", Topic: "tw.shop.orders", Size: 10 * time.Second, Aggregate: "sum(amount)",
		GroupBy: []string{"city"}, Retain: 10 * time.Minute, WriteDelay: 5 * time.Second,
		Shards: []string{"00", "01"}, Partitions: 2,
	}
	if change != nil {
		change(&d)
	}
	m, err := windowing.Compile(d, ordersColumns, nil)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return m
}

// hand drives a runner by hand, one step at a time.
type hand struct {
	b   *bench
	log *fakeLog
	r   *runner
}

func (b *bench) hand(l *fakeLog, m *windowing.Metric) *hand {
	return &hand{b: b, log: l, r: newRunner(m, &WorkerOptions{Source: l, Store: b.store, Logger: discard()})}
}

// load prepares the runner and fails the test when it cannot.
func (h *hand) load() {
	h.b.Helper()
	if err := h.tryLoad(); err != nil {
		h.b.Fatalf("load: %v", err)
	}
}

func (h *hand) tryLoad() error {
	if err := h.r.load(context.Background()); err != nil {
		h.r.refused(err)
		return err
	}
	h.r.loaded = true
	return nil
}

// fold reads up to n records of a partition.
func (h *hand) fold(p int32, n int64) {
	h.b.Helper()
	next, ok := h.r.fold.Next(p)
	if !ok {
		h.b.Fatalf("partition %d is not started", p)
	}
	for i := next; i < min(next+n, h.log.end(p)); i++ {
		if err := h.r.fold.Add(&h.log.parts[p][i]); err != nil {
			h.b.Fatalf("fold offset %d: %v", i, err)
		}
	}
}

// foldAll reads every partition to its end.
func (h *hand) foldAll() {
	h.b.Helper()
	for p := range h.log.parts {
		h.fold(int32(p), 1<<40)
	}
}

// flush merges and fails the test when the store refuses.
func (h *hand) flush() {
	h.b.Helper()
	if err := h.tryFlush(); err != nil {
		h.b.Fatalf("flush: %v", err)
	}
}

// tryFlush merges as runner.flush does and returns what the store said.
func (h *hand) tryFlush() error {
	ctx := context.Background()
	for {
		t, err := h.r.t.merge(ctx, h.r.fold.Cut(), h.r.need)
		if err != nil {
			h.r.refused(err)
			return err
		}
		h.r.fold.Commit()
		h.r.need = t.need
		h.r.merged(t, 0)
		if len(t.need) == 0 {
			return nil
		}
	}
}

// sync loads, reads everything and flushes.
func (h *hand) sync() {
	h.b.Helper()
	h.load()
	h.foldAll()
	h.flush()
}

// window reads a public window and fails the test when there is none.
func (b *bench) window(m *windowing.Metric, start int64) *Window {
	b.Helper()
	w, err := b.store.Window(context.Background(), m.Name, time.Unix(start, 0))
	if err != nil {
		b.Fatalf("window %d: %v", start, err)
	}
	return w
}

// describe is state, completeness and missing shards in one line.
func describe(w *Window) string {
	c := "incomplete"
	if w.Complete {
		c = "complete"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", w.State, c, strings.Join(w.Missing, ",")))
}

// discard is a logger for tests that look at the store.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
