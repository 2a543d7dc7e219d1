package e2e

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/status"
)

// damages are what a disk, a person or another program may do to a file.
var damages = []struct {
	name string
	do   func(path string) error
}{
	{"emptied", func(path string) error { return os.Truncate(path, 0) }},
	{"noise", func(path string) error {
		b := make([]byte, 1000)
		for i, rng := 0, rand.New(rand.NewPCG(5, 5)); i < len(b); i++ {
			b[i] = byte(rng.IntN(256))
		}
		return os.WriteFile(path, b, 0o600)
	}},
	{"flipped", func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return err
		}
		b[len(b)/2] ^= 0x55
		return os.WriteFile(path, b, 0o600)
	}},
	{"gone", os.Remove},
}

// brokerDir is where the embedded stream's broker has its files.
const brokerDir = "state/stream/log"

// oneOf returns the largest file of a glob pattern below dir, relative to dir.
func oneOf(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file %s in %s: %v", pattern, dir, err)
	}
	best, size := "", int64(-1)
	for _, n := range names {
		if st, err := os.Stat(n); err == nil && st.Size() > size {
			best, size = n, st.Size()
		}
	}
	rel, err := filepath.Rel(dir, best)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// outcome says what became of a run on damaged files, and what it said.
func (r *rig) outcome(p *program) (what, said string) {
	r.t.Helper()
	l := p.start()
	deadline := time.Now().Add(60 * time.Second)
	var s *status.Snapshot
	for time.Now().Before(deadline) {
		select {
		case <-l.done:
			return fmt.Sprintf("exit %d", l.wait(time.Second)), l.text()
		case <-time.After(100 * time.Millisecond):
		}
		if _, err := l.runFile(); err != nil {
			continue
		}
		var err error
		if s, err = l.status(); err != nil {
			continue
		}
		if why := faultsOf(s); why != "" {
			l.kill()
			return "named", why
		}
		done := len(s.Shards) > 0
		for i := range s.Shards {
			done = done && s.Shards[i].State == status.Streaming && s.Shards[i].LastSaved.After(l.started)
		}
		if done {
			break
		}
	}
	code, stdout, stderr := tailwater(r.t, 2*time.Minute, "verify", "-o", "json", p.config)
	if code == 0 {
		l.drain()
		return "recovered", l.text()
	}
	l.kill()
	return fmt.Sprintf("verify %d", code), stdout + stderr
}

// faultsOf are the errors of a snapshot.
func faultsOf(s *status.Snapshot) string {
	var out []string
	for i := range s.Shards {
		if s.Shards[i].State == status.Stopped {
			out = append(out, s.Shards[i].Error)
		}
	}
	for i := range s.Metrics {
		out = append(out, s.Metrics[i].Error)
	}
	for i := range s.Lake {
		out = append(out, s.Lake[i].Error)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

// Every file that the program reads at its start, damaged in every way while it
// is stopped: it goes on without losing a row, or says which file it is.
func TestRun_ADamagedFileIsNamedOrCostsNothing(t *testing.T) {
	r := newRig(t, rigOptions{shards: 2, shop: shop.Options{Seed: 3, Rate: 400, HistoryTxs: 40}})
	l := r.program.start()
	r.goLive()
	r.grown(600)
	l.caughtUp(time.Minute, r.byID())
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
	files := []string{
		"state/VERSION", "state/api-token", "state/lock", "state/stream/VERSION", "state/stream/ends", "state/stream/CLEAN",
		oneOf(t, r.dir, "state/stream/topics.*"), oneOf(t, r.dir, "state/stream/positions/s-00.*"), oneOf(t, r.dir, "state/stream/schemas/v-orders/*"),
		oneOf(t, r.dir, "state/stream/log/partitions/*orders*/*.dat"), oneOf(t, r.dir, "state/stream/log/partitions/*orders*/*.idx"),
		oneOf(t, r.dir, "state/stream/log/partitions/*orders*/snapshot.json"),
		oneOf(t, r.dir, "lake/_tailwater/orders/schema/*"), oneOf(t, r.dir, "lake/_tailwater/orders/default/*/*/*.json"),
		oneOf(t, r.dir, "lake/_tailwater/orders/default/*/*/*.done"), oneOf(t, r.dir, "lake/orders/*/*/*.parquet"),
	}
	_ = filepath.WalkDir(filepath.Join(r.dir, brokerDir), func(path string, d fs.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(r.dir, path); err == nil && rerr == nil && !d.IsDir() && !strings.Contains(rel, "/partitions/") {
			files = append(files, rel)
		}
		return nil
	})
	n := 0
	for _, file := range files {
		for _, d := range damages {
			if ours := !strings.HasPrefix(file, brokerDir) || strings.Contains(file, "/partitions/"); !ours && d.name != "noise" {
				continue
			}
			n++
			t.Run(filepath.Base(file)+" "+d.name, func(t *testing.T) {
				dir := workDir(t)
				for _, part := range []string{"state", "lake"} {
					if out, err := exec.Command("cp", "-a", filepath.Join(r.dir, part), dir).CombinedOutput(); err != nil {
						t.Fatalf("copy %s: %v\n%s", part, err, out)
					}
				}
				text := strings.Replace(r.config(), "type: redis,", fmt.Sprintf("type: redis, prefix: \"damage-%d:\",", n), 1)
				p := newProgram(t, dir, text)
				if err := d.do(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				what, said := (&rig{t: t}).outcome(p)
				lines := strings.Split(strings.TrimSpace(said), "\n")
				t.Logf("%s: %s", what, lines[len(lines)-1])
				judge(t, file, what, said)
			})
		}
	}
}

// judge wants an end that a person can act on.
func judge(t *testing.T, file, what, said string) {
	t.Helper()
	if strings.Contains(said, "goroutine ") {
		t.Errorf("it panicked:\n%s", said)
	}
	if what == "recovered" {
		return
	}
	name := filepath.Base(file)
	switch {
	case strings.HasPrefix(what, "verify 4"):
		name = `"differences"` // each with what it is about
	case strings.Contains(file, "/partitions/"):
		name = filepath.Base(filepath.Dir(file))
	case strings.HasPrefix(file, brokerDir):
		name = brokerDir
	}
	if !strings.Contains(said, name) {
		t.Errorf("%s, and nothing names %s:\n%s", what, file, said)
	}
	told := 0
	for _, line := range strings.Split(strings.TrimSpace(said), "\n") {
		if !strings.HasPrefix(line, "{") { // the others are the log's
			told++
		}
	}
	if strings.HasPrefix(what, "exit") && told != 1 {
		t.Errorf("got %d lines besides the log's, want one:\n%s", told, said)
	}
	if strings.HasPrefix(what, "exit") && what != "exit 1" && what != "exit 3" {
		t.Errorf("got %s, want 1 or 3", what)
	}
}
