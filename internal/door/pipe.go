package door

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe returns the two ends of a connection inside the process. Unlike
// net.Pipe it keeps what is written until it is read, as a socket does: two
// ends that both write before they read, as a pipeline of commands and its
// answers do, would wait for each other for ever. It keeps any number of bytes,
// so both ends must be ours.
//
// Deadlines of reads hold; a write never waits. A read behind the other end's
// Close yields what was written before, then io.EOF; a write there fails with
// io.ErrClosedPipe. Both ends are safe for concurrent use.
func Pipe() (net.Conn, net.Conn) {
	a, b := newStore(), newStore()
	return &end{in: a, out: b}, &end{in: b, out: a}
}

// store is what was written at one end and not yet read at the other.
type store struct {
	mu       sync.Mutex
	data     []byte
	closed   bool // no more is written
	left     bool // nobody reads any more
	deadline time.Time
	// changed is closed, and made anew, when any of these has changed.
	changed chan struct{}
}

func newStore() *store { return &store{changed: make(chan struct{})} }

// change runs f and wakes whoever waits.
func (s *store) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// read takes bytes, and waits for the first of them.
func (s *store) read(b []byte) (int, error) {
	for {
		s.mu.Lock()
		deadline, changed := s.deadline, s.changed
		switch {
		case s.left:
			s.mu.Unlock()
			return 0, io.ErrClosedPipe
		case !deadline.IsZero() && !deadline.After(time.Now()):
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0 || len(b) == 0:
			n := copy(b, s.data)
			s.data = s.data[n:]
			if len(s.data) == 0 {
				s.data = nil
			}
			s.mu.Unlock()
			return n, nil
		case s.closed:
			s.mu.Unlock()
			return 0, io.EOF
		}
		s.mu.Unlock()
		var late <-chan time.Time
		var timer *time.Timer
		if !deadline.IsZero() {
			timer = time.NewTimer(time.Until(deadline))
			late = timer.C
		}
		select {
		case <-changed:
		case <-late:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// end is one end of a Pipe.
type end struct{ in, out *store }

var _ net.Conn = (*end)(nil)

// Read implements net.Conn.
func (e *end) Read(b []byte) (int, error) { return e.in.read(b) }

// Write implements net.Conn. It never waits.
func (e *end) Write(b []byte) (n int, err error) {
	e.out.change(func() {
		if e.out.closed || e.out.left {
			err = io.ErrClosedPipe
			return
		}
		e.out.data = append(e.out.data, b...)
		n = len(b)
	})
	return n, err
}

// Close implements net.Conn. It is idempotent.
func (e *end) Close() error {
	e.out.change(func() { e.out.closed = true })
	e.in.change(func() { e.in.left = true })
	return nil
}

// SetDeadline implements net.Conn.
func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (e *end) SetReadDeadline(t time.Time) error {
	e.in.change(func() { e.in.deadline = t })
	return nil
}

// SetWriteDeadline implements net.Conn. A write never waits.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return here{} }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return here{} }

// here is the address of both ends.
type here struct{}

// Network implements net.Addr.
func (here) Network() string { return "pipe" }

// String implements net.Addr.
func (here) String() string { return "this process" }
