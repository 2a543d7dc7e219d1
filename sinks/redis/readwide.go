package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	goredis "github.com/redis/go-redis/v9"
)

// readChunk is how many windows of a wide metric are described at once.
const readChunk = 256

// part is what one bucket has of a window.
type part struct {
	// keys are those where the window is; meta is empty when it is not there.
	keys keys
	meta map[string]string
	// watermark is the bucket's, and waited that without the shards that a window
	// may do without, in microseconds; floor is in seconds.
	watermark, waited, floor int64
	// kept says that the bookkeeping has the window.
	kept bool
}

func (p *part) there() bool { return len(p.meta) > 0 }

// same reports whether two looks saw one revision. The number of groups of an
// open window changes all the time, and is not looked at.
func (p *part) same(q *part) bool {
	for _, field := range []string{"state", "complete", "missing", "revision", "generation", "stale"} {
		if p.meta[field] != q.meta[field] {
			return false
		}
	}
	return p.keys == q.keys && p.there() == q.there()
}

// parts reads what the buckets have of each of the windows, by window and
// bucket. The order is law: a bucket's watermark before its windows, so that one
// that is not there was not there when the watermark had passed its end; and the
// keys beside before the public ones, to which they move.
func (s *Store) parts(ctx context.Context, metric string, p public, starts []string) ([][]part, error) {
	type found struct {
		beside, shown *goredis.MapStringStringCmd
	}
	fields := []string{"watermark", "waited", "floor"}
	for _, start := range starts {
		fields = append(fields, "w:"+start)
	}
	pipe := s.client.Pipeline()
	buckets := bucketsOf(p.buckets)
	marks := make([]*goredis.SliceCmd, len(buckets))
	metas := make([][]found, len(starts))
	both := make([][2]keys, len(buckets))
	for i, b := range buckets {
		tag := b.tag(metric)
		both[i] = [2]keys{s.keys(tag, p.generation, candidate), s.keys(tag, p.generation, current)}
		marks[i] = pipe.HMGet(ctx, both[i][0].state(), fields...)
		for w, start := range starts {
			metas[w] = append(metas[w], found{pipe.HGetAll(ctx, both[i][0].meta(start)), pipe.HGetAll(ctx, both[i][1].meta(start))})
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, explain("read descriptions", err)
	}
	out := make([][]part, len(starts))
	for w := range starts {
		for i := range buckets {
			v := marks[i].Val()
			x := part{watermark: number(v[0]), waited: number(v[1]), floor: number(v[2]), kept: v[3+w] != nil}
			for k, h := range []map[string]string{metas[w][i].beside.Val(), metas[w][i].shown.Val()} {
				if h["generation"] == p.generation {
					x.keys, x.meta = both[i][k], h
				}
			}
			out[w] = append(out[w], x)
		}
	}
	return out, nil
}

// number reads a field of the bookkeeping; one that is absent is 0.
func number(v any) int64 {
	text, _ := v.(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// merge makes one description of those of all buckets, or returns ErrNoWindow.
func merge(start string, parts []part) (WindowInfo, error) {
	var out WindowInfo
	there := false
	for i := range parts {
		if !parts[i].there() {
			continue
		}
		info, err := parseInfo(start, parts[i].meta)
		if err != nil {
			return out, err
		}
		if !there {
			out, there = WindowInfo{Start: info.Start, End: info.End, State: StateClosed, Complete: true, Missing: []string{}, Generation: info.Generation}, true
		}
		out.State = worse(out.State, info.State)
		out.Complete = out.Complete && info.Complete
		out.Stale = out.Stale || info.Stale
		out.Revision += info.Revision
		out.Groups += info.Groups
		for _, shard := range info.Missing {
			if !slices.Contains(out.Missing, shard) {
				out.Missing = append(out.Missing, shard)
			}
		}
	}
	if !there {
		return out, ErrNoWindow
	}
	for i := range parts {
		switch x := &parts[i]; {
		case x.there() || out.State == StateLost:
		case out.Start.Unix() < x.floor || x.kept:
			return out, ErrNoWindow // the bucket has deleted it, or its keys vanished
		case x.watermark >= out.End.UnixMicro(): // it has no group
		case x.waited >= out.End.UnixMicro() && len(out.Missing) > 0:
			out.Complete = false // it has none without the missing shards
		default:
			out.State = worse(out.State, StateOpen) // it may yet have one
		}
	}
	slices.Sort(out.Missing)
	switch out.State {
	case StateOpen:
		out.Complete, out.Missing, out.Revision = false, []string{}, 0
	case StateLost:
		out.Complete, out.Missing = false, []string{}
	}
	return out, nil
}

// worse returns the state of a window of which the buckets say two things.
func worse(a, b State) State {
	order := []State{StateClosed, StateRevised, StateOpen, StateLost}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// wideWindows is Windows for a metric with buckets.
func (s *Store) wideWindows(ctx context.Context, metric string, p public, n int) ([]WindowInfo, error) {
	pipe := s.client.Pipeline()
	var lists []*goredis.StringSliceCmd
	for _, b := range bucketsOf(p.buckets) {
		for _, r := range []role{candidate, current} {
			lists = append(lists, pipe.ZRevRange(ctx, s.keys(b.tag(metric), p.generation, r).windows(), 0, last(n)))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, explain("list windows", err)
	}
	seen := map[string]bool{}
	for _, l := range lists {
		for _, start := range l.Val() {
			seen[start] = true
		}
	}
	starts := slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return int(number(b) - number(a)) })
	var out []WindowInfo
	for chunk := range slices.Chunk(starts, readChunk) {
		all, err := s.parts(ctx, metric, p, chunk)
		if err != nil {
			return nil, err
		}
		for i, parts := range all {
			info, err := merge(chunk[i], parts)
			switch {
			case errors.Is(err, ErrNoWindow): // deleted in between, or of another generation
			case err != nil:
				return nil, fmt.Errorf("read window %s: %w", chunk[i], err)
			case n <= 0 || len(out) < n:
				out = append(out, info)
			}
		}
	}
	return out, nil
}

// wideWindow is Window for a metric with buckets.
func (s *Store) wideWindow(ctx context.Context, metric string, p public, at string) (*Window, error) {
	before, err := s.parts(ctx, metric, p, []string{at})
	if err != nil {
		return nil, err
	}
	pipe := s.client.Pipeline()
	var lists []*goredis.MapStringStringCmd
	for i := range before[0] {
		if x := &before[0][i]; x.there() {
			lists = append(lists, pipe.HGetAll(ctx, x.keys.values(at)))
		}
	}
	if len(lists) == 0 {
		return nil, ErrNoWindow
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, explain("read values", err)
	}
	after, err := s.parts(ctx, metric, p, []string{at})
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(before[0], after[0], func(a, b part) bool { return a.same(&b) }) {
		return nil, errMoved
	}
	info, err := merge(at, before[0])
	if err != nil {
		return nil, err
	}
	w := &Window{WindowInfo: info, Values: map[string]string{}}
	for _, l := range lists {
		maps.Copy(w.Values, l.Val())
	}
	if w.State == StateOpen {
		w.Groups = int64(len(w.Values))
	}
	return w, nil
}
