package embedded

import (
	"bytes"
	"testing"

	"tailwater/stream"
)

// written3 adds three batches of two records each, at offsets 0, 2 and 4.
func written3(t *tail, p *partition) {
	for i := range 3 {
		var b batch
		b.reset(p.tp)
		records := sampleRecords(2, 100)
		for j := range records {
			b.add(&records[j])
		}
		t.add(p, int64(2*i), 7, &b)
	}
}

func TestTail_FindsTheBatchOfAnOffset(t *testing.T) {
	p, other := &partition{tp: stream.TopicPartition{Topic: topic1}}, &partition{}
	tail := newTail(1 << 20)
	written3(tail, p)
	if tail.bytes > 0 {
		t.Errorf("%d bytes are kept for nobody", tail.bytes)
	}
	p.readers.Add(1)
	written3(tail, p)
	for offset, want := range map[int64]int64{0: 0, 1: 0, 2: 2, 5: 4} {
		if w := tail.find(p, offset); w == nil || w.head.base != want || w.head.next != want+2 || w.head.time != 7 {
			t.Errorf("offset %d: got %+v, want the batch at %d", offset, w, want)
		}
	}
	if w := tail.find(p, 6); w != nil {
		t.Errorf("behind the end: got %+v", w.head)
	}
	if w := tail.find(other, 0); w != nil {
		t.Errorf("another partition: got %+v", w.head)
	}
}

// What does not fit goes, the oldest first, and nothing is kept beyond the limit.
func TestTail_IsBounded(t *testing.T) {
	p := &partition{tp: stream.TopicPartition{Topic: topic1}}
	p.readers.Add(1)
	probe := newTail(1 << 20)
	written3(probe, p)
	one := probe.bytes / 3
	for limit, first := range map[int64]int64{2*one + 1: 2, one + 1: 4, one - 1: -1, 0: -1} {
		tail := newTail(limit)
		written3(tail, p)
		if tail.bytes > limit {
			t.Errorf("limit %d: %d bytes are kept", limit, tail.bytes)
		}
		for base := int64(0); base < 6; base += 2 {
			if got, want := tail.find(p, base) != nil, first >= 0 && base >= first; got != want {
				t.Errorf("limit %d, offset %d: kept is %v, want %v", limit, base, got, want)
			}
		}
		if limit < one && len(tail.batches)+len(tail.queue) > 0 {
			t.Errorf("limit %d: %d partitions and %d batches are remembered", limit, len(tail.batches), len(tail.queue))
		}
	}
}

// A consumer that follows reads the same records whether they are kept or
// fetched, and from the middle of a batch too.
func TestConsumer_ReadsTheSameFromTheTail(t *testing.T) {
	one := newLog1(t)
	one.start()
	c, err := one.Log.NewConsumer(t.Context(), stream.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: topic1}: 0}); err != nil {
		t.Fatal(err)
	}
	one.publish(300, 100)
	one.publish(300, 100)
	want := readAll(t, one.Log, topic1)
	if one.Log.tail.bytes == 0 {
		t.Fatal("nothing was kept: the test shows nothing")
	}
	if err := c.Close(); err != nil || one.Log.topics.all()[0].partitions[0].readers.Load() != 0 {
		t.Errorf("a closed consumer counts as a reader (%v)", err)
	}
	one.Log.tail = newTail(0)
	got := readAll(t, one.Log, topic1)
	if len(got) != len(want) || len(got) < 600 {
		t.Fatalf("got %d records from the disk, %d from the tail", len(got), len(want))
	}
	for i := range got {
		a, b := &got[i], &want[i]
		if a.Offset != b.Offset || a.LSN != b.LSN || a.N != b.N || a.TxID != b.TxID || !a.Time.Equal(b.Time) || !bytes.Equal(a.Key, b.Key) || !bytes.Equal(a.Value, b.Value) {
			t.Fatalf("record %d: got %+v from the disk, %+v from the tail", i, a, b)
		}
	}
}
