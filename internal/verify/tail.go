package verify

import (
	"context"
	"fmt"

	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// compareTail counts the rows of the stream behind the last batch of each
// chain. While a pipeline runs they are on their way; when none runs, nobody
// will bring them: the pipeline was not drained, or the newest batches are gone.
func (l *lake) compareTail(ctx context.Context) error {
	var waiting int64
	for p, bound := range l.topic.bounds {
		at, m := bound.First, make(marks)
		if chain := l.chains[chainID(l.topic.Incarnation, p)]; len(chain) > 0 {
			last := chain[len(chain)-1].Manifest
			at, m = max(at, last.Last), afterMarks(last)
		}
		n, err := l.rowsBetween(ctx, int32(p), span{at, bound.Next}, m)
		if err != nil {
			return err
		}
		waiting += n
		if n > 0 && l.v.running == nil {
			l.differ(Difference{Kind: Lost, Where: fmt.Sprintf("layout %s, partition %d, offsets %d to %d", l.layout, p, at, bound.Next),
				Expected: fmt.Sprintf("%d rows of the stream", n), Actual: "no batch: the pipeline was not drained, or the newest batches were removed"})
		}
	}
	l.v.result.LakeBehind += waiting
	return nil
}

// chainID names a chain in lake.chains.
func chainID(incarnation string, partition int) string {
	return fmt.Sprintf("%s/%05d", incarnation, partition)
}

// afterMarks are the marks behind a batch.
func afterMarks(m *parquet.Manifest) marks {
	out := make(marks)
	for shard, k := range m.After {
		out[shard] = mark{lsn: k.LSN, n: k.N, watermark: k.Watermark}
	}
	return out
}

// rowsBetween counts the accepted events of a part of the stream.
func (l *lake) rowsBetween(ctx context.Context, p int32, s span, at marks) (n int64, err error) {
	if s.next <= s.first {
		return 0, nil
	}
	err = readSpans(ctx, l.v.log, l.topic.Name, map[int32]span{p: s}, func(r *stream.Record) error {
		if ok, _ := at.accept(r); ok && r.Kind == stream.Event {
			n++
		}
		return nil
	})
	return n, err
}
