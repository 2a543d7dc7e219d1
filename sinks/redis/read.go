package redis

import (
	"context"
	"errors"
	"time"
)

// State is what a window is to its readers.
type State string

// The states of a window. A window opens with its first row; Closed is its
// first publication, Revised every later one; Lost is a window that the log
// could no longer give whole: it stays as it is, never complete.
const (
	StateOpen    State = "open"
	StateClosed  State = "closed"
	StateRevised State = "revised"
	StateLost    State = "lost"
)

// ErrNoWindow means that the store has no such window.
var ErrNoWindow = errors.New("no such window")

// WindowInfo describes a window without its values.
type WindowInfo struct {
	// Start is inside the window, End is not.
	Start, End time.Time
	State      State
	// Complete says that every expected shard has passed the end.
	Complete bool
	// Missing names the shards without which the window was published.
	Missing []string
	// Revision rises with each publication; 0 is a window never published.
	Revision int64
	// Groups is the number of values.
	Groups int64
	// Generation of the definition that the values follow.
	Generation string
}

// Window is a window with its values.
type Window struct {
	WindowInfo
	// Values by group, the JSON array of the group's values: decimal text,
	// null, or overflow.
	Values map[string]string
}

// Windows returns the newest n windows of a metric, newest first. n <= 0
// returns all.
func (s *Store) Windows(ctx context.Context, metric string, n int) ([]WindowInfo, error) {
	return s.windows(ctx, metric, n)
}

// Window returns the window of a metric that starts at a time, or ErrNoWindow.
// The values and the description are read at one moment.
func (s *Store) Window(ctx context.Context, metric string, start time.Time) (*Window, error) {
	return s.window(ctx, metric, start.Unix())
}
