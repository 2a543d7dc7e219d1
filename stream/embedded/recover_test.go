package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

// log1 is a log of one topic with one partition, in which one shard publishes.
type log1 struct {
	t     *testing.T
	store *store
	*Log
	s     stream.Session
	txn   uint64
	shard string
}

const topic1 = "tw.one.rows"

func newLog1(t *testing.T) *log1 {
	t.Helper()
	one := &log1{t: t, shard: "a", store: &store{dir: filepath.Join(t.TempDir(), "log")}}
	one.open()
	return one
}

func (o *log1) open() {
	o.t.Helper()
	o.Log = openDir(o.t, o.store.dir)
	if _, err := o.EnsureTopic(o.t.Context(), stream.TopicSpec{Name: topic1, Partitions: 1}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *log1) start() {
	o.t.Helper()
	s, err := o.OpenShard(o.t.Context(), stream.ShardOptions{Shard: o.shard, Topics: []string{topic1}})
	if err != nil {
		o.t.Fatal(err)
	}
	o.s = s
}

// publish publishes n records, each in a batch of its own, of the given size.
func (o *log1) publish(n, size int) {
	o.t.Helper()
	for range n {
		o.txn++
		if err := o.s.Publish(o.t.Context(), []stream.Record{o.record(size)}); err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *log1) record(size int) stream.Record {
	value := make([]byte, size)
	x := uint32(o.txn*2654435761 | 1)
	for i := range value { // bytes that do not compress
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		value[i] = byte(x)
	}
	return stream.Record{
		Topic: topic1, Kind: stream.Event, Shard: o.shard, LSN: change.LSN{Epoch: o.s.Epoch(), Txn: o.txn, Row: 1},
		TxID: fmt.Sprint("g", o.txn), Row: 1, Key: []byte("k"), Value: value,
	}
}

func (o *log1) save() {
	o.t.Helper()
	if err := o.s.Save(o.t.Context(), stream.SourcePosition{Source: []byte("p"), LSN: change.LSN{Epoch: o.s.Epoch(), Txn: o.txn}}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *log1) kill() {
	o.t.Helper()
	o.store.Kill(o.t, o.Log)
}

func (o *log1) dir() string {
	return partitionDir(filepath.Join(o.store.dir, "log"), topic1, 0)
}

func (o *log1) segments() []int64 {
	o.t.Helper()
	bases, err := listSegments(o.dir())
	if err != nil {
		o.t.Fatal(err)
	}
	return bases
}

func (o *log1) bounds() stream.Bounds {
	o.t.Helper()
	b, err := o.Bounds(o.t.Context(), topic1)
	if err != nil {
		o.t.Fatal(err)
	}
	return b[0]
}

func (o *log1) incarnation() string {
	o.t.Helper()
	t, err := o.EnsureTopic(o.t.Context(), stream.TopicSpec{Name: topic1})
	if err != nil {
		o.t.Fatal(err)
	}
	return t.Incarnation
}

// tryOpen opens the directory, maybe with loss accepted, and returns the error.
func (o *log1) tryOpen(accept bool) error {
	o.t.Helper()
	l, err := Open(Options{Dir: o.store.dir, Name: "suite", Logger: quiet(), AcceptLoss: accept})
	if err == nil {
		o.t.Cleanup(func() { _ = l.Close() })
		o.Log = l
	}
	return err
}

// batches returns the end in bytes of every batch of a file.
func batches(t *testing.T, path string) []int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ends []int
	for at := 0; at < len(b); {
		h, err := parseHeader(b[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += h.size
		ends = append(ends, at)
	}
	return ends
}

func TestRecovery_CutsOffATornTail(t *testing.T) {
	for _, tail := range [][]byte{{1}, make([]byte, 200), bytes.Repeat([]byte{0xff}, 100), nil} {
		one := newLog1(t)
		one.start()
		one.publish(5, 100)
		one.save()
		one.kill()
		spoil(t, segmentPath(one.dir(), 0), func(b []byte) []byte { return append(b, tail...) })
		one.open()
		if got, want := one.bounds(), (stream.Bounds{First: 0, Next: 6}); got != want {
			t.Errorf("tail of %d bytes: got %+v, want %+v", len(tail), got, want)
		}
		one.start()
		one.publish(2, 100)
		if got := len(readAll(t, one.Log, topic1)); got != 9 {
			t.Errorf("tail of %d bytes: got %d records, want 9", len(tail), got)
		}
	}
}

func TestRecovery_LossBelowAnAcknowledgedOffsetIsANewIncarnation(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(3, 100)
	one.save()
	one.publish(3, 100)
	before := one.incarnation()
	one.kill()
	path := segmentPath(one.dir(), 0)
	ends := batches(t, path)
	spoil(t, path, func(b []byte) []byte { return b[:ends[4]+10] })
	one.open()
	if got := one.bounds().Next; got != 5 {
		t.Errorf("got end %d, want 5", got)
	}
	after := one.incarnation()
	if after == before {
		t.Error("the incarnation is the same, though offsets mean other records now")
	}
	// The shard finds its position, and the tail that is left.
	one.start()
	if rec := one.s.Recovered(); !rec.Found || len(rec.Skip) != 1 {
		t.Errorf("got %+v, want the position and one event behind it", rec)
	}
	one.txn = 10
	one.publish(1, 10)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	one.open()
	if got := one.incarnation(); got != after {
		t.Errorf("got another incarnation %s after an orderly stop, want %s", got, after)
	}
}

func TestRecovery_RefusesAnEndBelowASavedPosition(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(6, 100)
	one.save()
	before := one.incarnation()
	one.kill()
	path := segmentPath(one.dir(), 0)
	ends := batches(t, path)
	spoil(t, path, func(b []byte) []byte { return b[:ends[2]] })
	for range 2 {
		var loss *LossError
		if err := one.tryOpen(false); !errors.As(err, &loss) {
			t.Fatalf("got %v, want a LossError", err)
		}
		for _, want := range []string{one.dir(), "offset 3", "offset 7", "shard a", "Choices"} {
			if !strings.Contains(loss.Error(), want) {
				t.Errorf("got %v, want it to name %s", loss, want)
			}
		}
	}
	if err := one.tryOpen(true); err != nil {
		t.Fatalf("with the loss accepted: %v", err)
	}
	if got := one.incarnation(); got == before {
		t.Error("the incarnation is the same")
	}
	one.start()
	if rec := one.s.Recovered(); !rec.Found || len(rec.Skip) != 0 || one.s.Epoch() != 2 {
		t.Errorf("got epoch %d, %+v", one.s.Epoch(), rec)
	}
	one.publish(1, 10)
}

func TestRecovery_RefusesDamageInTheMiddle(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(40, 500_000)
	one.save()
	bases := one.segments()
	if len(bases) < 3 {
		t.Fatalf("got %d segments, want at least 3", len(bases))
	}
	one.kill()
	path := segmentPath(one.dir(), bases[1])
	spoil(t, path, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	var loss *LossError
	if err := one.tryOpen(false); !errors.As(err, &loss) || loss.Path != path {
		t.Fatalf("got %v, want a LossError that names %s", err, path)
	}
	if err := one.tryOpen(true); err != nil {
		t.Fatal(err)
	}
	if got := one.bounds(); got.First != 0 || got.Next <= bases[1] || got.Next >= bases[2] {
		t.Errorf("got %+v, want the end inside the damaged file that began at %d", got, bases[1])
	}
	records := readAll(t, one.Log, topic1)
	if int64(len(records)) != one.bounds().Next {
		t.Errorf("got %d records, want %d", len(records), one.bounds().Next)
	}
}

func TestRecovery_RefusesAMissingFile(t *testing.T) {
	for i, name := range []string{"first", "middle", "only"} {
		t.Run(name, func(t *testing.T) {
			one := newLog1(t)
			one.start()
			one.publish(40, 500_000)
			one.save()
			bases := one.segments()
			one.kill()
			remove := bases[i%2 : i%2+1]
			if name == "only" {
				remove = bases
			}
			for _, base := range remove {
				if err := os.Remove(segmentPath(one.dir(), base)); err != nil {
					t.Fatal(err)
				}
			}
			var loss *LossError
			if err := one.tryOpen(false); !errors.As(err, &loss) {
				t.Fatalf("got %v, want a LossError", err)
			}
		})
	}
}

// After kill -9 the broker would read every batch of a partition into memory
// and guess its first offset; the note that recovery writes prevents both.
func TestRecovery_WritesANoteThatTheBrokerTakes(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(40, 500_000)
	one.save()
	one.kill()
	one.open()
	b, err := os.ReadFile(filepath.Join(one.dir(), snapshotName))
	if err != nil {
		t.Fatal(err)
	}
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	info := one.cluster.PartitionInfo(topic1, 0)
	if s.HighWatermark != 41 || info.HighWatermark != 41 || info.LastStableOffset != 41 || len(s.Segments) != len(one.segments()) {
		t.Errorf("got note %+v and broker %+v", s, info)
	}
	if idx, _ := filepath.Glob(filepath.Join(one.dir(), "*.idx")); len(idx) != 0 {
		t.Errorf("index files are left: %v", idx)
	}
}

func TestRecovery_AfterAnOrderlyStopTrustsTheNote(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(4, 100)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	got, ok := recovery{dir: one.dir()}.trust()
	if want := (recovered{first: 0, next: 5, newest: 0}); !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	spoil(t, segmentPath(one.dir(), 0), func(b []byte) []byte { return append(b, 0) })
	if _, ok := (recovery{dir: one.dir()}).trust(); ok {
		t.Error("the note is trusted though a file has another size")
	}
	one.open()
	if got := one.bounds().Next; got != 5 {
		t.Errorf("got end %d, want 5", got)
	}
}

func TestOpen_RefusesASecondProcess(t *testing.T) {
	one := newLog1(t)
	_, err := Open(Options{Dir: one.store.dir, Name: "suite", Logger: quiet()})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), one.store.dir) {
		t.Errorf("got %v, want ErrLocked that names the directory", err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if err := one.tryOpen(false); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestOpen_RefusesWhatIsNotItsOwn(t *testing.T) {
	one := newLog1(t)
	addr := one.Addr()
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	open := func(o Options) error {
		o.Logger = quiet()
		l, err := Open(o)
		if err == nil {
			_ = l.Close()
		}
		return err
	}
	if err := open(Options{Dir: one.store.dir, Name: "other"}); err == nil || !strings.Contains(err.Error(), `"suite"`) {
		t.Errorf("another pipeline's directory: got %v", err)
	}
	spoil(t, filepath.Join(one.store.dir, "VERSION"), func([]byte) []byte { return []byte("tailwater embedded stream 2\n") })
	if err := open(Options{Dir: one.store.dir, Name: "suite"}); !errors.Is(err, errNewer) || !strings.Contains(err.Error(), "VERSION") {
		t.Errorf("a newer directory: got %v", err)
	}
	spoil(t, filepath.Join(one.store.dir, "VERSION"), func([]byte) []byte { return []byte("hello") })
	if err := open(Options{Dir: one.store.dir, Name: "suite"}); err == nil {
		t.Error("a foreign directory: got no error")
	}
	if err := open(Options{}); err == nil {
		t.Error("no directory: got no error")
	}
	if err := open(Options{Dir: t.TempDir(), MemoryBytes: -1}); err == nil {
		t.Error("negative memory: got no error")
	}
	busy := openDir(t, filepath.Join(t.TempDir(), "busy"))
	if err := open(Options{Dir: filepath.Join(t.TempDir(), "x"), Listen: busy.Addr()}); err == nil || !strings.Contains(err.Error(), busy.Addr()) {
		t.Errorf("a busy port: got %v, want it named", err)
	}
	if addr == "" {
		t.Error("the address is empty")
	}
}

func TestOpen_KeepsItsFilesToItself(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(1, 10)
	one.save()
	for _, name := range []string{".", "positions", "schemas"} {
		info, err := os.Stat(filepath.Join(one.store.dir, name))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: got mode %v, %v, want 0700", name, info.Mode().Perm(), err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(one.store.dir, "positions", "*"))
	files = slices.Concat(files, []string{filepath.Join(one.store.dir, "ends"), filepath.Join(one.store.dir, "VERSION")})
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, %v, want 0600", f, info.Mode().Perm(), err)
		}
	}
}

func TestOpen_DamagedPositionFallsBackToTheGenerationBefore(t *testing.T) {
	one := newLog1(t)
	one.start()
	for range 4 {
		one.publish(2, 10)
		one.save()
	}
	if err := one.s.Close(); err != nil {
		t.Fatal(err)
	}
	one.kill()
	newest := one.positions.shard("a").file
	newest.path = filepath.Join(one.store.dir, "positions", filepath.Base(newest.path))
	spoil(t, newest.file(newest.generation), func(b []byte) []byte { b[30] ^= 1; return b })
	one.open()
	one.start()
	if rec := one.s.Recovered(); !rec.Found || one.s.Epoch() != 2 {
		t.Errorf("got epoch %d, %+v, want the position before", one.s.Epoch(), rec)
	}
	one.kill()
	path := one.positions.shard("a").file
	path.path = filepath.Join(one.store.dir, "positions", filepath.Base(path.path))
	for i := range uint64(2) {
		spoil(t, path.file(i), func(b []byte) []byte { b[30] ^= 1; return b })
	}
	if err := one.tryOpen(false); err == nil || !strings.Contains(err.Error(), path.file(0)) || !strings.Contains(err.Error(), "shard a") {
		t.Errorf("both damaged: got %v, want a refusal that names the files", err)
	}
}

// The broker cuts a damaged file off, and after an orderly close nobody has
// looked before it.
func TestRecovery_DamageAfterAnOrderlyCloseIsNamed(t *testing.T) {
	one := newLog1(t)
	one.start()
	for range 20 {
		one.publish(3, 100)
	}
	one.save()
	path := segmentPath(partitionDir(one.logDir, topic1, 0), one.segments()[0])
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var loss *LossError
		if err := one.tryOpen(false); !errors.As(err, &loss) || !strings.HasPrefix(loss.Path, filepath.Dir(path)) {
			t.Errorf("got %v, want a loss in %s", err, path)
		}
	}
	if err := one.tryOpen(true); err != nil {
		t.Errorf("with the loss accepted: %v", err)
	}
}

func TestOpen_DamageOfEitherTopicsFileCostsNoTopic(t *testing.T) {
	for _, n := range []string{"0", "1"} {
		one := newLog1(t)
		one.start()
		one.publish(3, 10)
		want := one.incarnation()
		dir := one.store.dir
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "topics."+n), []byte("noise"), 0o600); err != nil {
			t.Fatal(err)
		}
		one.open()
		if got := one.incarnation(); got != want {
			t.Errorf("topics.%s: got incarnation %s, want %s", n, got, want)
		}
	}
}

func TestOpen_NeedsNoFileOfTheBrokerThatHoldsNothing(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(3, 10)
	dir := one.logDir
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acls.json", "quotas.json", "sasl.json", "seq_windows.json", "broker_configs.json", "pids.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\x00noise"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one.open()
	if got, want := one.bounds().Next, int64(4); got != want {
		t.Errorf("got end %d, want %d", got, want)
	}
}
