package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/position"
	"tailwater/stream/internal/turn"
)

// opening is a shard on its way to a Session:
//
//	start -> read the tail -> claim -> fence -> read the fences -> settle
type opening struct {
	log      *Log
	o        stream.ShardOptions
	shard    *shard
	topics   []*topic
	stored   *position.Position
	fold     *position.Fold
	epoch    uint32
	consumer *Consumer
	writer   *writer
	fences   map[stream.TopicPartition]int64
}

// OpenShard claims a shard. See stream.Log.
func (l *Log) OpenShard(ctx context.Context, o stream.ShardOptions) (stream.Session, error) {
	s, err := l.openShard(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open shard %s: %w", o.Shard, err)
	}
	return s, nil
}

func (l *Log) openShard(ctx context.Context, o stream.ShardOptions) (*Session, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	if o.Shard == "" {
		return nil, errors.New("a shard needs an id")
	}
	op := &opening{log: l, o: o, shard: l.positions.shard(o.Shard), fold: position.NewFold(o.Shard), fences: make(map[stream.TopicPartition]int64)}
	op.stored = op.shard.get()
	if op.stored == nil {
		op.stored = &position.Position{Topics: map[string]position.Topic{}}
	}
	if err := op.start(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = op.consumer.Close() }() // it holds nothing that could be lost
	s, err := op.run(ctx)
	if err != nil && op.writer != nil {
		op.writer.close()
	}
	return s, err
}

// start finds where the fold begins in every partition, and makes everything
// that stands in the log visible.
func (op *opening) start(ctx context.Context) error {
	op.consumer = op.log.newConsumer(stream.ConsumerOptions{})
	offsets := make(map[stream.TopicPartition]int64)
	for _, name := range slices.Sorted(slices.Values(op.o.Topics)) {
		t, err := op.log.topics.get(name)
		if err != nil {
			return err
		}
		op.topics = append(op.topics, t)
		if err := op.log.syncTopic(ctx, t); err != nil {
			return err
		}
		for i, p := range t.partitions {
			at, err := op.begin(t, i)
			if err != nil {
				return err
			}
			op.fold.Start(p.tp, at)
			offsets[p.tp] = at.Next
		}
	}
	op.topics = slices.Compact(op.topics)
	return op.consumer.Assign(offsets)
}

// begin returns where the fold of one partition begins.
func (op *opening) begin(t *topic, i int) (position.Partition, error) {
	first := t.partitions[i].first.Load()
	stored, ok := op.stored.Topics[t.name]
	if !ok {
		return position.Partition{Next: first}, nil
	}
	if stored.Incarnation != t.incarnation || len(stored.Partitions) != len(t.partitions) {
		return position.Partition{}, fmt.Errorf("the position is of another incarnation of topic %s (%s, %d partitions) than the log (%s, %d): the position and the log are not from the same directory; restore both from one copy, or remove %s and read the shard again",
			t.name, stored.Incarnation, len(stored.Partitions), t.incarnation, len(t.partitions), op.shard.file.path+".*")
	}
	at := stored.Partitions[i]
	if at.Next >= first {
		return at, nil
	}
	// What the position has behind it may be gone. It is nothing when the last
	// session ended in order, or when later sessions did not have the topic.
	if !op.stored.Clean && stored.Epoch == op.stored.Epoch {
		return position.Partition{}, fmt.Errorf("topic %s, partition %d begins at offset %d, behind the position's offset %d, and the last session did not end in order: "+
			"events that it published may be gone from the log, and would be published twice. Choices: restore a copy of the directory, "+
			"or remove %s and read the shard again from a position of your choice", t.name, i, first, at.Next, op.shard.file.path+".*")
	}
	at.Next = first
	return at, nil
}

func (op *opening) run(ctx context.Context) (*Session, error) {
	ends := make(map[stream.TopicPartition]int64)
	for _, t := range op.topics {
		for _, p := range t.partitions {
			ends[p.tp] = p.synced.Load()
		}
	}
	if err := op.read(ctx, ends); err != nil {
		return nil, fmt.Errorf("fold the tail: %w", err)
	}
	failpoint.At(failpoint.StreamTailFolded)
	if err := op.foundWithoutPosition(); err != nil {
		return nil, err
	}
	if err := op.claim(); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	failpoint.At(failpoint.StreamClaimed)
	if err := op.fence(ctx); err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	failpoint.At(failpoint.StreamFenced)
	if err := op.read(ctx, op.fences); err != nil {
		return nil, fmt.Errorf("fold the tail: %w", err)
	}
	if len(op.fences) > 0 && op.fold.Epoch != op.epoch {
		return nil, fmt.Errorf("epoch %d is in the log, this session claimed %d: %w", op.fold.Epoch, op.epoch, stream.ErrFenced)
	}
	return op.settle()
}

// read folds every partition up to its end.
func (op *opening) read(ctx context.Context, ends map[stream.TopicPartition]int64) error {
	for {
		behind := 0
		for tp, end := range ends {
			if op.fold.Next(tp) < end {
				behind++
			}
		}
		if behind == 0 {
			return nil
		}
		records, err := op.consumer.Poll(ctx)
		if err != nil {
			return err
		}
		for i := range records {
			if err := op.fold.Add(&records[i]); err != nil {
				return err
			}
		}
	}
}

// foundWithoutPosition refuses a shard that has events in a log of which the
// beginning is gone, but no position: its position was lost, and what it
// published before cannot be known.
func (op *opening) foundWithoutPosition() error {
	if op.stored.Epoch != 0 || op.fold.Epoch == 0 {
		return nil
	}
	for _, t := range op.topics {
		for _, p := range t.partitions {
			if first := p.first.Load(); first > 0 {
				return fmt.Errorf("the log has records of epoch %d, but there is no position, and topic %s, partition %d has lost its records below offset %d: "+
					"restore the positions from a copy of the directory, or give the shard another id", op.fold.Epoch, t.name, p.tp.Partition, first)
			}
		}
	}
	return nil
}

// claim takes the next epoch by compare-and-swap.
func (op *opening) claim() error {
	op.epoch = 1 + max(op.stored.Epoch, op.fold.Epoch)
	return op.shard.swap(op.stored.Epoch, func(next *position.Position) *position.Position {
		next.Epoch, next.Clean = op.epoch, false
		for _, t := range op.topics {
			// From here on the session has the topic, so that an end without
			// order is known to concern it.
			at, ok := next.Topics[t.name]
			if !ok {
				at.Incarnation = t.incarnation
				for _, p := range t.partitions {
					at.Partitions = append(at.Partitions, position.Partition{Next: p.first.Load()})
				}
			}
			at.Epoch = op.epoch
			next.Topics[t.name] = at
		}
		return next
	})
}

// fence writes the epoch's first record to every partition and notes where.
func (op *opening) fence(ctx context.Context) error {
	var err error
	if op.writer, err = op.log.newWriter(ctx); err != nil {
		return err
	}
	var fences []stream.Record
	for _, t := range op.topics {
		for _, p := range t.partitions {
			fences = append(fences, stream.Record{
				Topic: p.tp.Topic, Partition: p.tp.Partition, Kind: stream.Fence,
				Shard: op.o.Shard, LSN: change.LSN{Epoch: op.epoch},
			})
		}
	}
	if err := op.writer.write(ctx, fences); err != nil {
		return err
	}
	for p, s := range op.writer.acked {
		op.fences[p.tp] = s.end
	}
	return nil
}

// settle stores what the fold found, so that the tail is short for whoever
// comes next, and makes the session.
func (op *opening) settle() (*Session, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &Session{
		log: op.log, shard: op.shard, epoch: op.epoch, topics: op.topics, writer: op.writer,
		marks: op.fold.Numbers(op.epoch), turns: turn.New(op.shard.name, op.epoch, op.writer.close), ctx: ctx, close: cancel,
	}
	s.recovered = stream.Recovered{
		Found:    op.stored.Saved,
		Position: stream.SourcePosition{Source: op.stored.Source, LSN: op.stored.LSN, Skip: op.stored.Skip},
		Skip:     slices.Concat(op.stored.Skip, op.fold.Published),
	}
	err := op.shard.swap(op.epoch, func(next *position.Position) *position.Position {
		s.advance(next, op.fences)
		next.Skip = s.recovered.Skip
		return next
	})
	if err != nil {
		cancel(err)
		return nil, err
	}
	failpoint.At(failpoint.StreamSettled)
	return s, nil
}
