package pipeline

import (
	"fmt"
	"math"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/failpoint"
	"tailwater/internal/view"
)

// Table publishes one event in every partition of every view that takes the
// table: each of them may hold rows of it. The part of the event's lsn is the
// partition, so that one which was written to some of them only is told from
// what is still to be written.
//
// The next session writes the others, with the lsns of its epoch. No row behind
// the event may then have an lsn of this one, or whoever compares it with those of
// the event would take it for gone: rows go in the next batch, which is not sent
// before this one is whole.
//
// A view in the form of another system is told of what that system has an event
// of, if the configuration says so: by its defaults the system has none, and its
// consumers would stop at one.
func (p *publisher) Table(tx *binlog.Transaction, t *change.TableChange) error {
	if p.halt != nil {
		return nil
	}
	if e := p.untold(t); e != nil {
		p.halted(tx, e)
		return nil
	}
	p.row = t.Row
	for _, to := range p.o.Views.ofTable(p.o.Shard, t.Table) {
		if to.foreign && !p.foreignTable(to, tx, t) {
			p.o.Logger.Warn("rows left a table, or came into it, and a view sends no event that says so, by its envelope or its table_events: its consumers must be told by hand",
				"shard", p.o.Shard, "view", to.view, "ddl", string(t.DDL), "table", t.Table.String(), "transaction", tx.ID)
			continue
		}
		if to.partitions > math.MaxUint16 {
			return fmt.Errorf("shard %s, table %s, %s: an event for each of the %d partitions of %s cannot be numbered", p.o.Shard, t.Table, t.DDL, to.partitions, to.topic)
		}
		for part := range int32(to.partitions) {
			c := view.TableChange{
				TableChange: t, Shard: p.o.Shard, TSMicros: tx.CommitMicros, GTID: tx.ID,
				LSN: change.LSN{Epoch: p.epoch, Txn: tx.Number, Row: t.Row, Part: uint16(part)},
			}
			if !to.foreign {
				p.table = view.AppendTableEvent(p.table[:0], &c)
			}
			// DDL may carry another clock than the rows, see commit.
			if err := p.put(to, part, view.Event{Op: change.OnTable, LSN: c.LSN, Value: p.table}, p.watermark); err != nil {
				return err
			}
		}
	}
	failpoint.At(failpoint.TableEvent)
	p.cur.tables = p.cur.tables || p.events > 0
	p.o.Counters.tables.Add(1)
	p.o.Logger.Warn("rows left a table, or came into it, without row events: its views are told in every partition",
		"shard", p.o.Shard, "ddl", string(t.DDL), "table", t.Table.String(), "transaction", tx.ID)
	if p.cur.bytes >= p.o.BatchBytes {
		return p.seal()
	}
	return nil
}

// foreignTable makes p.table the event of a change of a table in the form of a
// view's system. It is false where there is none.
func (p *publisher) foreignTable(to *target, tx *binlog.Transaction, t *change.TableChange) (ok bool) {
	p.table, ok = envelope.AppendTableEvent(to.tables, p.table[:0], &envelope.TableEvent{
		TableChange: t, Shard: p.o.Shard, Connector: to.connector, Commit: tx.CommitMicros, Read: tx.ReadAt.UnixMicro(),
		TxID: tx.ID, File: tx.File, Pos: tx.Pos, Server: tx.ServerID,
	})
	return ok
}

// untold is a halt when rows came into a captured table that has no topic in
// this session, where its consumers could be told of them.
func (p *publisher) untold(t *change.TableChange) *haltError {
	c, name := p.o.Views.capture, tableName{t.Table.Database, t.Table.Name}
	if c == nil || t.From.IsZero() || !c.rule.Takes(name.database, name.table) || c.notices.stopped(noticeKey{p.o.Shard, name}) != nil {
		return nil
	}
	ct := c.table(name)
	if c.refusal(ct) != nil || p.o.Views.target(ct.def.Name) != nil {
		return nil
	}
	return &haltError{name: name}
}
