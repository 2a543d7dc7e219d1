package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/standstill"
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
	// buckets are those of metrics that say nothing else.
	buckets int
}

// onBoth runs a test on miniredis and on a real Redis.
func onBoth(t *testing.T, run func(b *bench)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { onMini(t, run) })
	t.Run("redis", func(t *testing.T) { run(newBench(t, nil, realRedis(t))) })
}

// onEvery runs a test on both, with metrics that are whole and with metrics in
// three buckets.
func onEvery(t *testing.T, run func(b *bench)) {
	t.Helper()
	onBoth(t, run)
	wide := func(b *bench) { b.buckets = 3; run(b) }
	t.Run("miniredis, 3 buckets", func(t *testing.T) { onMini(t, wide) })
	t.Run("redis, 3 buckets", func(t *testing.T) { wide(newBench(t, nil, realRedis(t))) })
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
	return compile(b, func(d *windowing.Definition) {
		d.Buckets = b.buckets
		if change != nil {
			change(d)
		}
	})
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

// hand drives a runner by hand, one step at a time, or those of all buckets.
type hand struct {
	b   *bench
	log *fakeLog
	r   *runner // that of Pune
	all []*runner
}

// hand drives all buckets of a metric.
func (b *bench) hand(l *fakeLog, m *windowing.Metric) *hand {
	h := &hand{b: b, log: l}
	for number := range m.Buckets {
		h.all = append(h.all, b.handOf(l, m, number).r)
	}
	h.r = h.all[windowing.BucketOf(`["Pune"]`, m.Buckets)]
	return h
}

// handOf drives one bucket.
func (b *bench) handOf(l *fakeLog, m *windowing.Metric, number int) *hand {
	r := newRunner(m, number, &WorkerOptions{Source: l, Store: b.store, Logger: discard()}, standstill.New(Waits(discard(), m.Name)))
	return &hand{b: b, log: l, r: r, all: []*runner{r}}
}

// load prepares the runner and fails the test when it cannot.
func (h *hand) load() {
	h.b.Helper()
	if err := h.tryLoad(); err != nil {
		h.b.Fatalf("load: %v", err)
	}
}

func (h *hand) tryLoad() error { return h.each(tryLoad) }

func tryLoad(r *runner) error {
	if err := r.load(context.Background()); err != nil {
		r.refused(err)
		return err
	}
	r.loaded = true
	return nil
}

// each does something with every bucket, and joins the errors.
func (h *hand) each(do func(*runner) error) error {
	var errs []error
	for _, r := range h.all {
		errs = append(errs, do(r))
	}
	return errors.Join(errs...)
}

// fold reads up to n records of a partition.
func (h *hand) fold(p int32, n int64) {
	h.b.Helper()
	for _, r := range h.all {
		next, ok := r.fold.Next(p)
		if !ok {
			h.b.Fatalf("partition %d is not started", p)
		}
		for i := next; i < min(next+n, h.log.end(p)); i++ {
			if err := r.fold.Add(&h.log.parts[p][i]); err != nil {
				h.b.Fatalf("fold offset %d: %v", i, err)
			}
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
func (h *hand) tryFlush() error { return h.each(tryFlush) }

func tryFlush(r *runner) error {
	ctx := context.Background()
	for {
		t, err := r.t.merge(ctx, r.fold.Cut(), r.need)
		if err != nil {
			r.refused(err)
			return err
		}
		r.fold.Commit()
		r.need = t.need
		r.merged(t, 0)
		if len(t.need) > 0 {
			continue
		}
		if r.t.b.wide() {
			return r.t.look(ctx)
		}
		return nil
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
