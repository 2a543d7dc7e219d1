package binlog

import (
	"fmt"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// shared is what the subtests of TestMySQL work with: one server, a database
// of their own, and a filter that follows it alone.
type shared struct {
	*testing.T
	server *testenv.Server
	db     string
}

// TestMySQL runs the reader against a real server. The subtests share it, one
// after the other, and start at the end of its binlog.
func TestMySQL(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1)[0]
	t.Logf("MySQL %s", server.Version)
	for i, test := range []struct {
		name string
		run  func(*shared)
	}{
		{"FollowsRowsInCommitOrder", testFollowsRows},
		{"Hazard_A1_ResumesInsideATransaction", testResumesInsideTransaction},
		{"Hazard_A5_FollowsAStormOfRotations", testRotationStorm},
		{"Hazard_A9_KeepsGapsOfGTIDs", testKeepsGaps},
		{"Hazard_A18_FollowsTaggedGTIDs", testTagged},
		{"Hazard_A19_XAIsHeldUntilItsOutcome", testXA},
		{"Hazard_A19_XAOverRestarts", testXARestarts},
		{"Hazard_A19_XAByFileOverRestarts", testXARestartsByFile},
		{"Hazard_A19_XAWhoseRowsWereNotRead", testXAUnread},
		{"Hazard_A20_EndsTransactionsOfMyISAM", testMyISAM},
		{"Hazard_A21_SavepointIsNoBoundary", testSavepoints},
		{"Hazard_A22_FollowsCreateTableSelect", testCreateTableSelect},
		{"Hazard_A26_CascadesAreInTheLog", testCascades},
		{"Hazard_A27_StopsAtStatementFormat", testStopsAtStatements},
		{"Hazard_A27_StatementsElsewhereStopWhereTheyMayWriteHere", testStatementsElsewhere},
		{"Hazard_A29_TwoReadersWithOneServerID", testOneServerID},
		{"Hazard_A30_KillsNoConnection", testKillsNothing},
		{"Hazard_A31_AcknowledgesNothing", testAcknowledgesNothing},
		{"Hazard_A32_ReadsWithAndWithoutChecksums", testChecksums},
		{"Hazard_A33_EncryptedBinlogsAreFollowed", testEncryptedBinlogs},
		{"Hazard_A35_ReadsRowsAboveOnePacket", testLargeRows},
		{"Hazard_A36_RowsAboveOnePacketWhereCompressionIsOffered", testProtocolCompression},
		{"Hazard_A37_PositionMovesOnFilteredTables", testFilteredTablesMove},
		{"Hazard_A38_AbsentColumnsAreAbsent", testSmallImages},
		{"Hazard_A39_FollowsPartialJSON", testFollowsPartialJSON},
		{"Hazard_A40_CompressionToggledWhileRunning", testCompression},
		{"Hazard_A43_RowsWithoutNamesStopAtTheStartAndInMidStream", testMetadataMinimal},
		{"Hazard_A46_A47_A48_HiddenColumnsAreWhole", testHiddenColumns},
		{"Hazard_A50_StatementOverSeveralTables", testMultiTable},
		{"Hazard_A52_OldRowsKeepTheirShape", testOldShape},
		{"Hazard_A53_OddStatementsBetweenRows", testOddStatements},
		{"Hazard_A54_A56_NoSchemaIsKeptThatCouldBeLost", testNoSchemaIsKept},
		{"Hazard_A55_TableMadeWhileNobodyReads", testTableMadeMeanwhile},
		{"Hazard_A59_TellsWhereRowsVanish", testTellsWhereRowsVanish},
		{"Hazard_A58_FollowsRenamesInOrder", testFollowsRenamesInOrder},
		{"Hazard_A57_SwapsOfOnlineSchemaChangesLoseNothing", testSwaps},
		{"Hazard_A59_StopsWhereRowsVanishUntold", testStopsWhereRowsVanishUntold},
		{"Hazard_A87_TimeIsTheCommitTime", testCommitTime},
		{"StartsAtAnEvent", testStartsAtAnEvent},
		{"IdleWatermarkComesFromTheServer", testIdle},
		{"HeartbeatsHave64BitOffsets", testHeartbeats},
		{"KilledDumpIsRetried", testKilledDump},
		{"HeadroomOfAPosition", testHeadroom},
		{"TLS", testTLS},
		{"PreflightListsEverything", testPreflight},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &shared{T: t, server: server, db: fmt.Sprintf("d%d", i)}
			s.sql("CREATE DATABASE " + s.db)
			test.run(s)
		})
	}
}

// sql runs statements in one session that uses the subtest's database.
func (s *shared) sql(statements ...string) {
	s.Helper()
	if !strings.HasPrefix(statements[0], "CREATE DATABASE") {
		statements = append([]string{"USE " + s.db}, statements...)
	}
	s.server.Exec(s.T, statements...)
}

// only follows the tables of the subtest's database.
func (s *shared) only(o *Options, _ *journal) {
	o.Filter = func(database, _ string) bool { return database == s.db }
	o.FollowsDatabase = func(database string) bool { return database == s.db }
}

// follow starts a reader at the end of the binlog, or at a position.
func (s *shared) follow(position []byte, more ...func(*Options, *journal)) *following {
	s.Helper()
	return follow(s.T, s.server, position, func(o *Options, j *journal) {
		s.only(o, j)
		for _, m := range more {
			m(o, j)
		}
	}).ready()
}

// row is the text of a row of the subtest's database.
func (s *shared) row(op, table string, n int, images string) string {
	return fmt.Sprintf("%s %s.%s#%d %s", op, s.db, table, n, images)
}

func testFollowsRows(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1,'a'),(2,'b')", "UPDATE t SET name='c' WHERE id=2", "DELETE FROM t WHERE id=1",
		"BEGIN", "INSERT INTO t VALUES (9,'gone')", "ROLLBACK", "UPDATE t SET id=3")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, `[1,"a"]`), s.row("c", "t", 2, `[2,"b"]`), s.row("u", "t", 1, `[2,"b"] [2,"c"]`),
		s.row("d", "t", 1, `[1,"a"]`), s.row("u", "t", 1, `[2,"c"] [3,"c"]`))
	for i, tx := range f.j.transactions {
		if got, want := tx.Number, uint64(i+1); got != want {
			s.Errorf("transaction %d has number %d, want %d", i, got, want)
		}
	}
	st := f.r.Status()
	if st.ServerID != s.server.ServerID || st.Transactions != 4 || st.GTID == "" || !st.Connected || st.Pos == 0 {
		s.Errorf("status is %+v", st)
	}
}

func testResumesInsideTransaction(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY)")
	var want []string
	inserts := []string{"BEGIN"}
	for i := range 40 {
		table := []string{"t", "u"}[i%2]
		inserts = append(inserts, fmt.Sprintf("INSERT INTO %s VALUES (%d)", table, i))
		want = append(want, s.row("c", table, i+1, fmt.Sprintf("[%d]", i)))
	}
	anchor := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1000)")
	anchor.upTo(s.server)
	position, _ := anchor.stop()
	s.sql(append(inserts, "COMMIT")...)
	// Each reader dies one row further inside the transaction than the one before.
	for k := range 40 {
		seen := 0
		f := s.follow(position, func(_ *Options, j *journal) {
			j.onRow = func(string) error {
				if seen++; seen > k {
					return fmt.Errorf("dies at row %d", k)
				}
				return nil
			}
		})
		if err := f.wait(); err == nil || !strings.Contains(err.Error(), "dies at row") {
			s.Fatalf("reader ended with %v", err)
		}
		if got := f.rows(); len(got) > 0 {
			s.Fatalf("an open transaction was committed: %v", got)
		}
		if p, _ := f.stop(); p != nil {
			position = p
		}
	}
	f := s.follow(position)
	f.upTo(s.server)
	f.wantRows(want...)
	position, _ = f.stop()
	// Behind the transaction nothing of it comes again.
	again := s.follow(position)
	s.sql("INSERT INTO u VALUES (1001)")
	again.upTo(s.server)
	again.wantRows(s.row("c", "u", 1, "[1001]"))
}

func testRotationStorm(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	for m, mode := range []PositionMode{ByGTID, ByFile} {
		f := s.follow(nil, func(o *Options, _ *journal) { o.Position = mode })
		var want []string
		s.sql("DELETE FROM t WHERE 1=0")
		for i := range 25 {
			id := fmt.Sprintf("%d%02d", 1+m, i)
			s.sql("INSERT INTO t VALUES ("+id+")", "FLUSH BINARY LOGS")
			want = append(want, s.row("c", "t", 1, "["+id+"]"))
			if i%8 == 7 {
				// A new reader from the position of the one before.
				f.await("the row", func(j *journal) bool { return len(j.rows) > 0 && j.rows[len(j.rows)-1] == want[len(want)-1] })
				f.wantRows(want...)
				position, _ := f.stop()
				want = nil
				f = s.follow(position, func(o *Options, _ *journal) { o.Position = mode })
			}
		}
		f.await("the last row", func(j *journal) bool { return len(j.rows) == len(want) })
		f.wantRows(want...)
		f.stop()
	}
}

func testKeepsGaps(s *shared) {
	const other = "11111111-2222-3333-4444-555555555555"
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	as := func(n int) []string {
		return []string{fmt.Sprintf("SET gtid_next='%s:%d'", other, n), fmt.Sprintf("INSERT INTO t VALUES (%d)", n), "SET gtid_next='AUTOMATIC'"}
	}
	f := s.follow(nil)
	for _, n := range []int{1, 2, 3, 9} {
		s.sql(as(n)...)
	}
	f.upTo(s.server)
	position, _ := f.stop()
	if !strings.Contains(string(position), other+":1-3:9") {
		s.Fatalf("position %s, want the gap in %s:1-3:9", position, other)
	}
	s.sql(as(8)...)
	f = s.follow(position)
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[8]"))
}

func testTagged(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("SET gtid_next='AUTOMATIC:blue'", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "SET gtid_next='AUTOMATIC'", "INSERT INTO t VALUES (3)")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[1]"), s.row("c", "t", 1, "[2]"), s.row("c", "t", 1, "[3]"))
	if id := f.j.transactions[0].ID; !strings.HasSuffix(id, ":blue:1") {
		s.Errorf("id of a tagged transaction is %s, want …:blue:1", id)
	}
	position, _ := f.stop()
	s.sql("SET gtid_next='AUTOMATIC:blue'", "INSERT INTO t VALUES (4)")
	f = s.follow(position)
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[4]"))
	if p, _ := f.stop(); !strings.Contains(string(p), ":blue:1-3") {
		s.Errorf("position %s, want …:blue:1-3", p)
	}
}

func testMyISAM(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=MyISAM", "CREATE TABLE u (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1),(2)", "BEGIN", "INSERT INTO t VALUES (3)", "ROLLBACK", "INSERT INTO u VALUES (4)")
	want := []string{s.row("c", "t", 1, "[1]"), s.row("c", "t", 2, "[2]"), s.row("c", "t", 1, "[3]"), s.row("c", "u", 1, "[4]")}
	if s.server.Kind == "mariadb" {
		// MySQL refuses both kinds in one transaction while it has GTIDs. What
		// cannot roll back is logged at once, ahead of the transaction.
		s.sql("BEGIN", "INSERT INTO u VALUES (5)", "INSERT INTO t VALUES (6)", "COMMIT", "BEGIN", "INSERT INTO t VALUES (7)", "INSERT INTO u VALUES (8)", "ROLLBACK")
		want = append(want, s.row("c", "t", 1, "[6]"), s.row("c", "u", 1, "[5]"), s.row("c", "t", 1, "[7]"))
	}
	f.upTo(s.server)
	f.wantRows(want...)
}

func testSavepoints(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("BEGIN", "INSERT INTO t VALUES (1)", "SAVEPOINT a", "INSERT INTO t VALUES (2)", "SAVEPOINT b", "INSERT INTO t VALUES (3)",
		"ROLLBACK TO b", "INSERT INTO t VALUES (4)", "SAVEPOINT c", "RELEASE SAVEPOINT c", "ROLLBACK TO a", "INSERT INTO t VALUES (5)", "COMMIT")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[1]"), s.row("c", "t", 2, "[5]"))
	if got := len(f.j.transactions); got != 1 {
		s.Errorf("%d transactions, want 1", got)
	}
}

func testCreateTableSelect(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1),(2)")
	f := s.follow(nil)
	s.sql("CREATE TABLE u AS SELECT id, id*2 AS twice FROM t", "SET sql_mode='ANSI_QUOTES'", `CREATE TABLE "v" AS SELECT id FROM t`)
	f.upTo(s.server)
	f.wantRows(s.row("c", "u", 1, "[1,2]"), s.row("c", "u", 2, "[2,4]"), s.row("c", "v", 1, "[1]"), s.row("c", "v", 2, "[2]"))
	if got := len(f.j.transactions); got != 2 {
		s.Errorf("%d transactions, want 2", got)
	}
}

func testFilteredTablesMove(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE skipped (id INT PRIMARY KEY, j JSON)")
	f := s.follow(nil, func(o *Options, _ *journal) {
		o.Filter = func(database, table string) bool { return database == s.db && table == "t" }
	})
	for range 3 {
		s.sql("INSERT INTO skipped SELECT COALESCE(MAX(id),0)+1, '{\"a\":[1,2]}' FROM skipped")
	}
	s.sql("BEGIN", "INSERT INTO skipped VALUES (10,NULL),(11,NULL)", "UPDATE skipped SET id=id+20 WHERE id>=10", "INSERT INTO t VALUES (7)", "COMMIT")
	f.upTo(s.server)
	// Rows are counted before filtering: two inserts and two updates precede.
	f.wantRows(s.row("c", "t", 5, "[7]"))
}

func testMultiTable(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "CREATE TABLE u (id INT PRIMARY KEY, n INT)",
		"INSERT INTO t VALUES (1,1),(2,2)", "INSERT INTO u VALUES (1,1),(2,2)")
	f := s.follow(nil)
	s.sql("UPDATE t JOIN u USING (id) SET t.n=10, u.n=20", "DELETE t, u FROM t JOIN u USING (id)")
	f.upTo(s.server)
	rows := strings.Join(f.rows(), "\n")
	for _, want := range []string{s.row("u", "t", 1, "[1,1] [1,10]"), "u " + s.db + ".u#", "d " + s.db + ".t#", "d " + s.db + ".u#"} {
		if !strings.Contains(rows, want) {
			s.Errorf("no %q in\n%s", want, rows)
		}
	}
	if got := len(f.rows()); got != 8 {
		s.Errorf("%d row changes, want 8:\n%s", got, rows)
	}
}

func testOldShape(s *shared) {
	s.sql("CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(9))")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1,'x')")
	f.upTo(s.server)
	position, _ := f.stop()
	s.sql("INSERT INTO t VALUES (2,'y')", "ALTER TABLE t DROP COLUMN b, ADD COLUMN c VARCHAR(9) FIRST", "INSERT INTO t VALUES ('z',3)")
	f = s.follow(position)
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, `[2,"y"]`), s.row("c", "t", 1, `["z",3]`))
}

func testCascades(s *shared) {
	s.sql("CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
		"CREATE TABLE c (id INT PRIMARY KEY, b INT, FOREIGN KEY (b) REFERENCES b (id) ON DELETE SET NULL)",
		"INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (2,1)", "INSERT INTO c VALUES (3,2)")
	f := s.follow(nil)
	s.sql("DELETE FROM a")
	f.upTo(s.server)
	rows := strings.Join(f.rows(), "\n")
	for _, want := range []string{"d " + s.db + ".a#", "d " + s.db + ".b#", "u " + s.db + ".c#"} {
		if !strings.Contains(rows, want) {
			s.Errorf("no %q in\n%s", want, rows)
		}
	}
}

func testHiddenColumns(s *shared) {
	s.sql("SET SESSION sql_generate_invisible_primary_key=ON",
		"CREATE TABLE t (a INT, hidden INT DEFAULT 7 INVISIBLE, v INT AS (a+1) VIRTUAL, w INT AS (a+2) STORED, s VARCHAR(9), KEY ((RIGHT(s,2))))")
	f := s.follow(nil)
	s.sql("INSERT INTO t (a,s) VALUES (1,'xyz')", "UPDATE t SET a=2")
	f.upTo(s.server)
	if got := len(f.rows()); got != 2 {
		s.Errorf("%d rows, want 2", got)
	}
	for _, row := range f.rows() {
		if !strings.Contains(row, "[1,1,7,2,3,\"xyz\"") {
			s.Errorf("row %s, want the key, the hidden and the computed columns", row)
		}
	}
}
