package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/stream"
)

// addPartitions adds partitions to a topic behind the back of the log.
func addPartitions(t *testing.T, l *Log, name string, count int) {
	t.Helper()
	r, err := l.admin.UpdatePartitions(t.Context(), count, name)
	if err == nil {
		err = r.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	// The client remembers for a moment what it was told.
	testenv.Wait(t, time.Minute, "the partitions", func() error {
		if now, err := l.look(t.Context(), name); err != nil || now == nil || now.Partitions != count {
			return fmt.Errorf("it is %+v: %w", now, err)
		}
		return nil
	})
}

// wantRecounted checks that an error tells of the other number of partitions,
// and advises neither to follow it nor to forget the positions.
func wantRecounted(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, errRecounted) || !strings.Contains(err.Error(), rowsTopic+" has 3 partitions and had 2") || !strings.Contains(err.Error(), "another name") {
		t.Errorf("%s: got %v, want both counts and another name", what, err)
		return
	}
	for _, wrong := range []string{"stream.partitions", "positions", "removed"} {
		if strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: got %v, which speaks of %q", what, err, wrong)
		}
	}
}

func TestTopic_WhosePartitionsWereAddedIsRefusedByTheRightName(t *testing.T) {
	onBoth(t, func(t *testing.T, l *Log) {
		s := open(t, l, "a")
		if err := s.Publish(t.Context(), row(s, 1)); err != nil {
			t.Fatal(err)
		}
		was := s.topics[0]
		addPartitions(t, l, rowsTopic, 3)
		_, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: 2})
		wantRecounted(t, "the configuration as it was", err)
		// Whoever makes the configuration follow is stopped by the position.
		if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: 3}); err != nil {
			t.Fatal(err)
		}
		_, err = l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
		wantRecounted(t, "the configuration that follows", err)
		wantRecounted(t, "added at this moment", l.changed(t.Context(), was))
	})
}

func TestEnsureTopic_SaysWhatCanBeDoneAboutAnotherCount(t *testing.T) {
	_, l := fakeLog(t, Options{})
	ensure := func(partitions int, wants ...string) {
		t.Helper()
		_, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: partitions})
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	}
	ensure(3, "it has no records yet: set stream.partitions to 2, or remove the topic")
	s := open(t, l, "a")
	if err := s.Publish(t.Context(), row(s, 1)); err != nil {
		t.Fatal(err)
	}
	ensure(3, "set stream.partitions to 2, or give the pipeline another name")
	ensure(1, "set stream.partitions to 2, or give the pipeline another name")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.admin.DeleteTopic(t.Context(), l.positionTopic("a")); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, time.Minute, "the positions to be gone", func() error {
		if now, err := l.look(t.Context(), l.positionTopic("a")); err != nil || now != nil {
			return fmt.Errorf("it is %+v: %w", now, err)
		}
		return nil
	})
	ensure(3, "if stream.partitions was changed, set it to 2", "if partitions were added to the topic, give the pipeline another name")
}

func TestOpenShard_TellsATopicMadeAgainAtThisMoment(t *testing.T) {
	_, l := fakeLog(t, Options{})
	was, err := l.look(t.Context(), rowsTopic)
	if err != nil {
		t.Fatal(err)
	}
	was.Incarnation = "another"
	if err := l.changed(t.Context(), was); err == nil || !strings.Contains(err.Error(), "removed and made again") || errors.Is(err, errRecounted) {
		t.Errorf("got %v, want it removed and made again", err)
	}
}
