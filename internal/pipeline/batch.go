package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/stream/codec"
)

// chunkSize is the size of the buffers that hold keys and values of a batch.
const chunkSize = 256 << 10

// chunks are idle buffers of that size, shared by all shards: what a burst of
// one took serves the next of another, and an idle process gives them back.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// slabs are idle lists of records, shared as chunks are.
var slabs = sync.Pool{New: func() any { return new([]stream.Record) }}

// minSlab is how many records a list begins with.
const minSlab = 256

// batch is what one Publish sends: records, and the memory that their keys and
// values live in. It is filled by the reader's goroutine, then owned by the
// publishing one, then given back.
type batch struct {
	records []stream.Record
	// slab is where records came from, nil before the first.
	slab   *[]stream.Record
	chunks [][]byte
	bytes  int
	// committed is the number of records up to the last commit; those behind
	// it belong to a transaction that is still open.
	committed int
	// position is the source's position behind the last commit; nil when the
	// batch holds no commit.
	position []byte
	lsn      change.LSN
	// tables says that there are events of whole tables in it: no row follows
	// them in the same batch.
	tables bool
	// transactions counts the commits in the batch.
	transactions int
	// commits are the commit times of transactions that gave events, in µs.
	commits []commit
	// oldest is the commit time of the first transaction in it, in µs; 0 for
	// none. It stands in the shard's counters.
	oldest *atomic.Int64
	// save asks the publishing goroutine to store position; skip goes with it.
	save bool
	skip []stream.Published
}

// commit is one transaction's commit time and how many events it gave.
type commit struct {
	micros int64
	events uint64
}

// add appends a record; its key and value are held.
func (b *batch) add(r stream.Record) {
	if b.slab == nil {
		b.slab = slabs.Get().(*[]stream.Record)
		b.records = *b.slab
	}
	if len(b.records) == cap(b.records) {
		// Twice as many each time leaves less behind than append would.
		b.records = slices.Grow(b.records, max(minSlab, len(b.records)))
	}
	b.records = append(b.records, r)
}

// hold copies b into the batch's memory and returns the copy.
func (b *batch) hold(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	b.bytes += len(p)
	n := len(b.chunks)
	if n == 0 || cap(b.chunks[n-1])-len(b.chunks[n-1]) < len(p) {
		b.chunks = append(b.chunks, newChunk(len(p)))
		n++
	}
	c := b.chunks[n-1]
	start := len(c)
	c = append(c, p...)
	b.chunks[n-1] = c
	return c[start:len(c):len(c)]
}

// newChunk returns an empty buffer for n bytes or more.
func newChunk(n int) []byte {
	if n > chunkSize {
		return make([]byte, 0, n)
	}
	return chunks.Get().(*[chunkSize]byte)[:0]
}

// reset empties the batch. Its keys and values must not be used any more.
func (b *batch) reset() {
	if b.slab != nil {
		clear(b.records)
		*b.slab = b.records[:0]
		slabs.Put(b.slab)
	}
	for _, c := range b.chunks {
		if cap(c) == chunkSize {
			chunks.Put((*[chunkSize]byte)(c[:chunkSize]))
		}
	}
	clear(b.chunks)
	b.oldest.Store(0)
	*b = batch{chunks: b.chunks[:0], commits: b.commits[:0], oldest: b.oldest}
}

// begin notes that rows of a transaction may follow.
func (b *batch) begin(micros int64) {
	if b.oldest.Load() == 0 {
		b.oldest.Store(micros)
	}
}

// settle notes that the transaction begun last is committed or dropped: nothing
// waits in a batch without events.
func (b *batch) settle() {
	if len(b.commits) == 0 {
		b.oldest.Store(0)
	}
}

// empty reports whether there is nothing to publish or to save.
func (b *batch) empty() bool { return len(b.records) == 0 && b.position == nil }

// maxShownKey bounds how much of a key an error shows.
const maxShownKey = 200

// nameLarge adds to the error of a record that is too large which row it is:
// its table, its key as the view publishes it, and its transaction.
func nameLarge(b *batch, err error) error {
	var large *stream.RecordTooLargeError
	if !errors.As(err, &large) {
		return err
	}
	for i := range b.records {
		r := &b.records[i]
		if r.Topic != large.Topic || len(r.Key)+len(r.Value) < large.Size {
			continue
		}
		place := placeOf(r.Value)
		key := r.Key[:min(len(r.Key), maxShownKey)]
		return fmt.Errorf("table %s.%s, key %s, transaction %s, row %d: %w", unquoted(place[0]), unquoted(place[1]), key, r.TxID, r.Row, err)
	}
	return err
}

// placeOf returns the database and table that an event names, in whatever form,
// as JSON texts.
func placeOf(value []byte) (place [2][]byte) {
	names := []string{"database", "table"}
	switch {
	case bytes.HasPrefix(value, []byte(`{"_op":`)):
		names = []string{"_db", "_table"}
	case bytes.HasPrefix(value, []byte(`{"before":`)):
		var source [1][]byte
		if codec.NewPicker([]string{"source"}).Pick(value, source[:]) != nil {
			return place
		}
		value, names = source[0], []string{"db", "table"}
	}
	if codec.NewPicker(names).Pick(value, place[:]) != nil {
		return [2][]byte{}
	}
	return place
}

// unquoted is a JSON string's text; a view may leave the member out.
func unquoted(raw []byte) string {
	text, err := codec.AppendUnquote(nil, raw)
	if err != nil {
		return "?"
	}
	return string(text)
}
