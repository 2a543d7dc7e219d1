package verify

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/shop"
	"tailwater/internal/config"
	"tailwater/internal/pipeline"
)

// fixture is a shop on in-process primaries, with a pipeline behind it.
type fixture struct {
	t        testing.TB
	dir      string
	cfg      *config.Resolved
	servers  []*primary.Server
	workload *shop.Workload
	pipeline *pipeline.Pipeline
	stop     context.CancelFunc
	done     chan error
	// partitions of each topic; 0 is 3.
	partitions int
	// flavor is the type of the source; empty is mysql.
	flavor string
}

// views are the views of the shop's configuration, unless a test has its own.
const shopViews = `
tables:
  orders:
    from: { source: shop, schema: "shop_{db}", table: "orders_{part}" }
    key: [shard, id]
    masking: { email: hash }
    masking_salt: "a demo has no secrets"
  customers:
    from: { source: shop, schema: "shop_{db}", table: customers }
    key: [shard, id]
    masking: { email: drop }
views:
  orders:
    from: orders
    select: { ship_city: payload.ship.city, doubled: amount * 2, "*": "*" }
  paid:
    from: orders
    where: status == 'paid' && amount > 10
    key: [shard, part, id]
    select: { id: id, part: part, status: status, email: email, city: city }
  customers:
    from: customers
windows:
  store: { type: embedded }
  metrics:
    changes: { view: orders, value: count(), group_by: [status] }
    gmv: { view: orders, value: sum(amount), where: status == 'paid', group_by: [city] }
    current: { view: orders, rows: latest, time: updated_at, value: avg(amount), group_by: [status], size: 1m }
    dated: { view: orders, time: created_at, value: count() }
    largest: { view: orders, value: max(amount), group_by: [city] }
    first: { view: orders, rows: inserts, value: min(city) }
    mean: { view: orders, value: avg(amount), group_by: [city] }
    entered: { view: paid, rows: inserts, value: count(), group_by: [city] }
lake:
  url: "file://./lake"
  file: { roll_every: 1s }
`

// newFixture starts the servers and writes the shop's history to them.
func newFixture(t testing.TB, shards int, views string) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir()}
	var ids []string
	var targets []shop.Target
	var list strings.Builder
	for i := range shards {
		s, err := primary.Start(primary.Options{ServerID: uint32(i + 1), User: "tw", Password: "pw"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		f.servers = append(f.servers, s)
		ids = append(ids, fmt.Sprintf("%02d", i))
		targets = append(targets, shop.OnPrimary(s))
		host, port, _ := net.SplitHostPort(s.Addr())
		fmt.Fprintf(&list, "        - { name: %q, host: %s, port: %s, user: tw, password: pw }\n", ids[i], host, port)
	}
	var err error
	if f.workload, err = shop.New(shop.Options{Seed: 7, Rate: 300, HistoryTxs: 60, Ledger: shop.NewLedger()}, ids, targets); err != nil {
		t.Fatal(err)
	}
	if err := f.workload.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.configure(list.String(), views)
	return f
}

// configure resolves the configuration over a list of shards.
func (f *fixture) configure(shards, views string) {
	f.t.Helper()
	text := fmt.Sprintf(`version: 1
name: test
state: { dir: state }
sources:
  shop:
    type: %s
    server_id: 5400-5499
    heartbeat: { every: 200ms }
    connect: { tls: disable, retry: { min: 100ms, max: 1s } }
    shards:
      list:
%s%s
stream: { partitions: %d }
http: { listen: "127.0.0.1:0" }
limits: { memory: 128MiB }
`, cmp.Or(f.flavor, "mysql"), shards, views, cmp.Or(f.partitions, 3))
	c, findings := config.Parse(filepath.Join(f.dir, "tailwater.yaml"), []byte(text), nil)
	if c == nil {
		f.t.Fatalf("the configuration has errors:\n%s", findings)
	}
	f.cfg = c.Resolved()
}

// start runs the pipeline.
func (f *fixture) start() {
	f.t.Helper()
	p, err := pipeline.Open(f.t.Context(), pipeline.Options{Config: f.cfg, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	f.pipeline = p
	ctx, cancel := context.WithCancel(context.Background())
	f.stop, f.done = cancel, make(chan error, 1)
	go func() { f.done <- p.Run(ctx, context.Background(), 20*time.Second) }()
	f.t.Cleanup(f.halt)
}

// halt drains the pipeline and closes it.
func (f *fixture) halt() {
	if f.pipeline == nil {
		return
	}
	f.stop()
	if err := <-f.done; err != nil {
		f.t.Errorf("drain the pipeline: %v", err)
	}
	if err := f.pipeline.Close(); err != nil {
		f.t.Errorf("close the pipeline: %v", err)
	}
	f.pipeline = nil
}

// verify compares.
func (f *fixture) verify(only ...string) *Result {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	r, err := Run(ctx, Options{Config: f.cfg, Only: only, Timeout: 30 * time.Second})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// clean fails the test when there is a difference, or nothing was compared.
func clean(t testing.TB, r *Result) {
	t.Helper()
	for i := range r.Differences {
		t.Errorf("difference: %s", &r.Differences[i])
	}
	if r.Found != int64(len(r.Differences)) || !r.Compared() {
		t.Errorf("got %+v", r)
	}
}
