package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/status"
	"tailwater/sinks/redis"
)

// screen tells the story: one line per thing that happens, with the seconds
// since the start.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	color bool
	began time.Time
	// what has been told already.
	told   map[string]bool
	states map[string]status.ShardState
	next   time.Time
}

func newScreen(o Options) *screen {
	s := &screen{w: o.Out, color: o.Color, began: o.Began, told: make(map[string]bool), states: make(map[string]status.ShardState)}
	if o.Quiet || s.w == nil {
		s.w = io.Discard
	}
	return s
}

// say prints one line.
func (s *screen) say(what, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	label := fmt.Sprintf("%-9s", what)
	if s.color {
		label = "\x1b[36m" + label + "\x1b[0m"
	}
	fmt.Fprintf(s.w, "%6.1fs  %s %s\n", time.Since(s.began).Seconds(), label, text)
}

// once says a thing the first time only.
func (s *screen) once(what, text string) {
	if !s.told[what] {
		s.told[what] = true
		s.say(what, text)
	}
}

// banner says where everything is.
func (s *screen) banner(d *demo) {
	kind := "in-process MySQL primaries"
	if label := labels[d.o.Servers]; label != "" {
		kind = "real " + label + " servers"
	}
	end := "Ctrl-C drains, compares and ends"
	if d.o.For > 0 {
		end = fmt.Sprintf("it ends after %s, or by Ctrl-C", d.o.For)
	}
	redisAddr := strings.TrimSuffix(strings.TrimPrefix(d.pipeline.RedisURL(), "redis://"), "/0")
	host, port, _ := strings.Cut(redisAddr, ":")
	lines := []string{
		fmt.Sprintf("Tailwater %s: a shop on %d %s, %d row changes a second; %s.", d.o.Version, d.o.Shards, kind, d.o.Rate, end),
		"  status    http://" + d.pipeline.HTTPAddr() + "/api/v1/status    metrics  http://" + d.pipeline.HTTPAddr() + "/metrics",
		"  stream    kcat -b " + d.pipeline.StreamAddr() + " -C -t tw.demo.orders -o end",
		fmt.Sprintf("  windows   redis-cli -h %s -p %s zrange tw:{%s}:windows 0 -1", host, port, metricGMV),
		"  lake      " + d.dir + "/lake",
		"Nothing else is written to this machine.",
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.w, strings.Join(lines, "\n")+"\n")
}

// incident tells of a scripted incident.
func (s *screen) incident(h shop.Happening) {
	switch {
	case h.Kind == shop.Alter:
		s.say("incident", fmt.Sprintf("ALTER TABLE … ADD COLUMN channel on shard %s, in mid-stream; the others do not have it", h.ShardID))
	case h.Over:
		s.say("incident", fmt.Sprintf("shard %s talks again", h.ShardID))
	default:
		s.say("incident", fmt.Sprintf("shard %s goes silent for %s without hanging up: it must turn stalled, the others must not care", h.ShardID, h.For))
	}
}

// watch tells what it sees until ctx ends.
func (s *screen) watch(ctx context.Context, d *demo) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	s.next = time.Now().Add(5 * time.Second)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		snap := d.pipeline.Snapshot()
		s.shards(&snap)
		if raw, flat, ok := d.sample.found(ctx, d.pipeline.Log()); ok && !s.told["event"] {
			s.once("event", "one row change, as the server has it:\n                    "+raw+"\n                  and as Tailwater publishes it:\n                    "+flat)
		}
		s.windows(ctx, d)
		for _, l := range snap.Lake {
			if l.View == "orders" && l.Files > 0 {
				s.once("lake", fmt.Sprintf("the first Parquet files are there; for example:\n                    duckdb -c \"SELECT status, count(*), sum(amount) FROM read_parquet('%s/lake/orders/**/*.parquet', hive_partitioning=true) GROUP BY 1\"", d.dir))
			}
		}
		if time.Now().After(s.next) {
			s.next = time.Now().Add(5 * time.Second)
			s.progress(&snap)
		}
	}
}

// shards tells when all stream, and when one changes its state.
func (s *screen) shards(snap *status.Snapshot) {
	streaming := 0
	for i := range snap.Shards {
		sh := &snap.Shards[i]
		if sh.State == status.Streaming && sh.Connected {
			streaming++
		}
		if old, ok := s.states[sh.Shard]; ok && old != sh.State && s.told["shards"] && sh.State != status.Ended {
			text := fmt.Sprintf("shard %s: %s → %s", sh.Shard, old, sh.State)
			if sh.Error != "" {
				text += ": " + sh.Error
			}
			s.say("shard", text)
		}
		s.states[sh.Shard] = sh.State
	}
	if streaming == len(snap.Shards) {
		s.once("shards", fmt.Sprintf("all %d shards: connecting → streaming", streaming))
	}
}

// windows shows the newest closed window once there is one.
func (s *screen) windows(ctx context.Context, d *demo) {
	if s.told["window"] || !d.first.seen() {
		return
	}
	infos, err := d.pipeline.Store().Windows(ctx, metricGMV, 0)
	if err != nil {
		return
	}
	for _, w := range infos {
		if w.State == redis.StateOpen {
			continue
		}
		full, err := d.pipeline.Store().Window(ctx, metricGMV, w.Start)
		if err != nil {
			return
		}
		var parts []string
		for group, value := range full.Values {
			parts = append(parts, group+" "+value)
			if len(parts) == 4 {
				break
			}
		}
		s.once("window", fmt.Sprintf("%s closed, complete: gmv %s–%s UTC: %s …", plural(closedOf(infos), "window"),
			w.Start.UTC().Format("15:04"), w.End.UTC().Format("15:04"), strings.Join(parts, "  ")))
		return
	}
}

func closedOf(infos []redis.WindowInfo) int {
	n := 0
	for _, w := range infos {
		if w.State != redis.StateOpen {
			n++
		}
	}
	return n
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// progress is one line of figures.
func (s *screen) progress(snap *status.Snapshot) {
	var rows, lake, closed uint64
	for i := range snap.Shards {
		rows += snap.Shards[i].Rows
	}
	for i := range snap.Lake {
		lake += snap.Lake[i].Rows
	}
	for i := range snap.Metrics {
		closed += snap.Metrics[i].Closed
	}
	s.say("", fmt.Sprintf("%d rows read, %d in the lake, %d windows closed; p99 %.0f ms to the stream, %.0f ms to Redis; %d MiB",
		rows, lake, closed, snap.Process.StreamLag.P99, snap.Process.DeliveryLag.P99, snap.Process.RSSBytes>>20))
}

// firstWindow notes when the first closed window could be read.
type firstWindow struct {
	mu sync.Mutex
	at time.Duration
}

func (f *firstWindow) watch(ctx context.Context, d *demo) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		infos, err := d.pipeline.Store().Windows(ctx, metricGMV, 0)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return
			}
			continue
		}
		if closedOf(infos) > 0 {
			f.mu.Lock()
			f.at = time.Since(d.o.Began)
			f.mu.Unlock()
			return
		}
	}
}

func (f *firstWindow) seen() bool { return f.milliseconds() > 0 }

func (f *firstWindow) milliseconds() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return float64(f.at.Microseconds()) / 1000
}
