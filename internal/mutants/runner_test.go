package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fixture is a small module with tests of every kind, in a folder of its own.
func fixture(t *testing.T) *Runner {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module fixture\n\ngo 1.26\n",
		"p/p.go": "package p\n\nfunc Two() int {\n\treturn 2\n}\n\nfunc Loop() bool {\n\treturn false\n}\n",
		"p/p_test.go": `package p

import "testing"

func TestTwo(t *testing.T) {
	t.Run("sub test", func(t *testing.T) {
		if got := Two(); got != 2 {
			t.Errorf("got %d, want 2", got)
		}
	})
}

func TestSetUp(t *testing.T) {
	if Two() != 2 {
		t.Fatal("the helper fails")
	}
	t.Run("sub test", func(t *testing.T) {})
}

func TestBlind(t *testing.T) { Two() }

func TestRed(t *testing.T) { t.Error("always") }

func TestLeftOut(t *testing.T) { t.SkipNow() }

func TestLoop(t *testing.T) {
	for Loop() {
	}
}
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	return &Runner{Root: dir, Temp: t.TempDir(), Limit: time.Minute}
}

// entry parses one entry on p/p.go.
func entry(t *testing.T, test, hunk string) Mutant {
	t.Helper()
	var p entries
	p.file("list", "mutant: some-bug\nstands for: the test\nfile: p/p.go\ntest: p "+test+"\nneeds: none\n"+hunk)
	if err := p.err(); err != nil {
		t.Fatal(err)
	}
	return p.list.Mutants[0]
}

func TestRunner_TellsKilledFromEverythingElse(t *testing.T) {
	const three, none, dies = "-\treturn 2\n+\treturn 3\n", "-\treturn 2\n+\treturn x\n", "-\treturn 2\n+\tpanic(\"boom\")\n"
	r := fixture(t) // one for all, which runs a test without mutants once
	for _, c := range []struct {
		name, test, hunk string
		want             Verdict
		said             string
	}{
		{"killed", "TestTwo/sub_test", three, Killed, "p_test.go:8: got 3, want 2"},
		{"survivor", "TestBlind", three, Survived, "p TestBlind stays green"},
		{"no build", "TestTwo", none, Broken, "does not build"},
		{"old text that is not there", "TestTwo", "-\treturn 7\n+\treturn 8\n", Broken, `from "\treturn 7" on is not in p/p.go`},
		{"old text inside a line", "TestTwo", "-return 2\n+return 3\n", Broken, "is not in p/p.go"},
		{"red without it", "TestRed", three, Broken, "p TestRed without the mutant: failed"},
		{"no test", "TestNobody", three, Broken, "chooses no test"},
		{"left out", "TestLeftOut", three, Broken, "was skipped"},
		{"panic", "TestTwo", dies, Broken, "the test panicked, which the entry does not expect: panic: boom"},
		{"panic that is expected", "TestTwo", "ends: panic\n" + dies, Killed, "panic: boom"},
		{"assertion where a panic is expected", "TestTwo", "ends: panic\n" + three, Broken, "expects a panic, and an assertion failed"},
		{"exit", "TestTwo", "-package p\n+package p\n+\n+import \"os\"\n@@\n-\treturn 2\n+\tos.Exit(3)\n+\treturn 2\n", Broken, "crashed"},
		{"failure in front of the test", "TestSetUp/sub_test", three, Broken, "failed before the chosen test p_test.go:15: the helper fails"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := r.Run(t.Context(), entry(t, c.test, c.hunk))
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != c.want || !strings.Contains(got.Said, c.said) {
				t.Errorf("got %s: %s, want %s: %s", got.Verdict, got.Said, c.want, c.said)
			}
		})
	}
}

func TestRunner_ATimeOutIsNoVerdict(t *testing.T) {
	r := fixture(t)
	r.Limit = time.Second
	ended := 0
	r.After = func() error { ended++; return nil }
	got, err := r.Run(t.Context(), entry(t, "TestLoop", "-\treturn false\n+\treturn true\n"))
	if err != nil || got.Verdict != Broken || !strings.Contains(got.Said, "timed out") || ended != 2 {
		t.Errorf("got %s: %s, %v after %d runs; want an error that says timed out, after 2", got.Verdict, got.Said, err, ended)
	}
}

func TestRunner_EndsWithItsContext(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := fixture(t).Run(ctx, entry(t, "TestTwo", "-\treturn 2\n+\treturn 3\n")); !errors.Is(err, gone) {
		t.Errorf("got %v, want the cause", err)
	}
}

// A few of the repository's own, so that what is true of the fixture is true here.
func TestRunner_KillsMutantsOfThisRepository(t *testing.T) {
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	sample := []string{"dedupe-accepts-the-mark", "missing-numbers-pass"}
	r := &Runner{Root: top, Temp: t.TempDir(), Limit: time.Minute}
	for _, m := range read(t).Mutants {
		at := slices.Index(sample, m.Name)
		if at < 0 {
			continue
		}
		sample = slices.Delete(sample, at, at+1)
		if got, err := r.Run(t.Context(), m); err != nil || got.Verdict != Killed {
			t.Errorf("%s: %s: %s, %v", m.Name, got.Verdict, got.Said, err)
		}
	}
	if len(sample) > 0 {
		t.Errorf("not in the list: %s", sample)
	}
}

func TestRead_NamesEveryMistakeOfTheList(t *testing.T) {
	var p entries
	p.file("l.txt", `# a comment
mutant: one
needs: none
test: p [
-a
+a

mutant: good-one
stands for: A1
file: f
test: p T
needs: oracle
ends: well
colour: red
-a
file: g

mutant: good-one
stands for: A1
file: f
test: p T
needs: none
+a

without: A2
mutant: x-y
`)
	err := p.err()
	for _, want := range []string{
		`l.txt:2: mutant "one": a name is two or more words`, `l.txt:2: mutant one has no field "stands for"`, `l.txt:2: mutant one has no field "file"`,
		"l.txt:2: mutant one: error parsing regexp", "l.txt:2: mutant one changes nothing",
		`l.txt:8: mutant good-one needs "oracle", want one of none, mysql`, `l.txt:8: mutant good-one ends by "well"`, `l.txt:8: "colour" is no field`,
		`l.txt:8: "file: g" is no field of its own in front of the hunks`,
		"l.txt:18: mutant good-one stands at l.txt:8 already", "l.txt:18: mutant good-one changes nothing",
		"l.txt:25: what is without a mutant has a reason and nothing else",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant it to say %s", err, want)
		}
	}
}

func TestReport_SaysWhatToDoAndCounts(t *testing.T) {
	m := Mutant{Name: "some-bug", At: "l.txt:3", For: "A1: a row is lost"}
	r := Report{Took: 1500 * time.Millisecond, Results: []Result{
		{m, Killed, "p_test.go:1: got 1", time.Second}, {m, Survived, "p T stays green", 0}, {m, Broken, "does not build", 0},
	}}
	var table, sum bytes.Buffer
	r.Results[0].WriteLine(&table)
	r.WriteSummary(&table)
	for _, want := range []string{"killed      1s  some-bug", "survived: some-bug (l.txt:3): A1: a row is lost", "error: some-bug (l.txt:3): does not build",
		"way out: ", "3 mutants: 1 killed, 1 survived, 1 errors"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("got\n%swant it to say %s", table.String(), want)
		}
	}
	if err := r.WriteJSON(&sum); err != nil {
		t.Fatal(err)
	}
	var got map[string]float64
	if err := json.Unmarshal(sum.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]float64{"mutants": 3, "killed": 1, "survived": 1, "errors": 1, "seconds": 1.5} {
		if got[key] != want {
			t.Errorf("%s is %v in %s, want %v", key, got[key], sum.String(), want)
		}
	}
}
