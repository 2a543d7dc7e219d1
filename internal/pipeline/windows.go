package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"tailwater/change"
	"tailwater/internal/expr"
	"tailwater/internal/standstill"
	"tailwater/internal/status"
	"tailwater/sinks/redis"
	"tailwater/stream"
	"tailwater/windowing"
)

// schemaPoll is how often the schemas of a view are looked at: a metric is
// compiled against the columns that the view's events really have.
const (
	schemaPollFirst = 100 * time.Millisecond
	schemaPollLater = 5 * time.Second
)

// viewWindows runs the metrics of one view.
type viewWindows struct {
	log    stream.Log
	store  *redis.Store
	view   string
	topic  stream.Topic
	defs   []windowing.Definition
	share  share
	logger *slog.Logger
	// redefined is signalled when defs are others.
	redefined chan struct{}
	observe   func(metric string, commits []int64, at time.Time)

	mu     sync.Mutex
	worker *redis.Worker
	// partitions are those that this process has; nil is all of them.
	partitions []int32
	// joined is whether partitions have been given to it, be they none.
	joined bool
	fault  error
	// notices are those of the view, by "", and of its metrics, by name: they
	// outlive the workers.
	notices map[string]*standstill.Notice
	// down is why the window store could not be asked before there was a worker.
	down error
}

// run works until ctx ends, on the partitions that are this process's.
func (v *viewWindows) run(ctx context.Context) error {
	return v.share(ctx, func(ctx context.Context, partitions []int32) error {
		v.mu.Lock()
		v.partitions, v.joined = partitions, true
		v.mu.Unlock()
		if none(partitions) {
			<-ctx.Done()
			return nil
		}
		return v.work(ctx, partitions)
	})
}

// work works until ctx ends. The worker is made anew when the view's columns
// change, for a sum may then have another scale.
func (v *viewWindows) work(ctx context.Context, partitions []int32) error {
	notice := v.notice("")
	var columns []change.Column
	for {
		var err error
		if columns == nil {
			columns, err = v.nextColumns(ctx, nil)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			columns, err = v.runWorker(ctx, columns, partitions)
		}
		if ctx.Err() != nil {
			return err
		}
		v.fail(err)
		if err != nil {
			notice.Stands(0, err)
			columns = nil
			if !pause(ctx, schemaPollLater) {
				return nil
			}
		}
	}
}

// runWorker runs one worker until ctx ends or the view's columns change, and
// returns what they are then.
func (v *viewWindows) runWorker(ctx context.Context, columns []change.Column, partitions []int32) ([]change.Column, error) {
	metrics, err := v.compile(columns)
	if err != nil {
		return nil, err
	}
	w, err := redis.NewWorker(redis.WorkerOptions{
		Source: v.log, Store: v.store, Topic: v.topic.Name, Metrics: metrics, Partitions: partitions, Logger: v.logger, Observe: v.observe,
		Notice: v.notice,
	})
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.worker, v.fault = w, nil
	v.mu.Unlock()
	v.notice("").Moves(0)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- guard(v.logger, "windows of view "+v.view, func() error { return w.Run(work) })
	}()
	changed := make(chan []change.Column, 1)
	go func() { changed <- v.otherColumns(work, columns) }()
	select {
	case <-v.redefined:
		cancel()
		<-changed
		return columns, <-done
	case err := <-done:
		cancel()
		<-changed
		return nil, err
	case next := <-changed:
		cancel()
		return next, <-done
	}
}

// otherColumns waits until the view's columns are others than now, nil when ctx
// ends before. While they cannot be read the worker goes on with those it has.
func (v *viewWindows) otherColumns(ctx context.Context, now []change.Column) []change.Column {
	for {
		next, err := v.nextColumns(ctx, now)
		if err == nil {
			return next
		}
		if !pause(ctx, schemaPollLater) {
			return nil
		}
	}
}

// nextColumns waits until the view's columns are others than the given ones.
func (v *viewWindows) nextColumns(ctx context.Context, now []change.Column) ([]change.Column, error) {
	every := schemaPollFirst
	if now != nil {
		every = schemaPollLater
	}
	for {
		schemas, err := v.log.Schemas(ctx, v.view)
		if err != nil {
			return nil, err // it names the view
		}
		cols := mergeColumns(schemas)
		if len(cols) > 0 && !slices.EqualFunc(cols, now, sameColumn) {
			return cols, nil
		}
		if !pause(ctx, every) {
			return nil, context.Cause(ctx)
		}
	}
}

func sameColumn(a, b change.Column) bool {
	return a.Name == b.Name && a.Type == b.Type && a.Scale == b.Scale
}

// mergeColumns returns every column that any schema of a view has, by name.
// Where they differ in scale the largest stands, so that no digit is lost.
func mergeColumns(schemas map[string]change.Schema) []change.Column {
	byName := make(map[string]change.Column)
	for _, print := range slices.Sorted(maps.Keys(schemas)) {
		for _, c := range schemas[print].Columns {
			if old, ok := byName[c.Name]; ok && old.Scale > c.Scale {
				c.Scale, c.Precision = old.Scale, max(c.Precision, old.Precision)
			}
			byName[c.Name] = c
		}
	}
	out := make([]change.Column, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}

// compile compiles every metric; all mistakes are returned at once.
func (v *viewWindows) compile(columns []change.Column) ([]*windowing.Metric, error) {
	var out []*windowing.Metric
	var errs []error
	for _, d := range v.definitions() {
		var where windowing.Predicate
		if d.Where != "" {
			p, err := expr.CompilePredicate(d.Where, columns)
			if err != nil {
				errs = append(errs, fmt.Errorf("metric %s: where: %w", d.Name, err))
				continue
			}
			where = p
		}
		m, err := windowing.Compile(d, columns, where)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, m)
	}
	return out, errors.Join(errs...)
}

// notice returns what is said of a metric, or of all of the view by "".
func (v *viewWindows) notice(metric string) *standstill.Notice {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := v.notices[metric]; n != nil {
		return n
	}
	o := redis.Waits(v.logger, metric)
	if metric == "" {
		o.Stops, o.Moves, o.Args = "metrics do not move", "metrics move again", []any{"view", v.view}
	}
	if v.notices == nil {
		v.notices = make(map[string]*standstill.Notice)
	}
	v.notices[metric] = standstill.New(o)
	return v.notices[metric]
}

// definitions are those of the metrics now.
func (v *viewWindows) definitions() []windowing.Definition {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.defs
}

// redefine lets the metrics wait for other shards. Their worker is made anew:
// the one before would find that the store has another list than its own.
func (v *viewWindows) redefine(shards []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.defs) == 0 || slices.Equal(v.defs[0].Shards, shards) {
		return
	}
	defs := slices.Clone(v.defs)
	for i := range defs {
		defs[i].Shards = shards
	}
	v.defs = defs
	select {
	case v.redefined <- struct{}{}:
	default:
	}
}

func (v *viewWindows) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = err
}

// storeDown notes that the window store does not answer, or with nil that it
// does. A worker knows better as soon as there is one.
func (v *viewWindows) storeDown(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.down = err
}

// hasNothing reports whether the view has never had an event: there is nothing
// to wait for then, and nothing to keep. It asks the log each time, for a
// schema is stored before the first event that names it, and what run has last
// seen may be older than events that were published since.
func (v *viewWindows) hasNothing(ctx context.Context) bool {
	schemas, err := v.log.Schemas(ctx, v.view)
	return err == nil && len(mergeColumns(schemas)) == 0
}

// status is what each metric is doing.
func (v *viewWindows) status() (redis.Status, error) {
	v.mu.Lock()
	w, fault, down := v.worker, v.fault, v.down
	v.mu.Unlock()
	if w == nil {
		return redis.Status{Topic: v.topic.Name}, errors.Join(fault, down)
	}
	return w.Status(), fault
}

// snapshot describes each metric of the view.
func (v *viewWindows) snapshot() []status.Metric {
	st, fault := v.status()
	known := make(map[string]redis.MetricStatus)
	for _, m := range st.Metrics {
		if !m.Candidate {
			known[m.Name] = m
		}
	}
	defs := v.definitions()
	out := make([]status.Metric, 0, len(defs))
	for _, d := range defs {
		m := known[d.Name]
		s := status.Metric{
			Metric: d.Name, View: v.view, Closed: uint64(m.Closed + m.Incomplete), Groups: m.Groups,
			Late: uint64(m.Late + m.Dropped), Below: uint64(m.Below), Skipped: uint64(m.Skipped), Negatives: uint64(m.Negatives),
			Refused: uint64(m.Refused), Flushes: uint64(m.Flushes), Behind: m.Behind, Error: m.LastError,
		}
		if m.Watermark > 0 {
			s.Watermark = time.UnixMicro(m.Watermark).UTC()
		}
		if m.Stale > 0 {
			s.StaleUntil, s.StaleBy = time.UnixMicro(m.Stale).UTC(), m.StaleBy
		}
		for p, why := range m.Stopped {
			s.Error = fmt.Sprintf("partition %d is stopped: %s", p, why)
		}
		if fault != nil {
			s.Error = fault.Error()
		}
		out = append(out, s)
	}
	return out
}

// saved returns the lowest offset that any metric of the view has stored, per
// partition; what the log keeps must not begin above it. It is -1 for the
// partitions that are another process's.
func (v *viewWindows) saved() []int64 {
	st, _ := v.status()
	v.mu.Lock()
	mine := v.partitions
	v.mu.Unlock()
	out := make([]int64, v.topic.Partitions)
	for p := range out {
		switch {
		case mine != nil && !slices.Contains(mine, int32(p)):
			out[p] = -1
		case len(st.Metrics) >= len(v.defs):
			out[p] = lowest(st.Metrics, p)
		}
	}
	return out
}

// hasShare reports whether it is known which partitions are this process's.
func (v *viewWindows) hasShare() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.joined
}

// lowest is the lowest offset of a partition that any of the metrics has stored.
func lowest(metrics []redis.MetricStatus, partition int) int64 {
	low := int64(math.MaxInt64)
	for i := range metrics {
		at := int64(0)
		if saved := metrics[i].Saved; partition < len(saved) {
			at = max(0, saved[partition])
		}
		low = min(low, at)
	}
	return low
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
