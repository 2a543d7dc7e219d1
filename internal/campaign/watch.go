package campaign

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tailwater/internal/campaign/check"
	"tailwater/internal/campaign/work"
)

// laneID names a lane over all shards.
type laneID struct {
	shard string
	lane  int64
}

// watch follows the ledger in the stream, as any other consumer would, and says
// how far it is.
type watch struct {
	log check.Log
	// addr is where the log answers now.
	addr atomic.Pointer[string]

	mu   sync.Mutex
	seen map[laneID]int64
	// open are kills of which it is not known whether they fell into work.
	open []*kill
}

// kill is one kill, with what was committed then.
type kill struct {
	// what was killed, and at which step when a name was armed.
	what, point string
	at          time.Time
	committed   map[laneID]int64
	// counts is whether unfinished work was hit.
	counts bool
}

func newWatch(pipeline string, rule bool) *watch {
	w := &watch{seen: map[laneID]int64{}}
	none := "127.0.0.1:1"
	w.addr.Store(&none)
	w.log = check.Log{
		Addr: "stream:9092", Pipeline: pipeline, Rule: rule,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: 2 * time.Second}
			return d.DialContext(ctx, network, *w.addr.Load())
		},
	}
	return w
}

// reach says where the log answers from now on.
func (w *watch) reach(addr string) { w.addr.Store(&addr) }

// run follows until ctx ends.
func (w *watch) run(ctx context.Context) error {
	return w.log.Follow(ctx, check.Ledger, w.take)
}

func (w *watch) take(e *check.Event) {
	if e.Entry == nil {
		return
	}
	id := laneID{e.Shard, e.Entry.Lane}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[id] = max(w.seen[id], e.Entry.Seq)
	for _, k := range w.open {
		// It had been committed, and came into the stream after the kill.
		if e.Entry.Seq <= k.committed[id] && e.Published > k.at.UnixMilli() {
			k.counts = true
		}
	}
}

// follow has a kill decided by what comes.
func (w *watch) follow(k *kill) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, k)
	w.open = w.open[max(0, len(w.open)-20):]
}

func (w *watch) counts(k *kill) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return k.counts
}

func (w *watch) hit(k *kill) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.counts = true
}

// lacks returns how many transactions of want are not yet in the stream.
func (w *watch) lacks(want map[laneID]int64) (n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, seq := range want {
		n += max(0, seq-w.seen[id])
	}
	return n
}

// committed is what the servers have acknowledged, by lane.
func committed(w *work.Work) map[laneID]int64 {
	out := map[laneID]int64{}
	for _, l := range w.Lanes() {
		out[laneID{l.Shard, l.Number}] = l.Committed.Load()
	}
	return out
}

// sum is the number of transactions.
func sum(of map[laneID]int64) (n int64) {
	for _, seq := range of {
		n += seq
	}
	return n
}
