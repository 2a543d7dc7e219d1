package binlog

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"tailwater/change"
	"tailwater/internal/failpoint"
)

// tables are the table maps of a connection. open holds those of the statement
// at hand, by table id: an id means something from its TABLE_MAP to the end of
// the statement only. known keeps parsed maps for the next statement, where
// the whole body is compared before one is taken, since ids are used again.
type tables struct {
	filter          Filter
	followsDatabase func(database string) bool
	flavor          Flavor
	open            map[uint64]*knownTable
	known           map[uint64]*knownTable
}

// knownTable is a parsed table map, and whether it is followed; shadow is true
// for one that is not because of its name only.
type knownTable struct {
	m                *tableMap
	followed, shadow bool
}

// mostKnown bounds the cache; a server with more live tables parses some maps
// again.
const mostKnown = 10_000

// clear forgets everything.
func (t *tables) clear() {
	clear(t.open)
	clear(t.known)
}

// endStatement forgets which ids are open.
func (t *tables) endStatement() { clear(t.open) }

// add takes a TABLE_MAP.
func (t *tables) add(body []byte) error {
	id, db, name, err := tableMapName(body)
	if err != nil {
		return err
	}
	if t.open == nil {
		t.open, t.known = map[uint64]*knownTable{}, map[uint64]*knownTable{}
	}
	if k := t.known[id]; k != nil && k.m.same(body) {
		t.open[id] = k
		return nil
	}
	// A table that nobody follows is counted only, and must not stop the shard
	// for what its metadata lacks.
	followed := t.filter(string(db), string(name))
	var m *tableMap
	if followed {
		m, err = parseTableMap(body, t.flavor)
	} else {
		m, err = parseTableShape(body)
	}
	if err != nil {
		return inNamedTable(string(db), string(name), err)
	}
	if len(t.known) >= mostKnown {
		clear(t.known)
	}
	k := &knownTable{m: m, followed: followed}
	k.shadow = !followed && change.IsShadow(string(name)) && t.followsDatabase(string(db))
	t.known[id], t.open[id] = k, k
	return nil
}

// countOnly takes a TABLE_MAP, and its rows will only be counted: those of its
// transaction, for the next one is asked about anew.
func (t *tables) countOnly(body []byte) error {
	id, _, _, err := tableMapName(body)
	if err != nil {
		return err
	}
	shape, err := parseTableShape(body)
	if err != nil {
		return err
	}
	t.open[id] = &knownTable{m: shape}
	return nil
}

// tableMap takes a TABLE_MAP event.
func (m *machine) tableMap(ev event) error {
	if err := m.need(inGroup); err != nil {
		return err
	}
	err := m.tables.add(ev.body)
	if errors.Is(err, errMetadataMinimal) && m.accepted[m.tx.ID] {
		m.passOver(err.Error())
		err = m.tables.countOnly(ev.body)
	}
	switch {
	case errors.Is(err, errMetadataMinimal):
		_, db, name, _ := tableMapName(ev.body) // it could be read: the rest is what is refused
		return blame(m.stopWith(err, "set it in my.cnf as well; rows that were logged before cannot be read: if the stream shall go without those of this transaction, accept transaction "+m.tx.ID+
			"; without all of them, reset the shard to a position behind the last one; then compare the table"), string(db), string(name))
	case err != nil:
		return m.stopWith(err, "check binlog_row_metadata=FULL; else "+hintReport)
	}
	failpoint.At(failpoint.BinlogTableMapRead)
	return nil
}

// The fields of a rows event's header that matter here.
const (
	// endOfStatement is the flag STMT_END.
	endOfStatement = 0x01
	// noTable is the id of an event that ends a statement and has no rows.
	noTable = 0x00ffffff
)

// rows takes a rows event: every row counts, and those of followed tables go
// to the handler.
func (m *machine) rows(ev event) error {
	if err := m.need(inGroup); err != nil {
		return err
	}
	failpoint.At(failpoint.BinlogRowsRead)
	id, flags, err := rowsTableID(byte(ev.kind), ev.body)
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	k := m.tables.open[id]
	switch {
	case k == nil && id == noTable:
	case k == nil:
		return m.stop(hintReport, "%v names table id %d, which no TABLE_MAP of its statement has", ev.kind, id)
	case k.followed:
		m.row.Table = k.m.Table()
		if err := k.m.rows(byte(ev.kind), ev.body, m.onRow); err != nil {
			return m.stopWith(m.inTable(k, err), hintRow)
		}
	default:
		n, err := k.m.count(byte(ev.kind), ev.body)
		if err != nil {
			return m.stopWith(m.inTable(k, err), hintRow)
		}
		if uint64(m.tx.Rows)+uint64(n) > math.MaxUint32 {
			return m.tooManyRows()
		}
		m.tx.Rows += uint32(n)
		if k.shadow {
			m.tx.Shadows += uint32(n)
		}
	}
	if flags&endOfStatement != 0 {
		m.tables.endStatement()
	}
	return nil
}

// hintRow goes with a row that cannot be decoded.
const hintRow = "check that binlog_row_image and binlog_row_metadata are FULL in every session; else " + hintReport

// inTable adds the table to an error of its rows.
func (m *machine) inTable(k *knownTable, err error) error {
	return inNamedTable(k.m.Table().Database, k.m.Table().Name, err)
}

// inNamedTable adds a table to an error.
func inNamedTable(database, name string, err error) error {
	return fmt.Errorf("table %s.%s: %w", database, name, err)
}

// tooManyRows stops a transaction whose rows no order key can number.
func (m *machine) tooManyRows() error {
	return m.stop("split the transaction on the source, and start behind it", "more than %d row changes in one transaction", uint32(math.MaxUint32))
}

// handRow numbers one row change and hands it over.
func (m *machine) handRow(op change.Op, before, after change.Row) error {
	if m.tx.Rows == math.MaxUint32 {
		return m.tooManyRows()
	}
	m.tx.Rows++
	failpoint.At(failpoint.BinlogRowHanded)
	m.row.Op, m.row.Row, m.row.Before, m.row.After = op, m.tx.Rows, before, after
	return handed(m.h.Row(&m.tx, &m.row))
}

// names reports the database and table that a statement means.
func (m *machine) names(q *query, t tableName) (database, table string) {
	database, table = t.Database, t.Name
	if database == "" {
		database = string(q.database)
	}
	if m.lowerNames {
		database, table = strings.ToLower(database), strings.ToLower(table)
	}
	return database, table
}
