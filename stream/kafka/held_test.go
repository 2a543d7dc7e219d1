package kafka

import (
	"fmt"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
)

func TestStandstills_OnlyAnOffsetThatStandsBelowTheEndForTwoSecondsCounts(t *testing.T) {
	at := stream.TopicPartition{Topic: rowsTopic, Partition: 1}
	type seen struct {
		after       time.Duration
		stable, end int64
		held        bool
	}
	for name, steps := range map[string][]seen{
		"all is seen":            {{0, 5, 5, false}, {time.Minute, 5, 5, false}},
		"it stands":              {{0, 5, 6, false}, {time.Second, 5, 9, false}, {time.Second, 5, 9, true}, {time.Hour, 5, 10, true}},
		"it moves":               {{0, 5, 6, false}, {1900 * time.Millisecond, 7, 9, false}, {1900 * time.Millisecond, 8, 9, false}, {1900 * time.Millisecond, 8, 9, false}},
		"it is let go":           {{0, 5, 6, false}, {3 * time.Second, 5, 6, true}, {time.Second, 6, 6, false}, {time.Second, 6, 7, false}, {time.Second, 6, 7, false}},
		"it was seen in between": {{0, 5, 6, false}, {time.Second, 6, 6, false}, {time.Second, 6, 8, false}, {2 * time.Second, 6, 8, true}},
	} {
		s := make(standstills)
		now := time.Unix(1e9, 0)
		for i, step := range steps {
			now = now.Add(step.after)
			since, held := s.see(now, at, step.stable, step.end)
			if held != step.held {
				t.Errorf("%s, step %d: held = %t, want %t", name, i, held, step.held)
			}
			if held && now.Sub(since) < heldAfter {
				t.Errorf("%s, step %d: held since %s at %s", name, i, since, now)
			}
		}
	}
}

// testHeld leaves a session's transaction open, publishes behind it, and wants
// the partition to be named with whose it is, and then to be let go by the
// successor.
func testHeld(t *testing.T, brokers []string) {
	clock := &steps{at: time.Unix(1e9, 0)}
	l := openWith(t, Options{Brokers: brokers, now: clock.now})
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	dead, other := open(t, l, "a.1"), open(t, l, "b")
	for _, s := range []*Session{dead, other} {
		if err := s.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w := l.NewWatch(rowsTopic)
	look := func() []Held {
		t.Helper()
		held, err := w.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	if got := look(); len(got) != 0 {
		t.Errorf("before it: got %+v, want nothing", got)
	}
	if err := dead.producer.client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	at, err := dead.producer.send(t.Context(), row(dead, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Publish(t.Context(), row(other, 1)); err != nil {
		t.Fatal(err)
	}
	first := at[stream.TopicPartition{Topic: rowsTopic}] - 1
	if got := look(); len(got) != 0 {
		t.Errorf("at once: got %+v, want nothing", got)
	}
	clock.step(heldAfter)
	got := look()
	if len(got) != 1 || got[0].TopicPartition != (stream.TopicPartition{Topic: rowsTopic}) || got[0].Stable != first || got[0].End < first+2 {
		t.Fatalf("behind two seconds: got %+v, want partition 0 held at %d", got, first)
	}
	if want := TransactionalID("suite", "src", "a.1"); got[0].Transaction != want {
		t.Errorf("got transaction %q, want %q", got[0].Transaction, want)
	}
	if since := clock.now().Add(-heldAfter); !got[0].Since.Equal(since) {
		t.Errorf("held since %s, want %s", got[0].Since, since)
	}
	open(t, l, "a.1")
	testenv.Wait(t, time.Minute, "the partition to be let go", func() error {
		if got := look(); len(got) != 0 {
			return fmt.Errorf("held: %+v", got)
		}
		return nil
	})
}

func TestWatch_NamesWhoHoldsAPartition(t *testing.T) {
	t.Run("in process", func(t *testing.T) { testHeld(t, kafkatest.Start(t)) })
	t.Run("Apache Kafka", func(t *testing.T) { testHeld(t, []string{testenv.Kafka(t).Addr}) })
}
