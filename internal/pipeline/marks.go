package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/internal/status"
	"tailwater/stream"
)

// marksRecord is the view under whose name the stream stores, as schemas, what
// befell captured tables: the key is source, shard, schema and table, the one
// column is called stopped, noted or resumed; its Bits count up, and its Members
// are the transaction and the reason. The last one counts. No view is called so.
const marksRecord = "--marks"

// The states of a mark.
const (
	// markStopped: rows of the table are counted and not published.
	markStopped = "stopped"
	// markNoted: nobody can say what a statement did to the table; it goes on.
	markNoted = "noted"
	// markResumed: a person has taken the mark away.
	markResumed = "resumed"
)

// markKey names a table of one shard.
type markKey struct {
	shard string
	tableName
}

// mark is what a person must know of a captured table.
type mark struct {
	state               string
	transaction, reason string
	number              int
	// skipped counts rows since the process started.
	skipped atomic.Uint64
}

// marks are those of one source. The zero value has none. It is safe for
// concurrent use.
type marks struct {
	mu  sync.Mutex
	all map[markKey]*mark
}

// load takes over what is stored.
func (m *marks) load(ctx context.Context, log SchemaReader, source string) error {
	stored, err := log.Schemas(ctx, marksRecord)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = make(map[markKey]*mark)
	for _, s := range stored {
		if len(s.Key) != 4 || len(s.Columns) != 1 || len(s.Columns[0].Members) != 2 {
			return fmt.Errorf("the record %s of captured tables is not as this version writes it: use the Tailwater that wrote it, or a newer one", s.Fingerprint())
		}
		key, c := markKey{s.Key[1], tableName{s.Key[2], s.Key[3]}}, &s.Columns[0]
		if s.Key[0] == source && (m.all[key] == nil || m.all[key].number < c.Bits) {
			m.all[key] = &mark{state: c.Name, transaction: c.Members[0], reason: c.Members[1], number: c.Bits}
		}
	}
	return nil
}

// of returns the mark of a table, or nil.
func (m *marks) of(key markKey) *mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.all[key]; k != nil && k.state != markResumed {
		return k
	}
	return nil
}

// stopped returns the mark of a table whose rows are passed over, or nil.
func (m *marks) stopped(key markKey) *mark {
	if k := m.of(key); k != nil && k.state == markStopped {
		return k
	}
	return nil
}

// put stores a mark durably, and says whether it is another one: a table that is
// stopped stays stopped since the same transaction, and of what is noted the
// first counts.
func (m *marks) put(ctx context.Context, log stream.Log, source string, key markKey, next *mark) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[markKey]*mark)
	}
	old := m.all[key]
	switch {
	case old == nil:
		old = &mark{state: markResumed}
	case old.state == markStopped && next.state != markResumed, old.state == next.state:
		return false, nil
	}
	next.number = old.number + 1
	if old.state != markResumed {
		next.skipped.Store(old.skipped.Load())
	}
	err := log.PutSchema(ctx, change.Schema{
		View: marksRecord, Key: []string{source, key.shard, key.database, key.table},
		Columns: []change.Column{{Name: next.state, Type: change.Text, Bits: next.number, Members: []string{next.transaction, next.reason}}},
	})
	if err != nil {
		return false, fmt.Errorf("remember that table %s of shard %s is %s: %w", key.tableName, key.shard, next.state, err)
	}
	failpoint.At(failpoint.CaptureMarksStored)
	m.all[key] = next
	return true, nil
}

// list are the marks for the status, sorted.
func (m *marks) list() []status.TableMark {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []status.TableMark
	for key, k := range m.all {
		if k.state != markResumed {
			out = append(out, status.TableMark{
				Shard: key.shard, Schema: key.database, Table: key.table, State: k.state,
				Since: k.transaction, Reason: k.reason, Skipped: k.skipped.Load(),
			})
		}
	}
	slices.SortFunc(out, func(a, b status.TableMark) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Shard, b.Shard))
	})
	return out
}
