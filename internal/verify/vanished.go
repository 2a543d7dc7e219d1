package verify

import (
	"fmt"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/stream"
)

// tableEvent is what the event of a change of a table as a whole says of the rows
// of a view, in all of its copies.
type tableEvent struct {
	txid string
	// lsn is the largest of the copies: what was in the table is below it, what
	// came behind it is above.
	lsn             change.LSN
	database, table string // table is empty for all of the database
	// why says what happened.
	why string
	// empties says that the rows before it are gone; unknown that rows are there,
	// or gone, of which no event says which.
	empties, unknown bool
}

// tableEvents are those of one shard, in order.
type tableEvents []*tableEvent

// add takes one copy of an event.
func (t *tableEvents) add(n tableEvent) {
	for _, e := range *t {
		if e.txid == n.txid && e.lsn.Row == n.lsn.Row && e.database == n.database && e.table == n.table {
			if e.lsn.Less(n.lsn) {
				e.lsn = n.lsn
			}
			t.sort()
			return
		}
	}
	*t = append(*t, &n)
	t.sort()
}

func (t *tableEvents) sort() {
	slices.SortStableFunc(*t, func(a, b *tableEvent) int { return a.lsn.Compare(b.lsn) })
}

// of yields the events that concern a table, in order; a table without a name is
// the only one of its view.
func (t tableEvents) of(database, table string) func(yield func(*tableEvent) bool) {
	return func(yield func(*tableEvent) bool) {
		for _, e := range t {
			if (table == "" || e.database == database && (e.table == table || e.table == "")) && !yield(e) {
				return
			}
		}
	}
}

// gone reports whether a row of a table whose last event has an lsn was gone
// before another lsn.
func (t tableEvents) gone(database, table string, last, before change.LSN) bool {
	for e := range t.of(database, table) {
		if e.empties && last.Less(e.lsn) && e.lsn.Less(before) {
			return true
		}
	}
	return false
}

// unknown returns the event since which it is not known which rows a table has,
// at an lsn; nil when it is known.
func (t tableEvents) unknown(database, table string, at change.LSN) (since *tableEvent) {
	for e := range t.of(database, table) {
		switch {
		case !e.lsn.Less(at):
			return since
		case e.unknown:
			since = e
		case e.empties:
			since = nil
		}
	}
	return since
}

// never is an lsn behind every event.
var never = change.LSN{Epoch: 1<<32 - 1, Txn: change.MaxTxn, Row: 1<<32 - 1, Part: 1<<16 - 1}

// ofTable reports whether a record is the event of a table as a whole.
func ofTable(r *stream.Record) bool { return r.Kind == stream.Event && r.Key == nil }

// changeOf reads what a change of a table says.
func changeOf(e *event) (tableEvent, error) {
	out := tableEvent{txid: e.txid, lsn: e.lsn, database: e.database, table: e.table}
	switch e.ddl {
	case "truncate", "drop", "rename":
		out.empties, out.unknown = true, e.from != ""
	case "partition":
		out.unknown = true
	default:
		return out, fmt.Errorf("_ddl %q is none", e.ddl)
	}
	out.why = e.ddl + " in transaction " + e.txid
	return out, nil
}

// tableChange folds the event of a change of a table as a whole.
func (r *rows) tableChange(p *pass, e *event) error {
	s := r.servers[e.shard]
	if s == nil {
		return nil
	}
	t, err := changeOf(e)
	if err != nil {
		return err
	}
	kind, err := s.cut.side(e.txid)
	switch {
	case err != nil:
		return fmt.Errorf("view %s, shard %s, lsn %s: %w", r.def.Name, e.shard, e.lsn, err)
	case kind == beyond:
		return nil
	case kind == between:
		t.empties, t.unknown, t.why = false, true, t.why+", which may or may not be in the snapshot"
	case !r.byTable && !r.oneTable():
		t.empties, t.unknown, t.why = false, true, t.why+", and events of the view do not name their table"
	}
	events := p.vanished[e.shard]
	events.add(t)
	p.vanished[e.shard] = events
	return nil
}

// oneTable reports whether a view takes one physical table of each shard.
func (r *rows) oneTable() bool { return !strings.ContainsAny(r.def.Database+r.def.Table, "{}") }

// placeOf is the table of an event, as its entries and the events of tables are
// told apart.
func (r *rows) placeOf(database, table string) (string, string) {
	if r.byTable {
		return database, table
	}
	return "", ""
}

// number gives a physical table a number for the entries of its rows.
func (r *rows) number(database, table string) uint32 {
	database, table = r.placeOf(database, table)
	k := [2]string{database, table}
	n, ok := r.numbers[k]
	if !ok {
		n = uint32(len(r.named))
		r.numbers[k] = n
		r.named = append(r.named, k)
	}
	return n
}

// alive reports whether the row of an entry is there, by the events.
func (r *rows) alive(p *pass, shard string, e *entry) bool {
	at := r.named[e.table]
	return e.state&live != 0 && !p.vanished[shard].gone(at[0], at[1], change.LSNFromBytes(e.lsn[:]), never)
}

// incomparable returns why the rows of a table cannot be compared, or "".
func (r *rows) incomparable(p *pass, shard, database, table string) string {
	database, table = r.placeOf(database, table)
	if e := p.vanished[shard].unknown(database, table, never); e != nil {
		return e.why
	}
	return ""
}
