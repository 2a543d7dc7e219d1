package binlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailwater/binlog/primary"
)

// recordedFile returns the bytes of a finished log with three transactions.
func recordedFile(t testing.TB, o primary.Options) (name string, data []byte) {
	t.Helper()
	o.Dir = t.TempDir()
	s := newSource(t, o)
	s.insert(1, 2)
	s.insert(3)
	s.Rotate()
	files, err := filepath.Glob(filepath.Join(o.Dir, "*.000001"))
	if err != nil || len(files) != 1 {
		t.Fatalf("finished files %q, %v, want one", files, err)
	}
	if data, err = os.ReadFile(files[0]); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(files[0]), data
}

// cut reads a few bytes at a time.
type cut struct{ r io.Reader }

func (c cut) Read(b []byte) (int, error) { return c.r.Read(b[:min(7, len(b))]) }

func TestReplay_SaysWhatAReaderSays(t *testing.T) {
	for name, o := range map[string]primary.Options{
		"plain": {}, "compressed": {Compress: true}, "without checksums": {NoChecksum: true},
	} {
		t.Run(name, func(t *testing.T) {
			file, data := recordedFile(t, o)
			j := newJournal()
			if err := Replay(t.Context(), cut{bytes.NewReader(data)}, file, Options{}, j); err != nil {
				t.Fatal(err)
			}
			want := []string{"c d.t#1 [1,\"x\"]", "c d.t#2 [2,\"x\"]", "c d.t#1 [3,\"x\"]"}
			if !slices.Equal(j.rows, want) || j.problem != "" {
				t.Errorf("rows %q, problem %q, want %q", j.rows, j.problem, want)
			}
			last := j.transactions[len(j.transactions)-1]
			if last.Number != 3 || last.File != file || !strings.HasSuffix(last.ID, ":3") || last.CommitMicros == 0 {
				t.Errorf("last transaction %+v, want number 3 in %s", last, file)
			}
			p, err := ParsePosition(j.position)
			if err != nil || p.File != file || p.Pos <= last.Pos || p.GTID == nil {
				t.Errorf("position %s, %v, want one behind %s:%d with a set", j.position, err, file, last.Pos)
			}
		})
	}
}

func TestReplay_AFileCutAnywhereIsNoWholeOne(t *testing.T) {
	file, data := recordedFile(t, primary.Options{})
	whole := newJournal()
	if err := Replay(t.Context(), bytes.NewReader(data), file, Options{}, whole); err != nil {
		t.Fatal(err)
	}
	fine := 0
	for n := range data {
		j := newJournal()
		err := Replay(t.Context(), bytes.NewReader(data[:n]), file, Options{}, j)
		if err == nil {
			// Between two transactions a file may end, as that of a server does.
			fine++
			if j.open != nil || len(j.pending) > 0 {
				t.Errorf("the first %d bytes: no error inside a transaction", n)
			}
		}
		if len(j.rows) > len(whole.rows) || !slices.Equal(j.rows, whole.rows[:len(j.rows)]) {
			t.Errorf("the first %d bytes: rows %q", n, j.rows)
		}
	}
	if fine == 0 || fine > 10 {
		t.Errorf("%d of %d cuts pass, want those between transactions", fine, len(data))
	}
}

func TestReplay_RefusesWhatIsDamaged(t *testing.T) {
	file, data := recordedFile(t, primary.Options{})
	flipped := bytes.Clone(data)
	flipped[len(flipped)-10] ^= 1
	size := bytes.Clone(data)
	copy(size[4+9:], []byte{0xff, 0xff, 0xff, 0x3f})
	tiny := bytes.Clone(data)
	copy(tiny[4+9:], []byte{1, 0, 0, 0})
	for _, test := range []struct {
		name, file string
		data       []byte
		options    Options
		want       string
	}{
		{"no file", file, nil, Options{}, "magic number"},
		{"another file", file, []byte("PAR1 and more"), Options{}, "magic number"},
		{"a file without a number", "binlog", data, Options{}, "not the name"},
		{"a flipped bit", file, flipped, Options{}, "checksum"},
		{"an event longer than the file", file, size, Options{}, "ends inside an event"},
		{"an event shorter than its header", file, tiny, Options{}, "has 1 bytes"},
		{"an event above the bound", file, data, Options{MaxEvent: 64}, "larger than the bound of 64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Replay(t.Context(), bytes.NewReader(test.data), test.file, test.options, newJournal())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestReplay_EndsWithItsContextAndItsHandler(t *testing.T) {
	file, data := recordedFile(t, primary.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	j := newJournal()
	j.onRow = func(string) error { cancel(over); return nil }
	if err := Replay(ctx, bytes.NewReader(data), file, Options{}, j); !errors.Is(err, over) {
		t.Errorf("got %v, want the context's cause", err)
	}
	j = newJournal()
	j.onRow = func(string) error { return over }
	var handler *HandlerError
	if err := Replay(t.Context(), bytes.NewReader(data), file, Options{}, j); !errors.As(err, &handler) {
		t.Errorf("got %v, want the handler's error", err)
	}
}
