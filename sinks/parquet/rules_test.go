package parquet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailwater/stream"
)

// This file has one test for each rule of the protocol by which no row is lost
// and none stands twice. Each fails when its rule is taken out of the code.

// lake is a log with two shards' events and a store in memory.
type lake struct {
	*fixture
	store *memStore
	w     [2]*writer
	n     int
}

func newLake(t *testing.T, rows int) *lake {
	t.Helper()
	f := newFixture(t)
	l := &lake{fixture: f, store: newMemStore(), w: [2]*writer{newWriter("00", f.print), newWriter("01", f.print)}}
	f.store = l.store
	l.grow(rows)
	return l
}

// grow appends events to partition 0, of the two shards in turn and over three hours.
func (l *lake) grow(rows int) {
	for range rows {
		l.log.append(l.w[l.n%2].event(0, day+int64(l.n%3)*3600e6, row0(l.n)))
		l.n++
	}
}

// open begins a session that holds so many rows of partition 0 and has cut none.
func (l *lake) open(t *testing.T, o Options, rows int) *session {
	t.Helper()
	s := newSession(NewWorker(o))
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.take(t, s, rows)
	return s
}

func (l *lake) take(t *testing.T, s *session, rows int) {
	t.Helper()
	for at := s.parts[0].next; rows > 0; at, rows = at+1, rows-1 {
		if err := s.take(t.Context(), &l.log.parts[0][at]); err != nil {
			t.Fatal(err)
		}
	}
}

// promise puts a manifest and dies.
func (l *lake) promise(t *testing.T, o Options, rows int) *Manifest {
	t.Helper()
	s := l.open(t, o, rows)
	m, _, err := s.plan(t.Context(), &s.parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.parts[0].chain.propose(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// files returns the keys and bytes of the lake's files.
func (l *lake) files() map[string]string {
	out := make(map[string]string)
	for k, b := range l.store.objects {
		if strings.HasSuffix(k, ".parquet") {
			out[k] = string(b)
		}
	}
	return out
}

func prefix0() string { return chainPrefix("orders", DefaultLayout, topic.Incarnation, 0) }

func TestRule1_ChainsAndFilesOfTwoIncarnationsDoNotMeet(t *testing.T) {
	l := newLake(t, 6)
	s := l.open(t, l.options(), 6)
	if err := s.cut(t.Context(), &s.parts[0]); err != nil {
		t.Fatal(err)
	}
	before := l.files()
	l.log.parts[0] = nil
	l.w = [2]*writer{newWriter("00", l.print), newWriter("01", l.print)}
	for i := range l.w {
		l.w[i].epoch = 2
	}
	for range 6 {
		l.log.append(l.w[l.n%2].event(0, day+int64(l.n%3)*3600e6+1e6, row0(l.n)))
		l.n++
	}
	o := l.options()
	o.Topic.Incarnation = "inc-2"
	s = l.open(t, o, 6)
	if err := s.cut(t.Context(), &s.parts[0]); err != nil {
		t.Fatal(err)
	}
	l.wantIDs(t, "orders", 12)
	for k, b := range before {
		if l.files()[k] != b {
			t.Errorf("file %s of the first incarnation has changed", k)
		}
	}
}

func TestRule2_AWorkerStartsAtTheEndOfTheChainWithItsMarks(t *testing.T) {
	l := newLake(t, 12)
	l.drain(t, l.options())
	l.log.append(l.log.parts[0][8:]...) // written again by a reader that lost a reply
	s := l.open(t, l.options(), 0)
	if got := s.parts[0].next; got != 12 {
		t.Errorf("the worker starts at offset %d, want 12", got)
	}
	l.drain(t, l.options())
	l.wantIDs(t, "orders", 12)
}

func TestRule3_OfTwoBatchesAtOnePlaceTheFirstIsObeyedByBoth(t *testing.T) {
	l := newLake(t, 12)
	winner, loser := l.open(t, l.options(), 5), l.open(t, l.options(), 9)
	if err := winner.cut(t.Context(), &winner.parts[0]); err != nil {
		t.Fatal(err)
	}
	if err := loser.cut(t.Context(), &loser.parts[0]); err != nil {
		t.Fatal(err)
	}
	if got := loser.parts[0].next; got != 5 {
		t.Errorf("the loser goes on at offset %d, want 5, where the winner's batch ends", got)
	}
	// What is left of the loser's poll lies behind the winner's batch.
	if err := loser.take(t.Context(), &l.log.parts[0][9]); err != nil || loser.parts[0].next != 5 {
		t.Errorf("the rest of the poll: %v, next offset %d, want it left out", err, loser.parts[0].next)
	}
	l.drain(t, l.options())
	l.wantIDs(t, "orders", 12)
}

func TestRule3_AfterALostReplyTheManifestThatStandsIsLaw(t *testing.T) {
	for _, f := range []fate{fails, loses, lingers} {
		l := newLake(t, 9)
		s := l.open(t, l.options(), 9)
		once := true
		l.store.before = func(key string) fate {
			if once && strings.HasSuffix(key, ".json") && strings.Contains(key, "/default/") {
				once = false
				return f
			}
			return lands
		}
		err := s.cut(t.Context(), &s.parts[0])
		if (err == nil) != (f == loses) {
			t.Errorf("fate %d of the manifest: %v", f, err)
		}
		if f == lingers {
			l.store.land(0)
		}
		o := l.options()
		o.RollRows = 2
		l.drain(t, o)
		l.wantIDs(t, "orders", 9)
	}
}

func TestRule3_AConflictIsTriedAgainAtLongerIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore()
		tries := 0
		store.before = func(string) fate {
			if tries++; tries < 6 {
				return collides
			}
			return lands
		}
		began := time.Now()
		if err := putNew(t.Context(), store, "k", []byte("v")); err != nil || tries != 6 {
			t.Errorf("putNew = %v after %d tries, want nil after 6", err, tries)
		}
		if waited := time.Since(began); waited < 100*time.Millisecond {
			t.Errorf("five conflicts were tried again within %v", waited)
		}
		store.before = func(string) fate { return collides }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := putNew(ctx, store, "k2", nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "k2") {
			t.Errorf("a conflict without end = %v, want the context's error with the key", err)
		}
	})
}

// TestRule4 lets workers with other settings and another schema finish what
// the first one promised.
func TestRule4_FilesAreAFunctionOfManifestAndLog(t *testing.T) {
	control := newLake(t, 8)
	first := control.open(t, control.options(), 5)
	if err := first.cut(t.Context(), &first.parts[0]); err != nil {
		t.Fatal(err)
	}
	l := newLake(t, 8)
	l.log.append(l.log.parts[0][2:5]...)
	l.promise(t, l.options(), 5)
	o := l.options()
	o.Codec = Codec{Compression: "snappy"}
	o.RollRows, o.Layout = 1, CommitTime()
	o.Layout.By = []Level{{Name: "city", Column: "city"}}
	s := l.open(t, o, 0) // finishes the batch
	for k, b := range l.files() {
		if want, ok := control.files()[k]; !ok || want != b {
			t.Errorf("file %s is not what the promise demands (known: %v)", k, ok)
		}
	}
	if got := s.parts[0].next; got != 5 || len(l.files()) != 3 {
		t.Errorf("the batch ends at offset %d and has %d files, want 5 and 3", got, len(l.files()))
	}
}

func TestRule4_MarksAreTheManifests(t *testing.T) {
	l := newLake(t, 4)
	o := l.options()
	o.RollRows = 2
	l.log.append(l.log.parts[0][0:3]...) // rows 0 to 2 again, behind a batch's end
	l.grow(2)
	s := l.open(t, o, 4)
	if err := s.cut(t.Context(), &s.parts[0]); err != nil {
		t.Fatal(err)
	}
	l.promise(t, o, 5)
	l.drain(t, o) // finishes a batch whose first three records are accepted already
	l.wantIDs(t, "orders", 6)
}

func TestRule4_AManifestThatTheLogDoesNotKeepIsRefused(t *testing.T) {
	for name, change := range map[string]func(m *Manifest){
		"rows":       func(m *Manifest) { m.Rows++ },
		"a file's":   func(m *Manifest) { m.Files[0].Rows--; m.Files[1].Rows++ },
		"directory":  func(m *Manifest) { m.Files[0].Dir = "dt=1999-01-01/hr=00" },
		"marks":      func(m *Manifest) { k := m.After["00"]; k.Watermark++; m.After["00"] = k },
		"other view": func(m *Manifest) { m.Topic = "tw.t.others" },
		"codec":      func(m *Manifest) { m.Codec.Compression = "brotli" },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLake(t, 8)
			m := l.promise(t, l.options(), 5)
			change(m)
			l.store.objects[manifestKey(prefix0(), 0)] = mustJSON(t, m)
			s := newSession(NewWorker(l.options()))
			if err := s.open(t.Context()); err == nil || !strings.Contains(err.Error(), prefix0()) {
				t.Errorf("open = %v, want an error that names the chain", err)
			}
			if len(l.files()) > 0 && name != "codec" {
				t.Errorf("files were written: %v", slices.Collect(maps.Keys(l.files())))
			}
		})
	}
}

func TestRule5_DoneComesAfterEveryFile(t *testing.T) {
	for dead := range 3 {
		l := newLake(t, 6)
		s := l.open(t, l.options(), 6)
		files := 0
		l.store.before = func(key string) fate {
			if strings.HasSuffix(key, ".parquet") {
				if files++; files > dead {
					return fails
				}
			}
			return lands
		}
		if err := s.cut(t.Context(), &s.parts[0]); !errors.Is(err, errStore) {
			t.Errorf("cut = %v, want the store's error", err)
		}
		if l.store.objects[doneKey(prefix0(), 0)] != nil {
			t.Errorf("after %d of 3 files there is a .done", dead)
		}
		l.store.before = nil
		l.drain(t, l.options())
		l.wantIDs(t, "orders", 6)
	}
}

func TestRule5_AFileThatIsThereIsDoneAndStaysAsItIs(t *testing.T) {
	l := newLake(t, 6)
	m := l.promise(t, l.options(), 6)
	other := *m
	other.Codec = Codec{Compression: "none"} // as another version of the program might write it
	s := l.open(t, l.options(), 0)
	clear := l.files()
	files, err := newFileWriter(&other, s.known, newCodecs()).build(mustReplay(t, s, m))
	if err != nil {
		t.Fatal(err)
	}
	key := m.Files[1].Key
	l.store.objects[key] = files[1].body
	delete(l.store.objects, doneKey(prefix0(), 0))
	l.drain(t, l.options())
	if !bytes.Equal(l.store.objects[key], files[1].body) || clear[key] == string(files[1].body) {
		t.Errorf("file %s was written over", key)
	}
	if ids, err := committed(t, l.store); err != nil || len(ids) != 6 {
		t.Errorf("the committed lake: %d rows, %v, want 6", len(ids), err)
	}
}

func mustReplay(t *testing.T, s *session, m *Manifest) []row {
	t.Helper()
	b, err := s.replay(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return b.rows
}

func TestRule5_RetentionBetweenManifestAndFilesStopsLoudly(t *testing.T) {
	l := newLake(t, 9)
	l.promise(t, l.options(), 6)
	l.log.first[0] = 2
	var behind *BehindError
	s := newSession(NewWorker(l.options()))
	if err := s.open(t.Context()); !errors.As(err, &behind) || !strings.Contains(err.Error(), "promised but not written") {
		t.Errorf("open = %v, want a BehindError", err)
	}
	// It passes while the manifest is being obeyed.
	l.log.first[0] = 0
	s = l.open(t, l.options(), 0)
	delete(l.store.objects, doneKey(prefix0(), 0))
	l.log.first[0] = 2
	m, err := s.parts[0].chain.manifest(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.obey(t.Context(), &s.parts[0], m); !errors.As(err, &behind) {
		t.Errorf("obey = %v, want a BehindError", err)
	}
}

func TestRule6_ALogThatEndsBelowTheChainStopsLoudly(t *testing.T) {
	for name, done := range map[string]bool{"finished": true, "promised": false} {
		l := newLake(t, 9)
		if done {
			l.drain(t, l.options())
		} else {
			l.promise(t, l.options(), 9)
		}
		before := len(l.files())
		l.log.parts[0] = l.log.parts[0][:7]
		var behind *BehindError
		s := newSession(NewWorker(l.options()))
		if err := s.open(t.Context()); !errors.As(err, &behind) || !strings.Contains(err.Error(), prefix0()) {
			t.Errorf("%s: open = %v, want a BehindError that names the chain", name, err)
		}
		if got := len(l.files()); got != before {
			t.Errorf("%s: %d files were written", name, got-before)
		}
	}
}

func TestRule6_ALogRecoveredUnderANewIncarnationIsNotWrittenTwice(t *testing.T) {
	l := newLake(t, 9)
	l.drain(t, l.options())
	l.log.parts[0] = l.log.parts[0][:7]
	o := l.options()
	o.Topic.Incarnation = "inc-2"
	w := NewWorker(o)
	s := newSession(w)
	var behind *BehindError
	if err := s.open(t.Context()); !errors.As(err, &behind) || !strings.Contains(err.Error(), prefix0()) {
		t.Errorf("open = %v, want a BehindError that names the chain that has the records", err)
	}
	l.wantIDs(t, "orders", 9)
}

// TestRule7 lets a manifest land that was sent before the collector of garbage
// passed its place.
func TestRule7_AManifestBelowTheLowMarkIsVoid(t *testing.T) {
	l := newLake(t, 6)
	late := l.open(t, l.options(), 4)
	m, _, err := late.plan(t.Context(), &late.parts[0])
	if err != nil {
		t.Fatal(err)
	}
	l.drain(t, l.options())
	l.collect(t)
	before := l.files()
	// It lands before the next worker looks.
	l.store.objects[manifestKey(prefix0(), 0)] = mustJSON(t, m)
	l.drain(t, l.options())
	delete(l.store.objects, manifestKey(prefix0(), 0))
	// Its own worker sends it now.
	if err := late.cut(t.Context(), &late.parts[0]); err == nil || !strings.Contains(err.Error(), "low mark") {
		t.Errorf("cut behind the low mark = %v, want it refused", err)
	}
	if l.store.objects[manifestKey(prefix0(), 0)] != nil {
		t.Error("the void manifest still stands")
	}
	if !maps.Equal(before, l.files()) {
		t.Errorf("a void manifest wrote files: %v", slices.Collect(maps.Keys(l.files())))
	}
}

// collect deletes every batch behind a low mark.
func (l *lake) collect(t *testing.T) {
	t.Helper()
	c := chain{store: l.store, prefix: prefix0()}
	if err := c.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.store.objects[lowKey(prefix0())] = mustJSON(t, lowMark{Version: formatVersion, Offset: c.next, Marks: toManifestMarks(c.marks)})
	for k := range l.store.objects {
		if strings.HasPrefix(k, prefix0()) && k != lowKey(prefix0()) {
			delete(l.store.objects, k)
		}
	}
}

// movingStore moves the low mark between a worker's look at it and its look at
// the manifests.
type movingStore struct {
	*memStore
	move func()
}

func (s *movingStore) List(ctx context.Context, prefix string) objectSeq {
	if s.move != nil && strings.HasPrefix(prefix, "_tailwater/orders/default/inc-1/00000/") {
		s.move()
		s.move = nil
	}
	return s.memStore.List(ctx, prefix)
}

func TestRule7_TheLowMarkIsReadBehindTheManifest(t *testing.T) {
	l := newLake(t, 6)
	o := l.options()
	late := l.open(t, o, 4)
	m, _, err := late.plan(t.Context(), &late.parts[0])
	if err != nil {
		t.Fatal(err)
	}
	l.drain(t, o)
	before := l.files()
	o.Store = &movingStore{l.store, func() {
		l.collect(t)
		l.store.objects[manifestKey(prefix0(), 0)] = mustJSON(t, m)
	}}
	s := newSession(NewWorker(o))
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.parts[0].next; got != 6 || !maps.Equal(before, l.files()) {
		t.Errorf("the worker starts at %d with files %v, want 6 and no new file", got, slices.Collect(maps.Keys(l.files())))
	}
	if ids, err := committed(t, l.store); err != nil || len(ids) != 0 {
		t.Errorf("what is committed above the low mark: %v, %v, want nothing", ids, err)
	}
}

func TestWorker_BeginsBehindWhatTheStreamNoLongerHas(t *testing.T) {
	l := newLake(t, 9)
	l.log.first[0] = 4
	one, two := newSession(NewWorker(l.options())), newSession(NewWorker(l.options()))
	for _, s := range []*session{one, two} {
		if err := s.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.parts[0].next; got != 4 {
			t.Errorf("the chain begins at offset %d, want 4", got)
		}
	}
	l.log.first[0] = 6 // not what the lake has not yet, from here on
	var behind *BehindError
	if err := newSession(NewWorker(l.options())).open(t.Context()); !errors.As(err, &behind) {
		t.Errorf("open = %v, want a BehindError", err)
	}
	l.log.first[0] = 4
	l.drain(t, l.options())
	ids, err := committed(t, l.store)
	slices.Sort(ids)
	if want := "[4 5 6 7 8]"; err != nil || fmt.Sprint(ids) != want {
		t.Errorf("the lake has %v, %v, want %s", ids, err, want)
	}
}

// TestWorker_BoundsMayBeOlderThanTheChain: while a worker opens its chains,
// the stream grows and another worker cuts what is new.
func TestWorker_BoundsMayBeOlderThanTheChain(t *testing.T) {
	l := newLake(t, 4)
	o := l.options()
	o.Store = &movingStore{l.store, func() {
		l.grow(4)
		other := l.open(t, l.options(), 8)
		if err := other.cut(t.Context(), &other.parts[0]); err != nil {
			t.Error(err)
		}
	}}
	s := newSession(NewWorker(o))
	if err := s.open(t.Context()); err != nil || s.parts[0].next != 8 {
		t.Errorf("open = %v at offset %d, want nil at 8", err, s.parts[0].next)
	}
}

// brokenConsumer fails at its second poll.
type brokenLog struct {
	*memLog
	err error
}

type brokenConsumer struct {
	stream.Consumer
	log *brokenLog
}

func (l *brokenLog) NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error) {
	c, err := l.memLog.NewConsumer(ctx, o)
	return &brokenConsumer{c, l}, err
}

func (c *brokenConsumer) Poll(ctx context.Context) ([]stream.Record, error) {
	if c.log.err != nil {
		return nil, c.log.err
	}
	return c.Consumer.Poll(ctx)
}

func TestWorker_ShowsAnErrorOfTheLog(t *testing.T) {
	l := newLake(t, 3)
	o := l.options()
	o.Log = &brokenLog{l.log, fmt.Errorf("partition 0: %w", stream.ErrOffsetOutOfRange)}
	s := newSession(NewWorker(o))
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.step(t.Context()); !errors.Is(err, stream.ErrOffsetOutOfRange) {
		t.Errorf("step = %v, want the consumer's error", err)
	}
}
