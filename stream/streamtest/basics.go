package streamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/stream"
)

// rows makes n events of one epoch, spread over the partitions.
func rows(epoch uint32, from, n int) []stream.Record {
	records := make([]stream.Record, n)
	for i := range records {
		tx := from + i
		records[i] = stream.Record{
			Topic: Topic, Partition: int32(tx % Partitions), Kind: stream.Event, Shard: Shard,
			LSN: change.LSN{Epoch: epoch, Txn: uint64(tx + 1), Row: 1}, Watermark: int64(tx + 1),
			TxID: txid(tx), Row: 1, Key: fmt.Appendf(nil, `["%d"]`, tx), Value: fmt.Appendf(nil, `{"tx":%d}`, tx),
		}
	}
	return records
}

// simple is a source whose transactions have one row each, as rows makes them.
func simple(n int) *Source {
	s := &Source{Orders: [][]int{nil}}
	for tx := range n {
		s.Tx = append(s.Tx, []Row{{Key: fmt.Sprintf(`["%d"]`, tx), Part: int32(tx % Partitions)}})
		s.Orders[0] = append(s.Orders[0], tx)
	}
	return s
}

func (e *env) publish(s stream.Session, records []stream.Record) {
	e.t.Helper()
	if err := s.Publish(e.ctx, records); err != nil {
		e.t.Fatalf("publish: %v", err)
	}
}

// check folds the whole log against a source.
func (e *env) check(src *Source) {
	e.t.Helper()
	for _, wrong := range Fold(src, e.all()) {
		e.t.Error(wrong)
	}
}

func events(records []stream.Record) []stream.Record {
	return slices.DeleteFunc(slices.Clone(records), func(r stream.Record) bool { return r.Kind != stream.Event })
}

func testOrder(t *testing.T, e *env) {
	s := e.session()
	for i := range 5 {
		e.publish(s, rows(s.Epoch(), i*40, 40))
	}
	next := make(map[int32]int64)
	txn := make(map[int32]uint64)
	for _, r := range e.all() {
		if r.Offset < next[r.Partition] {
			t.Fatalf("partition %d: got offset %d, want at least %d", r.Partition, r.Offset, next[r.Partition])
		}
		next[r.Partition] = r.Offset + 1
		if r.Kind != stream.Event {
			continue
		}
		if r.LSN.Txn <= txn[r.Partition] {
			t.Errorf("partition %d, offset %d: transaction %d behind %d", r.Partition, r.Offset, r.LSN.Txn, txn[r.Partition])
		}
		txn[r.Partition] = r.LSN.Txn
	}
	e.check(simple(200))
}

func testNumbers(t *testing.T, e *env) {
	s := e.session()
	records := rows(s.Epoch(), 0, 6)
	e.publish(s, records)
	for i, r := range records {
		if want := uint64(i/Partitions + 1); r.N != want {
			t.Errorf("record %d: Publish set number %d, want %d", i, r.N, want)
		}
	}
	beat := []stream.Record{{Topic: Topic, Partition: 1, Kind: stream.Heartbeat, Shard: Shard, LSN: records[5].LSN, Watermark: 900}}
	e.publish(s, beat)
	beat[0].Watermark, beat[0].Value, beat[0].Bare = 950, nil, true
	e.publish(s, beat)
	e.publish(s, rows(s.Epoch(), 6, 6))
	var got []string
	for _, r := range e.from(map[stream.TopicPartition]int64{tp(1): 0}) {
		got = append(got, fmt.Sprintf("%c%d", r.Kind, r.N))
		if r.Kind != stream.Event && r.Key != nil {
			t.Errorf("a %c has the key %q", r.Kind, r.Key)
		}
		bare := r.Kind == stream.Fence || r.Kind == stream.Heartbeat && r.Watermark == 950
		if bare && r.Value != nil {
			t.Errorf("a bare %c has the value %q", r.Kind, r.Value)
		}
		if r.Kind == stream.Heartbeat && !bare {
			want := fmt.Sprintf(`{"_op":"h","_shard":"s0","_ts_us":900,"_lsn":"%s","_n":2}`, records[5].LSN)
			if string(r.Value) != want {
				t.Errorf("got heartbeat %s, want %s", r.Value, want)
			}
		}
	}
	if want := []string{"f0", "e1", "e2", "h2", "h2", "e3", "e4"}; !slices.Equal(got, want) {
		t.Errorf("partition 1: got %v, want %v", got, want)
	}
}

// A publish is not a unit for consumers: wherever one saved its offset and its
// marks, it goes on exactly there.
func testResume(t *testing.T, e *env) {
	s := e.session()
	e.publish(s, rows(s.Epoch(), 0, 60))
	all := e.from(map[stream.TopicPartition]int64{tp(0): 0})
	for i := range all {
		rest := e.from(map[stream.TopicPartition]int64{tp(0): all[i].Offset})
		if len(rest) != len(all)-i || rest[0].Offset != all[i].Offset || rest[0].LSN != all[i].LSN {
			t.Fatalf("from offset %d: got %d records from %d, want %d", all[i].Offset, len(rest), rest[0].Offset, len(all)-i)
		}
	}
}

func testFields(t *testing.T, e *env) {
	s := e.session()
	want := stream.Record{
		Topic: Topic, Partition: 2, Kind: stream.Event, Shard: Shard,
		LSN: change.LSN{Epoch: s.Epoch(), Txn: change.MaxTxn, Row: 1<<32 - 1, Part: 65535}, Watermark: -5,
		TxID: "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:9223372036854775807", Row: 1<<32 - 1,
		Key: []byte("[\"\x00\xff\"]"), Value: bytes.Repeat([]byte("\x00\xffé{}"), 1000),
	}
	before := time.Now().Add(-time.Minute)
	e.publish(s, []stream.Record{want})
	got := events(e.all())[0]
	if got.Time.Before(before) || got.Time.After(time.Now().Add(time.Minute)) {
		t.Errorf("got publish time %v, want now", got.Time)
	}
	if got.Kind != want.Kind || got.Shard != want.Shard || got.LSN != want.LSN || got.Watermark != want.Watermark || got.TxID != want.TxID ||
		got.Row != want.Row || !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) || got.N != 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func testPollBound(t *testing.T, e *env) {
	s := e.session()
	records := rows(s.Epoch(), 0, 30)
	for i := range records {
		records[i].Value = fmt.Appendf(nil, `{"tx":%d,"pad":"%0*d"}`, i, 1000, i)
	}
	records[20].Value = fmt.Appendf(nil, `{"tx":20,"pad":"%0*d"}`, 50_000, 20)
	e.publish(s, records)
	const limit = 3000
	c := e.consumer(stream.ConsumerOptions{MaxBytes: limit}, map[stream.TopicPartition]int64{tp(0): 0, tp(1): 0, tp(2): 0})
	defer func() { _ = c.Close() }()
	for seen := 0; seen < len(records); {
		polled, err := c.Poll(e.ctx)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		parts := []int32{polled[0].Partition}
		for i, r := range polled {
			size += len(r.Key) + len(r.Value)
			if r.Kind == stream.Event {
				seen++
			}
			if i > 0 && r.Partition != polled[i-1].Partition {
				if slices.Contains(parts, r.Partition) {
					t.Errorf("partition %d comes in two groups of one poll", r.Partition)
				}
				parts = append(parts, r.Partition)
			}
		}
		if size > limit && len(polled) > 1 {
			t.Errorf("got %d bytes in %d records, want at most %d", size, len(polled), limit)
		}
	}
}

func testPollWaits(t *testing.T, e *env) {
	s := e.session()
	c := e.consumer(stream.ConsumerOptions{}, map[stream.TopicPartition]int64{tp(1): e.end(1)})
	defer func() { _ = c.Close() }()
	short, cancel := context.WithTimeout(e.ctx, 50*time.Millisecond)
	if got, err := c.Poll(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a poll of an idle partition: got %d records, %v, want the deadline", len(got), err)
	}
	cancel()
	polled := make(chan []stream.Record)
	go func() {
		got, err := c.Poll(e.ctx)
		if err != nil {
			t.Error(err)
		}
		polled <- got
	}()
	e.publish(s, rows(s.Epoch(), 1, 1))
	if got := events(<-polled); len(got) != 1 || got[0].TxID != txid(1) {
		t.Errorf("got %v, want the record that was published meanwhile", got)
	}
}

func testRecordLimit(t *testing.T, e *env) {
	const limit = 300_000
	if _, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: Topic, Partitions: Partitions, MaxRecord: limit}); err != nil {
		t.Fatal(err)
	}
	// Who only asks what the topic is leaves the limit alone.
	if _, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: Topic}); err != nil {
		t.Fatal(err)
	}
	s := e.session()
	records := rows(s.Epoch(), 0, 2)
	at := limit - len(records[1].Key)
	// Bytes that do not compress: the bound must hold on the wire as well.
	noise := make([]byte, at+1)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	records[1].Value = noise[:at]
	e.publish(s, records)
	if got := events(e.from(map[stream.TopicPartition]int64{tp(1): 0})); len(got) != 1 || !bytes.Equal(got[0].Value, noise[:at]) {
		t.Errorf("the record at the limit did not come back")
	}
	above := rows(s.Epoch(), 2, 3)
	above[2].Value = noise[:at+1]
	err := s.Publish(e.ctx, above)
	var large *stream.RecordTooLargeError
	if !errors.As(err, &large) || !errors.Is(err, stream.ErrSessionEnded) {
		t.Fatalf("a record above the limit: got %v, want RecordTooLargeError and ErrSessionEnded", err)
	}
	if want := (stream.RecordTooLargeError{Topic: Topic, KeyLen: len(above[2].Key), Size: limit + 1, Limit: limit}); *large != want {
		t.Errorf("got %+v, want %+v", *large, want)
	}
	if got := len(events(e.all())); got != 2 {
		t.Errorf("got %d events in the log, want 2: nothing of the refused publish", got)
	}
}

func testOutOfRange(t *testing.T, e *env) {
	s := e.session()
	e.publish(s, rows(s.Epoch(), 0, 3))
	for _, offset := range []int64{-1, e.end(0) + 1, 1 << 40} {
		c := e.consumer(stream.ConsumerOptions{}, map[stream.TopicPartition]int64{tp(0): offset})
		for range 2 {
			if got, err := c.Poll(e.ctx); !errors.Is(err, stream.ErrOffsetOutOfRange) {
				t.Errorf("poll at offset %d: got %d records, %v, want out of range", offset, len(got), err)
			}
		}
		if err := c.Assign(map[stream.TopicPartition]int64{tp(0): 0}); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Poll(e.ctx); err != nil || len(got) == 0 {
			t.Errorf("poll after another Assign: got %d records, %v", len(got), err)
		}
		_ = c.Close()
		if err := c.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
	}
	c := e.consumer(stream.ConsumerOptions{}, nil)
	defer func() { _ = c.Close() }()
	for _, at := range []stream.TopicPartition{{Topic: "never"}, {Topic: Topic, Partition: Partitions}, {Topic: Topic, Partition: -1}} {
		if err := c.Assign(map[stream.TopicPartition]int64{at: 0}); !errors.Is(err, stream.ErrUnknownTopic) {
			t.Errorf("assign %v: got %v, want unknown topic", at, err)
		}
	}
}

func testTopics(t *testing.T, e *env) {
	first, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: Topic})
	if err != nil || first.Partitions != Partitions || first.Incarnation == "" || first.Name != Topic {
		t.Fatalf("got %+v, %v", first, err)
	}
	if _, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: Topic, Partitions: Partitions + 1}); err == nil {
		t.Error("another partition count: got no error")
	}
	def, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: "tw.suite.default"})
	if err != nil || def.Partitions != 12 {
		t.Errorf("got %+v, %v, want 12 partitions", def, err)
	}
	if def.Incarnation == first.Incarnation {
		t.Error("two topics have one incarnation")
	}
	if _, err := e.log.Bounds(e.ctx, "never"); !errors.Is(err, stream.ErrUnknownTopic) {
		t.Errorf("bounds of no topic: got %v", err)
	}
	if _, err := e.log.OpenShard(e.ctx, stream.ShardOptions{Shard: Shard, Topics: []string{"never"}}); !errors.Is(err, stream.ErrUnknownTopic) {
		t.Errorf("a shard of no topic: got %v", err)
	}
	e.reopen()
	if again, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: Topic}); err != nil || again != first {
		t.Errorf("after opening again: got %+v, %v, want %+v", again, err, first)
	}
}

func testSchemas(t *testing.T, e *env) {
	s := change.Schema{View: "a/b", Columns: []change.Column{{Name: "id", Type: change.Int, Bits: 64}}, Key: []string{"id"}}
	wider := s
	wider.Columns = append(slices.Clone(s.Columns), change.Column{Name: "é", Type: change.Text, Nullable: true, Members: []string{"x"}})
	for _, put := range []change.Schema{s, wider, s} {
		if err := e.log.PutSchema(e.ctx, put); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		got, err := e.log.Schemas(e.ctx, "a/b")
		if err != nil || len(got) != 2 {
			t.Fatalf("got %d schemas, %v, want 2", len(got), err)
		}
		for _, want := range []change.Schema{s, wider} {
			one := got[want.Fingerprint()]
			if one.Fingerprint() != want.Fingerprint() || one.View != want.View {
				t.Errorf("got %+v, want %+v", one, want)
			}
		}
		if none, err := e.log.Schemas(e.ctx, "a"); err != nil || len(none) != 0 {
			t.Errorf("schemas of another view: got %v, %v", none, err)
		}
		e.reopen()
	}
}
