package binlog

import (
	"fmt"
	"strings"
)

// wantUnmoved checks that a stop leaves the position where it was: a reader
// that starts there stops at the same place.
func (s *shared) wantUnmoved(position []byte, parts ...string) {
	s.Helper()
	f := s.follow(position)
	f.wantStop(parts...)
}

func testStopsAtXA(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1)")
	s.sql("XA START 'x'", "INSERT INTO t VALUES (2)", "XA END 'x'", "XA PREPARE 'x'", "XA ROLLBACK 'x'")
	f.wantStop("shard 00", "XA", "binlog.0000")
	f.wantRows(s.row("c", "t", 1, "[1]"))
	position, _ := f.stop()
	s.wantUnmoved(position, "XA")
}

func testStopsAtStatements(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	for _, dml := range []string{"UPDATE t SET id=id+1", "INSERT INTO t VALUES (100)", "DELETE FROM t WHERE id=100", "/* comment */ REPLACE INTO t VALUES (5)"} {
		f := s.follow(nil)
		s.sql("SET SESSION binlog_format=STATEMENT", dml)
		f.wantStop("is logged as a statement", "binlog_format=ROW")
		f.wantRows()
	}
}

func testStopsAtMinimalImage(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)", "INSERT INTO t VALUES (1,1,1)")
	f := s.follow(nil)
	s.sql("SET SESSION binlog_row_image=MINIMAL", "UPDATE t SET a=2")
	f.wantStop(s.db+".t", "is not in the row image", "binlog_row_image")
	f.wantRows()
}

func testStopsAtPartialJSON(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, j JSON)", `INSERT INTO t VALUES (1,'{"a":"bbbbbbbbbbbbbbbbbbbb"}')`)
	f := s.follow(nil)
	s.sql("SET SESSION binlog_row_value_options=PARTIAL_JSON", `UPDATE t SET j=JSON_SET(j,'$.a','c')`)
	f.wantStop("PARTIAL_UPDATE_ROWS", "binlog_row_value_options")
	f.wantRows()
}

func testStopsWhereRowsVanish(s *shared) {
	n := 0
	// MariaDB logs the name of a table that is not there too.
	missing := "`no``such`, "
	if s.server.Kind == "mariadb" {
		missing = ""
	}
	for _, c := range []struct{ name, create, vanish, want string }{
		{"truncate", "CREATE TABLE %s (id INT PRIMARY KEY)", "TRUNCATE %s", "TRUNCATE TABLE of "},
		{"drop", "CREATE TABLE %s (id INT PRIMARY KEY)", "DROP TABLE /* c */ IF EXISTS " + missing + "%s", "DROP TABLE of "},
		{"rename", "CREATE TABLE %s (id INT PRIMARY KEY)", "RENAME TABLE %s TO other", "RENAME TABLE of "},
		{"alter rename", "CREATE TABLE %s (id INT PRIMARY KEY)", "ALTER TABLE %s ADD COLUMN x INT DEFAULT (1+(2)), RENAME TO other2", "ALTER TABLE .. RENAME of "},
		{"drop partition", "CREATE TABLE %s (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20))",
			"ALTER TABLE %s DROP PARTITION a", "DROP PARTITION of "},
		{"truncate partition", "CREATE TABLE %s (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2", "ALTER TABLE %s TRUNCATE PARTITION ALL", "TRUNCATE PARTITION of "},
	} {
		n++
		table := fmt.Sprintf("t%d", n)
		s.sql(fmt.Sprintf(c.create, table))
		f := s.follow(nil)
		s.sql(fmt.Sprintf("INSERT INTO %s VALUES (1)", table), fmt.Sprintf(c.vanish, table))
		f.wantStop(c.want+s.db+"."+table, "accept transaction ")
		f.wantRows(s.row("c", table, 1, "[1]"))
		position, err := f.stop()
		s.wantUnmoved(position, c.want)
		// A person may accept that very transaction.
		_, id, _ := strings.Cut(err.Error(), "accept transaction ")
		id, _, _ = strings.Cut(id, ";")
		f = s.follow(position, func(o *Options, _ *journal) { o.Accepted = []string{id} })
		f.upTo(s.server)
		f.stop()
	}
	s.sql("CREATE TABLE last (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("DROP DATABASE " + s.db)
	f.wantStop("DROP DATABASE "+s.db, "accept transaction ")
	s.server.Exec(s.T, "CREATE DATABASE IF NOT EXISTS "+s.db)
}
