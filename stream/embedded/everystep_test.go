package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/stream/streamtest"
)

// everyStep is one run of a script that does everything that writes files: a
// log is made, a topic, a schema, sessions, publishes, positions, and all of it
// is closed and opened again.
type everyStep struct {
	*testing.T
	dir string
	src *streamtest.Source
	log *Log
	r   *streamtest.Reader
}

func newEveryStep(t *testing.T) *everyStep {
	t.Helper()
	return &everyStep{T: t, dir: filepath.Join(t.TempDir(), "log"), src: streamtest.RandomSource(rand.New(rand.NewPCG(4, 4)), 16)}
}

// open opens the log with its topic, or closes and opens it.
func (e *everyStep) open() error {
	if err := e.closeLog(); err != nil {
		return err
	}
	l, err := Open(Options{Dir: e.dir, Name: "suite", Logger: quiet()})
	if err != nil {
		return err
	}
	e.log = l
	_, err = l.EnsureTopic(e.Context(), stream.TopicSpec{Name: streamtest.Topic, Partitions: streamtest.Partitions})
	return err
}

func (e *everyStep) start() (err error) {
	e.r, err = streamtest.OpenReader(e.Context(), e.log, e.src, 0)
	return err
}

func (e *everyStep) closeLog() error {
	if e.log == nil {
		return nil
	}
	l := e.log
	e.log, e.r = nil, nil
	return l.Close()
}

// again does what a process and its supervisor do after an error, until the
// shard is open: the session anew, and then the whole log.
func (e *everyStep) again() error {
	if e.log != nil && e.start() == nil {
		return nil
	}
	_ = e.closeLog()
	if err := e.open(); err != nil {
		return err
	}
	return e.start()
}

// script is the steps. Each may be taken again behind again.
func (e *everyStep) script() []func() error {
	schema := change.Schema{View: "rows", Key: []string{"id"}, Columns: []change.Column{{Name: "id", Type: change.Int, Bits: 64}}}
	publish := func(n int, split bool) func() error {
		return func() error { return e.r.Publish(e.Context(), n, split) }
	}
	save := func() error { return e.r.Save(e.Context()) }
	return []func() error{
		e.open,
		func() error { return e.log.PutSchema(e.Context(), schema) },
		e.start,
		publish(2, false), save, publish(2, true), save,
		func() error { return e.r.Session.Close() },
		e.start,
		publish(3, false), save,
		func() error { _, err := e.log.Trim(e.Context(), nil); return err },
		e.closeLog, e.open, e.start,
		publish(2, false), save,
		e.closeLog,
	}
}

// finish publishes what is left, opens everything once more, and checks that
// consumers find each row of the source once.
func (e *everyStep) finish() {
	e.Helper()
	err := e.again()
	for err == nil && e.r.Left() {
		err = e.r.Publish(e.Context(), 3, false)
	}
	if err == nil {
		err = errors.Join(e.r.Save(e.Context()), e.closeLog(), e.open())
	}
	if err != nil {
		e.Errorf("when all is well again: %v", err)
		return
	}
	for _, wrong := range streamtest.Fold(e.src, readAll(e.T, e.log, streamtest.Topic)) {
		e.Error(wrong)
	}
	if err := e.closeLog(); err != nil {
		e.Error(err)
	}
}

// inFile is what tells that a file was written.
type inFile struct {
	inode uint64
	size  int64
	at    time.Time
}

// files are those below the directory, by their names relative to it.
func (e *everyStep) files() map[string]inFile {
	e.Helper()
	out := make(map[string]inFile)
	err := filepath.WalkDir(e.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			out[strings.TrimPrefix(path, e.dir+"/")] = inFile{info.Sys().(*syscall.Stat_t).Ino, info.Size(), info.ModTime()}
		}
		return err
	})
	if err != nil {
		e.Fatal(err)
	}
	return out
}

// place is a file that a step makes.
type place struct {
	step int
	file string
}

// places are the files that the script makes, with the step: under their names,
// or under others from which they are renamed.
func (e *everyStep) places() (out []place) {
	e.Helper()
	before := map[string]inFile{}
	for i, step := range e.script() {
		if err := step(); err != nil {
			e.Fatalf("step %d: %v", i, err)
		}
		now := e.files()
		for _, f := range slices.Sorted(maps.Keys(now)) {
			was, there := before[f]
			if !there {
				out = append(out, place{i, f})
			}
			if was.inode != now[f].inode && !strings.HasSuffix(f, ".dat") {
				out = append(out, place{i, f + tempSuffix})
			}
		}
		before = now
	}
	e.finish()
	return out
}

// One file of the log cannot be made at one step, for every file and every step
// that makes it: what was acknowledged stays, the error names the place, and once
// it can be made each row is there once.
func TestHazard_B30_AFileThatCannotBeMadeAtEveryStep(t *testing.T) {
	var struck atomic.Int32
	t.Run("each", func(t *testing.T) {
		for _, p := range newEveryStep(t).places() {
			t.Run(fmt.Sprintf("step %d, %s", p.step, strings.ReplaceAll(p.file, "/", "|")), func(t *testing.T) {
				t.Parallel()
				if newEveryStep(t).blocked(p) {
					struck.Add(1)
				}
			})
		}
	})
	if n := struck.Load(); n < 15 {
		t.Errorf("a file could not be made %d times, want 15 at least", n)
	}
}

// blocked runs the script with a directory where a step shall make a file, and
// reports whether that was met.
func (e *everyStep) blocked(p place) (met bool) {
	e.Helper()
	path := filepath.Join(e.dir, p.file)
	for i, step := range e.script() {
		planted := i == p.step && os.MkdirAll(filepath.Dir(path), 0o700) == nil && os.Mkdir(path, 0o700) == nil
		err := step()
		if planted {
			_ = os.Remove(path) // it may be gone already
		}
		if err == nil {
			continue
		}
		if !planted {
			e.Errorf("step %d: %v", i, err)
			return met
		}
		met = true
		if !strings.Contains(err.Error(), filepath.Dir(path)) && !errors.Is(err, stream.ErrSessionEnded) {
			e.Errorf("step %d: got %v, want the place named", i, err)
		}
		if err := e.again(); err != nil {
			e.Errorf("step %d again: %v", i, err)
			return met
		}
	}
	e.finish()
	return met
}

// everyByte is the environment variable with which every byte is damaged in
// place of one in a prime number.
const everyByte = "TAILWATER_TEST_EVERY_BYTE"

// A file of a log whose process was killed is cut off or damaged at any byte:
// the log is whole all the same, or its opening says which file it is, or its
// offsets begin to mean something else and say so. Nothing that was acknowledged
// is missing in silence.
func TestHazard_B30_EveryFileCutOffAndDamagedAtAnyByte(t *testing.T) {
	e := newEveryStep(t)
	steps := e.script()
	for i, step := range steps[:11] {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	topic, err := e.log.EnsureTopic(t.Context(), stream.TopicSpec{Name: streamtest.Topic})
	if err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "killed")
	copyDir(t, e.dir, killed)
	if err := e.closeLog(); err != nil {
		t.Fatal(err)
	}
	stride := 251
	if os.Getenv(everyByte) != "" {
		stride = 1
	}
	outcome, root := map[string]int{}, t.TempDir()
	for n, f := range slices.Sorted(maps.Keys(e.files())) {
		b, err := os.ReadFile(filepath.Join(killed, f))
		if err != nil {
			continue // it was made when the log was closed
		}
		for at := n % min(stride, len(b)+1); at < len(b); at += stride {
			for _, cut := range []bool{true, false} {
				damaged := append([]byte(nil), b...)
				if damaged[at] ^= 0x41; cut {
					damaged = damaged[:at]
				}
				d := &everyStep{T: t, dir: filepath.Join(root, "log"), src: e.src}
				copyDir(t, killed, d.dir)
				if err := os.WriteFile(filepath.Join(d.dir, f), damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				outcome[d.afterDamage(f, topic.Incarnation)]++
				if err := os.RemoveAll(d.dir); err != nil {
					t.Fatal(err)
				}
				if t.Failed() {
					t.Fatalf("file %s of %d bytes, at byte %d, cut off: %t", f, len(b), at, cut)
				}
			}
		}
	}
	t.Log(outcome)
}

// afterDamage opens a log one of whose files is damaged, and says what came of it.
func (e *everyStep) afterDamage(file, incarnation string) string {
	e.Helper()
	defer func() { _ = e.closeLog() }()
	named := func(err error) string {
		if text := err.Error(); !strings.Contains(text, filepath.Base(file)) && !strings.Contains(text, filepath.Base(filepath.Dir(file))) && !strings.Contains(text, "shard "+streamtest.Shard) {
			e.Errorf("got %v, want the file, its folder or the shard named", err)
		}
		return "refused by name"
	}
	if err := e.open(); err != nil {
		return named(err)
	}
	topic, err := e.log.EnsureTopic(e.Context(), stream.TopicSpec{Name: streamtest.Topic})
	if err != nil {
		return named(err)
	}
	if topic.Incarnation != incarnation {
		return "another incarnation"
	}
	if err := e.start(); err != nil {
		return named(err)
	}
	e.finish()
	return "whole"
}
