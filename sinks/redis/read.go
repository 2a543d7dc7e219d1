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
	// Stale says that rows may be counted that are gone: a table lost or got
	// rows without a change of each of them being known.
	Stale bool
}

// Window is a window with its values.
type Window struct {
	WindowInfo
	// Values by group, the JSON array of the group's values: decimal text, the
	// JSON text of a smallest or largest value, null, or overflow.
	Values map[string]string
}

// readTries bounds how often what changes under the reader is read again.
const readTries = 10

// errMoved means that what was read is not of one moment.
var errMoved = errors.New("it changed while it was read")

// reading are the two ways to read the same: of a metric without buckets, which
// also says what is public, and of one with them.
type reading struct {
	narrow func() (public, error)
	wide   func(public) error
}

// read reads what is of one moment: again while it moves, at most readTries.
// The generation that is public must still be it afterwards.
func (s *Store) read(ctx context.Context, metric string, r reading) error {
	for range readTries {
		p, err := r.narrow()
		if err == nil && p.buckets > 1 {
			err = r.wide(p)
			v, failed := s.client.HMGet(ctx, s.root(metric), "current", "buckets").Result()
			if failed != nil {
				return explain("read generations", failed)
			}
			if parsePublic(v) != p {
				err = errMoved
			}
		}
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return fmt.Errorf("%w, at each of %d tries", errMoved, readTries)
}

// Windows returns the newest n windows of a metric, newest first. n <= 0
// returns all.
func (s *Store) Windows(ctx context.Context, metric string, n int) ([]WindowInfo, error) {
	var out []WindowInfo
	err := s.read(ctx, metric, reading{
		func() (p public, err error) { out, p, err = s.windows(ctx, metric, n); return p, err },
		func(p public) (err error) { out, err = s.wideWindows(ctx, metric, p, n); return err },
	})
	if err != nil {
		return nil, fmt.Errorf("list windows of metric %s: %w", metric, err)
	}
	return out, nil
}

// windows is Windows for a metric without buckets. Of one with them it only
// says what is public.
func (s *Store) windows(ctx context.Context, metric string, n int) ([]WindowInfo, public, error) {
	k := s.keys(metric, "", current)
	pipe := s.client.Pipeline()
	first := pipe.HMGet(ctx, k.generations(), "current", "buckets")
	list := pipe.ZRevRange(ctx, k.windows(), 0, last(n))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, public{}, explain("list windows", err)
	}
	p, starts := parsePublic(first.Val()), list.Val()
	if p.buckets > 1 {
		return nil, p, nil
	}
	pipe = s.client.Pipeline()
	metas := make([]*goredis.MapStringStringCmd, len(starts))
	for i, start := range starts {
		metas[i] = pipe.HGetAll(ctx, k.meta(start))
	}
	again := pipe.HMGet(ctx, k.generations(), "current", "buckets")
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, p, explain("read windows", err)
	}
	if parsePublic(again.Val()) != p {
		return nil, p, errMoved
	}
	var out []WindowInfo
	for i, start := range starts {
		h := metas[i].Val()
		if len(h) == 0 {
			continue // deleted in between
		}
		info, err := parseInfo(start, h)
		if err != nil {
			return nil, p, fmt.Errorf("read window %s: %w", start, err)
		}
		out = append(out, info)
	}
	return out, p, nil
}

// last is the last place of n in a list, or of all.
func last(n int) int64 { return int64(max(n, 0) - 1) }

// Window returns the window of a metric that starts at a time, or ErrNoWindow.
// The values are those of one moment, and the description is that of the same
// revision: it is read before and after them. (MULTI would refuse to read while
// the server is out of memory.) Of a wide metric the values of each bucket are
// those of one moment, and no bucket published in between.
func (s *Store) Window(ctx context.Context, metric string, start time.Time) (*Window, error) {
	at := itoa(start.Unix())
	var w *Window
	err := s.read(ctx, metric, reading{
		func() (p public, err error) { w, p, err = s.window(ctx, metric, at); return p, err },
		func(p public) (err error) { w, err = s.wideWindow(ctx, metric, p, at); return err },
	})
	if err != nil {
		return nil, fmt.Errorf("read window %s of metric %s: %w", at, metric, err)
	}
	return w, nil
}

// window is Window for a metric without buckets. Of one with them it only says
// what is public.
func (s *Store) window(ctx context.Context, metric, at string) (*Window, public, error) {
	k := s.keys(metric, "", current)
	pipe := s.client.Pipeline()
	first := pipe.HMGet(ctx, k.generations(), "current", "buckets")
	before := pipe.HGetAll(ctx, k.meta(at))
	values := pipe.HGetAll(ctx, k.values(at))
	after := pipe.HGetAll(ctx, k.meta(at))
	again := pipe.HMGet(ctx, k.generations(), "current", "buckets")
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, public{}, explain("read", err)
	}
	p := parsePublic(again.Val())
	switch {
	case p.buckets > 1:
		return nil, p, nil
	case parsePublic(first.Val()) != p || !maps.Equal(before.Val(), after.Val()):
		return nil, p, errMoved
	case len(after.Val()) == 0:
		return nil, p, ErrNoWindow
	}
	info, err := parseInfo(at, after.Val())
	return &Window{WindowInfo: info, Values: values.Val()}, p, err
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
		Complete: h["complete"] == "1", Revision: n[2], Groups: n[3], Generation: h["generation"], Stale: h["stale"] == "1",
	}
	if err := json.Unmarshal([]byte(h["missing"]), &info.Missing); err != nil {
		return WindowInfo{}, fmt.Errorf("%w: field missing is no JSON array", ErrForeign)
	}
	return info, nil
}
