package redis

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"tailwater/windowing"
)

func oneShard(d *windowing.Definition) { d.Shards, d.Partitions = []string{"00"}, 1 }

func TestHazard_B14_RollbackOfTheStoreIsSeenAndAppliedAgain(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0 := l.shard("00")
		m := b.metric(nil)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		h := b.hand(l, m)
		h.sync()
		before := b.snapshot()
		s0.event(0, 102, `"city":"Pune","amount":2`)
		s0.event(1, 102, `"city":"Delhi","amount":2`)
		h.foldAll()
		h.flush()
		b.restore(before)
		checkExact(b, b.store, l, m)
		s0.event(0, 103, `"city":"Pune","amount":4`)
		h.foldAll()
		if err := h.tryFlush(); !errors.Is(err, errRefused) {
			b.Fatalf("flush after a rollback: got %v, want %v", err, errRefused)
		}
		h.sync()
		if got, want := b.window(m, 100).Values[`["Pune"]`], "7.00"; got != want {
			b.Errorf("sum: got %s, want %s", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestHazard_B14_WipedStoreIsRebuiltFromTheLog(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0 := l.shard("00")
		m := b.metric(nil)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		h := b.hand(l, m)
		h.sync()
		b.client.FlushAll(context.Background())
		if err := h.tryFlush(); !errors.Is(err, errRefused) {
			b.Fatalf("flush without deltas after FLUSHALL: got %v, want %v", err, errRefused)
		}
		h.sync()
		if got, want := b.window(m, 100).Values[`["Pune"]`], "1.00"; got != want {
			b.Errorf("sum: got %s, want %s", got, want)
		}
	})
}

func TestHazard_B15_LostReplyIsNotAppliedTwice(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
		m := b.metric(nil)
		h := b.hand(l, m)
		h.load()
		h.foldAll()
		if _, err := h.r.t.merge(context.Background(), h.r.fold.Cut(), nil); err != nil {
			b.Fatal(err)
		}
		h.r.refused(errors.New("i/o timeout")) // the store has it, and nobody knows
		h.sync()
		if got, want := b.window(m, 100).Values[`["Pune"]`], "1.00"; got != want {
			b.Errorf("sum: got %s, want %s", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_ScriptThatLandsLateIsRefused(t *testing.T) {
	onEvery(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(2)
		s0 := l.shard("00")
		m := b.metric(nil)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		slow, quick := b.hand(l, m), b.hand(l, m)
		slow.load()
		slow.foldAll()
		names, args := slow.r.t.batch(slow.r.fold.Cut(), nil)
		quick.sync()
		reply, err := b.store.run(ctx, flushScript, names, args)
		if err != nil || !errors.Is(replyError(reply), errRefused) {
			b.Errorf("late script: got %v, %v, want it refused", reply, err)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_NothingIsWrittenWhenAnyKeyIsForeign(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		h := b.hand(l, m)
		h.sync()
		before := b.snapshot()
		b.client.Set(ctx, "tw:{gmv}:w:110", "mine", 0)
		s0.event(0, 102, `"city":"Pune","amount":2`)
		s0.event(0, 112, `"city":"Pune","amount":2`)
		h.foldAll()
		err := h.tryFlush()
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "tw:{gmv}:w:110") {
			b.Fatalf("flush: got %v, want %v that names the key", err, ErrForeign)
		}
		if got, want := b.window(m, 100).Values[`["Pune"]`], "1.00"; got != want {
			b.Errorf("sum of the other window: got %s, want %s", got, want)
		}
		b.client.Del(ctx, "tw:{gmv}:w:110")
		if after := b.snapshot(); !reflect.DeepEqual(after, before) {
			b.Errorf("behind a flush that was refused: got %v, want %v", after, before)
		}
		h.sync()
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_MarkerOfAnUnfinishedScriptRebuildsTheMetric(t *testing.T) {
	onEvery(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		h := b.hand(l, m)
		h.sync()
		k := h.r.t.keys
		// A script died between its first write and its last.
		b.client.HSet(ctx, k.state(), "open", "1")
		b.client.HSet(ctx, k.accumulators("100"), `["Pune"]`, "2 2 999")
		b.client.HSet(ctx, k.values("100"), `["Pune"]`, "9.99")
		s0.event(0, 102, `"city":"Pune","amount":2`)
		h.foldAll()
		if err := h.tryFlush(); !errors.Is(err, ErrCorrupt) {
			b.Fatalf("flush: got %v, want %v", err, ErrCorrupt)
		}
		h.sync()
		if got, want := b.window(m, 100).Values[`["Pune"]`], "3.00"; got != want {
			b.Errorf("sum: got %s, want %s", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_GarbageInTheBookkeepingRebuildsTheMetric(t *testing.T) {
	for field, text := range map[string]string{
		"w:100": "closed", "p:0": "log-1 minus one", "m:0": "00=xyz", "stopped": "who knows", "floor": "low",
	} {
		t.Run(field, func(t *testing.T) {
			onEvery(t, func(b *bench) {
				l := newFakeLog(1)
				s0 := l.shard("00")
				m := b.metric(oneShard)
				s0.event(0, 101, `"city":"Pune","amount":1`)
				h := b.hand(l, m)
				h.sync()
				b.client.HSet(context.Background(), h.r.t.keys.state(), field, text)
				s0.event(0, 102, `"city":"Pune","amount":2`)
				// Another worker meets it when it loads, or else when it merges.
				h = b.hand(l, m)
				h.load()
				h.foldAll()
				if err := h.tryFlush(); err != nil {
					h.sync()
				}
				if got, want := b.window(m, 100).Values[`["Pune"]`], "3.00"; got != want {
					b.Errorf("sum: got %s, want %s", got, want)
				}
				checkExact(b, b.store, l, m)
			})
		})
	}
}

func TestProtocol_GapRaisesTheFloorAndGivesUpWhatItMayHaveTouched(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard) // writes are delayed by 5 s at most
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.event(0, 112, `"city":"Pune","amount":1`)
		h := b.hand(l, m)
		h.sync()
		s0.event(0, 113, `"city":"Pune","amount":1`) // never read: retention took it
		s0.event(0, 116, `"city":"Pune","amount":1`)
		s0.event(0, 125, `"city":"Pune","amount":1`)
		s0.event(0, 135, `"city":"Pune","amount":1`)
		l.trim(0, 3)
		h = b.hand(l, m)
		h.sync()
		// First heard: 116; with the delay 121; so the first whole window is [130, 140).
		if got, want := h.r.status.Floor, int64(130); got != want {
			b.Errorf("floor: got %d, want %d", got, want)
		}
		for _, start := range []int64{100, 110} {
			if got, want := describe(b.window(m, start)), "lost incomplete"; got != want {
				b.Errorf("window %d: got %q, want %q", start, got, want)
			}
		}
		if _, err := b.store.Window(context.Background(), m.Name, time.Unix(120, 0)); !errors.Is(err, ErrNoWindow) {
			b.Errorf("window 120, below the floor: got error %v, want %v", err, ErrNoWindow)
		}
		s0.beat(140)
		h.foldAll()
		h.flush()
		if got, want := describe(b.window(m, 130)), "closed complete"; got != want {
			b.Errorf("window 130: got %q, want %q", got, want)
		}
		if got, want := describe(b.window(m, 110)), "lost incomplete"; got != want {
			b.Errorf("window 110 later: got %q, want %q", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_GapWaitsForEveryShardToBeHeard(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		m := b.metric(nil)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s1.event(0, 150, `"city":"Pune","amount":1`) // ahead, and forgotten
		s0.event(0, 103, `"city":"Pune","amount":1`)
		l.trim(0, 2)
		h := b.hand(l, m)
		h.load()
		if _, ok := h.r.fold.Next(0); ok {
			b.Error("partition 0 was started although shard 01 was not heard behind the gap")
		}
		if why := h.r.status.Stopped[0]; !strings.Contains(why, "[01]") {
			b.Errorf("status: got %q, want the silent shard named", why)
		}
		s1.event(0, 151, `"city":"Pune","amount":1`)
		h.sync()
		if got, want := h.r.status.Floor, int64(160); got != want {
			b.Errorf("floor: got %d, want %d", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_PositionOfAnotherIncarnationIsAGap(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.event(0, 102, `"city":"Pune","amount":1`)
		b.hand(l, m).sync()
		l = newFakeLog(1) // the topic was made anew
		l.incarnation = "log-2"
		s0 = l.shard("00")
		s0.fence()
		s0.event(0, 104, `"city":"Pune","amount":5`)
		s0.event(0, 115, `"city":"Pune","amount":5`)
		h := b.hand(l, m)
		h.sync()
		if got, want := describe(b.window(m, 100)), "lost incomplete"; got != want {
			b.Errorf("window 100: got %q, want %q", got, want)
		}
		if got, want := b.window(m, 110).Values[`["Pune"]`], "5.00"; got != want {
			b.Errorf("window 110: got %q, want %q", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_OffsetBeyondTheLogStopsTheMetric(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShard)
		l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
		b.hand(l, m).sync()
		err := b.hand(newFakeLog(1), m).tryLoad()
		if err == nil || !strings.Contains(err.Error(), "beyond the log's end") {
			b.Errorf("load: got %v, want an error that says the log lost records", err)
		}
	})
}

func TestProtocol_RevisionIsNeverUsedForTwoContents(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.beat(110)
		h := b.hand(l, m)
		h.sync()
		before := b.snapshot()
		s0.event(0, 102, `"city":"Pune","amount":1`)
		h.foldAll()
		h.flush()
		first := b.window(m, 100)
		b.restore(before)
		s0.event(0, 103, `"city":"Pune","amount":1`)
		h = b.hand(l, m)
		h.sync() // both late rows at once
		second := b.window(m, 100)
		if second.Revision <= first.Revision {
			b.Errorf("revision %d of %v came after %d of %v", second.Revision, second.Values, first.Revision, first.Values)
		}
		b.client.FlushAll(context.Background())
		b.tick()
		h = b.hand(l, m)
		h.sync()
		if third := b.window(m, 100); third.Revision <= second.Revision {
			b.Errorf("revision after FLUSHALL: got %d, want above %d", third.Revision, second.Revision)
		}
	})
}

func TestMerge_StopsAtMaxGroupsAndGoesOnWhenItIsRaised(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		limit := func(n int) *windowing.Metric {
			return b.metric(func(d *windowing.Definition) { oneShard(d); d.MaxGroups = n })
		}
		for _, city := range []string{"a", "b", "c"} {
			s0.event(0, 101, `"city":"`+city+`","amount":1`)
		}
		h := b.hand(l, limit(2))
		h.load()
		h.fold(0, 2)
		h.flush()
		h.fold(0, 1)
		err := h.tryFlush()
		if !errors.Is(err, ErrMaxGroups) || !strings.Contains(err.Error(), "window 100") {
			b.Fatalf("flush: got %v, want %v that names the window", err, ErrMaxGroups)
		}
		h = b.hand(l, limit(2))
		h.load()
		if err := h.tryFlush(); !errors.Is(err, ErrMaxGroups) {
			b.Errorf("flush without deltas: got %v, want %v to stick", err, ErrMaxGroups)
		}
		checkExact(b, b.store, l, limit(2))
		b.hand(l, limit(3)).sync()
		if got, want := len(b.window(limit(3), 100).Values), 3; got != want {
			b.Errorf("groups: got %d, want %d", got, want)
		}
		checkExact(b, b.store, l, limit(3))
	})
}

func TestMerge_OverflowIsMarkedCountedAndSticky(t *testing.T) {
	onEvery(t, func(b *bench) {
		ctx := context.Background()
		nines := func(n int) string { return strings.Repeat("9", n) }
		for agg, full := range map[string]string{
			"sum(amount)": "1 1 " + nines(76), "count()": nines(18), "avg(amount)": nines(14) + " " + nines(14) + " 5", "max(amount)": nines(18) + " 1 6 1031001.00",
		} {
			l := newFakeLog(1)
			s0 := l.shard("00")
			m := b.metric(func(d *windowing.Definition) { oneShard(d); d.Aggregate = agg; d.Name = agg[:3] })
			s0.event(0, 101, `"city":"Pune","amount":1`)
			h := b.hand(l, m)
			h.sync()
			b.client.HSet(ctx, h.r.t.keys.accumulators("100"), `["Pune"]`, full)
			for range 2 {
				s0.event(0, 102, `"city":"Pune","amount":1`)
				h.foldAll()
				h.flush()
			}
			if got, want := b.window(m, 100).Values[`["Pune"]`], "overflow"; got != want {
				b.Errorf("%s: got %q, want %q", agg, got, want)
			}
			if got, want := h.r.status.Overflows, int64(1); got != want {
				b.Errorf("%s: overflows: got %d, want %d", agg, got, want)
			}
		}
	})
}

func TestWorkerOptions_ShardListIsReplacedAtAStartOnly(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		one := b.metric(oneShard)
		two := b.metric(func(d *windowing.Definition) { oneShard(d); d.Shards = []string{"00", "01"} })
		s0.event(0, 101, `"city":"Pune","amount":1`)
		old := b.hand(l, one)
		old.sync()
		s0.beat(120)
		h := b.hand(l, two)
		h.sync() // a start with one shard more
		if got, want := describe(b.window(one, 100)), "open incomplete"; got != want {
			b.Errorf("window with a shard never heard: got %q, want %q", got, want)
		}
		old.foldAll()
		if err := old.tryFlush(); !errors.Is(err, errShards) {
			b.Errorf("flush of the worker that runs with the old list: got %v, want %v", err, errShards)
		}
		if err := old.tryLoad(); !errors.Is(err, errShards) {
			b.Errorf("load of that worker: got %v, want %v", err, errShards)
		}
		l.shard("01").beat(120)
		h.foldAll()
		h.flush()
		if got, want := describe(b.window(one, 100)), "closed complete"; got != want {
			b.Errorf("window when all are heard: got %q, want %q", got, want)
		}
	})
}
