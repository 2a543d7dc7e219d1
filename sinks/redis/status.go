package redis

import "time"

// Status is what a Worker knows at one moment.
type Status struct {
	Topic   string
	Metrics []MetricStatus
}

// MetricStatus is what a Worker knows of one metric. Of a wide one it is the
// bucket that is furthest behind, and the sum of what the buckets count.
type MetricStatus struct {
	Name       string
	Generation string
	// Candidate says that this definition is still catching up beside the one
	// whose windows are public.
	Candidate bool
	// Watermark of the metric as stored, in microseconds; 0 when a shard was
	// never heard in a partition. Lag is how far it is behind our clock.
	Watermark int64
	Lag       time.Duration
	// Behind is the number of records between the stored positions and the
	// end of the log when it was last asked.
	Behind int64
	// Floor is the start of the first window that is kept, in seconds.
	Floor int64
	// Closed counts windows published as complete, Incomplete those published
	// without a shard. Groups is the number of groups of the newest window.
	Closed, Incomplete int64
	Groups             int64
	// Late events were applied, Dropped left out, Below the floor when they
	// came. Overflows are groups whose value no longer fits.
	Late, Dropped, Below, Overflows int64
	// Skipped had no time that a window could have. Negatives are groups whose
	// number of rows fell below zero: rows were taken back that were never
	// counted, which is a reason for an alarm.
	Skipped, Negatives int64
	// Stale is the time, in microseconds, up to which windows begin that may hold
	// rows that are gone, and StaleBy what took them; 0 when no window that is
	// kept is one.
	Stale   int64
	StaleBy string
	// Refused counts batches that started from another position than the
	// stored one and were folded again; Flushes those that were taken.
	Refused, Flushes int64
	// FlushTime is how long the last script took, with its round trip.
	FlushTime time.Duration
	// Saved are the stored offsets by partition; -1 is none. What the log
	// keeps must not begin above them.
	Saved []int64
	// LastError is the newest error and its time; "" after a success.
	LastError   string
	LastErrorAt time.Time
	// Stopped partitions are not applied any further, with the reason.
	Stopped map[int32]string
}

// merge adds another bucket of the metric.
func (s *MetricStatus) merge(b *MetricStatus) {
	s.Candidate = s.Candidate || b.Candidate
	s.Watermark, s.Lag = min(s.Watermark, b.Watermark), max(s.Lag, b.Lag)
	s.Behind, s.Floor = max(s.Behind, b.Behind), max(s.Floor, b.Floor)
	// Each bucket publishes a window for itself: the metric has no more of them
	// than the bucket with the most.
	s.Closed, s.Incomplete = max(s.Closed, b.Closed), max(s.Incomplete, b.Incomplete)
	s.Groups += b.Groups
	s.Late, s.Dropped, s.Below, s.Overflows = s.Late+b.Late, s.Dropped+b.Dropped, s.Below+b.Below, s.Overflows+b.Overflows
	s.Skipped, s.Negatives = s.Skipped+b.Skipped, s.Negatives+b.Negatives
	if b.Stale > s.Stale {
		s.Stale, s.StaleBy = b.Stale, b.StaleBy
	}
	s.Refused, s.Flushes = s.Refused+b.Refused, s.Flushes+b.Flushes
	s.FlushTime = max(s.FlushTime, b.FlushTime)
	for p := range s.Saved {
		s.Saved[p] = min(s.Saved[p], b.Saved[p])
	}
	if b.LastError != "" && (s.LastError == "" || b.LastErrorAt.After(s.LastErrorAt)) {
		s.LastError, s.LastErrorAt = b.LastError, b.LastErrorAt
	}
	for p, why := range b.Stopped {
		if s.Stopped == nil {
			s.Stopped = map[int32]string{}
		}
		if s.Stopped[p] == "" {
			s.Stopped[p] = why
		}
	}
}
