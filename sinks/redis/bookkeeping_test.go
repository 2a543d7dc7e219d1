package redis

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/windowing"
)

// storedFields is what a store holds of a metric over two partitions.
func storedFields() map[string]string {
	marks := stream.Marks{"00": {LSN: change.LSN{Epoch: 1, Txn: 2, Row: 3}, N: 4, Watermark: 5}, "01": {N: 1}}
	return map[string]string{
		"v": "1", "partitions": "2", "floor": "300", "watermark": "1700000000000000", "shards": "00 01", "w:300": "2",
		"p:0": positionText(windowing.Position{Incarnation: "0123456789abcdef", Offset: 42}), "m:0": marksText(marks),
	}
}

// readBookkeeping reads one field after the other, as a load does. What is
// refused is called corrupt, which rebuilds the metric from the log.
func readBookkeeping(t *testing.T, h map[string]string) {
	t.Helper()
	tab := &table{m: &windowing.Metric{Definition: windowing.Definition{Partitions: 2}}}
	for field, text := range h {
		st := &stored{positions: make([]windowing.Position, 2)}
		if err := tab.loadField(st, h, field, text); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("field %q with %q: %v, want it to be called corrupt", field, text, err)
		} else if err == nil {
			for _, at := range st.positions {
				again, perr := parseMarks(marksText(at.Marks))
				if perr != nil || !maps.Equal(again, at.Marks) && len(at.Marks) > 0 || at.Offset < 0 {
					t.Errorf("field %q with %q is read as %+v, which reads back as %v, %v", field, text, at, again, perr)
				}
			}
		}
	}
}

// Whoever writes into the store by hand gets a metric that is rebuilt, never a
// worker that panics.
func TestHazard_B31_ChangedBookkeepingIsCorruptOrReads(t *testing.T) {
	for field, good := range storedFields() {
		for i := range good {
			for v := range 256 {
				h := storedFields()
				h[field] = good[:i] + string([]byte{byte(v)}) + good[i+1:]
				readBookkeeping(t, h)
			}
			h := storedFields()
			h[field] = good[:i]
			readBookkeeping(t, h)
			// The name of a field may be foreign, too.
			h = storedFields()
			h[strings.Repeat(field, 2)[i%len(field):]] = good
			readBookkeeping(t, h)
		}
	}
}

func FuzzBookkeeping(f *testing.F) {
	for field, text := range storedFields() {
		f.Add(field, text)
	}
	f.Fuzz(func(t *testing.T, field, text string) {
		h := storedFields()
		h[field] = text
		readBookkeeping(t, h)
	})
}
