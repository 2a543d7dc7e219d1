package binlog

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// Room is memory for large events, those above 1 MiB, that the readers of one
// process share: where a change of every shard makes each of them send one, they
// take turns, and the servers that wait are not read meanwhile. A reader holds
// its part until the handler has the rows, and never waits for a second one. It
// may be used from any goroutine.
type Room struct {
	free  *semaphore.Weighted
	bytes int64
}

// NewRoom returns room for bytes. An event that is larger takes all of it.
func NewRoom(bytes int64) *Room { return &Room{semaphore.NewWeighted(bytes), bytes} }

// part is what an event of that many bytes takes.
func (r *Room) part(bytes int) int64 { return min(int64(bytes), r.bytes) }

// take waits until there is room, or ctx ends. It calls waiting before it waits.
func (r *Room) take(ctx context.Context, bytes int, waiting func()) error {
	if r.free.TryAcquire(r.part(bytes)) {
		return nil
	}
	waiting()
	return r.free.Acquire(ctx, r.part(bytes))
}

// give ends what take began.
func (r *Room) give(bytes int) { r.free.Release(r.part(bytes)) }

// share makes a dump take its large events from the room of all readers.
func (r *Room) share(ctx context.Context, o *Options, b *packetBuffer) {
	b.take = func(bytes int) error {
		return r.take(ctx, bytes, func() {
			o.Logger.Info("a large event waits for those of other shards", "shard", o.Shard, "bytes", bytes, "room", r.bytes)
		})
	}
	b.give = r.give
}
