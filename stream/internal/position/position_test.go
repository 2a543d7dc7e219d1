package position

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

func sample() *Position {
	return &Position{
		Epoch: 9, Clean: true, Saved: true, Source: []byte("gtid\x00set"), LSN: change.LSN{Epoch: 9, Txn: 4, Row: 2},
		Topics: map[string]Topic{
			"tw.x.orders": {Incarnation: "0123456789abcdef", Epoch: 9, Partitions: []Partition{
				{Next: 17, Known: true, Mark: stream.Mark{LSN: change.LSN{Epoch: 9, Txn: 3}, N: 5, Watermark: -1}},
				{Next: 0},
			}},
			"tw.x.users": {Incarnation: "fedcba9876543210", Epoch: 8, Partitions: []Partition{{Next: 1 << 40}}},
		},
		Skip: []stream.Published{
			{Topic: "tw.x.orders", TxID: "g:1", Row: 1, Part: 0, KeyHash: 1},
			{Topic: "tw.x.users", TxID: "g:1", Row: 2, Part: 65535, KeyHash: 1 << 63},
			{Topic: "tw.x.orders", TxID: "g:2", Row: 1 << 31, KeyHash: 7},
		},
	}
}

func TestPosition_RoundTrip(t *testing.T) {
	for _, want := range []*Position{sample(), {Topics: map[string]Topic{}}} {
		got, err := Decode(want.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Source) == 0 {
			got.Source = want.Source
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestPosition_CloneSharesNothing(t *testing.T) {
	p := sample()
	c := p.Clone()
	c.Topics["tw.x.orders"].Partitions[0].Next = 99
	delete(c.Topics, "tw.x.users")
	if !reflect.DeepEqual(p, sample()) {
		t.Errorf("a change of the clone changed the original: %+v", p)
	}
}

func TestPosition_RefusesDamage(t *testing.T) {
	whole := sample().Append(nil)
	for n := range whole {
		if _, err := Decode(whole[:n]); !errors.Is(err, errDamaged) {
			t.Fatalf("the first %d bytes: got %v, want damaged", n, err)
		}
	}
	if _, err := Decode(append(bytes.Clone(whole), 0)); !errors.Is(err, errDamaged) {
		t.Errorf("a byte too many: got %v, want damaged", err)
	}
}

func TestPosition_HoldsALargeTransactionInLittleSpace(t *testing.T) {
	p := &Position{Topics: map[string]Topic{}}
	for i := range 250_000 {
		p.Skip = append(p.Skip, stream.Published{Topic: "tw.x.orders", TxID: "3e11fa47-71ca-11e1-9e33-c80aa9429562:8812", Row: uint32(i), KeyHash: uint64(i)})
	}
	b := p.Append(nil)
	if got, most := len(b), 16*250_000; got > most {
		t.Errorf("got %d bytes, want at most %d", got, most)
	}
	back, err := Decode(b)
	if err != nil || len(back.Skip) != 250_000 || back.Skip[249_999] != p.Skip[249_999] {
		t.Errorf("got %d entries, %v", len(back.Skip), err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample().Append(nil))
	f.Add((&Position{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(p.Append(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("a position that was read cannot be written and read again: %v", err)
		}
	})
}

func TestFold_DecidesAsAConsumerDoes(t *testing.T) {
	tp := stream.TopicPartition{Topic: "t", Partition: 1}
	rec := func(offset int64, shard string, kind stream.Kind, epoch uint32, txn, n uint64) stream.Record {
		return stream.Record{Topic: "t", Partition: 1, Offset: offset, Kind: kind, Shard: shard, LSN: change.LSN{Epoch: epoch, Txn: txn, Part: 2},
			N: n, TxID: fmt.Sprint("g", txn), Row: uint32(txn), Key: []byte("k")}
	}
	f := NewFold("a")
	f.Start(tp, Partition{Next: 10, Known: true, Mark: stream.Mark{LSN: change.LSN{Epoch: 1, Txn: 2, Part: 2}, N: 2}})
	for _, r := range []stream.Record{
		rec(10, "a", stream.Event, 1, 2, 2), // written twice
		rec(11, "b", stream.Event, 5, 9, 9), // of another shard
		rec(12, "a", stream.Event, 1, 3, 3),
		rec(13, "a", stream.Fence, 2, 0, 0),
		rec(14, "a", stream.Event, 1, 4, 4), // of a zombie
		rec(15, "a", stream.Event, 2, 1, 1),
	} {
		if err := f.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	hash := stream.KeyHash([]byte("k"))
	want := []stream.Published{{Topic: "t", TxID: "g3", Row: 3, Part: 2, KeyHash: hash}, {Topic: "t", TxID: "g1", Row: 1, Part: 2, KeyHash: hash}}
	if !reflect.DeepEqual(f.Published, want) {
		t.Errorf("got %+v, want %+v", f.Published, want)
	}
	if f.Epoch != 2 || f.Next(tp) != 16 {
		t.Errorf("got epoch %d, next %d, want 2 and 16", f.Epoch, f.Next(tp))
	}
	at := f.At(tp)
	if !at.Known || at.Mark.LSN.Epoch != 2 || at.Mark.N != 1 || at.Next != 16 {
		t.Errorf("got %+v, want the mark of epoch 2", at)
	}
	gap := rec(16, "a", stream.Event, 2, 5, 9)
	var missing *stream.GapError
	if err := f.Add(&gap); !errors.As(err, &missing) || f.Next(tp) != 16 {
		t.Errorf("got %v at %d, want a gap and no progress", err, f.Next(tp))
	}
}
