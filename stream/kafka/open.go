package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/position"
	"tailwater/stream/internal/turn"
)

// opening is a shard on its way to a Session:
//
//	initialize -> read the position -> read the tail -> claim and fence
//
// Initializing comes first: a position that was read before could be one that
// the session before still replaces. The claim is atomic with the fences, and
// fenced like all that a session writes.
type opening struct {
	log      *Log
	o        stream.ShardOptions
	topics   []*topic
	producer *producer
	stored   *position.Position
	fold     *position.Fold
	first    map[stream.TopicPartition]int64
}

// OpenShard claims a shard. See stream.Log.
func (l *Log) OpenShard(ctx context.Context, o stream.ShardOptions) (stream.Session, error) {
	op := &opening{log: l, o: o, fold: position.NewFold(o.Shard), first: make(map[stream.TopicPartition]int64)}
	s, err := op.run(ctx)
	if err != nil {
		if op.producer != nil {
			op.producer.close()
		}
		return nil, fmt.Errorf("open shard %s: %w", o.Shard, unavailable(err))
	}
	return s, nil
}

func (op *opening) run(ctx context.Context) (*Session, error) {
	if op.o.Shard == "" {
		return nil, errors.New("a shard needs an id")
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(op.o.Topics))) {
		// Asked anew: the topic may have been removed and made again since.
		t, err := op.log.fetch(ctx, name)
		if err != nil {
			return nil, err
		}
		op.topics = append(op.topics, t)
	}
	if err := op.ensurePositions(ctx); err != nil {
		return nil, err
	}
	if err := op.notReplaced(ctx); err != nil {
		return nil, err
	}
	var err error
	if op.producer, err = op.log.newProducer(ctx, op.o); err != nil {
		return nil, err
	}
	if op.stored, err = op.log.storedPosition(ctx, op.o.Shard); err != nil {
		return nil, err
	}
	failpoint.At(failpoint.KafkaPositionRead)
	if op.stored == nil {
		op.stored = &position.Position{Topics: make(map[string]position.Topic)}
	}
	if err := op.readTail(ctx); err != nil {
		return nil, fmt.Errorf("fold the tail: %w", err)
	}
	failpoint.At(failpoint.KafkaTailFolded)
	if err := op.foundWithoutPosition(); err != nil {
		return nil, err
	}
	return op.claim(ctx)
}

// ensurePositions makes the shard's own topic.
func (op *opening) ensurePositions(ctx context.Context) error {
	name := op.log.positionTopic(op.o.Shard)
	t, err := op.log.look(ctx, name)
	if err != nil {
		return err
	}
	if t != nil {
		return t.keeps(latest)
	}
	w := compacted(op.log.o.Replication)
	w.configs["segment.bytes"] = text(strconv.Itoa(positionSegment))
	if err := op.log.makeTopic(ctx, name, 1, w); err != nil {
		return op.log.explain("open shard", err)
	}
	_, err = op.log.awaitTopic(ctx, name)
	return err
}

// notReplaced refuses to take back a shard that another process has claimed
// since this one did: what ended the session here may not have said so. Whoever
// asks once more, having been told, takes it.
func (op *opening) notReplaced(ctx context.Context) error {
	if op.o.Takeover {
		op.log.claimed.set(op.o.Shard, 0)
	}
	last := op.log.claimed.get(op.o.Shard)
	if last == 0 {
		return nil
	}
	// What is not committed belongs to nobody who could be in its place: a
	// transaction that a session of our own has left open is not waited for.
	stored, err := op.log.committedPosition(ctx, op.o.Shard)
	if err != nil {
		return err
	}
	if stored != nil && stored.Epoch > last {
		op.log.claimed.set(op.o.Shard, 0)
		return fmt.Errorf("epoch %d is claimed, this process had %d: %w", stored.Epoch, last, stream.ErrFenced)
	}
	return nil
}

// readTail folds every partition from the position to the end that it has now.
// Nothing of the shard can come behind that end but what this session writes.
func (op *opening) readTail(ctx context.Context) error {
	ends := make(map[stream.TopicPartition]int64)
	offsets := make(map[stream.TopicPartition]int64)
	for _, t := range op.topics {
		first, err := op.log.offsets(ctx, t.Name, op.log.admin.ListStartOffsets)
		if err != nil {
			return err
		}
		end, err := op.log.offsets(ctx, t.Name, op.log.admin.ListEndOffsets)
		if err != nil {
			return err
		}
		if len(first) != t.Partitions || len(end) != t.Partitions {
			return op.log.changed(ctx, t)
		}
		for i := range end {
			tp := stream.TopicPartition{Topic: t.Name, Partition: int32(i)}
			op.first[tp] = first[i]
			at, err := op.begin(t, i, first[i])
			if err != nil {
				return err
			}
			op.fold.Start(tp, at)
			if at.Next < end[i] {
				offsets[tp], ends[tp] = at.Next, end[i]
			}
		}
	}
	return op.read(ctx, offsets, ends)
}

// begin returns where the fold of one partition begins.
func (op *opening) begin(t *topic, i int, first int64) (position.Partition, error) {
	stored, ok := op.stored.Topics[t.Name]
	if !ok {
		return position.Partition{Next: first}, nil
	}
	if stored.Incarnation != t.Incarnation {
		return position.Partition{}, fmt.Errorf("topic %s is not the one that the shard's position speaks of (%s with %d partitions, it has %s with %d): somebody removed and made it again; "+
			"remove topic %s too, and the shard is read again from its start", t.Name, stored.Incarnation, len(stored.Partitions), t.Incarnation, t.Partitions, op.log.positionTopic(op.o.Shard))
	}
	if len(stored.Partitions) != t.Partitions {
		return position.Partition{}, recounted(t.Name, len(stored.Partitions), t.Partitions)
	}
	at := stored.Partitions[i]
	if at.Next >= first {
		return at, nil
	}
	if !op.stored.Clean && stored.Epoch == op.stored.Epoch {
		return position.Partition{}, fmt.Errorf("topic %s, partition %d begins at offset %d, behind the position's offset %d, and the last session did not end in order: "+
			"events that it published may be gone from the log, and would be published twice; remove topic %s to read the shard again from its start",
			t.Name, i, first, at.Next, op.log.positionTopic(op.o.Shard))
	}
	at.Next = first
	return at, nil
}

// read folds every partition up to its end.
func (op *opening) read(ctx context.Context, offsets, ends map[stream.TopicPartition]int64) error {
	c, err := op.log.NewConsumer(ctx, stream.ConsumerOptions{})
	if err != nil {
		return err
	}
	defer c.Close() // it holds nothing that could be lost
	if err := c.Assign(offsets); err != nil {
		return err
	}
	for len(ends) > 0 {
		// A transaction of another shard may be open before the end.
		wait, cancel := context.WithTimeoutCause(ctx, transactionTimeout+2*op.log.o.Timeout, errNoAnswer)
		records, err := c.Poll(wait)
		cancel()
		if err != nil {
			return err
		}
		for i := range records {
			r := &records[i]
			if err := op.fold.Add(r); err != nil {
				return err
			}
			if tp := (stream.TopicPartition{Topic: r.Topic, Partition: r.Partition}); r.Offset >= ends[tp]-1 {
				delete(ends, tp)
			}
		}
	}
	return nil
}

// foundWithoutPosition refuses a shard that has events in a log of which the
// beginning is gone, but no position: what it published before cannot be known.
func (op *opening) foundWithoutPosition() error {
	if op.stored.Epoch != 0 || op.fold.Epoch == 0 {
		return nil
	}
	for tp, first := range op.first {
		if first > 0 {
			return fmt.Errorf("the log has records of epoch %d, but there is no position, and topic %s, partition %d has lost its records below offset %d: give the shard another id, or the pipeline another name",
				op.fold.Epoch, tp.Topic, tp.Partition, first)
		}
	}
	return nil
}

// claim takes the next epoch: its fences and the position that names it are one
// transaction.
func (op *opening) claim(ctx context.Context) (*Session, error) {
	epoch := 1 + max(op.stored.Epoch, op.fold.Epoch)
	skip := slices.Concat(op.stored.Skip, op.fold.Published)
	s := &Session{log: op.log, shard: op.o.Shard, epoch: epoch, topics: op.topics, producer: op.producer, turns: turn.New(op.o.Shard, epoch, op.producer.close)}
	s.recovered = stream.Recovered{
		Found:    op.stored.Saved,
		Position: stream.SourcePosition{Source: op.stored.Source, LSN: op.stored.LSN, Skip: op.stored.Skip},
		Skip:     skip,
	}
	s.position = op.stored.Clone()
	s.position.Epoch, s.position.Clean, s.position.Skip = epoch, false, skip
	s.numbers = op.fold.Numbers(epoch)
	var fences []stream.Record
	for _, t := range op.topics {
		for i := range t.Partitions {
			fences = append(fences, stream.Record{Topic: t.Name, Partition: int32(i), Kind: stream.Fence, Shard: op.o.Shard, LSN: change.LSN{Epoch: epoch}})
		}
	}
	s.advance()
	op.log.claimed.set(op.o.Shard, epoch) // before the answer, which may be lost
	failpoint.At(failpoint.KafkaClaiming)
	at, err := op.producer.transact(ctx, fences, s.position)
	if errors.Is(err, kerr.InvalidTxnState) {
		// The transaction was ended by one that claims at the same moment.
		err = fmt.Errorf("%w: %w", stream.ErrFenced, err)
	}
	if err != nil {
		return nil, fmt.Errorf("claim epoch %d: %w", epoch, err)
	}
	failpoint.At(failpoint.KafkaClaimed)
	s.positionEnd = at[s.positionPlace()]
	for i := range fences {
		f := &fences[i]
		f.Offset = at[stream.TopicPartition{Topic: f.Topic, Partition: f.Partition}] - 1
		if err := op.fold.Add(f); err != nil {
			return nil, err
		}
	}
	s.numbers = op.fold.Numbers(epoch)
	return s, nil
}

// epochs are the epochs that a process has claimed last, by shard.
type epochs struct {
	mu   sync.Mutex
	last map[string]uint32
}

func (e *epochs) get(shard string) uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last[shard]
}

func (e *epochs) set(shard string, epoch uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last == nil {
		e.last = make(map[string]uint32)
	}
	e.last[shard] = epoch
}
