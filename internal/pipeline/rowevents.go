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
	"tailwater/stream"
)

// Row turns one row change into the events of every view that takes its table.
func (p *publisher) Row(tx *binlog.Transaction, rc *binlog.RowChange) error {
	if p.halt != nil {
		return p.look(tx, rc.Table)
	}
	plans, err := p.plans.of(p.o.Shard, rc.Table)
	if err != nil {
		return p.refused(tx, err)
	}
	if p.cur.tables {
		if err := p.seal(); err != nil {
			return err
		}
	}
	before := len(p.cur.records)
	c := view.Change{
		Op: rc.Op, Shard: p.o.Shard, TSMicros: tx.CommitMicros, GTID: tx.ID,
		LSN:    change.LSN{Epoch: p.epoch, Txn: tx.Number, Row: rc.Row},
		Before: rc.Before, After: rc.After,
		File: tx.File, Pos: tx.Pos, Server: tx.ServerID, ReadMicros: tx.ReadAt.UnixMicro(),
	}
	p.row = rc.Row
	passed := false
	for _, pl := range plans {
		if pl.notice != nil {
			pl.notice.skipped.Add(1)
			passed = true
			continue
		}
		if err := p.store(pl); err != nil {
			return err
		}
		p.target = pl.target
		err := pl.plan.Apply(&c, p.emit)
		if err != nil && pl.target.captured && p.broken == nil {
			p.halted(tx, &haltError{name: tableName{rc.Table.Database, rc.Table.Name}, reason: err})
			return nil
		}
		if err != nil {
			return fmt.Errorf("shard %s, table %s.%s, transaction %s at %s:%d, row %d: %w", p.o.Shard, rc.Table.Database, rc.Table.Name, tx.ID, tx.File, tx.Pos, rc.Row, err)
		}
	}
	p.o.Counters.rows.Add(1)
	if len(p.cur.records) == before && !passed {
		p.o.Counters.filtered.Add(1)
	}
	if p.cur.bytes >= p.o.BatchBytes {
		return p.seal()
	}
	return nil
}

// refused halts a table that alone has no plan, and returns every other error.
func (p *publisher) refused(tx *binlog.Transaction, err error) error {
	var e *haltError
	if !errors.As(err, &e) {
		return err
	}
	p.halted(tx, e)
	return nil
}

// storeTimeout bounds how long the reader waits until what it must remember is
// stored.
const storeTimeout = 30 * time.Second

// store makes the schema of a plan durable before the first event names it.
func (p *publisher) store(pl *boundPlan) error {
	if pl.stored {
		return nil
	}
	failpoint.At(failpoint.SchemaStoring)
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := p.o.Log.PutSchema(ctx, pl.plan.Schema()); err != nil {
		return fmt.Errorf("store schema of view %s: %w", pl.target.view, ofStream(err))
	}
	pl.stored = true
	return nil
}

// add appends one event to the batch, unless it already stands in the log.
func (p *publisher) add(e view.Event) error {
	t := p.target
	if size := len(e.Key) + len(e.Value); t.captured && size > t.maxRecord {
		return &stream.RecordTooLargeError{Topic: t.topic, KeyLen: len(e.Key), Size: size, Limit: t.maxRecord}
	}
	return p.put(t, stream.Partition(e.Key, t.partitions), e, max(p.watermark, p.tx.CommitMicros))
}

// put appends one event for a partition to the batch, unless it already stands
// in the log.
func (p *publisher) put(t *target, part int32, e view.Event, watermark int64) error {
	if e.LSN.Txn != p.last.Txn || p.last.Less(e.LSN) {
		p.last = e.LSN // of several views of a row, the one that made the most events
	}
	if p.txSkip != nil {
		known, err := p.txSkip.take(t.topic, e, p.serverChanged())
		if err != nil {
			p.broken = fmt.Errorf("shard %s, transaction %s: %w", p.o.Shard, p.tx.ID, err)
			return p.broken
		}
		if known {
			p.o.Counters.skipped.Add(1)
			return nil
		}
	}
	b := p.cur
	b.add(stream.Record{
		Topic: t.topic, Partition: part, Kind: stream.Event, Shard: p.o.Shard, LSN: e.LSN,
		Watermark: watermark, TxID: p.tx.ID, Row: p.row,
		Key: b.hold(e.Key), Value: b.hold(e.Value),
	})
	p.beats.sent(t, part)
	p.events++
	if e.Raw > 0 {
		p.o.Counters.raw.Add(uint64(e.Raw))
	}
	t.events.Add(1)
	t.bytes.Add(uint64(len(e.Value)))
	return nil
}
