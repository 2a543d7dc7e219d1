package redis

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tailwater/stream"
	"tailwater/windowing"
)

// Source is what a Worker needs of a stream.Log.
type Source interface {
	EnsureTopic(ctx context.Context, spec stream.TopicSpec) (stream.Topic, error)
	NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error)
	Bounds(ctx context.Context, topic string) ([]stream.Bounds, error)
}

// WorkerOptions are the options of NewWorker.
type WorkerOptions struct {
	Source Source
	Store  *Store
	// Topic whose records are folded, and the metrics that are made of them.
	Topic   string
	Metrics []*windowing.Metric
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
}

// Worker merges the records of one topic into the windows of its metrics.
type Worker struct {
	o WorkerOptions
}

// NewWorker checks the options.
func NewWorker(o WorkerOptions) (*Worker, error) { return &Worker{o: o}, nil }

// Run works until ctx ends, then sends what is folded, and returns nil. It
// keeps trying whatever fails: a store or a stream that is down holds the
// records back and loses nothing.
func (w *Worker) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Status returns what the worker knows. It is safe for concurrent use.
func (w *Worker) Status() Status { return Status{} }
