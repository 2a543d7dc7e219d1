package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tailwater/internal/status"
	"tailwater/stream/kafka"
)

// heldEvery is how often a stream with transactions is asked whether one of
// them holds up its readers: several times in the two seconds that it may take.
const heldEvery = 500 * time.Millisecond

// watchHeld alarms while the newest records of a partition, of whichever shard,
// wait behind a transaction that is open. Every process watches: the one that
// left it open may be dead. It runs until ctx ends.
func (p *Pipeline) watchHeld(ctx context.Context) {
	l, ok := p.log.(*kafka.Log)
	if !ok {
		return
	}
	var named []string
	for _, t := range p.targets {
		named = append(named, t.topic)
	}
	captured := p.capturedTopics()
	w := l.NewWatch(append(slices.Clip(named), captured...)...)
	failing := false
	for pause(ctx, heldEvery) {
		if now := p.capturedTopics(); len(now) > len(captured) {
			captured = now
			w = l.NewWatch(append(slices.Clip(named), captured...)...)
		}
		found, err := w.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// What was held may still be.
			if !failing {
				p.logger.Warn("open transactions of the stream cannot be watched", "error", err)
			}
			failing = true
			continue
		}
		failing = false
		p.nowHeld(found)
	}
}

// nowHeld notes which partitions are held, and logs when they become so and when
// it is over, those of one transaction together.
func (p *Pipeline) nowHeld(found []kafka.Held) {
	before := p.heldNow()
	now := make([]status.Held, 0, len(found))
	for _, f := range found {
		h := status.Held{
			Topic: f.Topic, Partition: f.Partition, Stable: f.Stable, End: f.End, Since: f.Since.UTC(),
			Transaction: f.Transaction, Shard: p.shardOfTransaction(f.Transaction),
		}
		now = append(now, h)
	}
	for _, of := range byTransaction(now, before) {
		p.logger.Warn("the newest records of partitions are hidden behind an open transaction: its reader stands still or has died; they are seen once it starts again, or when the brokers end the transaction",
			"shard", of[0].Shard, "transaction", of[0].Transaction, "partitions", partitionNames(of))
	}
	for _, of := range byTransaction(before, now) {
		p.logger.Info("the records of partitions are seen again",
			"shard", of[0].Shard, "transaction", of[0].Transaction, "partitions", partitionNames(of), "hidden_ms", time.Since(of[0].Since).Milliseconds())
	}
	p.held.Store(&now)
}

// byTransaction returns what is held in all and not in others, those of one
// transaction together.
func byTransaction(all, others []status.Held) [][]status.Held {
	var out [][]status.Held
	for _, h := range all {
		if slices.ContainsFunc(others, h.Same) {
			continue
		}
		i := slices.IndexFunc(out, func(of []status.Held) bool { return of[0].Transaction == h.Transaction })
		if i < 0 {
			out, i = append(out, nil), len(out)
		}
		out[i] = append(out[i], h)
	}
	return out
}

// maxNamed bounds how many partitions a line of the log names; status has all.
const maxNamed = 5

func partitionNames(of []status.Held) string {
	var b strings.Builder
	for i, h := range of {
		if i == maxNamed {
			fmt.Fprintf(&b, " and %d more", len(of)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s/%d", h.Topic, h.Partition)
	}
	return b.String()
}

// heldNow are the partitions that were held at the last look.
func (p *Pipeline) heldNow() []status.Held {
	if h := p.held.Load(); h != nil {
		return *h
	}
	return nil
}

// shardOfTransaction returns the shard that has a transactional id, "" when it
// is nobody's of this configuration.
func (p *Pipeline) shardOfTransaction(id string) string {
	for _, src := range p.allSources() {
		for _, s := range src.Shards {
			if id == kafka.TransactionalID(p.cfg.Name, src.Name, s.ID) {
				return s.ID
			}
		}
	}
	return ""
}
