package demo

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"tailwater/binlog/primary/shop"
	"tailwater/stream"
)

// sampler pairs one committed row with the event that stands for it.
type sampler struct {
	mu   sync.Mutex
	rows map[string]string
	raw  string
	flat string
}

// maxSamples bounds the rows that are remembered until an event is seen.
const maxSamples = 500

func newSampler(l *shop.Ledger) *sampler {
	s := &sampler{rows: make(map[string]string)}
	l.Also(s.committed)
	return s
}

// committed remembers an insert by its commit time and key, as SQL.
func (s *sampler) committed(c *shop.Change) {
	if c.Op != 'c' || !strings.HasPrefix(c.Table.Name, "orders_") {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw != "" || len(s.rows) >= maxSamples {
		return
	}
	id, _ := c.Table.Columns[0].Text(c.After[0])
	s.rows[sampleKey(c.Shard, id)] = shop.SQL(&shop.Op{Kind: shop.Create, Table: c.Table, After: c.After})
}

func sampleKey(shard, id string) string { return fmt.Sprintf("[%q,%q]", shard, id) }

// found returns the pair, which it looks for at the end of the stream.
func (s *sampler) found(ctx context.Context, log stream.Log) (raw, flat string, ok bool) {
	s.mu.Lock()
	done, known := s.raw != "", len(s.rows) > 0
	s.mu.Unlock()
	if !done && known {
		s.look(ctx, log)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw, s.flat, s.raw != ""
}

// look reads the first records of the orders' topic.
func (s *sampler) look(ctx context.Context, log stream.Log) {
	topic := stream.TopicName("demo", "orders")
	bounds, err := log.Bounds(ctx, topic)
	if err != nil || len(bounds) == 0 || bounds[0].Next < 20 {
		return
	}
	c, err := log.NewConsumer(ctx, stream.ConsumerOptions{})
	if err != nil {
		return
	}
	defer c.Close()
	if c.Assign(map[stream.TopicPartition]int64{{Topic: topic}: bounds[0].First}) != nil {
		return
	}
	records, err := c.Poll(ctx)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range records {
		r := &records[i]
		if raw, ok := s.rows[string(r.Key)]; ok && r.Kind == stream.Event && strings.HasPrefix(string(r.Value), `{"_op":"c"`) {
			s.raw, s.flat, s.rows = raw, string(r.Value), nil
			return
		}
	}
}
