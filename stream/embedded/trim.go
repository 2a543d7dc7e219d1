package embedded

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/position"
)

// Retention says what Trim may remove.
type Retention struct {
	// MaxAge is the age at which records may go; 0 is 24 h.
	MaxAge time.Duration
	// MaxBytes is the size of all topics together beyond which the oldest
	// records may go; 0 is 10 GiB.
	MaxBytes int64
}

func (r *Retention) fill() {
	if r.MaxAge == 0 {
		r.MaxAge = 24 * time.Hour
	}
	if r.MaxBytes == 0 {
		r.MaxBytes = 10 << 30
	}
}

// Trimmed is what Trim did.
type Trimmed struct {
	// Files and Bytes count what was removed.
	Files int
	Bytes int64
	// Kept is the size of what is left, Held the part of it that retention
	// would have removed and keep still holds.
	Kept, Held int64
}

// segment is a file that may go.
type segment struct {
	p          *partition
	base, next int64
	bytes      int64
	written    time.Time
}

// Trim removes the oldest files beyond the retention. keep is the lowest
// offset saved by any sink, for each partition; a partition that is not in it
// is not touched. A partition is never emptied, and records behind a shard's
// saved position are folded into the position before they go, so that a shard
// which was away finds its way.
func (l *Log) Trim(ctx context.Context, keep map[stream.TopicPartition]int64) (Trimmed, error) {
	l.trimMu.Lock()
	defer l.trimMu.Unlock()
	if err := l.usable(); err != nil {
		return Trimmed{}, fmt.Errorf("trim: %w", err)
	}
	segments, result, err := l.sealed()
	if err != nil {
		return Trimmed{}, fmt.Errorf("trim: %w", err)
	}
	slices.SortFunc(segments, func(a, b segment) int {
		return cmp.Or(a.written.Compare(b.written), cmp.Compare(a.base, b.base))
	})
	oldest := time.Now().Add(-l.o.Retention.MaxAge)
	upTo := make(map[*partition]segment)
	held := make(map[*partition]bool)
	for _, s := range segments {
		if s.written.After(oldest) && result.Kept <= l.o.Retention.MaxBytes {
			continue
		}
		limit, ok := keep[s.p.tp]
		if !ok || held[s.p] || s.next > min(limit, s.p.synced.Load()-1) {
			held[s.p] = true
			result.Held += s.bytes
			continue
		}
		upTo[s.p] = s
		result.Files++
		result.Bytes += s.bytes
		result.Kept -= s.bytes
	}
	if len(upTo) == 0 {
		return result, nil
	}
	return result, l.remove(ctx, upTo)
}

// sealed returns every file that is not its partition's newest.
func (l *Log) sealed() ([]segment, Trimmed, error) {
	var all []segment
	var result Trimmed
	for _, t := range l.topics.all() {
		for _, p := range t.partitions {
			bases, err := listSegments(p.dir)
			if err != nil {
				return nil, result, err
			}
			for i, base := range bases {
				info, err := os.Stat(segmentPath(p.dir, base))
				if err != nil {
					return nil, result, fmt.Errorf("measure segment: %w", err)
				}
				result.Kept += info.Size()
				if i+1 < len(bases) {
					all = append(all, segment{p: p, base: base, next: bases[i+1], bytes: info.Size(), written: info.ModTime()})
				}
			}
		}
	}
	return all, result, nil
}

// remove moves the first offsets: first in the positions, then in the topics
// file, then in the broker, which removes the files.
func (l *Log) remove(ctx context.Context, upTo map[*partition]segment) error {
	for p, s := range upTo {
		for _, sh := range l.positions.shards() {
			if err := l.carry(ctx, sh, p, s.next); err != nil {
				return fmt.Errorf("trim topic %s, partition %d: %w", p.tp.Topic, p.tp.Partition, err)
			}
		}
	}
	failpoint.At(failpoint.StreamTrimCarried)
	l.topics.change.Lock()
	defer l.topics.change.Unlock()
	for p, s := range upTo {
		p.first.Store(s.next)
	}
	if err := l.topics.save(nil); err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	failpoint.At(failpoint.StreamTrimStored)
	for p, s := range upTo {
		if err := l.cluster.DeleteRecords(p.tp.Topic, p.tp.Partition, s.next); err != nil {
			return fmt.Errorf("trim topic %s, partition %d to offset %d: %w", p.tp.Topic, p.tp.Partition, s.next, err)
		}
		failpoint.At(failpoint.StreamTrimmed)
	}
	return nil
}

// carry moves a shard's position in one partition up to an offset: what the
// shard published there and has not covered by a Save goes on its skip list.
func (l *Log) carry(ctx context.Context, sh *shard, p *partition, offset int64) error {
	for {
		stored := sh.get()
		if stored == nil {
			return nil
		}
		at, ok := stored.Topics[p.tp.Topic]
		i := int(p.tp.Partition)
		if !ok || i >= len(at.Partitions) || at.Partitions[i].Next >= offset {
			return nil
		}
		next := stored.Clone()
		if !stored.Clean && at.Epoch == stored.Epoch {
			fold, err := l.foldTo(ctx, sh.name, p, at.Partitions[i], offset)
			if err != nil {
				return err
			}
			next.Topics[p.tp.Topic].Partitions[i] = fold.At(p.tp)
			next.Skip = slices.Concat(stored.Skip, fold.Published)
		} else {
			next.Topics[p.tp.Topic].Partitions[i].Next = offset
		}
		moved := false
		err := sh.update(func(now *position.Position) (*position.Position, error) {
			if now != stored {
				return now, nil // a session saved in between: look again
			}
			moved = true
			return next, nil
		})
		if err != nil || moved {
			return err
		}
	}
}

// foldTo folds one partition from a position up to an offset.
func (l *Log) foldTo(ctx context.Context, shard string, p *partition, from position.Partition, offset int64) (*position.Fold, error) {
	fold := position.NewFold(shard)
	fold.Start(p.tp, from)
	c := l.newConsumer(stream.ConsumerOptions{})
	defer func() { _ = c.Close() }() // it holds nothing that could be lost
	if err := c.Assign(map[stream.TopicPartition]int64{p.tp: from.Next}); err != nil {
		return nil, err
	}
	for fold.Next(p.tp) < offset {
		records, err := c.Poll(ctx)
		if err != nil {
			return nil, err
		}
		for i := range records {
			if records[i].Offset >= offset {
				break
			}
			if err := fold.Add(&records[i]); err != nil {
				return nil, err
			}
		}
	}
	return fold, nil
}
