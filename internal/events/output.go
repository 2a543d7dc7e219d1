package events

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
)

// maxPending is how many bytes wait for the output before the reader does.
const maxPending = 1 << 20

// keptBuffer is how large a buffer may be that is used again.
const keptBuffer = 4 << 20

// errClosed ends a run whose output nobody reads any more.
var errClosed = errors.New("the output was closed")

// output writes what put hands it on a goroutine of its own. While a write is
// in flight more gathers, up to maxPending; when nothing is, it begins at once.
type output struct {
	w io.Writer

	mu      sync.Mutex
	changed sync.Cond
	pending []byte
	closed  bool
	err     error
	done    chan struct{}
	failed  func(error)
}

// newOutput starts the goroutine, which ends with close. failed is told of the
// first error of w, once.
func newOutput(w io.Writer, failed func(error)) *output {
	o := &output{w: w, done: make(chan struct{}), failed: failed}
	o.changed.L = &o.mu
	go o.run()
	return o
}

// put takes the lines in b and returns a buffer for the next ones, empty. Many
// lines are never copied behind others: they wait until those are written. It
// blocks while the output is behind, which holds the reader and in the end the
// server back.
func (o *output) put(b []byte) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for (len(o.pending) >= maxPending || len(o.pending) > 0 && len(b) > maxPending) && o.err == nil {
		o.changed.Wait()
	}
	if o.err != nil {
		return b[:0], o.err
	}
	if len(o.pending) == 0 {
		o.pending, b = b, o.pending
	} else {
		o.pending = append(o.pending, b...)
	}
	o.changed.Broadcast()
	return reuse(b), nil
}

// reuse empties a buffer, and gives up one that a huge transaction has grown.
func reuse(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}

// run writes until close.
func (o *output) run() {
	defer close(o.done)
	var writing []byte
	for {
		o.mu.Lock()
		for len(o.pending) == 0 && !o.closed {
			o.changed.Wait()
		}
		if len(o.pending) == 0 {
			o.mu.Unlock()
			return
		}
		o.pending, writing = reuse(writing), o.pending
		o.changed.Broadcast()
		o.mu.Unlock()
		if _, err := o.w.Write(writing); err != nil {
			o.fail(err)
			return
		}
	}
}

// fail notes the first error and wakes whoever waits.
func (o *output) fail(err error) {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		err = errClosed
	}
	o.mu.Lock()
	first := o.err == nil
	if first {
		o.err = err
	}
	o.changed.Broadcast()
	o.mu.Unlock()
	if first {
		o.failed(err)
	}
}

// close writes what is left, waits for it, and returns the first error.
func (o *output) close() error {
	o.mu.Lock()
	o.closed = true
	o.changed.Broadcast()
	o.mu.Unlock()
	<-o.done
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
