package redis

import "time"

// Status is what a Worker knows at one moment.
type Status struct {
	Topic   string
	Metrics []MetricStatus
}

// MetricStatus is what a Worker knows of one metric.
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
