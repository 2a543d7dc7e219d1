package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The versions of the requests, the newest that name topics by name and do
// not need flexible headers. The broker is in this process and is pinned.
const (
	produceVersion = 8
	fetchVersion   = 11
)

// conn is one connection to the broker. One request is under way at a time;
// the first error ends the connection, for what the broker did is unknown.
type conn struct {
	nc        net.Conn
	formatter *kmsg.RequestFormatter
	correl    int32
	out, in   []byte
	err       error
}

// dial connects to the broker, in this process when it is here.
func (l *Log) dial(ctx context.Context) (*conn, error) {
	var nc net.Conn
	var err error
	if l.port != nil {
		nc, err = l.port.dial()
	} else {
		var d net.Dialer
		nc, err = d.DialContext(ctx, "tcp", l.addr)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded stream: %w", err)
	}
	return &conn{nc: nc, formatter: kmsg.NewRequestFormatter(kmsg.FormatterClientID("tailwater"))}, nil
}

// maxKept bounds the buffers that a connection keeps between requests: the
// largest ordinary request, compressed.
const maxKept = maxRequest / 2

// reserve makes room for a request of n bytes, so that it need not grow there.
func (c *conn) reserve(n int) { c.out = slices.Grow(c.out[:0], n) }

// do sends a request and reads its response. Byte slices in the response are
// valid until the next call.
func (c *conn) do(ctx context.Context, req kmsg.Request, resp kmsg.Response) error {
	if c.err != nil {
		return c.err
	}
	if err := c.exchange(ctx, req, resp); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.err = fmt.Errorf("%s: %w", kmsg.NameForKey(req.Key()), err)
		_ = c.nc.Close()
	}
	return c.err
}

func (c *conn) exchange(ctx context.Context, req kmsg.Request, resp kmsg.Response) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.nc.SetDeadline(time.Unix(1, 0))
		close(cut)
	})
	defer func() {
		// The answer may have been there when ctx ended: the next request must
		// not find the deadline that was for this one.
		if !stop() {
			<-cut
			_ = c.nc.SetDeadline(time.Time{})
		}
	}()
	resp.SetVersion(req.GetVersion())
	c.correl++
	c.out = c.formatter.AppendRequest(c.out[:0], req, c.correl)
	_, err := c.nc.Write(c.out)
	if cap(c.out) > maxKept {
		c.out = nil
	}
	if err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(head[:])) - 4
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != c.correl || n < 0 {
		return errors.New("the answer is not to this request")
	}
	if cap(c.in) < n || cap(c.in) > max(maxKept, 2*n) {
		c.in = make([]byte, n)
	}
	c.in = c.in[:n]
	if _, err := io.ReadFull(c.nc, c.in); err != nil {
		return err
	}
	body := c.in
	if resp.IsFlexible() {
		r := kbin.Reader{Src: body}
		kmsg.SkipTags(&r)
		body = r.Src
	}
	return resp.ReadFrom(body)
}

// close may be called while a request is under way, which then fails.
func (c *conn) close() { _ = c.nc.Close() }
