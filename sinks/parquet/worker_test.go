package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/stream"
)

const day = int64(1763632210) * 1e6

var topic = stream.Topic{Name: "tw.t.orders", Partitions: 2, Incarnation: "inc-1"}

// fixture is a log with a schema, and an empty lake.
type fixture struct {
	log   *memLog
	store objstore.Store
	print string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	d, err := objstore.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{log: newMemLog(2), store: d}
	s := change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{
		{Name: "id", Type: change.Int, Bits: 64}, {Name: "city", Type: change.Text}, {Name: "day", Type: change.Date, Nullable: true},
	}}
	f.print = s.Fingerprint()
	if err := f.log.PutSchema(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) options() Options {
	return Options{Log: f.log, Store: f.store, View: "orders", Topic: topic, RollRows: 5, RollEvery: time.Hour}
}

// drain runs a worker until it has read the whole log, then stops it.
func (f *fixture) drain(t *testing.T, o Options) Status {
	t.Helper()
	w := NewWorker(o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	f.await(t, w, ctx)
	cancel()
	if err := <-done; err != nil {
		t.Fatalf("Run: %v", err)
	}
	return w.Status()
}

// await polls until a worker has read everything there is.
func (f *fixture) await(t *testing.T, w *Worker, ctx context.Context) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		bounds, _ := f.log.Bounds(ctx, topic.Name)
		s := w.Status()
		all := len(s.Read) == len(bounds)
		for i := range s.Read {
			all = all && s.Read[i] == bounds[i].Next
		}
		if all {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the worker stands at %v of %v: %v", s.Read, bounds, s.Err)
		}
	}
}

// wantIDs checks that the lake holds the ids 0 to n-1, each once.
func (f *fixture) wantIDs(t *testing.T, table string, n int) []map[string]string {
	t.Helper()
	rows := readLake(t, f.store, table)
	seen := make(map[string]int)
	for _, r := range rows {
		seen[r["id"]]++
	}
	for i := range n {
		if c := seen[fmt.Sprint(i)]; c != 1 {
			t.Errorf("id %d stands %d times in the lake, want once", i, c)
		}
	}
	if len(rows) != n {
		t.Errorf("the lake has %d rows, want %d", len(rows), n)
	}
	return rows
}

func row0(i int) string { return fmt.Sprintf(`"id":%d,"city":"c%d","day":"2026-11-20"`, i, i%3) }

func TestWorker_WritesEachAcceptedEventOnce(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	f.log.append(w.fence(0), w.fence(1))
	for i := range 23 {
		r := w.event(int32(i%2), day+int64(i)*1e9, row0(i))
		f.log.append(r)
		if i%5 == 0 {
			f.log.append(r) // a batch written again
		}
	}
	st := f.drain(t, f.options())
	rows := f.wantIDs(t, "orders", 23)
	if st.Rows != 23 || st.Duplicates != 5 {
		t.Errorf("status = %+v, want 23 rows and 5 duplicates", st)
	}
	for _, r := range rows {
		if !strings.Contains(r["_file"], "/dt=2025-11-20/hr=") {
			t.Errorf("file %s does not stand in the hive directory of its commit time", r["_file"])
		}
	}
}

func TestWorker_StartsAtTheEndOfTheChain(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range 40 {
		f.log.append(w.event(int32(i%2), day, row0(i)))
		if i%10 == 9 {
			f.drain(t, f.options())
		}
	}
	f.wantIDs(t, "orders", 40)
}

func TestWorker_TwoAtOnceWriteEachRowOnce(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var workers []*Worker
	var wg sync.WaitGroup
	for i := range 3 {
		o := f.options()
		o.RollRows = 3 + 2*i
		wk := NewWorker(o)
		workers = append(workers, wk)
		wg.Go(func() {
			if err := wk.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	for i := range 200 {
		f.log.append(w.event(int32(i%2), day, row0(i)))
	}
	for _, wk := range workers {
		f.await(t, wk, ctx)
	}
	cancel()
	wg.Wait()
	f.drain(t, f.options())
	f.wantIDs(t, "orders", 200)
}

// flaky is a store that fails, loses replies and dies by a seed.
type flaky struct {
	objstore.Store
	mu  sync.Mutex
	rng *rand.Rand
}

var errStore = errors.New("the store broke off")

func (s *flaky) roll() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(10)
}

func (s *flaky) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	switch s.roll() {
	case 0:
		return errStore // not written
	case 1:
		if err := s.Store.PutNew(ctx, key, body, size); err != nil {
			return err
		}
		return errStore // written, reply lost
	}
	return s.Store.PutNew(ctx, key, body, size)
}

func TestHazard_B20_LostRepliesAndFailedPutsLoseAndDoubleNothing(t *testing.T) {
	for seed := range uint64(5) {
		f := newFixture(t)
		clean := f.store
		f.store = &flaky{Store: clean, rng: rand.New(rand.NewPCG(seed, 1))}
		w := newWriter("00", f.print)
		for i := range 60 {
			f.log.append(w.event(int32(i%2), day, row0(i)))
		}
		for range 3 {
			wk := NewWorker(f.options())
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_ = wk.Run(ctx) // what it could not write, the next one does
			cancel()
		}
		f.store = clean
		f.drain(t, f.options())
		f.wantIDs(t, "orders", 60)
	}
}

// dying is a store that ends the worker at its nth write.
type dying struct {
	objstore.Store
	left   int
	cancel context.CancelFunc
	after  bool
}

func (s *dying) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	s.left--
	if s.left > 0 {
		return s.Store.PutNew(ctx, key, body, size)
	}
	if s.left == 0 && s.after {
		_ = s.Store.PutNew(ctx, key, body, size)
	}
	s.cancel()
	return errStore
}

func TestWorker_DeathAtEveryStepOfAFilesLife(t *testing.T) {
	for step := 1; step <= 12; step++ {
		for _, after := range []bool{false, true} {
			f := newFixture(t)
			w := newWriter("00", f.print)
			for i := range 12 {
				f.log.append(w.event(int32(i%2), day+int64(i%3)*3600e6, row0(i)))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			o := f.options()
			o.Store = &dying{Store: f.store, left: step, cancel: cancel, after: after}
			o.Grace = time.Millisecond
			_ = NewWorker(o).Run(ctx)
			cancel()
			o = f.options()
			o.RollRows = 2 // another cut than the one that died had in mind
			o.Codec.Compression = "snappy"
			f.drain(t, o)
			f.wantIDs(t, "orders", 12)
			if t.Failed() {
				t.Fatalf("after a death at write %d (reply lost: %v)", step, after)
			}
		}
	}
}

func TestWorker_StopsAtAGapInTheLog(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	f.log.append(w.event(0, day, row0(0)))
	w.n[0]++ // a record that never came
	f.log.append(w.event(0, day, row0(1)))
	wk := NewWorker(f.options())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- wk.Run(ctx) }()
	for tick := time.NewTicker(time.Millisecond); wk.Status().Err == nil && ctx.Err() == nil; <-tick.C {
	}
	cancel()
	<-ended
	var gap *stream.GapError
	if err := wk.Status().Err; !errors.As(err, &gap) || gap.Shard != "00" {
		t.Errorf("status error = %v, want a gap that names shard 00", err)
	}
}

func TestWorker_RefusesALogThatNoLongerHasItsRows(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range 10 {
		f.log.append(w.event(0, day, row0(i)))
	}
	f.drain(t, f.options())
	for i := range 4 {
		f.log.append(w.event(0, day, row0(10+i)))
	}
	f.log.first[0] = 12
	wk := NewWorker(f.options())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_ = wk.Run(ctx)
	var behind *BehindError
	if err := wk.Status().Err; !errors.As(err, &behind) || !strings.Contains(err.Error(), "ends at offset 10") {
		t.Errorf("status error = %v, want a BehindError that names offset 10", err)
	}
}

func TestWorker_ReCreatedTopicStartsAChainOfItsOwn(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range 6 {
		f.log.append(w.event(0, day, row0(i)))
	}
	f.drain(t, f.options())
	f.log.parts[0] = nil
	w = newWriter("00", f.print)
	for i := range 6 {
		f.log.append(w.event(0, day+1e6, row0(6+i)))
	}
	o := f.options()
	o.Topic.Incarnation = "inc-2"
	f.drain(t, o)
	f.wantIDs(t, "orders", 12)
}

func TestWorker_ObeysTheLowMark(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range 10 {
		f.log.append(w.event(0, day, row0(i)))
	}
	f.drain(t, f.options())
	prefix := chainPrefix("orders", DefaultLayout, topic.Incarnation, 0)
	c := chain{store: f.store, prefix: prefix}
	if err := c.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	low := lowMark{Version: formatVersion, Offset: c.next, Marks: toManifestMarks(c.marks)}
	if err := putJSON(t.Context(), f.store, lowKey(prefix), low); err != nil {
		t.Fatal(err)
	}
	for info, err := range f.store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if info.Key != lowKey(prefix) {
			if err := f.store.Delete(t.Context(), info.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 3 {
		f.log.append(w.event(0, day, row0(10+i)))
	}
	f.drain(t, f.options())
	f.wantIDs(t, "orders", 13)
	stale := chain{store: f.store, prefix: prefix, marks: stream.Marks{}}
	if _, err := stale.propose(t.Context(), &Manifest{Version: formatVersion, First: 0, Last: 4}); err == nil || !strings.Contains(err.Error(), "low mark") {
		t.Errorf("a batch behind the low mark: %v, want it refused", err)
	}
	if _, _, err := f.store.Get(t.Context(), manifestKey(prefix, 0)); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("its manifest: %v, want it gone", err)
	}
}

func TestWorker_NewColumnsAppearByNameAndOldFilesStillRead(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	f.log.append(w.event(0, day, row0(0)))
	f.drain(t, f.options())
	wider := change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{
		{Name: "id", Type: change.Int, Bits: 64}, {Name: "note", Type: change.Text}, {Name: "city", Type: change.Int, Bits: 32}, {Name: "day", Type: change.Date},
	}}
	if err := f.log.PutSchema(t.Context(), wider); err != nil {
		t.Fatal(err)
	}
	w.print = wider.Fingerprint()
	f.log.append(w.event(0, day, `"id":1,"note":"new","city":7,"day":"0000-00-00"`))
	f.drain(t, f.options())
	rows := f.wantIDs(t, "orders", 2)
	for _, r := range rows {
		switch r["id"] {
		case "0":
			if r["city"] != "c0" {
				t.Errorf("old row: city = %q, want c0", r["city"])
			}
		case "1":
			if r["note"] != "new" || r["city"] != "" || r["city__2"] != "7" || r["day"] != "" || r["day__text"] != "0000-00-00" {
				t.Errorf("new row = %v, want note, city__2 = 7, and the zero date in day__text", r)
			}
		}
	}
}

func TestWorker_SecondLayoutHoldsTheSameRows(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range 9 {
		f.log.append(w.event(int32(i%2), day, row0(i)))
	}
	l, err := ParseLayout("by_city", []string{"city", "dt(day)"})
	if err != nil {
		t.Fatal(err)
	}
	o := f.options()
	o.Layout = l
	f.drain(t, o)
	for _, r := range f.wantIDs(t, "orders__by_city", 9) {
		if want := "city=" + r["city"] + "/dt=2026-11-20/"; !strings.Contains(r["_file"], want) {
			t.Errorf("row of city %s stands in %s", r["city"], r["_file"])
		}
	}
}

func TestHazard_B25_ManyDirectoriesCutTheBatch(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range maxDirs + 40 {
		f.log.append(w.event(0, day+int64(i)*3600e6, row0(i)))
	}
	o := f.options()
	o.RollRows = 1 << 20
	f.drain(t, o)
	f.wantIDs(t, "orders", maxDirs+40)
	batches := 0
	for b, err := range Committed(t.Context(), f.store, "orders", DefaultLayout) {
		if err != nil || len(b.Manifest.Files) > maxDirs {
			t.Errorf("a batch of %d files, %v, want at most %d", len(b.Manifest.Files), err, maxDirs)
		}
		batches++
	}
	if batches != 2 {
		t.Errorf("%d directories make %d batches, want 2", maxDirs+40, batches)
	}
}

func TestGetJSON_RefusesWhatIsNotOurs(t *testing.T) {
	f := newFixture(t)
	for name, body := range map[string]string{
		"newer": `{"version":2}`, "garbage": "\x00\x01", "other": `{"version":1,"surprise":true}`, "empty": "",
	} {
		if err := f.store.Put(t.Context(), name, strings.NewReader(body), int64(len(body))); err != nil {
			t.Fatal(err)
		}
		var low lowMark
		if err := getJSON(t.Context(), f.store, name, &low); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("read %s = %v, want an error that names it", name, err)
		}
	}
}
