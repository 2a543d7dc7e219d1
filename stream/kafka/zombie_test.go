package kafka

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
)

// child is a process that publishes until it ends.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	errs bytes.Buffer

	mu   sync.Mutex
	acks []int
}

func startChild(t *testing.T, addr string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), killBroker+"="+addr)
	c.cmd.Stderr = &c.errs
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				c.mu.Lock()
				c.acks = append(c.acks, n)
				c.mu.Unlock()
			}
		}
		_ = c.cmd.Wait() // how it ended is in errs
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
	})
	return c
}

// last is the last transaction that was acknowledged, -1 before the first.
func (c *child) last() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.acks) == 0 {
		return -1
	}
	return c.acks[len(c.acks)-1]
}

func (c *child) await(t *testing.T, transaction int) {
	t.Helper()
	testenv.Wait(t, time.Minute, "transaction "+strconv.Itoa(transaction)+" of a process", func() error {
		if at := c.last(); at < transaction {
			return fmt.Errorf("it is at %d", at)
		}
		return nil
	})
}

// A reader is stopped in the middle of its work, another one takes its place,
// and the first goes on: it is fenced by the brokers, says so and ends, and
// every row that either was told is durable is committed once.
func TestHazard_B3_AStoppedReaderThatGoesOnIsFenced(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) string{
		"in process":   func(t *testing.T) string { return kafkatest.Start(t)[0] },
		"Apache Kafka": func(t *testing.T) string { return testenv.Kafka(t).Addr },
	} {
		t.Run(name, func(t *testing.T) {
			addr := start(t)
			acknowledged := -1
			for round := range 3 {
				first := startChild(t, addr)
				first.await(t, acknowledged+10+7*round)
				if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				second := startChild(t, addr)
				second.await(t, first.last()+10)
				if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				select {
				case <-first.done:
				case <-time.After(2 * time.Minute):
					t.Fatal("the process that was stopped goes on for ever")
				}
				if said := first.errs.String(); !strings.Contains(said, stream.ErrFenced.Error()) {
					t.Errorf("the process that was stopped says %q, want %q", said, stream.ErrFenced)
				}
				second.await(t, second.last()+5)
				_ = second.cmd.Process.Kill()
				<-second.done
				acknowledged = max(acknowledged, first.last(), second.last())
			}
			l, err := Open(t.Context(), Options{Brokers: []string{addr}, Name: "kill"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			s, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{killTopic}})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := s.Epoch(), uint32(7); got != want {
				t.Errorf("got epoch %d, want %d", got, want)
			}
			if err := s.(*Session).settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkKilled(t, acknowledged, valuesOf(committed(t, l, killTopic)))
		})
	}
}

// valuesOf are those of events.
func valuesOf(records []stream.Record) (values []string) {
	for i := range records {
		if records[i].Kind == stream.Event {
			values = append(values, string(records[i].Value))
		}
	}
	return values
}
