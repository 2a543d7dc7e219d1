package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
)

// tablesPartitions are the partitions of the topic.
const tablesPartitions = 4

// oneShard begins the configuration of a pipeline that reads one server.
func oneShard(name string, mysql *testenv.Server) string {
	return fmt.Sprintf(`version: 1
name: %s
state: { dir: ./state }
sources:
  shop:
    server_id: 5400-5499
    heartbeat: { every: 1s, stall_after: 3s }
    connect: { tls: disable, read_timeout: 4s, retry: { min: 100ms, max: 1s } }
    shards: { list: [{ name: "00", host: 127.0.0.1, port: %d, user: repl, password: repl }] }
`, name, mysql.Port)
}

// tablesConfig is a pipeline whose view takes every table of a database, by a
// pattern that the names of shadow tables fit too.
func tablesConfig(mysql, redis *testenv.Server) string {
	return oneShard("tables", mysql) + fmt.Sprintf(`tables: { orders: { from: { source: shop, schema: d, table: "{name:[a-z_]+}" }, key: [shard, name, id] } }
views: { orders: { from: orders, select: { id: id, city: city, due: due, name: name } } }
windows:
  store: { type: redis, url: "redis://%s/0" }
  metrics:
    rows_now: { view: orders, rows: latest, time: due, value: count(), group_by: [name], size: 10m }
    rows_made: { view: orders, rows: inserts, value: count(), group_by: [name], size: 10m }
lake: { url: "file://./lake", file: { roll_every: 1s } }
stream: { partitions: %d }
http: { listen: "127.0.0.1:0" }
limits: { memory: 256MiB }
`, redis.Addr, tablesPartitions)
}

// tablesRound are the statements of round n. Whatever it does to a table, all rows
// of it are known again at the end. The rows are dated ahead of base, for windows
// that begin before the stream are not kept.
func tablesRound(n int, base time.Time) []string {
	insert := func(table string, ids ...int) string {
		var rows []string
		for _, id := range ids {
			rows = append(rows, fmt.Sprintf("(%d, 'Pune', '%s')", 100*n+id, base.Add(time.Duration(id)*time.Minute).Format(time.DateTime)))
		}
		return "INSERT INTO " + table + " (id, city, due) VALUES " + strings.Join(rows, ",")
	}
	swap := func(table, in, away string) []string {
		return []string{
			fmt.Sprintf("CREATE TABLE %s LIKE %s", in, table), fmt.Sprintf("ALTER TABLE %s ADD COLUMN extra_%d INT", in, n),
			fmt.Sprintf("INSERT INTO %s (id, city, due) SELECT id, city, due FROM %s", in, table),
			fmt.Sprintf("RENAME /* tool */ TABLE `d`.`%s` TO `d`.`%s`, `d`.`%s` TO `d`.`%s`", table, away, in, table),
			fmt.Sprintf("DROP TABLE IF EXISTS `d`.`%s`", away), insert(table, 30+len(in)),
		}
	}
	return slices.Concat(
		// TRUNCATE between inserts, and of a table that stays empty.
		[]string{insert("emptied", 1, 2, 3, 4, 5), "TRUNCATE TABLE emptied", insert("emptied", 3, 4), insert("void", 1, 2, 3), "TRUNCATE void"},
		[]string{"PREPARE s FROM 'TRUNCATE TABLE prepared'", insert("prepared", 1, 2), "EXECUTE s", insert("prepared", 2)},
		// DROP, of several tables in one statement.
		[]string{
			"CREATE TABLE dropped LIKE emptied", "CREATE TABLE other LIKE emptied", insert("dropped", 1, 2), insert("other", 1, 2),
			"DROP TABLE dropped, other", "CREATE TABLE dropped LIKE emptied", insert("dropped", 2), "DROP TABLE IF EXISTS other, dropped",
		},
		// The triple rename; both names are empty before they are known again.
		[]string{insert("a", 1, 2), insert("b", 3), "RENAME TABLE a TO x, b TO a, x TO b", "UPDATE a SET city='Goa'", "DELETE FROM b", "TRUNCATE a", "TRUNCATE b", insert("a", 7), insert("b", 8)},
		swap("ghosted", "_ghosted_gho", "_ghosted_del"), swap("toolkit", "_toolkit_new", "_toolkit_old"),
	)
}

func TestHazard_A57_A58_A59_TablesThatAreEmptiedDroppedRenamedAndSwapped(t *testing.T) {
	mysql, windows := testenv.MySQL(t, 1)[0], testenv.Redis(t)
	mysql.Exec(t, "SET GLOBAL time_zone = '+00:00'", "CREATE DATABASE d")
	for _, table := range []string{"emptied", "void", "prepared", "a", "b", "ghosted", "toolkit"} {
		mysql.Exec(t, fmt.Sprintf("CREATE TABLE d.%s (id INT PRIMARY KEY, city VARCHAR(20), due DATETIME)", table))
	}
	dir := workDir(t)
	p := newProgram(t, dir, tablesConfig(mysql, windows))
	l := p.start()
	l.streaming("00")
	const rounds = 4
	base := time.Now().UTC().Add(time.Hour)
	for n := range rounds {
		mysql.Exec(t, append([]string{"USE d"}, tablesRound(n, base)...)...)
		if n < rounds-1 {
			l.kill() // wherever it stands
			l = p.start()
			l.streaming("00")
		}
	}
	l.caughtUp(time.Minute, map[string]*testenv.Server{"00": mysql})
	l.published()
	st, err := l.status()
	if err != nil || st.Shards[0].Error != "" {
		t.Fatalf("status: %+v, %v", st, err)
	}
	tablesVerified(t, p)
	tablesStale(t, windows)
	l.drain()
	tablesInLake(t, mysql, filepath.Join(dir, "lake"))
}

// tablesVerified wants verify to compare every table, and to find no difference.
func tablesVerified(t *testing.T, p *program) {
	t.Helper()
	var stdout string
	testenv.Wait(t, time.Minute, "verify to find no difference", func() error {
		code, out, stderr := tailwater(t, 2*time.Minute, "verify", "-o", "json", p.config)
		if stdout = out; code != 0 {
			return fmt.Errorf("exit code %d\n%s\n%s", code, out, stderr)
		}
		return nil
	})
	if strings.Contains(stdout, "cannot be compared") || !strings.Contains(stdout, "marked stale") || strings.Contains(stdout, `"rows_compared": 0`) {
		t.Errorf("verify left tables out, or says nothing of stale windows:\n%s", stdout)
	}
}

// tablesStale wants the windows of the metric of rows to be marked, and none of
// the metric of events.
func tablesStale(t *testing.T, windows *testenv.Server) {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: windows.Addr})
	defer client.Close()
	for metric, want := range map[string]string{"rows_now": "1", "rows_made": ""} {
		keys, err := client.Keys(t.Context(), "tw:{"+metric+"}:meta:*").Result()
		if err != nil || metric == "rows_made" && len(keys) == 0 {
			t.Fatalf("windows of %s: %v, %v", metric, keys, err)
		}
		for _, key := range keys {
			if got := client.HGet(t.Context(), key, "stale").Val(); got != want {
				t.Errorf("%s: stale is %q, want %q", key, got, want)
			}
		}
	}
}

// tablesInLake wants each change of a table once in every partition, nothing of a
// shadow table, and the SQL of the format's page to give what the tables hold.
func tablesInLake(t *testing.T, mysql *testenv.Server, lake string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/format/lake.md")
	if err != nil {
		t.Fatal(err)
	}
	fold := regexp.MustCompile("(?s)```sql fold\n(.*?)```").FindSubmatch(page)
	if fold == nil {
		t.Fatal("the page has no SQL")
	}
	view := fmt.Sprintf("CREATE VIEW orders AS SELECT *, substr(filename, -56, 6) AS part FROM read_parquet('%s/orders/**/*.parquet', union_by_name=true, filename=true);\n", lake)
	var events []string
	for _, r := range testenv.DuckDB(t, view+"SELECT _gtid, _table, _ddl, _to, _from, count(*)::VARCHAR AS n, count(DISTINCT part)::VARCHAR AS parts FROM orders WHERE _op = 't' GROUP BY 1, 2, 3, 4, 5 ORDER BY min(_lsn);") {
		if r["n"] != fmt.Sprint(tablesPartitions) || r["parts"] != r["n"] {
			t.Errorf("%v of %v in %v: %v rows in %v partitions, want one in each of %d", r["_ddl"], r["_table"], r["_gtid"], r["n"], r["parts"], tablesPartitions)
		}
		events = append(events, strings.TrimSuffix(fmt.Sprintf("%v %v %v", r["_ddl"], r["_table"], orWord(r["_to"], r["_from"])), " "))
	}
	round := []string{
		"truncate emptied", "truncate void", "truncate prepared", "drop dropped", "drop other", "drop other", "drop dropped",
		`rename a to ["d","x"]`, `rename x from ["d","a"]`, `rename b to ["d","a"]`, `rename a from ["d","b"]`, `rename x to ["d","b"]`, `rename b from ["d","x"]`,
		"truncate a", "truncate b",
	}
	slices.Sort(round)
	got := slices.Clone(events)
	slices.Sort(got)
	want := slices.Sorted(slices.Values(slices.Repeat(round, 4)))
	if !slices.Equal(got, want) {
		t.Errorf("events of tables: got %q, want four times %q", events, round)
	}
	if shadows := testenv.DuckDB(t, view+"SELECT DISTINCT _table FROM orders WHERE _table LIKE '\\_%' ESCAPE '\\';"); len(shadows) > 0 {
		t.Errorf("shadow tables in the lake: %v", shadows)
	}
	var rows []string
	for _, r := range testenv.DuckDB(t, view+strings.Replace(strings.TrimSpace(string(fold[1])), "SELECT * FROM newest", "SELECT _table || ' ' || id || ' ' || city AS row FROM newest", 1)+";") {
		rows = append(rows, fmt.Sprint(r["row"]))
	}
	var source []string
	for _, table := range []string{"emptied", "void", "prepared", "a", "b", "ghosted", "toolkit"} {
		for _, r := range mysql.Query(t, fmt.Sprintf("SELECT CONCAT('%s ', id, ' ', city) FROM d.%s", table, table)) {
			source = append(source, r[0])
		}
	}
	slices.Sort(rows)
	slices.Sort(source)
	if len(source) < 10 || !slices.Equal(rows, source) {
		t.Errorf("rows as they are, by the lake: %q\nby the server: %q", rows, source)
	}
}

// orWord tells where rows went or came from.
func orWord(to, from any) string {
	switch {
	case to != nil:
		return fmt.Sprint("to ", to)
	case from != nil:
		return fmt.Sprint("from ", from)
	}
	return ""
}
