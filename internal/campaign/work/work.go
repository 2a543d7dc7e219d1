// Package work is a workload whose transactions tell what they are: each has a
// row in a ledger, with its number, how many events it is and a digest of them
// (package check). It knows servers only by SQL.
//
// A shard has lanes. A lane is one session after the other that does what its
// random numbers say: transfers between accounts, inserts from one byte to the
// largest body and from one row to the largest transaction, updates, deletes,
// keys that move up by one in a single statement, statements over several
// tables, changes of the table's columns, roll-backs and savepoints, and pauses.
// What a lane does is a function of the seed, the shard and the lane; when it
// does it, and whether a fault makes it do so twice, is not. A transaction whose
// end is not known is looked up in the ledger and, if it is not there, sent again.
package work

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"tailwater/internal/campaign/check"
)

// Options are the sizes of the work.
type Options struct {
	Seed  uint64
	Lanes int
	// Pause is the mean pause between two transactions of a lane.
	Pause time.Duration
	// Idle is the longest pause of a shard that rests.
	Idle time.Duration
	// MaxRows is the size of the largest transaction, MaxBody of the largest text.
	MaxRows, MaxBody int
}

// Shard is a server.
type Shard struct {
	Name string
	// DSN is the server's, without a database, ending with a slash.
	DSN string
}

// Work is the workload on all shards.
type Work struct {
	o     Options
	lanes []*Lane
}

// New prepares the workload, without talking to a server.
func New(o Options, shards []Shard) *Work {
	w := &Work{o: o}
	for i, s := range shards {
		for lane := range o.Lanes {
			w.lanes = append(w.lanes, newLane(o, s, i, lane))
		}
	}
	return w
}

// Lane says where a lane is.
type Lane struct {
	Shard  string
	Number int64
	// Committed is the number of the last transaction whose commit the server
	// has acknowledged.
	Committed atomic.Int64
	// Rows counts the events of those, without the ledger's.
	Rows atomic.Int64

	dsn   string
	plans *planner
	// special makes a plan that goes before the others.
	special chan func(*planner, *plan)
	failure error
}

// Lanes are all lanes, in a fixed order.
func (w *Work) Lanes() []*Lane { return w.lanes }

// Total is the number of transactions that were acknowledged.
func (w *Work) Total() (transactions, rows int64) {
	for _, l := range w.lanes {
		transactions += l.Committed.Load()
		rows += l.Rows.Load()
	}
	return transactions, rows
}

// Prepare makes the tables.
func (w *Work) Prepare(ctx context.Context) error {
	for _, l := range w.lanes {
		if err := l.prepare(ctx); err != nil {
			return fmt.Errorf("make the tables of shard %s, lane %d: %w", l.Shard, l.Number, err)
		}
	}
	return nil
}

// Run writes until ctx ends. Then each lane ends the transaction that it is in,
// or goes on trying it until ends does. Servers may be gone in between.
func (w *Work) Run(ctx, ends context.Context) error {
	var all sync.WaitGroup
	for _, l := range w.lanes {
		all.Go(func() { l.failure = l.run(ctx, ends) })
	}
	all.Wait()
	for _, l := range w.lanes {
		if l.failure != nil {
			return fmt.Errorf("write to shard %s, lane %d: %w", l.Shard, l.Number, l.failure)
		}
	}
	return nil
}

// InsertText makes a lane insert one row with a text of so many bytes, before
// anything else.
func (l *Lane) InsertText(bytes int) {
	l.special <- func(g *planner, p *plan) { g.oversize(p, bytes) }
}

// InsertRows makes a lane insert so many rows by one statement, before anything
// else.
func (l *Lane) InsertRows(n int) {
	l.special <- func(g *planner, p *plan) { g.many(p, n) }
}

func newLane(o Options, s Shard, shard, lane int) *Lane {
	return &Lane{
		Shard: s.Name, Number: int64(lane), dsn: s.DSN, plans: newPlanner(o, shard, lane), special: make(chan func(*planner, *plan), 1),
	}
}

func (l *Lane) prepare(ctx context.Context) error {
	db, err := sql.Open("mysql", l.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, q := range l.plans.tables() {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%w: %.100s", err, q)
		}
	}
	return nil
}

func (l *Lane) run(ctx, ends context.Context) error {
	// A connection that hangs must not hang the lane: servers are killed.
	cfg, err := mysql.ParseDSN(l.dsn + check.Database + "?timeout=5s&readTimeout=120s&writeTimeout=60s")
	if err != nil {
		return err
	}
	cfg.Logger = &mysql.NopLogger{} // what is lost with a killed server is tried again
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for ctx.Err() == nil {
		var p *plan
		select {
		case fill := <-l.special:
			p = new(plan)
			fill(l.plans, p)
			p.number(l.plans)
		default:
			p = l.plans.next()
		}
		if err := l.carryOut(ends, db, p); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case fill := <-l.special: // also where the lane rests for long
			l.special <- fill
		case <-time.After(p.pause):
		}
	}
	return nil
}

// carryOut does a plan, again and again until it is known to be done.
func (l *Lane) carryOut(ctx context.Context, db *sql.DB, p *plan) error {
	var last error
	for try := 0; ctx.Err() == nil; try++ {
		done, err := l.done(ctx, db, p, try)
		if err == nil && !done {
			err = p.execute(ctx, db)
			done = err == nil
		}
		if done {
			p.settle()
			l.Rows.Add(p.events)
			l.Committed.Store(l.plans.seq)
			return nil
		}
		last = err
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s, transaction %d: it has not come to an end: %w", p.kind, p.seq, last)
}

// done says whether an earlier try has come through.
func (l *Lane) done(ctx context.Context, db *sql.DB, p *plan, try int) (bool, error) {
	if try == 0 || p.there == "" {
		return false, nil
	}
	var n int
	err := db.QueryRowContext(ctx, p.there).Scan(&n)
	return n > 0, err
}
