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

func testStopsAtStatements(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	for _, dml := range []string{"UPDATE t SET id=id+1", "INSERT INTO t VALUES (100)", "DELETE FROM t WHERE id=100", "/* comment */ REPLACE INTO t VALUES (5)"} {
		f := s.follow(nil)
		s.sql("SET SESSION binlog_format=STATEMENT", dml)
		f.wantStop("is logged as a statement", "binlog_format=ROW")
		f.wantRows()
	}
}

// testSmallImages reads what sessions log that have set binlog_row_image.
func testSmallImages(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b TEXT)", "INSERT INTO t VALUES (1,1,'x')")
	absent := func(column string) string {
		return "decode table " + s.db + ".t, column " + column + ": the row image does not carry the column: binlog_row_image must be FULL, in every session"
	}
	image := func(cells ...string) string { return "[" + strings.Join(cells, ",") + "]" }
	for mode, want := range map[string][]string{
		"MINIMAL": {
			s.row("u", "t", 1, image("1", absent("a"), absent("b"))+" "+image(absent("id"), "2", absent("b"))),
			s.row("c", "t", 1, image("2", absent("a"), absent("b"))),
			s.row("d", "t", 1, image("2", absent("a"), absent("b"))),
		},
		"NOBLOB": {
			s.row("u", "t", 1, image("1", "1", absent("b"))+" "+image("1", "2", absent("b"))),
			s.row("c", "t", 1, image("2", "null", absent("b"))),
			s.row("d", "t", 1, image("2", "null", absent("b"))),
		},
	} {
		f := s.follow(nil)
		s.sql("SET SESSION binlog_row_image="+mode, "UPDATE t SET a=2", "INSERT INTO t (id) VALUES (2)", "DELETE FROM t WHERE id=2",
			"SET SESSION binlog_row_image=FULL", "UPDATE t SET a=1")
		f.upTo(s.server)
		f.wantRows(append(want, s.row("u", "t", 1, `[1,2,"x"] [1,1,"x"]`))...)
		f.stop()
	}
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
