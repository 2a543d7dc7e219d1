package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tailwater/internal/failpoint"
	"tailwater/internal/standstill"
	"tailwater/stream"
	"tailwater/windowing"
)

// recheckGap is the time between two looks at a partition whose gap cannot be
// bounded yet, because a shard was not heard behind it.
const recheckGap = 5 * time.Second

// runner works on one bucket of a metric, which is all of it unless the metric
// is wide. The goroutine of its lane owns it; only the status is shared.
type runner struct {
	o    *WorkerOptions
	t    *table
	fold *windowing.Fold
	need []string
	// notice is the metric's, shared with its other buckets.
	notice *standstill.Notice
	// told is the newest cause of stale windows that was logged.
	told windowing.Stale

	claimed, sharded bool
	loaded, attached bool
	corrupt          bool
	retryAt          time.Time
	recheckAt        time.Time
	wait             time.Duration
	flushed          time.Time
	touched          time.Time
	promoted         time.Time

	mu     sync.Mutex
	status MetricStatus
}

func newRunner(m *windowing.Metric, number int, o *WorkerOptions, notice *standstill.Notice) *runner {
	r := &runner{o: o, notice: notice, t: o.Store.table(m, number), fold: windowing.NewBucketFold(m, number)}
	if o.Observe != nil {
		r.fold.ObserveCommits()
	}
	r.status = MetricStatus{Name: m.Name, Generation: m.Generation(), Saved: slices.Repeat([]int64{-1}, m.Partitions)}
	return r
}

// due is when the next flush should be.
func (r *runner) due() time.Time {
	if r.fold.Dirty() {
		return r.flushed.Add(r.o.FlushEvery)
	}
	return r.flushed.Add(r.o.KeepAlive)
}

// offsets are those of the next records, by partition that is read.
func (r *runner) offsets() map[int32]int64 {
	next := map[int32]int64{}
	for p := range int32(r.t.m.Partitions) {
		if off, ok := r.fold.Next(p); ok && r.fold.Stopped(p) == nil {
			next[p] = off
		}
	}
	return next
}

// progress is the number of records read.
func (r *runner) progress() (n int64) {
	for _, off := range r.offsets() {
		n += off
	}
	return n
}

// feed folds records, and flushes whenever the batch has reached its bound.
// routes are the buckets that each record touches; nil is the only one.
func (r *runner) feed(ctx context.Context, records []stream.Record, routes []uint64) {
	for i := range records {
		var err error
		if routes == nil || routes[i]>>r.t.b.number&1 == 1 {
			err = r.fold.Add(&records[i])
		} else {
			err = r.fold.Pass(&records[i])
		}
		if err != nil {
			r.o.Logger.Error("metric stops in a partition", "metric", r.t.tag, "partition", records[i].Partition, "error", err)
			r.update(func(s *MetricStatus) {
				if s.Stopped == nil {
					s.Stopped = map[int32]string{}
				}
				s.Stopped[records[i].Partition] = err.Error()
			})
			r.report(err)
		}
		if r.fold.Full() && !r.flush(ctx) {
			return
		}
	}
}

// flush merges the batch, even an empty one, and reports whether the store
// took it. Otherwise the runner must be prepared again.
func (r *runner) flush(ctx context.Context) bool {
	// A merge that is on its way when the worker is told to stop may come to its
	// end: given up, its outcome would be unknown, and what it carries unmerged.
	ctx, stop := beyond(ctx, drainTime)
	defer stop()
	for {
		start := time.Now()
		d := r.fold.Cut()
		t, err := r.t.merge(ctx, d, r.need)
		if err != nil {
			r.refused(err)
			return false
		}
		r.tell(d.Stale, t.stale)
		now := time.Now()
		if commits := r.fold.Commits(); len(commits) > 0 && r.o.Observe != nil {
			r.o.Observe(r.t.m.Name, commits, now)
		}
		r.fold.Commit()
		r.wait, r.flushed = 0, now
		r.declare(t.need)
		r.merged(t, now.Sub(start))
		failpoint.At(failpoint.RedisMerged)
		if len(t.need) == 0 {
			break
		}
	}
	if err := r.care(ctx); err != nil {
		r.refused(err)
		return false
	}
	return true
}

// maxDeclared bounds the windows that are declared beyond those of a batch.
const maxDeclared = 400

// declare adds windows to those that every next script declares. A window once
// wanted stays declared: a script that declared only what the one before had
// asked for would ask for what that one had, for ever.
func (r *runner) declare(starts []string) {
	if len(r.need)+len(starts) > maxDeclared {
		r.need = nil
	}
	for _, start := range starts {
		if !slices.Contains(r.need, start) {
			r.need = append(r.need, start)
		}
	}
}

// care does what is due now and then: the windows' time to live, the promotion
// of a candidate, and for a bucket a look at the metric as a whole.
func (r *runner) care(ctx context.Context) error {
	if r.flushed.Sub(r.touched) > r.t.m.Retain/2 {
		if err := r.t.touch(ctx); err != nil {
			return err
		}
		failpoint.At(failpoint.RedisTouched)
		r.touched = r.flushed
	}
	if (r.t.role == candidate || r.t.b.wide()) && r.flushed.Sub(r.promoted) > r.o.KeepAlive/2 {
		r.promoted = r.flushed
		waited := !r.t.shown()
		done, err := r.t.advance(ctx)
		if done && waited {
			r.o.Logger.Info("definition took over", "metric", r.t.tag, "generation", r.t.m.Generation())
		}
		if done || err == nil {
			r.update(func(s *MetricStatus) { s.Candidate = !done })
		}
		return err
	}
	return nil
}

// refused decides what follows an error of a merge: the deltas are dropped in
// any case, and what the store holds decides what is folded again.
func (r *runner) refused(err error) {
	wait := time.Duration(0)
	switch {
	case errors.Is(err, errRefused):
		r.update(func(s *MetricStatus) { s.Refused++ })
		r.detach(nil, jitter(10*time.Millisecond))
		return
	case errors.Is(err, ErrCorrupt):
		r.corrupt = true
	case errors.Is(err, ErrSuperseded) && r.t.role == candidate:
		// A twin may have promoted this very definition.
	case errors.Is(err, ErrMaxGroups), errors.Is(err, ErrMaxWindows), errors.Is(err, ErrForeign), errors.Is(err, ErrSuperseded):
		wait = backoffStopped
	default:
		r.wait = min(max(2*r.wait, backoffFirst), backoffLast)
		wait = r.wait
	}
	r.detach(err, jitter(wait))
}

// detach drops the deltas and positions, and sets when to try again.
func (r *runner) detach(err error, wait time.Duration) {
	r.fold.Drop()
	r.need = nil
	r.loaded, r.attached = false, false
	r.retryAt = time.Now().Add(wait)
	if err != nil {
		r.report(err)
	}
}

// prepare brings the fold to the stored positions.
func (r *runner) prepare(ctx context.Context) {
	if err := r.load(ctx); err != nil {
		r.fold.Drop()
		r.refused(err)
		return
	}
	r.loaded = true
	r.flushed = time.Time{}
}

// load claims the generation, mends what can be mended, and starts the fold.
func (r *runner) load(ctx context.Context) error {
	if err := r.learnRole(ctx); err != nil {
		return err
	}
	st, err := r.t.load(ctx)
	corrupt := r.corrupt || errors.Is(err, ErrCorrupt) || err == nil && st.open
	if corrupt {
		r.o.Logger.Error("metric is rebuilt: its bookkeeping is corrupt", "metric", r.t.tag, "error", err)
		if err := r.t.rebuild(ctx, err != nil || !st.open); err != nil {
			return err
		}
		r.corrupt = false
		st, err = r.t.load(ctx)
	}
	if err != nil {
		return err
	}
	if st.exists && st.shards != r.t.shards() {
		if r.sharded {
			return fmt.Errorf("%w: %s, want %s; start every process with the same configuration", errShards, st.shards, r.t.shards())
		}
		if err := r.admit(ctx, st); err != nil {
			return err
		}
		if err := r.t.setShards(ctx, st); err != nil {
			return err
		}
	}
	r.sharded = true
	failpoint.At(failpoint.RedisPositionsLoaded)
	return r.start(ctx, st)
}

// admit prepares rows: latest for new shards: their rows are older than what
// the log has of them, so the floor rises above the watermarks first heard of
// them. It fails while one was not heard.
func (r *runner) admit(ctx context.Context, st *stored) error {
	m := r.t.m
	known := strings.Fields(st.shards)
	fresh := slices.DeleteFunc(slices.Clone(m.Shards), func(s string) bool { return slices.Contains(known, s) })
	if m.Rows != windowing.Latest || len(fresh) == 0 {
		return nil
	}
	bounds, err := r.o.Source.Bounds(ctx, m.Topic)
	if err != nil {
		return fmt.Errorf("look at topic %s: %w", m.Topic, err)
	}
	for p, at := range st.positions {
		if at.Incarnation == "" || p >= len(bounds) {
			continue
		}
		first, silent, err := firstHeard(ctx, r.o.Source, stream.TopicPartition{Topic: m.Topic, Partition: int32(p)}, bounds[p].First, bounds[p].Next, fresh)
		if err != nil {
			return err
		}
		if len(silent) > 0 {
			return fmt.Errorf("metric %s waits: new shards %v were not heard in partition %d, so it is unknown which windows have all of their rows", r.t.tag, silent, p)
		}
		floor := windowing.GapFloor(first, m.WriteDelay.Microseconds(), r.t.size())
		if err := r.t.gap(ctx, crossing{int32(p), at, at, floor, st.shards}); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) learnRole(ctx context.Context) error {
	if r.claimed {
		return r.t.follow(ctx)
	}
	if err := r.t.claim(ctx); err != nil {
		return err
	}
	r.claimed = true
	r.update(func(s *MetricStatus) { s.Candidate = !r.t.shown() })
	return nil
}

// start starts the fold in every partition whose position the log still has,
// and moves the others over their gap.
func (r *runner) start(ctx context.Context, st *stored) error {
	m := r.t.m
	topic, err := r.o.Source.EnsureTopic(ctx, stream.TopicSpec{Name: m.Topic, Partitions: m.Partitions})
	if err != nil {
		return fmt.Errorf("look at topic %s: %w", m.Topic, err)
	}
	bounds, err := r.o.Source.Bounds(ctx, m.Topic)
	if err != nil {
		return fmt.Errorf("look at topic %s: %w", m.Topic, err)
	}
	if topic.Incarnation == "" || len(bounds) != m.Partitions {
		return fmt.Errorf("look at topic %s: it has %d partitions, want %d, and incarnation %q", m.Topic, len(bounds), m.Partitions, topic.Incarnation)
	}
	r.fold.Drop()
	r.recheckAt = time.Time{}
	r.update(func(s *MetricStatus) {
		s.Stopped = nil
		for p, at := range st.positions {
			s.Saved[p] = -1
			if at.Incarnation == topic.Incarnation {
				s.Saved[p] = at.Offset
			}
		}
	})
	var crossed []int32
	var below int64
	defer func() { r.crossed(crossed, below) }()
	for p, at := range st.positions {
		if !r.o.reads(p) {
			continue
		}
		to := at
		switch {
		case at.Incarnation == "" && bounds[p].First == 0 && m.Rows != windowing.Latest:
			to = windowing.Position{Incarnation: topic.Incarnation}
		case at.Incarnation != topic.Incarnation || at.Offset < bounds[p].First:
			var floor int64
			to, floor, err = r.cross(ctx, int32(p), at, windowing.Position{Incarnation: topic.Incarnation, Offset: bounds[p].First}, bounds[p].Next)
			if err != nil {
				return err
			}
			if to.Incarnation == "" {
				continue
			}
			crossed, below = append(crossed, int32(p)), max(below, floor)
			at = to
		case at.Offset > bounds[p].Next:
			return fmt.Errorf("look at topic %s: the stored offset %d of partition %d is beyond the log's end %d; the log lost records",
				m.Topic, at.Offset, p, bounds[p].Next)
		}
		r.fold.Start(int32(p), at, to)
	}
	return nil
}

// cross moves a position over the records that the log no longer has, or that
// rows: latest would need and that were never in it: those of rows older than
// the log. It returns the floor of the windows that are kept, and the zero
// Position when that must wait.
func (r *runner) cross(ctx context.Context, p int32, at, to windowing.Position, end int64) (windowing.Position, int64, error) {
	m := r.t.m
	first, silent, err := firstHeard(ctx, r.o.Source, stream.TopicPartition{Topic: m.Topic, Partition: p}, to.Offset, end, m.Shards)
	if err != nil {
		return windowing.Position{}, 0, err
	}
	if len(silent) > 0 {
		r.recheckAt = time.Now().Add(recheckGap)
		why := fmt.Errorf("metric %s waits in partition %d: the log has no records before offset %d, and shards %v were not heard since, so it is unknown which windows are whole", r.t.tag, p, to.Offset, silent)
		r.update(func(s *MetricStatus) {
			if s.Stopped == nil {
				s.Stopped = map[int32]string{}
			}
			s.Stopped[p] = why.Error()
		})
		r.report(why)
		return windowing.Position{}, 0, nil
	}
	floor := windowing.GapFloor(first, m.WriteDelay.Microseconds(), r.t.size())
	if err := r.t.gap(ctx, crossing{p, at, to, floor, r.t.shards()}); err != nil {
		return windowing.Position{}, 0, err
	}
	failpoint.At(failpoint.RedisGapCrossed)
	return to, floor, nil
}

// crossed logs once for a metric over which partitions' gaps it was moved.
func (r *runner) crossed(partitions []int32, below int64) {
	if len(partitions) > 0 && r.t.b.number == 0 {
		r.o.Logger.Warn("what was before the stream's first record is not known: older windows are not kept",
			"metric", r.t.m.Name, "partitions", partitions, "below", time.Unix(below, 0).UTC())
	}
}

// report remembers an error, and logs that the metric waits, which is said once
// for all of its buckets.
func (r *runner) report(err error) {
	r.update(func(s *MetricStatus) { s.LastError, s.LastErrorAt = err.Error(), time.Now() })
	r.notice.Stands(r.t.b.number, err)
}

func (r *runner) update(f func(*MetricStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.status)
}

// merged takes over what a merge replied.
func (r *runner) merged(t totals, took time.Duration) {
	whole := false
	r.update(func(s *MetricStatus) {
		s.Watermark, s.Floor = t.watermark, t.floor
		s.Closed, s.Incomplete = t.closed, t.incomplete
		s.Late, s.Dropped, s.Below, s.Overflows = t.late, t.dropped, t.below, t.overflows
		s.Skipped, s.Negatives = t.skipped, t.negatives
		if s.Stale, s.StaleBy = t.stale, t.staleBy; t.stale < t.floor*1e6 {
			s.Stale, s.StaleBy = 0, "" // no window is kept that it could be in
		}
		if t.groups > 0 {
			s.Groups = t.groups
		}
		s.Flushes++
		s.FlushTime = took
		if whole = len(s.Stopped) == 0; whole {
			s.LastError = ""
		}
		for p := range s.Saved {
			if next, ok := r.fold.Next(int32(p)); ok {
				s.Saved[p] = next
			}
		}
	})
	if whole {
		r.notice.Moves(r.t.b.number)
	}
}

// tell logs once that windows have become stale. The event that says so comes in
// every partition, and again when records are folded again.
func (r *runner) tell(now windowing.Stale, until int64) {
	if now.By == r.told.By || now.Max(r.told) != now {
		return
	}
	if r.told = now; r.t.b.number > 0 {
		return
	}
	r.o.Logger.Warn("windows hold rows that are gone: those that begin up to that time are marked stale until they expire, later ones are right; what a stale one should be only the source can tell",
		"metric", r.t.m.Name, "because", now.By, "until", time.UnixMicro(until).UTC())
}

// setBehind measures the distance to the end of the log.
func (r *runner) setBehind(bounds []stream.Bounds) {
	r.update(func(s *MetricStatus) {
		s.Behind = 0
		for p, at := range s.Saved {
			if p < len(bounds) && r.o.reads(p) {
				s.Behind += max(0, bounds[p].Next-max(at, bounds[p].First))
			}
		}
	})
}

// snapshot returns a copy of the status.
func (r *runner) snapshot(now time.Time) MetricStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Saved, s.Stopped = slices.Clone(s.Saved), maps.Clone(s.Stopped)
	if s.Watermark > 0 {
		s.Lag = max(0, now.Sub(time.UnixMicro(s.Watermark)))
	}
	return s
}
