package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tailwater/internal/config"
	"tailwater/internal/objstore"
	"tailwater/internal/pipeline"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// pipelineBench is a server's binlog to where it goes, the whole process.
var pipelineBench = &bench{
	name: "pipeline", what: "a server's binlog over loopback to its destination, CPU of the whole process from its start",
	fresh: true, serve: serveRecording, fixtures: "ab", rows: map[string]int{"a": 200_000},
	groups: func() []*group {
		return []*group{
			{name: "stream", arms: []*arm{
				{name: "tailwater", what: "the program: reader, view, embedded stream, synced", run: tailwater{}.run},
				{name: "go-mysql-kafka", what: "go-mysql, map, encoding/json, franz-go with its defaults into kfake on disk, never synced", run: rival{}.run},
			}},
			{name: "windows", arms: []*arm{
				{name: "tailwater", what: "the same, and two metrics in the embedded Redis", run: tailwater{to: "windows"}.run},
				{name: "go-mysql-kafka-map-redis", what: "the same, consumed, encoding/json, a Go map for each metric, HSETs in pipelines", run: rival{windows: true}.run},
			}},
			{name: "lake", arms: []*arm{
				{name: "tailwater", what: "the same as stream, and zstd Parquet files with manifests", run: tailwater{to: "lake"}.run},
				{name: "go-mysql-kafka-parquet-go", what: "the same, consumed, encoding/json, parquet-go's GenericWriter with zstd, one file", run: rival{lake: true}.run},
			}},
		}
	},
}

// partitions is the number of partitions of every arm's topic.
const partitions = 12

// windowSize is the size of the windows of every arm.
const windowSize = 5 * time.Minute

// The metrics of every arm.
const (
	metricChanges = "changes"
	metricGMV     = "gmv"
)

// configText is the configuration of the arm, with a shard for each address:
// nothing is tuned.
func configText(addrs []string, dir, to string) string {
	var b, shards strings.Builder
	for i, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr)
		fmt.Fprintf(&shards, "        - { name: \"%02d\", host: %s, port: %s, user: %q, password: %q }\n", i, host, port, user, password)
	}
	fmt.Fprintf(&b, `version: 1
name: bench
state: { dir: %[1]q }
sources:
  shop:
    type: mysql
    server_id: 5400-5499
    connect: { tls: disable }
    shards:
      list:
%[2]stables:
  orders: { from: { source: shop, schema: %[3]s, table: %[4]s }, key: [id] }
views:
  orders: { from: orders }
stream: { type: embedded, partitions: %[5]d }
http: { listen: 127.0.0.1:0 }
limits: { memory: 512MiB }
`, filepath.Join(dir, "state"), shards.String(), database, table, partitions)
	switch to {
	case "windows":
		fmt.Fprintf(&b, `windows:
  store: { type: embedded }
  metrics:
    %s: { view: orders, value: count(), group_by: [city] }
    %s: { view: orders, value: sum(amount), group_by: [city] }
`, metricChanges, metricGMV)
	case "lake":
		fmt.Fprintf(&b, "lake:\n  url: %q\n", "file://"+filepath.Join(dir, "lake"))
	}
	return b.String()
}

// tailwater runs the pipeline until all of the recording is where it goes and
// drained.
type tailwater struct {
	to string
	// parts reads from the servers that have a part of the recording each.
	parts bool
}

// run does the work once.
func (a tailwater) run(ctx context.Context, j *job, t *tally) error {
	dir, err := os.MkdirTemp("", "tw-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	addrs := []string{j.Addr}
	if a.parts {
		addrs = j.Parts
	}
	path := filepath.Join(dir, "tailwater.yaml")
	if err := os.WriteFile(path, []byte(configText(addrs, dir, a.to)), 0o600); err != nil {
		return err
	}
	cfg, findings := config.Load(path, os.LookupEnv)
	if cfg == nil {
		return fmt.Errorf("the configuration has errors:\n%s", findings)
	}
	p, err := pipeline.Open(ctx, pipeline.Options{Config: cfg.Resolved(), Logger: slog.New(slog.DiscardHandler), PortFallback: true})
	if err != nil {
		return err
	}
	err = runPipeline(ctx, p, j.Count)
	t.stop()
	if err == nil {
		t.count = j.Count
		for _, s := range p.Snapshot().Shards {
			t.bytes += int64(s.Bytes)
		}
		if j.Check {
			err = readBack(ctx, p, a.to, filepath.Join(dir, "lake"), t)
		}
	}
	return errors.Join(err, p.Close())
}

// lapTimeout bounds one run of a whole pipeline.
const lapTimeout = 5 * time.Minute

// runPipeline runs p until its shards have given count events, and drains it.
func runPipeline(ctx context.Context, p *pipeline.Pipeline, count int64) error {
	hard, cancel := context.WithTimeout(ctx, lapTimeout)
	defer cancel()
	live, stop := context.WithCancel(hard)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.Run(live, hard, lapTimeout) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return fmt.Errorf("the pipeline ended early: %w", err)
		case <-tick.C:
		}
		events := int64(0)
		for _, s := range p.Snapshot().Shards {
			if s.Error != "" {
				return fmt.Errorf("shard %s: %s", s.Shard, s.Error)
			}
			events += int64(s.Events)
		}
		// A drain waits for the metrics of a view once they have begun, which
		// the first events of a short run may be ahead of.
		if events < count || !begun(ctx, p) {
			continue
		}
		stop()
		return <-done
	}
}

// begun reports whether each metric has a window.
func begun(ctx context.Context, p *pipeline.Pipeline) bool {
	if p.Store() == nil {
		return true
	}
	for _, metric := range []string{metricChanges, metricGMV} {
		if infos, err := p.Store().Windows(ctx, metric, 1); err != nil || len(infos) == 0 {
			return false
		}
	}
	return true
}

// readBack hashes what came out, as others read it.
func readBack(ctx context.Context, p *pipeline.Pipeline, to, lake string, t *tally) error {
	switch to {
	case "windows":
		return readWindows(ctx, p, t)
	case "lake":
		return readLake(ctx, lake, t)
	}
	return readStream(ctx, p.Log(), t)
}

func readStream(ctx context.Context, log stream.Log, t *tally) error {
	topic := stream.TopicName("bench", ordersName)
	bounds, err := log.Bounds(ctx, topic)
	if err != nil {
		return err
	}
	c, err := log.NewConsumer(ctx, stream.ConsumerOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	offsets, left := make(map[stream.TopicPartition]int64), int64(0)
	for i, b := range bounds {
		offsets[stream.TopicPartition{Topic: topic, Partition: int32(i)}] = b.First
		left += b.Next - b.First
	}
	if err := c.Assign(offsets); err != nil {
		return err
	}
	for left > 0 {
		records, err := c.Poll(ctx)
		if err != nil {
			return err
		}
		left -= int64(len(records))
		for i := range records {
			if records[i].Kind != stream.Event {
				continue
			}
			if err := t.hashEvent(records[i].Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func readWindows(ctx context.Context, p *pipeline.Pipeline, t *tally) error {
	for _, metric := range []string{metricChanges, metricGMV} {
		infos, err := p.Store().Windows(ctx, metric, 0)
		if err != nil {
			return err
		}
		for _, info := range infos {
			w, err := p.Store().Window(ctx, metric, info.Start)
			if err != nil {
				return err
			}
			for group, value := range w.Values {
				t.line(windowLine(metric, info.Start.Unix(), group, value))
			}
		}
	}
	return nil
}

// windowLine is one value of one window. group is the JSON array of the group.
func windowLine(metric string, start int64, group, value string) string {
	return fmt.Sprintf("%s %d %s %s\n", metric, start, group, value)
}

func readLake(ctx context.Context, dir string, t *tally) error {
	store, err := objstore.OpenDir(dir)
	if err != nil {
		return err
	}
	for batch, err := range parquet.Committed(ctx, store, "orders", parquet.DefaultLayout) {
		if err != nil {
			return err
		}
		for _, f := range batch.Done.Files {
			err := parquet.ReadFile(ctx, store, f, func(row *parquet.FileRow) error {
				return t.lakeLine(func(column string) string {
					text, ok := row.Text(column)
					if !ok {
						return "\x00"
					}
					return text
				})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// lakeLine adds a row of the lake to the digest.
func (t *tally) lakeLine(text func(column string) string) error {
	var b strings.Builder
	for _, c := range lakeColumns {
		v := text(c)
		if c == columnPayload {
			var err error
			if v, err = canonicalValue(c, v); err != nil {
				return err
			}
		}
		b.WriteString(c + "=" + v + "\n")
	}
	t.line(b.String())
	return nil
}

// lakeColumns are the columns that are compared.
var lakeColumns = []string{"_op", "_ts_us", "_db", "_table", "_gtid", "id", "customer", columnStatus, columnAmount, columnCity, "note", columnPayload, columnMade, columnSeen}
