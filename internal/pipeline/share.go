package pipeline

import (
	"context"
	"log/slog"
	"time"

	"tailwater/internal/standstill"
	"tailwater/stream"
)

// share calls work with the partitions of a topic that are this process's, nil
// for all of them, again after each change. It blocks until ctx ends or work
// fails.
type share func(ctx context.Context, work func(ctx context.Context, partitions []int32) error) error

// alone is the share of a process that has a topic to itself.
func alone(ctx context.Context, work func(ctx context.Context, partitions []int32) error) error {
	return work(ctx, nil)
}

// shareRetry is the pause after a group could not be kept.
const shareRetry = 2 * time.Second

// shareOf returns how the partitions of a topic are shared between the
// processes that do the same work; kind and name say which work.
func (p *Pipeline) shareOf(kind, name string, topic stream.Topic) share {
	b, ok := p.log.(stream.Balancer)
	if !ok {
		return alone
	}
	group := stream.TopicName(p.cfg.Name, kind+"."+name)
	return func(ctx context.Context, work func(ctx context.Context, partitions []int32) error) error {
		return keepSharing(ctx, p.logger, group, func() error { return b.Share(ctx, group, topic.Name, work) })
	}
}

// none reports whether a share has no partition: there is nothing to do but to
// wait for its end.
func none(partitions []int32) bool { return partitions != nil && len(partitions) == 0 }

// unshared are the partitions that a sink has before its share is known: all
// where nobody shares, else none.
func (p *Pipeline) unshared() []int32 {
	if _, shared := p.log.(stream.Balancer); shared {
		return []int32{}
	}
	return nil
}

// keepSharing joins again when the group cannot be kept. The work itself is
// supervised by whoever does it, so an error here is the group's.
func keepSharing(ctx context.Context, logger *slog.Logger, group string, join func() error) error {
	notice := standstill.New(standstill.Options{
		Logger: logger, Level: slog.LevelWarn, Stops: "partitions are not shared: the group is joined again", Args: []any{"group", group},
	})
	for {
		err := join()
		if ctx.Err() != nil {
			return err
		}
		notice.Stands(0, err)
		if !pause(ctx, shareRetry) {
			return err
		}
	}
}
