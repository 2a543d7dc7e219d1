package pipeline

import (
	"fmt"
	"log/slog"
	"runtime/debug"
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
