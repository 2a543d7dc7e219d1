package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/view"
)

// decodeBench is binlog bytes to JSON events.
var decodeBench = &bench{
	name: "decode", what: "a recorded binlog to flat JSON events, on one core; CRC32 is verified by every arm",
	procs: 1, fixtures: "abcdfg", onRequest: "e", minLap: 500 * time.Millisecond,
	groups: func() []*group {
		return []*group{
			{name: "frames", transactions: true, arms: []*arm{
				{name: "tailwater", what: "events cut, verified and followed, no table taken", run: replayFrames},
				{name: "go-mysql-raw", what: "go-mysql in raw mode with VerifyChecksum: events cut and verified, not parsed", run: mysqlRaw},
			}},
			{name: "json", arms: []*arm{
				{name: "tailwater", what: "parser, row decoding and a view's plan", run: replayView},
				{name: "transport", what: "go-mysql in raw mode with VerifyChecksum: what it costs to have the events, and no row of them", ceiling: true, run: mysqlTransport},
				{name: "go-mysql-map", what: "go-mysql, a map for each row, encoding/json", run: mysqlMap},
				{name: "go-mysql-canal", what: "the same in the shape of canal: a table cache, a channel send for each row; without canal's SQL parser", run: mysqlCanal},
			}},
		}
	},
}

// replay runs a recording through the reader's own parser.
func replay(ctx context.Context, j *job, o binlog.Options, h binlog.Handler) error {
	f, err := os.Open(j.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return binlog.Replay(ctx, f, recordedName, o, h)
}

// transactions counts them and takes nothing else.
type transactions struct{ *tally }

var _ binlog.Handler = transactions{}

// Begin does nothing.
func (transactions) Begin(*binlog.Transaction) error { return nil }

// Row does nothing.
func (transactions) Row(*binlog.Transaction, *binlog.RowChange) error { return nil }

// Table does nothing.
func (transactions) Table(*binlog.Transaction, *change.TableChange) error { return nil }

// Commit counts.
func (t transactions) Commit(tx *binlog.Transaction, _ []byte) error {
	t.count++
	if t.job.Check {
		t.line(fmt.Sprint(tx.ID, "\n"))
	}
	return nil
}

// Idle does nothing.
func (transactions) Idle(int64, []byte) error { return nil }

func replayFrames(ctx context.Context, j *job, t *tally) error {
	none := func(string, string) bool { return false }
	return replay(ctx, j, binlog.Options{Shard: shardID, Filter: none}, transactions{t})
}

// shardID names the shard in every arm.
const shardID = "00"

// planned hands the rows to the plan of a view, as the pipeline does.
type planned struct {
	*tally
	definition view.Definition
	plans      map[*change.Table]*view.Plan
	emit       func(view.Event) error
}

var _ binlog.Handler = (*planned)(nil)

// ordersView is the view of every arm.
func ordersView() view.Definition {
	return view.Definition{Name: ordersName, Source: "shop", Database: database, Table: table}
}

func replayView(ctx context.Context, j *job, t *tally) error {
	p := &planned{tally: t, plans: make(map[*change.Table]*view.Plan)}
	p.definition = ordersView()
	p.emit = func(e view.Event) error { return t.event(e.Value) }
	return replay(ctx, j, binlog.Options{Shard: shardID}, p)
}

// Begin does nothing.
func (p *planned) Begin(*binlog.Transaction) error { return nil }

// Row makes the events of a row.
func (p *planned) Row(tx *binlog.Transaction, r *binlog.RowChange) error {
	plan := p.plans[r.Table]
	if plan == nil {
		var err error
		if plan, err = view.Compile(&p.definition, shardID, r.Table, nil); err != nil {
			return err
		}
		p.plans[r.Table] = plan
	}
	c := view.Change{
		Op: r.Op, Shard: shardID, TSMicros: tx.CommitMicros, GTID: tx.ID,
		LSN: change.LSN{Epoch: 1, Txn: tx.Number, Row: r.Row}, Before: r.Before, After: r.After,
	}
	return plan.Apply(&c, p.emit)
}

// Table does nothing.
func (p *planned) Table(*binlog.Transaction, *change.TableChange) error { return nil }

// Commit does nothing.
func (p *planned) Commit(*binlog.Transaction, []byte) error { return nil }

// Idle does nothing.
func (p *planned) Idle(int64, []byte) error { return nil }
