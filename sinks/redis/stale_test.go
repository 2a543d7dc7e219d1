package redis

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/standstill"
	"tailwater/stream"
	"tailwater/windowing"
)

// table appends the event of a change of a table to every partition.
func (s *fakeShard) table(ddl string, at float64) {
	s.txn++
	micros := int64(at * 1e6)
	for p := range s.log.parts {
		s.n[int32(p)]++
		lsn := change.LSN{Epoch: s.epoch, Txn: s.txn, Row: 1, Part: uint16(p)}
		value := fmt.Sprintf(`{"_op":"t","_shard":%q,"_ts_us":%d,"_lsn":%q,"_db":"shop","_table":"orders","_gtid":"g:%d","_ddl":%q}`, s.name, micros, lsn, s.txn, ddl)
		s.log.append(int32(p), stream.Record{Kind: stream.Event, Partition: int32(p), Shard: s.name, LSN: lsn, N: s.n[int32(p)], Watermark: s.wm, Value: []byte(value)})
	}
}

// datedRow is a row of the metric that dated makes.
func datedRow(id int, city string, at float64) string {
	return fmt.Sprintf(`"id":%d,"city":%q,"amount":1.00,"at":%s`, id, city, datetime(at))
}

// emptied is a log of two partitions in which a table is truncated at 125 s:
// rows of both partitions and of the windows 100 to 120 are gone.
func emptied() *fakeLog {
	l := newFakeLog(2)
	s0 := l.shard("00")
	s0.beat(50)
	for i, city := range []string{"Pune", "Delhi", "Goa", "Puri"} {
		s0.op(int32(i%2), "c", 101+float64(i), datedRow(i, city, 100))
		s0.op(int32(i%2), "c", 111+float64(i), datedRow(10+i, city, 110))
		s0.op(int32(i%2), "c", 121+float64(i), datedRow(20+i, city, 120))
	}
	s0.table("truncate", 125)
	for i, city := range []string{"Pune", "Delhi", "Goa", "Puri"} {
		s0.op(int32(i%2), "c", 127+float64(i), datedRow(30+i, city, 121))
		s0.op(int32(i%2), "c", 131+float64(i), datedRow(40+i, city, 130))
	}
	s0.beat(300)
	return l
}

// counted is a metric of rows as they are over two partitions of one shard.
func (b *bench) counted(change func(*windowing.Definition)) *windowing.Metric {
	return b.metric(func(d *windowing.Definition) {
		dated(d)
		d.Aggregate, d.Shards = "count()", []string{"00"}
		if change != nil {
			change(d)
		}
	})
}

// staleness lists the windows that are marked.
func (b *bench) staleness(m *windowing.Metric) (out []int64) {
	b.Helper()
	infos, err := b.store.Windows(b.Context(), m.Name, 0)
	if err != nil {
		b.Fatal(err)
	}
	for _, w := range infos {
		if w.Stale {
			out = append(out, w.Start.Unix())
		}
	}
	slices.Sort(out)
	return out
}

func TestStale_MarksTheWindowsThatMayHoldRowsThatAreGone(t *testing.T) {
	onEvery(t, func(b *bench) {
		l, m := emptied(), b.counted(nil)
		h := b.hand(l, m)
		h.sync()
		if got := b.staleness(m); fmt.Sprint(got) != "[100 110 120]" {
			b.Errorf("stale windows: %v, want those that begin at or before 125", got)
		}
		w := b.window(m, 130)
		if w.Stale || w.Values[`["Pune"]`] != "1" || describe(w) != "closed complete" {
			b.Errorf("the window behind it: got %+v, want it closed and right", w)
		}
		if w := b.window(m, 110); !w.Stale || w.Values[`["Pune"]`] != "1" {
			b.Errorf("a stale window: got %+v, want the values that it had", w)
		}
		s := h.r.snapshot(time.Now())
		if s.Stale != 125e6 || s.StaleBy != "truncate of shop.orders on shard 00 in transaction g:13" || s.LastError != "" {
			b.Errorf("status: stale until %d by %q, error %q", s.Stale, s.StaleBy, s.LastError)
		}
	})
}

func TestStale_IsNothingToMetricsOfEvents(t *testing.T) {
	for _, rows := range []windowing.Rows{windowing.Changes, windowing.Inserts} {
		onEvery(t, func(b *bench) {
			l := emptied()
			m := b.counted(func(d *windowing.Definition) { d.Rows, d.Time = rows, windowing.CommitTime })
			h := b.hand(l, m)
			h.sync()
			if got := b.staleness(m); got != nil {
				b.Errorf("%s: stale windows %v, want none", rows, got)
			}
			if got := b.window(m, 120).Values[`["Pune"]`]; got != "2" {
				b.Errorf("%s: got %s events, want 2", rows, got)
			}
			if s := h.r.snapshot(time.Now()); s.Stale != 0 || s.StaleBy != "" || s.LastError != "" {
				b.Errorf("%s: status %+v", rows, s)
			}
		})
	}
}

// stalest is what the bookkeeping of every bucket says of it, and the windows
// that are marked.
func (b *bench) stalest(m *windowing.Metric) string {
	b.Helper()
	var out []string
	for number := range m.Buckets {
		v, err := b.client.HMGet(b.Context(), b.store.table(m, number).keys.state(), "stale", "stale_by", "ahead", "restate").Result()
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, fmt.Sprint(v...))
	}
	return strings.Join(out, "; ") + fmt.Sprint(b.staleness(m))
}

// Whatever the order in which the partitions are read, wherever the batches are
// cut, and whoever dies between them, the outcome is that of one reading.
func TestStale_IsAFunctionOfTheLog(t *testing.T) {
	onEvery(t, func(b *bench) {
		l, m := emptied(), b.counted(nil)
		b.hand(l, m).sync()
		want := b.stalest(m)
		for name, read := range map[string]func(h *hand){
			"the second partition first": func(h *hand) {
				h.load()
				h.fold(1, 1<<40)
				h.flush()
				h.foldAll()
				h.flush()
			},
			"one record at a time": func(h *hand) {
				h.load()
				for range l.end(0) + l.end(1) {
					h.fold(0, 1)
					h.flush()
					h.fold(1, 1)
					h.flush()
				}
			},
			"another worker from there on": func(h *hand) {
				h.load()
				h.fold(0, 8)
				h.flush()
				h.fold(1, 8)
				other := b.hand(l, m)
				other.sync()
				if err := h.tryFlush(); err == nil {
					b.Error("the batch of a worker that was overtaken is taken")
				}
			},
			"the store loses what was newest": func(h *hand) {
				h.load()
				h.fold(0, 3)
				h.flush()
				im := b.snapshot()
				h.foldAll()
				h.flush()
				b.restore(im)
				if err := h.tryFlush(); err == nil && h.r.fold.Dirty() {
					b.Error("the store has another position and takes the batch")
				}
				h.sync()
			},
		} {
			b.client.FlushAll(b.Context())
			read(b.hand(l, m))
			if got := b.stalest(m); got != want {
				b.Errorf("%s: got %s, want %s", name, got, want)
			}
			if got := b.window(m, 130).Values[`["Goa"]`]; got != "1" {
				b.Errorf("%s: the window behind it has %s rows, want 1", name, got)
			}
		}
	})
}

func TestStale_PublishesAMarkedWindowOnce(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.counted(nil)
		s0 := l.shard("00")
		s0.beat(50)
		s0.op(0, "c", 101, datedRow(1, "Pune", 100))
		s0.beat(112)
		h := b.hand(l, m)
		h.sync()
		before := b.window(m, 100)
		s0.table("drop", 113)
		h.sync()
		marked := b.window(m, 100)
		if !marked.Stale || marked.Revision <= before.Revision || describe(marked) != "revised complete" {
			b.Errorf("got %+v after %+v, want another revision that says so", marked, before)
		}
		s0.beat(115)
		h.sync()
		h.sync()
		if again := b.window(m, 100); again.Revision != marked.Revision {
			b.Errorf("the window was published again, with revision %d behind %d", again.Revision, marked.Revision)
		}
		entries, err := b.client.XRange(b.Context(), b.store.keys(m.Name, "", current).events(), "-", "+").Result()
		if err != nil || len(entries) != 2 || entries[1].Values["stale"] != "1" || entries[0].Values["stale"] != nil {
			b.Errorf("events: got %v, %v, want the closing and one that says stale", entries, err)
		}
	})
}

func TestStale_ReachesAsFarAsRowsAreDatedAhead(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.counted(nil)
		s0 := l.shard("00")
		s0.beat(50)
		s0.op(0, "c", 101, datedRow(1, "Pune", 145)) // of the window 140, 39 s ahead
		s0.op(1, "c", 102, datedRow(2, "Delhi", 100))
		h := b.hand(l, m)
		h.sync()
		s0.op(1, "c", 109, datedRow(9, "Goa", 109)) // of a later merge, and not ahead
		s0.table("truncate", 110)
		s0.op(1, "c", 141, datedRow(3, "Goa", 141))
		s0.op(1, "c", 151, datedRow(4, "Goa", 151))
		s0.beat(300)
		h.sync()
		got := b.staleness(m)
		if !slices.Contains(got, 100) || !slices.Contains(got, 140) || slices.Contains(got, 150) {
			b.Errorf("stale windows: %v, want 100 and 140 and not 150", got)
		}
	})
}

func TestStale_MarksMoreWindowsThanOneScriptDeclares(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(2)
		m := b.counted(func(d *windowing.Definition) { d.Retain = 4 * time.Hour })
		s0 := l.shard("00")
		s0.beat(50)
		const windows = 450
		for i := range windows {
			at := float64(100 + 10*i)
			s0.op(int32(i%2), "c", at, datedRow(i, "Pune", at))
		}
		h := b.hand(l, m)
		h.sync()
		s0.table("truncate", 100+10*windows)
		h.sync()
		if got := len(b.staleness(m)); got != windows {
			b.Errorf("%d windows are marked, want %d", got, windows)
		}
	})
}

func TestStale_EndsWithTheWindows(t *testing.T) {
	onBoth(t, func(b *bench) {
		l, m := emptied(), b.counted(nil)
		h := b.hand(l, m)
		h.sync()
		l.shard("00") // its clock goes on:
		s0 := &fakeShard{log: l, name: "00", epoch: 2, n: map[int32]uint64{}}
		for p := range l.parts {
			l.append(int32(p), stream.Record{Kind: stream.Fence, Shard: "00", LSN: s0.lsn()})
		}
		s0.op(0, "c", 2000, datedRow(90, "Pune", 2000))
		s0.beat(2000)
		h.sync()
		if s := h.r.snapshot(time.Now()); s.Stale != 0 || s.StaleBy != "" {
			b.Errorf("stale until %d by %q, and every such window has expired", s.Stale, s.StaleBy)
		}
		if got := b.staleness(m); got != nil {
			b.Errorf("stale windows: %v, want none", got)
		}
	})
}

func TestStale_IsLoggedOnceWithTheWayOut(t *testing.T) {
	onMini(t, func(b *bench) {
		var log bytes.Buffer
		l, m := emptied(), b.counted(nil)
		o := &WorkerOptions{Source: l, Store: b.store, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		r := newRunner(m, 0, o, standstill.New(Waits(discard(), m.Name)))
		h := &hand{b: b, log: l, r: r, all: []*runner{r}}
		for range 2 {
			h.load()
			for p := range int32(2) {
				h.fold(p, 1<<40)
				if !r.flush(context.Background()) {
					b.Fatal("the store refused")
				}
			}
			b.client.FlushAll(b.Context()) // all of it is folded again
		}
		text := log.String()
		if n := strings.Count(text, "rows that are gone"); n != 1 {
			b.Errorf("logged %d times, want once:\n%s", n, text)
		}
		for _, want := range []string{"metric=gmv", "truncate of shop.orders on shard 00", "until=1970-01-01T00:02:05.000Z", "expire"} {
			if !strings.Contains(text, want) {
				b.Errorf("the log does not say %q:\n%s", want, text)
			}
		}
	})
}
