package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/internal/testenv"
)

// The tests of this file strike a worker at every call that it makes to the
// store, one run for each call and fault: none is left to chance.

// strike is what happens at one call to the store.
type strike int

const (
	refused   strike = iota // nothing happens, and an error comes back
	unheard                 // it happens, and an error comes back; what is read breaks off in the middle
	collision               // a write meets another one: try again
	delayed                 // an error comes back, and the write lands while the successor works
	lateLand                // the same, and it lands when everybody is done
	diesFirst               // the worker is killed before the call
	diesAfter               // the worker is killed behind it
	strikes
)

func (s strike) String() string {
	return [...]string{"refused", "unheard", "collision", "delayed", "lands at the end", "dies before", "dies behind"}[s]
}

// stepStore is one worker's way to the store: call number at is struck.
type stepStore struct {
	*memStore
	at     int
	strike strike
	calls  int
	// kinds are what the calls were, for messages and to know what was reached.
	kinds []string
	dead  bool
	// halt, when set, is called in place of a strike, and the call goes on.
	halt func()
	// wrote is called behind every write that was done.
	wrote func()
}

// call counts one, and returns what strikes it; strikes is nothing.
func (s *stepStore) call(verb, key string) strike {
	if s.dead {
		return diesFirst
	}
	s.calls++
	s.kinds = append(s.kinds, verb+" "+kindOf(key))
	if s.calls != s.at {
		return strikes
	}
	if s.halt != nil {
		s.halt()
		return strikes
	}
	s.dead = s.strike == diesFirst || s.strike == diesAfter
	return s.strike
}

// kindOf names an object by its part in the protocol.
func kindOf(key string) string {
	switch {
	case key == lowKey(key[:strings.LastIndexByte(key, '/')+1]):
		return "low mark"
	case strings.HasSuffix(key, "/"):
		return "folder"
	}
	return between(key)
}

func (s *stepStore) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	switch f := s.call("put", key); f {
	case refused:
		return errStore
	case diesFirst:
		return errDied
	case collision:
		return fmt.Errorf("put %s: %w", key, objstore.ErrConflict)
	case delayed, lateLand:
		b, err := io.ReadAll(body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.late = append(s.late, lateWrite{key, b})
		return errors.Join(err, errStore)
	case unheard, diesAfter:
		_ = s.memStore.PutNew(ctx, key, body, size)
		s.note()
		return errStore
	}
	err := s.memStore.PutNew(ctx, key, body, size)
	s.note()
	return err
}

func (s *stepStore) note() {
	if s.wrote != nil {
		s.wrote()
	}
}

func (s *stepStore) Get(ctx context.Context, key string) (io.ReadCloser, objstore.Info, error) {
	f := s.call("get", key)
	r, info, err := s.memStore.Get(ctx, key)
	switch {
	case f == strikes, f == collision, err != nil && f == unheard:
		return r, info, err
	case f == unheard:
		return io.NopCloser(io.MultiReader(io.LimitReader(r, info.Size/2), brokenReader{})), info, nil
	}
	return nil, objstore.Info{}, errStore
}

// brokenReader is a connection that breaks.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errStore }

func (s *stepStore) List(ctx context.Context, prefix string) objectSeq {
	f := s.call("list", prefix)
	return func(yield func(objstore.Info, error) bool) {
		if f == strikes || f == collision {
			s.memStore.List(ctx, prefix)(yield)
			return
		}
		n := 0
		for info, err := range s.memStore.List(ctx, prefix) {
			if n++; f != unheard || n > 2 {
				break
			}
			if !yield(info, err) {
				return
			}
		}
		yield(objstore.Info{}, errStore)
	}
}

func (s *stepStore) Delete(ctx context.Context, key string) error {
	switch f := s.call("delete", key); f {
	case strikes, collision:
		return s.memStore.Delete(ctx, key)
	case unheard, diesAfter:
		_ = s.memStore.Delete(ctx, key)
	}
	return errStore
}

// everyStep is a lake with a past, and what the workers of a run shall add: the
// rows of two partitions, of which some stand in the log twice, an epoch that
// begins anew, a column that is new, and a date that needs a column for misfits.
// Below its low mark lies a batch that a collector of garbage has taken away.
type everyStep struct {
	*fixture
	past map[string][]byte
	rows int
	// known are the ids of files by their bytes: most runs write the same.
	mu    sync.Mutex
	known map[[sha256.Size]byte][]string
}

func newEveryStep(t *testing.T) *everyStep {
	t.Helper()
	l := newLake(t, 9)
	w := newWriter("02", l.print)
	add := func(p int32, columns string) {
		r := w.event(p, day+int64(l.n%3)*3600e6, columns)
		l.log.append(r)
		if l.n++; l.n%4 == 0 {
			l.log.append(r) // a reply was lost
		}
	}
	for range 4 {
		add(1, row0(l.n))
	}
	o := l.options()
	o.RollRows = 3
	first := l.open(t, o, 3)
	if err := first.cut(t.Context(), &first.parts[0]); err != nil {
		t.Fatal(err)
	}
	l.collect(t)
	l.drain(t, o)
	e := &everyStep{fixture: l.fixture, past: maps.Clone(l.store.objects), known: make(map[[sha256.Size]byte][]string)}
	l.grow(5)
	wider := change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{
		{Name: "id", Type: change.Int, Bits: 64}, {Name: "city", Type: change.Text}, {Name: "day", Type: change.Date, Nullable: true}, {Name: "note", Type: change.Text, Nullable: true},
	}}
	if err := l.log.PutSchema(t.Context(), wider); err != nil {
		t.Fatal(err)
	}
	w.epoch++
	l.log.append(w.fence(0), w.fence(1))
	w.print = wider.Fingerprint()
	for i := range 4 {
		add(int32(i%2), fmt.Sprintf(`"id":%d,"city":"c1","day":"0000-00-0%d","note":"n"`, l.n, i%2))
	}
	e.rows = l.n
	return e
}

// store returns the lake as it was, for one run.
func (e *everyStep) store() *memStore {
	s := newMemStore()
	s.objects = maps.Clone(e.past)
	return s
}

// options are those of life number n of a worker: the process that comes after
// one that died may have been configured in another way.
func (e *everyStep) options(s objstore.Store, n int) Options {
	o := e.fixture.options()
	o.Store, o.RollRows, o.Codec.Compression = s, 4, "snappy"
	if n > 0 {
		o.RollRows, o.Codec = 1+n, Codec{Compression: []string{"zstd", "snappy", "none"}[n%3]}
	}
	o.Log = otherPolls{e.log, uint64(n)}
	return o
}

// live runs a worker on s until it has read everything, and returns what ended
// it before.
func (e *everyStep) live(t *testing.T, s objstore.Store, n int) error {
	t.Helper()
	err := live(t.Context(), NewWorker(e.options(s, n)), 1000, 1+n%4)
	if err != nil && !errors.Is(err, errStore) && !errors.Is(err, errDied) && !strings.Contains(err.Error(), "moved the low mark") {
		t.Errorf("a worker ended with: %v", err)
	}
	return err
}

// look reads the lake as others do, at any moment: what is committed is whole,
// stands once, and never goes away but below a low mark.
func (e *everyStep) look(t *testing.T, s *memStore, before int) int {
	t.Helper()
	ids, _ := e.committed(t, s)
	if n := len(slices.Compact(slices.Sorted(slices.Values(ids)))); n != len(ids) {
		t.Errorf("a reader in between has %d rows, of which %d differ", len(ids), n)
	}
	if len(ids) < before {
		t.Errorf("a reader had %d rows and now has %d", before, len(ids))
	}
	return len(ids)
}

// committed returns the ids and the files of everything that is committed.
func (e *everyStep) committed(t *testing.T, s *memStore) (ids []string, files map[string]bool) {
	t.Helper()
	files = make(map[string]bool)
	for b, err := range Committed(t.Context(), s, "orders", DefaultLayout) {
		if err != nil {
			t.Errorf("a reader in between: %v", err)
			break
		}
		for _, d := range b.Done.Files {
			s.mu.Lock()
			body := s.objects[d.Key]
			s.mu.Unlock()
			in := e.ids(t, body)
			if sum := sha256.Sum256(body); d.SHA256 != hex.EncodeToString(sum[:]) || d.Bytes != int64(len(body)) || d.Rows != int64(len(in)) {
				t.Errorf("file %s with %d bytes and %d rows is not what its batch says: %+v", d.Key, len(body), len(in), d)
			}
			ids, files[d.Key] = append(ids, in...), true
		}
	}
	return ids, files
}

// ids are those of a file.
func (e *everyStep) ids(t *testing.T, body []byte) []string {
	t.Helper()
	sum := sha256.Sum256(body)
	e.mu.Lock()
	defer e.mu.Unlock()
	ids, ok := e.known[sum]
	if ok {
		return ids
	}
	file, err := openFile(body)
	if err == nil {
		err = readRows(file, func(r *FileRow) error {
			id, _ := r.Text("id")
			ids = append(ids, id)
			return nil
		})
	}
	if err != nil {
		t.Errorf("a reader in between: %v", err)
	}
	e.known[sum] = ids
	return ids
}

// finish runs workers in peace until one has had nothing to say against it, and
// checks that every row stands once, in files of batches unless those were
// collected.
func (e *everyStep) finish(t *testing.T, s *memStore, collected bool) {
	t.Helper()
	var err error
	for n := 1; n < 4; n++ {
		if err = e.live(t, s, n); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("no worker comes to an end: %v", err)
	}
	if len(s.late) > 0 {
		for len(s.late) > 0 {
			s.land(0)
		}
		if err := e.live(t, s, 2); err != nil {
			t.Errorf("the worker behind the last late write: %v", err)
		}
	}
	_, promised := e.committed(t, s)
	seen := make(map[string]int)
	for key, body := range s.objects {
		if !strings.HasSuffix(key, ".parquet") {
			continue
		}
		if _, old := e.past[key]; !collected && !old && !promised[key] {
			t.Errorf("file %s is of no batch", key)
		}
		for _, id := range e.ids(t, body) {
			seen[id]++
		}
	}
	for id := range e.rows {
		if n := seen[fmt.Sprint(id)]; n != 1 {
			t.Errorf("row %d stands %d times, want once", id, n)
		}
	}
	if len(seen) != e.rows {
		t.Errorf("%d rows stand in the lake, want %d", len(seen), e.rows)
	}
}

// calls are those that a worker makes which nothing strikes: to everything that
// the protocol has.
func (e *everyStep) calls(t *testing.T) []string {
	t.Helper()
	s := &stepStore{memStore: e.store()}
	if err := e.live(t, s, 0); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{
		"get low mark", "get manifest", "get schema", "list folder", "put manifest", "put schema", "put file", "put done",
	} {
		if !slices.Contains(s.kinds, kind) {
			t.Fatalf("no call is %q: %q", kind, s.kinds)
		}
	}
	return s.kinds
}

// A worker is struck at each of its calls in each way. It goes on, or another
// one with other settings takes its place; whoever reads the lake meanwhile
// sees whole batches only, and in the end every row stands once. DuckDB reads
// what each run has left and finds the same.
func TestHazard_B20_AFaultAtEveryCallToTheStore(t *testing.T) {
	e := newEveryStep(t)
	root, runs := t.TempDir(), 0
	kinds := e.calls(t)
	calls := len(kinds)
	for at := 1; at <= calls; at++ {
		for f := range strikes {
			if f == collision && !strings.HasPrefix(kinds[at-1], "put") {
				continue
			}
			s := e.store()
			seen := e.look(t, s, 0)
			step := &stepStore{memStore: s, at: at, strike: f}
			step.wrote = func() {
				if step.calls >= at { // what is before is as in the run before
					seen = e.look(t, s, seen)
				}
			}
			err := e.live(t, step, 0)
			if f == delayed {
				next := &stepStore{memStore: s, at: 1 + at%calls, halt: func() {
					for len(s.late) > 0 {
						s.land(0)
					}
				}}
				err = e.live(t, next, 1)
			}
			if err != nil && !step.dead {
				_ = e.live(t, step, 0)
			}
			e.finish(t, s, false)
			if t.Failed() {
				t.Fatalf("call %d of %d, %s: %s", at, calls, step.kinds[at-1], f)
			}
			if runs++; runs%7 == at%7 {
				e.keep(t, s, filepath.Join(root, fmt.Sprint(runs)))
			}
		}
	}
	got := testenv.DuckDB(t, fmt.Sprintf(`WITH run AS (SELECT regexp_extract(filename, '/([0-9]+)/orders/', 1) AS run, count(*) AS n, count(DISTINCT id) AS ids
		FROM read_parquet('%s/*/orders/**/*.parquet', filename=true, union_by_name=true) GROUP BY 1)
		SELECT min(n)::VARCHAR AS least, max(n)::VARCHAR AS most, min(ids)::VARCHAR AS ids, count(*)::VARCHAR AS runs FROM run`, root))
	kept, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	n := fmt.Sprint(e.rows)
	if want := fmt.Sprint(map[string]any{"least": n, "most": n, "ids": n, "runs": fmt.Sprint(len(kept))}); len(got) != 1 || fmt.Sprint(got[0]) != want {
		t.Errorf("DuckDB reads %v, want %v", got, want)
	}
}

// keep writes a lake's files to a directory.
func (e *everyStep) keep(t *testing.T, s *memStore, dir string) {
	t.Helper()
	for key, body := range s.objects {
		if !strings.HasSuffix(key, ".parquet") {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// everyPair is the environment variable with which every pair of calls is tried
// in place of some.
const everyPair = "TAILWATER_TEST_EVERY_PAIR"

// A worker halts at each of its calls, as a process does that is stopped or
// whose machine sleeps; another one works until it halts or dies at each of
// its own; the first goes on to its end as a zombie, and then the second.
// Between them a collector may delete what is finished.
func TestHazard_B18_AZombieThatHaltedAtEveryCall(t *testing.T) {
	e := newEveryStep(t)
	calls := len(e.calls(t))
	stride := 17
	if os.Getenv(everyPair) != "" {
		stride = 1
	}
	for at := 1; at <= calls; at++ {
		for other := 1 + at%stride; other <= calls+stride; other += stride {
			s := e.store()
			release, ended := make(chan struct{}), make(chan struct{})
			zombie := &stepStore{memStore: s, at: at}
			zombie.halt = func() {
				halted := make(chan struct{})
				second := &stepStore{memStore: s, at: other, strike: diesAfter}
				if at%2 == 0 {
					second.halt = func() {
						close(halted)
						<-release
					}
				}
				go func() {
					defer close(ended)
					_ = e.live(t, second, 1)
				}()
				select {
				case <-halted:
				case <-ended:
				}
				if other%3 == 0 {
					e.collect(t, s)
				}
			}
			err := e.live(t, zombie, 0)
			close(release)
			<-ended
			if err != nil && other%3 != 0 {
				t.Errorf("the zombie ended with: %v", err)
			}
			e.finish(t, s, other%3 == 0)
			if t.Failed() {
				t.Fatalf("halted at call %d of %d, %s; the other one at its call %d", at, calls, zombie.kinds[at-1], other)
			}
		}
	}
}

// collect deletes every finished batch of partition 0 behind a durable low mark.
func (e *everyStep) collect(t *testing.T, s *memStore) {
	t.Helper()
	c := chain{store: s, prefix: prefix0()}
	if err := c.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[lowKey(prefix0())] = mustJSON(t, lowMark{Version: formatVersion, Offset: c.next, Marks: toManifestMarks(c.marks)})
	for key := range s.objects {
		if first, _, ok := parseManifestKey(prefix0(), key); ok && first < c.next {
			delete(s.objects, key)
		}
	}
}

// A disk that is full from a worker's write on, for each of them, and free again
// later: the worker that goes on finds what it needs.
func TestHazard_B20_AStoreThatIsFullFromEveryWriteOn(t *testing.T) {
	e := newEveryStep(t)
	for at, reached := 1, true; reached; at++ {
		s := e.store()
		full := &fullFrom{memStore: s, from: at}
		if err := e.live(t, full, 0); err == nil && full.writes > 0 {
			t.Errorf("from write %d on: the worker did not say that the store is full", at)
		}
		e.look(t, s, 0)
		e.finish(t, s, false)
		if t.Failed() {
			t.Fatalf("full from write %d on", at)
		}
		reached = full.writes > 0
	}
}

// fullFrom is a store that takes no more writes from number from on; writes are
// those that it did not take.
type fullFrom struct {
	*memStore
	from, calls, writes int
}

func (s *fullFrom) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	if s.calls++; s.calls >= s.from {
		s.writes++
		return errors.Join(errStore, fmt.Errorf("put %s: no space left on device", key))
	}
	return s.memStore.PutNew(ctx, key, body, size)
}
