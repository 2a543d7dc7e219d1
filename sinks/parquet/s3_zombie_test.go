package parquet

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/objstore"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

// halting is a store that stops its worker's write number at until go on, as a
// long pause of the process would, and counts those that it passed.
type halting struct {
	objstore.Store
	at      int
	halted  chan string
	release chan struct{}

	mu     sync.Mutex
	writes int
}

func (s *halting) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	s.mu.Lock()
	s.writes++
	here := s.writes == s.at
	s.mu.Unlock()
	if here {
		s.halted <- key
		select {
		case <-s.release:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.Store.PutNew(ctx, key, body, size)
}

// otherPolls is a log whose consumers get other numbers of records at once.
type otherPolls struct {
	*memLog
	seed uint64
}

func (l otherPolls) NewConsumer(context.Context, stream.ConsumerOptions) (stream.Consumer, error) {
	return &memConsumer{log: l.memLog, rng: rand.New(rand.NewPCG(l.seed, 3))}, nil
}

// between names what a worker was about to write.
func between(key string) string {
	switch {
	case strings.HasSuffix(key, ".done"):
		return "done"
	case strings.HasSuffix(key, ".parquet"):
		return "file"
	case strings.Contains(key, "/schema/"):
		return "schema"
	}
	return "manifest"
}

// A worker that pauses in the middle of a batch comes back when another one has
// finished that batch and gone on, or has died inside one of its own: it writes
// what the chain says by then, and every row stands once in what is committed,
// in files that nobody changed.
func TestLakeOnS3_AWorkerThatPausesInsideABatchDoublesAndLosesNothing(t *testing.T) {
	server := testenv.S3(t)
	seen := map[string]bool{}
	for at := 1; at <= 8; at++ {
		for dies := range 4 {
			f := newFixture(t)
			f.store = openPrefix(t, server, fmt.Sprintf("zombie/%d-%d", at, dies))
			w := newWriter("00", f.print)
			for i := range 12 {
				f.log.append(w.event(int32(i%2), day+int64(i%3)*3600e6, row0(i)))
			}
			seen[pausedInside(t, f, w, at, dies)] = true
			if t.Failed() {
				t.Fatalf("the worker paused before its write %d, the other died at %d", at, dies)
			}
		}
	}
	for _, where := range []string{"manifest", "file", "done"} {
		if !seen[where] {
			t.Errorf("no worker paused before a %s: %v", where, seen)
		}
	}
}

// pausedInside pauses a worker before its write number at, lets another one
// take over, and lets the first go on. The other reads on to the end, or dies
// before its write number dies. It returns what the first paused at.
func pausedInside(t *testing.T, f *fixture, w *writer, at, dies int) string {
	t.Helper()
	o := f.options()
	paused := &halting{Store: f.store, at: at, halted: make(chan string, 1), release: make(chan struct{})}
	o.Store = paused
	zombie := NewWorker(o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	end := make(chan error, 1)
	go func() { end <- zombie.Run(ctx) }()
	var where string
	select {
	case key := <-paused.halted:
		where = between(key)
	case <-ctx.Done():
		t.Fatalf("the worker never came to write %d: %+v", at, zombie.Status())
	}

	// Other cuts than the one that paused had in mind.
	next := f.options()
	next.Log = otherPolls{f.log, uint64(at)}
	next.RollRows, next.Codec.Compression = 1+at%3, "snappy"
	if dies > 0 {
		short, stop := context.WithTimeout(t.Context(), time.Minute)
		mortal := next
		mortal.Store, mortal.Grace = &dying{Store: f.store, left: dies, cancel: stop}, time.Millisecond
		_ = NewWorker(mortal).Run(short)
		stop()
	} else {
		f.drain(t, next)
	}
	for i := range 8 {
		f.log.append(w.event(int32(i%2), day+int64(i%3)*3600e6, row0(12+i)))
	}
	if dies == 0 {
		f.drain(t, next)
	}
	before := objects(t, f.store)

	close(paused.release)
	f.log.append(w.event(0, day, row0(20)), w.event(1, day, row0(21)))
	f.await(t, zombie, ctx)
	cancel()
	if err := <-end; err != nil {
		t.Errorf("paused before a %s: Run = %v", where, err)
	}
	f.drain(t, next)
	after := objects(t, f.store)
	for key, was := range before {
		if after[key] != was {
			t.Errorf("paused before a %s: %s was %v and is %v", where, key, was, after[key])
		}
	}
	ids, err := committed(t, f.store)
	if err != nil {
		t.Fatalf("paused before a %s: committed batches: %v", where, err)
	}
	times := map[string]int{}
	for _, id := range ids {
		times[id]++
	}
	if len(ids) != 22 || len(times) != 22 {
		t.Errorf("paused before a %s: %d rows are committed, %d of them different, want 22: %v", where, len(ids), len(times), times)
	}
	return where
}

// objects are the sizes and times of all objects of a store.
func objects(t *testing.T, s objstore.Store) map[string]objstore.Info {
	t.Helper()
	out := make(map[string]objstore.Info)
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		out[info.Key] = info
	}
	return out
}
