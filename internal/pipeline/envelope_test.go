package pipeline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

// folded is what the events of one topic come to, as its consumers see them.
type folded struct {
	// rows are some columns of each row, by shard and id.
	rows map[string]string
	// ops counts the events by operation.
	ops map[change.Op]int
	// partitions are those of the rows, beats counts heartbeats.
	partitions map[string]int32
	beats      int
}

// plain is one event in words that all forms have.
type plain struct {
	op  change.Op
	key string
	row map[string]any
}

// decode reads an event as a consumer of the form does.
func decode(t *testing.T, kind envelope.Kind, r *stream.Record) plain {
	t.Helper()
	var v struct {
		Op            string `json:"_op"`
		DebeziumOp    string `json:"op"`
		Type          string `json:"type"`
		Before, After map[string]any
		Data          any
	}
	var key map[string]any
	if err := json.Unmarshal(r.Value, &v); err != nil {
		t.Fatalf("%s: %v in %s", kind, err, r.Value)
	}
	ops := map[string]change.Op{"insert": change.Create, "update": change.Update, "delete": change.Delete}
	var list []string
	into := any(&key)
	if kind.IsFlat() || kind == envelope.Canal {
		into = &list
	}
	if err := json.Unmarshal(r.Key, into); err != nil {
		t.Fatalf("%s: %v in the key %s", kind, err, r.Key)
	}
	switch kind {
	case envelope.Debezium:
		row := v.After
		if row == nil {
			row = v.Before
		}
		return plain{change.Op(v.DebeziumOp[0]), fmt.Sprint(key["shard"], "/", key["id"]), row}
	case envelope.Maxwell:
		return plain{ops[v.Type], fmt.Sprint(key["pk.shard"], "/", key["pk.id"]), v.Data.(map[string]any)}
	case envelope.Canal:
		return plain{ops[strings.ToLower(v.Type)], list[0] + "/" + list[1], v.Data.([]any)[0].(map[string]any)}
	}
	var row map[string]any
	if err := json.Unmarshal(r.Value, &row); err != nil {
		t.Fatal(err)
	}
	return plain{change.Op(v.Op[0]), list[0] + "/" + list[1], row}
}

// foldTopic reads a topic to its end, by the rule of every consumer.
func foldTopic(t *testing.T, log stream.Log, kind envelope.Kind, topic string) folded {
	t.Helper()
	bounds, err := log.Bounds(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	c, err := log.NewConsumer(t.Context(), stream.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	from, left, marks := map[stream.TopicPartition]int64{}, int64(0), map[int32]stream.Marks{}
	for p, b := range bounds {
		from[stream.TopicPartition{Topic: topic, Partition: int32(p)}] = b.First
		left += b.Next - b.First
		marks[int32(p)] = stream.Marks{}
	}
	if err := c.Assign(from); err != nil {
		t.Fatal(err)
	}
	out := folded{map[string]string{}, map[change.Op]int{}, map[string]int32{}, 0}
	for left > 0 {
		records, err := c.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			r := &records[i]
			left--
			accepted, err := marks[r.Partition].Accept(r)
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != stream.Event {
				if r.Kind == stream.Heartbeat {
					out.beats++
				}
				if foreign := !kind.IsFlat(); r.Key != nil || foreign && r.Value != nil {
					t.Fatalf("%s: a %c has the key %q and the value %q", topic, r.Kind, r.Key, r.Value)
				}
				continue
			}
			if accepted {
				out.take(t, decode(t, kind, r), r)
			}
		}
	}
	return out
}

func (f *folded) take(t *testing.T, e plain, r *stream.Record) {
	f.ops[e.op]++
	if was, ok := f.partitions[e.key]; ok && was != r.Partition {
		t.Errorf("%s: the row %s is in the partitions %d and %d", r.Topic, e.key, was, r.Partition)
	}
	f.partitions[e.key] = r.Partition
	if e.op == change.Delete {
		delete(f.rows, e.key)
		return
	}
	f.rows[e.key] = fmt.Sprint(e.row["city"], "|", e.row["coupon"])
}

// The readers crash in the middle of what they publish, and start again: every
// topic has each event once by its headers, whatever the form of its values.
func TestPipeline_EveryEnvelopeHasTheSameEventsAcrossACrash(t *testing.T) {
	r := newShop(t, 2, 400)
	r.edit = func(text string) string {
		return strings.Replace(text, "  orders: { from: orders }\n", `  orders: { from: orders }
  d: { from: orders, envelope: debezium }
  m: { from: orders, envelope: maxwell }
  c: { from: orders, envelope: canal }
`, 1)
	}
	r.start()
	end := r.background()
	r.await("published", func(s status.Snapshot) bool { return s.Views[0].Events > 500 })
	r.crash()
	r.start()
	r.await("published again", func(s status.Snapshot) bool { return s.Views[0].Events > 500 })
	end()
	r.caughtUp()
	r.await("sent a heartbeat", func(status.Snapshot) bool {
		return foldTopic(t, r.pipe.Log(), envelope.Debezium, "tw.shop.d").beats > 0
	})
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	want := foldTopic(t, r.pipe.Log(), envelope.Flat, "tw.shop.orders")
	if len(want.rows) < 100 || want.ops[change.Delete] == 0 || want.ops[change.Update] == 0 {
		t.Fatalf("the shop made only %d rows and the operations %v", len(want.rows), want.ops)
	}
	for name, kind := range map[string]envelope.Kind{"d": envelope.Debezium, "m": envelope.Maxwell, "c": envelope.Canal} {
		got := foldTopic(t, r.pipe.Log(), kind, "tw.shop."+name)
		if !maps.Equal(got.rows, want.rows) || !maps.Equal(got.ops, want.ops) {
			t.Errorf("%s: got %d rows of %v, want the %d rows of %v", kind, len(got.rows), got.ops, len(want.rows), want.ops)
		}
	}
}

// Other people's clients read the topics: kcat gets the records from the
// embedded stream, and Flink makes rows of them; heartbeats and fences are
// nothing to it.
func TestPipeline_FlinkReadsTheTopics(t *testing.T) {
	r := newShop(t, 2, 200)
	r.edit = func(text string) string {
		return strings.Replace(text, "  orders: { from: orders }\n", `  orders: { from: orders }
  d: { from: orders, envelope: debezium, select: { shard: shard, "*": "*" } }
  m: { from: orders, envelope: maxwell, select: { shard: shard, "*": "*" } }
  c: { from: orders, envelope: canal, select: { shard: shard, "*": "*" } }
`, 1)
	}
	r.start()
	r.write(time.Second)
	r.caughtUp()
	r.await("sent a heartbeat", func(status.Snapshot) bool {
		return foldTopic(t, r.pipe.Log(), envelope.Canal, "tw.shop.c").beats > 0
	})
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	want := foldTopic(t, r.pipe.Log(), envelope.Flat, "tw.shop.orders").rows
	for name, format := range map[string]string{"d": "debezium", "m": "maxwell", "c": "canal"} {
		values := testenv.Kcat(t, "-b", r.pipe.StreamAddr(), "-C", "-t", "tw.shop."+name, "-o", "beginning", "-e", "-q", "-f", "%s\n")
		if !bytes.Contains(values, []byte("\n\n")) {
			t.Errorf("%s: no record has a null value: heartbeats were not read", format)
		}
		got := map[string]string{}
		for _, line := range testenv.FlinkRead(t, format, "`shard` STRING, id BIGINT, city STRING, coupon STRING", values) {
			kind, row, _ := strings.Cut(line, " ")
			cells := strings.SplitN(row, "|", 3)
			if len(cells) != 3 {
				t.Fatalf("%s: Flink made %q", format, line)
			}
			if key := cells[0] + "/" + cells[1]; kind == "+I" || kind == "+U" {
				got[key] = strings.ReplaceAll(cells[2], "null", "<nil>")
			} else {
				delete(got, key)
			}
		}
		if len(want) < 50 || !maps.Equal(got, want) {
			t.Errorf("%s: Flink has %d rows, want the %d of the flat topic", format, len(got), len(want))
		}
	}
}
