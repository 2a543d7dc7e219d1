package binlog

import (
	"fmt"
	"slices"
	"strings"

	"tailwater/change"
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
		f.wantStop("is logged as a statement", "binlog_format=ROW", "accept transaction ")
		f.wantRows()
	}
	f := s.follow(nil)
	s.sql("SET SESSION binlog_format=STATEMENT", "DELETE FROM t")
	f.wantStop("DELETE is logged as a statement")
	position, err := f.stop()
	f = s.follow(position, func(o *Options, _ *journal) { o.Accepted = []string{toAccept(err)} })
	s.sql("INSERT INTO t VALUES (7)", "SET SESSION binlog_format=STATEMENT", "DELETE FROM t")
	f.wantStop("DELETE is logged as a statement")
	f.wantRows(s.row("c", "t", 1, "[7]"))
}

// toAccept is the transaction that an error asks a person to accept.
func toAccept(err error) string {
	_, id, _ := strings.Cut(err.Error(), "accept transaction ")
	id, _, _ = strings.Cut(id, ";")
	return id
}

// testStatementsElsewhere logs statements in databases that nobody follows, some
// of which write into one that is.
func testStatementsElsewhere(s *shared) {
	other := s.db + "_other"
	s.server.Exec(s.T, "CREATE DATABASE "+other)
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE child (id INT PRIMARY KEY, up INT)")
	s.Cleanup(func() { s.server.Exec(s.T, "DROP DATABASE IF EXISTS "+other) })
	s.sql("USE "+other, "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)", "CREATE TABLE c (id INT PRIMARY KEY)",
		"CREATE TRIGGER tr AFTER INSERT ON b FOR EACH ROW INSERT INTO "+s.db+".t VALUES (NEW.id)",
		"CREATE FUNCTION fn(i INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO "+s.db+".t VALUES (i); RETURN i; END",
		"CREATE VIEW v AS SELECT * FROM "+s.db+".t", "INSERT INTO c VALUES (1)")
	for _, c := range []struct {
		statement string
		stops     bool
	}{
		{"INSERT INTO a VALUES (1)", s.server.Kind == "mariadb"},
		{"UPDATE a SET id=id+1", s.server.Kind == "mariadb"},
		{"INSERT INTO b VALUES (1)", true},
		{"UPDATE c SET id=" + other + ".fn(2)", true},
		{"DELETE FROM v", true},
		// More is taken for written than is.
		{"DELETE " + other + ".a FROM " + other + ".a, " + s.db + ".t", true},
	} {
		f := s.follow(nil)
		s.sql("USE "+other, "SET SESSION binlog_format=STATEMENT", c.statement, "SET SESSION binlog_format=ROW", "USE "+s.db, "INSERT INTO child VALUES (1,1)", "DELETE FROM child")
		if c.stops {
			f.wantStop("is logged as a statement")
			f.wantRows()
			continue
		}
		f.upTo(s.server)
		f.wantRows(s.row("c", "child", 1, "[1,1]"), s.row("d", "child", 1, "[1,1]"))
		f.stop()
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

// vanishing are statements that take rows away without row events, %s being the
// table, and what the handler is told of them.
var vanishing = []struct{ create, vanish, want string }{
	{"", "TRUNCATE %s", "truncate"},
	{"", "TRUNCATE TABLE /* c */ %s", "truncate"},
	{"", "PREPARE s FROM 'TRUNCATE TABLE %s'; EXECUTE s", "truncate"},
	{"", "DROP TABLE /* c */ IF EXISTS %s", "drop"},
	{"", "ALTER TABLE %s ADD COLUMN x INT DEFAULT (1+(2)), RENAME TO other2", "rename to DB.other2"},
	{" PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20))", "ALTER TABLE %s DROP PARTITION a", "partition"},
	{" PARTITION BY HASH (id) PARTITIONS 2", "ALTER TABLE %s TRUNCATE PARTITION ALL", "partition"},
}

func testTellsWhereRowsVanish(s *shared) {
	all := vanishing
	if s.server.Kind == "mariadb" {
		all = append(slices.Clip(all), struct{ create, vanish, want string }{"", "SET STATEMENT max_statement_time=60 FOR TRUNCATE %s", "truncate"})
	}
	for n, c := range all {
		table := fmt.Sprintf("t%d", n)
		s.sql(fmt.Sprintf("CREATE TABLE %s (id INT PRIMARY KEY)", table) + c.create)
		f := s.follow(nil)
		s.sql(append([]string{fmt.Sprintf("INSERT INTO %s VALUES (1)", table)}, strings.Split(fmt.Sprintf(c.vanish, table), "; ")...)...)
		f.upTo(s.server)
		f.wantRows(append([]string{s.row("c", table, 1, "[1]")}, s.told(table, 1, c.want, "other2")...)...)
		f.stop()
	}
	s.sql("CREATE TABLE t\u00e9 (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("SET NAMES latin1", "TRUNCATE t\xe9", "SET NAMES utf8mb4")
	f.upTo(s.server)
	f.wantRows(s.told("t\u00e9", 1, "truncate", "")...)
	f.stop()
	s.sql("CREATE TABLE last (id INT PRIMARY KEY)")
	f = s.follow(nil)
	s.sql("DROP DATABASE " + s.db)
	f.upTo(s.server)
	f.wantRows(fmt.Sprintf("t %s.*#1 drop", s.db))
	f.stop()
	s.server.Exec(s.T, "CREATE DATABASE IF NOT EXISTS "+s.db)
}

// told is what the handler is told of a change of a table: with a rename also of
// the table that the rows went to.
func (s *shared) told(table string, n int, what, to string) []string {
	out := []string{fmt.Sprintf("t %s.%s#%d %s", s.db, table, n, strings.ReplaceAll(what, "DB", s.db))}
	if strings.HasPrefix(what, "rename") {
		out = append(out, fmt.Sprintf("t %s.%s#%d rename from %s.%s", s.db, to, n+1, s.db, table))
	}
	return out
}

func testFollowsRenamesInOrder(s *shared) {
	s.sql("CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (2)")
	f := s.follow(nil)
	s.sql("RENAME TABLE a TO x, b TO a, x TO b", "UPDATE a SET id=3", "DROP TABLE a, b")
	f.upTo(s.server)
	var want []string
	n := 0
	for _, step := range [][2]string{{"a", "x"}, {"b", "a"}, {"x", "b"}} {
		want = append(want, s.told(step[0], n+1, "rename to DB."+step[1], step[1])...)
		n += 2
	}
	want = append(want, s.row("u", "a", 1, "[2] [3]"), fmt.Sprintf("t %s.a#1 drop", s.db), fmt.Sprintf("t %s.b#2 drop", s.db))
	f.wantRows(want...)
	f.stop()
}

// testSwaps runs what gh-ost and pt-online-schema-change run at their cut-over.
func testSwaps(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	f := s.follow(nil, func(o *Options, _ *journal) {
		o.Filter = func(db, table string) bool { return db == s.db && !change.IsShadow(table) }
	})
	for _, names := range [][2]string{{"_t_gho", "_t_del"}, {"_t_new", "_t_old"}} {
		s.sql(fmt.Sprintf("CREATE TABLE %s LIKE t", names[0]), fmt.Sprintf("ALTER TABLE %s ADD COLUMN c%s INT", names[0], names[0]),
			fmt.Sprintf("INSERT INTO %s (id) SELECT id FROM t", names[0]),
			fmt.Sprintf("RENAME /* tool */ TABLE `%s`.t TO `%s`.%s, `%s`.%s TO `%s`.t", s.db, s.db, names[1], s.db, names[0], s.db),
			fmt.Sprintf("DROP TABLE IF EXISTS %s", names[1]))
	}
	s.sql("UPDATE t SET id=2")
	f.upTo(s.server)
	f.wantRows(s.row("u", "t", 1, "[1,null,null] [2,null,null]"))
	f.stop()
}

func testStopsWhereRowsVanishUntold(s *shared) {
	vanish, want := "ALTER TABLE t ENGINE=BLACKHOLE", "ENGINE=BLACKHOLE of "
	if s.server.Kind == "mariadb" {
		vanish, want = "ALTER IGNORE TABLE t ADD UNIQUE (id)", "ALTER IGNORE TABLE of "
	}
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1)", vanish)
	f.wantStop(want+s.db+".t", "accept transaction ")
	f.wantRows(s.row("c", "t", 1, "[1]"))
	position, err := f.stop()
	s.wantUnmoved(position, want)
	// A person may accept that very transaction.
	_, id, _ := strings.Cut(err.Error(), "accept transaction ")
	id, _, _ = strings.Cut(id, ";")
	f = s.follow(position, func(o *Options, _ *journal) { o.Accepted = []string{id} })
	f.upTo(s.server)
	f.stop()
	// Also where the session's database is another one.
	hidden := "/*!80000 TRUNCATE */ TABLE "
	if s.server.Kind == "mariadb" {
		hidden = "SET STATEMENT sql_mode='' FOR TRUNCATE "
	}
	f = s.follow(nil)
	s.sql("USE mysql", hidden+s.db+".t", "USE "+s.db)
	f.wantStop("cannot be classified", "accept transaction ")
	f.wantRows()
}
