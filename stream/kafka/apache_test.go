package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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

func TestEnsureTopic_OfApacheKafkaRefusesNamesThatDifferInDotsOnly(t *testing.T) {
	l := openLog(t, []string{testenv.Kafka(t).Addr})
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: "tw.suite.a_b.c", Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: "tw.suite.a.b_c", Partitions: 1})
	if !errors.Is(err, stream.ErrTopicRefused) || !strings.Contains(err.Error(), "tw.suite.a_b.c") {
		t.Errorf("EnsureTopic = %v, want ErrTopicRefused with the other topic's name", err)
	}
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
	_ streamtest.Crasher     = (*apache)(nil)
	_ streamtest.Faulty      = (*apache)(nil)
	_ streamtest.CommitLoser = (*apache)(nil)
	_ streamtest.Rollback    = (*apache)(nil)
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
	s.way.set((*way).heal)
}

func (s *apache) WriteLate(t *testing.T, l stream.Log, records []stream.Record) {
	t.Helper()
	way := l.(settled).Log
	writeLate(t, openLog(t, way.o.Brokers), records)
}

func (s *apache) LoseCommit(*testing.T, stream.Log) { s.way.set(func(w *way) { w.cut = true }) }

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

func (s settledSession) PublishAt(ctx context.Context, records []stream.Record, p stream.SourcePosition) error {
	if err := s.Session.PublishAt(ctx, records, p); err != nil {
		return err
	}
	return s.settle(ctx)
}
