package redis

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tailwater/windowing"
)

// The partitions of a topic are divided anew while rows come in: one worker has
// them all, then four have one each, then two. Whoever had a partition still
// holds rows that are not merged, and goes on for a while beside its successor.
func TestHazard_B7_PartitionsChangeHandsUnderLoad(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(4)
		m := b.metric(func(d *windowing.Definition) { d.Partitions = 4 })
		ctx, end := context.WithCancel(context.Background())
		var load sync.WaitGroup
		written := make(chan int64, 1)
		load.Go(func() {
			shards := []*fakeShard{l.shard("00"), l.shard("01")}
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			n := int64(0)
			for ; ctx.Err() == nil; n++ {
				<-tick.C
				s := shards[n%2]
				s.event(int32(n/2%4), 1000+float64(n)/20, fmt.Sprintf(`"city":"c%d","amount":%d.25`, n%5, n))
				select {
				case <-written:
				default:
				}
				written <- n
			}
			for _, s := range shards {
				s.beat(1020 + float64(n)/20)
			}
		})
		defer end()
		after := func(rows int64) { // so many more rows are written
			for first := <-written; <-written < first+rows; {
			}
		}
		var old []*running
		for _, shares := range [][][]int32{{{0, 1, 2, 3}}, {{0}, {1}, {2}, {3}}, {{0, 2}, {1, 3}}, {{3, 1, 2, 0}}, {{0, 1}, {2}, {3}}} {
			var now []*running
			for _, parts := range shares {
				slices.Sort(parts)
				now = append(now, b.work(l, func(o *WorkerOptions) { o.Partitions = parts }, m))
			}
			after(50)
			for _, w := range old {
				w.stop()
			}
			after(100)
			old = now
		}
		end()
		load.Wait()
		b.await(l, m)
		for _, w := range old {
			w.stop()
		}
		infos, err := b.store.Windows(context.Background(), m.Name, 0)
		if err != nil || len(infos) == 0 {
			b.Fatalf("windows: got %v, %v", infos, err)
		}
		for _, info := range infos {
			if !info.Complete {
				b.Errorf("window %d is not complete behind the last watermark: %+v", info.Start.Unix(), info)
			}
		}
	})
}
