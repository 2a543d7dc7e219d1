package pipeline_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
)

// streams lists the shards that a part follows.
func (p *part) streams() []string {
	var out []string
	s := p.pipe.Snapshot()
	for i := range s.Shards {
		if s.Shards[i].State == status.Streaming {
			out = append(out, s.Shards[i].Shard)
		}
	}
	return out
}

// shared waits until parts follow some shards between them, each once and at
// least least of them.
func shared(t *testing.T, what string, ids []string, least int, parts ...*part) {
	t.Helper()
	began := time.Now()
	defer func() { t.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond)) }()
	testenv.Wait(t, time.Minute, what, func() error {
		var all []string
		for _, p := range parts {
			mine := p.streams()
			if len(mine) < least {
				return fmt.Errorf("one has only %v", mine)
			}
			all = append(all, mine...)
		}
		if slices.Sort(all); !slices.Equal(all, ids) {
			return fmt.Errorf("%v are followed, of %v", all, ids)
		}
		return nil
	})
}

// Readers come and go while rows are written; what stays with one is not
// interrupted.
func TestPipeline_ReadersShareTheShardsAndLoseAndDoubleNothing(t *testing.T) {
	ids := []string{"00", "01", "02", "03", "04", "05"}
	r := newShop(t, len(ids), 300)
	r.onKafka(kafkatest.Start(t))
	first := r.part(pipeline.Reader)
	shared(t, "one with all", ids, 6, first)
	end := r.background()
	second := r.part(pipeline.Reader)
	shared(t, "two with three each", ids, 3, first, second)
	third := r.part(pipeline.Reader)
	shared(t, "three with two each", ids, 2, first, second, third)
	kept := first.streams()
	second.end(t, true)
	shared(t, "two with three each again", ids, 3, first, third)
	s := first.pipe.Snapshot()
	for i := range s.Shards {
		sh := &s.Shards[i]
		if slices.Contains(kept, sh.Shard) && sh.Reconnects > 0 {
			t.Errorf("shard %s was interrupted %d times while others moved", sh.Shard, sh.Reconnects)
		}
		if sh.State == status.Elsewhere && sh.Owner == "" {
			t.Errorf("nobody says who follows shard %s", sh.Shard)
		}
	}
	if s.Verdict != status.OK || !status.Ready(s).Ready {
		t.Errorf("the verdict of one that has a part of the shards is %s, ready %t", s.Verdict, status.Ready(s).Ready)
	}
	first.end(t, false)
	shared(t, "one with all again", ids, 6, third)
	end()
	third.end(t, true)
	r.start()
	r.drainAndCompare()
}

// A process for which there is no shard is well, and takes over.
func TestPipeline_AReaderWithoutAShardStandsBy(t *testing.T) {
	r := newShop(t, 1, 300)
	r.onKafka(kafkatest.Start(t))
	first := r.part(pipeline.Reader)
	shared(t, "the first with the shard", []string{"00"}, 1, first)
	second := r.part(pipeline.Reader)
	testenv.Wait(t, time.Minute, "the second to know whose the shard is", func() error {
		s := second.pipe.Snapshot()
		if sh := s.Shards[0]; sh.State != status.Elsewhere || sh.Owner == "" {
			return fmt.Errorf("it is %s, of %q", sh.State, sh.Owner)
		}
		if s.Verdict != status.OK || !status.Ready(s).Ready {
			t.Errorf("verdict %s, ready %t: want it well", s.Verdict, status.Ready(s).Ready)
		}
		return nil
	})
	first.end(t, true)
	shared(t, "the second with the shard", []string{"00"}, 1, second)
	second.end(t, true)
	r.start()
	r.drainAndCompare()
}

// A reader that is in no group takes the shard, as one of an earlier version
// does. The owner takes it back, for it may be one that has not heard yet.
func TestPipeline_AReaderOutsideTheGroupIsThrownOut(t *testing.T) {
	r := newShop(t, 1, 300)
	r.onKafka(kafkatest.Start(t))
	r.start()
	r.caughtUp()
	end := r.background()
	l, err := pipeline.OpenKafka(t.Context(), r.resolved(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	outside, err := l.OpenShard(t.Context(), stream.ShardOptions{
		Source: "s", Shard: "00", Topics: []string{stream.TopicName("shop", "orders"), stream.TopicName("shop", "customers")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	r.await("taken back", func(s status.Snapshot) bool {
		retry(r) // on a slow machine it may be too late for the owner to do so by itself
		return s.Shards[0].State == status.Streaming && s.Shards[0].Epoch > outside.Epoch()
	})
	end()
	r.caughtUp()
	if err := outside.Save(t.Context(), stream.SourcePosition{}); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the one outside saves a position: %v, want it fenced", err)
	}
	r.drainAndCompare()
}

// One process, four, and two of each sink, while rows are written.
func TestPipeline_SinksGrowAndShrinkUnderLoad(t *testing.T) {
	r := newShop(t, 2, 300)
	r.onKafka(kafkatest.Start(t))
	reader := r.part(pipeline.Reader)
	end := r.background()
	var sinks []*part
	grow := func(n int) {
		for range n {
			sinks = append(sinks, r.part(pipeline.Windows), r.part(pipeline.Lake))
		}
		at := reader.pipe.Snapshot()
		testenv.Wait(t, time.Minute, "more events", func() error {
			if now := reader.pipe.Snapshot(); r.publishedIn(now) < r.publishedIn(at)+100 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	grow(1)
	grow(3)
	for i, p := range sinks[:4] {
		p.end(t, i%2 == 0)
	}
	sinks = sinks[4:]
	grow(0)
	end()
	reader.end(t, true)
	for _, p := range sinks {
		p.end(t, true)
	}
	r.start()
	r.drainAndCompare()
}
