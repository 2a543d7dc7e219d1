package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/stream"
)

// ordersName is the name of the view.
const ordersName = "orders"

// positionsTopic is the topic of the shard's positions, which a session makes.
func positionsTopic(name string) string { return stream.TopicName(name, "positions."+shardID) }

// claimed is how many offsets of each partition a session's claim takes: a fence
// or a position, and the end of its transaction.
const claimed = 2

// kafkaTopic is a topic to read, from the offset from in each partition.
type kafkaTopic struct {
	addr, name string
	partitions int
	from       int64
}

// read hands committed records and the ends of transactions to take, up to the
// last one. It fails unless want are records.
func (k kafkaTopic) read(ctx context.Context, want int64, take func(r *kgo.Record)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lapTimeout, fmt.Errorf("topic %s: not all of %d records came in time", k.name, want))
	defer cancel()
	next, offsets := make(map[int32]int64), make(map[int32]kgo.Offset)
	for p := range int32(k.partitions) {
		next[p], offsets[p] = k.from, kgo.NewOffset().At(k.from)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{k.name: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	left := want
	for ended := false; !ended; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				left--
			}
			take(r)
		})
		if left > 0 {
			continue
		}
		// The last records are seen, so the ends of their transactions stand.
		if ended, err = k.ended(ctx, cl, next); err != nil {
			return err
		}
	}
	if left != 0 {
		return fmt.Errorf("topic %s has %d records, want %d", k.name, want-left, want)
	}
	return nil
}

// ended reports whether a reader has all that is committed.
func (k kafkaTopic) ended(ctx context.Context, cl *kgo.Client, next map[int32]int64) (bool, error) {
	stable, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, k.name)
	if err == nil {
		err = stable.Error()
	}
	ended := true
	stable.Each(func(o kadm.ListedOffset) { ended = ended && next[o.Partition] >= o.Offset })
	return ended, err
}

// hashKafka adds to the digest what a pass has left: the events with keys and
// headers, how long each position is, and the ends of transactions.
func hashKafka(ctx context.Context, addr, name string, from, publishes int64, t *tally) error {
	line := func(what string) func(r *kgo.Record) {
		return func(r *kgo.Record) {
			switch {
			case r.Attrs.IsControl():
				t.line(fmt.Sprintf("end of a transaction in %s, partition %d", what, r.Partition))
			case what == ordersName:
				var b strings.Builder
				fmt.Fprintf(&b, "%d %q %q", r.Partition, r.Key, r.Value)
				for _, h := range r.Headers {
					fmt.Fprintf(&b, " %s %x", h.Key, h.Value)
				}
				t.line(b.String())
			default:
				t.line(fmt.Sprintf("position of %d bytes", len(r.Value)))
			}
		}
	}
	events := kafkaTopic{addr: addr, name: stream.TopicName(name, ordersName), partitions: partitions, from: from}
	if err := events.read(ctx, t.count, line(ordersName)); err != nil {
		return err
	}
	positions := kafkaTopic{addr: addr, name: positionsTopic(name), partitions: 1, from: from}
	return positions.read(ctx, publishes, line("positions"))
}

// removeTopics removes the topics of a pipeline, so that the broker's memory does
// not grow with the laps.
func removeTopics(ctx context.Context, addr, name string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, topic := range all.Names() {
		if strings.HasPrefix(topic, stream.TopicName(name, "")) {
			names = append(names, topic)
		}
	}
	done, err := admin.DeleteTopics(ctx, names...)
	return errors.Join(err, done.Error())
}
