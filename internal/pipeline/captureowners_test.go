package pipeline_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"tailwater/internal/pipeline"
	"tailwater/internal/testenv"
	"tailwater/stream/kafka/kafkatest"
)

// captured waits until a part has published so many events of a captured table,
// and has so many that are stopped.
func captured(t *testing.T, p *part, view string, events uint64, stopped int) {
	t.Helper()
	testenv.Wait(t, time.Minute, "the captured tables", func() error {
		s := p.pipe.Snapshot()
		if c := s.Captures[0]; c.Stopped != stopped {
			return fmt.Errorf("%d tables are stopped, want %d", c.Stopped, stopped)
		}
		for _, v := range s.Views {
			if v.View == view && v.Events >= events {
				return nil
			}
		}
		return errors.New("no events of " + view)
	})
}

// A process that began before a table was captured takes it over with its topic,
// and a table that is stopped stays so.
func TestCapture_AShardThatMovesTakesItsTablesAndTheirMarksAlong(t *testing.T) {
	r := newCapture(t, 1, "{ tables: all }", fmt.Sprintf("stream: { type: kafka, brokers: [%q], partitions: 3 }\n", kafkatest.Start(t)[0]))
	first := r.part(pipeline.Reader)
	shared(t, "the first with the shard", []string{"00"}, 1, first)
	second := r.part(pipeline.Reader)
	write := func(id int) {
		r.insert(0, id, "good", 0, place{"shop", "t_000"})
		r.insert(0, id, "bad", 1, place{"shop", "bad"})
		r.insert(0, id+1, "good", 0, place{"shop", "t_000"})
	}
	r.table(0, "shop", "t_000")
	r.table(0, "shop", "bad", "_v")
	write(1)
	captured(t, first, "shop.t_000", 2, 1)
	first.end(t, true)
	shared(t, "the second with the shard", []string{"00"}, 1, second)
	write(3)
	captured(t, second, "shop.t_000", 2, 1)
	second.end(t, true)
	r.start()
	r.settle(9)
	if rows := r.rows("shop.bad"); len(rows) > 0 {
		t.Errorf("rows of the stopped table are published: %v", rows)
	}
	delete(r.want, "shop.bad")
	r.compare()
}
