package shop

import (
	"context"
	"fmt"
	"time"

	"tailwater/binlog/primary/encode"
)

// Kind is what an Op does.
type Kind byte

// The operations of a transaction, and the marks between them.
const (
	Create     Kind = 'c'
	Update     Kind = 'u'
	Delete     Kind = 'd'
	Savepoint  Kind = 's'
	RollbackTo Kind = 'b' // to the latest Savepoint
)

// Op is one step of a transaction.
type Op struct {
	Kind  Kind
	Table *encode.Table
	// Before is the row that an Update or Delete finds, After the row that a
	// Create or Update leaves. Both are in canonical form.
	Before, After encode.Row
}

// Key returns the primary key of the row that an Update or Delete finds.
func (o *Op) Key() []any {
	key := make([]any, len(o.Table.PrimaryKey))
	for i, k := range o.Table.PrimaryKey {
		key[i] = o.Before[k]
	}
	return key
}

// Tx is one transaction.
type Tx struct {
	Shard string
	Ops   []Op
	// CommitMicros is its original_commit_timestamp.
	CommitMicros int64
	// Rollback ends it with ROLLBACK: nothing of it may come out.
	Rollback bool
	// Changes are what it changes when it commits: Ops without marks and without
	// what was rolled back, a key change as a delete and a create.
	Changes []Change
	// Rows counts the row changes in the binlog, a key change as one.
	Rows int
}

// Change is one committed change event.
type Change struct {
	Shard string
	Table *encode.Table
	Op    byte // 'c', 'u' or 'd'
	// Before is nil for c, After for d.
	Before, After encode.Row
	CommitMicros  int64
}

// Row is the row that the event shows: the last image of a delete, else the new one.
func (c *Change) Row() encode.Row {
	if c.Op == 'd' {
		return c.Before
	}
	return c.After
}

// Target executes the workload on one server.
type Target interface {
	// CreateTable creates the table, and its database when it is missing.
	CreateTable(ctx context.Context, t *encode.Table) error
	// AddColumn adds the column as the table's last one.
	AddColumn(ctx context.Context, t *encode.Table, c encode.Column) error
	// Apply executes the transaction, as a whole or, with an error, not at all.
	// Who cannot know which has to find out before it returns.
	Apply(ctx context.Context, tx *Tx) error
}

// Silencer is a Target whose server can stop talking without hanging up.
type Silencer interface {
	Silence(on bool)
}

// changes resolves the marks of ops.
func changes(shard string, ops []Op, commitMicros int64) (out []Change, rows int) {
	var kept []*Op
	mark := 0
	for i := range ops {
		switch ops[i].Kind {
		case Savepoint:
			mark = len(kept)
		case RollbackTo:
			kept = kept[:mark]
		default:
			kept = append(kept, &ops[i])
		}
	}
	for _, o := range kept {
		c := Change{Shard: shard, Table: o.Table, Op: byte(o.Kind), Before: o.Before, After: o.After, CommitMicros: commitMicros}
		if o.Kind != Update || !keyChanges(o) {
			out = append(out, c)
			continue
		}
		gone, made := c, c
		gone.Op, gone.After = 'd', nil
		made.Op, made.Before = 'c', nil
		out = append(out, gone, made)
	}
	return out, len(kept)
}

func keyChanges(o *Op) bool {
	for _, k := range o.Table.PrimaryKey {
		if fmt.Sprint(o.Before[k]) != fmt.Sprint(o.After[k]) {
			return true
		}
	}
	return false
}

// clock returns the times that a row written at commitMicros carries.
func clock(commitMicros int64) time.Time { return time.UnixMicro(commitMicros).UTC() }
