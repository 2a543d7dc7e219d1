package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/windowing"
)

// events are the publications of a metric's windows, a line each, without the
// number of the revision.
func (b *bench) events(metric string) (lines []string, revisions map[string]string) {
	b.Helper()
	messages, err := b.client.XRange(b.Context(), "tw:{"+metric+"}:events", "-", "+").Result()
	if err != nil {
		b.Fatal(err)
	}
	revisions = map[string]string{}
	for _, m := range messages {
		v := m.Values
		lines = append(lines, fmt.Sprint(v["start"], " ", v["end"], " ", v["state"], " ", v["complete"], " ", v["missing"]))
		revisions[fmt.Sprint(v["start"])] = fmt.Sprint(v["revision"])
		if len(v) != 6 {
			b.Errorf("event %v has %d fields, want 6", v, len(v))
		}
	}
	return lines, revisions
}

func TestEvents_OneForEachPublicationInTheSameScript(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) {
			d.Partitions, d.WaitForShards = 1, 15*time.Second
		})
		s0, s1 := l.shard("00"), l.shard("01")
		h := b.hand(l, m)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s1.event(0, 109, `"city":"Pune","amount":1`)
		h.sync()
		want := []string{}
		check := func(more ...string) {
			b.Helper()
			h.foldAll()
			h.flush()
			want = append(want, more...)
			got, revisions := b.events(m.Name)
			if !slices.Equal(got, want) {
				b.Fatalf("events: got %q, want %q", got, want)
			}
			if w := b.window(m, 100); w.Revision != 0 && revisions["100"] != fmt.Sprint(w.Revision) {
				b.Errorf("revision: the last event says %s, the window %d", revisions["100"], w.Revision)
			}
		}
		check()
		s0.event(0, 126, `"city":"Pune","amount":1`)
		check(`100 110 closed 0 ["01"]`)
		s1.event(0, 109, `"city":"Pune","amount":1`)
		check(`100 110 revised 0 ["01"]`)
		s1.beat(140)
		s0.beat(140)
		check(`100 110 revised 1 []`, `120 130 closed 1 []`)
		check()
	})
}

func TestEvents_LostWindowsAreAnnounced(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShard)
		s0 := l.shard("00")
		s0.event(0, 101, `"city":"Pune","amount":1`)
		b.hand(l, m).sync()
		s0.event(0, 102, `"city":"Pune","amount":1`)
		s0.event(0, 103, `"city":"Pune","amount":1`)
		l.trim(0, 2)
		b.hand(l, m).sync()
		got, _ := b.events(m.Name)
		if want := []string{"100 110 lost 0 []"}; !slices.Equal(got, want) {
			b.Errorf("events: got %q, want %q", got, want)
		}
	})
}

func TestEvents_AreBounded(t *testing.T) {
	onEvery(t, func(b *bench) {
		b.probe(`
			local e = {state = 'closed', revision = 5, complete = '1', missing = '-'}
			for i = 1, 3000 do announce('events', '200', e, '100', 110) end
			return {}`)
		if n := b.client.XLen(b.Context(), "events").Val(); n < 200 || n > 500 {
			b.Errorf("got %d events, want about 200", n)
		}
		long := b.metric(func(d *windowing.Definition) { d.Retain = 12 * time.Hour })
		if got, want := b.store.table(long, 0).maxEvents(), int64(8640); got != want {
			b.Errorf("events of 4,320 windows: got %d, want %d", got, want)
		}
	})
}

func TestEvents_ForeignKeyStopsTheMetricBeforeAnythingIsWritten(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShard)
		b.client.Set(b.Context(), "tw:{gmv}:events", "mine", 0)
		l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
		h := b.hand(l, m)
		h.load()
		h.foldAll()
		if err := h.tryFlush(); err == nil || !strings.Contains(err.Error(), "tw:{gmv}:events is a string, want a stream") {
			b.Errorf("got %v, want an error that names the key", err)
		}
	})
}

// TestGeneration_OfEveryAggregateCatchesUpBesideTheOldOne redefines a metric
// again and again: what is public changes at once and whole, and its events say so.
func TestGeneration_OfEveryAggregateCatchesUpBesideTheOldOne(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		s0.beat(80)
		row := func(id int, amount string, at float64) string {
			return fmt.Sprintf(`"id":%d,"city":"Pune","amount":%s,"at":%s`, id, amount, datetime(at))
		}
		s0.op(0, "c", 101, row(1, "3.00", 101))
		s0.op(0, "c", 101, row(2, "5.00", 101))
		s0.op(0, "u", 102, row(2, "9.50", 101)+`,"_old":{"amount":5.00}`)
		s0.op(0, "d", 103, row(1, "3.00", 101))
		s0.beat(150)
		old := b.hand(l, b.metric(oneShard))
		old.sync()
		for _, c := range []struct {
			aggregate, want string
			rows            windowing.Rows
		}{
			{"avg(amount)", "5.125000", windowing.Changes}, {"min(amount)", "3.00", windowing.Inserts}, {"max(amount)", "9.50", windowing.Latest},
			{"count()", "1", windowing.Latest}, {"min(amount)", "9.50", windowing.Latest}, {"max(amount)", "5.00", windowing.Inserts}, {"avg(amount)", "9.500000", windowing.Latest},
		} {
			before, events := b.window(old.r.t.m, 100), b.client.XLen(b.Context(), "tw:{gmv}:events").Val()
			m := b.metric(func(d *windowing.Definition) {
				oneShard(d)
				if d.Aggregate, d.Rows = c.aggregate, c.rows; c.rows == windowing.Latest {
					dated(d)
				}
			})
			h := b.hand(l, m)
			h.load()
			if h.r.t.role != candidate {
				b.Fatalf("%s of %s: role %s, want a candidate", c.aggregate, c.rows, h.r.t.role)
			}
			h.foldAll()
			h.flush()
			if w := b.window(m, 100); fmt.Sprint(w) != fmt.Sprint(before) || b.client.XLen(b.Context(), "tw:{gmv}:events").Val() != events {
				b.Errorf("%s of %s: the public window changed while it caught up: %v", c.aggregate, c.rows, w)
			}
			if done, err := h.r.t.promote(b.Context()); err != nil || !done {
				b.Fatalf("promote: %v, %v", done, err)
			}
			w := b.window(m, 100)
			if got := w.Values[`["Pune"]`]; got != c.want || w.Generation != m.Generation() {
				b.Errorf("%s of %s: got %s of %s, want %s", c.aggregate, c.rows, got, w.Generation, c.want)
			}
			if _, revisions := b.events(m.Name); revisions["100"] != fmt.Sprint(w.Revision) {
				b.Errorf("%s of %s: the last event says revision %s, the window %d", c.aggregate, c.rows, revisions["100"], w.Revision)
			}
			h.r.detach(nil, 0)
			h.load()
			h.flush()
			checkExact(b, b.store, l, m)
			if keys := b.client.Keys(b.Context(), "tw:{gmv}:[ao]:"+old.r.t.m.Generation()+":*").Val(); len(keys) != 0 {
				b.Errorf("the old generation left %v", keys)
			}
			old = h
		}
	})
}
