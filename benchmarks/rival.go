package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/parquet-go/parquet-go"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	redisembedded "tailwater/sinks/redis/embedded"
)

// rival is a pipeline as one writes it from libraries with their defaults. It
// stores no position, survives nothing, and drops no duplicate.
type rival struct{ windows, lake bool }

// rivalTopic is the topic of the rival's broker.
const rivalTopic = "orders"

// run does the work once.
func (r rival) run(ctx context.Context, j *job, t *tally) error {
	dir, err := os.MkdirTemp("", "tw-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(filepath.Join(dir, "kafka")), kfake.SeedTopics(partitions, rivalTopic))
	if err != nil {
		return err
	}
	defer broker.Close()
	ctx, cancel := context.WithTimeout(ctx, lapTimeout)
	defer cancel()

	consumed := make(chan error, 1)
	sink, err := r.sink(dir)
	if err != nil {
		return err
	}
	go func() {
		if sink == nil {
			consumed <- nil
			return
		}
		consumed <- consume(ctx, broker.ListenAddrs(), j.Count, sink.take)
	}()
	perr := produce(ctx, j, t, broker.ListenAddrs())
	if perr != nil {
		cancel()
	}
	err = errors.Join(perr, <-consumed)
	if err == nil && sink != nil {
		err = sink.finish(ctx)
	}
	t.stop()
	if err != nil {
		return err
	}
	if !j.Check {
		if sink != nil {
			return sink.close()
		}
		return nil
	}
	if sink != nil {
		return errors.Join(sink.check(ctx, t), sink.close())
	}
	return consume(ctx, broker.ListenAddrs(), j.Count, t.hashEvent)
}

// produce reads the binlog and produces a record for each row.
func produce(ctx context.Context, j *job, t *tally, addrs []string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic(rivalTopic))
	if err != nil {
		return err
	}
	defer cl.Close()
	host, port, _ := net.SplitHostPort(j.Addr)
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4711, Flavor: mysql.MySQLFlavor, Host: host, Port: uint16(n), User: user, Password: password,
		VerifyChecksum: true, TimestampStringLocation: time.UTC, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	from, err := mysql.ParseMysqlGTIDSet("")
	if err != nil {
		return err
	}
	events, err := syncer.StartSyncGTID(from)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	m := mapper{emit: func(key string, row map[string]any) error {
		value, err := json.Marshal(row)
		if err != nil {
			return err
		}
		t.count++
		t.bytes += int64(len(value))
		cl.Produce(ctx, &kgo.Record{Key: []byte(key), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
		return nil
	}}
	for t.count < j.Count {
		e, err := events.GetEvent(ctx)
		if err != nil {
			return err
		}
		if err := m.event(e); err != nil {
			return err
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("produce: %w", err)
	default:
		return nil
	}
}

// consume hands the values of count records to take.
func consume(ctx context.Context, addrs []string, count int64, take func(value []byte) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(rivalTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for count > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); count-- {
			if err := take(it.Next().Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// rivalSink is where the rival's consumer puts the events.
type rivalSink interface {
	take(value []byte) error
	finish(ctx context.Context) error
	check(ctx context.Context, t *tally) error
	close() error
}

// sink returns the rival's sink, nil without one.
func (r rival) sink(dir string) (rivalSink, error) {
	switch {
	case r.windows:
		server, err := redisembedded.Start("127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		return &mapWindows{server: server, client: redis.NewClient(&redis.Options{
			Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return server.Dial(ctx) },
		}),
			counts: make(map[windowKey]int64), sums: make(map[windowKey]int64), dirty: make(map[windowKey]bool)}, nil
	case r.lake:
		f, err := os.Create(filepath.Join(dir, "orders.parquet"))
		if err != nil {
			return nil, err
		}
		return &structLake{file: f, writer: parquet.NewGenericWriter[lakeRow](f, parquet.Compression(&parquet.Zstd))}, nil
	}
	return nil, nil
}

// windowKey is a window and its group.
type windowKey struct {
	start int64
	city  string
}

// mapWindows keeps two metrics in Go maps and writes what changed.
type mapWindows struct {
	server       *redisembedded.Server
	client       *redis.Client
	counts, sums map[windowKey]int64
	dirty        map[windowKey]bool
	flushed      time.Time
}

var _ rivalSink = (*mapWindows)(nil)

// take adds an event; what changed is written ten times a second.
func (w *mapWindows) take(value []byte) error {
	var event struct {
		TS     int64  `json:"_ts_us"`
		City   string `json:"city"`
		Amount string `json:"amount"`
	}
	if err := json.Unmarshal(value, &event); err != nil {
		return err
	}
	cents, err := strconv.ParseInt(strings.Replace(event.Amount, ".", "", 1), 10, 64)
	if err != nil {
		return err
	}
	at := time.UnixMicro(event.TS)
	k := windowKey{at.Truncate(windowSize).Unix(), event.City}
	w.counts[k]++
	w.sums[k] += cents
	w.dirty[k] = true
	if time.Since(w.flushed) < 100*time.Millisecond {
		return nil
	}
	return w.finish(context.Background())
}

// finish writes what changed.
func (w *mapWindows) finish(ctx context.Context) error {
	p := w.client.Pipeline()
	for k := range w.dirty {
		p.HSet(ctx, fmt.Sprintf("%s:%d", metricChanges, k.start), k.city, w.counts[k])
		p.HSet(ctx, fmt.Sprintf("%s:%d", metricGMV, k.start), k.city, fmt.Sprintf("%d.%02d", w.sums[k]/100, w.sums[k]%100))
	}
	clear(w.dirty)
	w.flushed = time.Now()
	_, err := p.Exec(ctx)
	return err
}

// check reads the windows back from Redis.
func (w *mapWindows) check(ctx context.Context, t *tally) error {
	keys, err := w.client.Keys(ctx, "*").Result()
	if err != nil {
		return err
	}
	for _, key := range keys {
		metric, start, _ := strings.Cut(key, ":")
		seconds, err := strconv.ParseInt(start, 10, 64)
		if err != nil {
			return err
		}
		values, err := w.client.HGetAll(ctx, key).Result()
		if err != nil {
			return err
		}
		for city, value := range values {
			t.line(windowLine(metric, seconds, `["`+city+`"]`, value))
		}
	}
	return nil
}

func (w *mapWindows) close() error { return errors.Join(w.client.Close(), w.server.Close()) }

// lakeRow is a row of the rival's file.
type lakeRow struct {
	Op       string  `parquet:"_op"`
	Shard    string  `parquet:"_shard"`
	TS       int64   `parquet:"_ts_us,timestamp(microsecond)"`
	DB       string  `parquet:"_db"`
	Table    string  `parquet:"_table"`
	GTID     string  `parquet:"_gtid"`
	ID       int64   `parquet:"id"`
	Customer int64   `parquet:"customer"`
	Status   string  `parquet:"status"`
	Amount   int64   `parquet:"amount,decimal(2:12)"`
	City     string  `parquet:"city"`
	Note     *string `parquet:"note,optional"`
	Payload  string  `parquet:"payload"`
	Made     int64   `parquet:"made,timestamp(microsecond:local)"`
	Seen     int64   `parquet:"seen,timestamp(microsecond)"`
}

// rowJSON is an event as the rival's consumer reads it.
type rowJSON struct {
	Op       string  `json:"_op"`
	Shard    string  `json:"_shard"`
	TS       int64   `json:"_ts_us"`
	DB       string  `json:"_db"`
	Table    string  `json:"_table"`
	GTID     string  `json:"_gtid"`
	ID       int64   `json:"id"`
	Customer int64   `json:"customer"`
	Status   string  `json:"status"`
	Amount   string  `json:"amount"`
	City     string  `json:"city"`
	Note     *string `json:"note"`
	Payload  string  `json:"payload"`
	Made     string  `json:"made"`
	Seen     string  `json:"seen"`
}

// structLake writes one file of structs.
type structLake struct {
	file   *os.File
	writer *parquet.GenericWriter[lakeRow]
	rows   []lakeRow
}

var _ rivalSink = (*structLake)(nil)

const momentLayout = "2006-01-02 15:04:05.000"

// take writes a row, a thousand at a time.
func (l *structLake) take(value []byte) error {
	var r rowJSON
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	cents, err := strconv.ParseInt(strings.Replace(r.Amount, ".", "", 1), 10, 64)
	if err != nil {
		return err
	}
	made, err := time.Parse(momentLayout, r.Made)
	if err != nil {
		return err
	}
	seen, err := time.Parse(momentLayout, r.Seen)
	if err != nil {
		return err
	}
	l.rows = append(l.rows, lakeRow{Op: r.Op, Shard: r.Shard, TS: r.TS, DB: r.DB, Table: r.Table, GTID: r.GTID, ID: r.ID, Customer: r.Customer,
		Status: r.Status, Amount: cents, City: r.City, Note: r.Note, Payload: r.Payload, Made: made.UnixMicro(), Seen: seen.UnixMicro()})
	if len(l.rows) < 1000 {
		return nil
	}
	return l.write()
}

func (l *structLake) write() error {
	_, err := l.writer.Write(l.rows)
	l.rows = l.rows[:0]
	return err
}

// finish writes the file's end.
func (l *structLake) finish(context.Context) error {
	return errors.Join(l.write(), l.writer.Close())
}

// check reads the file back.
func (l *structLake) check(_ context.Context, t *tally) error {
	r := parquet.NewGenericReader[lakeRow](l.file)
	defer func() { _ = r.Close() }()
	rows := make([]lakeRow, 1000)
	for {
		n, err := r.Read(rows)
		for i := range rows[:n] {
			row := &rows[i]
			note := "\x00"
			if row.Note != nil {
				note = *row.Note
			}
			values := map[string]string{
				"_op": row.Op, "_ts_us": fmt.Sprint(row.TS), "_db": row.DB, "_table": row.Table, "_gtid": row.GTID,
				"id": fmt.Sprint(row.ID), "customer": fmt.Sprint(row.Customer), columnStatus: row.Status, columnCity: row.City, "note": note,
				columnAmount: fmt.Sprintf("%d.%02d", row.Amount/100, row.Amount%100), columnPayload: row.Payload,
				columnMade: fmt.Sprint(row.Made), columnSeen: fmt.Sprint(row.Seen),
			}
			if err := t.lakeLine(func(c string) string { return values[c] }); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *structLake) close() error { return l.file.Close() }
