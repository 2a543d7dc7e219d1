package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/stream"
)

// pollEvents polls until so many events have come, and adds their transactions.
func pollEvents(t *testing.T, c stream.Consumer, got []uint64, n int) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(got) < n {
		records, err := c.Poll(ctx)
		if ctx.Err() != nil {
			t.Fatalf("got the transactions %v, want %d of them", got, n)
		}
		if err != nil {
			t.Logf("poll: %v", err) // the next one goes on where it was
			continue
		}
		for _, r := range records {
			if r.Kind == stream.Event {
				got = append(got, r.LSN.Txn)
			}
		}
	}
	return got
}

// When the broker goes away the session ends, and not as one that somebody has
// replaced. When it is back a new one begins, and a consumer that has waited
// goes on without a gap and without a record twice.
func TestBroker_GoesAwayAndComesBack(t *testing.T) {
	server := testenv.Kafka(t)
	l, err := Open(t.Context(), Options{Brokers: []string{server.Addr}, Name: "suite", Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	s := open(t, l, "a")
	c, err := l.NewConsumer(t.Context(), stream.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: rowsTopic}: 0}); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), row(s, 1)); err != nil {
		t.Fatal(err)
	}
	got := pollEvents(t, c, nil, 1)
	server.Kill(t)
	if err := s.Publish(t.Context(), row(s, 2)); !errors.Is(err, stream.ErrSessionEnded) || errors.Is(err, stream.ErrFenced) {
		t.Errorf("without a broker: got %v, want the end of the session", err)
	}
	server.Restart(t)
	var heir *Session
	testenv.Wait(t, time.Minute, "the shard to open again", func() error {
		again, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
		if err == nil {
			heir = again.(*Session)
		}
		return err
	})
	if skip := heir.Recovered().Skip; len(skip) != 1 {
		t.Errorf("got %d events behind the position, want the one that was acknowledged", len(skip))
	}
	if err := heir.Publish(t.Context(), row(heir, 3)); err != nil {
		t.Fatal(err)
	}
	if got = pollEvents(t, c, got, 2); !slices.Equal(got, []uint64{1, 3}) {
		t.Errorf("got the transactions %v, want 1 and 3", got)
	}
}
