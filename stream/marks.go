package stream

import (
	"fmt"

	"tailwater/change"
)

// Mark is what a consumer remembers of one (shard, partition).
type Mark struct {
	// LSN is the highest accepted.
	LSN change.LSN
	// N is the number of the last accepted event of LSN's epoch.
	N uint64
	// Watermark is the highest accepted, in microseconds; 0 is none.
	Watermark int64
}

// Marks are the marks of one partition by shard. An empty map is a partition
// never read; Accept needs one that is not nil.
type Marks map[string]Mark

// Clone returns a copy that shares nothing with m.
func (m Marks) Clone() Marks {
	c := make(Marks, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// GapError says that a partition lacks records that its reader wrote: the log
// lost them, or an offset was skipped. The partition must not be applied any
// further.
type GapError struct {
	Topic       string
	Partition   int32
	Offset      int64
	Shard       string
	Epoch       uint32
	Last, Found uint64
}

// Error names the partition, the shard and the missing numbers.
func (e *GapError) Error() string {
	return fmt.Sprintf("stream %s/%d: records %d to %d of shard %s, epoch %d, are missing before offset %d",
		e.Topic, e.Partition, e.Last+1, e.Found-1, e.Shard, e.Epoch, e.Offset)
}

// Accept decides whether a record counts, and remembers it when it does:
// an event iff its LSN is above the mark, a heartbeat or a fence iff it is not
// below, a control record never. It is a pure function of the log: whoever starts at a saved
// (offset, marks) decides the same. The records must come in offset order.
//
// A record whose number shows that others are missing is a *GapError; the
// marks are unchanged then, and nothing of the record may be applied.
func (m Marks) Accept(r *Record) (bool, error) {
	if r.Kind == Control {
		return false, nil
	}
	mark, known := m[r.Shard]
	c := r.LSN.Compare(mark.LSN)
	if c < 0 || c == 0 && known && r.Kind == Event {
		return false, nil
	}
	last := mark.N
	if !known || r.LSN.Epoch != mark.LSN.Epoch {
		last = 0
	}
	limit := last
	if r.Kind == Event {
		limit++
	}
	if known && r.N > limit && r.Kind != Fence {
		return false, &GapError{r.Topic, r.Partition, r.Offset, r.Shard, r.LSN.Epoch, last, r.N}
	}
	next := Mark{LSN: r.LSN, N: last, Watermark: max(mark.Watermark, r.Watermark)}
	switch r.Kind {
	case Fence:
		next.N = 0
	case Event:
		next.N = r.N
	case Heartbeat:
		if !known {
			next.N = r.N
		}
	}
	m[r.Shard] = next
	return true, nil
}
