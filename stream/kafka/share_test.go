package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
)

// sharer is a process that shares.
type sharer struct {
	mu     sync.Mutex
	now    []int32
	turns  int
	cancel context.CancelFunc
	done   chan error
}

func share(t *testing.T, brokers []string, topic string) *sharer {
	t.Helper()
	l := openLog(t, brokers)
	s := &sharer{done: make(chan error, 1)}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(t.Context())
	t.Cleanup(s.cancel)
	go func() {
		s.done <- l.Share(ctx, "tw.suite.work", topic, func(ctx context.Context, parts []int32) error {
			s.set(parts)
			defer s.set(nil)
			<-ctx.Done()
			return nil
		})
	}()
	return s
}

func (s *sharer) set(parts []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = slices.Clone(parts)
	s.turns++
}

func (s *sharer) has() []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func testShare(t *testing.T, brokers []string) {
	const topic, count = "tw.suite.shared", 6
	l := openLog(t, brokers)
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: topic, Partitions: count}); err != nil {
		t.Fatal(err)
	}
	split := func(what string, sharers ...*sharer) {
		t.Helper()
		testenv.Wait(t, time.Minute, what, func() error {
			var all []int32
			for _, s := range sharers {
				if len(s.has()) == 0 {
					return errors.New("one has nothing")
				}
				all = append(all, s.has()...)
			}
			slices.Sort(all)
			if !slices.Equal(all, []int32{0, 1, 2, 3, 4, 5}) {
				return errors.New("not every partition once")
			}
			return nil
		})
	}
	a := share(t, brokers, topic)
	split("one process with all", a)
	b := share(t, brokers, topic)
	c := share(t, brokers, topic)
	split("three processes with all", a, b, c)
	a.cancel()
	if err := <-a.done; err != nil {
		t.Errorf("Share = %v at its end, want nil", err)
	}
	split("two processes with all", b, c)
	c.cancel()
	<-c.done
	split("one process again", b)
}

func TestShare_EveryPartitionIsSomebodysOnce(t *testing.T) {
	t.Run("in process", func(t *testing.T) { testShare(t, kafkatest.Start(t)) })
	t.Run("Apache Kafka", func(t *testing.T) { testShare(t, []string{testenv.Kafka(t).Addr}) })
}

func TestShare_AnErrorOfTheWorkEndsIt(t *testing.T) {
	brokers := kafkatest.Start(t)
	l := openLog(t, brokers)
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: "tw.suite.shared", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the work is broken")
	for _, want := range []error{broken, errWorkEnded} {
		err := l.Share(t.Context(), "tw.suite.broken", "tw.suite.shared", func(context.Context, []int32) error {
			if want == broken {
				return broken
			}
			return nil
		})
		if !errors.Is(err, want) {
			t.Errorf("Share = %v, want %v", err, want)
		}
	}
}
