package windowing

import "tailwater/stream"

// Position is where a fold stands in one partition.
type Position struct {
	// Incarnation of the log that Offset belongs to. "" is a partition never read.
	Incarnation string
	// Offset of the next record.
	Offset int64
	// Marks are those of every record before Offset.
	Marks stream.Marks
}

// Step is what a batch of deltas moves in one partition: the position it
// starts from, which the store must still hold, and the one it ends at.
type Step struct {
	Partition int32
	From, To  Position
	// Watermarks are those of To, by expected shard.
	Watermarks Watermarks
}

// Moved reports whether the step ends elsewhere than it starts.
func (s *Step) Moved() bool {
	return s.From.Incarnation != s.To.Incarnation || s.From.Offset != s.To.Offset
}

// Deltas are what the records between the positions of Steps change.
type Deltas struct {
	Steps   []Step
	Windows []WindowDelta
	Counts  Counts
	// Stale says up to when rows may be counted that are gone.
	Stale Stale
	// Ahead is the most, in microseconds, that a window begins behind the commit
	// of a row that it holds: how far rows are dated ahead. It is followed
	// where rows are taken back.
	Ahead int64
}

// WindowDelta holds the deltas of one window.
type WindowDelta struct {
	// Start is the window's start in seconds since the Unix epoch.
	Start  int64
	Groups []GroupDelta
}

// GroupDelta is the delta of one group of a window.
type GroupDelta struct {
	// Group is the JSON array of the group's raw JSON values.
	Group string
	Cell  Cell
	// Values are those of min and max; nil for other aggregates.
	Values []ValueDelta
}

// ValueDelta is how often a value came, less how often it was taken back. When
// nothing is ever taken back, a group has its extreme only, and N says nothing.
type ValueDelta struct {
	// Order is a text whose bytes are ordered as the column's values are.
	Order string
	// Text is the public text.
	Text string
	N    int64
}

// Counts are numbers of events, or of row images where rows are taken back.
type Counts struct {
	// Events were folded, Late of them late and applied. An update that takes a
	// row out of one place and puts it into another counts twice.
	Events, Late int64
	// Dropped were late and left out.
	Dropped int64
	// Skipped had no time that a window could have.
	Skipped int64
}
