package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tailwater/binlog"
	"tailwater/internal/standstill"
	"tailwater/internal/status"
)

// How often servers are asked how long they keep the binlogs that are still to
// be read, how soon after the start, and how many at a time. Every shard is
// asked, whatever it does: one that is stopped or held back needs it most.
const (
	headroomEvery = time.Minute
	headroomFirst = 2 * time.Second
	headroomAtOne = 4
	// headroomSays is how often the log is reminded of a shard whose headroom is
	// low.
	headroomSays = time.Hour
)

// headroom is what the server of one shard said last. It is safe for concurrent
// use.
type headroom struct {
	notice *standstill.Notice

	mu    sync.Mutex
	known *status.Headroom
	said  time.Time
}

func newHeadroom(logger *slog.Logger, source, shard string) *headroom {
	return &headroom{notice: standstill.New(standstill.Options{
		Logger: logger, Level: slog.LevelWarn, Args: []any{"source", source, "shard", shard},
		Stops: "binlogs that are still to be read may be purged soon", Moves: "the server keeps the binlogs that are still to be read long enough",
	})}
}

// get returns what was said last, nil before.
func (h *headroom) get() *status.Headroom {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known
}

// take notes what a server said.
func (h *headroom) take(said binlog.Headroom, now time.Time) {
	next := &status.Headroom{
		Asked: now.UTC(), Behind: said.Behind, Retention: said.Retention.Seconds(), Left: said.Left.Seconds(), Low: said.Low(), Method: said.Method,
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = next
	switch {
	case !next.Low:
		h.said = time.Time{}
		h.notice.Moves(0)
	case now.Sub(h.said) >= headroomSays:
		h.said = now
		h.notice.Stands(0, fmt.Errorf("%s left of a retention of %s, %d bytes behind (%s): mend what holds the shard back, or raise binlog_expire_logs_seconds on the server",
			said.Left.Round(time.Second), said.Retention, said.Behind, said.Method))
	}
}

// watchHeadroom asks the servers of all shards until ctx ends.
func (p *Pipeline) watchHeadroom(ctx context.Context) {
	for wait := headroomFirst; pause(ctx, wait); wait = headroomEvery {
		var g errgroup.Group
		g.SetLimit(headroomAtOne)
		for _, s := range p.allShards() {
			if !s.tenure.held() {
				continue
			}
			g.Go(func() error {
				// What keeps a server from answering shows in the shard's state.
				if err := s.askHeadroom(ctx); err != nil {
					p.logger.Debug("headroom of the binlog is not known", "source", s.source, "shard", s.id, "error", err)
				}
				return nil
			})
		}
		_ = g.Wait() // they return nil
	}
}

// askHeadroom asks the shard's server once.
func (s *shard) askHeadroom(ctx context.Context) error {
	position, err := s.place(ctx)
	if err != nil || position == nil {
		return err
	}
	said, err := s.reader.Load().Headroom(ctx, position)
	if err == nil {
		s.headroom.take(said, s.now())
	}
	return err
}

// place is where the shard stands: where its reader is, or what is saved.
func (s *shard) place(ctx context.Context) ([]byte, error) {
	if r := s.reader.Load().Status(); r.Connected && r.File != "" {
		p := binlog.Position{Flavor: s.options.Flavor, ServerUUID: r.ServerUUID, File: r.File, Pos: r.Pos}
		return p.Append(nil), nil
	}
	return s.saved(ctx, s.id)
}
