package parquet

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/stream"
)

// life is a worker that runs until it is told to end, or dies.
type life struct {
	*Worker
	cancel context.CancelFunc
	done   chan struct{}
}

// await waits until a worker has read its share of a log to the end, or has died.
func (l life) await(t *testing.T, log *memLog, share []int32) {
	t.Helper()
	testenv.Wait(t, time.Minute, "a worker to come to the end, or to die", func() error {
		select {
		case <-l.done:
			return nil
		default:
		}
		for _, p := range share {
			if at := l.Status().Read[p]; at < int64(len(log.parts[p])) {
				return fmt.Errorf("partition %d is read up to %d", p, at)
			}
		}
		return nil
	})
}

// The partitions of a topic are divided anew while rows come in: one worker has
// them all, then four have one each, then two. Whoever had a partition holds
// rows that are in no batch; some of them write what they hold, and some are
// killed inside a batch, beside successors that have begun.
func TestHazard_B7_PartitionsChangeHandsUnderLoad(t *testing.T) {
	const rows, parts = 600, 4
	f := newFixture(t)
	f.log.parts, f.log.first = make([][]stream.Record, parts), make([]int64, parts)
	options := func(shares ...int32) Options {
		o := f.options()
		o.Topic.Partitions, o.Partitions, o.RollRows, o.Grace = parts, shares, 3+len(shares), time.Minute
		return o
	}
	var all sync.WaitGroup
	start := func(o Options, dieAt int) life {
		ctx, cancel := context.WithCancel(t.Context())
		if dieAt > 0 {
			o.Store, o.Grace = &dying{Store: f.store, left: dieAt, cancel: cancel, after: dieAt%2 == 0}, time.Nanosecond
		}
		l := life{NewWorker(o), cancel, make(chan struct{})}
		all.Go(func() {
			defer close(l.done)
			_ = l.Run(ctx) // what it could not write, its successor does
		})
		return l
	}
	w := newWriter("00", f.print)
	n := 0
	write := func(more int) {
		for range more {
			r := w.event(int32(n%parts), day+int64(n%3)*3600e6, row0(n))
			f.log.append(r)
			if n%7 == 0 {
				f.log.append(r)
			}
			n++
		}
	}
	var old []life
	for round, shares := range [][][]int32{{{0, 1, 2, 3}}, {{0}, {1}, {2}, {3}}, {{0, 2}, {1, 3}}, {{0}, {1}, {2}, {3}}, {{0, 1, 2, 3}}} {
		var now []life
		for i, share := range shares {
			write(rows / 5 / len(shares) / 2)
			now = append(now, start(options(share...), (round+i)%3*(2+i)))
		}
		write(rows/5*(round+1) - n)
		for _, l := range old {
			l.cancel()
		}
		for i, l := range now {
			l.await(t, f.log, shares[i])
		}
		old = now
	}
	for _, l := range old {
		l.cancel()
	}
	all.Wait()
	f.drain(t, options(0, 1, 2, 3))
	f.wantIDs(t, "orders", rows)
	ids, err := committed(t, f.store)
	seen := make(map[string]bool)
	for _, id := range ids {
		seen[id] = true
	}
	if err != nil || len(ids) != rows || len(seen) != rows {
		t.Errorf("committed are %d rows, %d of them different, %v, want %d", len(ids), len(seen), err, rows)
	}
	if n != rows {
		t.Fatal(fmt.Sprint("the test has written ", n))
	}
}
