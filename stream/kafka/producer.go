package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/position"
	"tailwater/stream/internal/wire"
)

// transactionTimeout is how long the brokers keep a transaction open whose
// producer is silent: for as long, a dead reader holds up who reads behind it.
const transactionTimeout = 10 * time.Second

// producer writes the transactions of one session. One goroutine uses it. After
// an error it must be closed: what it has sent may or may not be committed.
type producer struct {
	log       *Log
	client    *kgo.Client
	positions string
	// began is when the last transaction did, by the wall clock, which goes on
	// while the machine sleeps.
	began time.Time
}

// written is where a transaction's records stand: the offset behind the last
// one in each partition.
type written map[stream.TopicPartition]int64

// newProducer makes a producer and initializes its transactional id, which ends
// what the one before it had begun and fences it.
func (l *Log) newProducer(ctx context.Context, o stream.ShardOptions) (*producer, error) {
	client, err := l.newClient(
		kgo.TransactionalID(TransactionalID(l.o.Name, o.Source, o.Shard)),
		kgo.TransactionTimeout(l.o.openFor),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytesFn(l.batchBytes),
		kgo.MaxBufferedRecords(1<<20),
		kgo.RecordDeliveryTimeout(max(l.o.Timeout, time.Second)),
		kgo.RetryTimeoutFn(func(key int16) time.Duration {
			if key == int16(kmsg.EndTxn) {
				// An end whose answer was lost is never sent again: it could end
				// the transaction after it.
				return time.Nanosecond
			}
			return 3 * l.o.Timeout
		}),
	)
	if err != nil {
		return nil, err
	}
	p := &producer{log: l, client: client, positions: l.positionTopic(o.Shard)}
	ctx, cancel := context.WithTimeoutCause(ctx, 3*l.o.Timeout, errNoAnswer)
	defer cancel()
	_, _, err = client.ProducerID(ctx)
	if err == nil {
		err = failpoint.Err(failpoint.KafkaProducerInit, kerr.CoordinatorNotAvailable)
	}
	if err != nil {
		client.Close()
		return nil, l.explain("initialize the transactional id of shard "+o.Shard, fenced(err))
	}
	return p, nil
}

// batchBytes bounds a batch: the topic takes its largest record alone.
func (l *Log) batchBytes(name string) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.topics[name]; t != nil {
		return int32(max(1<<20, t.maxRecord+batchSlack))
	}
	return maxPosition
}

// transact writes the records, and the position unless it is nil, in one
// transaction, and returns when that is committed.
func (p *producer) transact(ctx context.Context, records []stream.Record, save *position.Position) (written, error) {
	p.began = p.log.o.now().Round(0)
	if err := p.client.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("begin transaction: %w", fenced(err))
	}
	failpoint.At(failpoint.KafkaTxnBegun)
	sending, stop := context.WithTimeoutCause(ctx, 3*p.log.o.Timeout, errNoAnswer)
	at, err := p.send(sending, records, save)
	stop()
	if err != nil {
		return nil, p.log.explain("produce", fenced(err))
	}
	// The outcome must be known, also when the caller has given up.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 2*p.log.o.Timeout, errNoAnswer)
	defer cancel()
	failpoint.At(failpoint.KafkaTxnEnding)
	err = p.client.EndTransaction(ctx, kgo.TryCommit)
	if err == nil {
		err = failpoint.Err(failpoint.KafkaTxnEnded, errNoAnswer)
	}
	if err != nil {
		return nil, p.log.explain("commit transaction", fenced(err))
	}
	return at, nil
}

// overdue reports whether the brokers may have ended the last transaction
// because this process was silent for too long.
func (p *producer) overdue() bool { return p.log.o.now().Round(0).Sub(p.began) >= p.log.o.openFor }

// send sends and waits for every answer.
func (p *producer) send(ctx context.Context, records []stream.Record, save *position.Position) (written, error) {
	var mu sync.Mutex
	var failed error
	at := make(written)
	done := func(r *kgo.Record, err error) {
		mu.Lock()
		defer mu.Unlock()
		tp := stream.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		switch {
		case err != nil:
			if failed == nil || errors.Is(failed, context.Canceled) {
				failed = fmt.Errorf("topic %s, partition %d: %w", r.Topic, r.Partition, err)
			}
		default:
			at[tp] = max(at[tp], r.Offset+1)
		}
	}
	sent := make([]kgo.Record, len(records))
	headers := make([]kgo.RecordHeader, 2*len(records))
	var ids, kind []byte
	for i := range records {
		r := &records[i]
		if i == 0 || r.Kind != records[i-1].Kind {
			kind = []byte(wire.KindName(r.Kind))
		}
		// Ids stand one behind the other in buffers for many.
		if room := wire.MostID(r); cap(ids)-len(ids) < room {
			ids = make([]byte, 0, room*min(len(records)-i, idsAtOnce))
		}
		from := len(ids)
		ids = wire.AppendID(ids, r)
		h := headers[2*i : 2*i+2 : 2*i+2]
		h[0] = kgo.RecordHeader{Key: wire.HeaderKind, Value: kind}
		h[1] = kgo.RecordHeader{Key: wire.HeaderID, Value: ids[from:len(ids):len(ids)]}
		sent[i] = kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: h}
		p.client.Produce(ctx, &sent[i], done)
	}
	failpoint.At(failpoint.KafkaRecordsSent)
	if save != nil {
		p.client.Produce(ctx, &kgo.Record{Topic: p.positions, Key: []byte(positionKey), Value: encodePosition(save)}, done)
		failpoint.At(failpoint.KafkaPositionSent)
	}
	if err := p.client.Flush(ctx); err != nil {
		return nil, fmt.Errorf("wait for the brokers: %w", context.Cause(ctx))
	}
	if err := failpoint.Err(failpoint.KafkaRecordsAnswered, errNoAnswer); err != nil {
		return nil, fmt.Errorf("wait for the brokers: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return at, failed
}

// idsAtOnce is for how many ids there is room in one buffer.
const idsAtOnce = 256

// close gives up the producer. A transaction that is open stays so until the
// next session begins, or times out.
func (p *producer) close() { p.client.Close() }
