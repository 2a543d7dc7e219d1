package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/stream"
)

// pollEvery is the pause between two looks at what the cluster is about to do.
const pollEvery = 20 * time.Millisecond

// scan hands every committed record of a partition from offset first below
// offset end to f, and waits for transactions that are open there. It returns
// the offset behind the last one, which is at least end.
func (l *Log) scan(ctx context.Context, at stream.TopicPartition, first, end int64, f func(*kgo.Record) error) (int64, error) {
	if first >= end {
		return first, nil
	}
	c, err := l.reader(map[stream.TopicPartition]int64{at: first}, maxFetch, 0)
	if err != nil {
		return first, err
	}
	defer c.Close()
	for first < end {
		wait, cancel := context.WithTimeoutCause(ctx, transactionTimeout+2*l.o.Timeout, errNoAnswer)
		fetches := c.PollFetches(wait)
		cause := context.Cause(wait)
		cancel()
		if err := fetchError(fetches); err != nil {
			if cause != nil {
				err = cause
			}
			return first, fmt.Errorf("read topic %s, partition %d at offset %d: %w", at.Topic, at.Partition, first, err)
		}
		for r := range fetches.RecordsAll() {
			first = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := f(r); err != nil {
				return first, err
			}
		}
	}
	return first, nil
}

// reader makes a client that reads committed records from offsets. Control
// records are among them: they make the end of a partition visible.
func (l *Log) reader(offsets map[stream.TopicPartition]int64, maxBytes int, wait time.Duration) (*kgo.Client, error) {
	if wait == 0 {
		wait = 100 * time.Millisecond
	}
	from := make(map[string]map[int32]kgo.Offset)
	for tp, offset := range offsets {
		if from[tp.Topic] == nil {
			from[tp.Topic] = make(map[int32]kgo.Offset)
		}
		from[tp.Topic][tp.Partition] = kgo.NewOffset().At(offset)
	}
	return l.newClient(
		kgo.ConsumePartitions(from),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMinBytes(1),
		kgo.FetchMaxWait(max(wait, 10*time.Millisecond)),
		kgo.FetchMaxBytes(int32(min(maxBytes, maxWrite))),
		kgo.FetchMaxPartitionBytes(int32(min(maxBytes, maxPartitionFetch))),
		kgo.MaxConcurrentFetches(1),
	)
}

// fetchError returns the first error of a poll that is not about a single
// broker's connection: those the client mends itself.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		var lost *kgo.ErrDataLoss
		switch {
		case errors.Is(e.Err, kerr.OffsetOutOfRange), errors.As(e.Err, &lost):
			return fmt.Errorf("topic %s, partition %d: %w: %w", e.Topic, e.Partition, stream.ErrOffsetOutOfRange, e.Err)
		case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, kgo.ErrClientClosed):
			return e.Err
		case kerr.IsRetriable(e.Err), errors.Is(e.Err, kerr.UnknownTopicOrPartition):
			continue
		default:
			return fmt.Errorf("topic %s, partition %d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return nil
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
