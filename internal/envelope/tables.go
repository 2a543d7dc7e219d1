package envelope

import (
	"strconv"
	"strings"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

// TableEvent is one change of a table as a whole, to be written.
type TableEvent struct {
	*change.TableChange
	Shard, Connector string
	// The others are as in Event.
	Commit, Read int64
	TxID, File   string
	Pos          uint64
	Server       uint32
}

// AppendTableEvent appends the event of a change of a table in a form, as the
// system writes it when it is told to. It is false where the form has none:
//
//	Debezium  a table is emptied: op t (skipped.operations: none)
//	Maxwell   a table or a database is dropped: table-drop, database-drop (output_ddl)
//	Canal     a table is emptied, dropped, renamed: isDdl with TRUNCATE, ERASE, RENAME
//
// The binlog's statement may have said it of several tables, and with values, so
// that sql is not its text, but one that says the same of this table.
func AppendTableEvent(kind Kind, dst []byte, e *TableEvent) ([]byte, bool) {
	switch {
	case kind == Debezium && e.DDL == change.Truncated:
		d := newDebezium(&Shape{Shard: e.Shard, Connector: e.Connector, Database: e.Table.Database, Table: e.Table.Name})
		out, err := d.Append(dst, &Event{Op: change.OnTable, Commit: e.Commit, Read: e.Read, TxID: e.TxID, File: e.File, Pos: e.Pos, Row: e.Row, Server: e.Server})
		return out, err == nil
	case kind == Maxwell && e.DDL == change.Dropped:
		return e.appendMaxwell(dst), true
	case kind == Canal && e.Table.Name != "" && canalDDL[e.DDL] != "":
		return e.appendCanal(dst), true
	}
	return dst, false
}

func (e *TableEvent) appendMaxwell(dst []byte) []byte {
	dst = append(dst, `{"type":"`...)
	if e.Table.Name == "" {
		dst = jsontext.AppendQuoted(append(dst, `database-drop","database":`...), []byte(e.Table.Database))
	} else {
		dst = jsontext.AppendQuoted(append(dst, `table-drop","database":`...), []byte(e.Table.Database))
		dst = jsontext.AppendQuoted(append(dst, `,"table":`...), []byte(e.Table.Name))
	}
	dst = strconv.AppendInt(append(dst, `,"ts":`...), millis(e.Commit), 10)
	return append(jsontext.AppendQuoted(append(dst, `,"sql":`...), []byte(e.sql())), '}')
}

// canalDDL are Canal's types of what befalls a table.
var canalDDL = map[change.DDL]string{change.Truncated: "TRUNCATE", change.Dropped: "ERASE", change.Renamed: "RENAME"}

func (e *TableEvent) appendCanal(dst []byte) []byte {
	of := Event{TxID: e.TxID, File: e.File}
	id := ""
	if of.hasGTID() {
		id = e.TxID
	}
	read := e.Read
	if read == 0 {
		read = e.Commit
	}
	dst = jsontext.AppendQuoted(append(dst, `{"data":null,"database":`...), []byte(e.Table.Database))
	dst = strconv.AppendInt(append(dst, `,"es":`...), millis(e.Commit), 10)
	dst = jsontext.AppendQuoted(append(dst, `,"gtid":`...), []byte(id))
	dst = strconv.AppendUint(append(dst, `,"id":`...), of.number(), 10)
	dst = append(dst, `,"isDdl":true,"mysqlType":null,"old":null,"pkNames":null,"sql":`...)
	dst = jsontext.AppendQuoted(dst, []byte(e.sql()))
	dst = jsontext.AppendQuoted(append(dst, `,"sqlType":null,"table":`...), []byte(e.Table.Name))
	dst = strconv.AppendInt(append(dst, `,"ts":`...), millis(read), 10)
	return append(append(append(dst, `,"type":"`...), canalDDL[e.DDL]...), `"}`...)
}

// sql says in SQL what befell the table.
func (e *TableEvent) sql() string {
	name := func(t change.TableName) string {
		quoted := func(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
		if t.Name == "" {
			return quoted(t.Database)
		}
		return quoted(t.Database) + "." + quoted(t.Name)
	}
	switch {
	case e.DDL == change.Renamed && !e.To.IsZero():
		return "RENAME TABLE " + name(e.Table) + " TO " + name(e.To)
	case e.DDL == change.Renamed:
		return "RENAME TABLE " + name(e.From) + " TO " + name(e.Table)
	case e.DDL == change.Truncated:
		return "TRUNCATE TABLE " + name(e.Table)
	case e.Table.Name == "":
		return "DROP DATABASE " + name(e.Table)
	}
	return "DROP TABLE " + name(e.Table)
}
