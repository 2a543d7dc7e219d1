package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"tailwater/internal/config"
	"tailwater/internal/standstill"
	"tailwater/stream"
)

// owners returns the stream as one whose shards several processes share, nil
// when this process has them for itself.
func (p *Pipeline) owners() stream.Owners {
	o, ok := p.log.(stream.Owners)
	if !ok || !p.has(Reader) {
		return nil
	}
	return o
}

// newTenure is that of a shard of which nobody has said yet whose it is.
func (p *Pipeline) newTenure() *tenure {
	if p.owners() == nil {
		return newTenure(mine, nil)
	}
	return newTenure(unknown, p.tellOwners)
}

// tellOwners says that what this process can follow, or follows, is another.
func (p *Pipeline) tellOwners() {
	select {
	case p.ownChanged <- struct{}{}:
	default:
	}
}

// allShards are the shards of now, in the order of the configuration.
func (p *Pipeline) allShards() []*shard {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shards
}

// allSources are the sources of now.
func (p *Pipeline) allSources() []config.ResolvedSource {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sources
}

// follow runs the shards, and those that are added, until ctx ends; wg waits for
// them. A shard that was removed is forgotten once its reader has ended.
func (p *Pipeline) follow(ctx, hard context.Context, wg *sync.WaitGroup) {
	start := func(shards []*shard) {
		for _, s := range shards {
			wg.Go(func() {
				s.live(ctx, hard)
				if is, _ := s.tenure.now(); is == removed {
					p.forget(s)
				}
			})
		}
	}
	start(p.allShards())
	for {
		select {
		case shards := <-p.added:
			start(shards)
		case <-ctx.Done():
			return
		}
	}
}

// forget takes a shard out of the list.
func (p *Pipeline) forget(s *shard) {
	p.mu.Lock()
	p.shards = slices.DeleteFunc(slices.Clone(p.shards), func(other *shard) bool { return other == s })
	p.mu.Unlock()
	p.logger.Info("shard is removed", "source", s.source, "shard", s.id)
}

// own divides the shards with the other processes that read, until ctx ends.
// Where there can be no others, all are this process's.
func (p *Pipeline) own(ctx context.Context) {
	o := p.owners()
	if o == nil {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	me := fmt.Sprintf("%s:%d", host, os.Getpid())
	group := stream.TopicName(p.cfg.Name, "readers")
	notice := standstill.New(standstill.Options{
		Logger: p.logger, Level: slog.LevelWarn, Stops: "the shards are not divided: the group of the readers cannot be asked",
		Moves: "the group of the readers answers", Args: []any{"group", group},
	})
	err = keepSharing(ctx, p.logger, group, func() error {
		return o.Own(ctx, stream.OwnOptions{
			Group: group, Process: p.member, Name: me, Changed: p.ownChanged,
			Shards: func() []string { return p.shardsThat(func(t *tenure) bool { is, _ := t.now(); return is != removed }) },
			Held:   func() []string { return p.shardsThat((*tenure).held) },
			Assign: func(o stream.Ownership) { p.assigned(me, o) },
			Failing: func(err error) {
				if err == nil {
					notice.Moves(0)
				} else {
					notice.Stands(0, err)
				}
				for _, s := range p.allShards() {
					s.tenure.troubled(err)
				}
			},
		})
	})
	if err != nil && ctx.Err() == nil {
		p.logger.Error("the shards are not divided any more", "error", err)
	}
}

// shardsThat lists the shards whose tenure is as ok wants it.
func (p *Pipeline) shardsThat(ok func(*tenure) bool) []string {
	var out []string
	for _, s := range p.allShards() {
		if ok(s.tenure) {
			out = append(out, s.id)
		}
	}
	return out
}

// assigned takes what the group says.
func (p *Pipeline) assigned(me string, o stream.Ownership) {
	var own []string
	for _, s := range p.allShards() {
		has := slices.Contains(o.Mine, s.id)
		switch {
		case o.Standing == stream.Lost:
			s.tenure.lose()
			continue
		case has && o.Standing == stream.Alone:
			s.tenure.set(provisional, me)
		case has:
			s.tenure.set(mine, me)
		default:
			s.tenure.set(elsewhere, o.Owners[s.id])
			continue
		}
		own = append(own, s.id)
	}
	if o.Standing == stream.Lost {
		p.logger.Warn("the readers go on without this process: its shards are given up, and the group is joined again")
		return
	}
	p.logger.Info("shards are divided", "own", own, "alone", o.Standing == stream.Alone)
}
