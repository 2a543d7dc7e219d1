package binlog

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/testenv"
)

// update rewrites the golden trace.
var update = flag.Bool("update", false, "rewrite testdata/trace from a real server")

// tracer is a Handler that writes the calls between the events that caused them.
type tracer struct {
	b    strings.Builder
	uuid string
}

func (r *tracer) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.b.WriteString(strings.ReplaceAll(text, r.uuid, "SOURCE") + "\n")
}

func (r *tracer) Begin(tx *Transaction) error {
	r.line("    Begin %d %s", tx.Number, tx.ID)
	return nil
}

func (r *tracer) Row(_ *Transaction, row *RowChange) error {
	r.line("    Row %s", rowText(row))
	return nil
}

func (r *tracer) Table(_ *Transaction, c *change.TableChange) error {
	r.line("    Table %s", tableText(c))
	return nil
}

func (r *tracer) Commit(tx *Transaction, position []byte) error {
	p, err := ParsePosition(position)
	if err != nil {
		return err
	}
	r.line("    Commit of %d rows, %s in %s", tx.Rows, p.GTID, p.File)
	return nil
}

func (r *tracer) Idle(int64, []byte) error { return nil }

// traceScript is the session that the golden trace shows.
var traceScript = []string{
	"CREATE DATABASE d", "USE d",
	"CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))", "CREATE TABLE skipped (id INT PRIMARY KEY)", "CREATE TABLE m (id INT) ENGINE=MyISAM",
	"INSERT INTO t VALUES (1,'one'),(2,'two')",
	"BEGIN", "UPDATE t SET name='TWO' WHERE id=2", "INSERT INTO skipped VALUES (1),(2)", "SAVEPOINT a", "DELETE FROM t", "ROLLBACK TO a", "INSERT INTO t VALUES (3,NULL)", "COMMIT",
	"BEGIN", "INSERT INTO t VALUES (4,'gone')", "ROLLBACK",
	"INSERT INTO m VALUES (5)",
	"INSERT INTO skipped VALUES (9)",
	"CREATE TABLE copy AS SELECT id FROM t",
	"ALTER TABLE t ADD COLUMN extra JSON FIRST",
	"UPDATE t SET extra='{\"a\": [1, 2.5]}', id=30 WHERE id=3",
	"FLUSH BINARY LOGS",
	"SET SESSION binlog_transaction_compression=ON", "BEGIN", "INSERT INTO t VALUES (NULL,6,'six')", "SAVEPOINT b", "DELETE FROM t WHERE id=1", "COMMIT", "SET SESSION binlog_transaction_compression=OFF",
	"SET gtid_next='AUTOMATIC:tag'", "INSERT INTO t VALUES (NULL,7,'seven')", "SET gtid_next='AUTOMATIC'",
	"SET SESSION binlog_rows_query_log_events=ON", "DELETE FROM t WHERE id=7", "SET SESSION binlog_rows_query_log_events=OFF",
	"TRUNCATE skipped",
	"CREATE USER somebody", "GRANT SELECT ON d.* TO somebody",
	"SET GLOBAL binlog_checksum=NONE", "INSERT INTO t VALUES (NULL,8,'eight')", "SET GLOBAL binlog_checksum=CRC32", "INSERT INTO t VALUES (NULL,9,'nine')",
	"TRUNCATE t",
	"ALTER TABLE t ENGINE=BLACKHOLE",
}

func TestTrace_OfAScriptedSession(t *testing.T) {
	t.Parallel()
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, traceScript...)
	r := &tracer{uuid: server.Query(t, "SELECT @@server_uuid")[0][0]}
	o := Options{Shard: "00", Host: server.Host, Port: uint16(server.Port), User: server.ReplUser, Password: server.ReplPassword,
		Filter: func(db, table string) bool { return db == "d" && table != "skipped" }}
	reader, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	from := &Position{Flavor: MySQL, ServerUUID: r.uuid, GTID: &GTIDSet{}}
	d, err := reader.startDump(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer d.c.close()
	m := newMachine(reader.o, false, from, r)
	for {
		ev, err := d.next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.kind == evHeartbeat || ev.kind == evHeartbeatV2 {
			t.Fatal("the session ended without the stop at its end")
		}
		r.line("%v", ev.kind)
		if err := m.event(ev, time.Unix(0, 0)); err != nil {
			text, _, _ := strings.Cut(err.Error(), ":")
			_, reason, _ := strings.Cut(err.Error(), ": ")
			_, reason, _ = strings.Cut(reason, ": ")
			r.line("%s: %s", text, reason)
			break
		}
	}
	golden := filepath.Join("testdata", "trace", "session.txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(r.b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.b.String(); got != string(want) {
		t.Errorf("the trace differs from %s (run with -update to accept):\n%s", golden, got)
	}
}
