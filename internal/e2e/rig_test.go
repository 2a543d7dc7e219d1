package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/demo"
	"tailwater/internal/testenv"
	"tailwater/sinks/redis"
)

// rig is a whole pipeline on real servers: shards with a workload, a Redis, a lake, a configuration and the program.
type rig struct {
	t       *testing.T
	dir     string
	shards  []*testenv.Server
	redis   *testenv.Server
	ledger  *shop.Ledger
	targets []*target
	work    *shop.Workload
	program *program
	// source is the text of the keys connect and start of the configuration's
	// source, user the account; a test may change them before configure.
	source, user, password string
	// flavor is the type of the source.
	flavor string
	// stream is the text of the configuration's stream, lakeKeys that of the
	// lake's place, and lakeDir where its files are on this machine.
	stream, lakeKeys, lakeDir string
	// stopLive ends the workload, live gets what became of it.
	stopLive context.CancelFunc
	live     chan error
}

// rigOptions say what a rig is made of.
type rigOptions struct {
	shards int
	mysql  []string
	// mariadb makes the shards MariaDB's, every other one with all compressed.
	mariadb bool
	redis   []string
	shop    shop.Options
	// grownUp puts the stream on Apache Kafka and the lake on S3.
	grownUp bool
	// ledger, when set, is called with the ledger before the first transaction.
	ledger func(*shop.Ledger)
}

// newRig starts the servers, writes the history of the workload and the
// configuration.
func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	r := &rig{
		t: t, dir: workDir(t), ledger: shop.NewLedger(demo.Accounts()...),
		user: "repl", password: "repl",
		source: "connect: { tls: disable, read_timeout: 4s, retry: { min: 100ms, max: 1s } }",
	}
	r.lakeKeys, r.lakeDir = "url: file://./lake", filepath.Join(r.dir, "lake")
	if o.grownUp {
		r.stream = fmt.Sprintf("stream: { type: kafka, brokers: [%q], partitions: 4 }\n", testenv.Kafka(t).Addr)
		s3 := testenv.S3(t)
		r.lakeKeys = fmt.Sprintf("url: s3://%s/lake\n  region: us-east-1\n  endpoint: %q\n  path_style: true", s3.Bucket, s3.URL)
		r.lakeDir = filepath.Join(s3.DataDir, s3.Bucket, "lake")
	}
	r.redis = testenv.Redis(t, o.redis...)
	r.flavor = "mysql"
	if o.mariadb {
		r.flavor = "mariadb"
		r.shards = testenv.MariaDBs(t, "11.8", o.shards, "--gtid-strict-mode=ON")
		for i, s := range r.shards {
			s.Exec(t, fmt.Sprintf("SET GLOBAL log_bin_compress = %d", i%2))
		}
	} else {
		r.shards = testenv.MySQL(t, o.shards, o.mysql...)
	}
	targets := make([]shop.Target, len(r.shards))
	for i, s := range r.shards {
		r.targets = append(r.targets, newTarget(t, s, i+1))
		targets[i] = r.targets[i]
	}
	if o.ledger != nil {
		o.ledger(r.ledger)
	}
	o.shop.Ledger = r.ledger
	var err error
	if r.work, err = shop.New(o.shop, r.ids(), targets); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := r.work.Prepare(ctx); err != nil {
		t.Fatalf("write the history: %v", err)
	}
	r.program = newProgram(t, r.dir, r.config())
	return r
}

// ids are the names of the shards: 00, 01, …
func (r *rig) ids() []string {
	out := make([]string, len(r.shards))
	for i := range out {
		out[i] = fmt.Sprintf("%02d", i)
	}
	return out
}

// byID are the servers by the names of their shards.
func (r *rig) byID() map[string]*testenv.Server {
	out := make(map[string]*testenv.Server)
	for i, id := range r.ids() {
		out[id] = r.shards[i]
	}
	return out
}

// config is the text of the configuration.
func (r *rig) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
name: e2e
state: { dir: ./state }
sources:
  shop:
    type: %s
    server_id: 5400-5499
    heartbeat: { every: 1s, stall_after: 3s }
    %s
    shards:
      list:
`, r.flavor, r.source)
	for i, id := range r.ids() {
		fmt.Fprintf(&b, "        - { name: %q, host: 127.0.0.1, port: %d, user: %q, password: %q }\n", id, r.shards[i].Port, r.user, r.password)
	}
	fmt.Fprintf(&b, `tables:
  orders:
    from: { source: shop, schema: "shop_{db}", table: "orders_{part}" }
    key: [shard, id]
  customers:
    from: { source: shop, schema: "shop_{db}", table: customers }
    key: [shard, id]
views:
  orders:
    from: orders
    select: { ship_city: payload.ship.city, "*": "*" }
  customers:
    from: customers
windows:
  store: { type: redis, url: "redis://%s/0" }
  metrics:
    order_changes: { view: orders, value: count(), group_by: [status] }
    gmv: { view: orders, value: sum(amount), where: status == 'paid', group_by: [city] }
lake:
  %s
  file: { roll_every: 1s }
http: { listen: "127.0.0.1:0" }
limits: { memory: 512MiB }
%s`, r.redis.Addr, r.lakeKeys, r.stream)
	return b.String()
}

// lake is the lake's directory.
func (r *rig) lake() string { return r.lakeDir }

// goLive lets the workload write until it is told to stop.
func (r *rig) goLive() {
	r.t.Helper()
	// The workload has to end before the servers do, also when the test fails.
	ctx, cancel := context.WithCancel(context.Background())
	r.stopLive, r.live = cancel, make(chan error, 1)
	go func() { r.live <- r.work.Live(ctx) }()
	r.t.Cleanup(cancel)
}

// rest ends the workload and waits for its last transactions.
func (r *rig) rest() {
	r.t.Helper()
	r.stopLive()
	select {
	case err := <-r.live:
		if err != nil {
			r.t.Fatalf("the workload: %v", err)
		}
	case <-time.After(3 * time.Minute):
		r.t.Fatal("the workload has not ended after three minutes: is a server gone?")
	}
}

// grown waits until the workload has committed n more events.
func (r *rig) grown(n int64) {
	r.t.Helper()
	want := r.ledger.Events() + n
	testenv.Wait(r.t, time.Minute, fmt.Sprintf("%d more events in the ledger", n), func() error {
		if have := r.ledger.Events(); have < want {
			return fmt.Errorf("it has %d of %d", have, want)
		}
		return nil
	})
}

// compare holds windows and lake against the ledger, value by value.
func (r *rig) compare() *demo.Comparison {
	r.t.Helper()
	store, err := redis.Open(redis.Options{URL: "redis://" + r.redis.Addr + "/0"})
	if err != nil {
		r.t.Fatal(err)
	}
	defer store.Close()
	books := demo.Books{Ledger: r.ledger, Store: store, Lake: r.lake()}
	c, err := books.Compare(context.Background())
	if err != nil {
		r.t.Fatalf("compare windows and lake with the ledger: %v", err)
	}
	return c
}

// balanced is compare, and fails the test over any difference, and over books
// that are empty.
func (r *rig) balanced() *demo.Comparison {
	r.t.Helper()
	c := r.compare()
	if c.Mismatches > 0 || c.DuplicatesApplied > 0 {
		r.t.Errorf("got %d mismatches and %d duplicates, want none; lake %s, Redis %s:\n%s",
			c.Mismatches, c.DuplicatesApplied, r.lake(), r.redis.Addr, strings.Join(c.Differences, "\n"))
	}
	if c.LakeRows == 0 || c.WindowValues == 0 || c.LakeRows != r.ledger.Events() {
		r.t.Errorf("compared %d lake rows and %d window values for %d events, want every event", c.LakeRows, c.WindowValues, r.ledger.Events())
	}
	return c
}
