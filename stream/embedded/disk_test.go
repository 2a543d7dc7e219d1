package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"tailwater/stream"
)

// A full disk, as the kernel reports it: the partition's next file is a link to
// /dev/full. The publish fails, nothing acknowledged is lost, and when there is
// space again everything works.
func TestFullDisk_EndsTheSessionAndWorksAgain(t *testing.T) {
	one := newLog1(t)
	if err := os.MkdirAll(one.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	full := segmentPath(one.dir(), 0)
	if err := os.Symlink("/dev/full", full); err != nil {
		t.Fatal(err)
	}
	_, err := one.OpenShard(t.Context(), stream.ShardOptions{Shard: "a", Topics: []string{topic1}})
	if err == nil || !strings.Contains(err.Error(), one.dir()) || !strings.Contains(err.Error(), "free") {
		t.Fatalf("a fence on a full disk: got %v, want the place and the space named", err)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	one.start()
	one.publish(3, 100)
	if got := len(readAll(t, one.Log, topic1)); got != 4 {
		t.Errorf("got %d records, want a fence and 3 events", got)
	}
	if got := one.s.Epoch(); got != 2 {
		t.Errorf("got epoch %d, want 2: the first claim was durable", got)
	}
}

// The disk is full where the broker begins a new file in the midst of a
// session.
func TestFullDisk_AtANewFile(t *testing.T) {
	one := newLog1(t)
	one.start()
	for {
		info, err := os.Stat(segmentPath(one.dir(), 0))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() >= segmentSize {
			break
		}
		one.publish(1, 500_000)
	}
	next := segmentPath(one.dir(), one.bounds().Next)
	if err := os.Symlink("/dev/full", next); err != nil {
		t.Fatal(err)
	}
	one.txn++
	if err := one.s.Publish(t.Context(), []stream.Record{one.record(500_000)}); !errors.Is(err, stream.ErrSessionEnded) {
		t.Fatalf("got %v, want the session to end", err)
	}
	if err := os.Remove(next); err != nil {
		t.Fatal(err)
	}
	acknowledged := one.bounds().Next
	one.start()
	one.publish(3, 100)
	if got, want := one.bounds().Next, acknowledged+4; got != want {
		t.Errorf("got end %d, want %d: a fence and 3 events behind what was acknowledged", got, want)
	}
	if got := int64(len(readAll(t, one.Log, topic1))); got != acknowledged+4 {
		t.Errorf("got %d records, want %d", got, acknowledged+4)
	}
	one.kill()
	one.open()
	if got := int64(len(readAll(t, one.Log, topic1))); got != acknowledged+4 {
		t.Errorf("after a kill: got %d records, want %d", got, acknowledged+4)
	}
}

func TestUsage_CountsRecordsAndSpace(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(10, 100_000)
	u, err := one.Usage()
	if err != nil || u.Bytes < 1_000_000 || u.Bytes > 1_100_000 || u.Free <= 0 || u.Total < u.Free {
		t.Errorf("got %+v, %v, want about 1 MB", u, err)
	}
}

// What the broker has and nobody synced is not handed out.
func TestConsumer_NeverSeesWhatIsNotSynced(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(2, 10)
	w, err := one.newWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	// With the syncer's lock held no round can end.
	one.txn++
	rec := one.record(10)
	rec.N = 3
	records := []stream.Record{rec}
	_, size := w.build(records)
	one.topics.change.Lock()
	one.topics.mu.Lock()
	if err := func() error {
		defer one.topics.mu.Unlock()
		defer one.topics.change.Unlock()
		if err := w.fill(1); err != nil {
			return err
		}
		if err := w.nc.do(t.Context(), w.request, w.reply); err != nil {
			return err
		}
		if got := one.cluster.PartitionInfo(topic1, 0).HighWatermark; got != 4 {
			t.Errorf("the broker ends at %d, want 4", got)
		}
		if got := one.topics.byName[topic1].partitions[0].synced.Load(); got != 3 {
			t.Errorf("the durable end is %d, want 3", got)
		}
		return nil
	}(); err != nil {
		t.Fatal(err)
	}
	_ = size
	// Nobody waits for it, yet it becomes visible by itself.
	c := one.newConsumer(stream.ConsumerOptions{})
	defer func() { _ = c.Close() }()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: topic1}: 3}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := c.Poll(ctx)
	if err != nil || len(got) != 1 || got[0].Offset != 3 {
		t.Errorf("got %v, %v, want the record at offset 3", got, err)
	}
}

// A sync that failed leaves the page cache in an unknown state: nothing may be
// acknowledged any more.
func TestSync_FailureEndsTheLog(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(1, 10)
	one.ends.f.Close() // the next write of the ends fails
	one.txn++
	err := one.s.Publish(t.Context(), []stream.Record{one.record(10)})
	if !errors.Is(err, stream.ErrSessionEnded) || !errors.Is(err, os.ErrClosed) {
		t.Fatalf("got %v, want the session to end by the failed sync", err)
	}
	if _, err := one.OpenShard(t.Context(), stream.ShardOptions{Shard: "a", Topics: []string{topic1}}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("open shard: got %v, want the failed sync", err)
	}
	c := one.newConsumer(stream.ConsumerOptions{})
	defer func() { _ = c.Close() }()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: topic1}: 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Poll(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("poll: got %v, want the failed sync", err)
	}
	one.kill()
	one.open()
	one.start()
	if got := len(one.s.Recovered().Skip); got != 2 {
		t.Errorf("got %d events in the log, want both: the second was written, if not acknowledged", got)
	}
}

func TestPublish_CancelledEndsTheSessionOnly(t *testing.T) {
	one := newLog1(t)
	one.start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	one.txn++
	if err := one.s.Publish(ctx, []stream.Record{one.record(10)}); !errors.Is(err, stream.ErrSessionEnded) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the session to end by the cancellation", err)
	}
	one.start()
	one.publish(1, 10)
}

func TestClosed_EveryCallSaysSo(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(1, 10)
	s := one.s
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	one.txn++
	calls := map[string]error{
		"publish": s.Publish(t.Context(), []stream.Record{one.record(1)}),
	}
	_, calls["ensure topic"] = one.EnsureTopic(t.Context(), stream.TopicSpec{Name: topic1})
	_, calls["open shard"] = one.OpenShard(t.Context(), stream.ShardOptions{Shard: "a", Topics: []string{topic1}})
	_, calls["new consumer"] = one.NewConsumer(t.Context(), stream.ConsumerOptions{})
	_, calls["usage"] = one.Usage()
	_, calls["trim"] = one.Trim(t.Context(), nil)
	for name, err := range calls {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A fetch may bring batches behind the durable end: they wait.
func TestReading_HoldsBackBatchesThatAreNotSynced(t *testing.T) {
	p := &partition{tp: stream.TopicPartition{Topic: topic1}}
	r := &reading{p: p}
	for base := range uint64(2) {
		var b batch
		b.reset(p.tp)
		for _, rec := range sampleRecords(1, 5) {
			b.add(&rec)
		}
		raw, err := b.encode(1)
		if err != nil {
			t.Fatal(err)
		}
		binary.BigEndian.PutUint64(raw, base)
		r.fetched = append(r.fetched, raw...)
	}
	p.synced.Store(1)
	c := &Consumer{log: &Log{tail: newTail(0)}}
	take := func() (offset int64, took bool) {
		ok, err := c.ready(r)
		if err != nil || !ok {
			return 0, false
		}
		var rec stream.Record
		if took, err = c.next(r, &rec); err != nil || !took {
			t.Fatalf("a batch that is ready gave %v, %v", took, err)
		}
		r.next = rec.Offset + 1
		return rec.Offset, true
	}
	for _, want := range []bool{true, false, false} {
		if offset, took := take(); took != want || offset != 0 {
			t.Fatalf("got offset %d, %v, want 0, %v", offset, took, want)
		}
	}
	p.synced.Store(2)
	if offset, took := take(); !took || offset != 1 {
		t.Errorf("once it is synced: got offset %d, %v, want 1, true", offset, took)
	}
}

// A consumer that follows closely gets its records from memory, as durable as
// those from the disk.
func TestReading_HoldsBackTheTailThatIsNotSynced(t *testing.T) {
	p := &partition{tp: stream.TopicPartition{Topic: topic1}}
	p.readers.Add(1)
	c := &Consumer{log: &Log{tail: newTail(1 << 20)}}
	for base := range int64(2) {
		var b batch
		b.reset(p.tp)
		for _, rec := range sampleRecords(1, 5) {
			b.add(&rec)
		}
		c.log.tail.add(p, base, 1, &b)
	}
	p.synced.Store(1)
	for next, want := range []bool{true, false} {
		if got, err := c.ready(&reading{p: p, next: int64(next)}); err != nil || got != want {
			t.Errorf("offset %d, synced up to 1: ready is %v, %v, want %v", next, got, err, want)
		}
	}
	p.synced.Store(2)
	if got, err := c.ready(&reading{p: p, next: 1}); err != nil || !got {
		t.Errorf("once it is synced: ready is %v, %v, want true", got, err)
	}
}
