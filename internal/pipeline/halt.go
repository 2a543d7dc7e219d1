package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/internal/view"
)

// errHalted ends the reader of a session that meets a captured table for which
// it is not made: a new one, or one that cannot be published. The session begins
// anew at once.
var errHalted = errors.New("the session ends for captured tables")

// halt is why a session ends before its reader does. From the transaction that
// is the first to need it on, nothing is published and no position moves: what
// follows is only looked at, for a while, so that a burst of tables costs one
// session and not one each. The next session reads all of it again.
type halt struct {
	// seen are the tables that were looked at since, by the shape that came
	// first: that a later one is bad says nothing of the rows before it.
	seen map[tableName]*change.Table
	// join are tables without a topic, stop those that cannot be published.
	join []tableName
	stop []stopped
	// timer ends the looking.
	timer *time.Timer
}

// stopped is a captured table that cannot be published.
type stopped struct {
	name        tableName
	transaction string
	reason      error
}

// How long a halted session looks at what follows: in the present a shard waits
// for it, and in its history nobody does.
const (
	lookOn       = 50 * time.Millisecond
	lookOnInPast = 5 * time.Second
	past         = time.Minute
)

// capturedPlan returns the plan of a captured table, or the one that counts its
// rows when it is stopped, or a halt.
func (c *planCache) captured(shard string, t *change.Table) (*boundPlan, error) {
	name := tableName{t.Database, t.Name}
	if k := c.views.capture.notices.stopped(noticeKey{shard, name}); k != nil {
		return &boundPlan{notice: k}, nil
	}
	ct := c.views.capture.table(name)
	plan, err := view.Compile(ct.def, shard, t, nil)
	if err == nil {
		err = c.views.capture.refusal(ct)
	}
	if err != nil {
		return nil, &haltError{name: name, reason: err}
	}
	target := c.views.target(ct.def.Name)
	if target == nil {
		return nil, &haltError{name: name}
	}
	return &boundPlan{plan: plan, target: target}, nil
}

// haltError says that a session cannot go on with a captured table: with a
// reason it cannot be published, else it has no topic in this session.
type haltError struct {
	name   tableName
	reason error
}

func (e *haltError) Error() string {
	if e.reason != nil {
		return fmt.Sprintf("captured table %s: %v", e.name, e.reason)
	}
	return fmt.Sprintf("captured table %s has no topic yet", e.name)
}

func (e *haltError) Unwrap() error { return e.reason }

// halted begins the end of the session at the open transaction.
func (p *publisher) halted(tx *binlog.Transaction, e *haltError) {
	failpoint.At(failpoint.CaptureHalted)
	p.dropOpen()
	d := lookOn
	if tx.ReadAt.UnixMicro()-tx.CommitMicros > past.Microseconds() {
		d = lookOnInPast
	}
	p.halt = &halt{seen: make(map[tableName]*change.Table)}
	if p.o.Interrupt != nil {
		p.halt.timer = time.AfterFunc(d, func() { p.o.Interrupt(errHalted) })
	}
	p.halt.add(tx, e)
}

func (h *halt) add(tx *binlog.Transaction, e *haltError) {
	if e.reason != nil {
		h.stop = append(h.stop, stopped{e.name, tx.ID, e.reason})
		return
	}
	h.join = append(h.join, e.name)
}

// look notes what the next session needs for a row of a halted one.
func (p *publisher) look(tx *binlog.Transaction, t *change.Table) error {
	name := tableName{t.Database, t.Name}
	c := p.o.Views.capture
	if p.halt.seen[name] != nil || !c.rule.Takes(t.Database, t.Name) {
		return nil
	}
	p.halt.seen[name] = t
	var e *haltError
	if _, err := p.plans.captured(p.o.Shard, t); errors.As(err, &e) {
		for _, known := range p.halt.join {
			if known == name {
				return nil
			}
		}
		for _, known := range p.halt.stop {
			if known.name == name {
				return nil
			}
		}
		p.halt.add(tx, e)
	}
	return nil
}

// prepare makes what a halted session lacked. The session has published what is
// before the transaction that halted it and stored the position there: what is
// stopped from now on has nothing before it that would be passed over too.
func (s *shard) prepare(ctx context.Context, h *halt) error {
	failpoint.At(failpoint.CapturePreparing)
	c := s.views.capture
	for _, name := range h.join {
		if err := c.join(ctx, name, c.options.Partitions); err != nil {
			return fmt.Errorf("shard %s: %w", s.id, err)
		}
	}
	for _, st := range h.stop {
		if err := c.notice(ctx, noticeKey{s.id, st.name}, &notice{state: noticeStopped, transaction: st.transaction, reason: st.reason.Error()}); err != nil {
			return err
		}
	}
	return nil
}

// notice stores what befell a table, and logs it when that is another than before.
func (c *captureSet) notice(ctx context.Context, key noticeKey, k *notice) error {
	changed, err := c.notices.put(ctx, c.log, c.source, key, k)
	if err != nil || !changed {
		return err
	}
	args := []any{"source", c.source, "shard", key.shard, "schema", key.database, "table", key.table, "transaction", k.transaction, "reason", k.reason}
	switch k.state {
	case noticeStopped:
		c.logger.Error("captured table is stopped: its rows are counted and not published; mend it, then POST /api/v1/shards/{shard}/resume", args...)
	case noticeNoted:
		c.logger.Warn("nobody can say what a statement did to a captured table: what the stream has of it from before may differ", args...)
	default:
		c.logger.Warn("captured table goes on", args...)
	}
	return nil
}

// errNotMarked says that nothing befell a table that a person wants to go on.
var errNotMarked = errors.New("nothing is noted of that table on that shard")

// resume takes the notice of a captured table away. Its rows are published from
// where the shard stands.
func (s *shard) resume(ctx context.Context, name tableName) error {
	c := s.views.capture
	if c == nil || c.notices.of(noticeKey{s.id, name}) == nil {
		return errNotMarked
	}
	if err := c.notice(ctx, noticeKey{s.id, name}, &notice{state: noticeResumed}); err != nil {
		return err
	}
	// Which events there are changes with an epoch only.
	if interrupt := s.interrupt.Load(); interrupt != nil {
		(*interrupt)(errHalted)
	}
	return nil
}

// tolerate is asked where a statement would stop the shard: of tables that are
// captured and that no view of the configuration takes, it is noted instead.
func (s *viewSet) tolerate(shard string) func(transaction, database, table string, stop error) (bool, error) {
	return func(transaction, database, table string, stop error) (bool, error) {
		if table == "" && len(s.matcher.MatchDatabase(s.source, database)) > 0 {
			return false, nil
		}
		if table != "" && len(s.matcher.Match(s.source, shard, database, table)) > 0 {
			return false, nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		k := &notice{state: noticeNoted, transaction: transaction, reason: reasonOf(stop)}
		return true, s.capture.notice(ctx, noticeKey{shard, tableName{database, table}}, k)
	}
}

// reasonOf is what a statement did, without what a person does about a shard
// that is stopped.
func reasonOf(stop error) string {
	var e *binlog.StopError
	if errors.As(stop, &e) {
		return e.Reason
	}
	return stop.Error()
}
