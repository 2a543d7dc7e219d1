package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/status"
	"tailwater/sinks/redis"
	"tailwater/stream"
)

// hitsRig is a pipeline over one table of which every change is counted, with
// servers whose clocks a test sets.
type hitsRig struct {
	*shopRig
	// ahead is how far the clock of each server is ahead, in nanoseconds.
	ahead []atomic.Int64
}

func newHits(t *testing.T, shards int) *hitsRig {
	t.Helper()
	r := &hitsRig{shopRig: &shopRig{t: t, dir: t.TempDir()}, ahead: make([]atomic.Int64, shards)}
	for i := range shards {
		s, err := primary.Start(primary.Options{ServerID: uint32(i + 1), User: "tailwater", Password: "x",
			Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead[i].Load())) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		r.servers = append(r.servers, s)
		err = s.CreateTable(encode.Table{Database: "web", Name: "hits", PrimaryKey: []int{0}, Columns: []encode.Column{
			{Name: "id", Kind: encode.BigInt}, {Name: "who", Kind: encode.Text, Length: 10}, {Name: "n", Kind: encode.BigInt}, {Name: "pad", Kind: encode.Text, Length: 1 << 20},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.edit = func(text string) string {
		head, _, _ := strings.Cut(text, "tables:\n")
		return head + `tables:
  hits: { from: { source: s, schema: web, table: hits }, key: [shard, id] }
views:
  hits: { from: hits }
windows:
  metrics:
    hits: { view: hits, value: count(), group_by: [who] }
lake: { url: file://./lake, file: { roll_every: 1s } }
http: { listen: 127.0.0.1:0 }
` + r.extra
	}
	t.Cleanup(r.close)
	return r
}

// change commits the nth change of row 1 of a shard; the first one makes it.
func (r *hitsRig) change(shard, n int, pad string) {
	r.t.Helper()
	tx := r.servers[shard].Begin()
	var err error
	if row := (encode.Row{int64(1), fmt.Sprintf("%02d", shard), int64(n), pad}); n == 1 {
		err = tx.Insert("web", "hits", row)
	} else {
		err = tx.Update("web", "hits", encode.Row{int64(1)}, row)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// counts are what the windows count of a shard, by the windows' starts.
func (r *hitsRig) counts(shard string) map[time.Time]int {
	r.t.Helper()
	out := map[time.Time]int{}
	windows, err := r.pipe.Store().Windows(r.t.Context(), "hits", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, info := range windows {
		w, err := r.pipe.Store().Window(r.t.Context(), "hits", info.Start)
		if errors.Is(err, redis.ErrNoWindow) {
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if text, ok := w.Values[fmt.Sprintf("[%q]", shard)]; ok {
			n, err := strconv.Atoi(text)
			if err != nil {
				r.t.Fatal(err)
			}
			out[info.Start] += n
		}
	}
	return out
}

// total is what all windows count together.
func total(at map[time.Time]int) (n int) {
	for _, count := range at {
		n += count
	}
	return n
}

// Two servers are twenty minutes apart, and one of them is set back: the row of
// each goes where its own server's clock says, the reader's says nothing, none
// is lost or doubled, and the skews are shown and alarmed.
func TestHazard_B28_RowsGoWhereTheirServersClockSaysAndSkewIsShown(t *testing.T) {
	t.Parallel()
	r := newHits(t, 2)
	r.ahead[0].Store(int64(10 * time.Minute))
	r.ahead[1].Store(int64(-10 * time.Minute))
	r.start()
	r.await("the skews", func(s status.Snapshot) bool {
		return s.Shards[0].ClockOff && s.Shards[0].ClockOffset > 599 && s.Shards[1].ClockOff && s.Shards[1].ClockOffset < -599
	})
	if v := r.pipe.Snapshot().Verdict; v != status.Degraded {
		t.Errorf("verdict %s with clocks ten minutes off, want degraded", v)
	}
	const changes = 40
	wrote := map[string][2]time.Time{}
	write := func(shard, from int) (began, ended time.Time) {
		began = time.Now().Add(time.Duration(r.ahead[shard].Load()))
		for n := from; n < from+changes; n++ {
			r.change(shard, n, "")
		}
		return began, time.Now().Add(time.Duration(r.ahead[shard].Load()))
	}
	for i, id := range []string{"00", "01"} {
		began, ended := write(i, 1)
		wrote[id] = [2]time.Time{began, ended}
	}
	within := func(at map[time.Time]int, times [2]time.Time) (n int) {
		for start, count := range at {
			if !start.Before(times[0].Truncate(5*time.Minute)) && !start.After(times[1]) {
				n += count
			}
		}
		return n
	}
	r.await("the windows", func(status.Snapshot) bool {
		return total(r.counts("00")) >= changes && total(r.counts("01")) >= changes
	})
	for id, times := range wrote {
		if at := r.counts(id); within(at, times) != changes || total(at) != changes {
			t.Errorf("shard %s: got %v, want all %d changes from %v to %v and nothing elsewhere", id, at, changes, times[0], times[1])
		}
	}
	// The clock steps back: what is written then is late, and revises what it
	// belongs to.
	r.ahead[0].Store(int64(-10 * time.Minute))
	began, ended := write(0, 1+changes)
	r.await("the late ones", func(status.Snapshot) bool { return total(r.counts("00")) >= 2*changes })
	at := r.counts("00")
	if got := within(at, [2]time.Time{began, ended}); got != changes || total(at) != 2*changes {
		t.Errorf("after the step back: got %v, want %d changes from %v to %v, and %d in all", at, changes, began, ended, 2*changes)
	}
	r.ahead[0].Store(0)
	r.ahead[1].Store(0)
	r.await("clocks that are right", func(s status.Snapshot) bool {
		return !s.Shards[0].ClockOff && !s.Shards[1].ClockOff && s.Verdict == status.OK
	})
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("drain: %v", err)
	}
}

// One row is changed all the time, in a partition of its own, while the stream
// has no room and the readers pause: the server keeps its connection, and when
// there is room again every change is there once and in order.
func TestHazard_B29_OneHotRowThroughAPauseIsWholeAndInOrder(t *testing.T) {
	t.Parallel()
	r := newHits(t, 2)
	r.extra = "stream: { retention: { bytes: 16MiB } }\nlimits: { disk: 16MiB }\n"
	r.start()
	const pad = 64 << 10
	n := 0
	more := func(times int) {
		for range times {
			n++
			r.change(0, n, incompressible(pad, uint64(n)))
		}
	}
	more(10)
	r.change(1, 1, "")
	r.await("a first file", func(s status.Snapshot) bool { return s.Lake[0].Rows > 0 })
	mend := r.breakLake()
	more(400)
	r.await("paused", func(s status.Snapshot) bool { return s.Stream.Paused && s.Shards[0].State == status.Paused })
	more(100)
	// For longer than the servers need to be thought dead.
	paused := time.Now()
	r.await("the pause to last", func(s status.Snapshot) bool { return time.Since(paused) > 2500*time.Millisecond })
	before := r.pipe.Snapshot().Shards[0]
	mend()
	r.await("going on", func(s status.Snapshot) bool { return !s.Stream.Paused && s.Shards[0].State == status.Streaming })
	more(50)
	r.caughtUp()
	r.await("every change counted", func(status.Snapshot) bool { return total(r.counts("00")) >= n && r.pipe.CaughtUp(t.Context()) })
	if after := r.shard(0); after.Reconnects != before.Reconnects || after.Epoch != before.Epoch {
		t.Errorf("shard 00 went from epoch %d and %d reconnects to %d and %d, want one connection all the time", before.Epoch, before.Reconnects, after.Epoch, after.Reconnects)
	}
	if got := total(r.counts("00")); got != n {
		t.Errorf("the windows count %d changes, want %d", got, n)
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("drain: %v", err)
	}
	if got := r.order(); got != n {
		t.Errorf("the stream has changes up to %d, want %d", got, n)
	}
}

// order reads the changes of the hot row from the stream, which must come one
// after the other, and returns the last.
func (r *hitsRig) order() (last int) {
	r.t.Helper()
	r.accepted("hits", func(rec *stream.Record) {
		if rec.Shard != "00" {
			return
		}
		var row struct {
			N int `json:"n"`
		}
		if err := json.Unmarshal(rec.Value, &row); err != nil {
			r.t.Fatal(err)
		}
		// Retention may have taken the first ones, and none in the middle.
		if last != 0 && row.N != last+1 {
			r.t.Fatalf("change %d follows change %d", row.N, last)
		}
		last = row.N
	})
	return last
}
