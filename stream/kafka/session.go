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
	// numbers are where the session stands, position what was stored last, and
	// positionEnd the offset behind it.
	numbers     *position.Numbers
	position    *position.Position
	positionEnd int64
	turns       *turn.Turns
}

var _ stream.TransactionalSession = (*Session)(nil)

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
	return s.turns.Finish(s.write(ctx, "publish", records, nil))
}

// PublishAt writes the records and the position behind them in one transaction.
// See stream.TransactionalSession.
func (s *Session) PublishAt(ctx context.Context, records []stream.Record, p stream.SourcePosition) error {
	if err := s.turns.Begin(); err != nil {
		return err
	}
	return s.turns.Finish(s.write(ctx, "publish with a position", records, &p))
}

// Save stores the position behind everything published. See stream.Session.
func (s *Session) Save(ctx context.Context, p stream.SourcePosition) error {
	if err := s.turns.Begin(); err != nil {
		return err
	}
	return s.turns.Finish(s.write(ctx, "save position", nil, &p))
}

// write writes records, and a position behind them unless p is nil, in one
// transaction.
//
// Where the records will stand is known once they are sent, and the position
// goes with them. So it has the offsets at which they may begin, with the marks
// that hold behind them: whoever folds from there drops them, for they are not
// above their marks. A position with the offsets behind them would cost a round
// trip in which the transaction holds up every reader.
func (s *Session) write(ctx context.Context, what string, records []stream.Record, p *stream.SourcePosition) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	next, err := s.numbers.Number(records, s.log.checkRecord)
	if err != nil {
		return err
	}
	s.turns.Publishing()
	s.numbers.Published(next)
	var save *position.Position
	if p != nil {
		s.advance()
		save = s.position
		save.Saved, save.Source, save.LSN, save.Skip = true, slices.Clone(p.Source), p.LSN, slices.Clone(p.Skip)
	}
	at, err := s.producer.transact(ctx, records, save)
	if err != nil {
		return fmt.Errorf("%s: %w", what, s.replaced(ctx, err))
	}
	for tp, q := range next {
		q.Next = at[tp]
		next[tp] = q
	}
	s.numbers.Published(next)
	if save != nil {
		s.positionEnd = at[s.positionPlace()]
		s.turns.Saved()
	}
	return nil
}

// replaced finds out whether another session has this one's place where an
// error does not tell.
//
// Brokers refuse a producer in the same words when another session has its
// place and when they have timed out its transaction: after a time-out nobody
// has claimed a higher epoch, and the shard may begin again. A session that is
// just about to claim is fenced by that, so that one of the two stops in any
// case. And a broker may fail over a request of a producer that is fenced, and
// leave it without an answer: Apache Kafka 4.1 does at times.
//
// Whoever hears ErrFenced from here has been told, and takes the shard back by
// opening it once more.
func (s *Session) replaced(ctx context.Context, err error) (out error) {
	defer func() {
		if errors.Is(out, stream.ErrFenced) {
			s.log.claimed.set(s.shard, 0)
		}
	}()
	refused := errors.Is(err, stream.ErrFenced)
	if refused && !s.producer.overdue() || !refused && !errors.Is(err, errNoAnswer) {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), s.log.o.Timeout, errNoAnswer)
	defer cancel()
	look := s.log.storedPosition
	if !refused {
		look = s.log.committedPosition // what is open may be this session's own
	}
	stored, lookErr := look(ctx, s.shard)
	switch {
	case lookErr != nil || stored == nil:
		return err
	case refused && stored.Epoch == s.epoch:
		return fmt.Errorf("%w (%v)", errOverdue, err)
	case !refused && stored.Epoch > s.epoch:
		return fmt.Errorf("epoch %d is claimed: %w: %w", stored.Epoch, stream.ErrFenced, err)
	}
	return err
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

// positionPlace is where the session's positions stand.
func (s *Session) positionPlace() stream.TopicPartition {
	return stream.TopicPartition{Topic: s.producer.positions}
}

// settle waits until everybody sees everything that the session has written:
// brokers end a transaction in its partitions a moment after they have said
// that it is committed.
func (s *Session) settle(ctx context.Context) error {
	for _, t := range s.topics {
		ends := make([]int64, t.Partitions)
		for i := range ends {
			ends[i] = s.numbers.At[stream.TopicPartition{Topic: t.Name, Partition: int32(i)}].Next
		}
		if err := s.log.awaitStable(ctx, t.Name, ends); err != nil {
			return err
		}
	}
	return s.log.awaitStable(ctx, s.positionPlace().Topic, []int64{s.positionEnd})
}

// awaitStable waits until every transaction below the ends of a topic's
// partitions has ended there.
func (l *Log) awaitStable(ctx context.Context, name string, ends []int64) error {
	for {
		stable, err := l.offsets(ctx, name, l.admin.ListCommittedOffsets)
		if err != nil {
			return err
		}
		seen := len(stable) == len(ends)
		for i, at := range stable {
			seen = seen && at >= ends[i]
		}
		if seen {
			return nil
		}
		if !pause(ctx, pollEvery) {
			return fmt.Errorf("wait for the end of the last transaction in topic %s: %w", name, context.Cause(ctx))
		}
	}
}

// Close gives up the session. After an orderly end consumers see all that it
// has written, and what was saved is marked as all there is, so that retention
// may pass it. See stream.Session.
func (s *Session) Close() error {
	var err error
	if s.turns.Last() && s.position.Saved {
		ctx, cancel := context.WithTimeoutCause(context.Background(), s.log.o.Timeout, errNoAnswer)
		defer cancel()
		s.advance() // the offsets behind the last records are known by now
		s.position.Clean = true
		var at written
		if at, err = s.producer.transact(ctx, nil, s.position); err == nil {
			s.positionEnd = at[s.positionPlace()]
			err = s.settle(ctx)
		}
	}
	s.turns.End(errors.New("it was closed"))
	if err != nil && !errors.Is(err, stream.ErrFenced) {
		return fmt.Errorf("close session of shard %s: %w", s.shard, err)
	}
	return nil
}
