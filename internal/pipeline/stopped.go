package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tailwater/binlog"
	"tailwater/internal/status"
)

// Stopped is a pipeline that does not run: its state directory is locked and
// its stream is open, so that somebody can look where its shards stand, and move
// one.
type Stopped struct{ p *Pipeline }

// NoStreamError says that a pipeline has never run where it is looked for.
type NoStreamError struct{ Dir string }

// Error names the directory and what to look at.
func (e *NoStreamError) Error() string {
	return fmt.Sprintf("there is no stream in %s: has the pipeline run with this configuration? A shard without a saved position begins at its source's start", e.Dir)
}

// OpenStopped opens what OpenStopped's methods need, and starts nothing. It is
// ErrStateInUse while a process has the state directory.
func OpenStopped(ctx context.Context, o Options) (*Stopped, error) {
	if _, err := os.Stat(filepath.Join(o.Config.StateDir, "stream", "VERSION")); err != nil && o.Config.Stream.Type == "embedded" {
		return nil, &NoStreamError{o.Config.StateDir}
	}
	o.Roles, o.PortFallback = AllRoles, true
	p, err := open(ctx, o, func(p *Pipeline) []func(context.Context) error {
		return []func(context.Context) error{p.openState, p.openStream, p.openTopics, p.openCaptures, p.openShards, p.loadResets}
	})
	if err != nil {
		return nil, err
	}
	return &Stopped{p}, nil
}

// Close gives up what was opened.
func (s *Stopped) Close() error { return s.p.Close() }

// List says where each shard stands. The servers are asked how long they keep
// what is still to be read; one that does not answer leaves that out, with its
// error.
func (s *Stopped) List(ctx context.Context) ([]status.Shard, error) {
	out := make([]status.Shard, len(s.p.shards))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(headroomAtOne)
	for i, sh := range s.p.shards {
		g.Go(func() error {
			position, err := sh.saved(ctx, sh.id)
			if err != nil {
				return fmt.Errorf("read the position of shard %s: %w", sh.id, err)
			}
			out[i] = status.Shard{Source: sh.source, Shard: sh.id, State: status.Ended, Address: sh.addr, Resets: sh.resets.get()}
			if position == nil {
				return nil
			}
			p, err := binlog.ParsePosition(position)
			if err != nil {
				return fmt.Errorf("shard %s: %w", sh.id, err)
			}
			out[i].UUID, out[i].File, out[i].Pos, out[i].GTID = p.ServerUUID, p.File, p.Pos, p.GTIDText()
			if p.File == "" {
				return nil // it was moved, and nobody has read from there
			}
			said, err := sh.reader.Load().Headroom(ctx, position)
			if err != nil {
				out[i].Error = err.Error()
				return nil
			}
			sh.headroom.take(said, time.Now())
			out[i].Headroom = sh.headroom.get()
			return nil
		})
	}
	return out, g.Wait()
}

// NoShardError says that a configuration does not have a shard.
type NoShardError struct {
	Shard string
	Known []string
}

// Error lists the shards that there are.
func (e *NoShardError) Error() string {
	return fmt.Sprintf("no such shard %q: the configuration has %s", e.Shard, strings.Join(e.Known, ", "))
}

// Reset moves the position of a shard. A *binlog.TargetError says that the
// target cannot be, or that rows would come twice.
func (s *Stopped) Reset(ctx context.Context, id string, req ResetRequest) (status.Reset, error) {
	var known []string
	for _, sh := range s.p.shards {
		if sh.id == id {
			return sh.reset(ctx, req)
		}
		known = append(known, sh.id)
	}
	return status.Reset{}, &NoShardError{id, known}
}
