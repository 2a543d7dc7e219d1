package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tailwater/internal/testenv"
)

func TestSortIntoSuites_EveryPackageIsInOneSuiteAndFailpointsInTwo(t *testing.T) {
	got := map[string][]string{}
	for _, s := range sortIntoSuites("tailwater/change fmt testing\n" +
		"tailwater/binlog testing tailwater/internal/testenv\n" +
		"tailwater/internal/budget go/ast\n" +
		"tailwater/internal/testenv os\n" +
		"tailwater/internal/campaign tailwater/internal/testenv\n" +
		"tailwater/internal/campaign/check fmt\n" +
		"tailwater/internal/e2e tailwater/internal/testenv\n" +
		"tailwater/internal/e2e/kill tailwater/internal/testenv\n" +
		"tailwater/internal/e2ex fmt\n" +
		"tailwater/internal/failpoint os\n\n") {
		got[s.name] = s.packages
	}
	want := map[string][]string{
		"vet and budget": {"tailwater/internal/budget"},
		"in process":     {"tailwater/change", "tailwater/internal/campaign/check", "tailwater/internal/e2ex", "tailwater/internal/failpoint"},
		"failpoints":     {"tailwater/internal/failpoint"},
		"real servers":   {"tailwater/binlog", "tailwater/internal/testenv"},
		"end to end":     {"tailwater/internal/campaign", "tailwater/internal/e2e", "tailwater/internal/e2e/kill"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestFold_ShowsFailuresSkipsAndClosingLines(t *testing.T) {
	var out bytes.Buffer
	f := newFold(&out)
	for _, line := range []string{
		`{"Action":"start","Package":"tailwater/a"}`,
		`{"Action":"run","Package":"tailwater/a","Test":"TestGood"}`,
		`{"Action":"output","Package":"tailwater/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}`,
		`{"Action":"output","Package":"tailwater/a","Test":"TestGood","Output":"chatter\n"}`,
		`{"Action":"pass","Package":"tailwater/a","Test":"TestGood"}`,
		`{"Action":"run","Package":"tailwater/a","Test":"TestBad"}`,
		`{"Action":"output","Package":"tailwater/a","Test":"TestBad","Output":"=== RUN   TestBad\n"}`,
		`{"Action":"output","Package":"tailwater/a","Test":"TestBad","Output":"    a_test.go:1: got 1, want 2\n"}`,
		`{"Action":"fail","Package":"tailwater/a","Test":"TestBad"}`,
		`{"Action":"run","Package":"tailwater/a","Test":"TestGone"}`,
		`{"Action":"output","Package":"tailwater/a","Test":"TestGone","Output":"    missing: redis\n"}`,
		`{"Action":"skip","Package":"tailwater/a","Test":"TestGone"}`,
		`{"Action":"output","Package":"tailwater/a","Output":"FAIL\ttailwater/a\t0.1s\n"}`,
		`{"Action":"fail","Package":"tailwater/a"}`,
		`{"Action":"output","Package":"tailwater/b","Output":"-test.shuffle 1\n"}`,
		`{"Action":"output","Package":"tailwater/b","Output":"PASS\n"}`,
		`{"Action":"output","Package":"tailwater/b","Output":"ok  \ttailwater/b\t0.2s\n"}`,
		`{"Action":"pass","Package":"tailwater/b"}`,
		`not JSON`,
	} {
		f.line([]byte(line + "\n"))
	}
	want := "    a_test.go:1: got 1, want 2\n    missing: redis\nFAIL\ttailwater/a\t0.1s\nok  \ttailwater/b\t0.2s\nnot JSON\n"
	if got := out.String(); got != want {
		t.Errorf("output: got %q\nwant %q", got, want)
	}
	if f.cases != 3 || f.failed != 1 || !reflect.DeepEqual(f.skipped, []string{"a.TestGone"}) {
		t.Errorf("got %d cases, %d failed, skipped %q; want 3, 1, [a.TestGone]", f.cases, f.failed, f.skipped)
	}
}

func TestFold_CrashFailsTheTestThatRan(t *testing.T) {
	var out bytes.Buffer
	f := newFold(&out)
	f.line([]byte(`{"Action":"run","Package":"p","Test":"T"}`))
	f.line([]byte(`{"Action":"output","Package":"p","Test":"T","Output":"panic: boom\n"}`))
	f.line([]byte(`{"Action":"fail","Package":"p"}`))
	if got, want := out.String(), "panic: boom\n"; got != want || f.failed != 1 {
		t.Errorf("got %q and %d failed, want %q and 1", got, f.failed, want)
	}
}

func TestFold_ShowsTheSlowestTestsFirst(t *testing.T) {
	var out bytes.Buffer
	f := newFold(io.Discard)
	for _, line := range []string{
		`{"Action":"pass","Package":"tailwater/a","Test":"TestQuick","Elapsed":14.9}`,
		`{"Action":"pass","Package":"tailwater/a","Test":"TestSlow","Elapsed":20}`,
		`{"Action":"fail","Package":"tailwater/b","Test":"TestSlower/part","Elapsed":60}`,
		`{"Action":"fail","Package":"tailwater/b","Test":"TestSlower","Elapsed":61}`,
		`{"Action":"pass","Package":"tailwater/b","Elapsed":99}`,
	} {
		f.line([]byte(line))
	}
	f.showSlow(&out)
	if got, want := out.String(), "     61 s  b.TestSlower\n     20 s  a.TestSlow\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFold_BuildErrorFailsThePackage(t *testing.T) {
	var out bytes.Buffer
	f := newFold(&out)
	f.line([]byte(`{"ImportPath":"p","Action":"build-output","Output":"p.go:1: undefined: x\n"}`))
	f.line([]byte(`{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}`))
	f.line([]byte(`{"Action":"fail","Package":"p"}`))
	if got, want := out.String(), "p.go:1: undefined: x\nFAIL\tp [build failed]\n"; got != want || f.failed != 1 {
		t.Errorf("got %q and %d failed, want %q and 1", got, f.failed, want)
	}
}

func TestSummary_Verdicts(t *testing.T) {
	good := result{suite: "in process", cases: 5}
	for _, c := range []struct {
		name string
		sum  summary
		fail bool
		last string
	}{
		{"all passed", summary{results: []result{good}}, false, "make test: passed in 1.5 minutes"},
		{"one failed", summary{results: []result{{suite: "a", cases: 5, failed: 1}}}, true, "make test: FAILED in 1.5 minutes"},
		{"a suite without cases", summary{results: []result{good, {suite: "a"}}}, true, "make test: FAILED in 1.5 minutes"},
		{"missing", summary{missing: []string{"missing: redis; way out: x"}}, true, "make test: FAILED in 1.5 minutes"},
		{"missing, allowed", summary{allowMissing: true, missing: []string{"missing: redis; way out: x"}, results: []result{good}}, false,
			"make test: passed, except what is missing, in 1.5 minutes"},
		{"too long", summary{problems: []string{errTooLong.Error()}, results: []result{good}}, true, "make test: FAILED in 1.5 minutes"},
	} {
		var out bytes.Buffer
		c.sum.print(&out, 90*time.Second)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if got := lines[len(lines)-1]; got != c.last || c.sum.failed() != c.fail {
			t.Errorf("%s: got failed %t and %q, want %t and %q", c.name, c.sum.failed(), got, c.fail, c.last)
		}
		for _, m := range c.sum.missing {
			if end := strings.Join(lines[max(0, len(lines)-4):], "\n"); !strings.Contains(end, m) {
				t.Errorf("%s: the last lines do not name %q:\n%s", c.name, m, end)
			}
		}
	}
}

func TestMissingLines_JoinsWhatAndWayOut(t *testing.T) {
	got := missingLines("tools: installing kcat\nE: no network\ntools: missing: kcat\ntools: way out: as root, run: apt-get install kcat\n")
	if want := []string{"missing: kcat; way out: as root, run: apt-get install kcat"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := missingLines("nothing said"), []string{"missing: see above"}; !reflect.DeepEqual(got, want) {
		t.Errorf("a silent script: got %q, want %q", got, want)
	}
}

func TestPrepareBy_TellsMissingFromBroken(t *testing.T) {
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var out bytes.Buffer
	got, err := prepareBy(t.Context(), &out, script("echo 'x: missing: y' >&2; exit 3"))
	if want := []string{"missing: y"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("exit 3: got %q and %v, want %q", got, err, want)
	}
	if got, err := prepareBy(t.Context(), &out, script("exit 1")); err == nil || got != nil {
		t.Errorf("exit 1: got %q and %v, want an error", got, err)
	}
	if got, err := prepareBy(t.Context(), &out, script("echo here")); err != nil || got != nil || out.String() != "here\n" {
		t.Errorf("exit 0: got %q, %v and output %q", got, err, out.String())
	}
}

func TestSuite_EndsTheProcessesOfItsTestsWhenInterrupted(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module sleeper\n\ngo 1.26\n",
		"a_test.go": `package sleeper

import ("os/exec"; "testing")

func TestSleeps(t *testing.T) {
	_ = exec.Command("sh", "-c", "echo $$ >pid.new; mv pid.new pid; exec sleep 300").Run()
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		s := &suite{name: "sleeper", packages: []string{"."}}
		ended <- s.test(ctx, io.Discard, newFold(io.Discard))
	}()
	var pid string
	testenv.Wait(t, time.Minute, "the test's own process", func() error {
		b, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid = strings.TrimSpace(string(b))
		return err
	})
	cancel(errInterrupted)
	select {
	case err := <-ended:
		if !errors.Is(err, errInterrupted) {
			t.Errorf("got %v, want %v", err, errInterrupted)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the suite goes on 30 s after it was interrupted")
	}
	testenv.Wait(t, 10*time.Second, "the end of the test's own process", func() error {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		return fmt.Errorf("process %s is still there", pid)
	})
}
