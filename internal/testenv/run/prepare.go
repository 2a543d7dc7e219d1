package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// exitMissing is the exit code by which a script of deploy/dev says that
// something is missing.
const exitMissing = 3

// prepare installs and unpacks what the tests need and returns, a line each,
// what is missing.
func prepare(ctx context.Context, w io.Writer) (missing []string, err error) {
	fmt.Fprintln(w, "== preparing servers and tools")
	if gap := checkCompiler(ctx); gap != "" {
		missing = append(missing, gap)
	}
	for _, script := range []string{"tools", "mysql-tree", "mariadb-tree", "mariadb-tree --series 10.11", "s3-program", "kafka-tree", "flink-read --get"} {
		command := strings.Fields("deploy/dev/" + script)
		gaps, err := prepareBy(ctx, w, command[0], command[1:]...)
		if err != nil {
			return missing, err
		}
		missing = append(missing, gaps...)
	}
	return missing, nil
}

// checkCompiler names the C compiler when it is missing: without it there is
// no race detector, and the suites are not run without that.
func checkCompiler(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "env", "CC").Output()
	if err != nil {
		return "missing: go; way out: install Go 1.26 or later and put it on the PATH"
	}
	cc, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if _, err := exec.LookPath(cc); err != nil {
		return "missing: " + cc + ", which the race detector needs; way out: apt-get install gcc libc6-dev"
	}
	return ""
}

// prepareBy runs one script. Its progress goes to w.
func prepareBy(ctx context.Context, w io.Writer, script string, args ...string) (missing []string, err error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, script, args...)
	cmd.Stdout, cmd.Stderr = w, io.MultiWriter(os.Stderr, &stderr)
	inOwnGroup(cmd)
	err = cmd.Run()
	if err == nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitMissing {
		return missingLines(stderr.String()), nil
	}
	return nil, fmt.Errorf("run %s: %w", script, err)
}

// missingLines joins each "missing:" line of a script with the "way out:" line
// that follows it.
func missingLines(stderr string) []string {
	var out []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if _, what, ok := strings.Cut(line, ": missing: "); ok {
			out = append(out, "missing: "+what)
		} else if _, way, ok := strings.Cut(line, ": way out: "); ok && len(out) > 0 {
			out[len(out)-1] += "; way out: " + way
		}
	}
	if len(out) == 0 {
		out = append(out, "missing: see above")
	}
	return out
}
