package embedded

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

// Any Kafka client reads the log: kcat sees keys, values and headers as
// docs/format/stream.md says.
func TestKcat_ReadsKeysValuesAndHeaders(t *testing.T) {
	one := newLog1(t)
	one.start()
	rec := one.record(0)
	rec.Key, rec.Value, rec.LSN, rec.Watermark = []byte(`["42"]`), []byte(`{"_op":"c","id":42}`), change.LSN{Epoch: 1, Txn: 9, Row: 1}, 1_763_632_210_123_456
	beat := stream.Record{Topic: topic1, Kind: stream.Heartbeat, Shard: "a", LSN: rec.LSN, Watermark: rec.Watermark + 1}
	if err := one.s.Publish(t.Context(), []stream.Record{rec, beat}); err != nil {
		t.Fatal(err)
	}
	out := string(testenv.Kcat(t, "-b", one.Addr(), "-C", "-t", topic1, "-o", "beginning", "-e", "-q", "-J"))
	for _, want := range []string{
		`"key":"[\"42\"]"`, `"payload":"{\"_op\":\"c\",\"id\":42}"`, `"headers":["tw","ev","tw.id",`, `"headers":["tw","fence"`, `"headers":["tw","hb"`,
		fmt.Sprintf(`\"_lsn\":\"%s\"`, rec.LSN), `"key":null`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("kcat does not show %s in\n%s", want, out)
		}
	}
	if got := strings.Count(out, "\n"); got != 3 {
		t.Errorf("kcat shows %d records, want 3", got)
	}
}

// Whoever writes to a topic but Tailwater stops its consumers, by name.
func TestConsumer_StopsAtAForeignRecord(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(2, 10)
	w, err := one.newWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	rec := one.record(10)
	if _, size := w.build([]stream.Record{rec}); size == 0 {
		t.Fatal("nothing was built")
	}
	b := w.order[0]
	b.raw = []byte("\x12\x00\x00\x00\x02k\x06foo\x00")
	if err := w.send(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	c := one.newConsumer(stream.ConsumerOptions{})
	defer func() { _ = c.Close() }()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: topic1}: 0}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for {
		records, err := c.Poll(t.Context())
		seen += len(records)
		if err == nil {
			continue
		}
		var foreign *stream.ForeignRecordError
		if !errors.As(err, &foreign) || foreign.Topic != topic1 || foreign.Offset != 3 || seen != 3 {
			t.Errorf("got %v after %d records, want a foreign record at offset 3", err, seen)
		}
		break
	}
	if _, err := one.OpenShard(t.Context(), stream.ShardOptions{Shard: "a", Topics: []string{topic1}}); err == nil || !strings.Contains(err.Error(), "offset 3") {
		t.Errorf("open shard: got %v, want the offset named", err)
	}
}
