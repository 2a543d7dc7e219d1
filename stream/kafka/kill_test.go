package kafka

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

const (
	killTopic  = "tw.kill.rows"
	killBroker = "TAILWATER_TEST_KILL_BROKER"
	kills      = 5
)

// TestMain turns the test binary into the child process that gets killed.
func TestMain(m *testing.M) {
	if addr := os.Getenv(killBroker); addr != "" {
		if err := publishUntilKilled(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// publishUntilKilled publishes transactions of two rows each, in order, most of
// them with the position, saves it now and then on its own, and prints a line for each acknowledged transaction.
func publishUntilKilled(addr string) error {
	ctx := context.Background()
	l, err := Open(ctx, Options{Brokers: []string{addr}, Name: "kill", Timeout: 30 * time.Second})
	if err != nil {
		return err
	}
	if _, err := l.EnsureTopic(ctx, stream.TopicSpec{Name: killTopic, Partitions: 2}); err != nil {
		return err
	}
	s, err := l.OpenShard(ctx, stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{killTopic}})
	if err != nil {
		return err
	}
	done := 0
	if rec := s.Recovered(); rec.Found {
		if err := json.Unmarshal(rec.Position.Source, &done); err != nil {
			return err
		}
	}
	standing := make(map[string]bool)
	for _, p := range s.Recovered().Skip {
		standing[fmt.Sprintf("%s/%d", p.TxID, p.Row)] = true
	}
	for tx := done; ; tx++ {
		var records []stream.Record
		for row := range 2 {
			if !standing[fmt.Sprintf("%d/%d", tx, row)] {
				records = append(records, killRow(s.Epoch(), tx, row))
			}
		}
		at := stream.SourcePosition{Source: []byte(strconv.Itoa(tx + 1))}
		switch tx % 5 {
		case 0, 1:
			err = s.Publish(ctx, records)
		default:
			err = s.(stream.TransactionalSession).PublishAt(ctx, records, at)
		}
		if err == nil && tx%5 == 0 {
			err = s.Save(ctx, at)
		}
		if err != nil {
			return err
		}
		fmt.Println(tx)
	}
}

func killRow(epoch uint32, tx, row int) stream.Record {
	return stream.Record{
		Topic: killTopic, Partition: int32(row), Kind: stream.Event, Shard: "a",
		LSN:  change.LSN{Epoch: epoch, Txn: uint64(tx + 1), Row: uint32(row + 1)},
		TxID: strconv.Itoa(tx), Row: uint32(row), Key: fmt.Appendf(nil, "[%d]", row), Value: fmt.Appendf(nil, `{"tx":%d,"row":%d}`, tx, row),
	}
}

// runAndKill starts the child, kills it behind so many acknowledgements, and
// returns the last transaction that it was told is durable.
func runAndKill(t *testing.T, addr string, acks int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killBroker+"="+addr)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, n := -1, 0
	for lines := bufio.NewScanner(out); lines.Scan(); n++ {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
		if n == acks {
			// What is on its way now is cut off wherever it is.
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	if n <= acks {
		t.Fatalf("the process ended by itself behind %d acknowledgements: %s", n, stderr.String())
	}
	return last
}

// A process that publishes is killed again and again between data, position
// and commit. A foreign client that reads committed records sees every
// acknowledged row once, and none twice, without knowing of marks or skip lists.
func TestKill9_ACommittedReaderSeesEveryRowOnce(t *testing.T) {
	server := testenv.Kafka(t)
	acknowledged := -1
	for i := range kills {
		acknowledged = max(acknowledged, runAndKill(t, server.Addr, 3+4*i))
	}
	// The next session ends what the last one has left open.
	l, err := Open(t.Context(), Options{Brokers: []string{server.Addr}, Name: "kill"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{killTopic}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Epoch(); got != kills+1 {
		t.Errorf("got epoch %d, want %d", got, kills+1)
	}
	if err := s.(*Session).settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := testenv.Kcat(t, "-b", server.Addr, "-C", "-t", killTopic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed", "-f", "%s\n")
	checkKilled(t, acknowledged, strings.Fields(string(out)))
}

// checkKilled wants both rows of each acknowledged transaction once, and none
// twice.
func checkKilled(t *testing.T, acknowledged int, values []string) {
	t.Helper()
	seen := make(map[string]int)
	for _, value := range values {
		seen[value]++
	}
	for tx := range acknowledged + 1 {
		for row := range 2 {
			value := fmt.Sprintf(`{"tx":%d,"row":%d}`, tx, row)
			if seen[value] != 1 {
				t.Errorf("%s is there %d times, want once", value, seen[value])
			}
		}
	}
	for value, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", value, n)
		}
	}
}
