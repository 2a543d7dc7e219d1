package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/sinks/redis"
)

// oscRows are the rows of the table before its first schema change.
const oscRows = 1500

// osc is a table whose schema real tools change while it is written to and
// followed. It is in two views: by its name, and by a pattern that fits every
// table of the database.
type osc struct {
	t     *testing.T
	dir   string
	mysql *testenv.Server
	redis *testenv.Server
	load  *oscLoad
	// cutOvers counts the copies that were put in place of the table.
	cutOvers int
}

func (o *osc) config() string {
	return oneShard("osc", o.mysql) + fmt.Sprintf(`tables:
  one: { from: { source: shop, schema: d, table: items }, key: [shard, id] }
  every: { from: { source: shop, schema: d, table: "{name:.*}" }, key: [shard, name, id] }
views:
  one: { from: one }
  every: { from: every, select: { name: name, "*": "*" } }
windows:
  store: { type: redis, url: "redis://%s/0" }
  metrics:
    rows_now: { view: one, rows: latest, time: due, value: count(), group_by: [city], size: 10m }
    changes: { view: every, value: count(), group_by: [name], size: 10m }
lake: { url: "file://./lake", file: { roll_every: 1s } }
stream: { partitions: 4 }
http: { listen: "127.0.0.1:0" }
limits: { memory: 256MiB }
`, o.redis.Addr)
}

// TestHazard_A57_RealOnlineSchemaChangesUnderLoad has gh-ost and
// pt-online-schema-change change a table that is written to all the time. Each
// does so twice in a row and is killed once in the middle, with its tables (and
// triggers) left behind; gh-ost takes one change back.
func TestHazard_A57_RealOnlineSchemaChangesUnderLoad(t *testing.T) {
	o := &osc{t: t, dir: workDir(t), mysql: testenv.MySQL(t, 1, "--performance-schema=ON")[0], redis: testenv.Redis(t)}
	o.mysql.Exec(t, "SET GLOBAL time_zone = '+00:00'", "CREATE DATABASE d", "CREATE TABLE d.plain (id INT PRIMARY KEY, city VARCHAR(20))",
		"CREATE TABLE d.items (id INT AUTO_INCREMENT PRIMARY KEY, city VARCHAR(20) NOT NULL, amount DECIMAL(12,2) NOT NULL, due DATETIME NOT NULL, due_text VARCHAR(20) NOT NULL DEFAULT 'soon', KEY (city))")
	p := newProgram(t, o.dir, o.config())
	l := p.start()
	l.streaming("00")
	o.load = startOSCLoad(o)

	o.ghost("--alter", "ADD COLUMN taken_back INT NOT NULL DEFAULT 5 AFTER id", "--checkpoint", "--checkpoint-seconds=10")
	o.set("taken_back = id")
	o.ghost("--revert", "--old-table=_items_del", "--ok-to-drop-table", "--checkpoint")

	gone := o.ghostStart("--alter", "ADD COLUMN never INT", "--postpone-cut-over-flag-file", o.file("postpone", true))
	o.filled("_items_gho")
	l.kill() // wherever it stands in the copies
	o.abort(gone)
	l = p.start()
	l.streaming("00")

	o.ghost("--alter", "ADD COLUMN note VARCHAR(20) NOT NULL DEFAULT 'new' AFTER id", "--initially-drop-ghost-table", "--timestamp-old-table")
	o.set("note = CONCAT('note ', id)")
	o.ghost("--alter", "ADD COLUMN qty INT UNSIGNED NOT NULL DEFAULT 4294967295 FIRST", "--ok-to-drop-table")
	o.set("qty = id")

	gone = o.toolkitStart("ADD COLUMN never INT", "--sleep=1")
	o.filled("_items_new")
	o.abort(gone)
	o.load.more(50) // through the triggers that were left behind
	o.mysql.Exec(t, "DROP TRIGGER d.pt_osc_d_items_del", "DROP TRIGGER d.pt_osc_d_items_upd", "DROP TRIGGER d.pt_osc_d_items_ins")
	o.toolkit("ADD COLUMN place VARCHAR(20) NOT NULL DEFAULT 'here' AFTER city")
	o.set("place = CONCAT('place ', id)")
	o.toolkit("ADD COLUMN seen TIMESTAMP(3) NULL, DROP COLUMN due_text")
	o.set("seen = '2026-11-20 10:10:10.123'")
	o.finish(l, p)
}

// file is the path of a file of the test's folder, made if it should be there.
func (o *osc) file(name string, there bool) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if there {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
	return path
}

// oscRun is a tool that runs, with all that it says in a file.
type oscRun struct {
	cmd *exec.Cmd
	log string
	// done is closed when it has ended, with err.
	done chan struct{}
	err  error
}

// start starts a tool; it ends with the test.
func (o *osc) start(tool string, args ...string) *oscRun {
	o.t.Helper()
	log, err := os.CreateTemp(o.dir, tool+"-*.log")
	if err != nil {
		o.t.Fatal(err)
	}
	defer log.Close()
	r := &oscRun{cmd: testenv.SchemaChange(o.t, tool, args...), log: log.Name(), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.done)
	}()
	o.t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	return r
}

// succeeded wants a tool to end well, and the load to go on behind it.
func (o *osc) succeeded(r *oscRun) {
	o.t.Helper()
	select {
	case <-r.done:
	case <-time.After(2 * time.Minute):
		o.t.Fatalf("the tool has not ended after two minutes; see %s", r.log)
	}
	if r.err != nil {
		said, _ := os.ReadFile(r.log)
		o.t.Fatalf("%v: %v\n%s", r.cmd.Args, r.err, said[max(0, len(said)-2000):])
	}
	o.cutOvers++
	o.load.more(50)
}

// abort kills a tool as kill -9 does; it must not have been through.
func (o *osc) abort(r *oscRun) {
	o.t.Helper()
	select {
	case <-r.done:
		o.t.Fatalf("%v ended before it was killed: %v; see %s", r.cmd.Args, r.err, r.log)
	default:
	}
	_ = r.cmd.Process.Kill()
	<-r.done
	o.load.more(50)
}

// filled waits until a tool has copied rows into its table.
func (o *osc) filled(table string) {
	o.t.Helper()
	testenv.Wait(o.t, time.Minute, "rows in "+table, func() error {
		var n int
		err := o.mysql.DB(o.t).QueryRowContext(o.t.Context(), "SELECT COUNT(*) FROM d."+table).Scan(&n)
		if err == nil && n < 100 {
			err = fmt.Errorf("it has %d", n)
		}
		return err
	})
}

func (o *osc) ghostStart(args ...string) *oscRun {
	o.t.Helper()
	return o.start("gh-ost", append([]string{
		"--host=127.0.0.1", fmt.Sprint("--port=", o.mysql.Port), "--user=" + o.mysql.User, "--password=" + o.mysql.Password,
		"--database=d", "--table=items", "--allow-on-master", "--chunk-size=100", "--serve-socket-file=" + o.file("gh-ost.sock", false),
		"--initially-drop-socket-file", "--throttle-additional-flag-file=" + o.file("throttle", false), "--execute",
	}, args...)...)
}

// ghost has gh-ost change the table's schema.
func (o *osc) ghost(args ...string) {
	o.t.Helper()
	o.succeeded(o.ghostStart(args...))
}

func (o *osc) toolkitStart(alter string, args ...string) *oscRun {
	o.t.Helper()
	dsn := fmt.Sprintf("h=127.0.0.1,P=%d,u=%s,p=%s,D=d,t=items", o.mysql.Port, o.mysql.User, o.mysql.Password)
	// How many rows there are it finds out by EXPLAIN, in the form of MySQL 8; it
	// copies a table of few rows in one go.
	o.mysql.Exec(o.t, "ANALYZE TABLE d.items")
	return o.start("pt-online-schema-change", append([]string{
		"--execute", "--alter", alter, "--recursion-method=none", "--set-vars=explain_format='TRADITIONAL'", "--no-version-check", "--chunk-size=50", dsn,
	}, args...)...)
}

// toolkit has pt-online-schema-change change the table's schema.
func (o *osc) toolkit(alter string) {
	o.t.Helper()
	o.succeeded(o.toolkitStart(alter))
}

// set gives a third of the rows another value.
func (o *osc) set(assignment string) {
	o.t.Helper()
	if err := oscExec(o.t.Context(), o.mysql.DB(o.t), "UPDATE d.items SET "+assignment+" WHERE id % 3 = 0"); err != nil {
		o.t.Fatal(err)
	}
}

// oscExec executes a statement, again where it was the victim of a deadlock or of
// a lock that was held too long: the tools make both.
func oscExec(ctx context.Context, db *sql.DB, statement string) error {
	for {
		_, err := db.ExecContext(ctx, statement)
		var refused *mysql.MySQLError
		if !errors.As(err, &refused) || refused.Number != 1213 && refused.Number != 1205 {
			return err
		}
	}
}

// oscLoad writes to the table until it is told to stop.
type oscLoad struct {
	t       *testing.T
	written atomic.Int64
	cancel  context.CancelFunc
	ended   chan error
}

// oscWriters are the sessions that write at once.
const oscWriters = 2

// startOSCLoad fills the table and goes on to change it.
func startOSCLoad(o *osc) *oscLoad {
	o.t.Helper()
	var rows []string
	// Rows are dated ahead: windows that begin before the stream are not kept.
	base := time.Now().UTC().Add(time.Hour).Truncate(time.Hour)
	for i := range oscRows {
		rows = append(rows, fmt.Sprintf("('Pune', %d.25, '%s')", i, base.Add(time.Duration(i)*time.Second).Format(time.DateTime)))
	}
	o.mysql.Exec(o.t, "INSERT INTO d.items (city, amount, due) VALUES "+strings.Join(rows, ","))
	ctx, cancel := context.WithCancel(context.Background())
	l := &oscLoad{t: o.t, cancel: cancel, ended: make(chan error, oscWriters)}
	db := o.mysql.DB(o.t)
	for w := range oscWriters {
		go func() { l.ended <- l.write(ctx, db, rand.New(rand.NewPCG(57, uint64(w))), base) }()
	}
	o.t.Cleanup(cancel)
	return l
}

// write makes random changes, one every few milliseconds: a tool that cannot
// keep up with a server that does nothing else would never end.
func (l *oscLoad) write(ctx context.Context, db *sql.DB, rng *rand.Rand, base time.Time) error {
	tick := time.NewTicker(6 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		id, city := 1+rng.IntN(2*oscRows), []string{"Pune", "Goa", "Köln"}[rng.IntN(3)]
		due := base.Add(time.Duration(rng.IntN(3600)) * time.Second).Format(time.DateTime)
		statement := []string{
			fmt.Sprintf("INSERT INTO d.items (city, amount, due) VALUES ('%s', %d.5, '%s'), ('%s', 0.01, '%s')", city, id, due, city, due),
			fmt.Sprintf("INSERT INTO d.items (id, city, amount, due) VALUES (%d, '%s', 1, '%s') ON DUPLICATE KEY UPDATE city = VALUES(city), due = VALUES(due)", id, city, due),
			fmt.Sprintf("UPDATE d.items SET city = '%s', amount = amount + 1 WHERE id BETWEEN %d AND %d", city, id, id+3),
			fmt.Sprintf("DELETE FROM d.items WHERE id = %d", id),
			fmt.Sprintf("UPDATE IGNORE d.items SET id = id + 7 WHERE id = %d", id),
		}[rng.IntN(5)]
		// A statement that was begun is ended: what it did is known.
		if err := oscExec(context.WithoutCancel(ctx), db, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
		l.written.Add(1)
	}
}

// more waits until n more statements have been executed.
func (l *oscLoad) more(n int64) {
	l.t.Helper()
	want := l.written.Load() + n
	testenv.Wait(l.t, time.Minute, fmt.Sprintf("%d more statements", n), func() error {
		if have := l.written.Load(); have < want {
			return fmt.Errorf("%d are missing", want-have)
		}
		return nil
	})
}

// rest ends the load; none of its statements may have failed.
func (l *oscLoad) rest() {
	l.t.Helper()
	l.cancel()
	for range oscWriters {
		if err := <-l.ended; err != nil {
			l.t.Errorf("the load: %v", err)
		}
	}
}

// selected are the rows of the table, the columns of each joined.
func (o *osc) selected(columns ...string) []string {
	o.t.Helper()
	var out []string
	for _, r := range o.mysql.Query(o.t, "SELECT CONCAT_WS('|', "+strings.Join(columns, ", ")+") FROM d.items") {
		out = append(out, r[0])
	}
	slices.Sort(out)
	return out
}

// finish holds what came of the table against the table. Rows that a tool has
// copied have the new columns' defaults without an event that says so; hence it
// compares the columns of old first, and all of them when every row has changed.
func (o *osc) finish(l *life, p *program) {
	o.t.Helper()
	o.load.rest()
	old, all := []string{"id", "city", "amount", "due"}, []string{"qty", "id", "note", "city", "place", "amount", "due", "seen"}
	before := o.selected(old...)
	executed := o.mysql.Query(o.t, "SELECT @@GLOBAL.gtid_executed")[0][0]
	o.mysql.Exec(o.t, "UPDATE d.items SET amount = amount + 0.5")
	touch := lacking(o.t, o.mysql, executed)
	// A table whose rows do go, to know that it would be told.
	o.mysql.Exec(o.t, "INSERT INTO d.plain VALUES (1, 'Pune')", "TRUNCATE d.plain")
	l.caughtUp(time.Minute, map[string]*testenv.Server{"00": o.mysql})
	l.published()
	st, err := l.status()
	if err != nil || st.Shards[0].Error != "" || st.Shards[0].Shadows < oscRows {
		o.t.Errorf("status: %+v, %v, want no error and the rows of copies counted", st, err)
	}
	testenv.Wait(o.t, time.Minute, "verify to find no difference", func() error {
		code, stdout, stderr := tailwater(o.t, 2*time.Minute, "verify", p.config)
		if code != 0 {
			return fmt.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
		}
		return nil
	})
	o.windows()
	l.drain()
	o.swapsLogged()

	for _, view := range []string{"one", "every"} {
		if got := o.folded(view, fmt.Sprintf("_gtid <> '%s'", touch), old...); !slices.Equal(got, before) {
			o.t.Errorf("%s: of %v: %s", view, old, oscDifference(got, before))
		}
		if got, want := o.folded(view, "true", all...), o.selected(all...); len(want) < oscRows/4 || !slices.Equal(got, want) {
			o.t.Errorf("%s: of %v: %s", view, all, oscDifference(got, want))
		}
		o.schemas(view)
	}
	o.told()
}

// lake is the SQL of a view's events.
func (o *osc) lake(view string) string {
	return fmt.Sprintf("CREATE VIEW events AS SELECT * FROM read_parquet('%s/lake/%s/**/*.parquet', union_by_name=true);\n", o.dir, view)
}

// folded are the rows of the table by those events of a view that are taken.
func (o *osc) folded(view, taken string, columns ...string) []string {
	o.t.Helper()
	text := make([]string, len(columns))
	for i, c := range columns {
		text[i] = c + "::VARCHAR"
		if c == "seen" {
			text[i] = "strftime(seen, '%Y-%m-%d %H:%M:%S.%g')"
		}
	}
	var out []string
	for _, r := range testenv.DuckDB(o.t, o.lake(view)+fmt.Sprintf(`SELECT concat_ws('|', %s) AS r FROM (
		SELECT *, row_number() OVER (PARTITION BY id ORDER BY _lsn DESC) AS nth FROM events WHERE _table = 'items' AND %s
	) WHERE nth = 1 AND _op <> 'd';`, strings.Join(text, ", "), taken)) {
		out = append(out, fmt.Sprint(r["r"]))
	}
	slices.Sort(out)
	return out
}

// schemas wants the table to have another schema behind each cut-over, and at no
// other place.
func (o *osc) schemas(view string) {
	o.t.Helper()
	var schemas []string
	for _, r := range testenv.DuckDB(o.t, o.lake(view)+"SELECT _schema AS s FROM events WHERE _table = 'items' ORDER BY _lsn;") {
		schemas = append(schemas, fmt.Sprint(r["s"]))
	}
	schemas = slices.Compact(schemas)
	if len(schemas) != o.cutOvers+1 || schemas[0] != schemas[2] {
		o.t.Errorf("%s: the schemas are %q one after the other, want %d, the third the first again", view, schemas, o.cutOvers+1)
	}
}

// told wants no table in the lake but those that are no copies, and nothing that
// happened to one as a whole but what did.
func (o *osc) told() {
	o.t.Helper()
	for view, want := range map[string]string{"one": "items", "every": "items plain plain:truncate"} {
		ddl := "NULL"
		if view == "every" {
			ddl = "_ddl" // there since the first such event
		}
		var got []string
		for _, r := range testenv.DuckDB(o.t, o.lake(view)+fmt.Sprintf("SELECT DISTINCT _table || CASE _op WHEN 't' THEN ':' || coalesce(%s, '') ELSE '' END AS t FROM events ORDER BY 1;", ddl)) {
			got = append(got, fmt.Sprint(r["t"]))
		}
		if strings.Join(got, " ") != want {
			o.t.Errorf("%s has the tables and their events %q, want %q", view, got, want)
		}
	}
}

// windows wants no window to be marked, and none to count a copy's rows.
func (o *osc) windows() {
	o.t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: o.redis.Addr})
	defer client.Close()
	keys, err := client.Keys(o.t.Context(), "tw:{rows_now}:meta:*").Result()
	if err != nil || len(keys) == 0 {
		o.t.Errorf("windows of rows_now: %v, %v", keys, err)
	}
	for _, key := range keys {
		if client.HGet(o.t.Context(), key, "stale").Val() != "" {
			o.t.Errorf("%s is marked stale, and no row has gone", key)
		}
	}
	store, err := redis.Open(redis.Options{URL: "redis://" + o.redis.Addr + "/0"})
	if err != nil {
		o.t.Fatal(err)
	}
	defer store.Close()
	values, err := stored(o.t.Context(), store, "changes")
	if err != nil || len(values) == 0 {
		o.t.Errorf("windows of changes: %v, %v", values, err)
	}
	for group := range values {
		if !strings.HasSuffix(group, ` ["items"]`) && !strings.HasSuffix(group, ` ["plain"]`) {
			o.t.Errorf("changes counts the group %s", group)
		}
	}
}

// swapsLogged wants the reader to have said of each cut-over that rows go on.
func (o *osc) swapsLogged() {
	o.t.Helper()
	logs, err := filepath.Glob(filepath.Join(o.dir, "run-*.log"))
	if err != nil {
		o.t.Fatal(err)
	}
	swaps := map[string]bool{}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			o.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var said struct{ Msg, Table, Transaction string }
			if json.Unmarshal([]byte(line), &said) == nil && strings.HasPrefix(said.Msg, "an online schema change") && said.Table == "d.items" {
				swaps[said.Transaction] = true
			}
		}
	}
	if len(swaps) != o.cutOvers {
		o.t.Errorf("the reader has logged %d swaps, want %d", len(swaps), o.cutOvers)
	}
}

// oscDifference tells where two lists of rows differ.
func oscDifference(got, want []string) string {
	var lacks, extra []string
	for _, r := range want {
		if _, ok := slices.BinarySearch(got, r); !ok {
			lacks = append(lacks, r)
		}
	}
	for _, r := range got {
		if _, ok := slices.BinarySearch(want, r); !ok {
			extra = append(extra, r)
		}
	}
	return fmt.Sprintf("%d rows for %d; %d are missing, such as %q, and %d too many, such as %q",
		len(got), len(want), len(lacks), lacks[:min(3, len(lacks))], len(extra), extra[:min(3, len(extra))])
}
