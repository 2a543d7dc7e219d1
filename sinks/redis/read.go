package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
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
	// Values by group, the JSON array of the group's values: decimal text, the
	// JSON text of a smallest or largest value, null, or overflow.
	Values map[string]string
}

// Windows returns the newest n windows of a metric, newest first. n <= 0
// returns all.
func (s *Store) Windows(ctx context.Context, metric string, n int) ([]WindowInfo, error) {
	k := s.keys(metric, "", current)
	last := int64(-1)
	if n > 0 {
		last = int64(n - 1)
	}
	starts, err := s.client.ZRevRange(ctx, k.windows(), 0, last).Result()
	if err != nil {
		return nil, explain("list windows of metric "+metric, err)
	}
	pipe := s.client.Pipeline()
	metas := make([]*goredis.MapStringStringCmd, len(starts))
	for i, start := range starts {
		metas[i] = pipe.HGetAll(ctx, k.meta(start))
	}
	if len(starts) == 0 {
		return nil, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, explain("read windows of metric "+metric, err)
	}
	var out []WindowInfo
	for i, start := range starts {
		h := metas[i].Val()
		if len(h) == 0 {
			continue // deleted in between
		}
		info, err := parseInfo(start, h)
		if err != nil {
			return nil, fmt.Errorf("read window %s of metric %s: %w", start, metric, err)
		}
		out = append(out, info)
	}
	return out, nil
}

// readTries bounds how often a window that changes under the reader is read again.
const readTries = 10

// Window returns the window of a metric that starts at a time, or ErrNoWindow.
// The values are those of one moment, and the description is that of the same
// revision: it is read before and after them. (MULTI would refuse to read while
// the server is out of memory.)
func (s *Store) Window(ctx context.Context, metric string, start time.Time) (*Window, error) {
	k := s.keys(metric, "", current)
	at := itoa(start.Unix())
	for range readTries {
		pipe := s.client.Pipeline()
		before := pipe.HGetAll(ctx, k.meta(at))
		values := pipe.HGetAll(ctx, k.values(at))
		after := pipe.HGetAll(ctx, k.meta(at))
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, explain("read window "+at+" of metric "+metric, err)
		}
		if len(after.Val()) == 0 {
			return nil, fmt.Errorf("read window %s of metric %s: %w", at, metric, ErrNoWindow)
		}
		if !maps.Equal(before.Val(), after.Val()) {
			continue
		}
		info, err := parseInfo(at, after.Val())
		if err != nil {
			return nil, fmt.Errorf("read window %s of metric %s: %w", at, metric, err)
		}
		return &Window{WindowInfo: info, Values: values.Val()}, nil
	}
	return nil, fmt.Errorf("read window %s of metric %s: it changed under each of %d tries", at, metric, readTries)
}

// parseInfo reads the description of a window.
func parseInfo(start string, h map[string]string) (WindowInfo, error) {
	var n [4]int64
	for i, text := range []string{start, h["end"], h["revision"], h["groups"]} {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return WindowInfo{}, fmt.Errorf("%w: field of the description is no number", ErrForeign)
		}
		n[i] = v
	}
	info := WindowInfo{
		Start: time.Unix(n[0], 0).UTC(), End: time.Unix(n[1], 0).UTC(), State: State(h["state"]),
		Complete: h["complete"] == "1", Revision: n[2], Groups: n[3], Generation: h["generation"],
	}
	if err := json.Unmarshal([]byte(h["missing"]), &info.Missing); err != nil {
		return WindowInfo{}, fmt.Errorf("%w: field missing is no JSON array", ErrForeign)
	}
	return info, nil
}
