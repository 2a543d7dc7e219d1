package binlog

import (
	"math"

	"tailwater/change"
)

// changeTables hands over what a statement does to followed tables as a whole.
// Every step of it takes the number of a row change, followed or not, so that
// the numbers do not depend on what is followed. An accepted transaction is
// passed over: that is what a person has decided.
func (m *machine) changeTables(q *query, s *statement) error {
	changes := m.tableChanges(q, s)
	swapped := m.swapped(changes)
	for i := range changes {
		t := &changes[i]
		if m.tx.Rows == math.MaxUint32 {
			return m.tooManyRows()
		}
		m.tx.Rows++
		m.tx.Tables++
		t.Row = m.tx.Rows
		if !m.follows(t.Table) {
			continue
		}
		if m.accepted[m.tx.ID] {
			m.passOver(s.verb + " of " + t.Table.String())
			continue
		}
		if q.code != 0 && !(s.verb == verbDrop && q.code == noSuchTable) {
			stop := m.stop(m.behind(), "%s of %s, which is followed, ended with error %d: how much of it was done is not in the binlog", s.verb, t.Table, q.code)
			if err := m.tolerated(t.Table.Database, t.Table.Name, stop); err != nil {
				return err
			}
			continue
		}
		if swapped[t.Table] {
			continue
		}
		if err := handed(m.h.Table(&m.tx, t)); err != nil {
			return err
		}
	}
	for table := range swapped {
		m.o.Logger.Info("an online schema change has put its copy in place of a table, whose rows go on", "shard", m.o.Shard, "table", table.String(), "transaction", m.tx.ID)
	}
	return nil
}

// What is said of a DROP TABLE, and the error of one that names tables which are
// not there: the others are gone all the same.
const (
	verbDrop    = "DROP TABLE"
	noSuchTable = 1051
)

// follows reports whether a table is followed, or any of a database.
func (m *machine) follows(t change.TableName) bool {
	if t.Name == "" {
		return m.o.FollowsDatabase(t.Database)
	}
	return m.o.Filter(t.Database, t.Name)
}

// tableChanges are the steps of a statement under the tables' full names.
func (m *machine) tableChanges(q *query, s *statement) []change.TableChange {
	full := func(t tableName) change.TableName {
		if t == (tableName{}) {
			return change.TableName{}
		}
		database, name := m.names(q, t)
		return change.TableName{Database: database, Name: name}
	}
	out := make([]change.TableChange, len(s.steps))
	for i, x := range s.steps {
		out[i] = change.TableChange{DDL: x.ddl, Table: full(x.table), To: full(x.to), From: full(x.from)}
	}
	return out
}

// concern counts the changes of one table.
func concern(changes []change.TableChange, t change.TableName) (n int) {
	for i := range changes {
		if changes[i].Table == t {
			n++
		}
	}
	return n
}

// swapped returns the followed tables that an online schema change replaces by
// its copy of them in one statement:
//
//	RENAME TABLE t TO _t_del, _t_gho TO t
//	RENAME TABLE t TO _t_old, _t_new TO t
//
// Their rows go on, and those of the copies were never events. Where a copy is
// followed itself, its rename is told like any other.
func (m *machine) swapped(changes []change.TableChange) map[change.TableName]bool {
	var out map[change.TableName]bool
	for i := range changes {
		away := &changes[i]
		if away.DDL != change.Renamed || away.To.IsZero() || !m.follows(away.Table) || m.follows(away.To) {
			continue
		}
		for j := i + 1; j < len(changes); j++ {
			in := &changes[j]
			if in.DDL == change.Renamed && in.Table == away.Table && in.From.Database == away.To.Database && in.From.Database == in.Table.Database &&
				change.IsSwap(in.Table.Name, away.To.Name, in.From.Name) && !m.follows(in.From) && concern(changes, in.Table) == 2 {
				if out == nil {
					out = make(map[change.TableName]bool)
				}
				out[in.Table] = true
			}
		}
	}
	return out
}
