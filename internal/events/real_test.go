package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/internal/config"
	"tailwater/internal/testenv"
)

// runOn runs on a real server, as its replication account.
func runOn(t *testing.T, s *testenv.Server, edit func(o *Options)) ran {
	t.Helper()
	r := &rig{T: t}
	return r.runWith(t.Context(), optionsOf(t, s), edit)
}

func optionsOf(t *testing.T, s *testenv.Server) Options {
	t.Helper()
	src, err := config.ServerURL(fmt.Sprintf("%s://%s:%s@%s", s.Kind, s.ReplUser, s.ReplPassword, s.Addr), nil)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Source: src, Shard: src.Shards[0], Start: "earliest", UntilNow: true}
}

// prepare makes tables with and without a key, and rows that come, change and go.
func prepare(t *testing.T, s *testenv.Server) {
	t.Helper()
	s.Exec(t, "CREATE DATABASE shop", "USE shop",
		`CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, status ENUM('new','paid'), amount DECIMAL(12,2), note VARCHAR(100) CHARACTER SET latin1,
			at DATETIME(3), raw VARBINARY(10), small TINYINT, f DOUBLE)`,
		"CREATE TABLE log (t TEXT, n INT)",
		"INSERT INTO orders VALUES (1,'new',12.50,'h\u00e9 \"x\"','2026-11-20 10:10:10.123','ab',-1,0.1),(18446744073709551615,NULL,NULL,NULL,NULL,NULL,NULL,NULL),(3,'new',-0.01,'',NULL,'',127,-1e100)",
		"UPDATE orders SET status='paid', small=NULL WHERE id=1", "UPDATE orders SET id=4 WHERE id=3", "DELETE FROM orders WHERE status IS NULL",
		"INSERT INTO log VALUES ('a',1),('b',2)", "UPDATE log SET n=n+10", "INSERT INTO orders (id,note) VALUES (7,'last')")
}

// fold applies lines to the table orders, as somebody's script would.
func fold(t *testing.T, lines []string) map[string]map[string]any {
	t.Helper()
	rows := map[string]map[string]any{}
	for _, l := range lines {
		d := json.NewDecoder(strings.NewReader(l))
		d.UseNumber()
		var e map[string]any
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		if e["_table"] != "orders" {
			continue
		}
		id := fmt.Sprint(e["id"])
		if e["_op"] == "d" {
			delete(rows, id)
			continue
		}
		rows[id] = e
	}
	return rows
}

// wantRows compares what the lines come to with what the server selects.
func wantRows(t *testing.T, s *testenv.Server, lines []string) {
	t.Helper()
	columns := []string{"id", "status", "amount", "note", "at", "raw", "small", "f"}
	got := fold(t, lines)
	var ids []string
	for _, row := range s.Query(t, "SELECT id, status, amount, note, at, REPLACE(TO_BASE64(raw),'\n',''), small, f FROM shop.orders") {
		ids = append(ids, row[0])
		for i, name := range columns {
			text := fmt.Sprint(got[row[0]][name])
			if got[row[0]][name] == nil {
				text = "NULL"
			}
			// The client writes an exponent with its sign.
			if text != strings.Replace(row[i], "e+", "e", 1) {
				t.Errorf("row %s: %s is %q, and SELECT says %q", row[0], name, text, row[i])
			}
		}
	}
	slices.Sort(ids)
	if have := slices.Sorted(maps.Keys(got)); !slices.Equal(have, ids) {
		t.Errorf("the lines come to the rows %v, and SELECT says %v", have, ids)
	}
}

func TestRealMySQL_LinesComeToWhatSELECTSays(t *testing.T) {
	s := testenv.MySQL(t, 1)[0]
	prepare(t, s)
	got := runOn(t, s, nil)
	if got.err != nil {
		t.Fatal(got.err)
	}
	wantRows(t, s, got.lines)
	checkLog(t, got)

	executed := s.Query(t, "SELECT REPLACE(@@gtid_executed,'\n','')")[0][0]
	if got.Next != "gtid:"+executed {
		t.Errorf("the next start is %s, want all of %s", got.Next, executed)
	}
	s.Exec(t, "INSERT INTO shop.orders (id) VALUES (100)")
	more := runOn(t, s, func(o *Options) { o.Start = got.Next })
	if more.err != nil || more.ids() != "orders:c100" {
		t.Errorf("going on: got %q and %v, want the one row", more.ids(), more.err)
	}
	all := runOn(t, s, func(o *Options) { o.UntilNow, o.UntilGTID = false, executed })
	if all.err != nil || !slices.Equal(all.lines, got.lines) {
		t.Errorf("up to %s: got %d lines and %v, want the first %d", executed, len(all.lines), all.err, len(got.lines))
	}
	byFile := runOn(t, s, func(o *Options) { o.Position, o.Tables = "file", []string{"shop.o*"} })
	if byFile.err != nil {
		t.Error(byFile.err)
	}
	wantRows(t, s, byFile.lines)
	overTLS(t, s)
	busy(t, s)
	missingGrants(t, s)
}

// checkLog looks at the table without a key.
func checkLog(t *testing.T, got ran) {
	t.Helper()
	var updates int
	for _, l := range got.lines {
		if field(l, `"_table":"`, `"`) == "log" && field(l, `"_op":"`, `"`) == "u" {
			updates++
			if !strings.Contains(l, `"_old":{"n":`) {
				t.Errorf("an update has no old value: %s", l)
			}
		}
	}
	if updates != 2 {
		t.Errorf("the table without a key has %d updates, want 2", updates)
	}
}

// missingGrants connects as an account that may not replicate.
func missingGrants(t *testing.T, s *testenv.Server) {
	t.Helper()
	s.Exec(t, "CREATE USER nobody@'%' IDENTIFIED BY 'hunter2'")
	got := runOn(t, s, func(o *Options) { o.Shard.User, o.Shard.Password = "nobody", config.NewSecret("hunter2") })
	var unreachable *UnreachableError
	if !errors.As(got.err, &unreachable) || !strings.Contains(got.err.Error(), "GRANT REPLICATION SLAVE") || strings.Contains(got.err.Error(), "hunter2") {
		t.Errorf("without grants: got %v, want what to grant", got.err)
	}
}

func TestRealMariaDB_LinesComeToWhatSELECTSays(t *testing.T) {
	for _, series := range []string{"11.8", "10.11"} {
		t.Run(series, func(t *testing.T) {
			s := testenv.MariaDBs(t, series, 1)[0]
			prepare(t, s)
			got := runOn(t, s, nil)
			if got.err != nil {
				t.Fatal(got.err)
			}
			wantRows(t, s, got.lines)
			checkLog(t, got)
			twoDomains(t, s, got)
			generated(t, s)
			busy(t, s)
			missingGrants(t, s)
		})
	}
}

// twoDomains writes two domains and waits for both.
func twoDomains(t *testing.T, s *testenv.Server, before ran) {
	t.Helper()
	s.Exec(t, "SET SESSION gtid_domain_id=7", "INSERT INTO shop.orders (id) VALUES (701)", "SET SESSION gtid_domain_id=0", "INSERT INTO shop.orders (id) VALUES (11)")
	position := s.Query(t, "SELECT @@gtid_binlog_pos")[0][0]
	s.Exec(t, "SET SESSION gtid_domain_id=7", "INSERT INTO shop.orders (id) VALUES (702)", "SET SESSION gtid_domain_id=0", "INSERT INTO shop.orders (id) VALUES (12)")
	for what, start := range map[string]string{"from the beginning": "earliest", "going on": before.Next} {
		got := runOn(t, s, func(o *Options) { o.Start, o.UntilNow, o.UntilGTID = start, false, position })
		if got.err != nil || !strings.HasSuffix(got.ids(), "orders:c701 orders:c11") {
			t.Errorf("%s up to %s: got %q and %v, want both domains", what, position, got.ids(), got.err)
		}
	}
	got := runOn(t, s, func(o *Options) { o.Start, o.UntilNow, o.UntilGTID = "gtid:"+position, false, position })
	if got.err != nil || len(got.lines) != 0 {
		t.Errorf("what lies before the start: got %q and %v, want nothing", got.lines, got.err)
	}
	got = runOn(t, s, func(o *Options) { o.Start = "gtid:" + position })
	if got.err != nil || got.ids() != "orders:c702 orders:c12" {
		t.Errorf("the rest: got %q and %v, want a row of each domain", got.ids(), got.err)
	}
}

// generated has a column that the server leaves out of the images of updates.
func generated(t *testing.T, s *testenv.Server) {
	t.Helper()
	from := runOn(t, s, func(o *Options) { o.Start = "latest" }).Next
	s.Exec(t, "CREATE TABLE shop.sums (id INT PRIMARY KEY, a INT, b INT AS (a+1) VIRTUAL)", "INSERT INTO shop.sums (id,a) VALUES (1,1)", "UPDATE shop.sums SET a=2")
	run := func(edit func(o *Options)) ran {
		return runOn(t, s, func(o *Options) {
			o.Start = from
			edit(o)
		})
	}
	got := run(func(*Options) {})
	// 10.11 logs it.
	if logged := strings.HasPrefix(s.Version, "10.11"); logged != (got.err == nil) || !logged && !strings.Contains(got.err.Error(), "--drop 'shop.sums.") {
		t.Errorf("a generated column: got %q and %v, want the way out", got.lines, got.err)
	}
	got = run(func(o *Options) { o.Drop = []string{"shop.sums.b"} })
	if got.err != nil || got.ids() != "sums:c1 sums:u1" {
		t.Errorf("without the generated column: got %q and %v, want both changes", got.ids(), got.err)
	}
}

// busy ends a run on a server that never rests, with all that was there before.
func busy(t *testing.T, s *testenv.Server) {
	t.Helper()
	s.Exec(t, "CREATE TABLE shop.ticks (id INT PRIMARY KEY AUTO_INCREMENT)")
	db, stop, done := s.DB(t), make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if _, err := db.ExecContext(t.Context(), "INSERT INTO shop.ticks VALUES ()"); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	testenv.Wait(t, 30*time.Second, "fifty rows", func() error {
		if n := s.Query(t, "SELECT COUNT(*)>50 FROM shop.ticks")[0][0]; n != "1" {
			return errors.New("there are fewer")
		}
		return nil
	})
	var before, after int
	fmt.Sscan(s.Query(t, "SELECT COUNT(*) FROM shop.ticks")[0][0], &before)
	got := runOn(t, s, func(o *Options) { o.Tables = []string{"shop.ticks"} })
	fmt.Sscan(s.Query(t, "SELECT COUNT(*) FROM shop.ticks")[0][0], &after)
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(got.lines); got.err != nil || n < before || n > after {
		t.Errorf("busy: got %d rows and %v, want %d to %d", n, got.err, before, after)
	}
}

// overTLS asks for the server's certificate, by its authority and by its name,
// which it does not carry.
func overTLS(t *testing.T, s *testenv.Server) {
	t.Helper()
	run := func(mode string) ran {
		return runOn(t, s, func(o *Options) {
			var err error
			if o.Shard.TLS, err = o.Shard.Protect(config.TLS{Mode: mode, CA: s.CA}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if got := run("verify-ca"); got.err != nil || len(got.lines) == 0 {
		t.Errorf("verify-ca: got %d lines and %v, want the rows", len(got.lines), got.err)
	}
	var unreachable *UnreachableError
	if got := run("auto"); !errors.As(got.err, &unreachable) || !strings.Contains(got.err.Error(), "certificate") {
		t.Errorf("with an authority, auto checks the name too: got %v", got.err)
	}
}
