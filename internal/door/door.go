// Package door is a listener for whoever comes: it lets a bounded number of
// connections in at once, and outlives a shortage of file descriptors, which
// would otherwise end the listeners of the embedded servers for good.
package door

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Listener is a net.Listener with at most so many connections open at once.
// One more is closed as soon as it is there: its client sees that it is refused,
// where a queue would leave it waiting. It is safe for concurrent use.
type Listener struct {
	net.Listener
	most int64
	open atomic.Int64
	// closed ends the pause after an error.
	closed chan struct{}
	once   sync.Once
}

// Limit returns a listener that lets at most so many connections in at once.
func Limit(l net.Listener, most int) *Listener {
	return &Listener{Listener: l, most: int64(most), closed: make(chan struct{})}
}

// The pauses after errors of the system, such as a shortage of descriptors.
const (
	pauseFirst = 5 * time.Millisecond
	pauseMost  = time.Second
)

// Accept waits for the next connection. It fails only when the listener is
// closed.
func (l *Listener) Accept() (net.Conn, error) {
	pause := pauseFirst
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			select {
			case <-time.After(pause):
				pause = min(2*pause, pauseMost)
			case <-l.closed:
				return nil, net.ErrClosed
			}
		case l.open.Add(1) > l.most:
			l.open.Add(-1)
			_ = c.Close() // nothing was said
		default:
			return &conn{Conn: c, leave: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
	}
}

// Close closes the listener; connections stay open. It is idempotent but for
// the error.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn is a connection that makes room for another one when it is closed.
type conn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}
