package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// log is what verify needs of a stream: to look at it.
type log interface {
	Topic(ctx context.Context, name string) (stream.Topic, error)
	Bounds(ctx context.Context, topic string) ([]stream.Bounds, error)
	NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error)
	Schemas(ctx context.Context, view string) (map[string]change.Schema, error)
	SavedPosition(ctx context.Context, shard string) (stream.SourcePosition, bool, error)
	Close() error
}

// errAgain says that what was being read has changed its shape or left the
// stream behind us; with new snapshots it can be read.
var errAgain = errors.New("what is compared has changed while it was read")

// topic is a view's part of the stream, up to an end that was captured, and
// what the lake has of the records that have left the stream.
type topic struct {
	stream.Topic
	log    log
	bounds []stream.Bounds
	// history are the lake's batches below the stream's first offsets, by
	// partition, in order.
	history [][]parquet.Batch
	store   objstore.Store
	// whole says that every record from offset 0 on is there.
	whole bool
}

// openTopic captures the bounds of a view's topic.
func openTopic(ctx context.Context, l log, name string) (*topic, error) {
	info, err := l.Topic(ctx, name)
	switch {
	case errors.Is(err, stream.ErrUnknownTopic):
		return nil, &UnreachableError{What: fmt.Sprintf("the stream has no topic %s: has the pipeline run with this configuration?", name)}
	case err != nil:
		return nil, &UnreachableError{What: "the stream cannot be read", Err: err}
	}
	t := &topic{Topic: info, log: l, whole: true, history: make([][]parquet.Batch, info.Partitions)}
	if t.bounds, err = l.Bounds(ctx, name); err != nil {
		return nil, fmt.Errorf("read the bounds of topic %s: %w", name, err)
	}
	return t, nil
}

// addHistory finds the batches of the lake that hold what has left the stream.
// Without a lake, or where a batch is missing, the topic is not whole.
func (t *topic) addHistory(ctx context.Context, store objstore.Store, view, layout string) error {
	needed := slices.ContainsFunc(t.bounds, func(b stream.Bounds) bool { return b.First > 0 })
	if !needed {
		return nil
	}
	if store == nil {
		t.whole = false
		return nil
	}
	t.store = store
	for b, err := range parquet.Committed(ctx, store, view, layout) {
		if away := lakeAway(err); away != nil {
			return away
		}
		if err != nil {
			t.whole = false // the lake's own check names it
			break
		}
		m := b.Manifest
		if m.Incarnation == t.Incarnation && int(m.Partition) < len(t.bounds) && m.First < t.bounds[m.Partition].First {
			t.history[m.Partition] = append(t.history[m.Partition], b)
		}
	}
	for p, batches := range t.history {
		if t.bounds[p].First == 0 {
			continue
		}
		n := len(batches)
		if n == 0 || batches[0].Manifest.First > 0 || beganLate(batches[0].Manifest) || batches[n-1].Manifest.Last < t.bounds[p].First {
			t.whole = false
		}
		if n > 0 && batches[n-1].Manifest.Last < t.bounds[p].First {
			t.history[p] = nil
		}
	}
	return nil
}

// beganLate reports whether a chain was begun on a stream that had lost its
// beginning: its first batch then stands for what nobody has seen.
func beganLate(m *parquet.Manifest) bool { return m.Rows == 0 && len(m.After) == 0 }

// start returns where reading the stream begins in a partition, and with which
// marks.
func (t *topic) start(p int) (int64, marks) {
	m := make(marks)
	at := t.bounds[p].First
	if n := len(t.history[p]); n > 0 {
		last := t.history[p][n-1].Manifest
		at = max(at, last.Last)
		for shard, k := range last.After {
			m[shard] = mark{lsn: k.LSN, n: k.N, watermark: k.Watermark}
		}
	}
	return at, m
}

// records counts the records of the stream between start and end.
func (t *topic) records() (n int64) {
	for p, b := range t.bounds {
		at, _ := t.start(p)
		n += max(0, b.Next-at)
	}
	return n
}

// span is a range of offsets of a partition.
type span struct{ first, next int64 }

// readSpans hands every record of the spans of a topic to f, each partition in
// order.
func readSpans(ctx context.Context, l log, name string, spans map[int32]span, f func(*stream.Record) error) error {
	offsets := make(map[stream.TopicPartition]int64)
	for p, s := range spans {
		if s.first < s.next {
			offsets[stream.TopicPartition{Topic: name, Partition: p}] = s.first
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	c, err := l.NewConsumer(ctx, stream.ConsumerOptions{MaxBytes: 4 << 20})
	if err != nil {
		return fmt.Errorf("read topic %s: %w", name, err)
	}
	defer c.Close()
	if err := c.Assign(offsets); err != nil {
		return fmt.Errorf("read topic %s: %w", name, err)
	}
	left := len(offsets)
	for left > 0 {
		records, err := c.Poll(ctx)
		if errors.Is(err, stream.ErrOffsetOutOfRange) {
			return fmt.Errorf("%w: %w", errAgain, err)
		}
		if err != nil {
			return fmt.Errorf("read topic %s: %w", name, err)
		}
		for i := range records {
			r := &records[i]
			s := spans[r.Partition]
			if r.Offset >= s.next {
				continue
			}
			if r.Offset == s.next-1 {
				left--
			}
			if r.Kind == stream.Control {
				continue // the log's own
			}
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}
