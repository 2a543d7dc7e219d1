package pipeline

import (
	"tailwater/change"
	"tailwater/stream"
)

// chunkSize is the size of the buffers that hold keys and values of a batch.
const chunkSize = 256 << 10

// batch is what one Publish sends: records, and the memory that their keys and
// values live in. It is filled by the reader's goroutine, then owned by the
// publishing one, then given back.
type batch struct {
	records []stream.Record
	chunks  [][]byte
	bytes   int
	// committed is the number of records up to the last commit; those behind
	// it belong to a transaction that is still open.
	committed int
	// position is the source's position behind the last commit; nil when the
	// batch holds no commit.
	position []byte
	lsn      change.LSN
	// transactions counts the commits in the batch.
	transactions int
	// commits are the commit times of transactions that gave events, in µs.
	commits []commit
	// save asks the publishing goroutine to store position; skip goes with it.
	save bool
	skip []stream.Published
}

// commit is one transaction's commit time and how many events it gave.
type commit struct {
	micros int64
	events uint64
}

// hold copies b into the batch's memory and returns the copy.
func (b *batch) hold(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	b.bytes += len(p)
	n := len(b.chunks)
	if n == 0 || cap(b.chunks[n-1])-len(b.chunks[n-1]) < len(p) {
		b.chunks = append(b.chunks, make([]byte, 0, max(chunkSize, len(p))))
		n++
	}
	c := b.chunks[n-1]
	start := len(c)
	c = append(c, p...)
	b.chunks[n-1] = c
	return c[start:len(c):len(c)]
}

// reset empties the batch and keeps one ordinary chunk.
func (b *batch) reset() {
	clear(b.records)
	var keep []byte
	for _, c := range b.chunks {
		if cap(c) == chunkSize {
			keep = c[:0]
			break
		}
	}
	clear(b.chunks)
	chunks := b.chunks[:0]
	if keep != nil {
		chunks = append(chunks, keep)
	}
	*b = batch{records: b.records[:0], chunks: chunks, commits: b.commits[:0]}
}

// empty reports whether there is nothing to publish or to save.
func (b *batch) empty() bool { return len(b.records) == 0 && b.position == nil }
