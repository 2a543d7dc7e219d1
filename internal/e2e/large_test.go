package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
)

// largeRows is a transaction of n rows of 1 KiB.
func largeRows(n int, compress bool) primary.Large {
	filler := strings.Repeat("all the rest of a row ", 50)
	return primary.Large{Database: "d", Table: "large", Rows: n, Compress: compress, Row: func(i int) (encode.Row, error) {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		text := fmt.Sprintf("%016x%016x%016x%016x%s", rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), filler)
		return encode.Row{int64(i), text[:1010]}, nil
	}}
}

// largeShards are two servers with a transaction of so many rows each, of which
// the second is compressed, and the configuration of a pipeline over them.
func largeShards(t *testing.T, rows int) (servers map[string]*primary.Server, config string) {
	t.Helper()
	var shards strings.Builder
	servers = make(map[string]*primary.Server)
	for i, compress := range []bool{false, true} {
		s, err := primary.Start(primary.Options{ServerID: uint32(i + 1), User: "repl", Password: "repl"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		err = s.CreateTable(encode.Table{Database: "d", Name: "large", PrimaryKey: []int{0},
			Columns: []encode.Column{{Name: "id", Kind: encode.BigInt}, {Name: "body", Kind: encode.Text, Length: 2000}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.InsertLarge(largeRows(rows, compress)); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("%02d", i)
		servers[id] = s
		fmt.Fprintf(&shards, "        - { name: %q, dsn: \"repl:repl@tcp(%s)/\" }\n", id, s.Addr())
	}
	return servers, `version: 1
name: large
state: { dir: ./state }
sources:
  s:
    type: mysql
    server_id: 5400-5499
    heartbeat: { every: 1s, stall_after: 10s }
    connect: { retry: { min: 100ms, max: 1s } }
    shards:
      list:
` + shards.String() + `tables: { large: { from: { source: s, schema: d, table: large }, key: [shard, id] } }
views: { large: { from: large } }
windows: { metrics: { changes: { view: large, value: count() } } }
lake: { url: "file://./lake", file: { roll_every: 1s } }
limits: { memory: 128MiB }
http: { listen: "127.0.0.1:0" }
`
}

// Every shard has one transaction of 200 MiB, one plain and one compressed, and
// the whole pipeline has 128 MiB. It is killed inside them and takes each row
// once.
func TestHazard_A34_A40_LargeTransactionsOfEveryShardStayWithinMemory(t *testing.T) {
	const rows = 200 << 10
	servers, config := largeShards(t, rows)
	dir := workDir(t)
	p := newProgram(t, dir, config)
	// A payload is rows at once, when all of it is there; the plain rows come
	// slowly, so that the end of the program lies inside them.
	servers["00"].Slow(8 << 20)
	l := p.start()
	var at *status.Snapshot
	testenv.Wait(t, time.Minute, "a part of the transactions in the stream; see "+l.log, func() (err error) {
		if at, err = l.status(); err != nil {
			return err
		}
		if n := at.Views[0].Events; n < rows/4 {
			return fmt.Errorf("%d events are made", n)
		}
		return nil
	})
	l.kill()
	servers["00"].Slow(0)
	t.Logf("killed behind %d of %d events", at.Views[0].Events, 2*rows)
	if at.Views[0].Events >= 2*rows {
		t.Error("the program had read everything before it was killed: the test proves little")
	}
	l = p.start()
	var peak int64
	testenv.Wait(t, 3*time.Minute, "all rows in stream, windows and lake; see "+l.log, func() error {
		s, err := l.status()
		if err != nil {
			return err
		}
		peak = max(peak, s.Process.RSSPeakBytes)
		for i := range s.Shards {
			if sh := &s.Shards[i]; sh.GTID != servers[sh.Shard].Executed() {
				return fmt.Errorf("shard %s is %s at %q, %q", sh.Shard, sh.State, sh.GTID, sh.Error)
			}
		}
		return nil
	})
	t.Logf("two transactions of %d MiB of rows: resident at most %d MiB with limits.memory 128MiB", rows>>10, peak>>20)
	// The limit is for the heap; code and what the kernel maps come besides.
	if peak > 256<<20 {
		t.Errorf("resident: got %d MiB, want at most 256", peak>>20)
	}
	l.drain()
	counted := testenv.DuckDB(t, fmt.Sprintf("SELECT _shard AS shard, count(*) AS n, count(DISTINCT id) AS ids, max(id) AS last FROM read_parquet('%s/lake/large/**/*.parquet', hive_partitioning = true, union_by_name = true) GROUP BY _shard", dir))
	if len(counted) != 2 {
		t.Errorf("the lake has %d shards, want 2", len(counted))
	}
	for _, c := range counted {
		if got, want := fmt.Sprintf("%v/%v/%v", c["n"], c["ids"], c["last"]), fmt.Sprintf("%d/%d/%d", rows, rows, rows-1); got != want {
			t.Errorf("shard %v: rows, ids and the last one are %s in the lake, want %s", c["shard"], got, want)
		}
	}
}
