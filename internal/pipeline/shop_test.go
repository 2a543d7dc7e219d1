package pipeline_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/shop"
	"tailwater/internal/config"
	"tailwater/internal/demo"
	"tailwater/internal/pipeline"
	"tailwater/internal/status"
	"tailwater/stream"
)

// shopRig is a shop on primaries in this process, a pipeline over them, and
// the ledger that says what must come out.
type shopRig struct {
	t        *testing.T
	dir      string
	servers  []*primary.Server
	ledger   *shop.Ledger
	workload *shop.Workload
	// extra is put at the end of the configuration.
	extra string
	// grace is how long a drain may take; 0 is two minutes.
	grace time.Duration
	// dense gives huge transactions text that takes as much when compressed.
	dense bool
	// edit, when set, changes the whole of it.
	edit func(text string) string
	// named is how many of the shards the configuration names; 0 is all of them.
	named int
	// lake is where the lake's files are; empty is ./lake.
	lake string

	pipe *pipeline.Pipeline
	stop context.CancelFunc
	kill context.CancelFunc
	done chan error
}

func newShop(t *testing.T, shards int, rate int) *shopRig {
	t.Helper()
	r := &shopRig{t: t, dir: t.TempDir(), ledger: shop.NewLedger(demo.Accounts()...)}
	var ids []string
	var targets []shop.Target
	for i := range shards {
		s, err := primary.Start(primary.Options{ServerID: uint32(i + 1), User: "tailwater", Password: "x"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		r.servers = append(r.servers, s)
		ids = append(ids, fmt.Sprintf("%02d", i))
		targets = append(targets, shop.OnPrimary(s))
	}
	var err error
	r.workload, err = shop.New(shop.Options{Seed: 3, Rate: rate, HistoryTxs: 20, Ledger: r.ledger}, ids, targets)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.workload.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// configText is the pipeline of the demo with a durable place for everything
// but the windows.
func (r *shopRig) configText() string {
	var b strings.Builder
	b.WriteString(`version: 1
name: shop
state: { dir: ./state }
sources:
  s:
    type: mysql
    server_id: 100-199
    heartbeat: { every: 200ms, stall_after: 1s }
    connect: { retry: { min: 20ms, max: 200ms } }
    shards:
      list:
`)
	for i, s := range r.servers[:cmp.Or(r.named, len(r.servers))] {
		fmt.Fprintf(&b, "        - { name: %q, dsn: \"tailwater:x@tcp(%s)/\" }\n", fmt.Sprintf("%02d", i), s.Addr())
	}
	b.WriteString(`tables:
  orders: { from: { source: s, schema: "shop_{db}", table: "orders_{part}" }, key: [shard, id] }
  customers: { from: { source: s, schema: "shop_{db}", table: customers }, key: [shard, id] }
views:
  orders: { from: orders }
  customers: { from: customers }
windows:
  metrics:
    order_changes: { view: orders, value: count(), group_by: [status] }
    gmv: { view: orders, value: sum(amount), where: status == 'paid', group_by: [city] }
lake: { url: file://./lake, file: { roll_every: 1s } }
http: { listen: 127.0.0.1:0 }
`)
	text := b.String() + r.extra
	if r.edit != nil {
		text = r.edit(text)
	}
	return text
}

// resolved writes the configuration and loads it.
func (r *shopRig) resolved() *config.Resolved {
	r.t.Helper()
	c, err := r.load()
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// load is resolved, and what is wrong with it.
func (r *shopRig) load() (*config.Resolved, error) {
	path := filepath.Join(r.dir, "tailwater.yaml")
	if err := os.WriteFile(path, []byte(r.configText()), 0o600); err != nil {
		return nil, err
	}
	cfg, findings := config.Load(path, os.LookupEnv)
	if cfg == nil {
		return nil, fmt.Errorf("configuration:\n%s", findings)
	}
	return cfg.Resolved(), nil
}

// open opens the pipeline.
func (r *shopRig) open() (*pipeline.Pipeline, error) {
	r.t.Helper()
	return pipeline.Open(r.t.Context(), pipeline.Options{Config: r.resolved(), Logger: slog.New(slog.DiscardHandler), Load: r.load})
}

// start opens the pipeline and runs it.
func (r *shopRig) start() {
	r.t.Helper()
	var err error
	if r.pipe, err = r.open(); err != nil {
		r.t.Fatal(err)
	}
	var stop, hard context.Context
	stop, r.stop = context.WithCancel(context.Background())
	hard, r.kill = context.WithCancel(context.Background())
	pipe, done, grace := r.pipe, make(chan error, 1), cmp.Or(r.grace, 2*time.Minute)
	r.done = done
	go func() {
		done <- pipe.Run(stop, hard, grace)
		close(done) // who asks again is not kept waiting
	}()
}

// crash ends the pipeline at once, without a drain.
func (r *shopRig) crash() {
	r.t.Helper()
	r.kill()
	<-r.done
	if err := r.pipe.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.pipe = nil
}

func (r *shopRig) close() {
	if r.pipe != nil {
		r.kill()
		<-r.done
		r.pipe.Close()
		r.pipe = nil
	}
}

// write writes for a while.
func (r *shopRig) write(d time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	if err := r.workload.Live(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// shard is the state of one shard now.
func (r *shopRig) shard(i int) status.Shard { return r.pipe.Snapshot().Shards[i] }

// await polls until ok.
func (r *shopRig) await(what string, ok func(status.Snapshot) bool) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		s := r.pipe.Snapshot()
		if ok(s) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			for i := range s.Shards {
				r.t.Logf("shard %s: %s after %d transactions %s", s.Shards[i].Shard, s.Shards[i].State, s.Shards[i].Transactions, s.Shards[i].Error)
			}
			for i := range s.Metrics {
				r.t.Logf("metric %s: %d records behind %s", s.Metrics[i].Metric, s.Metrics[i].Behind, s.Metrics[i].Error)
			}
			for i := range s.Lake {
				r.t.Logf("lake of view %s: %d rows %s", s.Lake[i].View, s.Lake[i].Rows, s.Lake[i].Error)
			}
			r.t.Fatalf("never %s: verdict %s, stream %+v", what, s.Verdict, s.Stream)
		}
	}
}

// caughtUp waits until each shard has read what its server has executed.
func (r *shopRig) caughtUp(except ...int) {
	r.t.Helper()
	skip := make(map[int]bool)
	for _, i := range except {
		skip[i] = true
	}
	r.await("caught up", func(s status.Snapshot) bool {
		for i := range s.Shards {
			if !skip[i] && s.Shards[i].GTID != r.servers[i].Executed() {
				return false
			}
		}
		return true
	})
}

// drainAndCompare stops the pipeline in order and holds everything against the
// ledger.
func (r *shopRig) drainAndCompare() {
	r.t.Helper()
	r.caughtUp()
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Fatalf("Run = %v, want a clean drain", err)
	}
	books := demo.Books{Ledger: r.ledger, Store: r.pipe.Store(), Lake: cmp.Or(r.lake, filepath.Join(r.dir, "lake"))}
	c, err := books.Compare(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if c.Mismatches != 0 || c.LakeRows == 0 || c.WindowValues == 0 {
		r.t.Errorf("%d mismatches in %d lake rows and %d window values:\n%s", c.Mismatches, c.LakeRows, c.WindowValues, strings.Join(c.Differences, "\n"))
	}
	if err := r.pipe.Close(); err != nil {
		r.t.Error(err)
	}
	r.pipe = nil
}

// background writes until the returned function is called, or the test ends.
func (r *shopRig) background() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.workload.Live(ctx); err != nil {
			r.t.Errorf("workload: %v", err)
		}
	})
	end = func() {
		cancel()
		wg.Wait()
	}
	r.t.Cleanup(end) // before the servers close
	return end
}

// accepted reads the topic of a view, if it is there, to its end by the rule of
// consumers, and calls take for each event.
func (r *shopRig) accepted(view string, take func(*stream.Record)) {
	r.t.Helper()
	topic, log := stream.TopicName("shop", view), r.pipe.Log()
	bounds, err := log.Bounds(r.t.Context(), topic)
	if errors.Is(err, stream.ErrUnknownTopic) {
		return
	}
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := log.NewConsumer(r.t.Context(), stream.ConsumerOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	from, left, marks := map[stream.TopicPartition]int64{}, int64(0), map[int32]stream.Marks{}
	for p, b := range bounds {
		from[stream.TopicPartition{Topic: topic, Partition: int32(p)}] = b.First
		left += b.Next - b.First
		marks[int32(p)] = stream.Marks{}
	}
	if err := c.Assign(from); err != nil {
		r.t.Fatal(err)
	}
	for left > 0 {
		records, err := c.Poll(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		for i := range records {
			left--
			accepted, err := marks[records[i].Partition].Accept(&records[i])
			if err != nil {
				r.t.Fatal(err)
			}
			if accepted && records[i].Kind == stream.Event {
				take(&records[i])
			}
		}
	}
}
