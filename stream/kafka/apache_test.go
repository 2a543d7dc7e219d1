package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/streamtest"
)

func TestConformance_ApacheKafka(t *testing.T) {
	brokers := []string{testenv.Kafka(t).Addr}
	streamtest.Run(t, func(t *testing.T) streamtest.Store {
		removeTopics(t, brokers)
		return &apache{brokers: brokers}
	})
}

// removeTopics empties the cluster for the next test.
func removeTopics(t *testing.T, brokers []string) {
	t.Helper()
	l := openLog(t, brokers)
	testenv.Wait(t, time.Minute, "the topics to go", func() error {
		all, err := l.admin.ListTopics(t.Context())
		if err != nil {
			return err
		}
		var names []string
		for name := range all {
			if strings.HasPrefix(name, "tw.suite.") {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil
		}
		_, err = l.admin.DeleteTopics(t.Context(), names...)
		return errors.Join(err, errors.New("some are there"))
	})
}

// apache is a real cluster, whose faults lie on the way to it.
type apache struct {
	brokers []string
	way     way
}

var (
	_ streamtest.Crasher  = (*apache)(nil)
	_ streamtest.Faulty   = (*apache)(nil)
	_ streamtest.Rollback = (*apache)(nil)
)

func (s *apache) Open(t *testing.T) stream.Log {
	t.Helper()
	l, err := Open(t.Context(), Options{Brokers: s.brokers, Name: "suite", Timeout: 5 * time.Second, dial: s.way.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return settled{l}
}

func (s *apache) Kill(t *testing.T, l stream.Log) {
	t.Helper()
	_ = l.Close()
}

func (s *apache) PowerCut(t *testing.T, l stream.Log) { s.Kill(t, l) }

// FailWrite keeps the next request with a batch of the partition from the
// brokers, and answers in their place.
func (s *apache) FailWrite(_ *testing.T, _ stream.Log, tp stream.TopicPartition) {
	s.way.set(func(w *way) { w.refuse = append(w.refuse, tp) })
}

// LoseAnswer loses the answer to the next commit.
func (s *apache) LoseAnswer(*testing.T, stream.Log, stream.TopicPartition) {
	s.way.set(func(w *way) { w.deafen = true })
}

func (s *apache) Heal(*testing.T, stream.Log) {
	s.way.set(func(w *way) { w.refuse, w.deafen = nil, false })
}

func (s *apache) WriteLate(t *testing.T, l stream.Log, records []stream.Record) {
	t.Helper()
	way := l.(settled).Log
	writeLate(t, openLog(t, way.o.Brokers), records)
}

func (s *apache) CopyPositions(t *testing.T) func() { return copyPositions(t, s.brokers) }

// settled is a log whose records are seen when a call returns. Brokers show
// them a moment later, which the suite does not wait for.
type settled struct{ *Log }

func (l settled) OpenShard(ctx context.Context, o stream.ShardOptions) (stream.Session, error) {
	s, err := l.Log.OpenShard(ctx, o)
	if err != nil {
		return nil, err
	}
	out := settledSession{s.(*Session)}
	return out, out.settle(ctx)
}

type settledSession struct{ *Session }

func (s settledSession) Publish(ctx context.Context, records []stream.Record) error {
	if err := s.Session.Publish(ctx, records); err != nil {
		return err
	}
	return s.settle(ctx)
}

// way is the network between the log and the brokers.
type way struct {
	mu     sync.Mutex
	refuse []stream.TopicPartition
	deafen bool
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
	// answer is what is read next, in place of the brokers' own.
	answer []byte
}

func (c *wayConn) Write(b []byte) (int, error) {
	if len(b) < 14 {
		return c.Conn.Write(b)
	}
	key, deafen := kmsg.Key(binary.BigEndian.Uint16(b[4:])), false
	c.way.set(func(w *way) {
		if deafen = w.deafen && key == kmsg.EndTxn; deafen {
			w.deafen = false
		}
	})
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
