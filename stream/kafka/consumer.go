package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/wire"
)

const defaultPoll = 1 << 20

// Consumer reads committed records. See stream.Consumer.
type Consumer struct {
	log     *Log
	o       stream.ConsumerOptions
	client  *kgo.Client
	decoder wire.Decoder
	// queue are records that were fetched and not yet handed out.
	queue []*kgo.Record
	// out is what the last poll returned.
	out    []stream.Record
	failed error
	closed bool
}

var _ stream.Consumer = (*Consumer)(nil)

// NewConsumer returns a consumer. See stream.Log.
func (l *Log) NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("new consumer: %w", err)
	}
	if o.MaxBytes < 0 {
		return nil, fmt.Errorf("new consumer: MaxBytes %d is negative", o.MaxBytes)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultPoll
	}
	return &Consumer{log: l, o: o}, nil
}

// Assign replaces the assignment. See stream.Consumer.
func (c *Consumer) Assign(offsets map[stream.TopicPartition]int64) error {
	if c.closed {
		return errors.New("assign partitions: the consumer is closed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*c.log.o.Timeout)
	defer cancel()
	c.failed = nil
	for tp, offset := range offsets {
		if err := c.log.checkPartition(ctx, tp); err != nil {
			return fmt.Errorf("assign partitions: %w", err)
		}
		if offset < 0 { // the client would take it for a name of an offset
			c.failed = fmt.Errorf("topic %s, partition %d: offset %d: %w", tp.Topic, tp.Partition, offset, stream.ErrOffsetOutOfRange)
		}
	}
	c.drop()
	if len(offsets) == 0 || c.failed != nil {
		return nil
	}
	var err error
	c.client, err = c.log.reader(offsets, c.o.MaxBytes, c.o.Wait)
	return err
}

// drop gives up what is assigned. A client of its own for each assignment costs
// a connection and leaves nothing of the one before.
func (c *Consumer) drop() {
	if c.client != nil {
		c.client.Close()
	}
	c.client, c.queue = nil, nil
}

// Poll returns the next records. See stream.Consumer.
func (c *Consumer) Poll(ctx context.Context) ([]stream.Record, error) {
	if c.closed {
		return nil, errors.New("poll: the consumer is closed")
	}
	if c.failed != nil {
		return nil, c.failed
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	for len(c.queue) == 0 {
		if c.client == nil {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		fetches := c.client.PollFetches(ctx)
		c.queue = append(c.queue, fetches.Records()...)
		if len(c.queue) > 0 {
			failpoint.At(failpoint.KafkaPolled)
			break // an error that lasts comes again
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := fetchError(fetches); err != nil {
			if errors.Is(err, stream.ErrOffsetOutOfRange) {
				c.failed = err
			}
			return nil, c.log.explain("poll", err)
		}
	}
	return c.take()
}

// take hands out records up to the bound.
func (c *Consumer) take() ([]stream.Record, error) {
	size, n := 0, 0
	for _, r := range c.queue {
		if one := len(r.Key) + len(r.Value); n > 0 && size+one > c.o.MaxBytes {
			break
		}
		size += len(r.Key) + len(r.Value)
		n++
	}
	out := slices.Grow(c.out[:0], n)
	c.out = out
	for i, r := range c.queue[:n] {
		rec, err := c.record(r)
		if err != nil {
			if i > 0 {
				// What came before it is good; the error comes again.
				c.queue = c.queue[i:]
				return out, nil
			}
			c.failed = err
			return nil, err
		}
		out = append(out, rec)
		c.queue[i] = nil
	}
	c.queue = c.queue[n:]
	return out, nil
}

// record makes a stream's record of a Kafka one.
func (c *Consumer) record(r *kgo.Record) (stream.Record, error) {
	out := stream.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp.UnixMilli())}
	if r.Attrs.IsControl() {
		out.Kind, out.Key, out.Value = stream.Control, nil, nil
		return out, nil
	}
	var kind, id []byte
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case wire.HeaderKind:
			kind = h.Value
		case wire.HeaderID:
			id = h.Value
		}
	}
	if err := c.decoder.Decode(kind, id, &out); err != nil {
		return out, &stream.ForeignRecordError{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Reason: err.Error()}
	}
	return out, nil
}

// Close closes the connections. It is idempotent.
func (c *Consumer) Close() error {
	c.drop()
	c.closed = true
	return nil
}
