package campaign

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
)

// Host stands in for a test outside of `go test`, so that package testenv
// starts servers for a program too.
type Host struct {
	testing.TB // never called: what a campaign and testenv use is below

	out    io.Writer
	ctx    context.Context
	mu     sync.Mutex
	failed bool
	ends   []func()
}

// RunHost calls do with a Host that writes to out, then what do has left to be
// cleaned up, and reports whether nothing failed.
func RunHost(ctx context.Context, out io.Writer, do func(tb testing.TB)) bool {
	h := &Host{out: out, ctx: ctx}
	var wait sync.WaitGroup
	wait.Go(func() {
		// Fatalf ends the goroutine, and so does it here.
		var inner sync.WaitGroup
		inner.Go(func() { do(h) })
		inner.Wait()
	})
	wait.Wait()
	for i := len(h.ends) - 1; i >= 0; i-- {
		var inner sync.WaitGroup
		inner.Go(h.ends[i])
		inner.Wait()
	}
	return !h.Failed()
}

// Helper does nothing: lines have no place in a program's output.
func (h *Host) Helper() {}

// Name is what the host is called.
func (h *Host) Name() string { return "campaign" }

// Context ends when the program shall.
func (h *Host) Context() context.Context { return h.ctx }

// Cleanup calls end after all that was given later.
func (h *Host) Cleanup(end func()) { h.ends = append(h.ends, end) }

// Setenv sets a variable of this process, for good.
func (h *Host) Setenv(key, value string) {
	if err := os.Setenv(key, value); err != nil {
		h.Fatalf("set %s: %v", key, err)
	}
}

// Failed reports whether anything failed.
func (h *Host) Failed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

// Logf writes a line.
func (h *Host) Logf(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintf(h.out, format+"\n", args...)
}

// Log writes a line.
func (h *Host) Log(args ...any) { h.Logf("%s", fmt.Sprint(args...)) }

// Errorf writes a line and fails.
func (h *Host) Errorf(format string, args ...any) {
	h.Logf(format, args...)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = true
}

// Error writes a line and fails.
func (h *Host) Error(args ...any) { h.Errorf("%s", fmt.Sprint(args...)) }

// Fatalf writes a line, fails, and ends the goroutine.
func (h *Host) Fatalf(format string, args ...any) {
	h.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal writes a line, fails, and ends the goroutine.
func (h *Host) Fatal(args ...any) { h.Fatalf("%s", fmt.Sprint(args...)) }

// Skipf fails: a campaign that does not run proves nothing.
func (h *Host) Skipf(format string, args ...any) { h.Fatalf(format, args...) }
