package windowing

import "tailwater/stream"

// MaxMicros bounds every time of a metric, in microseconds since the Unix
// epoch: the year 2255. Below it a time is exact in a double, which the
// store's script computes with.
const MaxMicros = 1<<53 - 1

// Watermarks are the watermarks of one partition by index of the expected
// shard, in microseconds; 0 is a shard not heard.
type Watermarks []int64

// WatermarksOf returns the watermarks of the expected shards in the marks.
func WatermarksOf(shards []string, marks stream.Marks) Watermarks {
	w := make(Watermarks, len(shards))
	for i, s := range shards {
		w[i] = marks[s].Watermark
	}
	return w
}

// Low returns the watermark of the partition: the lowest of its shards', 0
// when one was never heard.
func (w Watermarks) Low() int64 {
	if len(w) == 0 {
		return 0
	}
	low := w[0]
	for _, x := range w[1:] {
		low = min(low, x)
	}
	return low
}

// Low returns the watermark of a metric: the lowest of all its partitions.
func Low(partitions []Watermarks) int64 {
	if len(partitions) == 0 {
		return 0
	}
	low := partitions[0].Low()
	for _, w := range partitions[1:] {
		low = min(low, w.Low())
	}
	return low
}

// WindowStart returns the start, in seconds, of the window of size seconds
// that holds a time in microseconds.
func WindowStart(micros, size int64) int64 { return micros / 1e6 / size * size }

// WindowEnd returns the end of a window in microseconds.
func WindowEnd(start, size int64) int64 { return (start + size) * 1e6 }

// Ended reports whether a window has ended at a watermark from which the
// lateness is already taken: its end is not part of it.
func Ended(start, size, watermark int64) bool { return WindowEnd(start, size) <= watermark }

// Missing decides, in log time, whether a window may be published without the
// shards that hold it open, and returns their indexes. end and wait are in
// microseconds. A shard is missing when in every partition another shard's
// watermark is past the end by more than wait, and where its own is below the
// end. Both are read at the stored offset of the partition, so a shard is
// never called missing because a worker is behind.
//
// It returns nothing when no shard holds the window open, and nothing when one
// that does cannot be called missing: then the window must wait.
func Missing(partitions []Watermarks, end, wait int64) []int {
	if len(partitions) == 0 {
		return nil
	}
	var missing []int
	for s := range partitions[0] {
		behind, passed := false, true
		for _, w := range partitions {
			behind = behind || w[s] < end
			passed = passed && w.othersPast(s, end+wait)
		}
		if behind && !passed {
			return nil
		}
		if behind {
			missing = append(missing, s)
		}
	}
	return missing
}

// othersPast reports whether a shard other than s is past the limit.
func (w Watermarks) othersPast(s int, limit int64) bool {
	for i, x := range w {
		if i != s && x > limit {
			return true
		}
	}
	return false
}

// Expired returns the start below which windows are no longer kept at a
// watermark: those that ended more than retain microseconds ago. It is 0 when
// none are.
func Expired(watermark, retain, size int64) int64 {
	if watermark <= retain {
		return 0
	}
	return WindowStart(watermark-retain, size)
}

// GapFloor returns the start of the first window that a log whose older
// records are gone can give whole: first is the largest watermark first heard
// in the partition, delay the longest that a write can be delayed.
func GapFloor(first, delay, size int64) int64 {
	return WindowStart(first+delay, size) + size
}
