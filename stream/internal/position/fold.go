package position

import (
	"strings"

	"tailwater/stream"
)

// Fold reads the tail of a log behind a position exactly as a consumer does,
// and remembers which events of the shard count: those must never be
// published again.
type Fold struct {
	shard string
	marks map[stream.TopicPartition]stream.Marks
	next  map[stream.TopicPartition]int64
	// Published lists the accepted events in the order met.
	Published []stream.Published
	// Epoch is the highest epoch of the shard met, accepted or not.
	Epoch uint32
}

// NewFold returns a fold of one shard without partitions.
func NewFold(shard string) *Fold {
	return &Fold{
		shard: shard,
		marks: make(map[stream.TopicPartition]stream.Marks),
		next:  make(map[stream.TopicPartition]int64),
	}
}

// Start adds a partition at where a position stands in it.
func (f *Fold) Start(tp stream.TopicPartition, at Partition) {
	m := stream.Marks{}
	if at.Known {
		m[f.shard] = at.Mark
		f.Epoch = max(f.Epoch, at.Mark.LSN.Epoch)
	}
	f.marks[tp] = m
	f.next[tp] = at.Next
}

// Add folds the next record of a started partition. An error means that the
// log lacks records.
func (f *Fold) Add(r *stream.Record) error {
	tp := stream.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	if r.Shard != f.shard {
		f.next[tp] = r.Offset + 1
		return nil
	}
	f.Epoch = max(f.Epoch, r.LSN.Epoch)
	ok, err := f.marks[tp].Accept(r)
	if err != nil {
		return err
	}
	f.next[tp] = r.Offset + 1
	if ok && r.Kind == stream.Event {
		// The key hash is over the key's bytes, which the record owns; the
		// text is cloned so that the list does not hold the record's buffer.
		f.Published = append(f.Published, stream.Published{
			Topic:   r.Topic,
			TxID:    f.txid(r.TxID),
			Row:     r.Row,
			Part:    r.LSN.Part,
			KeyHash: stream.KeyHash(r.Key),
		})
	}
	return nil
}

func (f *Fold) txid(s string) string {
	if n := len(f.Published); n > 0 && f.Published[n-1].TxID == s {
		return f.Published[n-1].TxID
	}
	return strings.Clone(s)
}

// Next returns the offset that the fold has reached in a partition.
func (f *Fold) Next(tp stream.TopicPartition) int64 { return f.next[tp] }

// At returns where the fold stands in a partition.
func (f *Fold) At(tp stream.TopicPartition) Partition {
	mark, known := f.marks[tp][f.shard]
	return Partition{Next: f.next[tp], Known: known, Mark: mark}
}
