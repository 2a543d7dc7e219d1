package kafka

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"time"

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
	// mute keeps every batch from the brokers, and answers nothing.
	mute bool
	// keeps is how many requests of kind keep are kept on their way, in kept;
	// hangUp says that their connections break, in place of being silent.
	keep   kmsg.Key
	keeps  int
	hangUp bool
	kept   []keptRequest
	// before, when set, is called before each end of a transaction is sent.
	before func()
}

// keptRequest is a request that is still on its way.
type keptRequest struct {
	conn *wayConn
	raw  []byte
}

func (w *way) heal() { w.refuse, w.deafen, w.cut, w.mute, w.keeps = nil, false, false, false, 0 }

// keepNext keeps the next n requests of a kind on their way.
func (w *way) keepNext(key kmsg.Key, n int, hangUp bool) {
	w.set(func(w *way) { w.keep, w.keeps, w.hangUp = key, n, hangUp })
}

// take returns what was kept.
func (w *way) take() (kept []keptRequest) {
	w.set(func(w *way) { kept, w.kept = w.kept, nil })
	return kept
}

// arrive lets a kept request come to its broker, by a connection of its own and
// whoever sent it gone, and returns when it was answered.
func (k keptRequest) arrive() error {
	c, err := net.Dial("tcp", k.conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(k.raw); err != nil {
		return err
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(c, size); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size)))
	return err
}

// goOn sends a kept request where it was meant to go, and its answer comes back.
func (k keptRequest) goOn() error {
	k.conn.mu.Lock()
	defer k.conn.mu.Unlock()
	k.conn.answers = append(k.conn.answers, nil)
	_, err := k.conn.Conn.Write(k.raw)
	return err
}

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
	// answers are what is read for each request on its way, in order: nil is the
	// brokers' own answer. unread is what is left of the first.
	answers [][]byte
	unread  []byte
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
	mute, keep, hangUp := false, false, false
	var before func()
	c.way.set(func(w *way) {
		mute = w.mute && key == kmsg.Produce
		if keep = w.keeps > 0 && w.keep == key; keep {
			hangUp = w.hangUp
			w.keeps--
			w.kept = append(w.kept, keptRequest{c, slices.Clone(b)})
		} else if key == kmsg.EndTxn {
			before = w.before
		}
	})
	if before != nil {
		before()
	}
	if hangUp {
		_ = c.Conn.Close()
	}
	if mute || keep {
		return len(b), nil
	}
	if cut {
		_ = c.Conn.Close()
		return len(b), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = c.deaf || deafen
	var answer []byte
	if key == kmsg.Produce {
		answer = c.way.refusal(b)
	}
	c.answers = append(c.answers, answer)
	if answer != nil {
		return len(b), nil
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

// Read reads whole answers, so that one of ours never comes inside another.
func (c *wayConn) Read(b []byte) (int, error) {
	if len(c.unread) == 0 {
		var err error
		if c.unread, err = c.answer(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// answer reads the next answer, and swallows the one for which the connection
// has become deaf.
func (c *wayConn) answer() ([]byte, error) {
	c.mu.Lock()
	if len(c.answers) > 0 {
		ours := c.answers[0]
		c.answers = c.answers[1:]
		if ours != nil {
			c.mu.Unlock()
			return ours, nil
		}
	}
	c.mu.Unlock()
	out := make([]byte, 4)
	if _, err := io.ReadFull(c.Conn, out); err != nil {
		return nil, err
	}
	out = append(out, make([]byte, binary.BigEndian.Uint32(out))...)
	if _, err := io.ReadFull(c.Conn, out[4:]); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf {
		_ = c.Conn.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return out, nil
}
