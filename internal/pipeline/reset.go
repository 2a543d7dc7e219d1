package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/status"
	"tailwater/stream"
)

// resetWait is how long a request waits for a shard that is between two of its
// attempts to look up.
const resetWait = 5 * time.Second

// resetTimeout bounds one move of a position: a claim in the stream, and
// questions to the server.
const resetTimeout = 25 * time.Second

// ResetRequest asks to move a shard's position.
type ResetRequest struct {
	// Target is now, oldest, gtid:<set> or file:<name>:<offset>.
	Target string
	// DryRun only says what would become of it.
	DryRun bool
	// From, when set, is the position that the person has seen: another one
	// refuses the move.
	From *string
}

// errMoved says that a position is not the one that a person has seen.
var errMoved = errors.New("the saved position is another one than was shown")

// resetAsk is a request that waits for the shard's supervisor.
type resetAsk struct {
	ctx    context.Context
	req    ResetRequest
	answer chan resetAnswer
}

type resetAnswer struct {
	reset status.Reset
	err   error
}

// reset moves the position of a shard that nobody reads. The server is asked
// what that means before anything is claimed, and again by what the stream holds
// behind the position, which is known once it is. What is passed over is
// remembered before the position moves: a crash between the two leaves a reset
// of which nobody knows whether it was made, and none that nobody knows of.
func (s *shard) reset(ctx context.Context, req ResetRequest) (status.Reset, error) {
	saved, err := s.saved(ctx, s.id)
	if err != nil {
		return status.Reset{}, fmt.Errorf("read the position of shard %s: %w", s.id, err)
	}
	if req.From != nil && *req.From != string(saved) {
		return status.Reset{}, fmt.Errorf("shard %s: %w", s.id, errMoved)
	}
	reader := s.reader.Load()
	m, err := reader.Move(ctx, saved, nil, req.Target)
	if err != nil || req.DryRun {
		return s.resetOf(m), err
	}
	session, err := s.log.OpenShard(ctx, stream.ShardOptions{Source: s.source, Shard: s.id, Topics: s.views.session().topics(), Takeover: true})
	if err != nil {
		return status.Reset{}, fmt.Errorf("open shard %s in the stream: %w", s.id, err)
	}
	reset, err := s.move(ctx, session, m)
	return reset, errors.Join(err, session.Close())
}

// move stores the new position in a session, and remembers what it passes over.
func (s *shard) move(ctx context.Context, session stream.Session, m *binlog.Move) (status.Reset, error) {
	r := session.Recovered()
	if string(r.Position.Source) != string(m.From) {
		return status.Reset{}, fmt.Errorf("shard %s: %w", s.id, errMoved)
	}
	m, err := s.reader.Load().Move(ctx, m.From, transactions(r.Skip), m.Target)
	if err != nil {
		return status.Reset{}, err
	}
	out := s.resetOf(m)
	if out.Nothing {
		return out, nil
	}
	out.At = s.now().UTC()
	if err := s.resets.put(ctx, s.log, resetBegun, out); err != nil {
		return out, err
	}
	pending := make(map[string]bool)
	for _, id := range m.Pending {
		pending[id] = true
	}
	position := stream.SourcePosition{Source: m.To, LSN: change.LSN{Epoch: session.Epoch()}}
	for _, p := range r.Skip {
		if pending[p.TxID] {
			position.Skip = append(position.Skip, p)
		}
	}
	if err := session.Save(ctx, position); err != nil {
		return out, fmt.Errorf("save position of shard %s: %w", s.id, err)
	}
	s.logger.Warn("position moved", "source", s.source, "shard", s.id, "from", out.From, "to", out.To,
		"passed_over", out.Passed, "transactions", out.Transactions, "lost", out.Lost)
	return out, s.resets.put(ctx, s.log, resetMade, out)
}

// resetOf says what a move is; nil is none.
func (s *shard) resetOf(m *binlog.Move) status.Reset {
	if m == nil {
		return status.Reset{}
	}
	return status.Reset{
		Source: s.source, Shard: s.id, Target: m.Target, From: string(m.From), To: string(m.To), Passed: m.Passed, Transactions: m.Transactions,
		Lost: m.Lost, Foreign: m.Foreign, Notes: m.Notes, Nothing: m.Nothing(),
	}
}

// givenUp are the transactions that resets have taken for lost.
func (s *shard) givenUp() []string {
	var out []string
	for _, r := range s.resets.get() {
		if r.Foreign != "" {
			out = append(out, r.Foreign)
		}
	}
	return out
}

// resetShard moves the position of a stopped shard on a person's word.
func (p *Pipeline) resetShard(r *http.Request) (any, error) {
	s, err := p.shardOf(r)
	if err != nil {
		return nil, err
	}
	// A set may be longer than a URL should be: a form has the same names.
	if err := r.ParseForm(); err != nil {
		return nil, &status.Problem{Status: http.StatusBadRequest, Title: "the request cannot be read", Code: "bad_request", Detail: err.Error()}
	}
	q := r.Form
	req := ResetRequest{Target: q.Get("to"), DryRun: q.Get("dry_run") == "true"}
	if q.Has("from") {
		from := q.Get("from")
		req.From = &from
	}
	if err := binlog.CheckTarget(req.Target, s.options.Flavor, s.options.Position); err != nil {
		return nil, &status.Problem{Status: http.StatusBadRequest, Title: "no place to move to", Code: "bad_target", Detail: err.Error(),
			Suggestion: "give to=now, to=oldest, to=gtid:<set> or to=file:<name>:<offset>"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), resetTimeout)
	defer cancel()
	reset, err := s.askReset(ctx, req)
	if err != nil {
		return nil, resetProblem(err)
	}
	return reset, nil
}

// errNotStopped says that a shard is being read.
var errNotStopped = errors.New("the shard is being read")

// askReset hands a request to the shard's supervisor, which takes it where no
// session is open.
func (s *shard) askReset(ctx context.Context, req ResetRequest) (status.Reset, error) {
	ask := resetAsk{ctx: ctx, req: req, answer: make(chan resetAnswer, 1)}
	timer := time.NewTimer(resetWait)
	defer timer.Stop()
	for {
		state, _, _ := s.counters.get()
		if state != status.Stopped && state != status.Connecting {
			return status.Reset{}, fmt.Errorf("shard %s is %s: %w", s.id, state, errNotStopped)
		}
		select {
		case s.asks <- ask:
		case <-timer.C:
			return status.Reset{}, fmt.Errorf("shard %s is %s: %w", s.id, state, errNotStopped)
		case <-ctx.Done():
			return status.Reset{}, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
			continue
		}
		a := <-ask.answer
		return a.reset, a.err
	}
}

// resetProblem says in an answer why a position was not moved.
func resetProblem(err error) error {
	p := &status.Problem{Status: http.StatusConflict, Title: "the position was not moved", Code: "refused", Detail: err.Error()}
	var target *binlog.TargetError
	switch {
	case errors.Is(err, errNotStopped):
		p.Code = "not_stopped"
		p.Suggestion = "only a shard that is stopped is moved here: drain the process, and run tailwater shard reset without it"
	case errors.Is(err, errMoved):
		p.Code, p.Suggestion = "moved", "ask again with dry_run=true"
	case errors.As(err, &target):
		p.Detail, p.Suggestion = target.Reason, target.Hint
	case classify(err) == binlog.Retry:
		p.Status, p.Code, p.Suggestion = http.StatusServiceUnavailable, "unreachable", "try again when the server and the stream answer"
	}
	return p
}
