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

// noticesRecord is the view under whose name the stream stores, as schemas, what
// befell captured tables: the key is source, shard, schema and table, the one
// column is called stopped, noted or resumed; its Bits count up, and its Members
// are the transaction and the reason. The last one counts. No view is called so.
// The name is what is stored, and stays as it is.
const noticesRecord = "--marks"

// The states of a notice.
const (
	// noticeStopped: rows of the table are counted and not published.
	noticeStopped = "stopped"
	// noticeNoted: nobody can say what a statement did to the table; it goes on.
	noticeNoted = "noted"
	// noticeResumed: a person has taken the notice away.
	noticeResumed = "resumed"
)

// noticeKey names a table of one shard.
type noticeKey struct {
	shard string
	tableName
}

// notice is what a person must know of a captured table.
type notice struct {
	state               string
	transaction, reason string
	number              int
	// skipped counts rows since the process started.
	skipped atomic.Uint64
}

// notices are those of one source. The zero value has none. It is safe for
// concurrent use.
type notices struct {
	mu  sync.Mutex
	all map[noticeKey]*notice
}

// load takes over what is stored and not known yet.
func (m *notices) load(ctx context.Context, log SchemaReader, source string) error {
	stored, err := log.Schemas(ctx, noticesRecord)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[noticeKey]*notice)
	}
	for _, s := range stored {
		if len(s.Key) != 4 || len(s.Columns) != 1 || len(s.Columns[0].Members) != 2 {
			return fmt.Errorf("the record %s of captured tables is not as this version writes it: use the Tailwater that wrote it, or a newer one", s.Fingerprint())
		}
		key, c := noticeKey{s.Key[1], tableName{s.Key[2], s.Key[3]}}, &s.Columns[0]
		if s.Key[0] == source && (m.all[key] == nil || m.all[key].number < c.Bits) {
			m.all[key] = &notice{state: c.Name, transaction: c.Members[0], reason: c.Members[1], number: c.Bits}
		}
	}
	return nil
}

// of returns the notice of a table, or nil.
func (m *notices) of(key noticeKey) *notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.all[key]; k != nil && k.state != noticeResumed {
		return k
	}
	return nil
}

// stopped returns the notice of a table whose rows are passed over, or nil.
func (m *notices) stopped(key noticeKey) *notice {
	if k := m.of(key); k != nil && k.state == noticeStopped {
		return k
	}
	return nil
}

// put stores a notice durably, and says whether it is another one: a table that is
// stopped stays stopped since the same transaction, and of what is noted the
// first counts.
func (m *notices) put(ctx context.Context, log stream.Log, source string, key noticeKey, next *notice) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[noticeKey]*notice)
	}
	old := m.all[key]
	switch {
	case old == nil:
		old = &notice{state: noticeResumed}
	case old.state == noticeStopped && next.state != noticeResumed, old.state == next.state:
		return false, nil
	}
	next.number = old.number + 1
	if old.state != noticeResumed {
		next.skipped.Store(old.skipped.Load())
	}
	err := log.PutSchema(ctx, change.Schema{
		View: noticesRecord, Key: []string{source, key.shard, key.database, key.table},
		Columns: []change.Column{{Name: next.state, Type: change.Text, Bits: next.number, Members: []string{next.transaction, next.reason}}},
	})
	if err != nil {
		return false, fmt.Errorf("remember that table %s of shard %s is %s: %w", key.tableName, key.shard, next.state, ofStream(err))
	}
	failpoint.At(failpoint.CaptureMarksStored)
	m.all[key] = next
	return true, nil
}

// list are the notices for the status, sorted.
func (m *notices) list() []status.TableNotice {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []status.TableNotice
	for key, k := range m.all {
		if k.state != noticeResumed {
			out = append(out, status.TableNotice{
				Shard: key.shard, Schema: key.database, Table: key.table, State: k.state,
				Since: k.transaction, Reason: k.reason, Skipped: k.skipped.Load(),
			})
		}
	}
	slices.SortFunc(out, func(a, b status.TableNotice) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Shard, b.Shard))
	})
	return out
}
