package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/stream"
	"tailwater/stream/internal/position"
)

// positionVersion is the first byte of a position's record; the bytes of
// package position follow.
const positionVersion = 1

// positionKey is the key of every record of a positions topic, so that
// compaction leaves the last one.
const positionKey = "position"

// maxPosition bounds a record of the positions and schemas topics.
const maxPosition = 64 << 20

// positionSegment is the size of the files of a positions topic which is made.
// Brokers compact all but the newest file, which must take the largest record.
const positionSegment = maxPosition + 1<<20

func (l *Log) positionTopic(shard string) string {
	return stream.TopicName(l.o.Name, "positions."+shard)
}

func encodePosition(p *position.Position) []byte { return p.Append([]byte{positionVersion}) }

func decodePosition(b []byte) (*position.Position, error) {
	if len(b) == 0 || b[0] != positionVersion {
		return nil, errors.New("it was written by a newer Tailwater, or not by Tailwater")
	}
	return position.Decode(b[1:])
}

// storedPosition reads the last committed position of a shard. The topic must
// be there. Records of a transaction that is open are waited for: who has
// initialized the shard's transactional id has ended it.
func (l *Log) storedPosition(ctx context.Context, shard string) (*position.Position, error) {
	return l.positionBelow(ctx, shard, l.admin.ListEndOffsets)
}

// committedPosition reads the last position whose commit the brokers show. It
// waits for nobody, and says what a session before it may still replace.
func (l *Log) committedPosition(ctx context.Context, shard string) (*position.Position, error) {
	return l.positionBelow(ctx, shard, l.admin.ListCommittedOffsets)
}

// The last position of a shard is looked for in so many records before the end,
// and in lookMore times as many when none of those is committed: the topic has
// a record for almost every publish until the brokers compact it.
const (
	lookBack = 256
	lookMore = 16
)

// positionBelow reads the last committed position below an end.
func (l *Log) positionBelow(ctx context.Context, shard string, ends func(context.Context, ...string) (kadm.ListedOffsets, error)) (*position.Position, error) {
	name := l.positionTopic(shard)
	first, err := l.offsets(ctx, name, l.admin.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	end, err := l.offsets(ctx, name, ends)
	if err != nil {
		return nil, err
	}
	if len(first) != 1 || len(end) != 1 {
		return nil, fmt.Errorf("topic %s has %d partitions, and must have one: somebody added partitions, or it was not made by Tailwater; give the pipeline another name", name, len(end))
	}
	var last []byte
	for back := int64(lookBack); last == nil; back *= lookMore {
		from := max(first[0], end[0]-back)
		_, err = l.scan(ctx, stream.TopicPartition{Topic: name}, from, end[0], func(r *kgo.Record) error {
			last = r.Value
			return nil
		})
		if err != nil {
			return nil, err
		}
		if from == first[0] {
			break
		}
	}
	if last == nil {
		return nil, nil
	}
	p, err := decodePosition(last)
	if err != nil {
		return nil, fmt.Errorf("read the position of shard %s in topic %s: %w", shard, name, err)
	}
	return p, nil
}

// SavedPosition returns the position that a shard has saved, and whether it has
// saved one. It claims nothing and does not wait for a transaction that is open,
// such as that of a session which died.
func (l *Log) SavedPosition(ctx context.Context, shard string) (stream.SourcePosition, bool, error) {
	t, err := l.look(ctx, l.positionTopic(shard))
	if err != nil {
		return stream.SourcePosition{}, false, l.explain("read the position of shard "+shard, unavailable(err))
	}
	if t == nil {
		return stream.SourcePosition{}, false, nil
	}
	p, err := l.committedPosition(ctx, shard)
	if err != nil {
		return stream.SourcePosition{}, false, l.explain("read the position of shard "+shard, unavailable(err))
	}
	if p == nil || !p.Saved {
		return stream.SourcePosition{}, false, nil
	}
	return stream.SourcePosition{Source: p.Source, LSN: p.LSN, Skip: p.Skip}, true, nil
}
