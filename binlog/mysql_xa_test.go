package binlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// prepare writes a distributed transaction and leaves it prepared.
func (s *shared) prepare(xid string, statements ...string) {
	s.Helper()
	s.sql(append(append([]string{"XA START '" + xid + "'"}, statements...), "XA END '"+xid+"'", "XA PREPARE '"+xid+"'")...)
}

func testXA(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))", "CREATE TABLE u (id INT PRIMARY KEY)")
	for _, compression := range []string{"OFF", "ON"} {
		s.sql("DELETE FROM t", "DELETE FROM u")
		f := s.follow(nil)
		s.sql("SET SESSION binlog_transaction_compression="+compression, "XA START 'a'", "INSERT INTO t VALUES (1,'one'),(2,REPEAT('x',150))",
			"INSERT INTO u VALUES (10)", "UPDATE t SET v='two' WHERE id=2", "XA END 'a'", "XA PREPARE 'a'")
		s.sql("INSERT INTO u VALUES (11)")
		s.prepare("b", "INSERT INTO t VALUES (3,NULL)")
		s.prepare("c", "INSERT INTO t VALUES (4,NULL)")
		s.sql("XA COMMIT 'b'", "XA ROLLBACK 'c'", "INSERT INTO u VALUES (12)", "XA COMMIT 'a'")
		s.sql("XA START 'd'", "INSERT INTO t VALUES (5,NULL)", "XA END 'd'", "XA COMMIT 'd' ONE PHASE")
		f.upTo(s.server)
		long := strings.Repeat("x", 150)
		f.wantRows(s.row("c", "u", 1, "[11]"), s.row("c", "t", 1, "[3,null]"), s.row("c", "u", 1, "[12]"),
			s.row("c", "t", 1, `[1,"one"]`), s.row("c", "t", 2, fmt.Sprintf(`[2,%q]`, long)), s.row("c", "u", 3, "[10]"),
			s.row("u", "t", 4, fmt.Sprintf(`[2,%q] [2,"two"]`, long)), s.row("c", "t", 1, "[5,null]"))
		f.stop()
	}
	s.wantHeldBound()
}

// wantHeldBound prepares more than a reader may hold.
func (s *shared) wantHeldBound() {
	s.Helper()
	small := s.follow(nil, func(o *Options, _ *journal) { o.MaxHeld = 1 << 10 })
	s.prepare("f", "INSERT INTO t VALUES (30,REPEAT('y',200)),(31,REPEAT('y',200)),(32,REPEAT('y',200)),(33,REPEAT('y',200)),(34,REPEAT('y',200)),(35,REPEAT('y',200))")
	s.sql("XA ROLLBACK 'f'")
	small.wantStop("prepared transactions hold more than 1024 bytes", "XA RECOVER")
}

func testXARestarts(s *shared) { s.xaRestarts(func(*Options, *journal) {}) }

func testXARestartsByFile(s *shared) {
	s.xaRestarts(func(o *Options, _ *journal) { o.Position = ByFile })
}

// xaRestarts prepares, and lets a reader that begins behind it see the outcome.
func (s *shared) xaRestarts(by func(*Options, *journal)) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil, by)
	s.prepare("a", "INSERT INTO t VALUES (1),(2)")
	s.prepare("b", "INSERT INTO t VALUES (3)")
	s.sql("INSERT INTO t VALUES (4)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (5)")
	last := s.row("c", "t", 1, "[5]")
	f.await("the last row", func(j *journal) bool { return len(j.rows) > 0 && j.rows[len(j.rows)-1] == last })
	f.wantRows(s.row("c", "t", 1, "[4]"), last)
	position, _ := f.stop()
	for range 2 {
		// Nothing comes twice, and nothing of what has no outcome.
		f = s.follow(position, by)
		f.await("a watermark", func(j *journal) bool { return len(j.watermarks) > 0 })
		f.wantRows()
		position, _ = f.stop()
	}
	s.sql("XA COMMIT 'b'")
	f = s.follow(position, by)
	f.await("a row", func(j *journal) bool { return len(j.rows) > 0 })
	f.wantRows(s.row("c", "t", 1, "[3]"))
	position, _ = f.stop()
	s.prepare("d", "INSERT INTO t VALUES (6)")
	s.sql("XA COMMIT 'a'")
	f = s.follow(position, by)
	f.await("two rows", func(j *journal) bool { return len(j.rows) == 2 })
	f.wantRows(s.row("c", "t", 1, "[1]"), s.row("c", "t", 2, "[2]"))
	position, _ = f.stop()
	s.sql("XA ROLLBACK 'd'", "INSERT INTO t VALUES (6)")
	// A position by file knows its GTIDs too.
	f = s.follow(position)
	f.await("a row", func(j *journal) bool { return len(j.rows) > 0 })
	f.wantRows(s.row("c", "t", 1, "[6]"))
	if position, _ = f.stop(); strings.Contains(string(position), "prepared") {
		s.Errorf("position %s, want no transaction in it that waits", position)
	}
}

// testXAUnread begins between the rows and their outcome.
func testXAUnread(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	s.prepare("a", "INSERT INTO t VALUES (1)")
	s.prepare("b", "INSERT INTO t VALUES (2)")
	f := s.follow(nil)
	s.sql("XA ROLLBACK 'b'", "INSERT INTO t VALUES (3)", "XA COMMIT 'a'")
	f.wantStop("XA COMMIT of a transaction that was prepared before", "accept transaction ")
	f.wantRows(s.row("c", "t", 1, "[3]"))
	position, err := f.stop()
	_, id, _ := strings.Cut(err.Error(), "accept transaction ")
	id, _, _ = strings.Cut(id, ";")
	f = s.follow(position, func(o *Options, _ *journal) { o.Accepted = []string{id} })
	s.sql("INSERT INTO t VALUES (4)")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[4]"))
}

// TestHazard_A19_XAOutlivesACrashOfTheServer commits what was prepared before
// the server was killed.
func TestHazard_A19_XAOutlivesACrashOfTheServer(t *testing.T) {
	t.Parallel()
	xaOutlivesACrash(t, testenv.MySQL(t, 1)[0])
}

// xaOutlivesACrash commits what was prepared before the server was killed.
func xaOutlivesACrash(t *testing.T, server *testenv.Server) {
	t.Helper()
	server.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
	server.Exec(t, "XA START 'a'", "INSERT INTO d.t VALUES (1)", "XA END 'a'", "XA PREPARE 'a'")
	f := follow(t, server, nil, by(ByGTID)).ready()
	server.Exec(t, "INSERT INTO d.t VALUES (2)")
	f.await("the last row", func(j *journal) bool { return slices.Contains(j.rows, "c d.t#1 [2]") })
	server.Kill(t)
	if err := f.wait(); Classify(err) != Retry {
		t.Errorf("a killed server ends the reader with %v", err)
	}
	position, _ := f.stop()
	server.Restart(t)
	testenv.Wait(t, patience, "the prepared transaction", func() error {
		if len(server.Query(t, "XA RECOVER")) == 0 {
			return errors.New("it is not there")
		}
		return nil
	})
	server.Exec(t, "XA COMMIT 'a'")
	f = follow(t, server, position, by(ByGTID))
	f.upTo(server)
	f.wantRows("c d.t#1 [1]")
}
