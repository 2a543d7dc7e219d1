package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"tailwater/sinks/parquet"
)

// panicError is a panic in one part of the pipeline, caught: it is that part's
// error and nobody else's. What it did is not complete, so nothing that depends
// on its end has been stored.
type panicError struct {
	part  string
	value any
}

// Error names the part; the stack stands in the log.
func (e *panicError) Error() string {
	return fmt.Sprintf("panic in the %s: %v; the log has the stack", e.part, e.value)
}

// caught makes an error of what recover returned, and logs the stack.
func caught(logger *slog.Logger, part string, value any) error {
	logger.Error("a part panicked", "part", part, "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	return &panicError{part: part, value: value}
}

// guard calls run and returns a panic of it as an error.
func guard(logger *slog.Logger, part string, run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(logger, part, v)
		}
	}()
	return run()
}

// panicPause is how long a sink that has panicked waits before it runs again.
const panicPause = 5 * time.Second

// lakeWorker is the part of parquet.Worker that the pipeline uses.
type lakeWorker interface {
	Run(ctx context.Context) error
	Status() parquet.Status
}

var _ lakeWorker = (*parquet.Worker)(nil)

// lakeTable runs the worker of one layout of one view, and runs it again when
// it has panicked: from the end of its chains, as after a crash.
type lakeTable struct {
	worker lakeWorker
	logger *slog.Logger
	// again is the pause before a worker that has panicked runs again.
	again time.Duration

	mu    sync.Mutex
	fault error
	at    time.Time
}

// Run works until ctx ends; its error is what could not be written then.
func (l *lakeTable) Run(ctx context.Context) error {
	for {
		err := guard(l.logger, "lake of view "+l.worker.Status().View, func() error { return l.worker.Run(ctx) })
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

// Status is the worker's; a panic stays its error until it has committed again.
func (l *lakeTable) Status() parquet.Status {
	s := l.worker.Status()
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.LastCommit.After(l.at) {
		l.fault = nil
	}
	if s.Err == nil {
		s.Err = l.fault
	}
	return s
}
