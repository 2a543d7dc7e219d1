package binlog

import (
	"fmt"
	"strings"
)

// testMetadataMinimal takes the column names away: at the start that is a
// finding, and in mid-stream it stops the reader at the first row that it would
// have to guess.
func testMetadataMinimal(s *shared) {
	full := func() { s.sql("SET GLOBAL binlog_row_metadata=FULL") }
	s.Cleanup(full)
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT)", "CREATE TABLE skipped (id INT PRIMARY KEY)")
	f := s.follow(nil, func(o *Options, _ *journal) {
		o.Filter = func(database, table string) bool { return database == s.db && table == "t" }
	})
	s.sql("INSERT INTO t VALUES (1,1)", "SET GLOBAL binlog_row_metadata=MINIMAL", "INSERT INTO skipped VALUES (7)")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[1,1]"))
	err := s.reader(s.server.ReplUser, s.server.ReplPassword, Flavor(s.server.Kind)).Preflight(s.Context())
	if err == nil || !strings.Contains(err.Error(), "binlog_row_metadata is MINIMAL, want FULL") {
		s.Errorf("preflight says %v, want the setting", err)
	}
	s.sql("INSERT INTO t VALUES (2,2)")
	f.wantStop(s.db+".t", "binlog_row_metadata=FULL")
	f.wantRows(s.row("c", "t", 1, "[1,1]"))
	position, stopped := f.stop()
	s.sql("INSERT INTO t VALUES (4,4)")
	full()
	s.sql("INSERT INTO t VALUES (3,3)")
	s.wantUnmoved(position, s.db+".t", "binlog_row_metadata=FULL")
	// The way out that it names leads on, behind that transaction alone.
	accepted := []string{toAccept(stopped)}
	accept := func(o *Options, _ *journal) { o.Accepted = accepted }
	f = s.follow(position, accept)
	f.wantStop(s.db+".t", "binlog_row_metadata=FULL", "accept transaction ")
	f.wantRows()
	_, stopped = f.stop()
	accepted = append(accepted, toAccept(stopped))
	f = s.follow(position, accept)
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[3,3]"))
}

// oddStatements are DDL that a parser of SQL may stumble over, none of which
// takes rows away.
var oddStatements = []string{
	"ALTER TABLE t COMMENT 'it''s; DROP TABLE t; -- \\' \"'",
	"ALTER /* TRUNCATE t */ TABLE t -- DROP TABLE t\n ADD COLUMN `drop` INT DEFAULT 1",
	"ALTER TABLE t # RENAME TABLE t TO u\n DROP COLUMN `drop`",
	"/*!50000 CREATE */ TABLE `odd``name; TRUNCATE t` (id INT PRIMARY KEY COMMENT 'a \\\\')",
	"CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION `drop` VALUES LESS THAN (10) COMMENT 'x', PARTITION p2 VALUES LESS THAN MAXVALUE)",
	"ALTER TABLE parts REORGANIZE PARTITION p2 INTO (PARTITION p2 VALUES LESS THAN (20), PARTITION p3 VALUES LESS THAN MAXVALUE)",
	"CREATE TRIGGER tr BEFORE INSERT ON parts FOR EACH ROW BEGIN SET NEW.id=NEW.id+1; /* TRUNCATE t; */ END",
	"CREATE PROCEDURE p() BEGIN TRUNCATE t; DROP TABLE t; END",
	"CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1",
	"CREATE OR REPLACE VIEW v AS SELECT * FROM t WHERE a<>'DROP TABLE t'",
	"DROP PROCEDURE p", "DROP FUNCTION f", "DROP TRIGGER tr", "DROP VIEW v",
	"CREATE INDEX i ON t (a)", "DROP INDEX i ON t", "ALTER TABLE t ADD COLUMN (x INT, y INT), ADD KEY (x)", "ALTER TABLE t DROP x, DROP COLUMN y",
	"ALTER TABLE t MODIFY a VARCHAR(20) CHARACTER SET gbk COLLATE gbk_bin NOT NULL DEFAULT '中'",
	"ALTER TABLE t CHANGE COLUMN a a VARCHAR(30) CHARACTER SET utf8mb4 AFTER id, ENGINE=InnoDB, ALGORITHM=COPY",
	"CREATE EVENT ev ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DISABLE DO TRUNCATE t", "DROP EVENT ev",
	"ANALYZE TABLE t", "OPTIMIZE TABLE t", "FLUSH TABLES",
	"CREATE USER IF NOT EXISTS odd@localhost IDENTIFIED BY 'DROP TABLE t'", "GRANT SELECT ON *.* TO odd@localhost", "DROP USER odd@localhost",
	"CREATE TABLE `select` LIKE t", "CREATE TABLE é (ü INT PRIMARY KEY)",
}

// testOddStatements has a row behind each of them: whatever the text says, the
// shape comes from the rows' own event.
func testOddStatements(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20) CHARACTER SET utf8mb4)")
	f := s.follow(nil)
	var want []string
	for i, statement := range oddStatements {
		s.sql(statement, fmt.Sprintf("INSERT INTO t (id,a) VALUES (%d,'é''\"')", i))
		text := `"é'\""`
		row := fmt.Sprintf("[%d,%s]", i, text)
		if i == 1 || i == 16 {
			row = map[int]string{1: fmt.Sprintf("[%d,%s,1]", i, text), 16: fmt.Sprintf("[%d,%s,null,null]", i, text)}[i]
		}
		want = append(want, s.row("c", "t", 1, row))
	}
	s.sql("SET sql_mode='ANSI_QUOTES'", `ALTER TABLE "t" COMMENT '"'`, `CREATE TABLE "quoted ""table" ("drop" INT PRIMARY KEY)`, `INSERT INTO "quoted ""table" VALUES (1)`,
		"SET sql_mode='NO_BACKSLASH_ESCAPES'", `ALTER TABLE t COMMENT '\'`, `INSERT INTO t (id,a) VALUES (1000,'\')`)
	want = append(want, s.row("c", `quoted "table`, 1, "[1]"), s.row("c", "t", 1, `[1000,"\\"]`))
	f.upTo(s.server)
	f.wantRows(want...)
}

// testTableMadeMeanwhile makes a table that is followed while nobody reads.
func testTableMadeMeanwhile(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1)")
	f.upTo(s.server)
	position, _ := f.stop()
	s.sql("CREATE TABLE later (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET latin1)", "INSERT INTO later VALUES (1,'é')", "ALTER TABLE later ADD COLUMN n INT UNSIGNED FIRST",
		"INSERT INTO later VALUES (4294967295,2,'ü')")
	f = s.follow(position)
	s.sql("UPDATE later SET v='x' WHERE id=1")
	f.upTo(s.server)
	f.wantRows(s.row("c", "later", 1, `[1,"é"]`), s.row("c", "later", 1, `[4294967295,2,"ü"]`), s.row("u", "later", 1, `[null,1,"é"] [null,1,"x"]`))
}

// testNoSchemaIsKept reads changes of a table's shape again from a position
// between any two of them, with a reader that knows nothing: there is no history
// of schemas that could be lost, damaged or out of step.
func testNoSchemaIsKept(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
	f := s.follow(nil)
	var positions [][]byte
	for i, ddl := range []string{"ALTER TABLE t COMMENT 'x'", "ALTER TABLE t ADD COLUMN b BIGINT UNSIGNED FIRST", "ALTER TABLE t MODIFY a VARCHAR(9) CHARACTER SET sjis",
		"ALTER TABLE t RENAME COLUMN a TO c, RENAME COLUMN b TO a", "ALTER TABLE t DROP COLUMN a, ADD COLUMN a ENUM('1','2') AFTER id"} {
		for _, statement := range []string{ddl, fmt.Sprintf("INSERT INTO t (id,a) VALUES (%d,1)", i)} {
			s.sql(statement)
			f.upTo(s.server)
			position := f.position()
			if strings.Contains(string(position), s.db) {
				s.Errorf("position %s names a database", position)
			}
			positions = append(positions, position)
		}
	}
	want := f.rows()
	if len(want) != 5 || want[0] != s.row("c", "t", 1, "[0,1]") || want[4] != s.row("c", "t", 1, `[4,"1",null]`) {
		s.Fatalf("rows %q, want 5 of as many shapes", want)
	}
	f.stop()
	for i, position := range positions {
		f := s.follow(position)
		f.upTo(s.server)
		f.wantRows(want[(i+1)/2:]...)
		f.stop()
	}
}
