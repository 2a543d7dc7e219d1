package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tailwater/stream"
	"tailwater/stream/internal/position"
	"tailwater/stream/internal/turn"
)

// Session is one shard's right to write. See stream.Session; Close may be
// called while another method runs.
type Session struct {
	log       *Log
	shard     *shard
	epoch     uint32
	topics    []*topic
	recovered stream.Recovered
	writer    *writer
	marks     *position.Numbers

	// ctx ends when the session is closed.
	ctx   context.Context //nolint:containedctx // it is the session's own life, not a caller's
	close context.CancelCauseFunc
	turns *turn.Turns
}

var _ stream.Session = (*Session)(nil)

// Epoch returns the claimed epoch.
func (s *Session) Epoch() uint32 { return s.epoch }

// Recovered returns what the session before left.
func (s *Session) Recovered() stream.Recovered { return s.recovered }

// Publish writes the records. See stream.Session.
func (s *Session) Publish(ctx context.Context, records []stream.Record) error {
	if err := s.turns.Begin(); err != nil {
		return err
	}
	if len(records) == 0 {
		return s.turns.Finish(nil)
	}
	next, err := s.marks.Number(records, s.log.check)
	if err != nil {
		return s.turns.Finish(err)
	}
	if err := s.claimed(); err != nil {
		return s.turns.Finish(err)
	}
	s.turns.Publishing()
	ctx, stop := s.join(ctx)
	defer stop()
	if err := s.writer.write(ctx, records); err != nil {
		return s.turns.Finish(fmt.Errorf("publish: %w", err))
	}
	s.marks.Published(next)
	return s.turns.Finish(nil)
}

// join returns a context that ends with ctx or with the session.
func (s *Session) join(ctx context.Context) (context.Context, func()) {
	joined, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return joined, func() {
		stop()
		cancel(nil)
	}
}

// claimed returns an error when another session has claimed the shard. It
// saves a pointless write; that a write which slips through does no harm is
// the fence's business.
func (s *Session) claimed() error {
	if err := s.log.usable(); err != nil {
		return err
	}
	if e := s.shard.epoch(); e != s.epoch {
		return fmt.Errorf("epoch %d is claimed: %w", e, stream.ErrFenced)
	}
	return nil
}

// Save stores the position behind everything published. See stream.Session.
func (s *Session) Save(ctx context.Context, p stream.SourcePosition) error {
	if err := s.turns.Begin(); err != nil {
		return err
	}
	if err := errors.Join(context.Cause(ctx), s.log.usable()); err != nil {
		return s.turns.Finish(fmt.Errorf("save position: %w", err))
	}
	err := s.shard.swap(s.epoch, func(next *position.Position) *position.Position {
		s.advance(next, nil)
		next.Saved, next.Source, next.LSN, next.Skip = true, slices.Clone(p.Source), p.LSN, slices.Clone(p.Skip)
		return next
	})
	if err != nil {
		return s.turns.Finish(fmt.Errorf("save position: %w", err))
	}
	s.turns.Saved()
	return s.turns.Finish(nil)
}

// advance moves a position to the session's own marks, at the given offsets or
// else at the synced ends: everything of this shard below them was published by
// this session or before it, or is from a session that was fenced, which every
// consumer drops.
func (s *Session) advance(next *position.Position, offsets map[stream.TopicPartition]int64) {
	next.Clean = false
	for _, t := range s.topics {
		at := position.Topic{Incarnation: t.incarnation, Epoch: s.epoch}
		for _, p := range t.partitions {
			q := s.marks.At[p.tp]
			q.Next = p.synced.Load()
			if offset, ok := offsets[p.tp]; ok {
				q.Next = offset
			}
			at.Partitions = append(at.Partitions, q)
		}
		next.Topics[t.name] = at
	}
}

// Close gives up the session. See stream.Session.
func (s *Session) Close() error {
	s.close(errors.New("the session was closed"))
	orderly := s.turns.Last()
	s.turns.End(errors.New("it was closed"))
	if !orderly || s.log.usable() != nil {
		return nil
	}
	err := s.shard.update(func(stored *position.Position) (*position.Position, error) {
		if stored == nil || !stored.Saved || stored.Clean || stored.Epoch != s.epoch {
			return stored, nil
		}
		next := *stored
		next.Clean = true
		return &next, nil
	})
	if err != nil {
		return fmt.Errorf("close session: %w", err)
	}
	return nil
}
