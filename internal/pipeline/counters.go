package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"tailwater/binlog"
	"tailwater/internal/status"
)

// counters are what one shard counted since the process started, over all its
// sessions. They are safe for concurrent use.
type counters struct {
	transactions, rows, tables, shadows, accepted, events, filtered, skipped, raw, reconnects atomic.Uint64
	// lastCommit is the newest commit time read, in µs; lastSaved when a
	// position was last stored, in ns.
	lastCommit, lastSaved atomic.Int64
	epoch                 atomic.Uint32
	waiting               waiting

	// since bounds what lag counts: transactions committed before it are
	// history and would drown the figure.
	since int64
	lag   *status.Latency

	// owner is who has the shard while it is not this process's.
	owner atomic.Pointer[string]

	mu    sync.Mutex
	state status.ShardState
	at    time.Time
	fault string
}

// commit notes a transaction that gave n events and was read at about now.
func (c *counters) commit(tx *binlog.Transaction, n uint64, now time.Time) {
	c.waiting.behind.Store(now.UnixMicro() - tx.CommitMicros)
	c.transactions.Add(1)
	c.events.Add(n)
	c.shadows.Add(uint64(tx.Shadows))
	c.accepted.Add(uint64(tx.Accepted))
	c.lastCommit.Store(tx.CommitMicros)
}

// published notes the lag of every transaction of a batch now durable: it waits
// no more.
func (c *counters) published(b *batch, now time.Time) {
	b.oldest.Store(0)
	for _, t := range b.commits {
		if t.micros >= c.since {
			c.lag.Observe(now.Sub(time.UnixMicro(t.micros)), t.events)
		}
	}
}

func (c *counters) saved(now time.Time) { c.lastSaved.Store(now.UnixNano()) }

// set changes the shard's state and says whether it was another one before.
func (c *counters) set(s status.ShardState, fault string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.state != s || c.fault != fault
	if changed {
		c.state, c.fault, c.at = s, fault, now
	}
	return changed
}

func (c *counters) get() (status.ShardState, string, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.fault, c.at
}
