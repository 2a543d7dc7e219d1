package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tailwater/internal/standstill"
	"tailwater/sinks/parquet"
)

// panicPause is how long a sink that has panicked waits before it runs again.
const panicPause = 5 * time.Second

// lakeWorker is the part of parquet.Worker that the pipeline uses.
type lakeWorker interface {
	Run(ctx context.Context) error
	Status() parquet.Status
}

var _ lakeWorker = (*parquet.Worker)(nil)

// lakeTable writes one layout of one view: with a worker for the partitions
// that are this process's, which runs again when it has panicked, from the end
// of its chains, as after a crash.
type lakeTable struct {
	view   string
	share  share
	make   func(partitions []int32) lakeWorker
	logger *slog.Logger
	// again is the pause before a worker that has panicked runs again.
	again time.Duration

	mu     sync.Mutex
	worker lakeWorker
	// joined is whether partitions have been given to it, be they none.
	joined bool
	// before is what the workers of earlier shares have done.
	before parquet.Status
	fault  error
	at     time.Time
}

// newLakeTable makes the table; first are the partitions that it has before its
// share is known.
func newLakeTable(o parquet.Options, s share, first []int32) *lakeTable {
	l := &lakeTable{view: o.View, share: s, logger: o.Logger, again: panicPause}
	o.Notice = standstill.New(parquet.Stands(o.Logger, o.View, o.Layout.Name)) // it outlives the workers
	l.make = func(partitions []int32) lakeWorker {
		o.Partitions = partitions
		return parquet.NewWorker(o)
	}
	l.worker = l.make(first)
	return l
}

// Run works until ctx ends; its error is what could not be written then.
func (l *lakeTable) Run(ctx context.Context) error {
	return l.share(ctx, func(ctx context.Context, partitions []int32) error {
		w := l.replace(partitions)
		if none(partitions) {
			<-ctx.Done()
			return nil
		}
		return l.work(ctx, w)
	})
}

// replace makes the worker of a new share. What the one before it has counted
// stays counted.
func (l *lakeTable) replace(partitions []int32) lakeWorker {
	w := l.make(partitions)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = add(l.before, l.worker.Status())
	l.worker, l.joined = w, true
	return w
}

// hasShare reports whether it is known which partitions are this process's.
func (l *lakeTable) hasShare() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joined
}

func (l *lakeTable) work(ctx context.Context, w lakeWorker) error {
	for {
		err := guard(l.logger, "lake of view "+l.view, func() error { return w.Run(ctx) })
		var panicked *panicError
		if ctx.Err() != nil || !errors.As(err, &panicked) {
			return err
		}
		l.mu.Lock()
		l.fault, l.at = err, time.Now()
		l.mu.Unlock()
		if !pause(ctx, l.again) {
			return err
		}
	}
}

// Status is the worker's, with the counts of those before it; a panic stays its
// error until it has committed again.
func (l *lakeTable) Status() parquet.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := add(l.before, l.worker.Status())
	if s.LastCommit.After(l.at) {
		l.fault = nil
	}
	if s.Err == nil {
		s.Err = l.fault
	}
	return s
}

// add returns b with the counts of a added.
func add(a, b parquet.Status) parquet.Status {
	b.Rows += a.Rows
	b.Files += a.Files
	b.Bytes += a.Bytes
	b.Duplicates += a.Duplicates
	if b.LastCommit.IsZero() {
		b.LastCommit = a.LastCommit
	}
	return b
}
