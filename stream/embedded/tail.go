package embedded

import (
	"slices"
	"sort"
	"sync"
	"time"
)

// tailAge is how long a batch is kept for those who follow closely.
const tailAge = 5 * time.Second

// tail keeps the records of the batches written last, not compressed, so that
// a consumer that follows closely costs no request and unpacks nothing; of
// partitions that nobody reads it keeps nothing. It knows where the broker has put them, not whether they are synced: that is
// for the reader to ask.
type tail struct {
	// limit bounds the bytes kept; 0 keeps nothing.
	limit int64

	mu    sync.Mutex
	bytes int64
	// queue is in the order in which the batches came.
	queue   []*written
	batches map[*partition][]*written
}

// written is one batch. Its bytes are never changed.
type written struct {
	p    *partition
	head header
	body []byte
	at   time.Time
}

func newTail(limit int64) *tail {
	return &tail{limit: limit, batches: make(map[*partition][]*written)}
}

// add keeps a copy of a batch that the broker has put at base, and forgets
// what is too old or too much.
func (t *tail) add(p *partition, base, millis int64, b *batch) {
	if t.limit == 0 || p.readers.Load() == 0 {
		return
	}
	w := &written{
		p: p, at: time.Now(), body: slices.Clone(b.raw),
		head: header{base: base, next: base + int64(b.n), count: b.n, time: millis},
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = append(t.queue, w)
	t.batches[p] = append(t.batches[p], w)
	t.bytes += int64(len(w.body))
	n := 0
	for n < len(t.queue) && (t.bytes > t.limit || w.at.Sub(t.queue[n].at) > tailAge) {
		t.forget(t.queue[n])
		n++
	}
	t.queue = slices.Delete(t.queue, 0, n)
}

// forget drops the oldest batch, which is the first of its partition.
func (t *tail) forget(w *written) {
	t.bytes -= int64(len(w.body))
	if rest := t.batches[w.p][1:]; len(rest) > 0 {
		t.batches[w.p] = rest
		return
	}
	delete(t.batches, w.p)
}

// find returns the batch with the record at offset, or nil.
func (t *tail) find(p *partition, offset int64) *written {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.batches[p]
	i := sort.Search(len(of), func(i int) bool { return of[i].head.next > offset })
	if i == len(of) || of[i].head.base > offset {
		return nil
	}
	return of[i]
}
