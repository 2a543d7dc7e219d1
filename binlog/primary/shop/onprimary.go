package shop

import (
	"context"
	"fmt"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
)

// OnPrimary returns a Target, and a Silencer, that is an in-process primary.
func OnPrimary(s *primary.Server) *PrimaryTarget { return &PrimaryTarget{s} }

// PrimaryTarget executes the workload on an in-process primary.
type PrimaryTarget struct{ server *primary.Server }

var (
	_ Target   = (*PrimaryTarget)(nil)
	_ Silencer = (*PrimaryTarget)(nil)
)

// CreateTable creates the table.
func (p *PrimaryTarget) CreateTable(_ context.Context, t *encode.Table) error {
	return p.server.CreateTable(*t)
}

// AddColumn adds the column.
func (p *PrimaryTarget) AddColumn(_ context.Context, t *encode.Table, c encode.Column) error {
	return p.server.AddColumn(t.Database, t.Name, c)
}

// Silence makes the server's replication streams half-open.
func (p *PrimaryTarget) Silence(on bool) { p.server.Silence(on) }

// Apply executes the transaction.
func (p *PrimaryTarget) Apply(_ context.Context, tx *Tx) error {
	run := p.server.Begin()
	defer run.Rollback()
	var mark primary.Savepoint
	for i := range tx.Ops {
		o := &tx.Ops[i]
		var err error
		switch o.Kind {
		case Savepoint:
			mark = run.Savepoint()
		case RollbackTo:
			run.RollbackTo(mark)
		case Create:
			err = run.Insert(o.Table.Database, o.Table.Name, o.After)
		case Update:
			err = run.Update(o.Table.Database, o.Table.Name, o.Key(), o.After)
		case Delete:
			err = run.Delete(o.Table.Database, o.Table.Name, o.Key())
		}
		if err != nil {
			return fmt.Errorf("apply transaction of shard %s: %w", tx.Shard, err)
		}
	}
	if tx.Rollback {
		return nil
	}
	if _, err := run.Commit(primary.CommitOptions{OriginalMicros: tx.CommitMicros}); err != nil {
		return fmt.Errorf("apply transaction of shard %s: %w", tx.Shard, err)
	}
	return nil
}
