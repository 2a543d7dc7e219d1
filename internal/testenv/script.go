package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// exitMissing is the exit code by which a script of deploy/dev says that
// something is missing and that its last lines name it.
const exitMissing = 3

// Root returns the repository's top folder: the nearest folder above the
// test's that holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

var findRoot = sync.OnceValues(func() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository: no go.mod in %s or above", start)
		}
	}
})

// script runs deploy/dev/name and returns its stdout. A script that fails
// fails the test; one that says that something is missing skips it when
// ALLOW_MISSING=1.
func script(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	return scriptOn(t, nil, name, args...)
}

// scriptOn is script with something on its stdin.
func scriptOn(t testing.TB, stdin io.Reader, name string, args ...string) []byte {
	t.Helper()
	path := filepath.Join(Root(t), "deploy", "dev", name)
	cmd := exec.Command(path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	// A server that kept a pipe open would otherwise make Run wait for ever.
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitMissing {
		missing(t, lastLines(stderr.String(), 2))
	}
	t.Fatalf("run deploy/dev/%s: %v\n%s", name, err, lastLines(stderr.String(), 15))
	return nil
}

// missing ends the test: as failed, or as skipped when ALLOW_MISSING=1.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("ALLOW_MISSING") == "1" {
		t.Skipf("MISSING, SKIPPED BECAUSE ALLOW_MISSING=1:\n%s", what)
	}
	t.Fatalf("a server or tool that this test needs is missing:\n%s\n(ALLOW_MISSING=1 skips such tests)", what)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
