package parquet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/stream"
)

// memLog is a log of one topic in memory, for workers only.
type memLog struct {
	mu      sync.Mutex
	parts   [][]stream.Record
	first   []int64
	schemas map[string]change.Schema
	grown   chan struct{}
}

var _ stream.Log = (*memLog)(nil)

func newMemLog(partitions int) *memLog {
	return &memLog{
		parts: make([][]stream.Record, partitions), first: make([]int64, partitions),
		schemas: make(map[string]change.Schema), grown: make(chan struct{}),
	}
}

func (l *memLog) append(records ...stream.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		r.Offset = int64(len(l.parts[r.Partition]))
		l.parts[r.Partition] = append(l.parts[r.Partition], r)
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *memLog) EnsureTopic(context.Context, stream.TopicSpec) (stream.Topic, error) {
	return stream.Topic{}, errors.ErrUnsupported
}

func (l *memLog) PutSchema(_ context.Context, s change.Schema) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.schemas[s.Fingerprint()] = s
	return nil
}

func (l *memLog) Schemas(context.Context, string) (map[string]change.Schema, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]change.Schema)
	for k, v := range l.schemas {
		out[k] = v
	}
	return out, nil
}

func (l *memLog) OpenShard(context.Context, stream.ShardOptions) (stream.Session, error) {
	return nil, errors.ErrUnsupported
}

func (l *memLog) Bounds(context.Context, string) ([]stream.Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]stream.Bounds, len(l.parts))
	for i := range out {
		out[i] = stream.Bounds{First: l.first[i], Next: int64(len(l.parts[i]))}
	}
	return out, nil
}

func (l *memLog) Close() error { return nil }

func (l *memLog) NewConsumer(context.Context, stream.ConsumerOptions) (stream.Consumer, error) {
	return &memConsumer{log: l, rng: rand.New(rand.NewPCG(1, 2))}, nil
}

type memConsumer struct {
	log *memLog
	at  map[stream.TopicPartition]int64
	rng *rand.Rand
}

func (c *memConsumer) Assign(offsets map[stream.TopicPartition]int64) error {
	c.at = make(map[stream.TopicPartition]int64)
	for tp, o := range offsets {
		c.at[tp] = o
	}
	return nil
}

// Poll returns a random number of records of each partition, so that batches
// differ from one run to the next.
func (c *memConsumer) Poll(ctx context.Context) ([]stream.Record, error) {
	for {
		c.log.mu.Lock()
		var out []stream.Record
		for _, tp := range slices.SortedFunc(maps.Keys(c.at), func(a, b stream.TopicPartition) int { return int(a.Partition - b.Partition) }) {
			at := c.at[tp]
			have := c.log.parts[tp.Partition]
			if at < c.log.first[tp.Partition] {
				c.log.mu.Unlock()
				return nil, fmt.Errorf("offset %d: %w", at, stream.ErrOffsetOutOfRange)
			}
			n := min(int64(len(have)), at+1+c.rng.Int64N(7))
			out = append(out, have[at:n]...)
			c.at[tp] = max(at, n)
		}
		grown := c.log.grown
		c.log.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *memConsumer) Close() error { return nil }

// writer makes the records of one shard as a reader would.
type writer struct {
	shard string
	epoch uint32
	txn   uint64
	n     map[int32]uint64
	print string
}

func newWriter(shard string, print string) *writer {
	return &writer{shard: shard, epoch: 1, n: make(map[int32]uint64), print: print}
}

// event is one event; micros is its commit time, columns the JSON behind the metadata.
func (w *writer) event(p int32, micros int64, columns string) stream.Record {
	w.txn++
	w.n[p]++
	lsn := change.LSN{Epoch: w.epoch, Txn: w.txn, Row: 1}
	value := fmt.Sprintf(`{"_op":"c","_shard":%q,"_ts_us":%d,"_lsn":"%s","_schema":%q,%s}`, w.shard, micros, lsn, w.print, columns)
	return stream.Record{
		Topic: "tw.t.orders", Partition: p, Kind: stream.Event, Shard: w.shard, LSN: lsn, N: w.n[p],
		Watermark: micros, Key: []byte("k"), Value: []byte(value),
	}
}

// last is the LSN of the last event.
func (w *writer) last() change.LSN { return change.LSN{Epoch: w.epoch, Txn: w.txn, Row: 1} }

func (w *writer) fence(p int32) stream.Record {
	w.n[p] = 0
	return stream.Record{Topic: "tw.t.orders", Partition: p, Kind: stream.Fence, Shard: w.shard, LSN: change.LSN{Epoch: w.epoch}}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readLake reads every row of the lake's files below a table, as column -> text.
func readLake(t *testing.T, s objstore.Store, table string) []map[string]string {
	t.Helper()
	var out []map[string]string
	for info, err := range s.List(t.Context(), table+"/") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := s.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		f, err := pq.OpenFile(strings.NewReader(string(b)), int64(len(b)))
		if err != nil {
			t.Fatalf("open %s: %v", info.Key, err)
		}
		names := f.Schema().Fields()
		for _, g := range f.RowGroups() {
			rows := g.Rows()
			buf := make([]pq.Row, 16)
			for {
				n, err := rows.ReadRows(buf)
				for _, row := range buf[:n] {
					m := map[string]string{"_file": info.Key}
					for i, v := range row {
						if !v.IsNull() {
							m[names[i].Name()] = v.String()
						}
					}
					out = append(out, m)
				}
				if err != nil {
					break
				}
			}
			rows.Close()
		}
	}
	return out
}
