package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tailwater/binlog"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// panicSession panics in its n-th publish, as a library that meets what it did
// not expect.
type panicSession struct {
	fakeSession
	panics int
}

func (s *panicSession) Publish(ctx context.Context, records []stream.Record) error {
	if s.panics--; s.panics == 0 {
		panic("index out of range")
	}
	return s.fakeSession.Publish(ctx, records)
}

func TestPublisher_PanicIsAnErrorOfTheShardAndNothingIsSaved(t *testing.T) {
	s := &panicSession{panics: 1}
	r := newRig(t, &s.fakeSession, func(o *publisherOptions) { o.Session, o.SaveEvery = s, 0 })
	tx := r.begin("g1")
	if err := r.row(tx, 1); err != nil {
		t.Fatal(err)
	}
	_ = r.p.Commit(tx, []byte("behind g1")) // the panic may be known by now
	err := r.p.Finish()
	var panicked *panicError
	if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "shard 00") {
		t.Errorf("Finish = %v, want the panic as an error of shard 00", err)
	}
	if classify(err) != binlog.Stop {
		t.Errorf("class = %v, want stop: what panics once panics again", classify(err))
	}
	if len(s.saves) != 0 {
		t.Errorf("%d positions saved behind records that were not published", len(s.saves))
	}
}

// panicWorker panics in its first runs.
type panicWorker struct {
	mu     sync.Mutex
	runs   int
	panics int
	status parquet.Status
}

func (w *panicWorker) Run(ctx context.Context) error {
	w.mu.Lock()
	w.runs++
	bad := w.runs <= w.panics
	if !bad {
		w.status.LastCommit = time.Now()
	}
	w.mu.Unlock()
	if bad {
		panic("page of a negative size")
	}
	<-ctx.Done()
	return nil
}

func (w *panicWorker) Status() parquet.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

func lakeTableOf(w lakeWorker) *lakeTable {
	return &lakeTable{
		view: "orders", share: alone, make: func([]int32) lakeWorker { return w }, worker: &countingWorker{},
		logger: slog.New(slog.DiscardHandler), again: panicPause,
	}
}

func TestLakeTable_PanicIsShownAndTheWorkerRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &panicWorker{panics: 2, status: parquet.Status{View: "orders"}}
		l := lakeTableOf(w)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		for range 2 {
			synctest.Wait()
			if err := l.Status().Err; err == nil || !strings.Contains(err.Error(), "lake of view orders") {
				t.Errorf("status = %v, want the panic of the lake of view orders", err)
			}
			time.Sleep(panicPause)
		}
		synctest.Wait()
		if err := l.Status().Err; err != nil || w.runs != 3 {
			t.Errorf("status after %d runs = %v, want none after 3", w.runs, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil at its end", err)
		}
	})
}

func TestLakeTable_PanicInTheDrainIsWhatWasLeft(t *testing.T) {
	w := &panicWorker{panics: 1, status: parquet.Status{View: "orders"}}
	l := lakeTableOf(w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var panicked *panicError
	if err := l.Run(ctx); !errors.As(err, &panicked) {
		t.Errorf("Run = %v, want the panic: what it held is not written", err)
	}
}
