package embedded

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/stream"
	"tailwater/stream/streamtest"
)

func TestConformance(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Store {
		return &store{dir: filepath.Join(t.TempDir(), "log")}
	})
}

// Nothing is kept for consumers that follow closely: everything is fetched.
func TestConformance_WithoutTail(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Store {
		return &store{dir: filepath.Join(t.TempDir(), "log"), tail: -1}
	})
}

// store keeps a log in a directory. To kill the log, it copies the directory
// as it is and goes on with the copy: that is what the kernel keeps of a killed
// process.
type store struct {
	dir    string
	tail   int64
	mu     sync.Mutex
	faults []*kfake.FaultHandle
}

var (
	_ streamtest.Crasher  = (*store)(nil)
	_ streamtest.Faulty   = (*store)(nil)
	_ streamtest.Rollback = (*store)(nil)
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// openDir opens a log that is closed when the test ends.
func openDir(t testing.TB, dir string) *Log {
	t.Helper()
	return openWith(t, Options{Dir: dir, Name: "suite", Logger: quiet()})
}

func openWith(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (s *store) Open(t *testing.T) stream.Log {
	return openWith(t, Options{Dir: s.dir, Name: "suite", Logger: quiet(), TailBytes: s.tail})
}

func (s *store) Kill(t *testing.T, l stream.Log) {
	t.Helper()
	next := filepath.Join(t.TempDir(), "log")
	copyDir(t, s.dir, next)
	_ = l.Close() // it goes on in a directory that nobody opens again
	s.dir = next
}

func (s *store) PowerCut(t *testing.T, l stream.Log) {
	t.Helper()
	synced := make(map[string]int64)
	for _, topic := range l.(*Log).topics.all() {
		for _, p := range topic.partitions {
			synced[p.dir] = p.synced.Load()
		}
	}
	before := s.dir
	s.Kill(t, l)
	for dir, end := range synced {
		dropUnsynced(t, strings.Replace(dir, before, s.dir, 1), end)
	}
}

// dropUnsynced leaves of the first batch behind end a half, as a torn write
// does, and zeros where the file had been longer.
func dropUnsynced(t *testing.T, dir string, end int64) {
	t.Helper()
	bases, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range bases {
		path := segmentPath(dir, base)
		if base > end {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for at < len(b) {
			h, err := parseHeader(b[at:])
			if err != nil || h.next > end {
				break
			}
			at += h.size
		}
		half := at + (len(b)-at)/2
		clear(b[half:])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file that has been renamed
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *store) fault(l stream.Log, tp stream.TopicPartition, err *kerr.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, l.(*Log).cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: tp.Topic, Partitions: []int32{tp.Partition}, Err: err,
	}))
}

func (s *store) FailWrite(_ *testing.T, l stream.Log, tp stream.TopicPartition) {
	s.fault(l, tp, kerr.UnknownServerError)
}

func (s *store) LoseAnswer(_ *testing.T, l stream.Log, tp stream.TopicPartition) {
	s.fault(l, tp, kerr.RequestTimedOut) // the broker does the work all the same
}

func (s *store) Heal(*testing.T, stream.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		f.Remove()
	}
	s.faults = nil
}

func (s *store) WriteLate(t *testing.T, l stream.Log, records []stream.Record) {
	t.Helper()
	w, err := l.(*Log).newWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.write(t.Context(), records); err != nil {
		t.Logf("a late write was refused: %v", err)
	}
}

func (s *store) CopyPositions(t *testing.T) func() {
	t.Helper()
	keep := t.TempDir()
	copyDir(t, filepath.Join(s.dir, "positions"), keep)
	return func() {
		dir := filepath.Join(s.dir, "positions") // it moves when the log is killed
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		copyDir(t, keep, dir)
	}
}
