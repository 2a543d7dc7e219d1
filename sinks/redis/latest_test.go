package redis

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tailwater/stream"
	"tailwater/windowing"
)

// oracleTable is the rows of a table as the log tells them: it knows keys, and
// takes nothing back.
type oracleTable map[string]map[string]json.RawMessage

func (o oracleTable) apply(t testing.TB, r *stream.Record) {
	t.Helper()
	e := oracleEvent(t, r.Value)
	key := r.Shard + string(e["id"])
	if string(e["_op"]) == `"d"` {
		delete(o, key)
	} else {
		o[key] = e
	}
}

// oracleTime is the time of an event in seconds: its commit, or its column's.
func oracleTime(t testing.TB, m *windowing.Metric, e map[string]json.RawMessage) (int64, bool) {
	t.Helper()
	var micros int64
	if m.Time == windowing.CommitTime {
		if err := json.Unmarshal(e["_ts_us"], &micros); err != nil {
			t.Fatal("oracle: an event has no time")
		}
		return micros / 1e6, true
	}
	at, err := time.Parse(`"2006-01-02 15:04:05.000"`, string(e[m.Time]))
	return at.Unix(), err == nil
}

// dated makes a metric follow the rows as they are.
func dated(d *windowing.Definition) {
	d.Rows, d.Time, d.OnLate, d.WriteDelay = windowing.Latest, "at", windowing.Revise, time.Second
}

func TestLatest_IsTheTableGroupedByItsColumns(t *testing.T) {
	for _, aggregate := range []string{"count()", "sum(amount)", "avg(amount)", "min(amount)", "max(amount)"} {
		onEvery(t, func(b *bench) {
			l := newFakeLog(1)
			m := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Aggregate = aggregate })
			s0 := l.shard("00")
			s0.beat(50)
			h := b.hand(l, m)
			row := func(id int, city, amount string, at float64) string {
				return fmt.Sprintf(`"id":%d,"city":%q,"amount":%s,"at":%s`, id, city, amount, datetime(at))
			}
			for _, step := range []func(){
				func() { s0.op(0, "c", 101, row(1, "Pune", "12.50", 100)) },
				func() { s0.op(0, "c", 102, row(2, "Pune", "7.50", 101)) },
				func() { s0.op(0, "u", 103, row(1, "Delhi", "12.50", 100)+`,"_old":{"city":"Pune"}`) },
				func() {
					s0.op(0, "u", 104, row(1, "Delhi", "1.00", 115)+`,"_old":{"amount":12.50,"at":`+datetime(100)+`}`)
				},
				func() { s0.op(0, "u", 105, row(1, "Delhi", "1.00", 115)) }, // nothing that the view shows
				func() { s0.op(0, "d", 106, row(2, "Pune", "7.50", 101)) },
				func() { s0.op(0, "c", 106, row(3, "Pune", "7.50", 101)) }, // its key changed
				func() { s0.op(0, "u", 107, row(3, "Pune", "null", 101)+`,"_old":{"amount":7.50}`) },
				func() {
					s0.op(0, "u", 108, `"id":3,"city":"Pune","amount":null,"at":null,"_old":{"at":`+datetime(101)+`}`)
				},
				func() { s0.op(0, "d", 109, row(1, "Delhi", "1.00", 115)) },
				func() { s0.beat(300) },
			} {
				step()
				h.sync()
				checkExact(b, b.store, l, m)
			}
			for _, start := range []int64{100, 110} {
				if w := b.window(m, start); len(w.Values) != 0 || w.Groups != 0 || describe(w) != "closed complete" {
					b.Errorf("window %d after all: got %+v", start, w)
				}
			}
			if s := h.r.snapshot(time.Now()); s.Negatives != 0 || s.Skipped != 1 {
				b.Errorf("got %d negatives and %d skipped, want 0 and 1", s.Negatives, s.Skipped)
			}
		})
	}
}

func TestLatest_RowsOlderThanTheLogAreOutOfItsWindows(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Aggregate = "count()" })
		s0 := l.shard("00")
		h := b.hand(l, m)
		h.load()
		if _, ok := h.r.fold.Next(0); ok {
			b.Fatal("the fold starts before it is known where the log does")
		}
		s0.beat(105)
		// The row was there before: its windows cannot be whole.
		s0.op(0, "u", 121, `"id":1,"city":"b","amount":1,"at":`+datetime(103)+`,"_old":{"city":"a"}`)
		s0.op(0, "u", 122, `"id":1,"city":"b","amount":1,"at":`+datetime(122)+`,"_old":{"at":`+datetime(103)+`}`)
		h.sync()
		if got := b.window(m, 120).Values[`["b"]`]; got != "1" {
			b.Errorf("the row where it is now: got %q, want 1", got)
		}
		infos, err := b.store.Windows(b.Context(), m.Name, 0)
		if err != nil || len(infos) != 1 {
			b.Errorf("windows: got %v, %v, want one", infos, err)
		}
		s := h.r.snapshot(time.Now())
		if s.Floor != 110 && s.Floor != 120 || s.Below != 3 || s.Negatives != 0 {
			b.Errorf("got floor %d, %d below and %d negatives", s.Floor, s.Below, s.Negatives)
		}
	})
}

func TestLatest_ARowTakenBackThatNeverCameIsAnAlarm(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Aggregate = "max(amount)" })
		s0 := l.shard("00")
		s0.beat(50)
		s0.op(0, "d", 101, `"id":1,"city":"a","amount":4,"at":`+datetime(200)) // dated ahead, before the log
		h := b.hand(l, m)
		h.sync()
		s0.op(0, "d", 102, `"id":2,"city":"a","amount":5,"at":`+datetime(200))
		h.sync()
		if s := h.r.snapshot(time.Now()); s.Negatives != 1 {
			b.Errorf("got %d negatives, want 1", s.Negatives)
		}
		if got := b.window(m, 200).Values[`["a"]`]; got != "null" {
			b.Errorf("value: got %q, want null", got)
		}
	})
}

func TestLatest_ANewShardsOlderRowsAreOutOfItsWindows(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		one := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Aggregate = "count()" })
		two := b.metric(func(d *windowing.Definition) {
			dated(d)
			d.Partitions, d.Aggregate = 1, "count()"
		})
		s0, s1 := l.shard("00"), l.shard("01")
		s0.beat(50)
		s0.op(0, "c", 101, `"id":1,"city":"a","at":`+datetime(101))
		s0.op(0, "c", 125, `"id":2,"city":"a","at":`+datetime(125))
		b.hand(l, one).sync()
		h := b.hand(l, two)
		if err := h.tryLoad(); err == nil {
			b.Fatal("the new shard was taken in before it was heard")
		}
		s1.beat(115)
		s1.op(0, "d", 126, `"id":1,"city":"a","at":`+datetime(101)) // older than what the log has of the shard
		s1.op(0, "c", 126, `"id":2,"city":"a","at":`+datetime(126))
		h.sync()
		if got := b.window(two, 120).Values[`["a"]`]; got != "2" {
			b.Errorf("window of both shards: got %q, want 2", got)
		}
		if w := b.window(two, 100); w.State != StateLost || w.Values[`["a"]`] != "1" {
			b.Errorf("window that lacks the shard's older rows: got %+v, want it lost and as it was", w)
		}
		if s := h.r.snapshot(time.Now()); s.Negatives != 0 || s.Below != 1 {
			b.Errorf("got %d negatives and %d below, want 0 and 1", s.Negatives, s.Below)
		}
		checkExact(b, b.store, l, two)
	})
}

func TestDated_TooManyOpenWindowsStopTheMetric(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); d.Time, d.GroupBy, d.Aggregate = "at", nil, "count()" })
		h := b.hand(l, m)
		s0 := l.shard("00")
		s0.beat(50)
		h.sync()
		var stopped error
		for i := 0; i <= maxDated && stopped == nil; i++ {
			s0.op(0, "c", 101, fmt.Sprintf(`"id":%d,"at":%s`, i, datetime(1000+10*float64(i))))
			if i%900 == 899 || i == maxDated {
				h.foldAll()
				stopped = h.tryFlush()
			}
		}
		if stopped == nil || h.r.retryAt.Before(time.Now().Add(backoffStopped/4)) {
			b.Errorf("got %v, retry at %v", stopped, h.r.retryAt)
		}
	})
}
