package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"tailwater/stream"
	"tailwater/stream/internal/position"
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

	mu    sync.Mutex
	busy  bool
	ended error
	// dirty is set while something published is not covered by a Save.
	dirty bool
}

var _ stream.Session = (*Session)(nil)

// Epoch returns the claimed epoch.
func (s *Session) Epoch() uint32 { return s.epoch }

// Recovered returns what the session before left.
func (s *Session) Recovered() stream.Recovered { return s.recovered }

// begin marks the session as busy, or returns why it cannot be used.
func (s *Session) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	if s.busy {
		return s.end(errors.New("two goroutines use the session"))
	}
	s.busy = true
	return nil
}

// finish marks the session as idle; an error ends it.
func (s *Session) finish(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if err == nil {
		return nil
	}
	return s.end(err)
}

// end ends the session for a reason. The caller holds mu.
func (s *Session) end(cause error) error {
	if s.ended == nil {
		s.ended = fmt.Errorf("shard %s, epoch %d: %w: %w", s.shard, s.epoch, stream.ErrSessionEnded, cause)
		s.producer.close()
	}
	return s.ended
}

// Publish writes the records in one transaction. See stream.Session.
func (s *Session) Publish(ctx context.Context, records []stream.Record) error {
	if err := s.begin(); err != nil {
		return err
	}
	if len(records) == 0 {
		return s.finish(nil)
	}
	next, err := s.numbers.Number(records, s.log.checkRecord)
	if err != nil {
		return s.finish(err)
	}
	s.mu.Lock()
	s.dirty = true
	s.mu.Unlock()
	at, err := s.producer.transact(ctx, records, nil)
	if err != nil {
		return s.finish(fmt.Errorf("publish: %w", err))
	}
	for tp, q := range next {
		q.Next = at[tp]
		next[tp] = q
	}
	s.numbers.Published(next)
	return s.finish(nil)
}

// Save stores the position behind everything published. See stream.Session.
func (s *Session) Save(ctx context.Context, p stream.SourcePosition) error {
	if err := s.begin(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return s.finish(fmt.Errorf("save position: %w", context.Cause(ctx)))
	}
	s.advance()
	s.position.Saved, s.position.Source, s.position.LSN, s.position.Skip = true, slices.Clone(p.Source), p.LSN, slices.Clone(p.Skip)
	if _, err := s.producer.transact(ctx, nil, s.position); err != nil {
		return s.finish(fmt.Errorf("save position: %w", err))
	}
	s.mu.Lock()
	s.dirty = false
	s.mu.Unlock()
	return s.finish(nil)
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
	s.mu.Lock()
	orderly := s.ended == nil && !s.busy && !s.dirty && s.position.Saved
	if orderly {
		s.busy = true
	}
	s.mu.Unlock()
	var err error
	if orderly {
		ctx, cancel := context.WithTimeoutCause(context.Background(), s.log.o.Timeout, errNoAnswer)
		defer cancel()
		s.position.Clean = true
		if _, err = s.producer.transact(ctx, nil, s.position); err == nil {
			err = s.settle(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.end(errors.New("it was closed"))
	if err != nil && !errors.Is(err, stream.ErrFenced) {
		return fmt.Errorf("close session of shard %s: %w", s.shard, err)
	}
	return nil
}
