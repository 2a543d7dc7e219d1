package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/internal/position"
	"tailwater/stream/kafka/kafkatest"
)

// onBoth runs a test on a cluster in this process and on a real one, with a log
// that has one topic.
func onBoth(t *testing.T, test func(t *testing.T, l *Log)) {
	for name, start := range map[string]func(t *testing.T) []string{
		"in process":   func(t *testing.T) []string { return kafkatest.Start(t) },
		"Apache Kafka": func(t *testing.T) []string { return []string{testenv.Kafka(t).Addr} },
	} {
		t.Run(name, func(t *testing.T) {
			l := openLog(t, start(t))
			if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: 2}); err != nil {
				t.Fatal(err)
			}
			test(t, l)
		})
	}
}

// at is a position of a test.
func at(s *Session, txn uint64) stream.SourcePosition {
	return stream.SourcePosition{Source: fmt.Appendf(nil, "behind %d", txn), LSN: row(s, txn)[0].LSN}
}

// standing reads the transactions that stand in partition 0.
func standing(t *testing.T, l *Log) (got []uint64) {
	t.Helper()
	bounds, err := l.Bounds(t.Context(), rowsTopic)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.NewConsumer(t.Context(), stream.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: rowsTopic}: 0}); err != nil {
		t.Fatal(err)
	}
	for next := int64(0); next < bounds[0].Next; {
		records, err := c.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			next = r.Offset + 1
			if r.Kind == stream.Event {
				got = append(got, r.LSN.Txn)
			}
		}
	}
	return got
}

// A session sends its data and its position, another one claims the shard, and
// only then does the first one commit: it is fenced, and neither is seen.
func TestPublishAt_FencedBeforeItsCommitLeavesNeitherDataNorPosition(t *testing.T) {
	onBoth(t, func(t *testing.T, l *Log) {
		s := open(t, l, "a")
		if err := s.PublishAt(t.Context(), row(s, 1), at(s, 1)); err != nil {
			t.Fatal(err)
		}
		if err := s.producer.client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		zombie := s.position.Clone()
		zombie.Source = []byte("the zombie's")
		if _, err := s.producer.send(t.Context(), row(s, 2), zombie); err != nil {
			t.Fatal(err)
		}
		heir := open(t, l, "a")
		if err := s.producer.client.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Error("the session before could still commit")
		}
		rec := heir.Recovered()
		if string(rec.Position.Source) != "behind 1" || len(rec.Skip) != 0 {
			t.Errorf("got source %q and %d events to skip, want behind 1 and none", rec.Position.Source, len(rec.Skip))
		}
		if err := heir.PublishAt(t.Context(), row(heir, 2), at(heir, 2)); err != nil {
			t.Fatal(err)
		}
		if err := heir.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := standing(t, l); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("got the transactions %v, want 1 and 2 once", got)
		}
		if p, ok, err := l.SavedPosition(t.Context(), "a"); err != nil || !ok || string(p.Source) != "behind 2" {
			t.Errorf("got position %q, %t, %v, want behind 2", p.Source, ok, err)
		}
	})
}

// Whoever only asks for the position does not wait for what a dead session left
// open, and does not see it.
func TestSavedPosition_DoesNotWaitForAnOpenTransaction(t *testing.T) {
	onBoth(t, func(t *testing.T, l *Log) {
		s := open(t, l, "a")
		if err := s.PublishAt(t.Context(), row(s, 1), at(s, 1)); err != nil {
			t.Fatal(err)
		}
		if err := s.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.producer.client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.producer.send(t.Context(), row(s, 2), s.position); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), transactionTimeout/2)
		defer cancel()
		if p, ok, err := l.SavedPosition(ctx, "a"); err != nil || !ok || string(p.Source) != "behind 1" {
			t.Errorf("got position %q, %t, %v, want behind 1", p.Source, ok, err)
		}
	})
}

// The last position is found however much stands behind it that was never
// committed, and however much before it.
func TestOpenShard_FindsTheLastPositionFromTheEnd(t *testing.T) {
	_, l := fakeLog(t, Options{})
	s := open(t, l, "a")
	for txn := range uint64(lookBack) {
		if err := s.PublishAt(t.Context(), row(s, txn+1), at(s, txn+1)); err != nil {
			t.Fatal(err)
		}
	}
	// One transaction with more positions than one look back takes.
	if err := s.producer.client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range 2 * lookBack {
		if _, err := s.producer.send(t.Context(), nil, &position.Position{Epoch: 99}); err != nil {
			t.Fatal(err)
		}
	}
	heir := open(t, l, "a")
	if got, want := string(heir.Recovered().Position.Source), fmt.Sprint("behind ", lookBack); got != want || heir.Epoch() != s.Epoch()+1 {
		t.Errorf("got position %q in epoch %d, want %q in epoch %d", got, heir.Epoch(), want, s.Epoch()+1)
	}
}

// A position that came with its rows has the offsets at which they begin, and
// the marks behind them: who folds from there takes none of them.
func TestPublishAt_HasTheMarksBehindItsRows(t *testing.T) {
	c, l := fakeLog(t, Options{})
	s := open(t, l, "a")
	place := stream.TopicPartition{Topic: rowsTopic}
	before := s.numbers.At[place].Next
	records := row(s, 1)
	records = append(records, row(s, 2)...)
	seen := watch(c)
	if err := s.PublishAt(t.Context(), records, at(s, 2)); err != nil {
		t.Fatal(err)
	}
	if n := seen.count(kmsg.EndTxn); n != 1 {
		t.Errorf("got %d transactions, want one with both", n)
	}
	stored, err := l.storedPosition(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got := stored.Topics[rowsTopic].Partitions[0]
	if got.Next != before || got.Mark.N != 2 || got.Mark.LSN != records[1].LSN {
		t.Errorf("got %+v, want the offset %d with the mark of event 2", got, before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if stored, err = l.storedPosition(t.Context(), "a"); err != nil || !stored.Clean {
		t.Fatalf("got %+v, %v, want a clean end", stored, err)
	}
	if got = stored.Topics[rowsTopic].Partitions[0]; got.Next < before+2 {
		t.Errorf("behind a clean end: got offset %d, want at least %d", got.Next, before+2)
	}
}

// A record that is too large is refused before anything is sent, and the
// position with it.
func TestPublishAt_RefusesBeforeItSends(t *testing.T) {
	c, l := fakeLog(t, Options{})
	s := open(t, l, "a")
	seen := watch(c)
	bad := row(s, 1)
	bad[0].Key = nil
	if err := s.PublishAt(t.Context(), bad, at(s, 1)); err == nil {
		t.Error("a record without a key was taken")
	}
	if n := seen.count(kmsg.Produce); n != 0 {
		t.Errorf("got %d requests to produce, want none", n)
	}
	if rec := open(t, l, "a").Recovered(); rec.Found {
		t.Errorf("got position %q, want none", rec.Position.Source)
	}
}

// A broker may leave a fenced producer's request without an answer. The shard
// is stopped as fenced when another session has claimed it, and only then.
func TestPublish_WithoutAnAnswerIsFencedOnlyBehindASuccessor(t *testing.T) {
	for name, successor := range map[string]bool{"with a successor": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			var road way
			c, l := fakeLog(t, Options{Timeout: time.Second, dial: road.dial})
			s := open(t, l, "a")
			if successor {
				other := openLog(t, c.ListenAddrs())
				open(t, other, "a")
			}
			road.set(func(w *way) { w.mute = true })
			err := s.PublishAt(t.Context(), row(s, 1), at(s, 1))
			if !errors.Is(err, stream.ErrSessionEnded) || !errors.Is(err, errNoAnswer) || errors.Is(err, stream.ErrFenced) != successor {
				t.Errorf("got %v, want the end of the session, fenced: %t", err, successor)
			}
		})
	}
}
