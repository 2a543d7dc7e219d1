package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	module     = "tailwater"
	testenvPkg = module + "/internal/testenv"
	budgetPkg  = module + "/internal/budget"
	endToEnd   = module + "/internal/e2e"
	campaign   = module + "/internal/campaign"
	// failpointPkg is tested twice: as the product has it, and with its tag.
	failpointPkg = module + "/internal/failpoint"
)

// suite is a part of the repository's tests.
type suite struct {
	name string
	// vet runs go vet over everything first.
	vet bool
	// flags are those of go test, beside -json.
	flags    []string
	packages []string
}

// findSuites puts every package that has tests into exactly one suite.
func findSuites(ctx context.Context) ([]*suite, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-f",
		`{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}{{end}}`, "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("list packages: %w\n%s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("list packages: %w", err)
	}
	return sortIntoSuites(string(out)), nil
}

// sortIntoSuites takes lines of a package's path and what its tests import.
func sortIntoSuites(list string) []*suite {
	race := []string{"-race", "-shuffle=on", "-timeout=15m"}
	budget := &suite{name: "vet and budget", vet: true}
	inProcess := &suite{name: "in process", flags: race}
	servers := &suite{name: "real servers", flags: race}
	// The race detector would slow down what is measured here, and what runs
	// here is mostly the program itself, in processes of its own.
	whole := &suite{name: "end to end", flags: []string{"-shuffle=on", "-p=1", "-timeout=35m"}}
	var failpoints []string
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		path, s := words[0], inProcess
		if path == failpointPkg {
			failpoints = append(failpoints, path)
		}
		switch {
		case path == budgetPkg:
			s = budget
		case path == campaign || path == endToEnd || strings.HasPrefix(path, endToEnd+"/"):
			s = whole
		case path == testenvPkg || slices.Contains(words[1:], testenvPkg):
			s = servers
		}
		s.packages = append(s.packages, path)
	}
	// What a build with the tag can do is in one package; that the rest of it
	// works is for the tests that disturb it.
	tagged := &suite{name: "failpoints", flags: []string{"-race", "-tags=failpoints", "-timeout=5m"}, packages: failpoints}
	return []*suite{budget, inProcess, tagged, servers, whole}
}

// result is what a suite came to.
type result struct {
	suite   string
	cases   int
	failed  int
	skipped []string
	took    time.Duration
}

// run runs the suite and writes failures and go test's closing lines to w. The
// error says why it did not run to its end, not that a test failed.
func (s *suite) run(ctx context.Context, w io.Writer) (result, error) {
	fmt.Fprintf(w, "== %s (%d packages)\n", s.name, len(s.packages))
	start := time.Now()
	f := newFold(w)
	var err error
	if s.vet {
		err = vet(ctx, w, f)
	}
	if err == nil && len(s.packages) > 0 {
		err = s.test(ctx, w, f)
	}
	f.showSlow(w)
	return result{suite: s.name, cases: f.cases, failed: f.failed, skipped: f.skipped, took: time.Since(start)}, err
}

func vet(ctx context.Context, w io.Writer, f *fold) error {
	cmd := exec.CommandContext(ctx, "go", "vet", "./...")
	cmd.Stdout, cmd.Stderr = w, w
	inOwnGroup(cmd)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f.failed++
		fmt.Fprintf(w, "FAIL\tgo vet ./...: %v\n", err)
	}
	return nil
}

func (s *suite) test(ctx context.Context, w io.Writer, f *fold) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"test", "-json"}, s.flags...), s.packages...)...)
	cmd.Stderr = os.Stderr
	inOwnGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		for r := bufio.NewReaderSize(out, 1<<16); ; {
			line, err := r.ReadBytes('\n')
			if len(line) > 0 {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	start := time.Now()
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for more := true; more; {
		var line []byte
		select {
		case line, more = <-lines:
			if more {
				f.line(line)
			}
		case <-tick.C:
			fmt.Fprintf(w, "   %s: %d cases begun in %.0f minutes\n", s.name, f.cases, time.Since(start).Minutes())
		}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && f.failed == 0 {
		f.failed++
		fmt.Fprintf(w, "FAIL\tgo test: %v\n", err)
	}
	return nil
}

// inOwnGroup makes the end of cmd's context end all the processes that it has
// started, and no signal of the terminal before that.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
}

// event is a line of go test -json (go doc cmd/test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	// Elapsed is in seconds, of a test or package that has ended.
	Elapsed float64
}

// fold turns the events of go test into counts, and lets through what a reader
// wants to see: the output of tests that failed or were skipped, and go test's
// own closing line of every package.
type fold struct {
	w       io.Writer
	cases   int
	failed  int
	skipped []string
	// output holds what a running test, or with an empty name its package, has
	// written.
	output map[testName][]string
	// slow are the tests that took long, for who wants to shorten the whole.
	slow []slowTest
}

// slowTest is a test of slowSeconds or more.
type slowTest struct {
	seconds float64
	test    string
}

const (
	slowSeconds = 15
	slowShown   = 12
)

type testName struct{ pkg, test string }

func newFold(w io.Writer) *fold { return &fold{w: w, output: map[testName][]string{}} }

func (f *fold) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
		fmt.Fprintf(f.w, "%s\n", strings.TrimRight(string(line), "\n"))
		return
	}
	name := testName{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		io.WriteString(f.w, e.Output)
	case "run":
		f.cases++
	case "output":
		f.output[name] = append(f.output[name], e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			f.endPackage(name, e.Action)
		} else {
			f.endTest(name, e.Action)
			if e.Elapsed >= slowSeconds && !strings.Contains(e.Test, "/") {
				f.slow = append(f.slow, slowTest{e.Elapsed, strings.TrimPrefix(e.Package, module+"/") + "." + e.Test})
			}
		}
	}
}

// showSlow lists the slowest tests, the slowest first.
func (f *fold) showSlow(w io.Writer) {
	slices.SortStableFunc(f.slow, func(a, b slowTest) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, t := range f.slow[:min(len(f.slow), slowShown)] {
		fmt.Fprintf(w, "   %4.0f s  %s\n", t.seconds, t.test)
	}
}

func (f *fold) endTest(name testName, action string) {
	switch action {
	case "fail":
		f.failed++
	case "skip":
		f.skipped = append(f.skipped, strings.TrimPrefix(name.pkg, module+"/")+"."+name.test)
	}
	if action != "pass" {
		f.show(name)
	}
	delete(f.output, name)
}

func (f *fold) endPackage(name testName, action string) {
	if action == "fail" {
		// Tests that a crash cut short have had no end of their own.
		for running := range f.output {
			if running.pkg == name.pkg && running.test != "" {
				f.endTest(running, "fail")
			}
		}
		if f.failed == 0 {
			f.failed++
		}
		f.show(name)
	} else {
		for _, line := range f.output[name] {
			if strings.HasPrefix(line, "ok ") {
				io.WriteString(f.w, line)
			}
		}
	}
	delete(f.output, name)
}

func (f *fold) show(name testName) {
	for _, line := range f.output[name] {
		if !strings.HasPrefix(line, "=== ") {
			io.WriteString(f.w, line)
		}
	}
}
