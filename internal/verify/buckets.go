package verify

import (
	"context"
	"errors"
	"strconv"

	"github.com/cespare/xxhash/v2"
	goredis "github.com/redis/go-redis/v9"
)

// shown is what is public of a metric: a generation, and the number of its
// buckets, each of which is compared as a metric of its own.
type shown struct {
	generation string
	buckets    int
}

// shown reads it; a metric that nobody has worked on has no generation.
func (w *windows) shown(ctx context.Context, m *metric) (shown, error) {
	v, err := w.client.HMGet(ctx, w.prefix+"{"+m.Name+"}:gen", "current", "buckets").Result()
	if err != nil {
		return shown{}, &UnreachableError{"the window store cannot be read", err}
	}
	generation, _ := v[0].(string)
	text, _ := v[1].(string)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		n = 1
	}
	return shown{generation, n}, nil
}

// split puts the buckets of a metric in its place.
func (w *windows) split(ctx context.Context, metrics []*metric) (out []*metric, err error) {
	for _, m := range metrics {
		if m.public, err = w.shown(ctx, m); err != nil {
			return nil, err
		}
		if m.public.buckets == 1 {
			out = append(out, m)
			continue
		}
		for b := range m.public.buckets {
			part := *m
			part.bucket = b
			part.cells, part.rows = make(map[int64]map[string]*total), make(map[string]spot)
			out = append(out, &part)
		}
	}
	return out, nil
}

func (m *metric) wide() bool { return m.public.buckets > 1 }

// mine reports whether a group of a wide metric is one of the bucket's.
func (m *metric) mine(group []byte) bool {
	return xxhash.Sum64(group)%uint64(m.public.buckets) == uint64(m.bucket)
}

// tag is what stands between the braces of the metric's keys.
func (m *metric) tag() string {
	if !m.wide() {
		return m.Name
	}
	return m.Name + "." + strconv.Itoa(m.bucket)
}

func (w *windows) key(m *metric, rest string) string { return w.prefix + "{" + m.tag() + "}:" + rest }

// generation is the one whose bookkeeping is looked at; empty is none. A bucket
// follows the metric, not its own key: that may be a step behind.
func (w *windows) generation(ctx context.Context, m *metric) (string, error) {
	if m.wide() {
		return m.public.generation, nil
	}
	generation, err := w.client.HGet(ctx, w.key(m, "gen"), "current").Result()
	if errors.Is(err, goredis.Nil) {
		return "", nil
	}
	return generation, err
}

// places are what the names of a metric's window keys may begin with. Windows
// move from the first to the last.
func (m *metric) places() []string {
	if !m.wide() {
		return []string{""}
	}
	return []string{"c:" + m.public.generation + ":", ""}
}

// starts lists the windows, the oldest first where there is one place.
func (w *windows) starts(ctx context.Context, m *metric) ([]string, error) {
	var out []string
	seen := make(map[string]bool)
	for _, place := range m.places() {
		list, err := w.client.ZRange(ctx, w.key(m, place+"windows"), 0, -1).Result()
		if err != nil {
			return nil, &UnreachableError{"the window store cannot be read", err}
		}
		for _, start := range list {
			if !seen[start] {
				seen[start] = true
				out = append(out, start)
			}
		}
	}
	return out, nil
}

// read reads a window's state and values. A bucket's window that is of another
// generation, or is not there, has no state.
func (w *windows) read(ctx context.Context, m *metric, start string) (window, error) {
	for _, place := range m.places() {
		meta, err := w.client.HMGet(ctx, w.key(m, place+"meta:"+start), "state", "generation", "stale").Result()
		if err != nil {
			return window{}, err
		}
		if m.wide() && meta[1] != m.public.generation {
			continue
		}
		state, _ := meta[0].(string)
		values, err := w.client.HGetAll(ctx, w.key(m, place+"w:"+start)).Result()
		return window{state, values, meta[2] == "1"}, err
	}
	return window{}, nil
}

// unchanged reports whether what is public of a metric is what it was. Where another
// number of buckets took over, nothing that was found says anything.
func (w *windows) unchanged(ctx context.Context, m *metric) (bool, error) {
	now, err := w.shown(ctx, m)
	return now == m.public || !m.wide() && now.buckets == 1, err
}
