package parquet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/objstore"
	"tailwater/stream"
)

// memStore is a store in memory whose writes may land late, lose their reply,
// meet another writer, or fail.
type memStore struct {
	mu      sync.Mutex
	objects map[string][]byte
	// before is asked at each conditional write; nil lets everything pass.
	before func(key string) fate
	// late are writes that were sent by somebody who is gone.
	late []lateWrite
}

type lateWrite struct {
	key  string
	body []byte
}

// fate is what becomes of one write.
type fate int

const (
	lands    fate = iota
	fails         // nothing is written
	loses         // written, the reply is lost
	lingers       // an error now, written some time later
	collides      // 409
)

// objectSeq is what List yields.
type objectSeq = iter.Seq2[objstore.Info, error]

var _ objstore.Store = (*memStore)(nil)

func newMemStore() *memStore { return &memStore{objects: make(map[string][]byte)} }

func (s *memStore) PutNew(ctx context.Context, key string, body io.Reader, _ int64) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	f := lands
	if s.before != nil {
		f = s.before(key)
	}
	if err := ctx.Err(); err != nil && f == lands {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f {
	case fails:
		return errStore
	case collides:
		return fmt.Errorf("put %s: %w", key, objstore.ErrConflict)
	case lingers:
		s.late = append(s.late, lateWrite{key, b})
		return errStore
	}
	if _, there := s.objects[key]; there {
		return fmt.Errorf("put %s: %w", key, objstore.ErrExists)
	}
	s.objects[key] = b
	if f == loses {
		return errStore
	}
	return nil
}

// land lets a late write arrive.
func (s *memStore) land(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.late[i]
	s.late = slices.Delete(s.late, i, i+1)
	if _, there := s.objects[w.key]; !there {
		s.objects[w.key] = w.body
	}
}

func (s *memStore) Put(_ context.Context, key string, body io.Reader, _ int64) error {
	b, err := io.ReadAll(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = b
	return err
}

func (s *memStore) Get(_ context.Context, key string) (io.ReadCloser, objstore.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, there := s.objects[key]
	if !there {
		return nil, objstore.Info{}, fmt.Errorf("get %s: %w", key, objstore.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), objstore.Info{Key: key, Size: int64(len(b))}, nil
}

func (s *memStore) List(_ context.Context, prefix string) objectSeq {
	s.mu.Lock()
	keys := slices.Sorted(maps.Keys(s.objects))
	s.mu.Unlock()
	return func(yield func(objstore.Info, error) bool) {
		for _, k := range keys {
			if len(k) >= len(prefix) && k[:len(prefix)] == prefix && !yield(objstore.Info{Key: k}, nil) {
				return
			}
		}
	}
}

func (s *memStore) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

// errDied ends a session at the store call at which its worker dies.
var errDied = errors.New("the worker died")

// dyingStore is one worker's way to the store: it pauses before each write, so
// that a schedule decides whose write comes next, and dies when it is told.
type dyingStore struct {
	*memStore
	turn chan bool // true goes on, false dies
	ask  chan struct{}
	dead bool
}

func (s *dyingStore) wait() error {
	if s.dead {
		return errDied
	}
	s.ask <- struct{}{}
	if s.dead = !<-s.turn; s.dead {
		return errDied
	}
	return nil
}

func (s *dyingStore) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	if err := s.wait(); err != nil {
		return err
	}
	return s.memStore.PutNew(ctx, key, body, size)
}

func (s *dyingStore) Get(ctx context.Context, key string) (io.ReadCloser, objstore.Info, error) {
	if s.dead {
		return nil, objstore.Info{}, errDied
	}
	return s.memStore.Get(ctx, key)
}

// actor is a session that a schedule drives step by step.
type actor struct {
	store *dyingStore
	done  chan error
	alive bool
}

// simulation is one random schedule: a log with duplicates, a store, workers.
type simulation struct {
	t       *testing.T
	rng     *rand.Rand
	log     *memLog
	store   *memStore
	writers []*writer
	actors  []*actor
	inc     string
	want    map[string]int
	sent    [][]stream.Record
	next    int
	print   string
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	f := newFixture(t)
	s := &simulation{
		t: t, rng: rand.New(rand.NewPCG(seed, 77)), log: f.log, store: newMemStore(), inc: "inc-1", print: f.print,
		want: make(map[string]int), writers: []*writer{newWriter("00", f.print), newWriter("01", f.print)}, sent: make([][]stream.Record, 2),
	}
	s.store.before = s.fate
	return s
}

// fate decides at random; metadata is delayed more often than files, as the
// longest delays hurt there.
func (s *simulation) fate(string) fate {
	switch n := s.rng.IntN(40); {
	case n < 2:
		return fails
	case n < 5:
		return loses
	case n < 8:
		return lingers
	case n < 10:
		return collides
	}
	return lands
}

// reveal appends events of both shards, some of them again.
func (s *simulation) reveal() {
	for range 1 + s.rng.IntN(4) {
		w := s.writers[s.rng.IntN(2)]
		p := int32(s.rng.IntN(2))
		if s.rng.IntN(12) == 0 {
			w.epoch++
			w.n = make(map[int32]uint64)
			s.log.append(w.fence(0), w.fence(1))
		}
		r := w.event(p, day+int64(s.next)*1e6+int64(s.rng.IntN(3))*3600e6, row0(s.next))
		s.want[fmt.Sprint(s.next)] = 1
		s.next++
		s.log.append(r)
		s.sent[p] = append(s.sent[p], r)
		if s.rng.IntN(3) == 0 {
			s.again(p, w)
		}
	}
}

// again repeats up to the last three events of a shard in a partition.
func (s *simulation) again(p int32, w *writer) {
	var own []stream.Record
	for _, r := range s.sent[p] {
		if r.Shard == w.shard && r.LSN.Epoch == w.epoch {
			own = append(own, r)
		}
	}
	s.log.append(own[max(0, len(own)-1-s.rng.IntN(3)):]...)
}

// start begins a session with settings of its own: layout and table stay, for
// they are another lake, everything else may change from one life to the next.
func (s *simulation) start() {
	a := &actor{store: &dyingStore{memStore: s.store, turn: make(chan bool), ask: make(chan struct{})}, done: make(chan error, 1), alive: true}
	layouts := [][]string{{"dt", "hr"}, {"city"}, {"dt"}}
	l, err := ParseLayout(DefaultLayout, layouts[s.rng.IntN(3)])
	if err != nil {
		s.t.Fatal(err)
	}
	o := Options{
		Log: s.log, Store: a.store, View: "orders", Topic: stream.Topic{Name: topic.Name, Partitions: 2, Incarnation: s.inc}, Layout: l,
		RollRows: 1 + s.rng.IntN(6), RollEvery: time.Hour, Codec: Codec{Compression: []string{"zstd", "snappy", "none"}[s.rng.IntN(3)]},
	}
	s.actors = append(s.actors, a)
	polls, dirs := 1+s.rng.IntN(6), 1+s.rng.IntN(4)
	go func() { a.done <- live(s.t.Context(), NewWorker(o), polls, dirs) }()
	s.settle(a)
}

// live is a worker's life of so many polls, and then a cut of what it holds.
// Its batches have at most so many directories.
func live(ctx context.Context, w *Worker, polls, dirs int) error {
	s := newSession(w)
	s.maxDirs = dirs
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.consumer.Close()
	for range polls {
		bounds, _ := s.o.Log.Bounds(ctx, s.o.Topic.Name)
		more := false
		for i := range s.parts {
			more = more || s.parts[i].next < bounds[i].Next
		}
		if !more {
			break
		}
		if err := s.step(ctx); err != nil {
			return err
		}
	}
	for i := range s.parts {
		if p := &s.parts[i]; p.next > p.chain.next {
			if err := s.cut(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn lets one actor do its next write, or die before it, and waits until it
// stands before another one or has ended: one worker runs at a time.
func (s *simulation) turn(a *actor, goOn bool) {
	a.store.turn <- goOn
	s.settle(a)
}

func (s *simulation) settle(a *actor) {
	select {
	case <-a.store.ask:
	case err := <-a.done:
		a.alive = false
		s.judge(err)
	}
}

// judge accepts the errors that a schedule makes, and no other.
func (s *simulation) judge(err error) {
	if err != nil && !errors.Is(err, errStore) && !errors.Is(err, errDied) && !strings.Contains(err.Error(), "moved the low mark") {
		s.t.Errorf("a session ended with: %v", err)
	}
}

// moveLow deletes finished batches, behind a durable low mark, as a collector
// of garbage does.
func (s *simulation) moveLow() {
	prefix := chainPrefix("orders", DefaultLayout, s.inc, int32(s.rng.IntN(2)))
	c := chain{store: s.store, prefix: prefix}
	if err := c.loadLow(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	var dead []int64
	at := c.low
	marks := c.marks
	for {
		m, err := c.manifest(s.t.Context(), at)
		if err != nil || s.store.objects[doneKey(prefix, at)] == nil {
			break
		}
		dead = append(dead, at)
		at, marks = m.Last, fromManifestMarks(m.After)
	}
	if len(dead) == 0 {
		return
	}
	body := mustJSON(s.t, lowMark{Version: formatVersion, Offset: at, Marks: toManifestMarks(marks)})
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.objects[lowKey(prefix)] = body
	for _, first := range dead {
		delete(s.store.objects, manifestKey(prefix, first))
		delete(s.store.objects, doneKey(prefix, first))
	}
}

// recreate makes the topic anew: other records at the same offsets.
func (s *simulation) recreate() {
	for _, a := range s.actors {
		for a.alive {
			s.turn(a, false)
		}
	}
	s.log.mu.Lock()
	s.log.parts = make([][]stream.Record, 2)
	s.log.mu.Unlock()
	s.inc, s.sent = "inc-2", make([][]stream.Record, 2)
	clear(s.want) // what the deleted topic still held is not judged
	for i := range s.writers {
		s.writers[i].epoch++
		s.writers[i].n = make(map[int32]uint64)
	}
}

// live returns the actors that still run.
func (s *simulation) living() (out []*actor) {
	for _, a := range s.actors {
		if a.alive {
			out = append(out, a)
		}
	}
	return out
}

// step does one random thing.
func (s *simulation) step() {
	living := s.living()
	switch n := s.rng.IntN(100); {
	case n < 20:
		s.reveal()
	case n < 30 && len(living) < 3 || len(living) == 0:
		s.start()
	case n < 34:
		s.turn(living[s.rng.IntN(len(living))], false)
	case n < 42 && len(s.store.late) > 0:
		s.store.land(s.rng.IntN(len(s.store.late)))
	case n < 46:
		s.moveLow()
	case n < 47 && s.inc == "inc-1" && s.next > 4:
		s.recreate()
	default:
		s.turn(living[s.rng.IntN(len(living))], true)
	}
}

// finish lets every late write land, ends the workers, and runs the last one
// in quiet.
func (s *simulation) finish() {
	for _, a := range s.living() {
		for a.alive {
			s.turn(a, s.rng.IntN(2) == 0)
		}
	}
	s.store.before = nil
	for len(s.store.late) > 0 {
		s.store.land(s.rng.IntN(len(s.store.late)))
	}
	o := Options{Log: s.log, Store: s.store, View: "orders", Topic: stream.Topic{Name: topic.Name, Partitions: 2, Incarnation: s.inc}, RollRows: 4, RollEvery: time.Hour}
	for range 3 {
		if err := live(s.t.Context(), NewWorker(o), 1000, maxDirs); err != nil {
			s.t.Errorf("the last worker: %v", err)
		}
	}
	got := make(map[string]int)
	for _, r := range readLake(s.t, s.store, "orders") {
		got[r["id"]]++
	}
	for id := range s.want {
		if got[id] == 0 {
			s.t.Errorf("lost: row %s", id)
		}
	}
	for id, n := range got {
		if n > 1 {
			s.t.Errorf("doubled: row %s stands %d times", id, n)
		}
	}
	for _, err := range Committed(s.t.Context(), s.store, "orders", DefaultLayout) {
		if err != nil {
			s.t.Errorf("the lake is not whole: %v", err)
		}
	}
}

// TestLake_EveryRowStandsOnceUnderRandomSchedules drives real sessions through
// random schedules: several workers at once, with settings of their own, die
// between any two writes; writes fail, collide, lose their reply or land when
// nobody waits for them; the log holds duplicates and new epochs, the low mark
// moves, the topic is made anew. Whatever happens, the next worker in peace
// finds or makes every accepted row once.
func TestLake_EveryRowStandsOnceUnderRandomSchedules(t *testing.T) {
	for seed := range uint64(200) {
		s := newSimulation(t, seed)
		for range 20 + s.rng.IntN(60) {
			s.step()
		}
		s.finish()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
