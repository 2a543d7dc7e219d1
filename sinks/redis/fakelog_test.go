package redis

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"tailwater/change"
	"tailwater/stream"
)

// fakeLog is a stream in memory: one topic whose records a test appends,
// duplicates and trims as it likes.
type fakeLog struct {
	topic string

	mu          sync.Mutex
	incarnation string
	parts       [][]stream.Record
	first       []int64
	grown       chan struct{}
	polls       int
	pollErr     error
}

func newFakeLog(partitions int) *fakeLog {
	return &fakeLog{
		topic: "tw.shop.orders", incarnation: "log-1", grown: make(chan struct{}),
		parts: make([][]stream.Record, partitions), first: make([]int64, partitions),
	}
}

// append adds records to a partition; offsets go on for ever.
func (l *fakeLog) append(p int32, records ...stream.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		r.Topic, r.Partition, r.Offset = l.topic, p, int64(len(l.parts[p]))
		l.parts[p] = append(l.parts[p], r)
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// trim forgets the records of a partition below an offset.
func (l *fakeLog) trim(p int32, first int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first[p] = max(l.first[p], min(first, int64(len(l.parts[p]))))
}

func (l *fakeLog) end(p int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.parts[p]))
}

// failPolls makes every Poll fail, or work again with nil.
func (l *fakeLog) failPolls(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pollErr = err
}

func (l *fakeLog) EnsureTopic(_ context.Context, spec stream.TopicSpec) (stream.Topic, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return stream.Topic{Name: spec.Name, Partitions: len(l.parts), Incarnation: l.incarnation}, nil
}

func (l *fakeLog) Bounds(context.Context, string) ([]stream.Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]stream.Bounds, len(l.parts))
	for p := range l.parts {
		out[p] = stream.Bounds{First: l.first[p], Next: int64(len(l.parts[p]))}
	}
	return out, nil
}

func (l *fakeLog) NewConsumer(context.Context, stream.ConsumerOptions) (stream.Consumer, error) {
	return &fakeConsumer{log: l}, nil
}

// fakeConsumer reads a fakeLog, at most 100 records at a time.
type fakeConsumer struct {
	log  *fakeLog
	next map[int32]int64
}

func (c *fakeConsumer) Assign(offsets map[stream.TopicPartition]int64) error {
	c.next = map[int32]int64{}
	for tp, off := range offsets {
		c.next[tp.Partition] = off
	}
	return nil
}

func (c *fakeConsumer) Poll(ctx context.Context) ([]stream.Record, error) {
	for {
		records, grown, err := c.take()
		if err != nil || len(records) > 0 {
			return records, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

func (c *fakeConsumer) take() ([]stream.Record, <-chan struct{}, error) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polls++
	if l.pollErr != nil {
		return nil, nil, l.pollErr
	}
	var out []stream.Record
	for p, off := range c.next {
		if off < l.first[p] || off > int64(len(l.parts[p])) {
			return nil, nil, fmt.Errorf("offset %d of partition %d is out of range", off, p)
		}
		n := min(100, int64(len(l.parts[p]))-off)
		out = append(out, slices.Clone(l.parts[p][off:off+n])...)
		c.next[p] = off + n
	}
	return out, l.grown, nil
}

func (c *fakeConsumer) Close() error { return nil }

// fakeShard writes as one shard does: LSNs, record numbers and watermarks.
type fakeShard struct {
	log   *fakeLog
	name  string
	epoch uint32
	txn   uint64
	n     map[int32]uint64
	wm    int64
}

func (l *fakeLog) shard(name string) *fakeShard {
	return &fakeShard{log: l, name: name, epoch: 1, n: map[int32]uint64{}}
}

func (s *fakeShard) lsn() change.LSN {
	return change.LSN{Epoch: s.epoch, Txn: s.txn, Row: min(1, uint32(s.txn))}
}

// event appends one event with a commit time in seconds; columns is the rest
// of the JSON object, such as `"city":"Pune","amount":12.50`.
func (s *fakeShard) event(p int32, at float64, columns string) stream.Record {
	return s.op(p, "c", at, columns)
}

func (s *fakeShard) op(p int32, op string, at float64, columns string) stream.Record {
	s.txn++
	s.n[p]++
	micros := int64(at * 1e6)
	s.wm = max(s.wm, micros)
	value := fmt.Sprintf(`{"_op":%q,"_shard":%q,"_ts_us":%d,"_lsn":%q,%s}`, op, s.name, micros, s.lsn(), columns)
	r := stream.Record{Kind: stream.Event, Partition: p, Shard: s.name, LSN: s.lsn(), N: s.n[p], Watermark: s.wm, Key: []byte(`["k"]`), Value: []byte(value)}
	s.log.append(p, r)
	return r
}

// heartbeat appends a heartbeat to a partition; its watermark is in seconds.
func (s *fakeShard) heartbeat(p int32, at float64) stream.Record {
	s.wm = max(s.wm, int64(at*1e6))
	r := stream.Record{Kind: stream.Heartbeat, Shard: s.name, LSN: s.lsn(), N: s.n[p], Watermark: s.wm}
	s.log.append(p, r)
	return r
}

// beat sends a heartbeat to every partition.
func (s *fakeShard) beat(at float64) {
	for p := range s.log.parts {
		s.heartbeat(int32(p), at)
	}
}

// fence opens the next epoch in every partition.
func (s *fakeShard) fence() {
	s.epoch++
	s.txn = 0
	s.n = map[int32]uint64{}
	for p := range s.log.parts {
		s.log.append(int32(p), stream.Record{Kind: stream.Fence, Shard: s.name, LSN: s.lsn()})
	}
}
