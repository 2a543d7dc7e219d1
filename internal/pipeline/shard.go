package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tailwater/binlog"
	"tailwater/internal/config"
	"tailwater/internal/failpoint"
	"tailwater/internal/status"
	"tailwater/stream"
)

// shard supervises the reader of one shard: it opens a session, follows the
// binlog until something ends it, and begins again. A shard fails alone.
//
//	preflight -> open session (claim, fence, fold) -> follow -> drain -> pause -> …
//
// Where several processes share the shards it does so while the shard is this
// process's.
type shard struct {
	source, id, addr string
	stallAfter       time.Duration
	// options are those of reader, which is made anew when they change.
	options binlog.Options
	reader  atomic.Pointer[binlog.Reader]
	log     stream.Log
	// saved returns the stored source position of a shard, nil without one.
	saved      func(ctx context.Context, shard string) ([]byte, error)
	views      *viewSet
	batchBytes int
	saveEvery  time.Duration
	gate       *gate
	retry      config.Retry
	counters   *counters
	logger     *slog.Logger
	// wake ends a pause at once.
	wake chan struct{}
	now  func() time.Time
	// tenure is whether the shard is this process's.
	tenure *tenure
	// takeover is whether the next session may replace one of another process.
	takeover bool
	// accepting guards options.
	accepting sync.Mutex
	// left is what the shard waited for a person with when it was told to stop,
	// or could not publish then. It is valid once run has returned.
	left error
	// interrupt ends the reader of the session at hand, nil between sessions.
	interrupt atomic.Pointer[context.CancelCauseFunc]
	// publisher is that of the session at hand.
	publisher atomic.Pointer[publisher]
	// runs counts the sessions opened; those after the first are reconnects.
	runs atomic.Uint64
	// asks are requests to move the position, taken between two sessions.
	asks     chan resetAsk
	resets   resets
	headroom *headroom
}

// run supervises until stop ends, and returns why the last session did. What is
// read by then is still published, for as long as hard lasts.
func (s *shard) run(stop, hard context.Context) error {
	backoff := binlog.Backoff{Min: s.retry.Min, Max: s.retry.Max}
	// last is why the attempt before ended: it is shown until the shard streams.
	var last error
	claims := 0
	s.takeover = true
	for {
		s.set(status.Connecting, last)
		began := s.now()
		err := s.session(stop, hard)
		if errors.Is(err, errHalted) {
			if err = nil; stop.Err() == nil {
				last = nil
				continue
			}
		}
		if stop.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) && classify(err) == binlog.Stop {
				s.left = err
			}
			return err
		}
		if s.now().Sub(began) > time.Minute {
			backoff.Reset()
		}
		state := status.Connecting
		class := classify(err)
		if class == binlog.Stop {
			state = status.Stopped
		}
		var again <-chan time.Time
		if errors.Is(err, stream.ErrFenced) {
			claims++
			s.set(status.Connecting, err)
			if s.contested(stop, claims) {
				s.takeover, last = true, err
				continue
			}
			// Two that claim it from each other for ever would both be busy and
			// neither of them right.
			err = fmt.Errorf("%w; another process reads it now: if that is a mistake, stop that one and POST /api/v1/shards/%s/retry here", err, s.id)
		} else {
			again = time.After(backoff.Next(class))
		}
		s.set(state, err)
		last = err
		if s.rest(stop, again) {
			backoff.Reset()
		}
		if stop.Err() != nil {
			if class == binlog.Stop {
				s.left = err
			}
			return err
		}
	}
}

// rest waits until it is time for the next attempt, and reports whether a person
// has ended the pause: by a word, or by moving the position.
func (s *shard) rest(stop context.Context, again <-chan time.Time) bool {
	for {
		select {
		case <-again:
			return false
		case <-s.wake:
			return true
		case ask := <-s.asks:
			r, err := s.reset(ask.ctx, ask.req)
			ask.answer <- resetAnswer{r, err}
			if err == nil && !ask.req.DryRun {
				return true
			}
		case <-stop.Done():
			return false
		}
	}
}

// classify says what to do about an error of a session. A session that the
// stream ended begins anew, unless another process has taken the shard or a
// record can never be taken.
func classify(err error) binlog.Class {
	var large *stream.RecordTooLargeError
	switch {
	case errors.Is(err, stream.ErrFenced), errors.As(err, &large):
		return binlog.Stop
	case errors.Is(err, stream.ErrSessionEnded), errors.Is(err, stream.ErrUnavailable):
		return binlog.Retry
	}
	return binlog.Classify(err)
}

// ofStream marks an error of the stream that passes by itself. Where the reader
// meets one while it holds a row, nothing else tells it from a fault of the row.
func ofStream(err error) error {
	if classify(err) == binlog.Retry {
		return fmt.Errorf("%w: %w", stream.ErrUnavailable, err)
	}
	return err
}

// ended notes the last state. Being told to stop is no error.
func (s *shard) ended(err error) {
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	s.set(status.Ended, err)
}

// session is one life of the reader: from the claim of an epoch to the last
// stored position.
func (s *shard) session(stop, hard context.Context) error {
	if err := s.preflight(stop); err != nil {
		return err
	}
	if err := s.tenure.fresh(stop); err != nil {
		return err
	}
	failpoint.At(failpoint.SessionOpening)
	session, views, err := s.open(stop)
	if err != nil {
		return err
	}
	defer session.Close()
	s.takeover = false
	if s.runs.Add(1) > 1 {
		s.counters.reconnects.Add(1)
	}
	failpoint.At(failpoint.SessionOpened)
	s.counters.epoch.Store(session.Epoch())
	if err := s.readResets(stop); err != nil {
		return err
	}
	var position []byte
	if r := session.Recovered(); r.Found {
		position = r.Position.Source
	}
	s.reader.Load().Resume(position, binlog.Known{Published: transactions(session.Recovered().Skip), GivenUp: s.givenUp()})
	s.set(status.Streaming, nil)

	read, cancel := context.WithCancelCause(stop)
	defer cancel(nil)
	s.interrupt.Store(&cancel)
	defer s.interrupt.Store(nil)
	pub := newPublisher(publisherOptions{
		Shard: s.id, Session: session, Log: s.log, Views: views, BatchBytes: s.batchBytes,
		SaveEvery: s.saveEvery, Gate: s.gate.wait, Counters: s.counters, Now: s.now, Logger: s.logger,
		ServerChanged: func() bool { return s.serverChanged(session.Recovered()) }, Interrupt: cancel,
	})
	s.publisher.Store(pub)
	defer s.publisher.Store(nil)
	go func() {
		// A publish that fails ends the reader, also one that waits for its server.
		err := pub.run(hard)
		cancel(err)
	}()
	rerr := s.reader.Load().Run(read, position, pub)
	defer s.counters.waiting.end()
	if perr := pub.Finish(); perr != nil {
		return perr
	}
	if pub.halt == nil || stop.Err() != nil {
		if errors.Is(context.Cause(read), errHalted) {
			return errHalted
		}
		return rerr
	}
	pub.halt.timer.Stop()
	if err := s.prepare(stop, pub.halt); err != nil {
		return err
	}
	return errHalted
}

// open opens a session with the topics of the views that there are.
//
// Another process may have captured tables since this one has looked, and have
// stopped some. What it remembered of them is read behind the fence, when it can
// remember nothing more; a topic that comes to light then has not been fenced,
// and the session is opened once more.
func (s *shard) open(stop context.Context) (stream.Session, *viewSet, error) {
	for {
		views := s.views.session()
		session, err := s.log.OpenShard(stop, stream.ShardOptions{Source: s.source, Shard: s.id, Topics: views.topics(), Takeover: s.takeover})
		if err != nil {
			return nil, nil, fmt.Errorf("open shard %s in the stream: %w", s.id, err)
		}
		if s.tenure.told == nil || views.capture == nil {
			return session, views, nil
		}
		err = views.capture.load(stop)
		if err == nil && len(views.capture.now()) == len(views.targets)-len(s.views.targets) {
			return session, views, nil
		}
		session.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("read the captured tables for shard %s: %w", s.id, err)
		}
	}
}

// began is told where the reader begins.
func (s *shard) began(position []byte, _ string) {
	if pub := s.publisher.Load(); pub != nil {
		pub.began(position)
	}
}

// preflight asks the server whether it can be followed from where the shard
// stands, before anything is claimed.
func (s *shard) preflight(ctx context.Context) error {
	position, err := s.saved(ctx, s.id)
	if err != nil {
		return fmt.Errorf("read the position of shard %s: %w", s.id, err)
	}
	return s.reader.Load().PreflightFrom(ctx, position)
}

// serverChanged reports whether the server of the recovered position is not
// the one connected to now.
func (s *shard) serverChanged(r stream.Recovered) bool {
	if !r.Found || len(r.Skip) == 0 {
		return false
	}
	p, err := binlog.ParsePosition(r.Position.Source)
	return err != nil || p.ServerUUID != s.reader.Load().Status().ServerUUID
}

// set changes the state, and logs it when it is another one.
func (s *shard) set(state status.ShardState, err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if !s.counters.set(state, fault, s.now()) {
		return
	}
	level := slog.LevelInfo
	args := []any{"source", s.source, "shard", s.id, "state", string(state)}
	if err != nil {
		level = slog.LevelWarn
		if state == status.Stopped {
			level = slog.LevelError
		}
		args = append(args, "error", fault)
	}
	s.logger.Log(context.Background(), level, "shard", args...)
}

// retryNow ends the pause of a shard that waits.
func (s *shard) retryNow() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// publishStalls is how long the stream may leave a publish unanswered before the
// shard is said to stall; one takes milliseconds.
const publishStalls = 5 * time.Second

// errNotStoppedThere says that a shard does not wait at a transaction.
var errNotStoppedThere = errors.New("the shard is not stopped at that transaction")

// accept passes over one transaction whose statement stopped the shard: a
// person has decided that what was made of the table may stay as it is.
func (s *shard) accept(transaction string) error {
	state, fault, _ := s.counters.get()
	if state != status.Stopped || transaction == "" || !strings.Contains(fault, "accept transaction "+transaction+";") {
		return errNotStoppedThere
	}
	s.accepting.Lock()
	defer s.accepting.Unlock()
	o := s.options
	o.Accepted = append(slices.Clone(o.Accepted), transaction)
	r, err := binlog.New(o)
	if err != nil {
		return err
	}
	s.options = o
	s.reader.Store(r)
	s.logger.Warn("transaction accepted", "source", s.source, "shard", s.id, "transaction", transaction)
	s.retryNow()
	return nil
}

// snapshot is the shard's state now.
func (s *shard) snapshot(now time.Time) status.Shard {
	c, r := s.counters, s.reader.Load().Status()
	state, fault, since := c.get()
	if !state.Owned() {
		return s.others(state, fault, since)
	}
	out := status.Shard{
		Source: s.source, Shard: s.id, State: state, Error: fault, Since: since, Connected: r.Connected,
		Address: s.addr, Server: r.ServerVersion, UUID: r.ServerUUID, File: r.File, Pos: r.Pos, GTID: r.GTID,
		Epoch: c.epoch.Load(), Transactions: c.transactions.Load(), Rows: c.rows.Load(), Events: c.events.Load(),
		Filtered: c.filtered.Load(), Tables: c.tables.Load(), Shadows: c.shadows.Load(), Accepted: c.accepted.Load(), InvalidText: c.raw.Load(),
		Skipped: c.skipped.Load(), Bytes: r.Bytes, Reconnects: c.reconnects.Load(),
		LastHeard: latest(r.LastEvent, r.LastHeartbeat), Headroom: s.headroom.get(), Resets: s.resets.get(),
		ClockOffset: r.Skew.Offset.Seconds(), ClockMeasured: r.Skew.At, ClockOff: r.Skew.Alarming(),
	}
	if v := c.lastCommit.Load(); v > 0 {
		out.LastEvent = time.UnixMicro(v).UTC()
	}
	if v := c.lastSaved.Load(); v > 0 {
		out.LastSaved = time.Unix(0, v).UTC()
	}
	out.LagSeconds = c.waiting.lag(now, state != status.Streaming || r.LastHeartbeat.After(r.LastEvent))
	if state != status.Streaming {
		return out
	}
	switch unanswered := c.waiting.unanswered(now); {
	case s.gate.closed():
		out.State = status.Paused
	case unanswered > min(publishStalls, s.stallAfter):
		out.State = status.Stalled
		out.Error = fmt.Sprintf("the stream has not answered a publish for %s; the session begins anew when the answer is overdue", unanswered.Round(time.Second))
	case unanswered > 0:
		// The reader may wait for it: that nothing is heard of its server means
		// nothing.
	case !out.LastHeard.IsZero() && now.Sub(out.LastHeard) > s.stallAfter:
		out.State = status.Stalled
		out.Error = fmt.Sprintf("nothing heard from %s for %s, not even a heartbeat", s.addr, now.Sub(out.LastHeard).Round(time.Second))
	case out.LastHeard.IsZero() && now.Sub(since) > s.stallAfter:
		out.State = status.Stalled
		out.Error = fmt.Sprintf("nothing heard from %s since the connection was asked for", s.addr)
	}
	return out
}

// others is the shard's state while it is not this process's: what was counted
// here, and nothing of where its server stands.
func (s *shard) others(state status.ShardState, fault string, since time.Time) status.Shard {
	c := s.counters
	out := status.Shard{
		Source: s.source, Shard: s.id, State: state, Error: fault, Since: since, Address: s.addr,
		Epoch: c.epoch.Load(), Transactions: c.transactions.Load(), Rows: c.rows.Load(), Events: c.events.Load(),
		Filtered: c.filtered.Load(), Tables: c.tables.Load(), Shadows: c.shadows.Load(), Skipped: c.skipped.Load(),
		Bytes: s.reader.Load().Status().Bytes, Reconnects: c.reconnects.Load(),
	}
	if owner := c.owner.Load(); owner != nil {
		out.Owner = *owner
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
