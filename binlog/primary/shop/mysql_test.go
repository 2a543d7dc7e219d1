package shop

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/testenv"
)

// mysqlTarget executes the workload on a real server, in one session.
type mysqlTarget struct{ conn *sql.Conn }

func (m *mysqlTarget) run(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := m.conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.200s: %w", s, err)
		}
	}
	return nil
}

func (m *mysqlTarget) CreateTable(ctx context.Context, t *encode.Table) error {
	return m.run(ctx, CreateSQL(t)...)
}

func (m *mysqlTarget) AddColumn(ctx context.Context, t *encode.Table, c encode.Column) error {
	return m.run(ctx, AddColumnSQL(t, c))
}

func (m *mysqlTarget) Apply(ctx context.Context, tx *Tx) error { return m.run(ctx, TxSQL(tx)...) }

// contents reads all tables of the shard.
func contents(t *testing.T, db *sql.DB, s *Shard) map[string][][]string {
	t.Helper()
	out := map[string][][]string{}
	for _, table := range s.Tables() {
		rows, err := db.QueryContext(t.Context(), fmt.Sprintf("SELECT * FROM `%s`.`%s` ORDER BY id", table.Database, table.Name))
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			cells := make([]sql.NullString, len(table.Columns))
			into := make([]any, len(cells))
			for i := range cells {
				into[i] = &cells[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			var row []string
			for _, c := range cells {
				row = append(row, fmt.Sprint(c.Valid, " ", c.String))
			}
			out[table.Name] = append(out[table.Name], row)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
	}
	return out
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestTarget_PrimaryAndMySQLEndWithTheSameRows(t *testing.T) {
	real := testenv.MySQL(t, 1)[0]
	dsn := fmt.Sprintf("%s:%s@tcp(%s:%d)/?time_zone=%%27%%2B00%%3A00%%27", real.User, real.Password, real.Host, real.Port)
	realDB := open(t, dsn)
	conn, err := realDB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	servers, ids, targets := startPrimaries(t, 1)
	now := time.Now()
	var shards []*Shard
	for _, target := range []Target{&mysqlTarget{conn}, targets[0]} {
		w, err := New(Options{Seed: 5, HistoryTxs: 300, Now: func() time.Time { return now }}, ids, []Target{target})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := newScript(w, 0).alter(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := now.UnixMicro()
		for range 100 {
			tx, err := w.shards[0].Next(at)
			if err := w.apply(t.Context(), target, tx, err); err != nil {
				t.Fatal(err)
			}
			at++
		}
		shards = append(shards, w.shards[0])
	}
	want := contents(t, realDB, shards[0])
	got := contents(t, open(t, "root@tcp("+servers[0].Addr()+")/"), shards[1])
	if len(want["customers"]) != customersPerShard || len(want["orders_1"]) == 0 {
		t.Fatalf("MySQL holds %d customers and %d orders_1", len(want["customers"]), len(want["orders_1"]))
	}
	for name := range want {
		if len(got[name]) != len(want[name]) {
			t.Errorf("%s: got %d rows, MySQL has %d", name, len(got[name]), len(want[name]))
			continue
		}
		for i := range want[name] {
			if !reflect.DeepEqual(got[name][i], want[name][i]) {
				t.Fatalf("%s:\ngot   %v\nMySQL %v", name, got[name][i], want[name][i])
			}
		}
	}
}

func TestLog_MysqlbinlogReadsIt(t *testing.T) {
	for name, opts := range map[string]primary.Options{"plain": {}, "compressed": {Compress: true}, "unchecked": {NoChecksum: true}} {
		t.Run(name, func(t *testing.T) {
			opts.Dir = t.TempDir()
			s, err := primary.Start(opts)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ledger := NewLedger()
			w, err := New(Options{Seed: 2, Ledger: ledger}, []string{"00"}, []Target{OnPrimary(s)})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Rotate()
			text := mysqlbinlog(t, "--verify-binlog-checksum", "-vv", filepath.Join(opts.Dir, "binlog.000001"))
			rows := strings.Count(text, "\n### INSERT INTO") + strings.Count(text, "\n### UPDATE") + strings.Count(text, "\n### DELETE FROM")
			if int64(rows) != ledger.Rows() {
				t.Errorf("mysqlbinlog prints %d row changes, the ledger has %d", rows, ledger.Rows())
			}
			if !strings.Contains(text, `"ship": {"city": `) {
				t.Error("mysqlbinlog prints no JSON document")
			}
		})
	}
}

// mysqlbinlog runs MySQL's own reader of logs.
func mysqlbinlog(t *testing.T, args ...string) string {
	t.Helper()
	script := filepath.Join(testenv.Root(t), "deploy", "dev", "mysql-client")
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, script, append([]string{"--run", "mysqlbinlog"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("mysqlbinlog: %v\n%s", err, stderr.String())
	}
	return stdout.String()
}
