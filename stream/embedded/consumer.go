package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/stream"
	"tailwater/stream/internal/wire"
)

const (
	defaultPoll       = 1 << 20
	maxPartitionFetch = 128 << 10
)

// Consumer reads durable records. See stream.Consumer.
//
// It asks the broker only for what is known to be there and synced, so a
// record is never handed out that a power cut could take back, and waiting
// costs nothing.
type Consumer struct {
	log      *Log
	maxBytes int
	nc       *conn
	decoder  wire.Decoder
	// assigned is in the order in which partitions are asked, which rotates.
	assigned []*reading
	failed   error
	request  *kmsg.FetchRequest
	reply    *kmsg.FetchResponse
	// out is what the last poll returned.
	out    []stream.Record
	closed bool
}

// reading is the state of one assigned partition.
type reading struct {
	p *partition
	// next is the offset of the next record to hand out.
	next int64
	// fetched are whole batches, compressed, from a fetch; rest are the
	// records of the batch being handed out.
	fetched []byte
	rest    cursor
	batch   header
	left    int32
	out     []stream.Record
}

// NewConsumer returns a consumer. See stream.Log.
func (l *Log) NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error) {
	if err := errors.Join(ctx.Err(), l.usable()); err != nil {
		return nil, fmt.Errorf("new consumer: %w", err)
	}
	if o.MaxBytes < 0 {
		return nil, fmt.Errorf("new consumer: MaxBytes %d is negative", o.MaxBytes)
	}
	return l.newConsumer(o), nil
}

func (l *Log) newConsumer(o stream.ConsumerOptions) *Consumer {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultPoll
	}
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(fetchVersion)
	req.ReplicaID = -1
	req.MinBytes = 1
	req.MaxBytes = int32(min(o.MaxBytes, 1<<30))
	req.SessionEpoch = -1
	return &Consumer{log: l, maxBytes: o.MaxBytes, request: req, reply: kmsg.NewPtrFetchResponse()}
}

// Assign replaces the assignment. See stream.Consumer.
func (c *Consumer) Assign(offsets map[stream.TopicPartition]int64) error {
	if c.closed {
		return errors.New("assign partitions: the consumer is closed")
	}
	assigned := make([]*reading, 0, len(offsets))
	for tp, offset := range offsets {
		p, err := c.log.topics.partition(tp)
		if err != nil {
			return fmt.Errorf("assign partitions: %w", err)
		}
		assigned = append(assigned, &reading{p: p, next: offset})
	}
	slices.SortFunc(assigned, func(a, b *reading) int {
		return compareTP(a.p.tp, b.p.tp)
	})
	c.leave()
	for _, r := range assigned {
		r.p.readers.Add(1)
	}
	c.assigned, c.failed = assigned, nil
	return nil
}

// leave ends the assignment.
func (c *Consumer) leave() {
	for _, r := range c.assigned {
		r.p.readers.Add(-1)
	}
	c.assigned = nil
}

func compareTP(a, b stream.TopicPartition) int {
	switch {
	case a.Topic < b.Topic:
		return -1
	case a.Topic > b.Topic:
		return 1
	}
	return int(a.Partition - b.Partition)
}

// Poll returns the next records. See stream.Consumer.
func (c *Consumer) Poll(ctx context.Context) ([]stream.Record, error) {
	if c.closed {
		return nil, errors.New("poll: the consumer is closed")
	}
	for c.failed == nil {
		// The channel is taken before the ends are looked at, so that nothing
		// is missed in between.
		changed := c.log.syncer.changed()
		if err := c.log.usable(); err != nil {
			return nil, fmt.Errorf("poll: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		records, err := c.take()
		if err != nil {
			return nil, c.remember(err)
		}
		if len(records) > 0 {
			c.rotate()
			return records, nil
		}
		fetched, err := c.fetch(ctx)
		if err != nil {
			return nil, c.remember(err)
		}
		if fetched {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, c.failed
}

// remember keeps an error that lasts until the next Assign.
func (c *Consumer) remember(err error) error {
	var foreign *stream.ForeignRecordError
	if errors.Is(err, stream.ErrOffsetOutOfRange) || errors.As(err, &foreign) {
		c.failed = err
	}
	return err
}

// take hands out what was fetched, up to the bound. Records are built where
// they stay, for they are large to copy.
func (c *Consumer) take() (out []stream.Record, err error) {
	out = c.out[:0]
	defer func() { c.out = out }()
	size := 0
	for _, r := range c.assigned {
		// Each gives a part, so that no partition runs ahead of the others.
		for begun := size; size < c.maxBytes && size-begun < maxPartitionFetch; {
			if ok, err := c.ready(r); err != nil || !ok {
				if err != nil && len(out) == 0 {
					return out, err
				}
				if err != nil {
					return out, nil // what came before it is good; the error comes again
				}
				break
			}
			out = append(out, stream.Record{})
			rec := &out[len(out)-1]
			took, err := c.next(r, rec)
			if err != nil || !took {
				out = out[:len(out)-1]
			}
			if err != nil {
				if len(out) > 0 {
					return out, nil
				}
				return out, err
			}
			if !took {
				continue
			}
			n := len(rec.Key) + len(rec.Value)
			if size > 0 && size+n > c.maxBytes {
				r.out = append(r.out[:0], *rec)
				return out[:len(out)-1], nil
			}
			size += max(n, 1)
			r.next = rec.Offset + 1
		}
	}
	return out, nil
}

// ready reports whether a partition has a record at hand.
func (c *Consumer) ready(r *reading) (bool, error) {
	if len(r.out) > 0 || r.left > 0 {
		return true, nil
	}
	if len(r.fetched) > 0 {
		return r.open()
	}
	if r.next < r.p.first.Load() {
		return false, nil
	}
	w := c.log.tail.find(r.p, r.next)
	if w == nil || w.head.next > r.p.synced.Load() {
		return false, nil
	}
	r.batch, r.left, r.rest = w.head, w.head.count, cursor{b: w.body}
	return true, nil
}

// next fills in the next record of a partition that is ready. It reports false
// for one that lies before the offset that was asked for.
func (c *Consumer) next(r *reading, rec *stream.Record) (bool, error) {
	if len(r.out) > 0 {
		*rec = r.out[0]
		r.out = r.out[:0]
		return true, nil
	}
	raw, err := r.rest.record()
	offset := r.batch.base + raw.delta
	if err != nil || offset < r.batch.base || offset >= r.batch.next {
		return false, r.foreign(r.next, fmt.Sprintf("%v", errBatch))
	}
	r.left--
	if offset < r.next {
		return false, nil
	}
	rec.Topic, rec.Partition, rec.Offset = r.p.tp.Topic, r.p.tp.Partition, offset
	rec.Key, rec.Value, rec.Time = raw.key, raw.value, time.UnixMilli(r.batch.time+raw.time)
	if err := c.decoder.Decode(raw.kind, raw.id, rec); err != nil {
		return false, r.foreign(offset, err.Error())
	}
	return true, nil
}

func (r *reading) foreign(offset int64, reason string) error {
	r.left, r.fetched = 0, nil
	return &stream.ForeignRecordError{Topic: r.p.tp.Topic, Partition: r.p.tp.Partition, Offset: offset, Reason: reason}
}

// open unpacks the next fetched batch that is durable, and reports whether
// there was one. The records alias the unpacked bytes, which belong to whoever
// gets them.
func (r *reading) open() (bool, error) {
	for len(r.fetched) > 0 {
		h, err := parseHeader(r.fetched)
		if err != nil || h.size > len(r.fetched) {
			return false, r.foreign(r.next, fmt.Sprintf("%v", errBatch))
		}
		if h.next > r.p.synced.Load() {
			// Batches are synced whole; this one will be.
			return false, nil
		}
		body := r.fetched[batchHeader:h.size]
		r.fetched = r.fetched[h.size:]
		if h.next <= r.next {
			continue
		}
		if body, err = unpack(body, h.codec); err != nil {
			return false, r.foreign(h.base, err.Error())
		}
		r.batch, r.left, r.rest = h, h.count, cursor{b: body}
		return true, nil
	}
	return false, nil
}

// rotate changes the order of the partitions, so that a full answer does not
// starve the last ones.
func (c *Consumer) rotate() {
	if len(c.assigned) > 1 {
		c.assigned = append(c.assigned[1:], c.assigned[0])
	}
}

// fetch asks the broker for every assigned partition that has durable records
// and none at hand, and reports whether anything came.
func (c *Consumer) fetch(ctx context.Context) (bool, error) {
	c.request.Topics = c.request.Topics[:0]
	for _, r := range c.assigned {
		if r.left > 0 || len(r.out) > 0 {
			continue
		}
		first, synced := r.p.first.Load(), r.p.synced.Load()
		if r.next < first || r.next > synced {
			return false, fmt.Errorf("topic %s, partition %d: offset %d: %w: it has %d to %d", r.p.tp.Topic, r.p.tp.Partition, r.next, stream.ErrOffsetOutOfRange, first, synced)
		}
		if r.next < synced {
			c.want(r)
		}
	}
	if len(c.request.Topics) == 0 {
		return false, nil
	}
	weight := min(int64(c.request.MaxBytes)*2, c.log.o.MemoryBytes)
	if err := c.log.memory.Acquire(ctx, weight); err != nil {
		return false, context.Cause(ctx)
	}
	defer c.log.memory.Release(weight)
	if err := c.ask(ctx); err != nil {
		return false, fmt.Errorf("fetch: %w", err)
	}
	return c.keep()
}

// want adds a partition to the request.
func (c *Consumer) want(r *reading) {
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = r.p.tp.Partition, r.next, int32(min(maxPartitionFetch, c.maxBytes))
	for i := range c.request.Topics {
		if t := &c.request.Topics[i]; t.Topic == r.p.tp.Topic {
			t.Partitions = append(t.Partitions, part)
			return
		}
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic = r.p.tp.Topic
	t.Partitions = append(t.Partitions, part)
	c.request.Topics = append(c.request.Topics, t)
}

// ask sends the request; a connection that broke is made again.
func (c *Consumer) ask(ctx context.Context) error {
	if c.nc == nil || c.nc.err != nil {
		nc, err := c.log.dial(ctx)
		if err != nil {
			return err
		}
		c.nc = nc
	}
	*c.reply = kmsg.FetchResponse{}
	return c.nc.do(ctx, c.request, c.reply)
}

// keep copies what came: the answer's bytes are the connection's.
func (c *Consumer) keep() (bool, error) {
	came := false
	for _, t := range c.reply.Topics {
		for i := range t.Partitions {
			a := &t.Partitions[i]
			at := slices.IndexFunc(c.assigned, func(r *reading) bool {
				return r.p.tp == stream.TopicPartition{Topic: t.Topic, Partition: a.Partition}
			})
			if at < 0 {
				continue
			}
			if a.ErrorCode != 0 {
				return false, fmt.Errorf("fetch from topic %s, partition %d, offset %d: %w", t.Topic, a.Partition, c.assigned[at].next, brokerError(a.ErrorCode))
			}
			if len(a.RecordBatches) > 0 {
				c.assigned[at].fetched = slices.Clone(a.RecordBatches)
				came = true
			}
		}
	}
	return came, nil
}

// Close closes the connection. It is idempotent.
func (c *Consumer) Close() error {
	if !c.closed && c.nc != nil {
		c.nc.close()
	}
	c.leave()
	c.closed = true
	return nil
}
