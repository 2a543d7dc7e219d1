package kafka

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
	shard     string
	epoch     uint32
	topics    []*topic
	recovered stream.Recovered
	producer  *producer
	// numbers are where the session stands, position what was stored last.
	numbers  *position.Numbers
	position *position.Position
	turns    *turn.Turns
}

var _ stream.Session = (*Session)(nil)

// Epoch returns the claimed epoch.
func (s *Session) Epoch() uint32 { return s.epoch }

// Recovered returns what the session before left.
func (s *Session) Recovered() stream.Recovered { return s.recovered }

// Publish writes the records in one transaction. See stream.Session.
func (s *Session) Publish(ctx context.Context, records []stream.Record) error {
	if err := s.turns.Begin(); err != nil {
		return err
	}
	if len(records) == 0 {
		return s.turns.Finish(nil)
	}
	next, err := s.numbers.Number(records, s.log.checkRecord)
	if err != nil {
		return s.turns.Finish(err)
	}
	s.turns.Publishing()
	at, err := s.producer.transact(ctx, records, nil)
	if err != nil {
		return s.turns.Finish(fmt.Errorf("publish: %w", s.replaced(ctx, err)))
	}
	for tp, q := range next {
		q.Next = at[tp]
		next[tp] = q
	}
	s.numbers.Published(next)
	return s.turns.Finish(nil)
}

// Save stores the position behind everything published. See stream.Session.
func (s *Session) Save(ctx context.Context, p stream.SourcePosition) error {
	if err := s.turns.Begin(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return s.turns.Finish(fmt.Errorf("save position: %w", context.Cause(ctx)))
	}
	s.advance()
	s.position.Saved, s.position.Source, s.position.LSN, s.position.Skip = true, slices.Clone(p.Source), p.LSN, slices.Clone(p.Skip)
	if _, err := s.producer.transact(ctx, nil, s.position); err != nil {
		return s.turns.Finish(fmt.Errorf("save position: %w", s.replaced(ctx, err)))
	}
	s.turns.Saved()
	return s.turns.Finish(nil)
}

// replaced tells the two reasons apart for which brokers refuse a producer:
// another session has its place, or they have timed out its transaction. After
// a time-out nobody has claimed a higher epoch, and the shard may begin again.
// A session that is just about to claim is fenced by that, so that one of the
// two stops in any case. Whoever hears ErrFenced from here has been told, and
// takes the shard back by opening it once more.
func (s *Session) replaced(ctx context.Context, err error) (out error) {
	defer func() {
		if errors.Is(out, stream.ErrFenced) {
			s.log.claimed.set(s.shard, 0)
		}
	}()
	if !errors.Is(err, stream.ErrFenced) || !s.producer.overdue() {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), s.log.o.Timeout, errNoAnswer)
	defer cancel()
	stored, lookErr := s.log.storedPosition(ctx, s.shard)
	if lookErr != nil || stored == nil || stored.Epoch != s.epoch {
		return err
	}
	return fmt.Errorf("%w (%v)", errOverdue, err)
}

// advance moves the position to where the session stands in each partition:
// everything of the shard below was published by it or before it.
func (s *Session) advance() {
	s.position.Clean = false
	for _, t := range s.topics {
		at := position.Topic{Incarnation: t.Incarnation, Epoch: s.epoch}
		for i := range t.Partitions {
			at.Partitions = append(at.Partitions, s.numbers.At[stream.TopicPartition{Topic: t.Name, Partition: int32(i)}])
		}
		s.position.Topics[t.Name] = at
	}
}

// settle waits until consumers see everything that the session has written:
// brokers end a transaction in its partitions a moment after they have said
// that it is committed.
func (s *Session) settle(ctx context.Context) error {
	for _, t := range s.topics {
		for {
			stable, err := s.log.offsets(ctx, t.Name, s.log.admin.ListCommittedOffsets)
			if err != nil {
				return err
			}
			seen := len(stable) == t.Partitions
			for i, at := range stable {
				seen = seen && at >= s.numbers.At[stream.TopicPartition{Topic: t.Name, Partition: int32(i)}].Next
			}
			if seen {
				break
			}
			if !pause(ctx, pollEvery) {
				return fmt.Errorf("wait for the end of the last transaction in topic %s: %w", t.Name, context.Cause(ctx))
			}
		}
	}
	return nil
}

// Close gives up the session. After an orderly end consumers see all that it
// has written, and what was saved is marked as all there is, so that retention
// may pass it. See stream.Session.
func (s *Session) Close() error {
	var err error
	if s.turns.Last() && s.position.Saved {
		ctx, cancel := context.WithTimeoutCause(context.Background(), s.log.o.Timeout, errNoAnswer)
		defer cancel()
		s.position.Clean = true
		if _, err = s.producer.transact(ctx, nil, s.position); err == nil {
			err = s.settle(ctx)
		}
	}
	s.turns.End(errors.New("it was closed"))
	if err != nil && !errors.Is(err, stream.ErrFenced) {
		return fmt.Errorf("close session of shard %s: %w", s.shard, err)
	}
	return nil
}
