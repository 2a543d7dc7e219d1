package pipeline_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka"
	"tailwater/stream/kafka/kafkatest"
)

// logged keeps what a pipeline logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines returns those that have all of the words.
func (l *logged) lines(words ...string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
lines:
	for line := range strings.Lines(l.text.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		out = append(out, line)
	}
	return out
}

// testHeld leaves transactions open as readers do that died, one of a shard and
// one of nobody that is known, and wants every process that looks to say so.
func testHeld(t *testing.T, brokers []string) {
	r := newShop(t, 2, 300)
	r.onKafka(brokers)
	var log logged
	var err error
	r.pipe, err = pipeline.Open(t.Context(), pipeline.Options{
		Config: r.resolved(), Roles: []pipeline.Role{pipeline.Lake}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var stop, hard context.Context
	stop, r.stop = context.WithCancel(context.Background())
	hard, r.kill = context.WithCancel(context.Background())
	pipe, done := r.pipe, make(chan error, 1)
	r.done = done
	go func() {
		done <- pipe.Run(stop, hard, time.Minute)
		close(done)
	}()
	orders, customers := stream.TopicName("shop", "orders"), stream.TopicName("shop", "customers")
	ends := []func(){
		kafkatest.LeaveOpen(t, brokers, kafka.TransactionalID("shop", "s", "01"), orders, 2),
		kafkatest.LeaveOpen(t, brokers, "somebody.else", customers, 0),
	}
	var held []status.Held
	r.await("two partitions held", func(s status.Snapshot) bool {
		held = s.Stream.Held
		return len(held) == 2 && held[0].Transaction != "" && held[1].Transaction != "" && s.Verdict == status.Degraded
	})
	if held[0].Topic != orders {
		held[0], held[1] = held[1], held[0]
	}
	if h := held[0]; h.Topic != orders || h.Partition != 2 || h.Shard != "01" || h.End <= h.Stable || h.Since.IsZero() {
		t.Errorf("got %+v, want partition 2 of the orders held by shard 01", h)
	}
	if h := held[1]; h.Topic != customers || h.Partition != 0 || h.Shard != "" || h.Transaction != "somebody.else" {
		t.Errorf("got %+v, want partition 0 of the customers held by somebody else", h)
	}
	if got := log.lines("level=WARN", "open transaction", "partitions="+orders+"/2", "shard=01"); len(got) != 1 {
		t.Errorf("got the warnings %q, want one of the shard's partition", got)
	}
	for _, end := range ends {
		end()
	}
	r.await("nothing held", func(s status.Snapshot) bool { return len(s.Stream.Held) == 0 && s.Verdict == status.OK })
	if got := log.lines("level=INFO", "seen again", "partitions="+orders+"/2"); len(got) != 1 {
		t.Errorf("got %q, want one line that says it is over", got)
	}
}

func TestPipeline_SaysWhichShardsOpenTransactionHidesRecords(t *testing.T) {
	t.Run("in process", func(t *testing.T) { testHeld(t, kafkatest.Start(t)) })
	t.Run("Apache Kafka", func(t *testing.T) { testHeld(t, []string{testenv.Kafka(t).Addr}) })
}
