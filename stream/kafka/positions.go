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
		return nil, fmt.Errorf("topic %s has %d partitions, and must have one: it was not made by Tailwater; remove it, or give the pipeline another name", name, len(end))
	}
	var last []byte
	_, err = l.scan(ctx, stream.TopicPartition{Topic: name}, first[0], end[0], func(r *kgo.Record) error {
		last = r.Value
		return nil
	})
	if err != nil || last == nil {
		return nil, err
	}
	p, err := decodePosition(last)
	if err != nil {
		return nil, fmt.Errorf("read the position of shard %s in topic %s: %w", shard, name, err)
	}
	return p, nil
}

// SavedPosition returns the position that a shard has saved.
func (l *Log) SavedPosition(ctx context.Context, shard string) (stream.SourcePosition, bool, error) {
	t, err := l.look(ctx, l.positionTopic(shard))
	if err != nil {
		return stream.SourcePosition{}, false, l.explain("read the position of shard "+shard, err)
	}
	if t == nil {
		return stream.SourcePosition{}, false, nil
	}
	p, err := l.storedPosition(ctx, shard)
	if err != nil {
		return stream.SourcePosition{}, false, l.explain("read the position of shard "+shard, err)
	}
	if p == nil || !p.Saved {
		return stream.SourcePosition{}, false, nil
	}
	return stream.SourcePosition{Source: p.Source, LSN: p.LSN, Skip: p.Skip}, true, nil
}
