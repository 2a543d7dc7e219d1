package kafka

import (
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/stream"
	"tailwater/stream/internal/wire"
	"tailwater/stream/streamtest"
)

func TestConformance_InProcessBroker(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Store {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return &store{brokers: c.ListenAddrs(), cluster: c}
	})
}

// store is a cluster. To kill a log is to forget it: its connections break.
type store struct {
	brokers []string
	cluster *kfake.Cluster
	way     way
	mu      sync.Mutex
	faults  []*kfake.FaultHandle
}

var (
	_ streamtest.Crasher     = (*store)(nil)
	_ streamtest.Faulty      = (*store)(nil)
	_ streamtest.CommitLoser = (*store)(nil)
	_ streamtest.Rollback    = (*store)(nil)
)

func (s *store) Open(t *testing.T) stream.Log {
	t.Helper()
	return openWith(t, Options{Brokers: s.brokers, dial: s.way.dial})
}

func openLog(t testing.TB, brokers []string) *Log {
	t.Helper()
	return openWith(t, Options{Brokers: brokers})
}

func openWith(t testing.TB, o Options) *Log {
	t.Helper()
	o.Name = "suite"
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Kill closes the connections in the middle of what they do.
func (s *store) Kill(t *testing.T, l stream.Log) {
	t.Helper()
	_ = l.Close()
}

// PowerCut is that of the client's machine: the brokers keep what they have.
func (s *store) PowerCut(t *testing.T, l stream.Log) { s.Kill(t, l) }

func (s *store) fault(f kfake.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, s.cluster.Fault(f))
}

// FailWrite makes the broker refuse the next batch.
func (s *store) FailWrite(_ *testing.T, _ stream.Log, tp stream.TopicPartition) {
	s.fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: tp.Topic, Partitions: []int32{tp.Partition}, Err: kerr.UnknownServerError})
}

// LoseAnswer makes the next commit take effect and loses the answer: the
// outcome of a batch is settled by its number, that of a commit is not.
func (s *store) LoseAnswer(*testing.T, stream.Log, stream.TopicPartition) {
	s.way.set(func(w *way) { w.deafen = true })
}

func (s *store) LoseCommit(*testing.T, stream.Log) { s.way.set(func(w *way) { w.cut = true }) }

// Heal removes what has not struck.
func (s *store) Heal(*testing.T, stream.Log) {
	s.way.set((*way).heal)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		f.Remove()
	}
	s.faults = nil
}

// CopyPositions copies the last position; putting it back writes it again.
func (s *store) CopyPositions(t *testing.T) func() { return copyPositions(t, s.brokers) }

func copyPositions(t *testing.T, brokers []string) func() {
	t.Helper()
	l := openLog(t, brokers)
	stored, err := l.storedPosition(t.Context(), streamtest.Shard)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		c, err := l.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &kgo.Record{Topic: l.positionTopic(streamtest.Shard), Key: []byte(positionKey), Value: encodePosition(stored)}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// WriteLate writes as a client without transactions does, which no broker
// refuses: an older Tailwater, or a copy of its requests.
func (s *store) WriteLate(t *testing.T, l stream.Log, records []stream.Record) {
	t.Helper()
	writeLate(t, l.(*Log), records)
}

func writeLate(t *testing.T, l *Log, records []stream.Record) {
	t.Helper()
	c, err := l.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range records {
		r := &records[i]
		sent := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{
			{Key: wire.HeaderKind, Value: []byte(wire.KindName(r.Kind))}, {Key: wire.HeaderID, Value: wire.AppendID(nil, r)},
		}}
		if err := c.ProduceSync(t.Context(), sent).FirstErr(); err != nil {
			t.Logf("a late write was refused: %v", err)
		}
	}
}
