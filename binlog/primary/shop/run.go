package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"tailwater/binlog/primary/encode"
)

// Options say how the workload runs.
type Options struct {
	// Seed makes it another workload.
	Seed uint64
	// Rate is the row changes a second over all shards, roughly. Default 500.
	Rate int
	// History is how far the commits before the start are back-dated. Default 15
	// minutes; negative for none.
	History time.Duration
	// HistoryTxs is how many transactions of each shard lie in it. Default 200.
	HistoryTxs int
	// MaxLive bounds the orders that live on a shard, and with it memory. Default 2000.
	MaxLive int
	// Incidents are what happens on the way.
	Incidents []Incident
	// OnIncident, when set, is told when one begins and ends. It must not block.
	OnIncident func(Happening)
	// Ledger, when set, is fed.
	Ledger *Ledger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// IncidentKind is what an incident does.
type IncidentKind string

// The incidents.
const (
	// Alter adds ChannelColumn to the shard's orders tables.
	Alter IncidentKind = "alter"
	// Silent stops the shard's writes, and its server's replication streams when
	// the target is a Silencer, for a while.
	Silent IncidentKind = "silent"
)

// Incident is scripted.
type Incident struct {
	Kind IncidentKind
	// Shard is an index into the shards.
	Shard int
	// At counts from the end of the history; For is how long a silence lasts.
	At, For time.Duration
}

// Happening tells of an incident.
type Happening struct {
	Incident
	ShardID string
	// Over is set when a silence ends.
	Over bool
}

// tick is how often a live shard writes what has become due.
const tick = 20 * time.Millisecond

// Workload is the shards of one run and their targets.
type Workload struct {
	opts    Options
	shards  []*Shard
	targets []Target
}

// New returns a workload over shards with the given ids, one target each.
func New(opts Options, ids []string, targets []Target) (*Workload, error) {
	if opts.Rate == 0 {
		opts.Rate = 500
	}
	if opts.History == 0 {
		opts.History = 15 * time.Minute
	}
	if opts.HistoryTxs == 0 {
		opts.HistoryTxs = 200
	}
	if opts.MaxLive == 0 {
		opts.MaxLive = 2000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	var errs []error
	if len(ids) == 0 || len(ids) != len(targets) {
		errs = append(errs, fmt.Errorf("%d shards for %d targets", len(ids), len(targets)))
	}
	if opts.Rate < 0 || opts.HistoryTxs < 0 || opts.MaxLive < 0 {
		errs = append(errs, errors.New("none of Rate, HistoryTxs and MaxLive may be negative"))
	}
	for i, in := range opts.Incidents {
		if in.Shard < 0 || in.Shard >= len(ids) || in.Kind != Alter && in.Kind != Silent {
			errs = append(errs, fmt.Errorf("incident %d: kind %q on shard %d of %d", i+1, in.Kind, in.Shard, len(ids)))
		}
	}
	w := &Workload{opts: opts, targets: targets}
	for i, id := range ids {
		s, err := NewShard(id, opts.Seed, i, opts.MaxLive)
		errs = append(errs, err)
		w.shards = append(w.shards, s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("set up workload: %w", err)
	}
	return w, nil
}

// Prepare creates the tables and writes the history, all shards at once.
func (w *Workload) Prepare(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	now := w.opts.Now()
	for i := range w.shards {
		group.Go(func() error { return w.prepare(ctx, i, now) })
	}
	return group.Wait()
}

func (w *Workload) prepare(ctx context.Context, i int, now time.Time) error {
	s, target := w.shards[i], w.targets[i]
	for _, t := range s.Tables() {
		if err := target.CreateTable(ctx, t); err != nil {
			return fmt.Errorf("prepare shard %s: %w", s.ID, err)
		}
	}
	history := max(w.opts.History, 0)
	at := now.Add(-history).UnixMicro()
	tx, err := s.First(at)
	if err := w.apply(ctx, target, tx, err); err != nil {
		return err
	}
	if history == 0 {
		return nil
	}
	// Spread over the history with a different phase on every shard.
	step := history.Microseconds() / int64(w.opts.HistoryTxs+1)
	at += step * int64(i+1) / int64(len(w.shards)+1)
	for range w.opts.HistoryTxs {
		if err := ctx.Err(); err != nil {
			return err
		}
		tx, err := s.Next(at)
		if err := w.apply(ctx, target, tx, err); err != nil {
			return err
		}
		at += step
	}
	return nil
}

// apply executes a transaction and enters it in the books.
func (w *Workload) apply(ctx context.Context, target Target, tx *Tx, err error) error {
	if err != nil {
		return err
	}
	if err := target.Apply(ctx, tx); err != nil {
		return fmt.Errorf("shard %s: %w", tx.Shard, err)
	}
	if w.opts.Ledger != nil {
		return w.opts.Ledger.Committed(tx)
	}
	return nil
}

// Live writes at the rate until ctx ends, which is no error. When it returns,
// the ledger holds every transaction that was committed, and nothing else.
func (w *Workload) Live(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range w.shards {
		group.Go(func() error { return w.live(ctx, i) })
	}
	return group.Wait()
}

func (w *Workload) live(ctx context.Context, i int) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	start := w.opts.Now()
	script := newScript(w, i)
	defer script.end()
	perSecond := float64(w.opts.Rate) / float64(len(w.shards))
	written, silentFor := 0.0, time.Duration(0)
	last := int64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		elapsed := w.opts.Now().Sub(start)
		silent, err := script.advance(ctx, elapsed)
		if err != nil {
			return err
		}
		if silent {
			silentFor = elapsed - time.Duration(written/perSecond*float64(time.Second))
			continue
		}
		for due := (elapsed - silentFor).Seconds() * perSecond; written < due && ctx.Err() == nil; {
			// A shard's own commit times never fall, whatever its clock does.
			last = max(last, w.opts.Now().UnixMicro())
			tx, err := w.shards[i].Next(last)
			// A transaction that was begun is finished: its outcome must be known.
			if err := w.apply(context.WithoutCancel(ctx), w.targets[i], tx, err); err != nil {
				return err
			}
			written += float64(max(tx.Rows, 1))
		}
	}
}

// script is the incidents of one shard.
type script struct {
	w      *Workload
	shard  int
	todo   []Incident
	silent *Incident
}

func newScript(w *Workload, shard int) *script {
	sc := &script{w: w, shard: shard}
	for _, in := range w.opts.Incidents {
		if in.Shard == shard {
			sc.todo = append(sc.todo, in)
		}
	}
	return sc
}

// advance begins and ends what is due, and reports whether the shard is silent.
func (sc *script) advance(ctx context.Context, elapsed time.Duration) (bool, error) {
	if in := sc.silent; in != nil && elapsed >= in.At+in.For {
		sc.end()
	}
	for i := 0; i < len(sc.todo); i++ {
		in := sc.todo[i]
		if elapsed < in.At || in.Kind == Silent && sc.silent != nil {
			continue
		}
		sc.todo = append(sc.todo[:i], sc.todo[i+1:]...)
		i--
		switch in.Kind {
		case Silent:
			sc.silent = &in
			sc.silence(true)
		case Alter:
			if err := sc.alter(ctx); err != nil {
				return false, err
			}
		}
		sc.tell(in, false)
	}
	return sc.silent != nil, nil
}

func (sc *script) alter(ctx context.Context) error {
	s, c := sc.w.shards[sc.shard], ChannelColumn()
	for n := range OrderTables {
		var t *encode.Table = s.orders[n]
		if err := sc.w.targets[sc.shard].AddColumn(ctx, t, c); err != nil {
			return fmt.Errorf("shard %s: %w", s.ID, err)
		}
		if err := s.AddColumn(n, c); err != nil {
			return err
		}
	}
	return nil
}

// end ends a silence.
func (sc *script) end() {
	if in := sc.silent; in != nil {
		sc.silent = nil
		sc.silence(false)
		sc.tell(*in, true)
	}
}

func (sc *script) silence(on bool) {
	if s, ok := sc.w.targets[sc.shard].(Silencer); ok {
		s.Silence(on)
	}
}

func (sc *script) tell(in Incident, over bool) {
	if sc.w.opts.OnIncident != nil {
		sc.w.opts.OnIncident(Happening{Incident: in, ShardID: sc.w.shards[sc.shard].ID, Over: over})
	}
}
