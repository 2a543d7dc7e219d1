package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/internal/config"
	"tailwater/internal/status"
	"tailwater/stream"
)

// openQuiet opens a pipeline over one primary that has no tables.
func openQuiet(t *testing.T) *Pipeline {
	t.Helper()
	s, err := primary.Start(primary.Options{User: "tailwater", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	text := fmt.Sprintf(`version: 1
name: quiet
state: { dir: ./state }
sources:
  s: { type: mysql, server_id: 100-199, shards: { list: [{ name: "00", dsn: "tailwater:x@tcp(%s)/" }] } }
tables:
  orders: { from: { source: s, schema: shop, table: orders }, key: [id] }
views:
  orders: { from: orders }
windows:
  metrics:
    n: { view: orders, value: count() }
lake: { url: file://./lake }
http: { listen: 127.0.0.1:0 }
`, s.Addr())
	path := filepath.Join(t.TempDir(), "tailwater.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, findings := config.Load(path, os.LookupEnv)
	if cfg == nil {
		t.Fatalf("configuration: %s", findings)
	}
	p, err := Open(t.Context(), Options{Config: cfg.Resolved(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPipeline_DrainsAViewThatNeverHadAnEvent(t *testing.T) {
	p := openQuiet(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stop, drain := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Run(stop, ctx, 10*time.Second) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		bounds, err := p.Log().Bounds(ctx, "tw.quiet.orders")
		if err == nil && bounds[0].Next > 0 {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the shard never fenced its partitions")
		}
	}
	drain()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil: fences and heartbeats are nothing to wait for", err)
	}
}

func TestPipeline_ReadersPauseWhileTheStreamHasNoRoomAndGoOnByThemselves(t *testing.T) {
	p := openQuiet(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go p.keepRoom(ctx)
	wait := func(paused bool) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for p.Snapshot().Stream.Paused != paused {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("the stream never had paused = %v: %+v", paused, p.Snapshot().Stream)
			}
		}
	}
	session, err := p.log.OpenShard(ctx, stream.ShardOptions{Source: "s", Shard: "00", Topics: []string{"tw.quiet.orders"}})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	p.diskLimit.Store(1) // the fences alone are more
	wait(true)
	if s := p.Snapshot(); s.Verdict != status.Degraded || !strings.Contains(s.Stream.Error, "limits.disk") {
		t.Errorf("verdict %s, stream %+v, want degraded, and limits.disk named", s.Verdict, s.Stream)
	}
	blocked := make(chan error, 1)
	go func() { blocked <- p.gate.wait(ctx, 1) }()
	p.diskLimit.Store(1 << 30)
	wait(false)
	if err := <-blocked; err != nil {
		t.Errorf("a publisher that waited: %v, want it to go on", err)
	}
}
