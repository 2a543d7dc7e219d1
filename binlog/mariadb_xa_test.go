package binlog

import (
	"fmt"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

func testMariaXA(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))", "CREATE TABLE u (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.prepare("a", "INSERT INTO t VALUES (1,'one'),(2,REPEAT('x',150))", "INSERT INTO u VALUES (10)", "SAVEPOINT p", "INSERT INTO u VALUES (19)", "ROLLBACK TO p",
		"UPDATE t SET v='two' WHERE id=2")
	s.sql("INSERT INTO u VALUES (11)")
	// An xid has two parts and a format.
	s.prepare("b','branch", "INSERT INTO t VALUES (3,NULL)")
	s.prepare("c", "INSERT INTO t VALUES (4,NULL)")
	s.sql("XA COMMIT 'b','branch'")
	s.sql("XA ROLLBACK 'c'", "INSERT INTO u VALUES (12)", "XA COMMIT 'a'")
	s.sql("XA START 'd'", "INSERT INTO t VALUES (5,NULL)", "XA END 'd'", "XA COMMIT 'd' ONE PHASE")
	s.sql("XA START 'e'", "INSERT INTO t VALUES (6,NULL)", "XA END 'e'", "XA ROLLBACK 'e'")
	f.upTo(s.server)
	long := strings.Repeat("x", 150)
	f.wantRows(s.row("c", "u", 1, "[11]"), s.row("c", "t", 1, "[3,null]"), s.row("c", "u", 1, "[12]"),
		s.row("c", "t", 1, `[1,"one"]`), s.row("c", "t", 2, fmt.Sprintf(`[2,%q]`, long)), s.row("c", "u", 3, "[10]"),
		s.row("u", "t", 4, fmt.Sprintf(`[2,%q] [2,"two"]`, long)), s.row("c", "t", 1, "[5,null]"))
	if position, _ := f.stop(); strings.Contains(string(position), "prepared") {
		s.Errorf("position %s, want no transaction in it that waits", position)
	}
	s.wantHeldBound()
}

// testMariaXAPurged begins behind rows that are in no binlog any more.
func testMariaXAPurged(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.prepare("a", "INSERT INTO t VALUES (1)")
	s.sql("FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)")
	f.upTo(s.server)
	position, _ := f.stop()
	last := s.server.Query(s.T, "SHOW MASTER STATUS")[0][0]
	testenv.Wait(s.T, patience, "the first file to be purged", func() error {
		s.sql("PURGE BINARY LOGS TO '" + last + "'")
		if left := s.server.Query(s.T, "SHOW BINARY LOGS"); left[0][0] != last {
			return fmt.Errorf("%s is still there", left[0][0])
		}
		return nil
	})
	refused := follow(s.T, s.server, position, s.only)
	refused.wantStop("XA X'61',X'',1", "cannot be read again", "has purged", "accept transaction ")
	_, err := refused.stop()
	_, id, _ := strings.Cut(err.Error(), "accept transaction ")
	id, _, _ = strings.Cut(id, ";")
	f = s.follow(position, func(o *Options, _ *journal) { o.Accepted = []string{id} })
	s.sql("INSERT INTO t VALUES (3)")
	f.upTo(s.server)
	position, _ = f.stop()
	// What a person has given up stays so.
	f = s.follow(position)
	s.sql("XA COMMIT 'a'", "INSERT INTO t VALUES (4)")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[4]"))
}

// TestHazard_A19_MariaDBXAOutlivesACrashOfTheServer is the same on MariaDB.
func TestHazard_A19_MariaDBXAOutlivesACrashOfTheServer(t *testing.T) {
	t.Parallel()
	xaOutlivesACrash(t, testenv.MariaDBs(t, "11.8", 1)[0])
}

// TestHazard_A19_MariaDBXAMovesToAnotherServer prepares on a primary, and
// commits on the replica that was promoted.
func TestHazard_A19_MariaDBXAMovesToAnotherServer(t *testing.T) {
	t.Parallel()
	source := testenv.MariaDBs(t, "11.8", 1)[0]
	replica := testenv.MariaDB(t, "--server-id=901", "--log-slave-updates=ON", "--gtid-strict-mode=ON")
	source.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
	f := follow(t, source, nil, by(ByGTID)).ready()
	source.Exec(t, "XA START 'a'", "INSERT INTO d.t VALUES (1)", "XA END 'a'", "XA PREPARE 'a'")
	source.Exec(t, domainOf(4, 101, "INSERT INTO d.t VALUES (2)")...)
	f.upTo(source)
	position, _ := f.stop()
	replicate(t, source, replica)
	replica.Exec(t, "STOP SLAVE", "XA COMMIT 'a'")
	f = follow(t, replica, position, by(ByGTID))
	f.upTo(replica)
	f.wantRows("c d.t#1 [1]")
}
