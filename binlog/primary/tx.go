package primary

import (
	"errors"
	"fmt"
	"slices"

	"tailwater/binlog/primary/encode"
)

// Tx is one transaction. It is for one goroutine, and holds the server's write
// lock: every Begin must be followed by Commit or Rollback. A failed method
// changes nothing, the transaction may go on.
type Tx struct {
	s       *Server
	st      *state
	changes []rowChange
	owned   []bool // slots whose version is this transaction's own copy
	done    bool
	key     []byte
}

// rowChange is one row's change, on its way to the log. A nil record is none.
type rowChange struct {
	slot          int
	before, after *record
	cut           bool // a statement ends here
}

// CommitOptions say how a transaction commits. The zero value: now, under the
// server's own next GTID.
type CommitOptions struct {
	// OriginalMicros is original_commit_timestamp, in microseconds. Default
	// ImmediateMicros.
	OriginalMicros int64
	// ImmediateMicros is immediate_commit_timestamp. Default the server's clock.
	ImmediateMicros int64
	// GTID commits under another server's GTID, "uuid:n", as a replica does.
	GTID string
}

// Committed says where a transaction went. It is zero for an empty one.
type Committed struct {
	GTID string
	// File and Pos are where it starts, End is behind it.
	File     string
	Pos, End uint64
	// CommitMicros is its original_commit_timestamp.
	CommitMicros int64
	// Rows is the number of its row changes.
	Rows int
}

// The errors of transactions. A caller's row is wrong, nothing was changed.
var (
	// ErrNoTable means that the table was not created, or dropped.
	ErrNoTable = errors.New("table does not exist")
	// ErrDuplicateKey means that a row with the primary key exists.
	ErrDuplicateKey = errors.New("duplicate primary key")
	// ErrNoRow means that no row has the primary key.
	ErrNoRow = errors.New("row does not exist")
	// ErrTxDone means that the transaction was committed or rolled back.
	ErrTxDone = errors.New("transaction has ended")
)

// Begin starts a transaction once the running one has ended.
func (s *Server) Begin() *Tx {
	s.writing.Lock()
	st := s.state.Load()
	return &Tx{s: s, st: st, owned: make([]bool, len(st.tables))}
}

// own returns the version of the table for changing.
func (tx *Tx) own(database, table string) (int, *version, error) {
	if tx.done {
		return 0, nil, ErrTxDone
	}
	slot, v := tx.st.lookup(tableName{database, table})
	if v == nil {
		return 0, nil, fmt.Errorf("%w: %s.%s", ErrNoTable, database, table)
	}
	if !slices.Contains(tx.owned, true) {
		c := *tx.st
		c.tables = slices.Clone(tx.st.tables)
		tx.st = &c
	}
	if !tx.owned[slot] {
		c := *v
		v = &c
		tx.st.tables[slot], tx.owned[slot] = v, true
	}
	return slot, v, nil
}

// encode makes a record of row and the key it has.
func (tx *Tx) encode(v *version, row encode.Row) (string, *record, error) {
	canonical, image, err := v.def.Encode(row, nil)
	if err != nil {
		return "", nil, err
	}
	tx.key = v.def.AppendKey(tx.key[:0], canonical)
	return string(tx.key), &record{canonical, image}, nil
}

// keyOf returns the key whose columns have the given values, in key order.
func (tx *Tx) keyOf(v *version, values []any) (string, error) {
	key, err := v.def.EncodeKey(tx.key[:0], values)
	if err != nil {
		return "", err
	}
	tx.key = key
	return string(key), nil
}

// Insert adds a row: one value per column.
func (tx *Tx) Insert(database, table string, row encode.Row) error {
	slot, v, err := tx.own(database, table)
	if err != nil {
		return err
	}
	key, rec, err := tx.encode(v, row)
	if err != nil {
		return err
	}
	if v.root.find(key) != nil {
		return fmt.Errorf("insert into %s.%s: %w", database, table, ErrDuplicateKey)
	}
	v.root = v.root.put(key, rec)
	v.count++
	tx.changes = append(tx.changes, rowChange{slot: slot, after: rec})
	return nil
}

// Update replaces the row that has the key by row, whose key may differ. A row
// that stays the same is no change and is not logged, as in MySQL.
func (tx *Tx) Update(database, table string, key []any, row encode.Row) error {
	slot, v, err := tx.own(database, table)
	if err != nil {
		return err
	}
	old, err := tx.keyOf(v, key)
	if err != nil {
		return err
	}
	before := v.root.find(old)
	if before == nil {
		return fmt.Errorf("update %s.%s: %w", database, table, ErrNoRow)
	}
	now, rec, err := tx.encode(v, row)
	if err != nil {
		return err
	}
	if string(before.image) == string(rec.image) {
		return nil
	}
	if now != old {
		if v.root.find(now) != nil {
			return fmt.Errorf("update %s.%s: %w", database, table, ErrDuplicateKey)
		}
		v.root = v.root.remove(old)
	}
	v.root = v.root.put(now, rec)
	tx.changes = append(tx.changes, rowChange{slot: slot, before: before, after: rec})
	return nil
}

// Delete removes the row that has the key.
func (tx *Tx) Delete(database, table string, key []any) error {
	slot, v, err := tx.own(database, table)
	if err != nil {
		return err
	}
	old, err := tx.keyOf(v, key)
	if err != nil {
		return err
	}
	before := v.root.find(old)
	if before == nil {
		return fmt.Errorf("delete from %s.%s: %w", database, table, ErrNoRow)
	}
	v.root = v.root.remove(old)
	v.count--
	tx.changes = append(tx.changes, rowChange{slot: slot, before: before})
	return nil
}

// Get returns a copy of the row that has the key, as the transaction sees it.
func (tx *Tx) Get(database, table string, key []any) (encode.Row, error) {
	_, v := tx.st.lookup(tableName{database, table})
	if v == nil {
		return nil, fmt.Errorf("%w: %s.%s", ErrNoTable, database, table)
	}
	k, err := tx.keyOf(v, key)
	if err != nil {
		return nil, err
	}
	rec := v.root.find(k)
	if rec == nil {
		return nil, fmt.Errorf("read %s.%s: %w", database, table, ErrNoRow)
	}
	return slices.Clone(rec.row), nil
}

// EndStatement ends a statement: the next change opens row events of its own.
// Changes of one kind to one table otherwise share them.
func (tx *Tx) EndStatement() {
	if n := len(tx.changes); n > 0 {
		tx.changes[n-1].cut = true
	}
}

// Savepoint is a state of a transaction to which it can go back.
type Savepoint struct {
	st      *state
	changes int
}

// Savepoint returns where the transaction stands.
func (tx *Tx) Savepoint() Savepoint {
	sp := Savepoint{tx.st, len(tx.changes)}
	clear(tx.owned) // what follows changes copies
	return sp
}

// RollbackTo undoes what came after sp.
func (tx *Tx) RollbackTo(sp Savepoint) {
	if tx.done {
		return
	}
	tx.st, tx.changes = sp.st, tx.changes[:sp.changes]
	clear(tx.owned)
}

// Rollback ends the transaction and undoes it; nothing is logged. It does
// nothing after Commit, so it may be deferred.
func (tx *Tx) Rollback() {
	if !tx.done {
		tx.done = true
		tx.s.writing.Unlock()
	}
}

// Commit logs the transaction, publishes its rows and its GTID, and ends it.
// An empty one is not logged unless it has a GTID of its own.
func (tx *Tx) Commit(opts CommitOptions) (Committed, error) {
	if tx.done {
		return Committed{}, ErrTxDone
	}
	defer tx.Rollback()
	if len(tx.changes) == 0 && opts.GTID == "" {
		return Committed{}, nil
	}
	e := entry{opts: opts, st: tx.st, changes: tx.changes}
	return tx.s.commit(&e)
}
