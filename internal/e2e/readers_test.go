package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/shop"
	"tailwater/internal/testenv"
)

// group is what the books have for one status: the events and the sum of their
// amounts in cents.
type group struct {
	events int64
	cents  int64
}

// statusBook adds up, from the ledger, the events of orders by status.
type statusBook struct {
	mu     sync.Mutex
	groups map[string]group
}

func newStatusBook(l *shop.Ledger) *statusBook {
	b := &statusBook{groups: map[string]group{}}
	l.Also(func(c *shop.Change) {
		if !strings.HasPrefix(c.Table.Name, "orders_") {
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		status, amount := columnText(c.Table, c.Row(), shop.OrderStatus), columnText(c.Table, c.Row(), shop.OrderAmount)
		g := b.groups[status]
		g.events++
		g.cents += cents(amount)
		b.groups[status] = g
	})
	return b
}

func columnText(t *encode.Table, row encode.Row, column int) string {
	text, _ := t.Columns[column].Text(row[column])
	return text
}

// cents reads an amount with two digits behind the point.
func cents(text string) int64 {
	n, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if !ok {
		return -1 << 40 // no sum will match
	}
	return n.Int64()
}

// check holds groups that somebody else has read against the book.
func (b *statusBook) check(t *testing.T, who string, got map[string]group) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.groups) == 0 {
		t.Fatal("the ledger has no orders")
	}
	for status, want := range b.groups {
		if got[status] != want {
			t.Errorf("status %s: %s has %d events and %d cents, the ledger %d and %d",
				status, who, got[status].events, got[status].cents, want.events, want.cents)
		}
	}
	if len(got) != len(b.groups) {
		t.Errorf("%s has %d statuses, the ledger %d", who, len(got), len(b.groups))
	}
}

// atRest is a rig of three shards whose history and live rows have been read,
// with an ALTER and a kill on the way, and its running process.
func atRest(t *testing.T) (*rig, *statusBook, *life) {
	t.Helper()
	var book *statusBook
	r := newRig(t, rigOptions{shards: 3, shop: shop.Options{
		Seed: 11, Rate: 600, HistoryTxs: 60, Incidents: []shop.Incident{{Kind: shop.Alter, Shard: 1, At: 500 * time.Millisecond}},
	}, ledger: func(l *shop.Ledger) { book = newStatusBook(l) }})
	r.goLive()
	l := r.program.start()
	l.streaming(r.ids()...)
	r.grown(400)
	l.kill() // so that the log holds fences and more than one epoch
	l = r.program.start()
	l.streaming(r.ids()...)
	r.grown(600)
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	return r, book, l
}

func TestStream_KcatReadsEveryEventOnce(t *testing.T) {
	_, book, l := atRest(t)
	l.published()
	run, err := l.runFile()
	if err != nil {
		t.Fatal(err)
	}
	type event struct {
		Op     string      `json:"_op"`
		Shard  string      `json:"_shard"`
		LSN    string      `json:"_lsn"`
		Status string      `json:"status"`
		Amount json.Number `json:"amount"`
	}
	got := map[string]group{}
	seen := map[string]bool{}
	// A null key is a heartbeat or a fence: not for readers of rows.
	out := testenv.Kcat(t, "-b", run.Stream, "-C", "-t", "tw.e2e.orders", "-o", "beginning", "-e", "-q", "-f", "%K %s\n")
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		keyLen, value, _ := strings.Cut(lines.Text(), " ")
		if keyLen == "-1" {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(value), &e); err != nil {
			t.Fatalf("kcat printed %.200q: %v", value, err)
		}
		if seen[e.Shard+e.LSN] {
			t.Errorf("shard %s, lsn %s stands twice in the stream", e.Shard, e.LSN)
		}
		seen[e.Shard+e.LSN] = true
		g := got[e.Status]
		g.events++
		g.cents += cents(e.Amount.String())
		got[e.Status] = g
	}
	book.check(t, "kcat", got)
	l.drain()
}

func TestLake_DuckDBCountsAndSumsAsTheLedger(t *testing.T) {
	r, book, l := atRest(t)
	l.drain()
	files := r.lake() + "/orders/**/*.parquet"
	rows := testenv.DuckDB(t, fmt.Sprintf(
		"SELECT status, count(*) AS n, sum(amount) AS total FROM read_parquet('%s', hive_partitioning = true, union_by_name = true) GROUP BY status", files))
	got := map[string]group{}
	for _, row := range rows {
		var g group
		if _, err := fmt.Sscan(fmt.Sprint(row["n"]), &g.events); err != nil {
			t.Fatalf("DuckDB's count %v: %v", row["n"], err)
		}
		g.cents = cents(fmt.Sprint(row["total"]))
		got[fmt.Sprint(row["status"])] = g
	}
	book.check(t, "DuckDB", got)

	one := func(query string) string {
		return fmt.Sprint(testenv.DuckDB(t, query)[0]["n"])
	}
	from := fmt.Sprintf(" FROM read_parquet('%s', hive_partitioning = true, union_by_name = true)", files)
	if n := one("SELECT count(*) AS n FROM (SELECT _shard, _lsn" + from + " GROUP BY ALL HAVING count(*) > 1)"); n != "0" {
		t.Errorf("DuckDB finds %s pairs of shard and lsn more than once, want none", n)
	}
	if n := one("SELECT count(*) AS n" + from + " WHERE strftime(_ts_us AT TIME ZONE 'UTC', '%Y-%m-%d %H') <> dt::VARCHAR || ' ' || lpad(hr::VARCHAR, 2, '0')"); n != "0" {
		t.Errorf("DuckDB finds %s rows in a directory of another hour than their commit's, want none", n)
	}
	if n := one("SELECT count(*) AS n" + from + " WHERE channel IS NOT NULL AND _shard <> '01'"); n != "0" {
		t.Errorf("DuckDB finds a channel in %s rows of shards without that column, want none", n)
	}
	if n := one("SELECT count(*) AS n" + from + " WHERE channel IS NOT NULL"); n == "0" {
		t.Error("DuckDB finds no row with the column that ALTER TABLE added")
	}
}

// redisCLI runs redis-cli, which shares no code with ours.
func redisCLI(t *testing.T, addr string, args ...string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %q: %v\n%s", args, err, out)
	}
	text := strings.TrimRight(string(out), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func TestWindows_RedisCLIReadsEveryValue(t *testing.T) {
	r, _, l := atRest(t)
	l.drain()
	type value struct{ start, group string }
	for _, metric := range []string{"order_changes", "gmv"} {
		got := map[value]string{}
		for _, start := range redisCLI(t, r.redis.Addr, "ZRANGE", "tw:{"+metric+"}:windows", "0", "-1") {
			fields := redisCLI(t, r.redis.Addr, "HGETALL", "tw:{"+metric+"}:w:"+start)
			for i := 0; i+1 < len(fields); i += 2 {
				got[value{start, fields[i]}] = fields[i+1]
			}
		}
		wants := r.ledger.Windows(metric)
		if len(wants) == 0 {
			t.Fatalf("the ledger has no value of %s", metric)
		}
		for _, w := range wants {
			want := w.Sum
			if metric == "order_changes" {
				want = fmt.Sprint(w.Count)
			}
			at := value{fmt.Sprint(w.Start / 1e6), fmt.Sprintf("[%q]", w.Group[0])}
			if got[at] != want {
				t.Errorf("%s, window %s, group %s: redis-cli reads %q, the ledger has %q", metric, at.start, at.group, got[at], want)
			}
			delete(got, at)
		}
		for at, text := range got {
			t.Errorf("%s, window %s, group %s: redis-cli reads %q, the ledger has nothing", metric, at.start, at.group, text)
		}
	}
	// The history's windows are over: they are published whole.
	starts := redisCLI(t, r.redis.Addr, "ZRANGE", "tw:{gmv}:windows", "0", "0")
	meta := redisCLI(t, r.redis.Addr, "HMGET", "tw:{gmv}:meta:"+starts[0], "state", "complete", "missing")
	if len(meta) != 3 || meta[0] == "open" || meta[1] != "1" || meta[2] != "[]" {
		t.Errorf("the oldest window is described as %q, want it published, complete, with no shard missing", meta)
	}
}
