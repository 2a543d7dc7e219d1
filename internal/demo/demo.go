// Package demo shows Tailwater at work with nothing installed: it starts the
// shards of a shop, writes orders to them, runs the very pipeline that `run`
// runs, tells what happens, and at the end holds everything that came out
// against the books of the workload.
//
// The expected side is the workload's own ledger, which never sees a binlog.
// The actual side is read back from Redis and from the Parquet files, never
// from the pipeline's counters.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/config"
	"tailwater/internal/pipeline"
	"tailwater/internal/status"
)

// Options are the options of Run.
type Options struct {
	// Shards is how many servers there are, Rate the row changes a second over
	// all of them, Seed which workload it is.
	Shards, Rate int
	Seed         uint64
	// For ends the demo; 0 runs until the context ends.
	For time.Duration
	// Servers is builtin or mysql.
	Servers string
	// Keep is a directory that is kept; "" is a temporary one that is removed.
	Keep string
	// Quiet tells nothing on the way.
	Quiet bool
	// Color allows colors.
	Color   bool
	Version string
	// Began is when the process started.
	Began time.Time
	// Out gets the story, Logger the pipeline's log.
	Out    io.Writer
	Logger *slog.Logger
	// BeforeCheck, when set, is called between the drain and the comparison: a
	// test plants its faults there.
	BeforeCheck func(dir string, redis RedisDialer) error
}

// RedisDialer connects to the window store, where it may be written.
type RedisDialer func(ctx context.Context) (net.Conn, error)

// Result is what a demo found.
type Result struct {
	Source string `json:"source"`
	Shards int    `json:"shards"`
	// RowsChanged counts row changes committed on the servers, Events the
	// change events that they are.
	RowsChanged int64 `json:"rows_changed"`
	Events      int64 `json:"events"`
	Comparison
	Lag           status.Quantiles `json:"lag_ms"`
	StreamLag     status.Quantiles `json:"stream_lag_ms"`
	RSSPeakMB     float64          `json:"rss_peak_mb"`
	FirstWindowMS float64          `json:"first_window_ms"`
	Seconds       float64          `json:"seconds"`
	CPUSeconds    float64          `json:"cpu_seconds"`
	// ServersMS is how long the servers took to start; FirstWindowMS includes it.
	ServersMS float64 `json:"servers_ms"`
}

// demo is one run.
type demo struct {
	o        Options
	dir      string
	servers  servers
	ledger   *shop.Ledger
	workload *shop.Workload
	pipeline *pipeline.Pipeline
	screen   *screen
	sample   *sampler
	first    firstWindow
	// serversMS is when the servers were there.
	serversMS float64
}

// startupTimeout bounds starting servers and writing the history.
const startupTimeout = 3 * time.Minute

// catchUpTimeout bounds how long the pipeline may take, after the last write,
// to have read everything; drainTimeout how long it may take to drain.
const (
	catchUpTimeout = 60 * time.Second
	drainTimeout   = 30 * time.Second
)

// Run runs a demo until ctx ends or Options.For is over, drains it, and
// compares. An error means that it could not run; differences are in the
// Result. hard ends it at once.
func Run(ctx, hard context.Context, o Options) (*Result, error) {
	d := &demo{o: o, screen: newScreen(o)}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	r, err := d.run(ctx, hard)
	return r, errors.Join(err, d.close())
}

func (d *demo) open(ctx context.Context) error {
	if err := d.openDir(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startupTimeout)
	defer cancel()
	var err error
	if d.servers, err = startServers(ctx, &d.o, d.dir, d.screen); err != nil {
		return err
	}
	d.serversMS = float64(time.Since(d.o.Began).Milliseconds())
	d.ledger = shop.NewLedger(Accounts()...)
	d.sample = newSampler(d.ledger)
	d.workload, err = shop.New(shop.Options{
		Seed: d.o.Seed, Rate: d.o.Rate, Ledger: d.ledger, Incidents: d.incidents(), OnIncident: d.screen.incident,
	}, d.servers.ids(), d.servers.targets())
	if err != nil {
		return err
	}
	if err := d.workload.Prepare(ctx); err != nil {
		return fmt.Errorf("write the shop's history: %w", err)
	}
	return d.openPipeline(ctx)
}

func (d *demo) openDir() (err error) {
	if d.o.Keep == "" {
		d.dir, err = os.MkdirTemp("", "tailwater-demo-*")
		return err
	}
	if d.dir, err = filepath.Abs(d.o.Keep); err != nil {
		return err
	}
	if entries, err := os.ReadDir(d.dir); err == nil && len(entries) > 0 {
		return &UsageError{fmt.Sprintf("--keep %s is not empty: name a new directory, so that the sums are those of one demo", d.dir)}
	}
	return os.MkdirAll(d.dir, 0o755)
}

// openPipeline writes the demo's configuration and opens it as `run` would.
func (d *demo) openPipeline(ctx context.Context) error {
	text := configText(d.servers, d.dir)
	path := filepath.Join(d.dir, "tailwater.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	cfg, findings := config.Load(path, os.LookupEnv)
	if cfg == nil {
		return fmt.Errorf("the demo's own configuration has errors:\n%s", findings)
	}
	var err error
	d.pipeline, err = pipeline.Open(ctx, pipeline.Options{
		Config: cfg.Resolved(), Version: d.o.Version, Logger: d.o.Logger, PortFallback: true,
	})
	return err
}

// incidents are what happens on the way when there is time for it: a column is
// added on one shard, and another shard goes silent.
func (d *demo) incidents() []shop.Incident {
	if d.o.For > 0 && d.o.For < 20*time.Second {
		return nil
	}
	out := []shop.Incident{{Kind: shop.Alter, Shard: 0, At: 6 * time.Second}}
	if d.o.Shards > 1 && d.o.Servers == "builtin" {
		out = append(out, shop.Incident{Kind: shop.Silent, Shard: 1, At: 10 * time.Second, For: 6 * time.Second})
	}
	return out
}

func (d *demo) run(ctx, hard context.Context) (*Result, error) {
	started := time.Now()
	d.screen.banner(d)
	stop, stopPipeline := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPipeline()
	piped := make(chan error, 1)
	go func() { piped <- d.pipeline.Run(stop, hard, drainTimeout) }()

	live, stopLive := context.WithCancel(ctx)
	if d.o.For > 0 {
		live, stopLive = context.WithTimeout(ctx, d.o.For)
	}
	defer stopLive()
	var side sync.WaitGroup
	watching, stopWatching := context.WithCancel(hard)
	defer stopWatching()
	side.Go(func() { d.screen.watch(watching, d) })
	side.Go(func() { d.first.watch(watching, d) })
	werr := d.workload.Live(live)
	if werr == nil {
		werr = d.caughtUp(hard)
	}
	seconds := time.Since(started).Seconds()
	d.screen.say("draining", "the readers stop, the sinks take what the stream holds")
	stopPipeline()
	perr := <-piped
	snapshot := d.pipeline.Snapshot()
	stopWatching()
	side.Wait()
	if err := errors.Join(werr, perr); err != nil {
		return nil, err
	}
	if d.o.BeforeCheck != nil {
		if err := d.o.BeforeCheck(d.dir, d.pipeline.DialRedis); err != nil {
			return nil, err
		}
	}
	r := d.result(&snapshot, seconds)
	books := Books{Ledger: d.ledger, Store: d.pipeline.Store(), Lake: d.dir + "/lake"}
	c, err := books.Compare(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	r.Comparison = *c
	return r, nil
}

func (d *demo) result(s *status.Snapshot, seconds float64) *Result {
	return &Result{
		Source: d.o.Servers, Shards: d.o.Shards, RowsChanged: d.ledger.Rows(), Events: d.ledger.Events(),
		Lag: s.Process.DeliveryLag, StreamLag: s.Process.StreamLag,
		RSSPeakMB: float64(d.pipeline.Snapshot().Process.RSSPeakBytes) / (1 << 20),
		ServersMS: d.serversMS, FirstWindowMS: d.first.milliseconds(), Seconds: seconds, CPUSeconds: s.Process.CPUSeconds,
	}
}

// caughtUp waits until the pipeline has read all that was committed.
func (d *demo) caughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	want := uint64(d.ledger.Events())
	for {
		var have uint64
		var faults []string
		s := d.pipeline.Snapshot()
		for i := range s.Shards {
			have += s.Shards[i].Events + s.Shards[i].Skipped
			if e := s.Shards[i].Error; e != "" {
				faults = append(faults, fmt.Sprintf("shard %s is %s: %s", s.Shards[i].Shard, s.Shards[i].State, e))
			}
		}
		if have >= want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the readers have %d of %d events after %s %s", have, want, catchUpTimeout, strings.Join(faults, "; "))
		}
	}
}

func (d *demo) close() error {
	var err error
	if d.pipeline != nil {
		err = d.pipeline.Close()
	}
	if d.servers != nil {
		err = errors.Join(err, d.servers.close())
	}
	if d.o.Keep == "" && d.dir != "" {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return err
}
