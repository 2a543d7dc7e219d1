package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/stream/internal/wire"
)

func sampleRecords(n, size int) []stream.Record {
	records := make([]stream.Record, n)
	for i := range records {
		records[i] = stream.Record{
			Topic: topic1, Kind: stream.Event, Shard: "03", LSN: change.LSN{Epoch: 1, Txn: uint64(i + 1), Row: 1}, N: uint64(i + 1), Watermark: int64(i),
			TxID: fmt.Sprint("3e11fa47-71ca-11e1-9e33-c80aa9429562:", i/2), Row: 1, Key: fmt.Appendf(nil, `["%d"]`, i),
			Value: fmt.Appendf(nil, `{"_op":"c","id":%d,"pad":"%0*d"}`, i, size, i),
		}
	}
	return records
}

// Another implementation of the format reads what batch writes.
func TestBatch_IsWhatKafkaReads(t *testing.T) {
	for _, n := range []int{1, 3, 400} {
		records := sampleRecords(n, 40)
		var b batch
		b.reset(stream.TopicPartition{Topic: topic1})
		for i := range records {
			b.add(&records[i])
		}
		raw, err := b.encode(1234)
		if err != nil {
			t.Fatal(err)
		}
		var kb kmsg.RecordBatch
		if err := kb.ReadFrom(raw); err != nil {
			t.Fatal(err)
		}
		if uint32(kb.CRC) != crc32.Checksum(raw[batchAttrs:], castagnoli) || int(kb.Length) != len(raw)-12 || kb.FirstTimestamp != 1234 || kb.ProducerID != -1 {
			t.Errorf("%d records: got header %+v", n, kb)
		}
		if compressed := kb.Attributes&7 == int16(kgo.CodecSnappy); compressed != (n == 400) {
			t.Errorf("%d records: compressed is %v", n, compressed)
		}
		got, err := kfake.BatchRecords(kb)
		if err != nil || len(got) != n {
			t.Fatalf("got %d records, %v, want %d", len(got), err, n)
		}
		for i, r := range got {
			want := &records[i]
			if int(r.OffsetDelta) != i || !bytes.Equal(r.Key, want.Key) || !bytes.Equal(r.Value, want.Value) || len(r.Headers) != 2 ||
				r.Headers[0].Key != "tw" || string(r.Headers[0].Value) != "ev" || r.Headers[1].Key != "tw.id" || !bytes.Equal(r.Headers[1].Value, wire.AppendID(nil, want)) {
				t.Errorf("record %d: got %+v, want %+v", i, r, want)
			}
		}
	}
}

func FuzzRecord(f *testing.F) {
	var b batch
	b.reset(stream.TopicPartition{})
	for _, r := range sampleRecords(3, 5) {
		b.add(&r)
	}
	f.Add(b.raw)
	f.Add([]byte("\x12\x00\x00\x00\x02k\x06foo\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := cursor{b: raw}
		for {
			if _, err := c.record(); err != nil {
				if !errors.Is(err, errBatch) {
					t.Errorf("got %v, want a damaged batch", err)
				}
				return
			}
		}
	})
}

func FuzzHeader(f *testing.F) {
	var b batch
	b.reset(stream.TopicPartition{})
	for _, r := range sampleRecords(3, 5) {
		b.add(&r)
	}
	raw, _ := b.encode(1)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := parseHeader(raw)
		if err == nil && (h.size < batchHeader || h.next <= h.base || h.count <= 0) {
			t.Errorf("an impossible header was taken: %+v", h)
		}
	})
}

func TestVarintLen_IsTheLengthOfAVarint(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 63, 64, 8191, 8192, 1 << 20, 1 << 30} {
		if got, want := varintLen(n), len(binary.AppendVarint(nil, int64(n))); got != want {
			t.Errorf("%d: got %d, want %d", n, got, want)
		}
	}
}
