package primary

import (
	"net"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary/encode"
)

// faults is what is wrong with the replication streams at the moment.
type faults struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	silent  bool
	rate    int   // bytes a second, 0 for no limit
	cut     int64 // bytes until the connection is cut, counted over all streams
	cutting bool
	flip    bool
	err     *mysql.MyError
}

// set changes the faults and wakes the streams.
func (f *faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
}

// watch returns a channel that is closed at the next change.
func (f *faults) watch() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// Cut closes every replication connection now. The follower sees a reset or an
// unexpected end, as with a lost network.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, se := range s.sessions {
		if se.dumping.Load() {
			hardClose(se.net)
		}
	}
}

// CutAfter closes the replication connection that sends the n-th byte from now,
// behind that byte: in the middle of an event, as a rule. It happens once.
func (s *Server) CutAfter(n int64) {
	s.faults.set(func() { s.faults.cut, s.faults.cutting = n, true })
}

// Silence stops, or resumes, all replication streams without closing them, and
// their heartbeats too: a half-open connection. Only a follower's own read
// time-out notices.
func (s *Server) Silence(on bool) { s.faults.set(func() { s.faults.silent = on }) }

// Slow limits every replication stream to about n bytes a second; 0 ends it.
func (s *Server) Slow(n int) { s.faults.set(func() { s.faults.rate = n }) }

// FlipBit inverts one bit in the body of the next event that is sent behind a
// format description, on one stream, once; the log stays right. With checksums
// the follower must stop there, and finds the event whole when it asks again.
func (s *Server) FlipBit() { s.faults.set(func() { s.faults.flip = true }) }

// SendError puts an error packet into the next replication stream that has
// something to send or waits, once, and ends that stream, as the dump thread of
// a server in trouble does.
func (s *Server) SendError(code uint16, message string) {
	s.faults.set(func() { s.faults.err = mysql.NewError(code, message) })
}

// WriteEvent logs an event of any type and body between two transactions, with
// a right checksum: a type that no reader knows, or a known one whose body is
// garbage. It stays in the log.
func (s *Server) WriteEvent(typ byte, body []byte) {
	s.writing.Lock()
	defer s.writing.Unlock()
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	out := l.w.AppendUnsealed(nil, encode.Header{Timestamp: uint32(s.opts.Now().Unix()), Type: typ}, body)
	l.w.Seal(out, l.current().size)
	l.append(out)
}

// RotateStorm rotates n times in a row: files without transactions.
func (s *Server) RotateStorm(n int) {
	for range n {
		s.Rotate()
	}
}

// takeError returns the pending error packet once.
func (f *faults) takeError() *mysql.MyError {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	f.err = nil
	return err
}

// takeFlip reports once that a bit is to be flipped.
func (f *faults) takeFlip() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	flip := f.flip
	f.flip = false
	return flip
}

// allow says how many of n bytes may go out, whether the connection is cut
// behind them, and how long to wait after them.
func (f *faults) allow(n int) (send int, cut bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cutting {
		if int64(n) >= f.cut {
			n, cut, f.cutting = int(f.cut), true, false
		} else {
			f.cut -= int64(n)
		}
	}
	if f.rate > 0 && !cut {
		n = min(n, max(f.rate/20, 1))
		wait = time.Duration(n) * time.Second / time.Duration(f.rate)
	}
	return n, cut, wait
}

// hardClose closes a connection with a reset, so that nothing of what was
// written may still arrive in order.
func hardClose(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
