package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"tailwater/change"
	"tailwater/internal/status"
	"tailwater/sinks/parquet"
	"tailwater/stream"
	"tailwater/windowing"
)

// turns hands out one share after the other, each of which ends at once.
type turns [][]int32

func (s turns) share(ctx context.Context, work func(ctx context.Context, partitions []int32) error) error {
	for _, parts := range s {
		turn, end := context.WithCancel(ctx)
		end()
		if err := work(turn, parts); err != nil {
			return err
		}
	}
	return nil
}

// countingWorker commits one row, and has read its partitions.
type countingWorker struct{ status parquet.Status }

func (w *countingWorker) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (w *countingWorker) Status() parquet.Status { return w.status }

func TestLakeTable_CountsGoOnOverChangesOfItsShare(t *testing.T) {
	var made [][]int32
	l := &lakeTable{
		view: "orders", share: turns{{0, 1}, {1}, {}}.share, logger: slog.New(slog.DiscardHandler), worker: &countingWorker{},
		make: func(parts []int32) lakeWorker {
			made = append(made, parts)
			return &countingWorker{status: parquet.Status{View: "orders", Rows: 1, Files: 2, Bytes: 3, Duplicates: 4}}
		},
	}
	if err := l.Run(t.Context()); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if want := [][]int32{{0, 1}, {1}, {}}; !slices.EqualFunc(made, want, slices.Equal) {
		t.Errorf("workers were made for %v, want %v", made, want)
	}
	s := l.Status()
	if got := []uint64{s.Rows, s.Files, s.Bytes, s.Duplicates}; !slices.Equal(got, []uint64{3, 6, 9, 12}) {
		t.Errorf("counts = %v, want those of three workers", got)
	}
}

func TestViewWindows_ThePartitionsOfOthersHoldNothingUp(t *testing.T) {
	v := &viewWindows{topic: stream.Topic{Partitions: 3}, partitions: []int32{1}, defs: make([]windowing.Definition, 1)}
	if got := v.saved(); !slices.Equal(got, []int64{-1, 0, -1}) {
		t.Errorf("saved = %v, want -1 for the partitions of others", got)
	}
	if got := missing([]int64{7, 5, 9}, v.saved()); got != 5 {
		t.Errorf("missing = %d records, want the 5 of partition 1", got)
	}
	v.partitions = []int32{}
	if got := missing([]int64{7, 5, 9}, v.saved()); got != 0 {
		t.Errorf("missing = %d records without a partition, want 0", got)
	}
	v.partitions = nil
	if got := missing([]int64{7, 5, 9}, v.saved()); got != 21 {
		t.Errorf("missing = %d records with every partition, want 21", got)
	}
}

func TestKeepSharing_JoinsAgainUntilItIsToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		joined := 0
		err := keepSharing(ctx, slog.New(slog.DiscardHandler), "g", func() error {
			if joined++; joined == 3 {
				cancel()
				return nil
			}
			return errors.New("the coordinator is away")
		})
		if err != nil || joined != 3 {
			t.Errorf("joined %d times, %v, want 3 and no error", joined, err)
		}
	})
}

// A process that only reads has no sinks to report, and is well.
func TestSnapshot_OfAReaderAloneIsWell(t *testing.T) {
	if got := verdict(&status.Snapshot{Stream: status.Stream{Type: "kafka"}}); got != status.OK {
		t.Errorf("verdict = %s, want ok", got)
	}
}

// flakySchemas is a log whose schemas cannot be read at times.
type flakySchemas struct {
	stream.Log
	answers []map[string]change.Schema // nil is an error
}

func (l *flakySchemas) Schemas(context.Context, string) (map[string]change.Schema, error) {
	next := l.answers[0]
	if len(l.answers) > 1 {
		l.answers = l.answers[1:]
	}
	if next == nil {
		return nil, errors.New("no answer")
	}
	return next, nil
}

// A worker that has ended for schemas that could not be read would not be made
// anew before the columns really changed.
func TestViewWindows_SchemasThatCannotBeReadEndNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of := func(scale int) map[string]change.Schema {
			return map[string]change.Schema{"a": {Columns: []change.Column{{Name: "amount", Type: change.Decimal, Scale: scale}}}}
		}
		v := &viewWindows{log: &flakySchemas{answers: []map[string]change.Schema{of(2), nil, of(2), nil, nil, of(4)}}}
		got := v.otherColumns(t.Context(), mergeColumns(of(2)))
		if len(got) != 1 || got[0].Scale != 4 {
			t.Errorf("other columns are %+v, want those with four digits", got)
		}
	})
}
