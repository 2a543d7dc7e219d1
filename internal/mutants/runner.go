package mutants

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Verdict is what planting one mutant came to.
type Verdict int

const (
	// Killed: its test turned red, as it has to.
	Killed Verdict = iota
	// Survived: its test stays green with the bug in the product. The test, or
	// the product, needs something that it has not.
	Survived
	// Broken: the entry itself is wrong, so that nothing is known.
	Broken
)

// String returns the verdict as the table says it.
func (v Verdict) String() string { return [...]string{"killed", "SURVIVED", "ERROR"}[v] }

// Result is a mutant with its verdict.
type Result struct {
	// Mutant is the entry, Verdict what it came to.
	Mutant  Mutant
	Verdict Verdict
	// Said is the first assertion that failed, or why there is no verdict.
	Said string
	// Took is the time of both runs, building included.
	Took time.Duration
}

// Runner runs tests with and without mutants.
type Runner struct {
	// Root is the repository's top folder, Temp one for what is written.
	Root, Temp string
	// Limit is the time for the tests of one run, building not included.
	Limit time.Duration
	// After is called after each run: a test whose time ran out cleans nothing
	// up. Nil does nothing.
	After func() error
	// green holds what the tests came to without any mutant.
	green map[[2]string]string
}

// Run plants one mutant and returns what its test did. The error says that
// nothing was found out and nothing more will be: ctx ended, or the go command
// cannot be run. It serves one caller at a time.
func (r *Runner) Run(ctx context.Context, m Mutant) (Result, error) {
	start := time.Now()
	v, said, err := r.judge(ctx, m)
	return Result{Mutant: m, Verdict: v, Said: said, Took: time.Since(start)}, err
}

func (r *Runner) judge(ctx context.Context, m Mutant) (Verdict, string, error) {
	overlay, err := m.plant(r.Root, r.Temp)
	if err != nil {
		return Broken, err.Error(), nil
	}
	wrong, err := r.withoutMutant(ctx, m)
	if err != nil || wrong != "" {
		return Broken, wrong, err
	}
	got, said, err := r.test(ctx, m, "-overlay="+overlay)
	if err != nil {
		return Broken, "", err
	}
	switch {
	case got == failed && m.Panic:
		return Broken, "the entry expects a panic, and an assertion failed: " + said, nil
	case got == failed, got == panicked && m.Panic:
		return Killed, said, nil
	case got == passed:
		return Survived, m.Package + " " + m.Test + " stays green", nil
	case got == panicked:
		return Broken, "the test panicked, which the entry does not expect: " + said, nil
	}
	return Broken, fmt.Sprintf("%s %s with the mutant: %s %s", m.Package, m.Test, got, said), nil
}

// withoutMutant runs m's test on the product as it is, once for all mutants
// that have it, and returns what is wrong with that.
func (r *Runner) withoutMutant(ctx context.Context, m Mutant) (string, error) {
	key := [2]string{m.Package, m.Test}
	if wrong, known := r.green[key]; known {
		return wrong, nil
	}
	got, said, err := r.test(ctx, m)
	if err != nil {
		return "", err
	}
	wrong := ""
	if got != passed {
		wrong = fmt.Sprintf("%s %s without the mutant: %s %s", m.Package, m.Test, got, said)
	}
	if r.green == nil {
		r.green = map[[2]string]string{}
	}
	r.green[key] = wrong
	return wrong, nil
}

// test runs m's test once. go vet is left out, for a bug may look like one, and
// the result is never one of an earlier run.
func (r *Runner) test(ctx context.Context, m Mutant, flags ...string) (outcome, string, error) {
	args := append([]string{"test", "-json", "-count=1", "-vet=off", "-timeout=" + r.Limit.String(), "-run=" + m.Test}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+m.Package)...)
	cmd.Dir = r.Root
	cmd.Env = append(os.Environ(), "TMPDIR="+r.Temp)
	// What a test has started ends with it, and hears no signal of the terminal
	// before that.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return crashed, "", context.Cause(ctx)
	}
	if r.After != nil {
		if err := r.After(); err != nil {
			return crashed, "", err
		}
	}
	if len(out) == 0 {
		return crashed, "", fmt.Errorf("run go test in %s: %w: %s", r.Root, err, bytes.TrimSpace(stderr.Bytes()))
	}
	all, err := newReading(m.Test)
	if err != nil {
		return crashed, "", fmt.Errorf("read the pattern of mutant %s: %w", m.Name, err)
	}
	for line := range bytes.Lines(out) {
		all.line(line)
	}
	got, said := all.outcome()
	return got, said, nil
}
