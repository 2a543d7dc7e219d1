package parquet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/internal/standstill"
	"tailwater/stream"
)

// Options are the options of NewWorker.
type Options struct {
	Log   stream.Log
	Store objstore.Store
	// View is the view, Topic its topic.
	View  string
	Topic stream.Topic
	// Partitions are those that this worker writes, ascending; nil is all.
	Partitions []int32
	// Layout is where the rows go; the zero value is CommitTime.
	Layout Layout
	// RollBytes of event JSON, RollRows or RollEvery since the first row cut a
	// batch. 0 is 128 MiB, 1 M rows and 5 minutes.
	RollBytes int
	RollRows  int
	RollEvery time.Duration
	// MemoryBytes bounds the rows held of all partitions; 0 is 64 MiB. The
	// largest batch is cut when it is reached.
	MemoryBytes int
	Codec       Codec
	// Grace bounds how long Run writes what it holds after its context ended;
	// 0 is 20 s.
	Grace  time.Duration
	Logger *slog.Logger
	// Notice says that the worker stands still, where it shall outlive the
	// worker; nil makes one of Stands.
	Notice *standstill.Notice
	Now    func() time.Time
}

func (o *Options) fill() {
	if o.Layout.Name == "" {
		o.Layout = CommitTime()
	}
	if o.Partitions == nil {
		for p := range o.Topic.Partitions {
			o.Partitions = append(o.Partitions, int32(p))
		}
	}
	setDefault(&o.RollBytes, 128<<20)
	setDefault(&o.RollRows, 1_000_000)
	setDefault(&o.RollEvery, 5*time.Minute)
	setDefault(&o.MemoryBytes, 64<<20)
	setDefault(&o.Grace, 20*time.Second)
	setDefault(&o.Codec.Compression, "zstd")
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Notice == nil {
		o.Notice = standstill.New(Stands(o.Logger, o.View, o.Layout.Name))
	}
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Worker writes one layout of one view. Two workers on the same layout are
// harmless: the chains decide.
type Worker struct {
	o      Options
	codecs *codecs

	mu     sync.Mutex
	status Status
}

// Status is what a worker has done since it started.
type Status struct {
	View, Layout string
	// Rows, Files and Bytes count what this worker committed.
	Rows, Files, Bytes uint64
	Duplicates         uint64
	LastCommit         time.Time
	// Read is the offset up to which each partition has been read, Saved up to
	// which it is in the lake; -1 for a partition that is not the worker's.
	Read, Saved []int64
	// Err is why the worker does not move; nil while it does.
	Err error
}

// NewWorker makes a worker; Run runs it.
func NewWorker(o Options) *Worker {
	o.fill()
	w := &Worker{o: o, codecs: newCodecs(), status: Status{View: o.View, Layout: o.Layout.Name}}
	w.status.Read = slices.Repeat([]int64{-1}, o.Topic.Partitions)
	for _, p := range o.Partitions {
		w.status.Read[p] = 0
	}
	w.status.Saved = slices.Clone(w.status.Read)
	return w
}

// Status returns a copy that the caller may keep.
func (w *Worker) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Read, s.Saved = append([]int64(nil), s.Read...), append([]int64(nil), s.Saved...)
	return s
}

// Stands is what the log says of a worker that stands still.
func Stands(logger *slog.Logger, view, layout string) standstill.Options {
	return standstill.Options{
		Logger: logger, Level: slog.LevelWarn, Stops: "lake does not move", Moves: "lake moves again",
		Args: []any{"view", view, "layout", layout},
	}
}

// moves notes that the worker goes on.
func (w *Worker) moves() {
	w.update(func(s *Status) { s.Err = nil })
	w.o.Notice.Moves(0)
}

func (w *Worker) update(f func(s *Status)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.status)
}

// Run writes until ctx ends, and then what it holds. An error of the store or
// of the log is shown in Status and tried again from the chain, at most 30 s
// later; Run itself fails only when it could not write what it held.
func (w *Worker) Run(ctx context.Context) error {
	delay := 100 * time.Millisecond
	for {
		began := w.o.Now()
		err := w.session(ctx)
		if ctx.Err() != nil {
			return err
		}
		if w.o.Now().Sub(began) > time.Minute {
			delay = 100 * time.Millisecond
		}
		w.update(func(s *Status) { s.Err = err })
		w.o.Notice.Stands(0, err)
		select {
		case <-time.After(delay):
			delay = min(2*delay, 30*time.Second)
		case <-ctx.Done():
			return err
		}
	}
}

// settled is how long a session must go well before the error of the one
// before it is forgotten; a commit makes it forgotten at once.
const settled = 10 * time.Second

// session works from the end of the chains until an error or the end of ctx.
func (w *Worker) session(ctx context.Context) error {
	s := newSession(w)
	if err := s.open(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // nothing is held yet
		}
		return err
	}
	defer s.consumer.Close()
	began := w.o.Now()
	for ctx.Err() == nil {
		if err := s.step(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if w.o.Now().Sub(began) > settled {
			w.moves()
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.o.Grace)
	defer cancel()
	var left error
	for i := range s.parts {
		if len(s.parts[i].rows) == 0 {
			continue
		}
		if err := s.cut(grace, &s.parts[i]); err != nil {
			left = errors.Join(left, fmt.Errorf("write what view %s holds in partition %d: %w", w.o.View, s.parts[i].n, err))
		}
	}
	s.report()
	return left
}

// knownSchemas are the view's schemas by fingerprint, as the log has them.
type knownSchemas map[string]*change.Schema

// refresh reads them again when one of the fingerprints is not there.
func (k knownSchemas) refresh(ctx context.Context, log stream.Log, view string, prints map[string]string) error {
	missing := false
	for p := range prints {
		missing = missing || k[p] == nil
	}
	if !missing && len(k) > 0 {
		return nil
	}
	all, err := log.Schemas(ctx, view)
	if err != nil {
		return fmt.Errorf("read schemas of view %s: %w", view, err)
	}
	for p, s := range maps.All(all) {
		k[p] = &s
	}
	for p := range prints {
		if p != "" && k[p] == nil {
			return fmt.Errorf("view %s: an event names schema %s, which the stream does not have", view, p)
		}
	}
	return nil
}
