package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/wire"
)

// The bounds of what one request carries, before compression. A record that is
// larger goes alone.
const (
	maxBatch   = 512 << 10
	maxRequest = 4 << 20
)

// What a request has beside its records, with room to spare: its head, and for
// each partition lengths and a topic's name.
const (
	requestRoom   = 256
	partitionRoom = 320
)

func brokerError(code int16) error { return kerr.ErrorForCode(code) }

// writer sends records to the broker: one request at a time, with at most one
// batch for each partition. It sends nothing twice.
type writer struct {
	log *Log
	nc  *conn
	// batches are those of the request being built, by partition and in order.
	// They are the log's: few writers build one at the same time, and all of them
	// use the same few buffers.
	batches map[stream.TopicPartition]*batch
	order   []*batch
	request *kmsg.ProduceRequest
	reply   *kmsg.ProduceResponse
	acked   map[*partition]span
}

func (l *Log) newWriter(ctx context.Context) (*writer, error) {
	nc, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(produceVersion)
	req.Acks = -1
	req.TimeoutMillis = int32(l.o.Timeout.Milliseconds())
	return &writer{
		log:     l,
		nc:      nc,
		batches: make(map[stream.TopicPartition]*batch),
		request: req,
		reply:   kmsg.NewPtrProduceResponse(),
		acked:   make(map[*partition]span),
	}, nil
}

// write sends the records, in as many rounds as their size needs, and waits
// until they are durable. After an error nothing more of them is sent.
func (w *writer) write(ctx context.Context, records []stream.Record) error {
	clear(w.acked)
	for len(records) > 0 {
		n, err := w.round(ctx, records)
		if err != nil {
			return err
		}
		records = records[n:]
	}
	return w.log.syncer.sync(ctx, w.acked)
}

// round builds and sends as many of the records as one request takes, when it
// is this writer's turn, and returns their number.
func (w *writer) round(ctx context.Context, records []stream.Record) (int, error) {
	if err := w.log.builders.Acquire(ctx, 1); err != nil {
		return 0, fmt.Errorf("wait for a turn to write: %w", context.Cause(ctx))
	}
	defer w.log.builders.Release(1)
	n, size := w.build(records)
	return n, w.send(ctx, size)
}

// build fills batches with a prefix of the records, and returns its length and
// its size in bytes.
func (w *writer) build(records []stream.Record) (n int, size int64) {
	w.order = w.order[:0]
	for i := range records {
		r := &records[i]
		tp := stream.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		most := int64(len(r.Key)+len(r.Value)) + int64(len(r.Shard)+len(r.TxID)) + 64
		if i > 0 && size+most > maxRequest {
			break
		}
		b := w.batches[tp]
		if b == nil {
			b = w.log.batches.take(tp)
			w.batches[tp] = b
			w.order = append(w.order, b)
		} else if int64(len(b.raw))+most > maxBatch {
			break
		}
		b.add(r)
		size += most
		n++
	}
	return n, size
}

// send sends the batches in one request and remembers where they stand.
func (w *writer) send(ctx context.Context, size int64) error {
	defer func() {
		for _, b := range w.order {
			delete(w.batches, b.tp)
			w.log.batches.give(b)
		}
	}()
	// The bytes are held about three times: built, compressed into the
	// request, and in the broker.
	weight := min(3*size, w.log.o.MemoryBytes)
	if err := w.log.memory.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("wait for memory: %w", context.Cause(ctx))
	}
	defer w.log.memory.Release(weight)
	now := time.Now().UnixMilli()
	if err := w.fill(now); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.log.o.Timeout, fmt.Errorf("no answer within %s", w.log.o.Timeout))
	defer cancel()
	*w.reply = kmsg.ProduceResponse{}
	if err := failpoint.Err(failpoint.StreamBatchAppending, io.ErrUnexpectedEOF); err != nil {
		return err
	}
	if err := w.nc.do(ctx, w.request, w.reply); err != nil {
		return err
	}
	if err := failpoint.Err(failpoint.StreamBatchAppended, io.ErrUnexpectedEOF); err != nil {
		return err
	}
	return w.acknowledge(now)
}

// fill makes the request of the batches, each topic once. Their time is millis.
func (w *writer) fill(millis int64) error {
	room := requestRoom
	w.request.Topics = w.request.Topics[:0]
	for _, b := range w.order {
		records, err := b.encode(millis)
		if err != nil {
			return err
		}
		part := kmsg.NewProduceRequestTopicPartition()
		part.Partition, part.Records = b.tp.Partition, records
		room += len(records) + partitionRoom
		at := -1
		for i := range w.request.Topics {
			if w.request.Topics[i].Topic == b.tp.Topic {
				at = i
			}
		}
		if at < 0 {
			t := kmsg.NewProduceRequestTopic()
			t.Topic = b.tp.Topic
			w.request.Topics = append(w.request.Topics, t)
			at = len(w.request.Topics) - 1
		}
		w.request.Topics[at].Partitions = append(w.request.Topics[at].Partitions, part)
	}
	w.nc.reserve(room)
	return nil
}

// acknowledge reads the answer: every batch of the request must be in it.
func (w *writer) acknowledge(millis int64) error {
	answered := 0
	for _, t := range w.reply.Topics {
		for _, a := range t.Partitions {
			tp := stream.TopicPartition{Topic: t.Topic, Partition: a.Partition}
			if a.ErrorCode != 0 {
				return fmt.Errorf("topic %s, partition %d: %w", t.Topic, a.Partition, w.refusal(tp, a.ErrorCode))
			}
			b := w.batches[tp]
			if b == nil || b.n == 0 {
				return fmt.Errorf("topic %s, partition %d: an answer to a batch that was not sent", t.Topic, a.Partition)
			}
			p, err := w.log.topics.partition(tp)
			if err != nil {
				return err
			}
			s := span{base: a.BaseOffset, end: a.BaseOffset + int64(b.n)}
			if _, again := w.acked[p]; again {
				s.base = unseen
			}
			w.acked[p] = s
			w.log.tail.add(p, a.BaseOffset, millis, b)
			answered++
		}
	}
	if answered != len(w.order) {
		return errors.New("produce: a partition is missing in the answer")
	}
	return nil
}

// refusal explains an error of the broker. It answers UNKNOWN_SERVER_ERROR
// when it cannot write its files.
func (w *writer) refusal(tp stream.TopicPartition, code int16) error {
	err := brokerError(code)
	if !errors.Is(err, kerr.UnknownServerError) {
		return err
	}
	if u, uerr := w.log.Usage(); uerr == nil {
		return fmt.Errorf("the broker could not write to %s, %d of %d bytes are free: %w", w.log.partitionPath(tp), u.Free, u.Total, err)
	}
	return err
}

func (l *Log) partitionPath(tp stream.TopicPartition) string {
	return partitionDir(l.logDir, tp.Topic, int(tp.Partition))
}

func (w *writer) close() { w.nc.close() }

// check refuses what must not be written, before anything is sent.
func (l *Log) check(r *stream.Record) error {
	p, err := l.topics.partition(stream.TopicPartition{Topic: r.Topic, Partition: r.Partition})
	if err != nil {
		return err
	}
	if err := wire.Check(r); err != nil {
		return fmt.Errorf("topic %s, partition %d: %w", r.Topic, r.Partition, err)
	}
	if size, limit := len(r.Key)+len(r.Value), int(p.topic.maxRecord.Load()); size > limit {
		return &stream.RecordTooLargeError{Topic: r.Topic, KeyLen: len(r.Key), Size: size, Limit: limit}
	}
	return nil
}
