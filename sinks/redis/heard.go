package redis

import (
	"context"
	"fmt"
	"time"

	"tailwater/stream"
)

// scanWait bounds one poll of a scan: the records are there already.
const scanWait = 10 * time.Second

// firstHeard reads a partition from offset from, before end, and returns the
// largest of the watermarks that it first hears, one from each shard, and the
// shards that it does not hear.
func firstHeard(ctx context.Context, src Source, at stream.TopicPartition, from, end int64, shards []string) (largest int64, silent []string, err error) {
	verb := fmt.Sprintf("scan %s/%d from offset %d", at.Topic, at.Partition, from)
	c, err := src.NewConsumer(ctx, stream.ConsumerOptions{})
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", verb, err)
	}
	defer c.Close() // it was only read from
	if err := c.Assign(map[stream.TopicPartition]int64{at: from}); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", verb, err)
	}
	waiting := make(map[string]bool, len(shards))
	for _, s := range shards {
		waiting[s] = true
	}
	for from < end && len(waiting) > 0 {
		short, cancel := context.WithTimeout(ctx, scanWait)
		records, err := c.Poll(short)
		cancel()
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", verb, err)
		}
		for i := range records {
			r := &records[i]
			if waiting[r.Shard] && r.Watermark > 0 {
				delete(waiting, r.Shard)
				largest = max(largest, r.Watermark)
			}
			from = r.Offset + 1
		}
	}
	for _, s := range shards {
		if waiting[s] {
			silent = append(silent, s)
		}
	}
	return largest, silent, nil
}
