package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
	"tailwater/stream/kafka/kafkatest"
)

// onKafka puts a rig's stream on a cluster, and its windows into a Redis that
// lives as long as the test.
func (r *shopRig) onKafka(brokers []string) {
	m := miniredis.RunT(r.t)
	r.edit = func(text string) string {
		return strings.Replace(text, "windows:\n", "windows:\n  store: { type: redis, url: \"redis://"+m.Addr()+"/0\" }\n", 1) +
			fmt.Sprintf("stream: { type: kafka, brokers: [%q], partitions: 3 }\n", brokers[0])
	}
}

func TestPipeline_OnKafkaLosesAndDoublesNothingOverCrashes(t *testing.T) {
	r := newShop(t, 2, 300)
	r.onKafka(kafkatest.Start(t))
	rng := rand.New(rand.NewPCG(3, 4))
	end := r.background()
	for range 6 {
		r.start()
		at := r.pipe.Snapshot()
		r.await("events", func(s status.Snapshot) bool { return r.publishedIn(s) >= r.publishedIn(at)+uint64(rng.IntN(200)) })
		r.crash()
	}
	end()
	r.start()
	r.drainAndCompare()
}

// part is a process of its own, but for the process.
type part struct {
	pipe       *pipeline.Pipeline
	stop, kill context.CancelFunc
	done       chan error
}

func (r *shopRig) part(roles ...pipeline.Role) *part {
	r.t.Helper()
	resolved := *r.resolved()
	resolved.StateDir = r.t.TempDir()
	p, err := pipeline.Open(r.t.Context(), pipeline.Options{Config: &resolved, Roles: roles, Logger: slog.New(slog.DiscardHandler), Load: r.load})
	if err != nil {
		r.t.Fatal(err)
	}
	var stop, hard context.Context
	out := &part{pipe: p, done: make(chan error, 1)}
	stop, out.stop = context.WithCancel(context.Background())
	hard, out.kill = context.WithCancel(context.Background())
	go func() { out.done <- p.Run(stop, hard, time.Minute) }()
	return out
}

// end ends a part, in order or as a crash does.
func (p *part) end(t *testing.T, orderly bool) {
	t.Helper()
	if orderly {
		p.stop()
	} else {
		p.kill()
	}
	err := <-p.done
	if orderly && err != nil {
		t.Errorf("Run = %v, want a clean end", err)
	}
	if err := p.pipe.Close(); err != nil {
		t.Error(err)
	}
}

// A reader, two processes of windows and two of the lake; the sinks come and
// go while rows are written.
func TestPipeline_RolesInProcessesOfTheirOwnShareTheWork(t *testing.T) {
	r := newShop(t, 2, 300)
	r.onKafka(kafkatest.Start(t))
	reader := r.part(pipeline.Reader)
	windows, lake := r.part(pipeline.Windows), r.part(pipeline.Lake)
	for i := range 3 {
		more := []*part{r.part(pipeline.Windows), r.part(pipeline.Lake)}
		r.write(500 * time.Millisecond)
		windows.end(t, i%2 == 0)
		lake.end(t, i%2 == 1)
		windows, lake = more[0], more[1]
		r.write(500 * time.Millisecond)
	}
	reader.end(t, true)
	windows.end(t, true)
	lake.end(t, true)
	// One process with every role takes the rest and compares.
	r.start()
	r.drainAndCompare()
}

// The broker dies while rows are written: it is seen at once, for as long as it
// is away, and with the reason.
func TestPipeline_ADeadBrokerIsSeenInTheLagAndTheState(t *testing.T) {
	broker := testenv.Kafka(t)
	r := newShop(t, 1, 300)
	r.onKafka([]string{broker.Addr})
	reader := r.part(pipeline.Reader)
	shard := func() status.Shard { return reader.pipe.Snapshot().Shards[0] }
	testenv.Wait(t, time.Minute, "streaming", func() error {
		if s := shard(); s.State != status.Streaming {
			return fmt.Errorf("it is %s: %s", s.State, s.Error)
		}
		return nil
	})
	end := r.background()
	testenv.Wait(t, time.Minute, "rows", func() error {
		if shard().Events == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	broker.Kill(t)
	end()
	var stalled status.Shard
	// A busy machine may keep a heartbeat back before that, which stalls it too.
	testenv.Wait(t, time.Minute, "the stream to stall it", func() error {
		if stalled = shard(); stalled.State != status.Stalled || !strings.Contains(stalled.Error, "the stream has not answered") {
			return fmt.Errorf("it is %s: %s", stalled.State, stalled.Error)
		}
		return nil
	})
	if stalled.LagSeconds == 0 {
		t.Errorf("a shard that is stalled has no lag")
	}
	if snap := reader.pipe.Snapshot(); snap.Verdict == status.OK || status.Ready(snap).Ready {
		t.Errorf("the verdict is %s and ready %t", snap.Verdict, status.Ready(snap).Ready)
	}
	// Also between two attempts, and in the next one.
	var last time.Time
	testenv.Wait(t, 2*time.Minute, "the next attempts", func() error {
		s := shard()
		if s.State != status.Connecting {
			return fmt.Errorf("it is %s: %s", s.State, s.Error)
		}
		if s.Error == "" || s.LagSeconds <= stalled.LagSeconds {
			t.Errorf("the shard is connecting with error %q and a lag of %f, want why, and more than %f", s.Error, s.LagSeconds, stalled.LagSeconds)
		}
		if last.IsZero() {
			last = time.Now()
		}
		if time.Since(last) < 5*time.Second {
			return errors.New("not for long")
		}
		return nil
	})
	broker.Restart(t)
	testenv.Wait(t, 2*time.Minute, "no lag", func() error {
		if s := shard(); s.State != status.Streaming || s.LagSeconds > 0 || s.Error != "" {
			return fmt.Errorf("it is %f, %s: %s", s.LagSeconds, s.State, s.Error)
		}
		return nil
	})
	reader.end(t, true)
}
