package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/stream/internal/position"
)

// The values that the tests of power cuts store one after the other.
var checkpoints = []string{"one", "number two", "three", "the fourth of them", "five"}

// cutDisk is a disk that loses its power at an operation. What is synced is
// kept; what is not may be there, or not, or in part.
type cutDisk struct {
	// left counts the operations until the power goes.
	left int
	// lies makes it answer a sync of a file, or of a directory, and do nothing.
	lies, liesOfNames bool
	// now are the files as a process sees them, durable those whose names are
	// synced; pending are the changes of names that are not.
	now, durable map[string]*cutFile
	pending      []func(names map[string]*cutFile)
}

// cutFile is the content of a file, and as much of it as is synced.
type cutFile struct {
	disk    *cutDisk
	content []byte
	synced  []byte
}

var errCut = errors.New("the power is gone")

func newCutDisk(left int) *cutDisk {
	return &cutDisk{left: left, now: map[string]*cutFile{}, durable: map[string]*cutFile{}}
}

func (d *cutDisk) step() error {
	if d.left--; d.left < 0 {
		return errCut
	}
	return nil
}

// names changes the names that a process sees at once, and those on the disk
// when their directory is synced.
func (d *cutDisk) names(change func(names map[string]*cutFile)) {
	change(d.now)
	d.pending = append(d.pending, change)
}

func (d *cutDisk) create(path string) (diskFile, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f := &cutFile{disk: d}
	d.names(func(names map[string]*cutFile) { names[path] = f })
	return f, nil
}

func (f *cutFile) Write(b []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		return 0, err
	}
	f.content = append(f.content, b...)
	return len(b), nil
}

func (f *cutFile) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	if !f.disk.lies {
		f.synced = bytes.Clone(f.content)
	}
	return nil
}

func (f *cutFile) Close() error { return nil }

func (d *cutDisk) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.names(func(names map[string]*cutFile) {
		if f := names[from]; f != nil {
			names[to] = f
			delete(names, from)
		}
	})
	return nil
}

func (d *cutDisk) syncDir(string) error {
	if err := d.step(); err != nil {
		return err
	}
	if !d.liesOfNames {
		for _, change := range d.pending {
			change(d.durable)
		}
		d.pending = nil
	}
	return nil
}

// remains calls check with each directory that a machine may find when it is
// switched on again: with as many of the changes of names as the disk got to, in
// their order, and with what is not synced of a file whole, half, as zeros, or
// gone.
func (d *cutDisk) remains(t *testing.T, check func(dir string, how string)) {
	t.Helper()
	for n := range len(d.pending) + 1 {
		names := maps.Clone(d.durable)
		for _, change := range d.pending[:n] {
			change(names)
		}
		for how, content := range map[string]func(f *cutFile) []byte{
			"whole": func(f *cutFile) []byte { return f.content },
			"half":  func(f *cutFile) []byte { return f.content[:max(len(f.synced), len(f.content)/2)] },
			"zeros": func(f *cutFile) []byte {
				return append(bytes.Clone(f.synced), make([]byte, len(f.content)-len(f.synced))...)
			},
			"gone": func(f *cutFile) []byte { return f.synced },
		} {
			dir := t.TempDir()
			for path, f := range names {
				if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), content(f), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			check(dir, fmt.Sprintf("%d of %d changes of names, unsynced bytes %s", n, len(d.pending), how))
		}
	}
}

// cutAt stores checkpoints until the power goes, and returns how many of them
// were acknowledged.
func cutAt(d *cutDisk) (acknowledged int) {
	s := &slots{kind: kindPosition, path: "value", disk: d}
	for _, v := range checkpoints {
		if s.save([]byte(v)) != nil {
			break
		}
		acknowledged++
	}
	return acknowledged
}

// losses returns what is wrong with what remains: a value that is neither the
// last one acknowledged nor the one that was being stored.
func losses(t *testing.T, d *cutDisk, acknowledged int) (wrong []string) {
	t.Helper()
	allowed := map[string]bool{}
	if acknowledged == 0 {
		allowed[""] = true
	} else {
		allowed[checkpoints[acknowledged-1]] = true
	}
	if acknowledged < len(checkpoints) {
		allowed[checkpoints[acknowledged]] = true
	}
	d.remains(t, func(dir, how string) {
		again := &slots{kind: kindPosition, path: filepath.Join(dir, "value")}
		got, _, _, err := again.load()
		// Of a first checkpoint nothing need be there, and a part of it is named.
		if err != nil && acknowledged > 0 || !allowed[string(got)] {
			wrong = append(wrong, fmt.Sprintf("%s: %q, %v after %d were acknowledged", how, got, err, acknowledged))
		}
	})
	return wrong
}

// whole is more operations than all checkpoints take.
const whole = 1000

func TestHazard_B30_APowerCutAtAnyStepKeepsWhatWasAcknowledged(t *testing.T) {
	all := newCutDisk(whole)
	if got := cutAt(all); got != len(checkpoints) {
		t.Fatalf("without a cut %d checkpoints are stored, want %d", got, len(checkpoints))
	}
	steps := whole - all.left
	if steps < 5*len(checkpoints) {
		t.Fatalf("a checkpoint is stored in %d steps, want create, write, sync, rename and sync of the directory", steps/len(checkpoints))
	}
	for step := range steps + 1 {
		d := newCutDisk(step)
		for _, w := range losses(t, d, cutAt(d)) {
			t.Errorf("cut at step %d of %d: %s", step, steps, w)
		}
	}
}

// The test above proves something only if it sees a checkpoint that is
// acknowledged before it is durable.
func TestHazard_B30_ADiskThatLiesIsSeen(t *testing.T) {
	for name, lie := range map[string]func(d *cutDisk){
		"of files":       func(d *cutDisk) { d.lies = true },
		"of directories": func(d *cutDisk) { d.liesOfNames = true },
	} {
		d := newCutDisk(whole)
		lie(d)
		if len(losses(t, d, cutAt(d))) == 0 {
			t.Errorf("a disk that lies %s loses nothing: the twin cannot show a missing sync", name)
		}
	}
}

// storedPosition returns the file that a position is stored in, its two
// generations and the directory.
func storedPosition(t *testing.T) (dir, file string, epochs [2]uint32) {
	t.Helper()
	dir = t.TempDir()
	s, err := openPositions(dir, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	sh := s.shard("00")
	for epoch := range uint32(3) {
		err := sh.swap(epoch, func(p *position.Position) *position.Position {
			p.Epoch, p.Source = epoch+1, []byte(`{"format":1}`)
			return p
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, sh.file.file(sh.file.generation), [2]uint32{2, 3}
}

func TestHazard_B30_EveryFlippedBitAndEveryCutOfACheckpointFallsBack(t *testing.T) {
	dir, file, epochs := storedPosition(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		warned := false
		s, err := openPositions(dir, func(string, ...any) { warned = true })
		if err != nil {
			// A version that is newer is no damage: what it has written is not undone.
			if !errors.Is(err, errNewer) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s: got %v, want the generation before or an error that names %s", what, err, file)
			}
			return
		}
		if got := s.shard("00").epoch(); got != epochs[0] || !warned {
			t.Errorf("%s: got epoch %d and a warning %t, want %d, of the generation before, and a warning", what, got, warned, epochs[0])
		}
	}
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d flipped", bit, i), b)
		}
		check(fmt.Sprintf("cut to %d bytes", i), good[:i])
	}
}

// The ends are written in place: of a write that the power cut short the first
// bytes may be on the disk, or the last, or some sectors.
func TestHazard_B30_ATornWriteOfTheEndsFallsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ends")
	e, _, err := openEnds(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.close() }()
	stored := func() []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var before []byte
	for end := range int64(4) {
		before = stored()
		if err := e.save(endsTopics(5, 100+end), nil); err != nil {
			t.Fatal(err)
		}
	}
	after := stored()
	torn := filepath.Join(t.TempDir(), "ends")
	check := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(torn, b, 0o600); err != nil {
			t.Fatal(err)
		}
		again, got, err := openEnds(torn)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		_ = again.close()
		for id, end := range got {
			if end != got[partitionID{7, 0}] || end != 102 && end != 103 {
				t.Errorf("%s: partition %v ends at %d, want 102 or 103 for all", what, id, end)
			}
		}
	}
	for n := range len(after) {
		if bytes.Equal(after[:n], before[:n]) || bytes.Equal(after[n:], before[n:]) {
			continue
		}
		check(fmt.Sprintf("the first %d bytes are written", n), append(bytes.Clone(after[:n]), before[n:]...))
		check(fmt.Sprintf("all but the first %d bytes are written", n), append(bytes.Clone(before[:n]), after[n:]...))
	}
}

// Everything that is read of a stored file is refused or makes sense, and the
// checksum is not what keeps a parser from a panic: what is behind it is read
// with a right one, too.
func TestHazard_B31_NoCheckpointMakesAParserPanic(t *testing.T) {
	for kind, payload := range checkpointPayloads() {
		for i := range payload {
			for v := range 256 {
				b := bytes.Clone(payload)
				b[i] = byte(v)
				readCheckpoint(t, kind, b)
			}
			readCheckpoint(t, kind, payload[:i])
			readCheckpoint(t, kind, append(bytes.Clone(payload[:i]), payload[i/2:]...))
		}
	}
}

// checkpointPayloads are one of each kind of stored file.
func checkpointPayloads() map[byte][]byte {
	p := &position.Position{Epoch: 2, Saved: true, Source: []byte(`{"format":1}`), Topics: map[string]position.Topic{
		"t": {Incarnation: "0123456789abcdef", Epoch: 2, Partitions: []position.Partition{{Next: 3, Known: true}}},
	}}
	return map[byte][]byte{
		kindPosition: p.Append(nil),
		kindTopics:   []byte(`{"pipeline":"x","next_id":2,"topics":[{"name":"t","id":1,"incarnation":"i","partitions":1,"max_record":5,"first":[0]}]}`),
		kindEnds:     []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9},
	}
}

// readCheckpoint reads a payload as it is read when a log opens.
func readCheckpoint(t *testing.T, kind byte, payload []byte) {
	t.Helper()
	generation, got, err := decodeFile(kind, encodeFile(kind, 4, payload))
	if err != nil || generation != 4 || !bytes.Equal(got, payload) {
		t.Fatalf("kind %c: got generation %d, %v, want what was encoded", kind, generation, err)
	}
	switch kind {
	case kindPosition:
		_, _ = position.Decode(got)
	case kindTopics:
		f, err := parseTopics(got)
		for _, r := range f.Topics {
			if err == nil && (r.Partitions <= 0 || len(r.First) != r.Partitions) {
				t.Errorf("%q is read as a topic with %d partitions and %d first offsets", got, r.Partitions, len(r.First))
			}
		}
	case kindEnds:
		parseEnds(got)
	}
}

func FuzzCheckpoint(f *testing.F) {
	for kind, payload := range checkpointPayloads() {
		f.Add(kind, payload)
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) { readCheckpoint(t, kind, payload) })
}
