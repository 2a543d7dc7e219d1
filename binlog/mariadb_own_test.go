package binlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// replicate makes replica follow source by GTID, and waits until it has all.
func replicate(t *testing.T, source, replica *testenv.Server) {
	t.Helper()
	replica.Exec(t, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%d, MASTER_USER='%s', MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos, MASTER_SSL=0",
		source.Host, source.Port, source.ReplUser, source.ReplPassword), "START SLAVE")
	caughtUp(t, source, replica)
}

// caughtUp waits until a replica has executed what its source has.
func caughtUp(t *testing.T, source, replica *testenv.Server) {
	t.Helper()
	want := source.Query(t, "SELECT @@GLOBAL.gtid_binlog_pos")[0][0]
	testenv.Wait(t, patience, "the replica", func() error {
		if got := replica.Query(t, "SELECT @@GLOBAL.gtid_slave_pos")[0][0]; got != want {
			return errors.New("it is at " + got + ", want " + want)
		}
		return nil
	})
}

// TestHazard_A15_A16_MariaDBFailOver moves a reader from a primary to a
// promoted replica, and to one that did not log what it replicated.
func TestHazard_A15_A16_MariaDBFailOver(t *testing.T) {
	t.Parallel()
	source := testenv.MariaDBs(t, "11.8", 1)[0]
	replica := testenv.MariaDB(t, "--server-id=901", "--log-slave-updates=ON", "--gtid-strict-mode=ON")
	silent := testenv.MariaDB(t, "--server-id=902", "--log-slave-updates=OFF")
	source.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
	source.Exec(t, domainOf(4, 101, "INSERT INTO d.t VALUES (2)")...)
	f := follow(t, source, nil, by(ByGTID))
	f.upTo(source)
	f.wantRows("c d.t#1 [1]", "c d.t#1 [2]")
	gtid, _ := f.stop()
	f = follow(t, source, nil, by(ByFile))
	f.await("2 rows", func(j *journal) bool { return len(j.rows) == 2 })
	file, _ := f.stop()
	replicate(t, source, replica)
	replicate(t, source, silent)
	for _, s := range []*testenv.Server{replica, silent} {
		s.Exec(t, "STOP SLAVE")
	}
	stops(t, replica, file, by(ByFile), "the position belongs to server 101, and this is 901", "use position: gtid")
	replica.Exec(t, "INSERT INTO d.t VALUES (3)")
	f = follow(t, replica, gtid, by(ByGTID))
	f.upTo(replica)
	f.wantRows("c d.t#1 [3]")
	moved, _ := f.stop()
	if !strings.Contains(string(moved), "0-901-") || !strings.Contains(string(moved), "4-101-") {
		t.Errorf("position %s, want the new server's transaction in domain 0 and the old one's in domain 4", moved)
	}
	// The other one has the rows, and not the transactions.
	silent.Exec(t, "INSERT INTO d.t VALUES (4)")
	stops(t, silent, gtid, by(ByGTID), "which server 902 has never logged", "log_slave_updates")
	// What the old primary did alone is not on the new one.
	source.Exec(t, "INSERT INTO d.t VALUES (99)")
	f = follow(t, source, gtid, by(ByGTID))
	f.upTo(source)
	ahead, _ := f.stop()
	stops(t, replica, ahead, by(ByGTID), "which server 901 has never logged", "fail-over lost transactions")
}

func TestHazard_A51_MariaDBRestartsAndCrashes(t *testing.T) {
	for _, series := range []string{"11.8", "10.11"} {
		t.Run(series, func(t *testing.T) {
			t.Parallel()
			restartsAndCrashes(t, testenv.MariaDBs(t, series, 1)[0])
		})
	}
}

func restartsAndCrashes(t *testing.T, server *testenv.Server) {
	t.Helper()
	server.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
	f := follow(t, server, nil, by(ByGTID)).ready()
	f.upTo(server)
	server.Stop(t)
	if err := f.wait(); Classify(err) != Retry {
		t.Errorf("a server that shuts down ends the reader with %v of class %v, want retry", err, Classify(err))
	}
	position, _ := f.stop()
	server.Restart(t)
	server.Exec(t, "INSERT INTO d.t VALUES (2)")
	f = follow(t, server, position, by(ByGTID))
	f.upTo(server)
	f.wantRows("c d.t#1 [2]")
	server.Kill(t)
	if err := f.wait(); Classify(err) != Retry {
		t.Errorf("a killed server ends the reader with %v of class %v, want retry", err, Classify(err))
	}
	position, _ = f.stop()
	server.Restart(t)
	server.Exec(t, "INSERT INTO d.t VALUES (3)")
	f = follow(t, server, position, by(ByGTID))
	f.upTo(server)
	f.wantRows("c d.t#1 [3]")
	f.stop()
	for _, mode := range []PositionMode{ByGTID, ByFile} {
		f = follow(t, server, nil, by(mode))
		f.await("3 rows", func(j *journal) bool { return len(j.rows) == 3 })
		f.wantRows("c d.t#1 [1]", "c d.t#1 [2]", "c d.t#1 [3]")
		f.stop()
	}
	// A server that begins anew under the same name.
	server.Exec(t, "RESET MASTER", "INSERT INTO d.t VALUES (4)")
	stops(t, server, position, by(ByGTID), "has never logged", "was reset")
}
