package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

// buckets is a change of a definition.
func buckets(n int) func(d *windowing.Definition) {
	return func(d *windowing.Definition) { d.Buckets = n }
}

// oneShardIn3 is a metric of one shard and partition in three buckets.
func oneShardIn3(d *windowing.Definition) { oneShard(d); d.Buckets = 3 }

// cities are one for each bucket of three.
var cities = func() (out [3]string) {
	for c := 'a'; c <= 'z'; c++ {
		out[windowing.BucketOf(`["`+string(c)+`"]`, 3)] = string(c)
	}
	return out
}()

// everywhere writes an event of each city.
func everywhere(s *fakeShard, p int32, at float64, amount int) {
	for _, c := range cities {
		s.event(p, at, fmt.Sprintf(`"city":%q,"amount":%d`, c, amount))
	}
}

// sums are the values of a window that has the cities only, by bucket.
func (b *bench) sums(m *windowing.Metric, start int64) (out [3]string) {
	b.Helper()
	w := b.window(m, start)
	for i, c := range cities {
		out[i] = w.Values[`["`+c+`"]`]
	}
	return out
}

func TestBuckets_KeysAreThoseOfAMetricOfAnotherName(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		s := l.shard("00")
		everywhere(s, 0, 101, 1)
		s.beat(110)
		h := b.hand(l, m)
		h.sync()
		want := []string{"tw:{gmv}:gen"}
		for number := range 3 {
			for _, k := range []string{"gen", "windows", "events", "s:" + m.Generation(), "a:" + m.Generation() + ":100", "w:100", "meta:100"} {
				want = append(want, fmt.Sprintf("tw:{gmv.%d}:%s", number, k))
			}
			names, _ := h.all[number].t.batch(h.all[number].fold.Cut(), []string{"90"})
			for _, k := range names {
				if !strings.HasPrefix(k, fmt.Sprintf("tw:{gmv.%d}:", number)) {
					b.Errorf("bucket %d declares %s, which has not its tag", number, k)
				}
			}
			if got := b.client.HGet(context.Background(), fmt.Sprintf("tw:{gmv.%d}:w:100", number), `["`+cities[number]+`"]`).Val(); got != "1.00" {
				b.Errorf("bucket %d: got %q, want 1.00", number, got)
			}
		}
		got := b.client.Keys(context.Background(), "*").Val()
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			b.Errorf("keys: got %v, want %v", got, want)
		}
		if got := b.client.HGetAll(context.Background(), "tw:{gmv}:gen").Val(); !maps.Equal(got, map[string]string{"v": "1", "current": m.Generation(), "buckets": "3"}) {
			b.Errorf("the metric's key: got %v", got)
		}
	})
}

func TestBuckets_RefusedMergeTakesBackItsOwnBucketOnly(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		s := l.shard("00")
		everywhere(s, 0, 101, 1)
		h, other := b.hand(l, m), b.handOf(l, m, 1)
		h.sync()
		other.load()
		everywhere(s, 0, 102, 2)
		other.foldAll()
		other.flush() // somebody else is first, in one bucket
		h.foldAll()
		for number, r := range h.all {
			err := tryFlush(r)
			if refused := errors.Is(err, errRefused); refused != (number == 1) || err != nil && !refused {
				b.Errorf("bucket %d: got %v", number, err)
			}
			if loaded := r.loaded; loaded != (number != 1) {
				b.Errorf("bucket %d is loaded: %v", number, loaded)
			}
		}
		if got, want := b.sums(m, 100), [3]string{"3.00", "3.00", "3.00"}; got != want {
			b.Errorf("sums: got %v, want %v", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestBuckets_LostReplyOfOneBucketIsNotAppliedTwice(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		s := l.shard("00")
		everywhere(s, 0, 101, 1)
		h := b.hand(l, m)
		h.load()
		h.foldAll()
		if _, err := h.all[2].t.merge(context.Background(), h.all[2].fold.Cut(), nil); err != nil {
			b.Fatal(err)
		}
		h.all[2].refused(errors.New("i/o timeout")) // the store has it, and nobody knows
		h.sync()
		if got, want := b.sums(m, 100), [3]string{"1.00", "1.00", "1.00"}; got != want {
			b.Errorf("sums: got %v, want %v", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

// bucketOf is the part of an image that a node of one bucket has.
func (im image) bucketOf(number int) image {
	theirs := fmt.Sprintf("{gmv.%d}", number)
	mine := func(k string) bool { return !strings.Contains(k, theirs) }
	out := image{maps.Clone(im.hashes), maps.Clone(im.zsets), maps.Clone(im.streams)}
	maps.DeleteFunc(out.hashes, func(k string, _ map[string]string) bool { return mine(k) })
	maps.DeleteFunc(out.zsets, func(k string, _ []goredis.Z) bool { return mine(k) })
	maps.DeleteFunc(out.streams, func(k string, _ []goredis.XMessage) bool { return mine(k) })
	return out
}

// without is an image less the keys of a bucket, and with those of another.
func (im image) without(number int, put image) image {
	gone := fmt.Sprintf("{gmv.%d}", number)
	out := image{maps.Clone(im.hashes), maps.Clone(im.zsets), maps.Clone(im.streams)}
	maps.DeleteFunc(out.hashes, func(k string, _ map[string]string) bool { return strings.Contains(k, gone) })
	maps.DeleteFunc(out.zsets, func(k string, _ []goredis.Z) bool { return strings.Contains(k, gone) })
	maps.DeleteFunc(out.streams, func(k string, _ []goredis.XMessage) bool { return strings.Contains(k, gone) })
	maps.Copy(out.hashes, put.hashes)
	maps.Copy(out.zsets, put.zsets)
	maps.Copy(out.streams, put.streams)
	return out
}

func TestBuckets_NodeThatLosesItsNewestWritesOpensTheWindowAgain(t *testing.T) {
	for name, wiped := range map[string]bool{"newest writes": false, "everything": true} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(b *bench) {
				l := newFakeLog(1)
				m := b.metric(oneShardIn3)
				s := l.shard("00")
				everywhere(s, 0, 101, 1)
				h := b.hand(l, m)
				h.sync()
				before := b.snapshot().bucketOf(2)
				if wiped {
					before = image{}
				}
				everywhere(s, 0, 102, 2)
				s.beat(110)
				h.foldAll()
				h.flush()
				first := b.window(m, 100)
				if got, want := describe(first), "closed complete"; got != want {
					b.Fatalf("window: got %q, want %q", got, want)
				}
				b.restore(b.snapshot().without(2, before))
				checkExact(b, b.store, l, m)
				if got, want := describe(b.window(m, 100)), "open incomplete"; got != want {
					b.Errorf("window with a bucket that went back: got %q, want %q", got, want)
				}
				s.beat(111)
				h.foldAll()
				for number, r := range h.all {
					if err := tryFlush(r); (number == 2) != errors.Is(err, errRefused) {
						b.Errorf("bucket %d: got %v", number, err)
					}
				}
				h.sync()
				again := b.window(m, 100)
				if got, want := describe(again), "closed complete"; got != want {
					b.Errorf("window: got %q, want %q", got, want)
				}
				if got, want := b.sums(m, 100), [3]string{"3.00", "3.00", "3.00"}; got != want {
					b.Errorf("sums: got %v, want %v", got, want)
				}
				if again.Revision <= first.Revision {
					b.Errorf("revision: got %d after %d, want it to rise", again.Revision, first.Revision)
				}
				checkExact(b, b.store, l, m)
			})
		})
	}
}

func TestBuckets_WindowIsPublishedWhenEveryBucketIsPastItsEnd(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		s := l.shard("00")
		s.event(0, 101, fmt.Sprintf(`"city":%q,"amount":1`, cities[1])) // in no other bucket
		s.beat(110)
		h := b.hand(l, m)
		for i, want := range []string{"", "open incomplete", "closed complete"} {
			r := h.all[i]
			if err := tryLoad(r); err != nil {
				b.Fatal(err)
			}
			for j := range l.parts[0] {
				if err := r.fold.Add(&l.parts[0][j]); err != nil {
					b.Fatal(err)
				}
			}
			if err := tryFlush(r); err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				if _, err := b.store.Window(context.Background(), m.Name, time.Unix(100, 0)); !errors.Is(err, ErrNoWindow) {
					b.Errorf("before its bucket: got %v, want %v", err, ErrNoWindow)
				}
				continue
			}
			if got := describe(b.window(m, 100)); got != want {
				b.Errorf("with %d buckets past the end: got %q, want %q", i+1, got, want)
			}
		}
		checkExact(b, b.store, l, m)
	})
}

func TestBuckets_WindowWhoseKeysVanishedInOneIsNotTakenForWhole(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		s := l.shard("00")
		everywhere(s, 0, 101, 1)
		s.beat(110)
		h := b.hand(l, m)
		h.sync()
		k := h.all[1].t.keys
		b.client.Del(ctx, k.accumulators("100"), k.values("100"), k.meta("100"))
		if w, err := b.store.Window(ctx, m.Name, time.Unix(100, 0)); !errors.Is(err, ErrNoWindow) {
			b.Errorf("got %+v, %v, want %v", w, err, ErrNoWindow)
		}
		if infos, err := b.store.Windows(ctx, m.Name, 0); err != nil || len(infos) != 0 {
			b.Errorf("listed: got %+v, %v, want none", infos, err)
		}
		s.event(0, 102, fmt.Sprintf(`"city":%q,"amount":1`, cities[1]))
		h.foldAll()
		h.flush()
		if got, want := describe(b.window(m, 100)), "lost incomplete"; got != want {
			b.Errorf("when the next merge has seen it: got %q, want %q", got, want)
		}
	})
}

func TestBuckets_EachAnnouncesItsOwn(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		s := l.shard("00")
		everywhere(s, 0, 101, 1)
		s.beat(110)
		h := b.hand(l, m)
		h.sync()
		s.event(0, 102, fmt.Sprintf(`"city":%q,"amount":1`, cities[2])) // late
		h.foldAll()
		h.flush()
		for number, want := range [][]string{{"100 110 closed 1 []"}, {"100 110 closed 1 []"}, {"100 110 closed 1 []", "100 110 revised 1 []"}} {
			if got, _ := b.events(fmt.Sprintf("gmv.%d", number)); !slices.Equal(got, want) {
				b.Errorf("bucket %d: got %q, want %q", number, got, want)
			}
		}
		if got, want := describe(b.window(m, 100)), "revised complete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
	})
}

func TestBuckets_ShareMaxGroups(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShardIn3(d); d.MaxGroups = 3 })
		s := l.shard("00")
		everywhere(s, 0, 101, 1)
		h := b.hand(l, m)
		h.sync()
		for c := 'A'; c <= 'Z'; c++ { // a second group of the last bucket
			if city := string(c); windowing.BucketOf(`["`+city+`"]`, 3) == 2 {
				s.event(0, 102, fmt.Sprintf(`"city":%q,"amount":1`, city))
				break
			}
		}
		h.foldAll()
		for number, r := range h.all {
			if err := tryFlush(r); (number == 2) != errors.Is(err, ErrMaxGroups) {
				b.Errorf("bucket %d: got %v", number, err)
			}
		}
		checkExact(b, b.store, l, m)
	})
}

func TestBuckets_WorkerSaysWhatAllOfThemDo(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.metric(buckets(5))
		w := b.work(l, nil, m)
		traffic(l, 1000, 200)
		b.await(l, m)
		w.stop()
		all := w.Status().Metrics
		if len(all) != 1 {
			t.Fatalf("got %d metrics, want 1", len(all))
		}
		s := all[0]
		infos, err := b.store.Windows(context.Background(), m.Name, 1)
		if err != nil || len(infos) != 1 {
			t.Fatalf("newest window: %v, %v", infos, err)
		}
		if s.Name != m.Name || s.Candidate || s.LastError != "" || s.Watermark != 1020e6 || s.Saved[0] != l.end(0) || s.Groups != infos[0].Groups {
			t.Errorf("got %+v, newest window %+v", s, infos[0])
		}
	})
}

func TestMetricStatus_IsThatOfTheBucketFurthestBehind(t *testing.T) {
	a := MetricStatus{Watermark: 9, Behind: 1, Groups: 3, Closed: 4, Late: 1, Saved: []int64{7, 5}}
	a.merge(&MetricStatus{Candidate: true, Watermark: 0, Behind: 8, Groups: 4, Closed: 3, Late: 2, Saved: []int64{-1, 6},
		LastError: "node is gone", LastErrorAt: time.Unix(1, 0), Stopped: map[int32]string{1: "bad record"}})
	if !a.Candidate || a.Watermark != 0 || a.Behind != 8 || a.Groups != 7 || a.Closed != 4 || a.Late != 3 || !slices.Equal(a.Saved, []int64{-1, 5}) || a.LastError != "node is gone" || a.Stopped[1] != "bad record" {
		t.Errorf("got %+v", a)
	}
}

func TestBuckets_WorkerIsExactWhenRepliesAreLost(t *testing.T) {
	onMini(t, func(b *bench) {
		proxy := newReplyEater(t, b.mini.Addr())
		behind := newBench(t, b.mini, "redis://"+proxy.Addr().String())
		l := newFakeLog(2)
		m := b.metric(buckets(3))
		w := behind.work(l, nil, m)
		s0 := l.shard("00")
		for i := range 200 {
			proxy.hungry.Store(i%20 == 0)
			s0.event(int32(i%2), 1000+float64(i)/10, fmt.Sprintf(`"city":%q,"amount":1.5`, cities[i%3]))
		}
		proxy.hungry.Store(false)
		b.await(l, m)
		w.stop()
	})
}

func TestBuckets_BadRecordStopsItsBucketOnly(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		s := l.shard("00")
		everywhere(s, 0, 1000, 1)
		s.event(0, 1001, fmt.Sprintf(`"city":%q,"amount":"many"`, cities[1]))
		everywhere(s, 0, 1002, 1)
		w := b.work(l, nil, m)
		testenv.Wait(b, 10*time.Second, "the other buckets at the end", func() error {
			for number, want := range []int64{7, 3, 7} {
				st, err := b.store.table(m, number).load(context.Background())
				if err != nil || st.positions[0].Offset != want {
					return fmt.Errorf("bucket %d: at %v, want %d; %v", number, st.positions, want, err)
				}
			}
			return nil
		})
		checkExact(b, b.store, l, m)
		if why := w.Status().Metrics[0].Stopped[0]; !strings.Contains(why, "offset 3") {
			t.Errorf("stopped: got %q, want the offset", why)
		}
	})
}

func TestCluster_BucketsLieOnSeveralNodesAndOneComesBackEmpty(t *testing.T) {
	nodes := testenv.RedisCluster(t, 3, 0)
	b := benchOf(t, Options{Cluster: &Cluster{Addresses: addresses(nodes)}, Timeout: time.Second})
	ctx := context.Background()
	l := newFakeLog(1)
	m := b.metric(oneShardIn3)
	owners := map[string][]int{}
	for number := range 3 {
		c, err := b.client.(*goredis.ClusterClient).MasterForKey(ctx, fmt.Sprintf("tw:{gmv.%d}:windows", number))
		if err != nil {
			t.Fatal(err)
		}
		owners[c.Options().Addr] = append(owners[c.Options().Addr], number)
	}
	if len(owners) < 2 {
		t.Fatalf("buckets by node: got %v, want more than one node", owners)
	}
	s := l.shard("00")
	everywhere(s, 0, 101, 1)
	s.beat(110)
	h := b.hand(l, m)
	h.sync()
	if got, want := describe(b.window(m, 100)), "closed complete"; got != want {
		t.Errorf("window: got %q, want %q", got, want)
	}
	for _, n := range nodes {
		if number := owners[n.Addr]; len(number) > 0 {
			n.Kill(t)
			n.Restart(t)
			break
		}
	}
	everywhere(s, 0, 112, 2)
	s.beat(120)
	healed(b, func() error {
		if err := h.tryLoad(); err != nil {
			return err
		}
		h.foldAll()
		return h.tryFlush()
	})
	checkExact(t, b.store, l, m)
	for _, start := range []int64{100, 110} {
		if got, want := describe(b.window(m, start)), "closed complete"; got != want {
			t.Errorf("window %d: got %q, want %q", start, got, want)
		}
	}
	for _, n := range []int{2, 1, 3} {
		to := b.metric(func(d *windowing.Definition) { oneShard(d); d.Buckets = n })
		next := b.hand(l, to)
		next.sync()
		next.takeOver()
		checkExact(t, b.store, l, to)
		if got := len(b.seen(to)); got != 2 {
			t.Errorf("%d buckets: got %d windows, want 2", n, got)
		}
	}
}

// TestBuckets_WaitedIsUpToWhereAWindowCouldBePublished compares what a bucket
// without groups stores with the pure rule, for random watermarks.
func TestBuckets_WaitedIsUpToWhereAWindowCouldBePublished(t *testing.T) {
	onBoth(t, func(b *bench) {
		rng := rand.New(rand.NewPCG(11, 3))
		m := b.metric(func(d *windowing.Definition) {
			d.Buckets, d.Shards, d.WaitForShards, d.Lateness = 2, []string{"00", "01", "02"}, 15*time.Second, 2*time.Second
		})
		table := b.store.table(m, 0)
		beyond := 0
		for range 100 {
			b.client.FlushAll(context.Background())
			l := newFakeLog(2)
			for _, name := range m.Shards {
				s := l.shard(name)
				for p := range int32(2) {
					if rng.IntN(8) > 0 {
						s.heartbeat(p, float64(100+rng.IntN(100)))
					}
				}
			}
			h := b.handOf(l, m, 0)
			h.sync()
			st := bookkeeping(b, b.store, m)[0]
			waited := number(b.client.HGet(context.Background(), table.keys.state(), "waited").Val())
			for end := int64(50e6); end < 250e6; end += 1e6 {
				want := st.watermark >= end || oracleWaited(st, m, end) != ""
				if got := waited >= end; got != want {
					b.Fatalf("end %d, watermark %d, waited %d: got %v, want %v; positions %+v", end, st.watermark, waited, got, want, st.positions)
				}
			}
			if waited > st.watermark {
				beyond++
			}
		}
		if beyond == 0 {
			b.Error("no shard was ever waited for")
		}
	})
}

// crowd is a hook of the client that counts the scripts under way, and holds
// each for a moment so that others can come.
type crowd struct {
	now, most atomic.Int32
}

func (h *crowd) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (h *crowd) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (h *crowd) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if n := h.now.Add(1); n > h.most.Load() {
			h.most.Store(n)
		}
		defer h.now.Add(-1)
		sleep(ctx, 2*time.Millisecond)
		return next(ctx, cmd)
	}
}

func TestBuckets_AreFlushedAtTheSameTime(t *testing.T) {
	onMini(t, func(b *bench) {
		seen := &crowd{}
		worker := newBench(t, b.mini, b.url)
		worker.client.AddHook(seen)
		l := newFakeLog(2)
		m := b.metric(buckets(5))
		w := worker.work(l, nil, m)
		traffic(l, 1000, 400)
		b.await(l, m)
		w.stop()
		if most := seen.most.Load(); most < 2 {
			t.Errorf("got at most %d scripts at once, want several", most)
		}
	})
}

func TestEach_LeavesTheBucketThatSpeaksForTheEnd(t *testing.T) {
	var mu sync.Mutex
	var order []int
	var runners []*runner
	for _, b := range bucketsOf(40) {
		runners = append(runners, &runner{t: &table{b: b}})
	}
	slices.Reverse(runners)
	each(runners, func(r *runner) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.t.b.number)
	})
	if len(order) != 40 || order[39] != 39 {
		t.Errorf("got the order %v, want bucket 39 last", order)
	}
}

// outage is a hook of the client that fails what names a key, while it is out.
type outage struct {
	key string
	out atomic.Bool
}

func (h *outage) fails(cmd goredis.Cmder) bool {
	return h.out.Load() && strings.Contains(fmt.Sprint(cmd.Args()...), h.key)
}

func (h *outage) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (h *outage) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if h.fails(cmd) {
			err := errors.New("connection refused")
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (h *outage) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if slices.ContainsFunc(cmds, h.fails) {
			return errors.New("connection refused")
		}
		return next(ctx, cmds)
	}
}

func TestBuckets_WorkerGoesOnInTheOthersWhileOneIsDown(t *testing.T) {
	onBoth(t, func(b *bench) {
		down := &outage{key: "{gmv.1}"}
		worker := newBench(b.T, b.mini, b.url)
		worker.client.AddHook(down)
		l := newFakeLog(1)
		m := b.metric(oneShardIn3)
		w := worker.work(l, nil, m)
		s := l.shard("00")
		everywhere(s, 0, 1000, 1)
		b.await(l, m)
		down.out.Store(true)
		everywhere(s, 0, 1001, 2)
		s.beat(1010)
		testenv.Wait(b, 20*time.Second, "the other buckets at the end", func() error {
			for number, want := range []int64{7, 3, 7} {
				st, err := b.store.table(m, number).load(context.Background())
				if err != nil || st.positions[0].Offset != want {
					return fmt.Errorf("bucket %d: at %v, want %d; %v", number, st.positions, want, err)
				}
			}
			if st := w.Status().Metrics[0]; !strings.Contains(st.LastError, "connection refused") || st.Saved[0] != 3 {
				return fmt.Errorf("status is %+v", st)
			}
			return nil
		})
		checkExact(b, b.store, l, m)
		if got, want := describe(b.window(m, 1000)), "open incomplete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
		down.out.Store(false)
		b.await(l, m)
		if got, want := b.sums(m, 1000), [3]string{"3.00", "3.00", "3.00"}; got != want {
			b.Errorf("sums: got %v, want %v", got, want)
		}
		if got, want := describe(b.window(m, 1000)), "closed complete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
	})
}
