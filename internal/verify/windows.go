package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/config"
)

// windows reads what is in the window store, with a client that knows nothing
// but docs/format/redis-keys.md.
type windows struct {
	v      *verifier
	client goredis.UniversalClient
	prefix string
}

// compareWindows holds every window of every metric against a fold of the stream.
func (v *verifier) compareWindows(ctx context.Context) error {
	if v.cfg.Windows == nil || len(v.cfg.Windows.Metrics) == 0 {
		return nil
	}
	store := v.cfg.Windows.Store
	if store.Type == "embedded" {
		if v.running == nil || v.running.Redis == "" {
			v.findings.note("windows were not compared: the embedded store lives in the pipeline's process, and none runs")
			return nil
		}
		store.URL = config.NewSecret(v.running.Redis)
	}
	client, where, err := storeClient(&store)
	if err != nil {
		return err
	}
	w := &windows{v: v, client: client, prefix: store.Prefix}
	defer w.client.Close()
	if err := w.client.Ping(ctx).Err(); err != nil {
		return &UnreachableError{"the window store at " + where + " cannot be reached", err}
	}
	var views []string
	for i := range v.cfg.Windows.Metrics {
		views = append(views, v.cfg.Windows.Metrics[i].View)
	}
	slices.Sort(views)
	for _, view := range slices.Compact(views) {
		if err := w.view(ctx, view); err != nil {
			return err
		}
	}
	return nil
}

// view compares the metrics of one view: first every window with a fold up to
// the stream's end as it was found, then those that were open or differed, which
// later rows may have changed meanwhile, with a fold that goes exactly as far as
// they do.
func (w *windows) view(ctx context.Context, view string) error {
	f, err := w.v.newFolding(ctx, view)
	if err != nil {
		return err
	}
	if f.metrics, err = w.split(ctx, f.metrics); err != nil {
		return err
	}
	for _, m := range f.metrics {
		floor, err := w.floor(ctx, m)
		if err != nil {
			return err
		}
		m.from = max(m.from, floor*1e6) // what lies below is not folded
	}
	if err := f.read(ctx, ends(f.topic.bounds)); err != nil {
		return err
	}
	if err := w.await(ctx, f); err != nil {
		return err
	}
	var c windowCount
	for _, m := range f.metrics {
		var one windowCount
		unsettled, err := w.metric(ctx, m, &one)
		if err != nil {
			return err
		}
		if err := w.settle(ctx, f.only(m), unsettled, &one); err != nil {
			return err
		}
		ok, err := w.unchanged(ctx, m)
		if err != nil {
			return err
		}
		if !ok {
			w.v.findings.note("metric %s was not compared: its number of buckets changed while it was looked at", m.tag())
			one = windowCount{skipped: one.windows + one.skipped}
		}
		c.add(&one)
	}
	w.finish(&c, f)
	return nil
}

// windowCount is what comparing windows gave.
type windowCount struct {
	windows, values, skipped int64
	differences              []Difference
}

func (c *windowCount) add(d *windowCount) {
	c.windows += d.windows
	c.values += d.values
	c.skipped += d.skipped
	c.differences = append(c.differences, d.differences...)
}

func (w *windows) finish(c *windowCount, f *folding) {
	r := &w.v.result
	r.WindowsCompared += c.windows
	r.ValuesCompared += c.values
	r.SkippedWindows += c.skipped
	if len(w.v.o.Only) > 0 && !hasPart(w.v.o.Only, "rows") {
		r.Events += int64(f.n)
	}
	for _, d := range c.differences {
		w.v.findings.add(d)
	}
}

// await waits until every metric has stored positions at or behind the end of
// the fold.
func (w *windows) await(ctx context.Context, f *folding) error {
	w.v.progress.begin("waiting for the windows", int64(len(f.metrics)))
	limit, cancel := context.WithTimeout(ctx, w.v.o.Timeout)
	defer cancel()
	for _, m := range f.metrics {
		for {
			lacks, err := w.behind(ctx, m, f)
			if err != nil {
				return &UnreachableError{"the window store cannot be read", err}
			}
			if lacks == "" {
				break
			}
			if w.v.running == nil {
				return &UnreachableError{What: fmt.Sprintf("metric %s: %s, and no pipeline runs that could fold the rest: start it", m.tag(), lacks)}
			}
			if !pause(limit, 50*time.Millisecond) {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return &UnreachableError{What: fmt.Sprintf("metric %s: %s after %s; see `tailwater status`, or wait longer with --timeout", m.tag(), lacks, w.v.o.Timeout)}
			}
		}
		w.v.progress.add(1)
	}
	return nil
}

// behind says what a metric's stored positions lack; empty is nothing.
func (w *windows) behind(ctx context.Context, m *metric, f *folding) (string, error) {
	at, err := w.positions(ctx, m, f.topic)
	if err != nil || at == nil {
		return "it has no windows yet", err
	}
	for p, end := range f.at {
		if at[p] < end {
			return fmt.Sprintf("partition %d is at %d, the stream's end is %d", p, at[p], end), nil
		}
	}
	return "", nil
}

// positions returns the offset up to which a metric has folded each partition,
// 0 for one of another incarnation; nil when the metric has no bookkeeping.
func (w *windows) positions(ctx context.Context, m *metric, t *topic) ([]int64, error) {
	generation, err := w.generation(ctx, m)
	if err != nil || generation == "" {
		return nil, err
	}
	fields := make([]string, len(t.bounds))
	for p := range fields {
		fields[p] = "p:" + strconv.Itoa(p)
	}
	stored, err := w.client.HMGet(ctx, w.key(m, "s:"+generation), fields...).Result()
	if err != nil {
		return nil, err
	}
	at := make([]int64, len(fields))
	for p, v := range stored {
		text, _ := v.(string)
		incarnation, offset, _ := strings.Cut(text, " ")
		if n, err := strconv.ParseInt(offset, 10, 64); err == nil && incarnation == t.Incarnation {
			at[p] = n
		}
	}
	return at, nil
}

// floor returns the start, in seconds, below which a metric keeps no windows.
func (w *windows) floor(ctx context.Context, m *metric) (int64, error) {
	generation, err := w.generation(ctx, m)
	if err == nil {
		var floor int64
		if floor, err = w.client.HGet(ctx, w.key(m, "s:"+generation), "floor").Int64(); err == nil {
			return floor, nil
		}
	}
	if errors.Is(err, goredis.Nil) {
		return 0, nil
	}
	return 0, &UnreachableError{"the window store cannot be read", err}
}

// metric compares the windows of one metric. Those that are open or differ are
// not counted but returned.
func (w *windows) metric(ctx context.Context, m *metric, c *windowCount) (unsettled []string, err error) {
	starts, err := w.starts(ctx, m)
	if err != nil {
		return nil, err
	}
	seen := make(map[int64]bool)
	for _, text := range starts {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			c.differ(m, text, Difference{Text: "the name of the window is no number"})
			continue
		}
		have, err := w.read(ctx, m, text)
		if err != nil {
			return nil, &UnreachableError{"the window store cannot be read", err}
		}
		if m.wide() && have.state == "" {
			continue // of another generation
		}
		seen[seconds*1e6] = true
		if have.stale {
			w.v.findings.note("metric %s: windows that are marked stale were not compared: rows that they count are gone, and no event said so of each", m.Name)
		}
		var one windowCount
		if one.compare(m, seconds*1e6, have); have.state == "open" || len(one.differences) > 0 {
			unsettled = append(unsettled, text)
			continue
		}
		c.add(&one)
	}
	floor, err := w.floor(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, start := range slices.Sorted(maps.Keys(m.cells)) {
		if !seen[start] && start >= m.from && start/1e6 >= floor {
			c.differ(m, stamp(start), Difference{Expected: fmt.Sprintf("%d values", len(m.cells[start])), Text: "the window is missing"})
		}
	}
	return unsettled, nil
}

// window is what the store shows of one.
type window struct {
	state  string
	values map[string]string
	// stale says that rows may be counted that are gone, and that the pipeline
	// knows.
	stale bool
}

func stamp(micros int64) string { return time.UnixMicro(micros).UTC().Format(time.RFC3339) }

// compare holds one window against the fold.
func (c *windowCount) compare(m *metric, start int64, found window) {
	if found.state == "lost" || found.stale || start < m.from {
		c.skipped++
		return
	}
	c.windows++
	have, want := found.values, m.cells[start]
	for _, group := range slices.Sorted(maps.Keys(want)) {
		c.values++
		got, ok := have[group]
		expected := m.text(want[group])
		if got == "overflow" || ok && canonicalNumber(got) == expected {
			continue
		}
		c.differ(m, stamp(start), Difference{Group: group, Expected: expected, Actual: clip(got)})
	}
	for _, group := range slices.Sorted(maps.Keys(have)) {
		if want[group] == nil {
			c.values++
			c.differ(m, stamp(start), Difference{Group: group, Actual: clip(have[group]), Text: "the stream has no event of this group"})
		}
	}
}

// differ keeps a difference.
func (c *windowCount) differ(m *metric, window string, d Difference) {
	d.Kind, d.Part, d.View, d.Metric, d.Window = Window, "windows", m.View, m.Name, window
	if m.wide() {
		d.Text = strings.TrimPrefix(d.Text+fmt.Sprintf(", in bucket %d", m.bucket), ", ")
	}
	if d.Group = clip(d.Group); m.secret && d.Group != "" {
		d.Group = "***"
	}
	c.differences = append(c.differences, d)
}
