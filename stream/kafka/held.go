package kafka

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"tailwater/stream"
)

// heldAfter is how long a partition's last stable offset may stand still below
// its end. A publish takes milliseconds; what takes longer is a session that
// stands still or has died inside a transaction.
const heldAfter = 2 * time.Second

// Held is a partition of which nobody sees the newest records, of whichever
// shard: they lie behind the first record of a transaction that is open.
type Held struct {
	stream.TopicPartition
	// Stable is the last stable offset, which no reader passes, and End the
	// offset behind the last record.
	Stable, End int64
	// Since is when Stable was first seen to stand there.
	Since time.Time
	// Transaction is the transactional id that is open there, "" where the
	// brokers do not tell.
	Transaction string
}

// TransactionalID is the transactional id of a shard.
func TransactionalID(pipeline, source, shard string) string {
	return stream.TopicName(pipeline, source+"."+shard)
}

// Watch looks for partitions that are held. One goroutine uses it.
type Watch struct {
	log    *Log
	topics []string
	stands standstills
	// holders are the transactional ids found for what is held.
	holders map[stream.TopicPartition]string
}

// NewWatch returns a Watch over all partitions of some topics.
func (l *Log) NewWatch(topics ...string) *Watch {
	return &Watch{log: l, topics: topics, stands: make(standstills), holders: make(map[stream.TopicPartition]string)}
}

// Look asks the brokers where the partitions stand, and returns those that are
// held, in order. It takes a few round trips and must be called again and again,
// several times in two seconds.
func (w *Watch) Look(ctx context.Context) ([]Held, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*w.log.o.Timeout, errNoAnswer)
	defer cancel()
	var held []Held
	for _, name := range w.topics {
		stable, err := w.log.offsets(ctx, name, w.log.admin.ListCommittedOffsets)
		if err != nil {
			return nil, err
		}
		end, err := w.log.offsets(ctx, name, w.log.admin.ListEndOffsets)
		if err != nil {
			return nil, err
		}
		now := w.log.o.now()
		for i := range min(len(stable), len(end)) {
			tp := stream.TopicPartition{Topic: name, Partition: int32(i)}
			if since, is := w.stands.see(now, tp, stable[i], end[i]); is {
				held = append(held, Held{TopicPartition: tp, Stable: stable[i], End: end[i], Since: since})
			}
		}
	}
	w.name(ctx, held)
	return held, nil
}

// standstills remember where the stable offsets of partitions stand below their
// ends, and since when.
type standstills map[stream.TopicPartition]stand

type stand struct {
	stable int64
	since  time.Time
}

// see takes what a partition shows now. It reports whether the stable offset
// has stood below the end for long enough, and since when. One that moves does
// not count: where many shards write, some transaction is open at any time.
func (s standstills) see(now time.Time, tp stream.TopicPartition, stable, end int64) (time.Time, bool) {
	if stable >= end {
		delete(s, tp)
		return time.Time{}, false
	}
	at, ok := s[tp]
	if !ok || at.stable != stable {
		s[tp] = stand{stable, now}
		return now, false
	}
	return at.since, now.Sub(at.since) >= heldAfter
}

// name finds out whose transactions are open, as far as the brokers tell: they
// may be of a version that does not, or the account may not ask.
func (w *Watch) name(ctx context.Context, held []Held) {
	var unknown kadm.TopicsSet
	known := make(map[stream.TopicPartition]string)
	for _, h := range held {
		if id := w.holders[h.TopicPartition]; id != "" {
			known[h.TopicPartition] = id
		} else {
			unknown.Add(h.Topic, h.Partition)
		}
	}
	w.holders = known
	if len(unknown) > 0 {
		w.ask(ctx, unknown)
	}
	for i := range held {
		held[i].Transaction = w.holders[held[i].TopicPartition]
	}
}

// ask asks for the producers of partitions, and for the transactional ids of
// those whose open transaction is the oldest there.
func (w *Watch) ask(ctx context.Context, set kadm.TopicsSet) {
	// What can be had is taken; an error leaves the rest without a name.
	described, _ := w.log.admin.DescribeProducers(ctx, set)
	oldest := make(map[stream.TopicPartition]int64)
	var producers []int64
	for _, t := range described {
		for _, p := range t.Partitions {
			open := slices.DeleteFunc(p.ActiveProducers.Sorted(), func(d kadm.DescribedProducer) bool { return d.CurrentTxnStartOffset < 0 })
			if len(open) == 0 {
				continue
			}
			first := slices.MinFunc(open, func(a, b kadm.DescribedProducer) int {
				return cmp.Compare(a.CurrentTxnStartOffset, b.CurrentTxnStartOffset)
			})
			oldest[stream.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = first.ProducerID
			producers = append(producers, first.ProducerID)
		}
	}
	if len(producers) == 0 {
		return
	}
	listed, _ := w.log.admin.ListTransactions(ctx, producers, nil)
	ids := make(map[int64]string)
	for _, t := range listed {
		ids[t.ProducerID] = t.TxnID
	}
	for tp, producer := range oldest {
		if id := ids[producer]; id != "" {
			w.holders[tp] = id
		}
	}
}
