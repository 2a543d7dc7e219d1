package streamtest

import (
	"fmt"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

// tableEvent is the event of a change of a table in one partition.
func tableEvent(epoch uint32, part int32) stream.Record {
	lsn := change.LSN{Epoch: epoch, Txn: 1, Row: 1, Part: uint16(part)}
	return stream.Record{
		Topic: Topic, Partition: part, Kind: stream.Event, Shard: Shard, LSN: lsn, Watermark: 1, TxID: txid(0), Row: 1,
		Value: fmt.Appendf(nil, `{"_op":"t","_lsn":"%s"}`, lsn),
	}
}

// The event of a table stands in every partition. Of one that came to some of
// them only, the next session learns to which, and writes the others.
func testTableEvent(t *testing.T, e *env) {
	old := e.session()
	e.publish(old, []stream.Record{tableEvent(old.Epoch(), 1)})
	heir := e.session()
	skip := make(map[uint16]bool)
	for _, p := range heir.Recovered().Skip {
		if p.Topic != Topic || p.TxID != txid(0) || p.Row != 1 || p.KeyHash != stream.KeyHash(nil) {
			t.Errorf("recovered %+v, want the event of the table", p)
		}
		skip[p.Part] = true
	}
	var rest []stream.Record
	for part := range int32(Partitions) {
		if !skip[uint16(part)] {
			rest = append(rest, tableEvent(heir.Epoch(), part))
		}
	}
	if len(rest) != Partitions-1 {
		t.Fatalf("the next session writes to %d partitions, want %d", len(rest), Partitions-1)
	}
	e.publish(heir, rest)
	marks, seen := make(map[int32]stream.Marks), make(map[int32]int)
	for _, r := range e.all() {
		if marks[r.Partition] == nil {
			marks[r.Partition] = stream.Marks{}
		}
		ok, err := marks[r.Partition].Accept(&r)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || r.Kind != stream.Event {
			continue
		}
		seen[r.Partition]++
		if !r.OfTable() || r.Key != nil || len(r.Value) == 0 {
			t.Errorf("got key %q and value %s, want no key and a value", r.Key, r.Value)
		}
	}
	for part := range int32(Partitions) {
		if seen[part] != 1 {
			t.Errorf("partition %d has %d events of the table, want 1", part, seen[part])
		}
	}
}
