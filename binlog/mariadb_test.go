package binlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// mariadbKinds are the servers that TestMariaDBServer runs against.
var mariadbKinds = []struct {
	name, series string
	options      func(*testing.T) []string
}{
	{"11.8", "11.8", func(*testing.T) []string { return nil }},
	{"10.11", "10.11", func(*testing.T) []string { return nil }},
	// Everything is compressed, and the files are encrypted.
	{"11.8_CompressedAndEncrypted", "11.8", func(t *testing.T) []string {
		keys := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(keys, []byte("1;770A8A65DA156D24EE2A093277530142\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"--log-bin-compress", "--log-bin-compress-min-len=10", "--encrypt-binlog=ON",
			"--plugin-load-add=file_key_management", "--file-key-management-filename=" + keys}
	}},
}

// TestMariaDBServer runs the reader against real servers. The subtests of one
// share it, and those that MySQL has too are the same.
func TestMariaDBServer(t *testing.T) {
	for _, kind := range mariadbKinds {
		t.Run(kind.name, func(t *testing.T) {
			server := testenv.MariaDBs(t, kind.series, 1, kind.options(t)...)[0]
			t.Logf("MariaDB %s", server.Version)
			for i, test := range mariadbTests {
				t.Run(test.name, func(t *testing.T) {
					s := &shared{T: t, server: server, db: fmt.Sprintf("d%d", i)}
					s.sql("CREATE DATABASE " + s.db)
					test.run(s)
				})
			}
		})
	}
}

var mariadbTests = []struct {
	name string
	run  func(*shared)
}{
	{"FollowsRowsInCommitOrder", testFollowsRows},
	{"Hazard_A1_ResumesInsideATransaction", testResumesInsideTransaction},
	{"Hazard_A5_FollowsAStormOfRotations", testRotationStorm},
	{"Hazard_A15_FollowsSeveralDomains", testDomains},
	{"Hazard_A17_OffsetsInsideTransactions", testMariaOffsets},
	{"Hazard_A19_XAIsHeldUntilItsOutcome", testMariaXA},
	{"Hazard_A19_XAOverRestarts", testXARestarts},
	{"Hazard_A19_XAByFileOverRestarts", testXARestartsByFile},
	{"Hazard_A19_XAWhoseRowsWereNotRead", testXAUnread},
	{"Hazard_A19_XAWhoseRowsWerePurged", testMariaXAPurged},
	{"Hazard_A20_EndsTransactionsOfMyISAM", testMyISAM},
	{"Hazard_A21_SavepointIsNoBoundary", testSavepoints},
	{"Hazard_A22_FollowsCreateTableSelect", testCreateTableSelect},
	{"Hazard_A27_StopsAtStatementFormat", testStopsAtStatements},
	{"Hazard_A27_StatementsElsewhereStopWhereTheyMayWriteHere", testStatementsElsewhere},
	{"Hazard_A30_KillsNoConnection", testKillsNothing},
	{"Hazard_A31_AcknowledgesNothing", testAcknowledgesNothing},
	{"Hazard_A32_ReadsWithAndWithoutChecksums", testChecksums},
	{"Hazard_A33_EncryptedBinlogsAreFollowed", testMariaEncrypted},
	{"Hazard_A35_ReadsRowsAboveOnePacket", testLargeRows},
	{"Hazard_A37_PositionMovesOnFilteredTables", testFilteredTablesMove},
	{"Hazard_A38_AbsentColumnsAreAbsent", testSmallImages},
	{"GeneratedColumnsMayBeAbsent", testMariaGenerated},
	{"Hazard_A41_CompressionToggledWhileRunning", testMariaCompression},
	{"Hazard_A43_RowsWithoutNamesStopAtTheStartAndInMidStream", testMetadataMinimal},
	{"Hazard_A50_StatementOverSeveralTables", testMultiTable},
	{"Hazard_A52_OldRowsKeepTheirShape", testOldShape},
	{"Hazard_A53_OddStatementsBetweenRows", testOddStatements},
	{"Hazard_A54_A56_NoSchemaIsKeptThatCouldBeLost", testNoSchemaIsKept},
	{"Hazard_A55_TableMadeWhileNobodyReads", testTableMadeMeanwhile},
	{"Hazard_A59_TellsWhereRowsVanish", testTellsWhereRowsVanish},
	{"Hazard_A58_FollowsRenamesInOrder", testFollowsRenamesInOrder},
	{"Hazard_A57_SwapsOfOnlineSchemaChangesLoseNothing", testSwaps},
	{"Hazard_A59_StopsWhereRowsVanishUntold", testStopsWhereRowsVanishUntold},
	{"StatementsOfMariaDBAlone", testMariaStatements},
	{"StartsAtAnEvent", testStartsAtAnEvent},
	{"IdleWatermarkComesFromTheServer", testIdle},
	{"KilledDumpIsRetried", testKilledDump},
	{"HeadroomOfAPosition", testHeadroom},
	{"PreflightListsEverything", testMariaPreflight},
	{"StartsWhereItIsTold", testMariaStarts},
}

// domainOf runs statements as if the server took part in another domain.
func domainOf(domain, server int, statements ...string) []string {
	return append([]string{fmt.Sprintf("SET SESSION gtid_domain_id=%d, server_id=%d", domain, server)}, statements...)
}

func testDomains(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	var want []string
	var position []byte
	for i := range 12 {
		s.sql(domainOf(i%3, 101+i%2, fmt.Sprintf("INSERT INTO t VALUES (%d)", i))...)
		want = append(want, s.row("c", "t", 1, fmt.Sprintf("[%d]", i)))
		if i%4 == 3 {
			f.upTo(s.server)
			f.wantRows(want...)
			position, _ = f.stop()
			want = nil
			f = s.follow(position)
		}
	}
	p, err := ParsePosition(position)
	if err != nil || len(p.Domains.last) != 3 {
		s.Errorf("position %s (%v), want one transaction of each of 3 domains", position, err)
	}
	// A domain that appears while nobody reads.
	f.stop()
	s.sql(domainOf(7, 900, "INSERT INTO t VALUES (700)")...)
	f = s.follow(position)
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[700]"))
	if id := f.j.transactions[0].ID; id != "7-900-1" {
		s.Errorf("the transaction is called %s, want 7-900-1", id)
	}
}

// testMariaOffsets reads by file and offset from the middle of a file, where
// since 11.4 the events of a transaction do not say where they stand.
func testMariaOffsets(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100))")
	byFile := func(o *Options, _ *journal) { o.Position = ByFile }
	var position []byte
	for i := range 8 {
		f := s.follow(position, byFile)
		s.sql("BEGIN", fmt.Sprintf("INSERT INTO t VALUES (%d,'a')", 3*i), fmt.Sprintf("INSERT INTO t VALUES (%d,REPEAT('b',100))", 3*i+1),
			fmt.Sprintf("INSERT INTO t VALUES (%d,NULL)", 3*i+2), "COMMIT")
		f.await("three rows", func(j *journal) bool { return len(j.rows) == 3 })
		f.wantRows(s.row("c", "t", 1, fmt.Sprintf(`[%d,"a"]`, 3*i)), s.row("c", "t", 2, fmt.Sprintf(`[%d,"%s"]`, 3*i+1, strings.Repeat("b", 100))),
			s.row("c", "t", 3, fmt.Sprintf(`[%d,null]`, 3*i+2)))
		position, _ = f.stop()
		status := s.server.Query(s.T, "SHOW MASTER STATUS")[0]
		if p, err := ParsePosition(position); err != nil || p.File != status[0] || fmt.Sprint(p.Pos) != status[1] {
			s.Fatalf("position %s (%v), want the end of the server's binlog, %s:%s", position, err, status[0], status[1])
		}
	}
}

func testMariaCompression(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))")
	was := s.server.Query(s.T, "SELECT @@GLOBAL.log_bin_compress")[0][0]
	s.Cleanup(func() { s.sql("SET GLOBAL log_bin_compress=" + was) })
	f := s.follow(nil)
	var want []string
	text := strings.Repeat("a", 100)
	for i := range 6 {
		s.sql(fmt.Sprintf("SET GLOBAL log_bin_compress=%d, log_bin_compress_min_len=10", i%2), "BEGIN",
			fmt.Sprintf("INSERT INTO t VALUES (%d, REPEAT('a', 100)),(%d, NULL)", 2*i, 2*i+1),
			fmt.Sprintf("UPDATE t SET v='new' WHERE id=%d", 2*i), fmt.Sprintf("DELETE FROM t WHERE id=%d", 2*i+1), "COMMIT",
			fmt.Sprintf("ALTER TABLE t COMMENT 'a comment that is longer than ten characters %d'", i))
		want = append(want, s.row("c", "t", 1, fmt.Sprintf("[%d,%q]", 2*i, text)), s.row("c", "t", 2, fmt.Sprintf("[%d,null]", 2*i+1)),
			s.row("u", "t", 3, fmt.Sprintf(`[%d,%q] [%d,"new"]`, 2*i, text, 2*i)), s.row("d", "t", 4, fmt.Sprintf("[%d,null]", 2*i+1)))
	}
	f.upTo(s.server)
	f.wantRows(want...)
}

func testMariaGenerated(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, twice INT AS (a*2) STORED, b INT)")
	f := s.follow(nil)
	s.sql("INSERT INTO t (id,a,b) VALUES (1,1,1)", "UPDATE t SET b=2")
	f.upTo(s.server)
	rows := f.rows()
	if len(rows) != 2 || rows[0] != s.row("c", "t", 1, "[1,1,2,1]") {
		s.Fatalf("rows %q, want an insert with every column", rows)
	}
	whole := s.row("u", "t", 1, "[1,1,2,1] [1,1,2,2]")
	if rows[1] != whole && strings.Count(rows[1], "column twice: the row image does not carry the column") != 2 {
		s.Errorf("row %q, want it whole or without the generated column", rows[1])
	}
}

// testMariaStatements are statements that MySQL does not have, or logs in
// another way.
func testMariaStatements(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "SET GLOBAL binlog_alter_two_phase=OFF")
	f := s.follow(nil)
	s.sql("CREATE SEQUENCE numbers", "INSERT INTO t VALUES (NEXT VALUE FOR numbers)", "DROP SEQUENCE numbers",
		"CREATE OR REPLACE VIEW v AS SELECT * FROM t", "SET SESSION binlog_alter_two_phase=ON", "ALTER TABLE t ADD COLUMN a INT DEFAULT 7, ALGORITHM=COPY",
		"INSERT INTO t (id) VALUES (2)", "SET SESSION binlog_alter_two_phase=OFF", "ANALYZE TABLE t",
		"INSERT INTO t VALUES (3,3) RETURNING id", "DELETE FROM t WHERE id=3 RETURNING a")
	f.upTo(s.server)
	var got []string
	for _, row := range f.rows() {
		if !strings.Contains(row, ".numbers#") {
			got = append(got, row)
		}
	}
	want := []string{s.row("c", "t", 2, "[1]"), s.row("c", "t", 1, "[2,7]"), s.row("c", "t", 1, "[3,3]"), s.row("d", "t", 1, "[3,3]")}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		// The sequence's own row may come before or behind.
		want[0] = s.row("c", "t", 1, "[1]")
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			s.Errorf("rows:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
	f.stop()
	f = s.follow(nil)
	s.sql("CREATE OR REPLACE TABLE t (id INT PRIMARY KEY)")
	f.upTo(s.server)
	f.wantRows(s.told("t", 1, "drop", "")...)
	f.stop()
}

func testMariaPreflight(s *shared) {
	s.server.Exec(s.T, "CREATE USER IF NOT EXISTS poor IDENTIFIED BY 'poor'", "SET GLOBAL binlog_row_image=MINIMAL", "SET GLOBAL binlog_row_metadata=MINIMAL",
		"SET GLOBAL binlog_format=MIXED")
	restore := func() {
		s.server.Exec(s.T, "SET GLOBAL binlog_row_image=FULL", "SET GLOBAL binlog_row_metadata=FULL", "SET GLOBAL binlog_format=ROW")
	}
	s.Cleanup(restore)
	err := s.reader("poor", "poor", MariaDB).Preflight(s.Context())
	var preflight *PreflightError
	if !errors.As(err, &preflight) {
		s.Fatalf("preflight says %v, want a list", err)
	}
	want := `shard 03: the server is not ready to be followed:
  binlog_format is MIXED, want ROW: SET GLOBAL binlog_format = 'ROW', and in my.cnf; then end the sessions that have another
  binlog_row_metadata is MINIMAL, want FULL: SET GLOBAL binlog_row_metadata = 'FULL', and in my.cnf
  privilege BINLOG MONITOR is missing, want granted: GRANT BINLOG MONITOR ON *.* TO 'poor'@'%'
  privilege REPLICATION SLAVE is missing, want granted: GRANT REPLICATION SLAVE ON *.* TO 'poor'@'%'`
	if got := err.Error(); got != want {
		s.Errorf("preflight:\n got %s\nwant %s", got, want)
	}
	restore()
	if err := s.reader(s.server.ReplUser, s.server.ReplPassword, MariaDB).Preflight(s.Context()); err != nil {
		s.Errorf("preflight of a good server says %v", err)
	}
	err = s.reader(s.server.ReplUser, s.server.ReplPassword, MySQL).Preflight(s.Context())
	if err == nil || !strings.Contains(err.Error(), "give the source type: mariadb") {
		s.Errorf("preflight of a MariaDB taken for MySQL says %v, want the type", err)
	}
	position := []byte(`{"format":1,"flavor":"mariadb","server_uuid":"101","gtid":"0-4711-9","file":"","pos":0}`)
	err = s.reader(s.server.ReplUser, s.server.ReplPassword, MariaDB).PreflightFrom(s.Context(), position)
	if err == nil || !strings.Contains(err.Error(), "holds 0-4711-9, which server 101 has never logged") {
		s.Errorf("preflight from a foreign position says %v, want the transaction", err)
	}
}

func testMariaStarts(s *shared) {
	s.sql("RESET MASTER", "CREATE TABLE t (id INT PRIMARY KEY)", "ALTER TABLE t COMMENT 'a'", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (1)")
	place := s.server.Query(s.T, "SELECT @@GLOBAL.gtid_binlog_pos")[0][0]
	s.sql("INSERT INTO t VALUES (2)")
	at := func(start string) func(*Options, *journal) { return func(o *Options, _ *journal) { o.Start = start } }
	f := s.follow(nil, at("gtid:"+place))
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[2]"))
	f.stop()
	f = s.follow(nil, at("earliest"))
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[1]"), s.row("c", "t", 1, "[2]"))
	f.stop()
	// From here on the first files are gone.
	oldest := s.server.Query(s.T, "SHOW MASTER STATUS")[0][0]
	testenv.Wait(s.T, patience, "the first file to be purged", func() error {
		// A dump that has not noticed yet that its reader is gone holds it.
		s.sql("PURGE BINARY LOGS TO '" + oldest + "'")
		if left := s.server.Query(s.T, "SHOW BINARY LOGS"); left[0][0] != oldest {
			return fmt.Errorf("%s is still there", left[0][0])
		}
		return nil
	})
	first := s.server.Query(s.T, "SELECT BINLOG_GTID_POS('"+oldest+"', 4)")[0][0]
	s.follow(nil, at("earliest")).wantStop("purged everything up to "+first, "start: gtid:"+first)
	s.follow(nil, at("gtid:0-101-1")).wantStop("has purged transactions up to", "start is at \"0-101-1\"")
	f = s.follow(nil, at("gtid:"+first))
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[1]"), s.row("c", "t", 1, "[2]"))
	position, _ := f.stop()
	f = s.follow(nil, func(o *Options, _ *journal) { o.Position, o.Start = ByFile, "file:"+oldest+":4" })
	f.await("two rows", func(j *journal) bool { return len(j.rows) == 2 })
	f.wantRows(s.row("c", "t", 1, "[1]"), s.row("c", "t", 1, "[2]"))
	// A position by file knows its GTIDs too, and they are the same.
	byFile, _ := f.stop()
	a, err1 := ParsePosition(position)
	b, err2 := ParsePosition(byFile)
	if err1 != nil || err2 != nil || !a.Domains.Equal(b.Domains) || a.File != b.File || a.Pos != b.Pos {
		s.Errorf("read by file the position is %s (%v), by GTID %s (%v)", byFile, err2, position, err1)
	}
}
