package pipeline

import (
	"context"
	"slices"
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

// nowHeld notes which partitions are held, and logs each when it becomes so and
// when it is over.
func (p *Pipeline) nowHeld(found []kafka.Held) {
	before := p.heldNow()
	now := make([]status.Held, 0, len(found))
	for _, f := range found {
		h := status.Held{
			Topic: f.Topic, Partition: f.Partition, Stable: f.Stable, End: f.End, Since: f.Since.UTC(),
			Transaction: f.Transaction, Shard: p.shardOfTransaction(f.Transaction),
		}
		now = append(now, h)
		if !slices.ContainsFunc(before, h.Same) {
			p.logger.Warn("the newest records of a partition are hidden behind an open transaction: its reader stands still or has died; they are seen once it starts again, or when the brokers end the transaction",
				"topic", h.Topic, "partition", h.Partition, "shard", h.Shard, "transaction", h.Transaction, "stable", h.Stable, "end", h.End)
		}
	}
	for _, h := range before {
		if !slices.ContainsFunc(now, h.Same) {
			p.logger.Info("the records of a partition are seen again", "topic", h.Topic, "partition", h.Partition, "shard", h.Shard, "hidden_ms", time.Since(h.Since).Milliseconds())
		}
	}
	p.held.Store(&now)
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
