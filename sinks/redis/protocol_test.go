package redis

import (
	"context"
	"errors"
	"testing"
	"time"

	"tailwater/windowing"
)

func TestMerge_CountsEachEventOnceAndClosesByWatermark(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		s0.event(0, 101, `"city":"Pune","amount":12.50`)
		s0.event(1, 102, `"city":"Pune","amount":-0.25`)
		s1.event(0, 103, `"city":null,"amount":null`)
		s1.event(1, 109.999999, `"city":"Delhi","amount":99999999999999999999999999999999999999999999999999999999999999.99`)
		m := b.metric(nil)
		h := b.hand(l, m)
		h.sync()
		w := b.window(m, 100)
		if got, want := describe(w), "open incomplete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
		for g, want := range map[string]string{`["Pune"]`: "12.25", `[null]`: "null", `["Delhi"]`: "99999999999999999999999999999999999999999999999999999999999999.99"} {
			if got := w.Values[g]; got != want {
				b.Errorf("group %s: got %q, want %q", g, got, want)
			}
		}
		s0.beat(110)
		s1.beat(110)
		s1.event(1, 110, `"city":"Delhi","amount":0.01`)
		h.foldAll()
		h.flush()
		if got, want := describe(b.window(m, 100)), "closed complete"; got != want {
			b.Errorf("window after the watermark: got %q, want %q", got, want)
		}
		if got, want := describe(b.window(m, 110)), "open incomplete"; got != want {
			b.Errorf("next window: got %q, want %q", got, want)
		}
		checkExact(t, b.store, l, m)
	})
}

func TestMerge_RefusesTheSameBatchTwice(t *testing.T) {
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
		_, err := h.r.t.merge(context.Background(), h.r.fold.Cut(), nil)
		if !errors.Is(err, errRefused) {
			b.Errorf("second merge: got %v, want %v", err, errRefused)
		}
		checkExact(t, b.store, l, m)
	})
}

func TestProtocol_MarksAreStoredWithTheValues(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0 := l.shard("00")
		first := s0.event(0, 101, `"city":"Pune","amount":1`)
		m := b.metric(nil)
		b.hand(l, m).sync()
		l.append(0, first) // a retry wrote it again
		s0.event(0, 102, `"city":"Pune","amount":2`)
		b.hand(l, m).sync() // another worker, with no memory
		if got, want := b.window(m, 100).Values[`["Pune"]`], "3.00"; got != want {
			b.Errorf("sum over a duplicate: got %s, want %s", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_HeartbeatAtTheMarkMovesTheWatermark(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s1.event(0, 101, `"city":"Pune","amount":1`)
		m := b.metric(nil)
		h := b.hand(l, m)
		h.sync()
		s0.beat(120) // its LSN is that of the last event
		s1.beat(120)
		h.foldAll()
		h.flush()
		if got, want := describe(b.window(m, 100)), "closed complete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
	})
}

func TestProtocol_StaleHeartbeatMovesNothing(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(func(d *windowing.Definition) { d.Shards, d.Partitions = []string{"00"}, 1 })
		s0.event(0, 101, `"city":"Pune","amount":1`)
		stale := s0.heartbeat(0, 102)
		stale.Watermark = 500e6
		s0.event(0, 103, `"city":"Pune","amount":1`)
		l.append(0, stale)
		b.hand(l, m).sync()
		if got, want := describe(b.window(m, 100)), "open incomplete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
	})
}

func TestProtocol_ClosesByTheStoredWatermarksOfAllPartitionsAndShards(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s1.event(1, 109, `"city":"Pune","amount":2`)
		s0.beat(130)
		s1.beat(130)
		m := b.metric(nil)
		one, two := b.hand(l, m), b.hand(l, m)
		one.load()
		two.load()
		one.fold(0, 100) // a worker that owns partition 0 only
		one.flush()
		if got, want := describe(b.window(m, 100)), "open incomplete"; got != want {
			b.Errorf("window with partition 1 unread: got %q, want %q", got, want)
		}
		two.load()
		two.fold(1, 2) // the event and shard 00's heartbeat, not yet shard 01's
		two.flush()
		if got, want := describe(b.window(m, 100)), "open incomplete"; got != want {
			b.Errorf("window with shard 01 unheard in partition 1: got %q, want %q", got, want)
		}
		two.fold(1, 100)
		two.flush()
		if got, want := describe(b.window(m, 100)), "closed complete"; got != want {
			b.Errorf("window when all are heard: got %q, want %q", got, want)
		}
		if got, want := b.window(m, 100).Values[`["Pune"]`], "3.00"; got != want {
			b.Errorf("sum: got %s, want %s", got, want)
		}
	})
}

func TestProtocol_WaitForShardsNamesTheSilentShardAndRevisesLater(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		m := b.metric(func(d *windowing.Definition) { d.WaitForShards = 15 * time.Second })
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s1.event(1, 102, `"city":"Pune","amount":2`)
		s1.beat(105) // and then nothing
		s0.beat(125) // exactly the wait past the end of [100, 110): not yet
		h := b.hand(l, m)
		h.sync()
		if got, want := describe(b.window(m, 100)), "open incomplete"; got != want {
			b.Errorf("window at the wait: got %q, want %q", got, want)
		}
		s0.beat(125.000001)
		h.foldAll()
		h.flush()
		w := b.window(m, 100)
		if got, want := describe(w), "closed incomplete 01"; got != want {
			b.Errorf("window past the wait: got %q, want %q", got, want)
		}
		s1.event(1, 109, `"city":"Pune","amount":4`)
		h.foldAll()
		h.flush()
		again := b.window(m, 100)
		if got, want := describe(again), "revised incomplete 01"; got != want {
			b.Errorf("window with a row of the shard: got %q, want %q", got, want)
		}
		s1.beat(110)
		h.foldAll()
		h.flush()
		last := b.window(m, 100)
		if got, want := describe(last), "revised complete"; got != want {
			b.Errorf("window when the shard is back: got %q, want %q", got, want)
		}
		if w.Revision >= again.Revision || again.Revision >= last.Revision {
			b.Errorf("revisions %d, %d, %d do not rise", w.Revision, again.Revision, last.Revision)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_WorkerThatIsBehindDoesNotMakeAShardMissing(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		m := b.metric(func(d *windowing.Definition) { d.WaitForShards = 15 * time.Second })
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.beat(111)
		s1.beat(111) // in time, in both partitions
		s0.beat(200)
		h := b.hand(l, m)
		h.load()
		h.fold(0, 100) // shard 00 is far past the end in partition 0; partition 1 is unread
		h.flush()
		if got, want := describe(b.window(m, 100)), "open incomplete"; got != want {
			b.Errorf("window while partition 1 is unread: got %q, want %q", got, want)
		}
		h.fold(1, 1)
		h.flush()
		if got, want := describe(b.window(m, 100)), "open incomplete"; got != want {
			b.Errorf("window while shard 01 is unread in partition 1: got %q, want %q", got, want)
		}
		h.fold(1, 100)
		h.flush()
		if got, want := describe(b.window(m, 100)), "closed complete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
	})
}

func TestProtocol_LateIsDecidedInTheEventsOwnPartition(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.heartbeat(0, 130)
		s1.heartbeat(0, 130)
		s0.event(0, 105, `"city":"Pune","amount":10`) // late in partition 0
		s0.event(1, 106, `"city":"Pune","amount":20`) // in time in partition 1
		m := b.metric(func(d *windowing.Definition) { d.OnLate = windowing.Drop })
		h := b.hand(l, m)
		h.load()
		h.fold(0, 3)
		h.flush()
		h.fold(0, 100) // the window is open in the store: partition 1 is unread
		h.flush()
		h.fold(1, 100)
		h.flush()
		if got, want := b.window(m, 100).Values[`["Pune"]`], "21.00"; got != want {
			b.Errorf("sum: got %s, want %s", got, want)
		}
		if got, want := h.r.status.Dropped, int64(1); got != want {
			b.Errorf("dropped: got %d, want %d", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_LateRowsReviseAClosedWindow(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(func(d *windowing.Definition) { d.Shards, d.Partitions = []string{"00"}, 1 })
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.beat(130)
		h := b.hand(l, m)
		h.sync()
		closed := b.window(m, 100)
		s0.event(0, 102, `"city":"Pune","amount":1`)
		h.foldAll()
		h.flush()
		revised := b.window(m, 100)
		if got, want := describe(revised), "revised complete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
		if revised.Revision <= closed.Revision {
			b.Errorf("revision went from %d to %d", closed.Revision, revised.Revision)
		}
		if got, want := h.r.status.Late, int64(1); got != want {
			b.Errorf("late: got %d, want %d", got, want)
		}
	})
}

func TestHazard_B17_VanishedWindowIsLostNeverHalf(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(func(d *windowing.Definition) { d.Shards, d.Partitions = []string{"00"}, 1 })
		s0.event(0, 101, `"city":"Pune","amount":5`)
		h := b.hand(l, m)
		h.sync()
		// Its keys are evicted, or their time to live is over.
		k := h.r.t.keys
		if err := b.client.Del(context.Background(), k.window(nil, "100")...).Err(); err != nil {
			b.Fatal(err)
		}
		s0.event(0, 102, `"city":"Pune","amount":1`)
		s0.event(0, 111, `"city":"Pune","amount":1`)
		s0.beat(130)
		h.foldAll()
		h.flush()
		w := b.window(m, 100)
		if w.State != StateLost || w.Complete || len(w.Values) != 0 {
			b.Errorf("vanished window: got %+v, want it lost, incomplete and without values", w)
		}
		if got, want := h.r.status.Below, int64(1); got != want {
			b.Errorf("events left out: got %d, want %d", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_FloorRisesByTheScriptAndOnlyCountsWhatIsBelow(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(func(d *windowing.Definition) {
			d.Shards, d.Partitions, d.Retain = []string{"00"}, 1, time.Minute
		})
		for at := 100.0; at < 130; at += 5 {
			s0.event(0, at, `"city":"Pune","amount":1`)
		}
		h := b.hand(l, m)
		h.sync()
		s0.beat(189.999999)
		h.foldAll()
		h.flush()
		if got, want := h.r.status.Floor, int64(120); got != want {
			b.Errorf("floor: got %d, want %d", got, want)
		}
		for _, start := range []int64{100, 110} {
			if _, err := b.store.Window(context.Background(), m.Name, time.Unix(start, 0)); !errors.Is(err, ErrNoWindow) {
				b.Errorf("window %d: got error %v, want %v", start, err, ErrNoWindow)
			}
		}
		s0.event(0, 105, `"city":"Pune","amount":1`)
		h.foldAll()
		h.flush()
		if got, want := h.r.status.Below, int64(1); got != want {
			b.Errorf("below the floor: got %d, want %d", got, want)
		}
		if names := b.client.Keys(context.Background(), "*:100").Val(); len(names) != 0 {
			b.Errorf("keys of the deleted window are back: %v", names)
		}
		checkExact(b, b.store, l, m)
	})
}
