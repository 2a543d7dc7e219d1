package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/stream"
)

const (
	killTopic = "tw.kill.rows"
	killDir   = "TAILWATER_TEST_KILL_DIR"
	kills     = 25
)

// TestMain turns the test binary into the child process that gets killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := publishUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// publishUntilKilled publishes transactions of two rows each, in order, saves
// now and then, and prints a line for each acknowledged transaction.
func publishUntilKilled(dir string) error {
	ctx := context.Background()
	l, err := Open(Options{Dir: dir, Name: "kill", Logger: quiet()})
	if err != nil {
		return err
	}
	if _, err := l.EnsureTopic(ctx, stream.TopicSpec{Name: killTopic, Partitions: 4}); err != nil {
		return err
	}
	s, err := l.OpenShard(ctx, stream.ShardOptions{Shard: "a", Topics: []string{killTopic}})
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
		standing[p.TxID+"/"+strconv.Itoa(int(p.Row))] = true
	}
	for tx := done; ; tx++ {
		var records []stream.Record
		for row := range 2 {
			if !standing[fmt.Sprintf("%d/%d", tx, row)] {
				records = append(records, killRow(s.Epoch(), tx, row))
			}
		}
		if err := s.Publish(ctx, records); err != nil {
			return err
		}
		fmt.Println(tx)
		if tx%7 == 0 {
			if err := s.Save(ctx, stream.SourcePosition{Source: []byte(strconv.Itoa(tx + 1))}); err != nil {
				return err
			}
		}
	}
}

func killRow(epoch uint32, tx, row int) stream.Record {
	key := fmt.Appendf(nil, "%d", (tx+row)%50)
	return stream.Record{
		Topic: killTopic, Partition: stream.Partition(key, 4), Kind: stream.Event, Shard: "a",
		LSN:  change.LSN{Epoch: epoch, Txn: uint64(tx + 1), Row: uint32(row + 1)},
		TxID: strconv.Itoa(tx), Row: uint32(row), Key: key, Value: fmt.Appendf(nil, `{"tx":%d,"pad":"%0*d"}`, tx, tx%3000, tx),
	}
}

// A process that publishes is killed at random moments. Everything that it was
// told is durable is there afterwards, once, in the order of each key.
func TestKill9_EveryAcknowledgedRecordOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	acknowledged := -1
	for i := range kills {
		last, err := runAndKill(t, dir, time.Duration(20+i*7%60)*time.Millisecond)
		if err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		acknowledged = max(acknowledged, last)
	}
	l, err := Open(Options{Dir: dir, Name: "kill", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	seen := make(map[string]int)
	last := make(map[string]uint64)
	marks := make(map[int32]stream.Marks)
	epochs := uint32(0)
	for _, r := range readAll(t, l, killTopic) {
		if marks[r.Partition] == nil {
			marks[r.Partition] = stream.Marks{}
		}
		ok, err := marks[r.Partition].Accept(&r)
		if err != nil {
			t.Fatal(err)
		}
		epochs = max(epochs, r.LSN.Epoch)
		if !ok || r.Kind != stream.Event {
			continue
		}
		seen[r.TxID+"/"+strconv.Itoa(int(r.Row))]++
		tx, _ := strconv.ParseUint(r.TxID, 10, 64)
		if tx < last[string(r.Key)] {
			t.Errorf("key %s: transaction %d behind %d", r.Key, tx, last[string(r.Key)])
		}
		last[string(r.Key)] = tx
	}
	for tx := range acknowledged + 1 {
		for row := range 2 {
			if n := seen[fmt.Sprintf("%d/%d", tx, row)]; n != 1 {
				t.Errorf("transaction %d, row %d: %d times, want once", tx, row, n)
			}
		}
	}
	if acknowledged < kills {
		t.Errorf("only %d transactions were acknowledged: the test shows nothing", acknowledged+1)
	}
	t.Logf("%d kills, %d epochs, %d transactions acknowledged", kills, epochs, acknowledged+1)
}

// runAndKill starts the child, kills it a while after its first line, and
// returns the last transaction that it was acknowledged.
func runAndKill(t *testing.T, dir string, after time.Duration) (int, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	last := -1
	lines := bufio.NewScanner(out)
	var timer *time.Timer
	for lines.Scan() {
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			last = n
		}
	}
	_ = cmd.Wait() // it was killed
	if timer == nil || stderr.Len() > 0 {
		return 0, fmt.Errorf("the child ended by itself: %s", stderr.String())
	}
	return last, nil
}

// readAll reads every durable record of a topic.
func readAll(t testing.TB, l *Log, topic string) []stream.Record {
	t.Helper()
	bounds, err := l.Bounds(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	offsets := make(map[stream.TopicPartition]int64)
	want := int64(0)
	for p, b := range bounds {
		offsets[stream.TopicPartition{Topic: topic, Partition: int32(p)}] = b.First
		want += b.Next - b.First
	}
	c := l.newConsumer(stream.ConsumerOptions{})
	defer func() { _ = c.Close() }()
	if err := c.Assign(offsets); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var records []stream.Record
	for int64(len(records)) < want {
		polled, err := c.Poll(ctx)
		if err != nil {
			t.Fatalf("poll after %d of %d records: %v", len(records), want, err)
		}
		records = append(records, polled...)
	}
	return records
}
