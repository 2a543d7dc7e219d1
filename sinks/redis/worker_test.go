package redis

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

// running is a worker that runs until the test ends or stop is called.
type running struct {
	*Worker
	stop func()
}

func (b *bench) work(l *fakeLog, change func(o *WorkerOptions), metrics ...*windowing.Metric) *running {
	b.Helper()
	o := WorkerOptions{Source: l, Store: b.store, Topic: l.topic, Metrics: metrics, FlushEvery: 5 * time.Millisecond, KeepAlive: 50 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	w, err := NewWorker(o)
	if err != nil {
		b.Fatalf("new worker: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	r := &running{Worker: w, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("run: %v", err)
		}
	})}
	b.Cleanup(r.stop)
	return r
}

// await waits until the stored positions are the ends of the log.
func (b *bench) await(l *fakeLog, m *windowing.Metric) {
	b.Helper()
	testenv.Wait(b, 10*time.Second, "metric "+m.Name+" at the end of the log", func() error {
		for number := range m.Buckets {
			st, err := b.store.table(m, number).load(context.Background())
			if err != nil {
				return err
			}
			for p, at := range st.positions {
				if end := l.end(int32(p)); at.Offset != end {
					return fmt.Errorf("bucket %d, partition %d is at %d of %d", number, p, at.Offset, end)
				}
			}
		}
		return nil
	})
	checkExact(b, b.store, l, m)
}

// traffic appends n events of two shards over both partitions.
func traffic(l *fakeLog, from float64, n int) {
	s0, s1 := l.shard("00"), l.shard("01")
	for i := range n {
		at := from + float64(i)/20
		s0.event(int32(i%2), at, fmt.Sprintf(`"city":"c%d","amount":%d.25`, i%7, i))
		s1.event(int32(i/2%2), at, fmt.Sprintf(`"city":"c%d","amount":-%d.5`, i%5, i))
	}
	s0.beat(from + float64(n)/20 + 10)
	s1.beat(from + float64(n)/20 + 10)
}

func TestWorker_FoldsSeveralMetricsOfATopic(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		sums := b.metric(nil)
		counts := b.metric(func(d *windowing.Definition) { d.Name, d.Aggregate, d.GroupBy = "rows", "count()", nil })
		var mu sync.Mutex
		seen := map[string]int{}
		w := b.work(l, func(o *WorkerOptions) {
			o.Observe = func(metric string, commits []int64, at time.Time) {
				mu.Lock()
				defer mu.Unlock()
				seen[metric] += len(commits)
			}
		}, sums, counts)
		traffic(l, 1000, 500)
		b.await(l, sums)
		b.await(l, counts)
		w.stop()
		for _, m := range w.Status().Metrics {
			if m.Watermark != 1035e6 || m.Closed == 0 || m.LastError != "" || m.Saved[0] != l.end(0) {
				t.Errorf("status: got %+v", m)
			}
			if got, want := seen[m.Name], 1000; got != want {
				t.Errorf("commits observed of %s: got %d, want %d", m.Name, got, want)
			}
		}
	})
}

func TestWorker_TwoAtOnceAreHarmless(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.metric(nil)
		one, two := b.work(l, nil, m), b.work(l, nil, m)
		for i := range 20 {
			traffic := l.shard(fmt.Sprintf("%02d", i%2))
			traffic.epoch = uint32(1 + i)
			for j := range 30 {
				traffic.event(int32(j%2), 1000+float64(i), `"city":"Pune","amount":1.5`)
			}
		}
		b.await(l, m)
		one.stop()
		two.stop()
		checkExact(b, b.store, l, m)
	})
}

func TestWorker_FlushesWithoutDeltasAndSeesAWipedStore(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.metric(nil)
		b.work(l, nil, m)
		traffic(l, 1000, 50)
		b.await(l, m)
		b.client.FlushAll(context.Background())
		b.await(l, m) // nothing new in the log
	})
}

func TestWorker_HoldsBackWhileTheStoreIsDown(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.metric(nil)
		w := b.work(l, nil, m)
		traffic(l, 1000, 50)
		b.await(l, m)
		b.mini.SetError("LOADING Redis is loading the dataset in memory")
		more := l.shard("00")
		more.epoch = 2
		for i := range 500 {
			more.event(int32(i%2), 1100, `"city":"Pune","amount":1`)
		}
		testenv.Wait(b, 5*time.Second, "an error in the status", func() error {
			if text := w.Status().Metrics[0].LastError; !strings.Contains(text, "this passes") {
				return errors.New("last error is " + text)
			}
			return nil
		})
		b.mini.SetError("")
		b.await(l, m)
		if text := w.Status().Metrics[0].LastError; text != "" {
			t.Errorf("last error when it is back: %q", text)
		}
	})
}

func TestWorker_RestartedServerIsRebuilt(t *testing.T) {
	srv := testenv.Redis(t)
	b := newBench(t, nil, "redis://"+srv.Addr)
	l := newFakeLog(2)
	m := b.metric(nil)
	b.work(l, nil, m)
	traffic(l, 1000, 50)
	b.await(l, m)
	srv.Kill(t)
	more := l.shard("00")
	more.epoch = 2
	more.event(0, 1100, `"city":"Pune","amount":1`)
	srv.Restart(t)
	b.await(l, m)
}

func TestWorker_StreamErrorsAreRetried(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.metric(nil)
		l.failPolls(errors.New("broker is gone"))
		w := b.work(l, nil, m)
		traffic(l, 1000, 50)
		testenv.Wait(b, 5*time.Second, "the stream's error in the status", func() error {
			if text := w.Status().Metrics[0].LastError; text != "broker is gone" {
				return errors.New("last error is " + text)
			}
			return nil
		})
		l.failPolls(nil)
		b.await(l, m)
	})
}

func TestWorker_MetricFarBehindCatchesUpByItself(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(2)
		old := b.metric(nil)
		young := b.metric(func(d *windowing.Definition) { d.Name = "young" })
		traffic(l, 1000, 2000)
		b.hand(l, old).sync()
		w := b.work(l, func(o *WorkerOptions) { o.CatchUp = 500 }, old, young)
		b.await(l, young)
		more := l.shard("00")
		more.epoch = 2
		more.event(0, 2000, `"city":"Pune","amount":1`)
		b.await(l, old)
		b.await(l, young)
		w.stop()
	})
}

func TestWorker_BadRecordStopsItsPartitionOnly(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.metric(nil)
		s0 := l.shard("00")
		s0.event(0, 1000, `"city":"Pune","amount":1`)
		s0.event(0, 1001, `"city":"Pune","amount":"many"`)
		s0.event(0, 1002, `"city":"Pune","amount":1`)
		s0.event(1, 1003, `"city":"Pune","amount":4`)
		w := b.work(l, nil, m)
		testenv.Wait(b, 5*time.Second, "partition 1 at its end", func() error {
			st, err := b.store.table(m, 0).load(context.Background())
			if err == nil && (st.positions[0].Offset != 1 || st.positions[1].Offset != 1) {
				err = fmt.Errorf("positions are %v", st.positions)
			}
			return err
		})
		checkExact(b, b.store, l, m)
		why := w.Status().Metrics[0].Stopped[0]
		if !strings.Contains(why, "offset 1") || strings.Contains(why, "many") {
			t.Errorf("stopped: got %q, want the offset and no value", why)
		}
	})
}

func TestWorker_ChangedDefinitionTakesOverWhenItHasCaughtUp(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(2)
		first := b.metric(nil)
		second := b.metric(func(d *windowing.Definition) { d.GroupBy = []string{"status"} })
		traffic(l, 1000, 100)
		old := b.hand(l, first)
		old.sync()

		h := b.hand(l, second)
		h.load()
		if got, want := h.r.t.role, candidate; got != want {
			b.Fatalf("role: got %s, want %s", got, want)
		}
		h.fold(0, 50)
		h.flush()
		checkExact(b, b.store, l, first) // the public windows are still the old ones
		if done, err := h.r.t.promote(ctx); done || err != nil {
			b.Errorf("promotion while behind: got %v, %v", done, err)
		}
		h.foldAll()
		h.flush()
		checkExact(b, b.store, l, first)
		if done, err := h.r.t.promote(ctx); !done || err != nil {
			b.Fatalf("promotion: got %v, %v", done, err)
		}
		checkExact(b, b.store, l, second)

		if err := old.tryFlush(); !errors.Is(err, ErrSuperseded) {
			b.Errorf("flush of the old definition: got %v, want %v", err, ErrSuperseded)
		}
		old.r.claimed = true
		if err := old.tryLoad(); !errors.Is(err, ErrSuperseded) {
			b.Errorf("load of the old definition: got %v, want %v", err, ErrSuperseded)
		}
		if names := b.client.Keys(ctx, "*"+first.Generation()+"*").Val(); len(names) != 0 {
			b.Errorf("keys of the old definition are left: %v", names)
		}
		// Back to the first definition, by a worker that starts.
		b.work(l, nil, first)
		testenv.Wait(b, 10*time.Second, "the first definition to be public again", func() error {
			if got := b.client.HGet(ctx, "tw:{gmv}:gen", "current").Val(); got != first.Generation() {
				return fmt.Errorf("current is %s", got)
			}
			return nil
		})
		b.await(l, first)
	})
}

func TestStore_RedisCLIReadsAWindow(t *testing.T) {
	srv := testenv.Redis(t)
	b := newBench(t, nil, "redis://"+srv.Addr)
	l := newFakeLog(1)
	m := b.metric(oneShard)
	s0 := l.shard("00")
	s0.event(0, 1763632205, `"city":"Pune","amount":12.50`)
	s0.event(0, 1763632206, `"city":null,"amount":null`)
	s0.beat(1763632210)
	b.hand(l, m).sync()
	cli := func(args ...string) string {
		out, err := exec.Command("redis-cli", append([]string{"-p", fmt.Sprint(srv.Port)}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, c := range []struct{ command, want string }{
		{"ZREVRANGE tw:{gmv}:windows 0 0", "1763632200"},
		{`HGET tw:{gmv}:w:1763632200 ["Pune"]`, "12.50"},
		{"HGET tw:{gmv}:w:1763632200 [null]", "null"},
		{"HMGET tw:{gmv}:meta:1763632200 state complete missing groups end", "closed\n1\n[]\n2\n1763632210"},
	} {
		if got := cli(strings.Fields(c.command)...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.command, got, c.want)
		}
	}
}

func TestBeyond_EndsLaterThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		longer, stop := beyond(ctx, time.Second)
		defer stop()
		cancel()
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if longer.Err() != nil {
			t.Errorf("it ended with %v before its time", longer.Err())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if longer.Err() == nil {
			t.Error("it has not ended a second later")
		}
		again, stop := beyond(t.Context(), time.Second)
		if stop(); again.Err() == nil {
			t.Error("it goes on after its function was called")
		}
	})
}
