package binlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/testenv"
)

// The tests here change a server so much that each has its own.

// everything follows all tables, by GTID or by file.
func by(mode PositionMode) func(*Options, *journal) {
	return func(o *Options, _ *journal) { o.Position, o.Start = mode, "earliest" }
}

// stops runs a reader that is to be refused at once.
func stops(t *testing.T, server *testenv.Server, position []byte, change func(*Options, *journal), parts ...string) {
	t.Helper()
	follow(t, server, position, change).wantStop(parts...)
}

func TestHazard_A8_A11_ResetAndPurgedBinlogsAreRefused(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
	var positions [2][]byte
	for i, mode := range []PositionMode{ByGTID, ByFile} {
		f := follow(t, server, nil, by(mode))
		f.await("a row", func(j *journal) bool { return len(j.rows) == 1 })
		positions[i], _ = f.stop()
	}
	uuid := server.Query(t, "SELECT @@server_uuid")[0][0]
	server.Exec(t, "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES (2)", "FLUSH BINARY LOGS", "PURGE BINARY LOGS TO 'binlog.000003'")
	stops(t, server, positions[0], by(ByGTID), "has purged "+uuid+":4", "the saved position", "tailwater shard reset 00 --to oldest", "--to now")
	stops(t, server, positions[1], by(ByFile), "at binlog.000001:", "no longer has that file; its oldest is binlog.000003")
	stops(t, server, nil, by(ByGTID), "start: earliest, but the server has purged "+uuid+":1-4", "start: gtid:"+uuid+":1-4")
	stops(t, server, nil, by(ByFile), "start: earliest, but the server has purged "+uuid+":1-4")
	stops(t, server, nil, func(o *Options, _ *journal) { o.Start = "gtid:" + uuid + ":1-3" }, "has purged "+uuid+":4, which start")
	stops(t, server, nil, func(o *Options, _ *journal) { o.Start = "gtid:" + uuid + ":1-99" }, "start holds "+uuid+":5-99")
	stops(t, server, nil, func(o *Options, _ *journal) { o.Position, o.Start = ByFile, "file:binlog.000003:99999" }, "ends at ", "lost the end")
	// What the refusal offers works.
	server.Exec(t, "INSERT INTO d.t VALUES (3)")
	f := follow(t, server, nil, func(o *Options, _ *journal) { o.Start = "gtid:" + uuid + ":1-4" })
	f.upTo(server)
	f.wantRows("c d.t#1 [3]")
	f.stop()

	server.Exec(t, "RESET BINARY LOGS AND GTIDS", "INSERT INTO d.t VALUES (4)")
	stops(t, server, positions[0], by(ByGTID), "holds "+uuid+":2-3", "was reset")
	stops(t, server, positions[1], by(ByFile), "holds "+uuid+":2-3", "was reset")
}

func TestHazard_A6_OrdinalsOfFilesAreNumbers(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, "RESET BINARY LOGS AND GTIDS TO 999998", "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
	latest := func(o *Options, _ *journal) { o.Position = ByFile }
	f := follow(t, server, nil, latest).ready()
	for i := range 5 {
		server.Exec(t, fmt.Sprintf("INSERT INTO d.t VALUES (%d)", i), "FLUSH BINARY LOGS")
	}
	f.await("5 rows", func(j *journal) bool { return len(j.rows) == 5 })
	f.await("a watermark", func(j *journal) bool { return len(j.watermarks) > 0 })
	position, _ := f.stop()
	if !strings.Contains(string(position), "binlog.1000003") {
		t.Fatalf("position %s, want binlog.1000003", position)
	}
	server.Exec(t, "INSERT INTO d.t VALUES (9)")
	f = follow(t, server, position, latest)
	f.await("the last row", func(j *journal) bool { return len(j.rows) > 0 })
	f.wantRows("c d.t#1 [9]")
}

func TestHazard_A51_FollowsOverRestartsAndCrashes(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.a (id INT PRIMARY KEY)", "CREATE TABLE d.b (x VARCHAR(9) PRIMARY KEY)",
		"CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MEMORY")
	server.Exec(t, "INSERT INTO d.a VALUES (1)", "INSERT INTO d.b VALUES ('one')")
	followed := func(o *Options, j *journal) {
		by(ByGTID)(o, j)
		o.Filter = func(db, table string) bool { return db == "d" && table != "m" }
	}
	f := follow(t, server, nil, followed).ready()
	f.upTo(server)
	server.Stop(t)
	if err := f.wait(); Classify(err) != Retry {
		t.Errorf("a server that shuts down ends the reader with %v of class %v, want retry", err, Classify(err))
	}
	position, _ := f.stop()
	gone := follow(t, server, position, followed)
	if err := gone.wait(); Classify(err) != Retry {
		t.Errorf("a server that is gone ends the reader with %v of class %v, want retry", err, Classify(err))
	}
	server.Restart(t)
	// Table ids begin anew: b now has the id that a had.
	server.Exec(t, "INSERT INTO d.b VALUES ('two')", "INSERT INTO d.a VALUES (2)", "INSERT INTO d.m VALUES (1)")
	f = follow(t, server, position, followed)
	f.upTo(server)
	f.wantRows(`c d.b#1 ["two"]`, "c d.a#1 [2]")
	server.Kill(t)
	if err := f.wait(); Classify(err) != Retry {
		t.Errorf("a killed server ends the reader with %v of class %v, want retry", err, Classify(err))
	}
	position, _ = f.stop()
	server.Restart(t)
	server.Exec(t, "INSERT INTO d.a VALUES (3)", "SELECT * FROM d.m")
	f = follow(t, server, position, followed)
	f.upTo(server)
	f.wantRows("c d.a#1 [3]")
	f.stop()
	// From the beginning, over both restarts, in either mode.
	for _, mode := range []PositionMode{ByGTID, ByFile} {
		f = follow(t, server, nil, func(o *Options, j *journal) { followed(o, j); o.Position = mode })
		f.await("6 rows", func(j *journal) bool { return len(j.rows) >= 5 })
		f.wantRows("c d.a#1 [1]", `c d.b#1 ["one"]`, `c d.b#1 ["two"]`, "c d.a#1 [2]", "c d.a#1 [3]")
		f.stop()
	}
}

func TestHazard_A28_SilenceIsATimeOut(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1)[0]
	f := follow(t, server, nil, func(o *Options, _ *journal) { o.Heartbeat, o.ReadTimeout = 100*time.Millisecond, time.Second }).ready()
	server.Pause(t)
	defer server.Resume(t)
	if err := f.wait(); Classify(err) != Retry {
		t.Errorf("silence ends the reader with %v of class %v, want retry", err, Classify(err))
	}
	// A server that accepts and does not answer.
	mute := follow(t, server, nil, func(o *Options, _ *journal) { o.ConnectTimeout = 300 * time.Millisecond })
	if err := mute.wait(); Classify(err) != Retry || !strings.Contains(err.Error(), "no answer within the connect time-out") {
		t.Errorf("a mute server ends the reader with %v of class %v, want retry", err, Classify(err))
	}
}

// One row is changed faster than it can be handed on: the server waits with its
// dump for longer than its net_write_timeout allows to others, and goes on over
// the same connection.
func TestHazard_B29_AHotRowAndABlockedHandlerKeepTheirConnection(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, "SET GLOBAL net_write_timeout=1", "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, n INT, pad LONGTEXT)", "INSERT INTO d.t VALUES (1, 0, '')")
	blocked, goOn := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(blocked); <-goOn })
	f := follow(t, server, nil, func(o *Options, j *journal) {
		j.onRow = func(string) error { first(); return nil }
	}).ready()
	// More than the sockets' buffers hold, so that the server's write has to wait.
	const updates, pad = 200, 100 << 10
	for n := 1; n <= updates; n++ {
		server.Exec(t, fmt.Sprintf("UPDATE d.t SET n = %d, pad = REPEAT('x', %d)", n, pad))
	}
	<-blocked
	since := time.Now()
	testenv.Wait(t, patience, "the server's time-out to pass", func() error {
		if d := time.Since(since); d < 3*time.Second {
			return fmt.Errorf("%v have passed", d)
		}
		return nil
	})
	close(goOn)
	f.await("every change", func(j *journal) bool { return len(j.rows) == updates })
	for i, row := range f.rows() {
		if want := fmt.Sprintf("] [1,%d,", i+1); !strings.Contains(row, want) {
			t.Fatalf("change %d is %.40s…, want it to hold %q", i, row, want)
		}
	}
	if _, err := f.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("the reader ended with %v", err)
	}
}

func TestHazard_A12_A13_A88_FailOver(t *testing.T) {
	t.Parallel()
	source := testenv.MySQL(t, 1)[0]
	replica := testenv.MySQLReplica(t, source)
	source.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)",
		"SET SESSION original_commit_timestamp=1600000000000001", "INSERT INTO d.t VALUES (2)")
	f := follow(t, source, nil, by(ByGTID))
	f.upTo(source)
	gtid, _ := f.stop()
	f = follow(t, source, nil, by(ByFile))
	f.await("2 rows", func(j *journal) bool { return len(j.rows) == 2 })
	file, _ := f.stop()
	replica.Follow(t, source)
	replica.Promote(t)
	// The replica tells the same commit times.
	f = follow(t, replica, nil, by(ByGTID))
	f.await("2 rows", func(j *journal) bool { return len(j.rows) == 2 })
	if got, want := f.j.transactions[len(f.j.transactions)-1].CommitMicros, int64(1600000000000001); got != want {
		t.Errorf("commit time on the replica is %d, want the primary's %d", got, want)
	}
	f.stop()
	// By GTID the reader goes on there; by file it must not.
	stops(t, replica, file, by(ByFile), "the position belongs to server", "use position: gtid")
	replica.Exec(t, "INSERT INTO d.t VALUES (3)")
	f = follow(t, replica, gtid, by(ByGTID))
	f.upTo(replica)
	f.wantRows("c d.t#1 [3]")
	f.stop()
	// What the old primary did alone is not on the new one.
	source.Exec(t, "INSERT INTO d.t VALUES (99)")
	f = follow(t, source, gtid, by(ByGTID))
	f.upTo(source)
	ahead, _ := f.stop()
	stops(t, replica, ahead, by(ByGTID), "has never executed", "fail-over lost transactions")
}

func TestFollowsAServerWithoutGTIDs(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--binlog-row-metadata=MINIMAL")[0]
	server.Exec(t, "SET GLOBAL binlog_row_metadata=FULL")
	server.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MyISAM",
		"INSERT INTO d.t VALUES (1)", "BEGIN", "INSERT INTO d.t VALUES (2)", "INSERT INTO d.m VALUES (3)", "ROLLBACK")
	stops(t, server, nil, by(ByGTID), `gtid_mode is "OFF"`, "position: file")
	f := follow(t, server, nil, by(ByFile))
	f.await("2 rows", func(j *journal) bool { return len(j.rows) == 2 })
	f.wantRows("c d.t#1 [1]", "c d.m#1 [3]")
	if id := f.j.transactions[0].ID; !strings.HasPrefix(id, "binlog.000001:") {
		t.Errorf("id of a transaction is %s, want file:pos", id)
	}
	if commit := f.j.transactions[0].CommitMicros; commit == 0 {
		t.Error("a transaction without GTID has no commit time")
	}
	f.await("a watermark", func(j *journal) bool { return len(j.watermarks) > 0 })
	position, _ := f.stop()
	server.Exec(t, "INSERT INTO d.t VALUES (4)", "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES (5)")
	f = follow(t, server, position, by(ByFile))
	f.await("2 rows", func(j *journal) bool { return len(j.rows) == 2 })
	f.wantRows("c d.t#1 [4]", "c d.t#1 [5]")
	f.stop()
	// A43: without full metadata nobody can say which column is which.
	server.Exec(t, "SET GLOBAL binlog_row_metadata=MINIMAL", "INSERT INTO d.t VALUES (6)")
	f = follow(t, server, position, by(ByFile))
	f.wantStop("d.t", "binlog_row_metadata")
	server.Exec(t, "PURGE BINARY LOGS TO 'binlog.000002'")
	stops(t, server, nil, by(ByFile), "has purged the binlogs before binlog.000002")
}
