package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/stream"
)

// TestHazard_B18: a worker that was thought dead uploads offsets that another
// one has committed in a longer batch.
func TestHazard_B18_AZombiesUploadOverwritesNothing(t *testing.T) {
	l := newLake(t, 10)
	zombie := l.open(t, l.options(), 7)
	m, files, err := zombie.plan(t.Context(), &zombie.parts[0])
	if err != nil {
		t.Fatal(err)
	}
	other := l.open(t, l.options(), 10)
	if err := other.cut(t.Context(), &other.parts[0]); err != nil {
		t.Fatal(err)
	}
	before := l.files()
	won, err := zombie.parts[0].chain.propose(t.Context(), m)
	if err != nil || won.Last != 10 || same(won, m) {
		t.Fatalf("the zombie's promise: %+v, %v, want the other's, up to offset 10", won, err)
	}
	if err := zombie.cut(t.Context(), &zombie.parts[0]); err != nil {
		t.Fatal(err)
	}
	for k, b := range l.files() {
		if before[k] != b {
			t.Errorf("file %s is not what it was", k)
		}
	}
	l.wantIDs(t, "orders", 10)
	// Under one name stands one content: a foreign file is refused by name.
	key := m.Files[0].Key
	l.store.objects[key] = files[0].body
	if _, err := zombie.parts[0].chain.put(t.Context(), m, m.Files[0], files[0].body); err != nil {
		t.Errorf("the same file: %v", err)
	}
	for name, body := range map[string][]byte{"garbage": []byte("PAR1"), "fewer rows": files[1].body, "another batch's": l.store.objects[won.Files[0].Key]} {
		l.store.objects[key] = body
		if _, err := zombie.parts[0].chain.put(t.Context(), m, m.Files[0], files[0].body); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s under the name of a file = %v, want an error that names it", name, err)
		}
	}
}

// TestHazard_B19: the clock cuts a batch, the manifest remembers where.
func TestHazard_B19_ACutByTheClockIsWrittenDownBeforeTheFiles(t *testing.T) {
	for step := range 6 {
		l := newLake(t, 9)
		now := time.Unix(1_763_632_210, 0)
		o := l.options()
		o.RollEvery, o.Now = time.Minute, func() time.Time { return now }
		s := l.open(t, o, 4)
		now = now.Add(time.Minute)
		writes := 0
		l.store.before = func(string) fate {
			if writes++; writes > step {
				return fails
			}
			return lands
		}
		_ = s.cutDue(t.Context()) // dies at the given write
		l.store.before = nil
		now = now.Add(time.Hour) // another clock, another age, another cut
		o.RollRows = 1
		l.drain(t, o)
		l.wantIDs(t, "orders", 9)
		if m, err := s.parts[0].chain.manifest(t.Context(), 0); step >= 2 && (err != nil || m.Last != 4) {
			t.Errorf("died at write %d: the batch is %+v, %v, want the cut at offset 4", step, m, err)
		}
	}
}

// TestHazard_B21: 412 and 409 are answers, not failures.
func TestHazard_B21_ConditionalWritesAreAnswers(t *testing.T) {
	l := newLake(t, 12)
	n := 0
	l.store.before = func(string) fate {
		if n++; n%2 == 0 {
			return collides
		}
		return lands
	}
	one, two := l.open(t, l.options(), 6), l.open(t, l.options(), 6)
	for _, s := range []*session{one, two} {
		if err := s.cut(t.Context(), &s.parts[0]); err != nil {
			t.Errorf("cut = %v, want nil", err)
		}
	}
	l.drain(t, l.options())
	l.wantIDs(t, "orders", 12)
}

// TestHazard_B22: what a reader takes are the files of finished batches.
func TestHazard_B22_ReadersSeeNoFileOfABatchInProgress(t *testing.T) {
	l := newLake(t, 9)
	o := l.options()
	s := l.open(t, o, 5)
	if err := s.cut(t.Context(), &s.parts[0]); err != nil {
		t.Fatal(err)
	}
	l.take(t, s, 4)
	l.store.before = func(key string) fate {
		if strings.HasSuffix(key, ".done") {
			return fails
		}
		return lands
	}
	if err := s.cut(t.Context(), &s.parts[0]); !errors.Is(err, errStore) {
		t.Fatalf("cut = %v, want the store's error", err)
	}
	ids, err := committed(t, l.store)
	slices.Sort(ids)
	if err != nil || fmt.Sprint(ids) != "[0 1 2 3 4]" {
		t.Errorf("committed: %v, %v, want 0 to 4", ids, err)
	}
}

// TestHazard_B23: shards change their schema one after another, so that two
// versions stand side by side for long.
func TestHazard_B23_TwoSchemasAtOnceMakeOneFile(t *testing.T) {
	l := newLake(t, 0)
	wider := change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{
		{Name: "id", Type: change.Int, Bits: 64}, {Name: "city", Type: change.Text}, {Name: "day", Type: change.Date, Nullable: true}, {Name: "note", Type: change.Text},
	}}
	if err := l.log.PutSchema(t.Context(), wider); err != nil {
		t.Fatal(err)
	}
	l.w[1].print = wider.Fingerprint()
	for i := range 40 {
		columns := row0(i)
		if i%2 == 1 {
			columns += `,"note":"n"`
		}
		l.log.append(l.w[i%2].event(0, day, columns))
	}
	s := l.open(t, l.options(), 40)
	if err := s.cut(t.Context(), &s.parts[0]); err != nil {
		t.Fatal(err)
	}
	if got := len(l.files()); got != 1 {
		t.Errorf("two schemas in turn made %d files, want 1", got)
	}
	for _, r := range l.wantIDs(t, "orders", 40) {
		if want := map[bool]string{true: "n"}[r["_shard"] == "01"]; r["note"] != want || r["city"] == "" {
			t.Errorf("row %v: note = %q, want %q, and a city", r["id"], r["note"], want)
		}
	}
}

// TestHazard_B24: every change of a column's type either widens it or starts a
// column of its own; no value is cast and none is lost.
func TestHazard_B24_TypesWidenOrStartAColumn(t *testing.T) {
	of := func(c change.Column) *change.Schema {
		c.Name = "v"
		return &change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{c}}
	}
	for _, c := range []struct {
		name     string
		old, new change.Column
		// values of the two types, and the columns they stand in.
		before, after, oldColumn, newColumn string
	}{
		{"INT to BIGINT", change.Column{Type: change.Int, Bits: 32}, change.Column{Type: change.Int, Bits: 64}, `7`, `9223372036854775807`, "v", "v"},
		{"BIGINT to VARCHAR", change.Column{Type: change.Int, Bits: 64}, change.Column{Type: change.Text}, `7`, `"7"`, "v", "v__2"},
		{"DECIMAL gets digits", change.Column{Type: change.Decimal, Precision: 9, Scale: 2}, change.Column{Type: change.Decimal, Precision: 20, Scale: 2}, `1.25`, `123456789012345678.25`, "v", "v"},
		{"DECIMAL gets a scale", change.Column{Type: change.Decimal, Precision: 9, Scale: 2}, change.Column{Type: change.Decimal, Precision: 9, Scale: 3}, `1.25`, `1.250`, "v", "v__2"},
		{"UNSIGNED gets 64 bits", change.Column{Type: change.Uint, Bits: 32}, change.Column{Type: change.Uint, Bits: 64}, `7`, `18446744073709551615`, "v", "v__2"},
		{"FLOAT to DOUBLE", change.Column{Type: change.Float}, change.Column{Type: change.Double}, `0.5`, `0.1`, "v", "v__2"},
		{"VARCHAR to ENUM", change.Column{Type: change.Text}, change.Column{Type: change.Enum}, `"a"`, `"b"`, "v", "v"},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, now := of(c.old), of(c.new)
			cols := merge(merge(metadataColumns, old), now)
			m := &Manifest{View: "orders", Columns: cols, Codec: Codec{Compression: "none"}, Files: []FileRef{{Key: "k", Rows: 2}}}
			rows := []row{
				{value: []byte(`{"v":` + c.before + `}`), schema: old.Fingerprint()},
				{value: []byte(`{"v":` + c.after + `}`), schema: now.Fingerprint()},
			}
			w := newFileWriter(m, map[string]*change.Schema{old.Fingerprint(): old, now.Fingerprint(): now}, newCodecs())
			files, err := w.build(rows)
			if err != nil {
				t.Fatal(err)
			}
			file, err := openFile(files[0].body)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			err = readRows(file, func(r *FileRow) error {
				at := map[int]string{0: c.oldColumn, 1: c.newColumn}[len(got)]
				v, _ := r.Text(at)
				got = append(got, v)
				other, stands := r.Text(map[string]string{"v": "v__2", "v__2": "v"}[at])
				if stands {
					t.Errorf("row %d stands in another column too, as %q", len(got), other)
				}
				return nil
			})
			want := []string{strings.Trim(c.before, `"`), strings.Trim(c.after, `"`)}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("read %q, %v, want %q in %s and %s", got, err, want, c.oldColumn, c.newColumn)
			}
		})
	}
}

// fullDisk fails with ENOSPC while it is full.
type fullDisk struct {
	objstore.Store
	mu   sync.Mutex
	full bool
}

func (s *fullDisk) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	s.mu.Lock()
	full := s.full
	s.mu.Unlock()
	if full {
		return fmt.Errorf("put %s: %w", key, syscall.ENOSPC)
	}
	return s.Store.PutNew(ctx, key, body, size)
}

func TestWorker_AFullDiskHoldsItUpUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLake(t, 20)
		disk := &fullDisk{Store: l.store, full: true}
		o := l.options()
		o.Store, o.Codec.Compression = disk, "none" // decoders of zstd may not leave the bubble
		var log strings.Builder
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w := NewWorker(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(5 * time.Minute)
		st := w.Status()
		if !errors.Is(st.Err, syscall.ENOSPC) || st.Rows != 0 || st.Saved[0] != 0 || st.Read[0] > 14 {
			t.Errorf("status of a full disk = %+v, want ENOSPC, nothing saved, and no more read than a batch and a poll", st)
		}
		disk.mu.Lock()
		disk.full = false
		disk.mu.Unlock()
		time.Sleep(time.Minute)
		st = w.Status()
		if st.Err != nil || st.Saved[0] == 0 || st.Read[0] != 20 {
			t.Errorf("status with room again = %+v, want no error and everything read", st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		// Once a minute while it stands, and once that it is over.
		stands, moves := strings.Count(log.String(), "lake does not move"), strings.Count(log.String(), "lake moves again")
		if stands < 1 || stands > 6 || moves != 1 {
			t.Errorf("the log says %d times in six minutes that the lake does not move and %d times that it moves:\n%s", stands, moves, log.String())
		}
		l.wantIDs(t, "orders", 20)
		if st := w.Status(); st.Saved[0] != 20 || st.Rows != 20 {
			t.Errorf("status at the end = %+v, want 20 rows saved", st)
		}
	})
}

func TestWorker_HeartbeatsAloneMoveTheChain(t *testing.T) {
	l := newLake(t, 0)
	now := time.Unix(1_763_632_210, 0)
	o := l.options()
	o.RollEvery, o.Now = time.Minute, func() time.Time { return now }
	l.log.append(l.w[0].fence(0))
	for i := range 5 {
		l.log.append(stream.Record{Topic: topic.Name, Kind: stream.Heartbeat, Shard: "00", LSN: change.LSN{Epoch: 1}, Watermark: day + int64(i)})
	}
	s := l.open(t, o, 6)
	now = now.Add(emptyEvery - time.Second)
	if err := s.cutDue(t.Context()); err != nil || s.parts[0].chain.next != 0 {
		t.Errorf("before its time: the chain ends at %d, %v, want 0", s.parts[0].chain.next, err)
	}
	now = now.Add(time.Second)
	if err := s.cutDue(t.Context()); err != nil || s.parts[0].chain.next != 6 {
		t.Errorf("the chain ends at %d, %v, want 6", s.parts[0].chain.next, err)
	}
	if len(l.files()) != 0 {
		t.Errorf("heartbeats made files: %v", l.files())
	}
	l.grow(3)
	l.drain(t, o)
	l.wantIDs(t, "orders", 3)
	// A batch without files that is promised and not done needs no log.
	l.log.append(stream.Record{Topic: topic.Name, Kind: stream.Heartbeat, Shard: "01", LSN: l.w[1].last(), N: 1, Watermark: day})
	l.promise(t, o, 1)
	l.log.first[0] = 10
	if s := l.open(t, o, 0); s.parts[0].next != 10 {
		t.Errorf("the worker starts at %d, want 10", s.parts[0].next)
	}
}

func TestWorker_MemoryIsBoundedOverAllPartitions(t *testing.T) {
	f := newFixture(t)
	f.log = newMemLog(12)
	if err := f.log.PutSchema(t.Context(), benchSchema()); err != nil {
		t.Fatal(err)
	}
	schema := benchSchema()
	o := f.options()
	o.Log, o.Store = f.log, newMemStore()
	o.Topic.Partitions, o.RollRows, o.MemoryBytes = 12, 1<<20, 64<<10
	s := newSession(NewWorker(o))
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := newWriter("00", schema.Fingerprint())
	most := 0
	offsets := make([]int64, 12)
	for i := range 6000 {
		p := i * i % 12
		r := w.event(int32(p), day, fmt.Sprintf(`"id":%d,"note":%q`, i, strings.Repeat("x", i%200)))
		r.Offset = offsets[p]
		offsets[p]++
		if err := s.take(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if err := s.cutDue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		held := 0
		for j := range s.parts {
			held += s.parts[j].memory()
		}
		if held != s.held {
			t.Fatalf("row %d: %d bytes are accounted for, %d are held", i, s.held, held)
		}
		most = max(most, held)
	}
	if limit := o.MemoryBytes + 10*(400+rowOverhead); most > limit {
		t.Errorf("%d bytes were held at once, want at most %d", most, limit)
	}
}

// hangingDisk never answers a write while it hangs.
type hangingDisk struct {
	*memStore
	hangs atomic.Bool
}

func (s *hangingDisk) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	if s.hangs.Load() {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.memStore.PutNew(ctx, key, body, size)
}

func TestWorker_TheEndIsDrainedWithinGrace(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLake(t, 7)
			disk := &hangingDisk{memStore: l.store}
			o := l.options()
			o.Store, o.Codec.Compression, o.RollRows, o.Grace = disk, "none", 1000, 20*time.Second
			w := NewWorker(o)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			time.Sleep(5 * time.Second)
			if st := w.Status(); st.Read[0] != 7 || st.Saved[0] != 0 {
				t.Errorf("read %v and saved %v, want 7 and 0 of partition 0", st.Read, st.Saved)
			}
			disk.hangs.Store(hangs)
			began := time.Now()
			cancel()
			err := <-done
			if took := time.Since(began); (err != nil) != hangs || took > o.Grace {
				t.Errorf("a disk that hangs (%v): Run = %v after %v, want its end within %v", hangs, err, took, o.Grace)
			}
			if st := w.Status(); !hangs && (st.Saved[0] != 7 || st.Rows != 7) {
				t.Errorf("status at the end = %+v, want 7 rows saved", st)
			}
		})
	}
}
