package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tailwater/internal/standstill"
	"tailwater/stream"
	"tailwater/windowing"
)

// Source is what a Worker needs of a stream.Log.
type Source interface {
	EnsureTopic(ctx context.Context, spec stream.TopicSpec) (stream.Topic, error)
	NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error)
	Bounds(ctx context.Context, topic string) ([]stream.Bounds, error)
}

var _ Source = stream.Log(nil)

// Defaults of WorkerOptions.
const (
	DefaultFlushEvery = 100 * time.Millisecond
	DefaultKeepAlive  = time.Second
	DefaultCatchUp    = 50_000
)

// WorkerOptions are the options of NewWorker.
type WorkerOptions struct {
	Source Source
	Store  *Store
	// Topic whose records are folded, and the metrics that are made of them.
	Topic   string
	Metrics []*windowing.Metric
	// Partitions are those that this worker reads; nil is all of the topic.
	// Who reads the others does not matter: windows close by what the store
	// has of all of them.
	Partitions []int32
	// FlushEvery is the shortest time between two scripts of a metric that has
	// something to say. 0 is 100 ms.
	FlushEvery time.Duration
	// KeepAlive is the longest time between two scripts. 0 is 1 s.
	KeepAlive time.Duration
	// CatchUp is the number of records behind the others from which a metric
	// reads with a consumer of its own. 0 is 50,000.
	CatchUp int64
	// MaxBytes bounds what one poll of the stream returns. 0 is the stream's default.
	MaxBytes int
	// Observe, when set, is told of each merged batch: the commit times of its
	// events in microseconds, and when the store had them. It must not keep the
	// slice, and is called from the worker's goroutines.
	Observe func(metric string, commits []int64, at time.Time)
	// Logger gets a line per change of state. nil discards.
	Logger *slog.Logger
	// Notice returns what is said of a metric that stands still, made of Waits,
	// where it shall outlive the worker: the same one for the same metric. nil
	// makes one for this worker.
	Notice func(metric string) *standstill.Notice
}

// Waits is what the log says of a metric that stands still.
func Waits(logger *slog.Logger, metric string) standstill.Options {
	return standstill.Options{Logger: logger, Level: slog.LevelError, Stops: "metric waits", Moves: "metric goes on", Args: []any{"metric", metric}}
}

// noticeOf returns what is said of a metric that stands still.
func (o *WorkerOptions) noticeOf(metric string) *standstill.Notice {
	if o.Notice == nil {
		return standstill.New(Waits(o.Logger, metric))
	}
	return o.Notice(metric)
}

// Worker merges the records of one topic into the windows of its metrics. Any
// number of workers may run at once, in one process or many: one of them makes
// the progress, and the others are refused.
//
// The metrics share one consumer. One that is far behind the others reads with
// a consumer of its own until it has caught up; one that fails waits alone. So
// does each bucket of a wide metric: it has positions of its own.
type Worker struct {
	o       WorkerOptions
	runners []*runner

	// back carries metrics that have caught up to the main lane.
	back chan *runner
	side sync.WaitGroup

	mu   sync.Mutex
	main map[int32]int64 // next offsets of the main lane
	// behind is how many buckets of a metric catch up.
	behind map[string]int
}

// NewWorker checks the options.
func NewWorker(o WorkerOptions) (*Worker, error) {
	if o.FlushEvery == 0 {
		o.FlushEvery = DefaultFlushEvery
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = DefaultKeepAlive
	}
	if o.CatchUp == 0 {
		o.CatchUp = DefaultCatchUp
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Source == nil || o.Store == nil || len(o.Metrics) == 0 {
		return nil, errors.New("new window worker: source, store and metrics must be given")
	}
	w := &Worker{o: o, behind: map[string]int{}}
	names := map[string]bool{}
	for _, m := range o.Metrics {
		if m.Topic != o.Topic || m.Partitions != o.Metrics[0].Partitions {
			return nil, fmt.Errorf("new window worker: metric %s is over %d partitions of topic %s, want %d of %s",
				m.Name, m.Partitions, m.Topic, o.Metrics[0].Partitions, o.Topic)
		}
		if names[m.Name] {
			return nil, fmt.Errorf("new window worker: metric %s is given twice", m.Name)
		}
		names[m.Name] = true
		notice := w.o.noticeOf(m.Name)
		for b := range m.Buckets {
			w.runners = append(w.runners, newRunner(m, b, &w.o, notice))
		}
	}
	w.back = make(chan *runner, len(w.runners))
	return w, nil
}

// Run works until ctx ends, then sends what is folded, and returns nil. It
// keeps trying whatever fails: a store or a stream that is down holds the
// records back and loses nothing. It is called once.
func (w *Worker) Run(ctx context.Context) error {
	l := &lane{w: w, main: true, runners: append([]*runner(nil), w.runners...)}
	l.run(ctx)
	w.side.Wait()
	return nil
}

// catching counts the buckets of a metric that catch up, and logs the first that
// begins and the last that ends.
func (w *Worker) catching(r *runner, step int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := r.t.m.Name
	w.behind[name] += step
	switch n := w.behind[name]; {
	case step > 0 && n == 1:
		w.o.Logger.Info("metric is behind and catches up by itself", "metric", name)
	case step < 0 && n == 0:
		w.o.Logger.Info("metric has caught up", "metric", name)
	}
}

// catchUp gives a metric a lane of its own.
func (w *Worker) catchUp(ctx context.Context, r *runner) {
	w.catching(r, 1)
	l := &lane{w: w, runners: []*runner{r}}
	w.side.Go(func() { l.run(ctx) })
}

// reads reports whether a partition is one of the worker's.
func (o *WorkerOptions) reads(partition int) bool {
	return o.Partitions == nil || slices.Contains(o.Partitions, int32(partition))
}

// setMain publishes how far the main lane is; nil says that it reads nothing.
func (w *Worker) setMain(next map[int32]int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.main)
	for p, off := range next {
		if w.main == nil {
			w.main = map[int32]int64{}
		}
		w.main[p] = off
	}
}

// caughtUp reports whether a metric is near enough to the main lane.
func (w *Worker) caughtUp(r *runner) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var behind int64
	for p, off := range w.main {
		if next, ok := r.fold.Next(p); ok && r.fold.Stopped(p) == nil {
			behind += max(0, off-next)
		}
	}
	return behind <= w.o.CatchUp/4
}

// Status returns what the worker knows. It is safe for concurrent use.
func (w *Worker) Status() Status {
	s := Status{Topic: w.o.Topic}
	now := time.Now()
	for _, r := range w.runners {
		one := r.snapshot(now)
		if r.t.b.number == 0 {
			s.Metrics = append(s.Metrics, one)
		} else {
			s.Metrics[len(s.Metrics)-1].merge(&one)
		}
	}
	return s
}
