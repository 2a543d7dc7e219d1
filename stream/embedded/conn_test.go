package embedded

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// lateEnd is a connection with an answer, whose last byte ends a context. It
// remembers the deadline.
type lateEnd struct {
	net.Conn
	answer   []byte
	end      func()
	deadline time.Time
	set      int
}

func (l *lateEnd) Write(b []byte) (int, error) { return len(b), nil }

func (l *lateEnd) Read(b []byte) (int, error) {
	n := copy(b, l.answer)
	if l.answer = l.answer[n:]; len(l.answer) == 0 {
		l.end()
	}
	return n, nil
}

func (l *lateEnd) SetDeadline(t time.Time) error {
	l.deadline = t
	l.set++
	return nil
}

// A context that ends together with the answer leaves no deadline behind for
// the next request.
func TestConn_ADeadlineIsOfOneRequestOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		nc := &lateEnd{answer: []byte{0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, end: cancel}
		c := &conn{nc: nc, formatter: kmsg.NewRequestFormatter()}
		if err := c.do(ctx, kmsg.NewPtrListGroupsRequest(), kmsg.NewPtrListGroupsResponse()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if nc.set == 0 || !nc.deadline.IsZero() {
			t.Errorf("got deadline %v after %d settings, want none at the end of some", nc.deadline, nc.set)
		}
	})
}
