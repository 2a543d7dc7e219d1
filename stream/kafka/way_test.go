package kafka

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/stream"
)

// way is the network between the log and the brokers.
type way struct {
	mu     sync.Mutex
	refuse []stream.TopicPartition
	// deafen loses the answer to the next commit, cut the commit itself.
	deafen, cut bool
}

func (w *way) heal() { w.refuse, w.deafen, w.cut = nil, false, false }

func (w *way) set(f func(*way)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

func (w *way) dial(ctx context.Context, network, host string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return &wayConn{Conn: c, way: w}, nil
}

// wayConn looks at the requests that go through it: length 4, key 2, version 2,
// correlation id 4, client id, and the request.
type wayConn struct {
	net.Conn
	way *way

	mu   sync.Mutex
	deaf bool
	// answer is what is read next, in place of the brokers' own.
	answer []byte
}

func (c *wayConn) Write(b []byte) (int, error) {
	if len(b) < 14 {
		return c.Conn.Write(b)
	}
	key, deafen, cut := kmsg.Key(binary.BigEndian.Uint16(b[4:])), false, false
	if key == kmsg.EndTxn {
		c.way.set(func(w *way) {
			deafen, cut = w.deafen && !w.cut, w.cut
			w.deafen, w.cut = w.deafen && cut, false
		})
	}
	if cut {
		_ = c.Conn.Close()
		return len(b), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = c.deaf || deafen
	if key == kmsg.Produce {
		if c.answer = c.way.refusal(b); c.answer != nil {
			return len(b), nil
		}
	}
	return c.Conn.Write(b)
}

// refusal is the answer to a request to produce to a partition that refuses it,
// nil for any other.
func (w *way) refusal(b []byte) []byte {
	version := int16(binary.BigEndian.Uint16(b[6:]))
	body := b[14+binary.BigEndian.Uint16(b[12:]):]
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(version)
	if req.IsFlexible() {
		body = body[1:] // the header's tags: none
	}
	if err := req.ReadFrom(body); err != nil {
		return nil
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.SetVersion(version)
	hit := false
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.UnknownServerError.Code
			rt.Partitions = append(rt.Partitions, rp)
			w.set(func(w *way) {
				w.refuse = slices.DeleteFunc(w.refuse, func(tp stream.TopicPartition) bool {
					same := tp.Partition == p.Partition
					hit = hit || same
					return same
				})
			})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if !hit {
		return nil
	}
	out := append(make([]byte, 4), b[8:12]...)
	if resp.IsFlexible() {
		out = append(out, 0)
	}
	out = resp.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}

// Read swallows the answer for which the connection has become deaf.
func (c *wayConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	if n := copy(b, c.answer); n > 0 {
		c.answer = c.answer[n:]
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf && n > 0 {
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
