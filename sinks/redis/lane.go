package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/windowing"
)

// measureEvery is the time between two looks at the end of the log.
const measureEvery = 2 * time.Second

// drainTime bounds what is sent after the worker was told to stop.
const drainTime = 2 * time.Second

// Back-off after errors: doubled from the first to the last.
const (
	backoffFirst = 100 * time.Millisecond
	backoffLast  = 5 * time.Second
	// backoffStopped is the time between two looks at what a person must mend.
	backoffStopped = time.Minute
)

// lane is one consumer and the metrics that read from it, a wide one once for
// each of its buckets. Its goroutine owns them all.
//
// A runner goes through: waiting -> loaded (its fold stands at the stored
// positions) -> attached (the consumer reads from there or before) -> waiting
// again, when a merge is refused or fails.
type lane struct {
	w        *Worker
	main     bool
	runners  []*runner
	consumer stream.Consumer
	next     map[int32]int64
	routes   map[*windowing.Metric]*routes
	turn     []*runner
	measured time.Time
	wait     time.Duration
}

// routes are the buckets of a wide metric that the records of one poll touch.
type routes struct {
	router *windowing.Router
	bits   []uint64
	known  bool
}

// run works until ctx ends, or, beside the main lane, until its metric has
// caught up.
func (l *lane) run(ctx context.Context) {
	defer l.close()
	for ctx.Err() == nil {
		l.adopt()
		l.prepare(ctx)
		if l.main {
			l.split(ctx)
			l.measure(ctx)
		}
		if !l.anyLoaded() {
			l.w.publish(l)
			l.idle(ctx)
			continue
		}
		if err := l.step(ctx); err != nil && ctx.Err() == nil {
			l.fail(ctx, err)
			continue
		}
		l.wait = 0
		if !l.main && l.runners[0].loaded && l.w.caughtUp(l.runners[0]) {
			l.handBack(ctx)
			return
		}
	}
	l.drain(ctx)
}

// publish tells the others how far the main lane is.
func (w *Worker) publish(l *lane) {
	if !l.main {
		return
	}
	if l.anyLoaded() {
		w.setMain(l.next)
	} else {
		w.setMain(nil)
	}
}

// step reads and folds once, and flushes what is due.
func (l *lane) step(ctx context.Context) error {
	if err := l.assign(ctx); err != nil {
		return err
	}
	records, err := l.poll(ctx)
	if err != nil {
		return err
	}
	if len(records) > 0 {
		failpoint.At(failpoint.RedisPolled)
	}
	for i := range records {
		l.next[records[i].Partition] = records[i].Offset + 1
	}
	for _, x := range l.routes {
		x.known = false
	}
	l.w.publish(l)
	for _, r := range l.runners {
		if r.attached {
			r.feed(ctx, records, l.route(r.t.m, records))
		}
	}
	if len(records) > 0 {
		failpoint.At(failpoint.RedisFolded)
	}
	now := time.Now()
	l.turn = l.turn[:0]
	for _, r := range l.runners {
		if r.attached && !now.Before(r.due()) {
			l.turn = append(l.turn, r)
		}
	}
	each(l.turn, func(r *runner) { r.flush(ctx) })
	return nil
}

// atOnce bounds the buckets that are flushed or loaded at the same time.
const atOnce = 16

// each does something with each runner. The buckets of a wide metric lie on
// several servers and are done at the same time, so that a server that does not
// answer costs the others one wait and not one for each of its buckets. The last
// bucket, which speaks for all, comes after them.
func each(runners []*runner, do func(*runner)) {
	var side sync.WaitGroup
	var turns chan struct{}
	for _, r := range runners {
		if r.t.b.speaks() {
			continue
		}
		if turns == nil {
			turns = make(chan struct{}, atOnce)
		}
		turns <- struct{}{}
		side.Go(func() {
			defer func() { <-turns }()
			do(r)
		})
	}
	side.Wait()
	for _, r := range runners {
		if r.t.b.speaks() {
			do(r)
		}
	}
}

// route returns the buckets of a wide metric that each record touches, found
// once for all of its buckets; nil when there is only one.
func (l *lane) route(m *windowing.Metric, records []stream.Record) []uint64 {
	if m.Buckets <= 1 {
		return nil
	}
	x := l.routes[m]
	if x == nil {
		if l.routes == nil {
			l.routes = map[*windowing.Metric]*routes{}
		}
		x = &routes{router: windowing.NewRouter(m)}
		l.routes[m] = x
	}
	if !x.known {
		x.known, x.bits = true, x.bits[:0]
		for i := range records {
			x.bits = append(x.bits, x.router.Route(&records[i]))
		}
	}
	return x.bits
}

// poll waits for records until the next flush is due.
func (l *lane) poll(ctx context.Context) ([]stream.Record, error) {
	until := time.Now().Add(l.w.o.KeepAlive)
	for _, r := range l.runners {
		if r.attached {
			until = earlier(until, r.due())
		} else {
			until = earlier(until, r.retryAt)
		}
	}
	wait := max(time.Until(until), time.Millisecond)
	if len(l.next) == 0 { // every partition is stopped
		sleep(ctx, wait)
		return nil, nil
	}
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	records, err := l.consumer.Poll(short)
	if short.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		err = nil
	}
	return records, err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// assign makes the consumer read from the lowest position of the metrics,
// when one of them is not attached.
func (l *lane) assign(ctx context.Context) error {
	if !slices.ContainsFunc(l.runners, func(r *runner) bool { return r.loaded && !r.attached }) {
		return nil
	}
	if l.consumer == nil {
		c, err := l.w.o.Source.NewConsumer(ctx, stream.ConsumerOptions{MaxBytes: l.w.o.MaxBytes})
		if err != nil {
			return err
		}
		l.consumer = c
	}
	next := map[int32]int64{}
	for _, r := range l.runners {
		if !r.loaded {
			continue
		}
		for p := range int32(r.t.m.Partitions) {
			off, ok := r.fold.Next(p)
			if at, known := next[p]; ok && r.fold.Stopped(p) == nil && (!known || off < at) {
				next[p] = off
			}
		}
	}
	offsets := make(map[stream.TopicPartition]int64, len(next))
	for p, off := range next {
		offsets[stream.TopicPartition{Topic: l.w.o.Topic, Partition: p}] = off
	}
	failpoint.At(failpoint.RedisSeek)
	if err := l.consumer.Assign(offsets); err != nil {
		return err
	}
	l.next = next
	for _, r := range l.runners {
		r.attached = r.loaded
	}
	return nil
}

// fail gives up the consumer and every position after an error of the stream.
func (l *lane) fail(ctx context.Context, err error) {
	l.close()
	for _, r := range l.runners {
		r.detach(err, 0)
	}
	l.wait = min(max(2*l.wait, backoffFirst), backoffLast)
	sleep(ctx, jitter(l.wait))
}

func (l *lane) close() {
	if l.consumer == nil {
		return
	}
	if err := l.consumer.Close(); err != nil {
		l.w.o.Logger.Warn("close consumer", "topic", l.w.o.Topic, "error", err)
	}
	l.consumer = nil
}

// adopt takes back the metrics that have caught up.
func (l *lane) adopt() {
	for l.main {
		select {
		case r := <-l.w.back:
			r.attached = false
			l.runners = append(l.runners, r)
		default:
			return
		}
	}
}

func (l *lane) handBack(ctx context.Context) {
	r := l.runners[0]
	if r.attached {
		r.flush(ctx)
	}
	r.attached = false
	l.w.catching(r, -1)
	l.w.back <- r
}

// prepare loads the positions of the metrics whose time has come.
func (l *lane) prepare(ctx context.Context) {
	now := time.Now()
	for _, r := range l.runners {
		if r.loaded && !r.recheckAt.IsZero() && now.After(r.recheckAt) {
			if r.attached {
				r.flush(ctx)
			}
			r.detach(nil, 0)
		}
	}
	l.turn = l.turn[:0]
	for _, r := range l.runners {
		if !r.loaded && !now.Before(r.retryAt) {
			l.turn = append(l.turn, r)
		}
	}
	each(l.turn, func(r *runner) {
		if ctx.Err() == nil {
			r.prepare(ctx)
		}
	})
}

// split moves metrics that are far behind the others to lanes of their own.
func (l *lane) split(ctx context.Context) {
	var first *runner
	for _, r := range l.runners {
		if r.loaded && (first == nil || r.progress() > first.progress()) {
			first = r
		}
	}
	l.runners = slices.DeleteFunc(l.runners, func(r *runner) bool {
		if !r.loaded || r.progress()+l.w.o.CatchUp >= first.progress() {
			return false
		}
		r.attached = false
		l.w.setMain(first.offsets())
		l.w.catchUp(ctx, r)
		return true
	})
}

// measure asks for the end of the log, to say how far the metrics are behind.
func (l *lane) measure(ctx context.Context) {
	if time.Since(l.measured) < measureEvery {
		return
	}
	l.measured = time.Now()
	bounds, err := l.w.o.Source.Bounds(ctx, l.w.o.Topic)
	if err != nil {
		return // the consumer meets the same trouble and reports it
	}
	for _, r := range l.w.runners {
		r.setBehind(bounds)
	}
}

func (l *lane) anyLoaded() bool {
	return slices.ContainsFunc(l.runners, func(r *runner) bool { return r.loaded })
}

// idle waits until a metric may be tried again.
func (l *lane) idle(ctx context.Context) {
	until := time.Now().Add(l.w.o.KeepAlive)
	for _, r := range l.runners {
		until = earlier(until, r.retryAt)
	}
	sleep(ctx, max(time.Until(until), time.Millisecond))
}

// drain sends what is folded when the worker is told to stop. What it does not
// get through is folded again at the next start.
func (l *lane) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for _, r := range l.runners {
		if r.attached && r.fold.Dirty() {
			r.flush(ctx)
		}
	}
}

// beyond returns a context that ends d later than ctx.
func beyond(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		sleep(longer, d)
		cancel(context.Cause(ctx))
	})
	return longer, func() {
		unhook()
		cancel(nil)
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// jitter spreads retries, so that workers that failed together do not come
// back together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
