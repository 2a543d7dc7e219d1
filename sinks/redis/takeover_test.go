package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

// changes are numbers of buckets before and after.
var changes = [][2]int{{1, 3}, {3, 1}, {3, 2}, {2, 3}}

// onChanges runs a test for each change, on both servers.
func onChanges(t *testing.T, run func(b *bench, from, to *windowing.Metric)) {
	t.Helper()
	for _, c := range changes {
		t.Run(fmt.Sprintf("%d to %d", c[0], c[1]), func(t *testing.T) {
			onBoth(t, func(b *bench) { run(b, b.metric(buckets(c[0])), b.metric(buckets(c[1]))) })
		})
	}
}

// seen is what readers see of a metric: values and revisions by window.
func (b *bench) seen(m *windowing.Metric) map[string]string {
	b.Helper()
	infos, err := b.store.Windows(context.Background(), m.Name, 0)
	if err != nil {
		b.Fatal(err)
	}
	out := map[string]string{}
	for _, info := range infos {
		w := b.window(m, info.Start.Unix())
		if w.Generation != m.Generation() {
			b.Errorf("window %s is of generation %s, want %s", info.Start, w.Generation, m.Generation())
		}
		out[info.Start.String()] = fmt.Sprint(w.Complete, w.Groups, w.Values)
	}
	return out
}

// driven is a runner whose steps must succeed.
type driven struct {
	b *bench
	*runner
}

// freeze freezes a bucket of the rival.
func (d *driven) freeze(tag string) {
	d.b.Helper()
	ctx := context.Background()
	mine, err := d.t.positions(ctx, public{d.t.m.Generation(), d.t.m.Buckets})
	if err != nil {
		d.b.Fatal(err)
	}
	if ok, err := d.t.freeze(ctx, tag, lowest(mine)); !ok || err != nil {
		d.b.Fatalf("freeze %s: got %v, %v", tag, ok, err)
	}
}

// mustBeFrozen checks that every bucket is refused.
func (h *hand) mustBeFrozen() {
	h.b.Helper()
	for number, r := range h.all {
		if err := tryFlush(r); !errors.Is(err, ErrSuperseded) {
			h.b.Errorf("flush of the frozen bucket %d: got %v, want %v", number, err, ErrSuperseded)
		}
		if err := r.t.follow(context.Background()); !errors.Is(err, ErrSuperseded) {
			h.b.Errorf("load of the frozen bucket %d: got %v, want %v", number, err, ErrSuperseded)
		}
	}
}

func TestGeneration_BucketsChangeForReadersAtOnce(t *testing.T) {
	onChanges(t, func(b *bench, from, to *windowing.Metric) {
		ctx := context.Background()
		l := newFakeLog(2)
		traffic(l, 1000, 100)
		old := b.hand(l, from)
		old.sync()
		want := b.seen(from)
		same := func(when string, m *windowing.Metric) {
			b.Helper()
			if got := b.seen(m); !maps.Equal(got, want) {
				b.Errorf("%s: got %v, want %v", when, got, want)
			}
		}

		h := b.hand(l, to)
		h.load()
		last := &driven{b, h.all[len(h.all)-1]}
		if last.t.shown() {
			b.Fatal("the new definition is public before it has read anything")
		}
		h.fold(0, 50)
		h.flush()
		for _, r := range h.all {
			if done, err := r.t.advance(ctx); done || err != nil {
				b.Errorf("advance while behind: got %v, %v", done, err)
			}
		}
		old.foldAll()
		old.flush() // the old one goes on
		h.foldAll()
		h.flush()
		same("caught up", from)

		// The process dies after each step, and another goes on.
		old.load()
		for _, o := range bucketsOf(from.Buckets) {
			last.freeze(o.tag(from.Name))
			same(fmt.Sprintf("bucket %d frozen", o.number), from)
		}
		old.mustBeFrozen()
		if done, err := last.t.advance(ctx); !done || err != nil {
			b.Fatalf("take over: got %v, %v", done, err)
		}
		same("taken over", to)
		again := b.hand(l, to)
		again.load()
		for number, r := range again.all {
			if done, err := r.t.advance(ctx); !done || err != nil {
				b.Errorf("advance of bucket %d: got %v, %v", number, done, err)
			}
			same(fmt.Sprintf("bucket %d promoted", number), to)
		}
		again.load()
		more := l.shard("00")
		more.epoch = 2
		more.event(0, 1015, `"city":"c1","amount":1`)
		again.foldAll()
		again.flush()
		checkExact(b, b.store, l, to)
		if names := b.client.Keys(ctx, "*"+from.Generation()+"*").Val(); len(names) != 0 {
			b.Errorf("keys of the old definition are left: %v", names)
		}
		for _, k := range b.client.Keys(ctx, "*:w:*").Val() {
			if wide := strings.Contains(k, "{gmv."); wide != (to.Buckets > 1) {
				b.Errorf("key %s is left", k)
			}
		}
	})
}

func TestGeneration_LateRetirementSparesADefinitionThatCameBack(t *testing.T) {
	onChanges(t, func(b *bench, from, to *windowing.Metric) {
		ctx := context.Background()
		l := newFakeLog(2)
		traffic(l, 1000, 40)
		b.hand(l, from).sync()
		h := b.hand(l, to)
		h.sync()
		last := h.all[len(h.all)-1]
		rival := last.t.rival
		h.takeOver()
		checkExact(b, b.store, l, to)
		back := b.hand(l, from)
		back.sync()
		back.takeOver()
		checkExact(b, b.store, l, from)
		if err := last.t.retire(ctx, rival); err != nil {
			b.Errorf("late retirement: %v", err)
		}
		checkExact(b, b.store, l, from)
		if len(b.seen(from)) == 0 {
			b.Error("no window is left")
		}
	})
}

func TestGeneration_OldWorkerThatIsAheadIsNotFrozen(t *testing.T) {
	onChanges(t, func(b *bench, from, to *windowing.Metric) {
		ctx := context.Background()
		l := newFakeLog(2)
		traffic(l, 1000, 40)
		old, h := b.hand(l, from), b.hand(l, to)
		old.sync()
		h.sync()
		more := l.shard("00")
		more.epoch = 2
		more.event(0, 1005, `"city":"c1","amount":1`)
		o := old.all[len(old.all)-1]
		if err := o.fold.Add(&l.parts[0][l.end(0)-1]); err != nil {
			b.Fatal(err)
		}
		if err := tryFlush(o); err != nil {
			b.Fatal(err)
		}
		last := h.all[len(h.all)-1]
		if done, err := last.t.advance(ctx); done || err != nil {
			b.Errorf("take over from one that is ahead: got %v, %v", done, err)
		}
		if err := tryFlush(o); err != nil {
			b.Errorf("flush of the bucket that is ahead: %v", err)
		}
		h.foldAll()
		h.flush()
		if done, err := last.t.advance(ctx); !done || err != nil {
			b.Errorf("take over: got %v, %v", done, err)
		}
	})
}

func TestGeneration_MetricsKeyThatIsLostIsWrittenAgain(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(2)
		m := b.metric(buckets(3))
		traffic(l, 1000, 40)
		h := b.hand(l, m)
		h.sync()
		want := b.seen(m)
		b.client.Del(ctx, "tw:{gmv}:gen")
		if done, err := h.all[0].t.advance(ctx); !done || err != nil {
			b.Errorf("advance: got %v, %v", done, err)
		}
		if got := b.seen(m); !maps.Equal(got, want) || len(got) == 0 {
			b.Errorf("got %v, want %v", got, want)
		}
		if ttl := b.client.PTTL(ctx, "tw:{gmv}:gen").Val(); ttl <= 0 {
			b.Errorf("the metric's key lives for %v, want a bound", ttl)
		}
	})
}

// TestGeneration_ReadersSeeWholeWindowsWhileBucketsChange changes the number of
// buckets again and again, with the old workers still at work and a log that
// never stands still. A closed window must be whole at every look.
func TestGeneration_ReadersSeeWholeWindowsWhileBucketsChange(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(2)
		traffic(l, 1000, 400)
		first := b.metric(buckets(1))
		worker := b.work(l, nil, first)
		b.await(l, first)
		want := b.window(first, 1000)
		if !want.Complete || len(want.Values) != 7 {
			b.Fatalf("window: got %+v", want)
		}

		stop := make(chan struct{})
		var side sync.WaitGroup
		defer side.Wait()
		defer sync.OnceFunc(func() { close(stop) })()
		every := func(do func(i int) bool) {
			side.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
						if !do(i) {
							return
						}
					}
				}
			})
		}
		s := l.shard("00")
		s.epoch = 2
		every(func(i int) bool {
			s.event(int32(i%2), 1030+float64(i)/1000, fmt.Sprintf(`"city":"c%d","amount":1`, i%7))
			return true
		})
		every(func(int) bool {
			w, err := b.store.Window(ctx, "gmv", time.Unix(1000, 0))
			if err != nil || !w.Complete || !maps.Equal(w.Values, want.Values) || w.Groups != 7 {
				b.Errorf("a reader saw %+v, %v, want %+v", w, err, want)
				return false
			}
			infos, err := b.store.Windows(ctx, "gmv", 0)
			if err != nil || len(infos) < 2 {
				b.Errorf("a reader listed %+v, %v", infos, err)
				return false
			}
			for _, info := range infos {
				if info.Generation != infos[0].Generation {
					b.Errorf("a reader listed two generations: %+v", infos)
					return false
				}
			}
			return true
		})
		for _, n := range []int{3, 2, 5, 1} {
			m := b.metric(buckets(n))
			next := b.work(l, nil, m)
			testenv.Wait(b, 30*time.Second, fmt.Sprintf("%d buckets to be public", n), func() error {
				if got := b.client.HGet(ctx, "tw:{gmv}:gen", "current").Val(); got != m.Generation() {
					return fmt.Errorf("current is %s", got)
				}
				if st := next.Status().Metrics[0]; st.Candidate {
					return fmt.Errorf("status says %+v", st)
				}
				return nil
			})
			worker.stop()
			worker = next
		}
	})
}

func TestPositions_LowestIsWhatEveryBucketHasReached(t *testing.T) {
	at := func(incarnation string, offset int64) windowing.Position {
		return windowing.Position{Incarnation: incarnation, Offset: offset}
	}
	got := lowest([][]windowing.Position{{at("a", 5), at("a", 3), at("a", 1), {}}, {at("a", 4), at("a", 7), at("b", 9), at("a", 2)}})
	if want := []windowing.Position{at("a", 4), at("a", 3), {}, {}}; !reflect.DeepEqual(got, want) {
		t.Errorf("lowest: got %v, want %v", got, want)
	}
	for _, c := range []struct {
		mine, theirs windowing.Position
		by           int64
		want         bool
	}{
		{at("a", 4), at("a", 5), 0, true}, {at("a", 5), at("a", 5), 0, false}, {at("a", 4), at("a", 5), 1, false}, {at("a", 3), at("a", 5), 1, true},
		{at("", 0), at("a", 0), 9, true}, {at("b", 0), at("a", 5), 0, false}, {at("a", 0), at("", 0), 0, false},
	} {
		if got := behind([]windowing.Position{c.mine}, []windowing.Position{c.theirs}, c.by); got != c.want {
			t.Errorf("%v behind %v by %d: got %v, want %v", c.mine, c.theirs, c.by, got, c.want)
		}
	}
}

// between is a hook of the client that does something once, before the pipeline
// of a number. Those that open a connection count too.
type between struct {
	pipelines int
	do        func()
}

func (h *between) DialHook(next goredis.DialHook) goredis.DialHook          { return next }
func (h *between) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }
func (h *between) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if h.pipelines--; h.pipelines == 0 {
			h.do()
		}
		return next(ctx, cmds)
	}
}

// takeOver makes a definition that has caught up the public one: the last bucket
// takes over, then each is promoted.
func (h *hand) takeOver() {
	h.b.Helper()
	for range 2 {
		for _, r := range h.all {
			if _, err := r.t.advance(context.Background()); err != nil {
				h.b.Errorf("advance: %v", err)
			}
		}
	}
}

func TestGeneration_ChangeInTheMiddleOfAReadIsReadAgain(t *testing.T) {
	onChanges(t, func(b *bench, from, to *windowing.Metric) {
		ctx := context.Background()
		for pipelines := 1; pipelines <= 7; pipelines++ {
			b.client.FlushAll(ctx)
			l := newFakeLog(2)
			traffic(l, 1000, 40)
			b.hand(l, from).sync()
			h := b.hand(l, to)
			h.sync()
			want := b.window(from, 1000)
			reader := newBench(b.T, nil, b.url)
			reader.client.AddHook(&between{pipelines, h.takeOver})
			w, err := reader.store.Window(ctx, "gmv", time.Unix(1000, 0))
			if err != nil || !w.Complete || !maps.Equal(w.Values, want.Values) {
				b.Errorf("window, changed before pipeline %d: got %+v, %v, want %+v", pipelines, w, err, want)
			}
		}
	})
}

func TestGeneration_ChangeInTheMiddleOfAListIsReadAgain(t *testing.T) {
	onChanges(t, func(b *bench, from, to *windowing.Metric) {
		ctx := context.Background()
		for pipelines := 1; pipelines <= 7; pipelines++ {
			b.client.FlushAll(ctx)
			l := newFakeLog(2)
			traffic(l, 1000, 40)
			b.hand(l, from).sync()
			h := b.hand(l, to)
			h.sync()
			want := len(b.seen(from))
			reader := newBench(b.T, nil, b.url)
			reader.client.AddHook(&between{pipelines, h.takeOver})
			infos, err := reader.store.Windows(ctx, "gmv", 0)
			if err != nil || len(infos) != want {
				b.Errorf("list, changed before pipeline %d: got %+v, %v, want %d", pipelines, infos, err, want)
			}
		}
	})
}
