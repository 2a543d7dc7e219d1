package binlog

import "time"

// How a shard without changes is told from one that hides them: at a heartbeat
// the server's clock is asked for, then the binlog's end. Once the reader is
// past that end, nothing older than that time can come any more. Clock before
// end, never the other way round: a commit between the two questions has a
// time after the first.
const (
	// idleMargin is taken off MySQL's time. Commit times are taken before a
	// transaction is in the binlog.
	idleMargin = int64(time.Second / time.Microsecond)
	// quietBefore is how long nothing must have come before a server is asked.
	quietBefore = time.Second
	// Questions come every second in the first minute, then less often.
	askEvery     = time.Second
	longQuiet    = time.Minute
	askEveryLong = 5 * time.Second
	// slack allows heartbeats to come a little early.
	slack = 100 * time.Millisecond
)

// idle decides when to ask, and what the answers mean. It is given the time.
type idle struct {
	// margin is taken off the server's time, in microseconds.
	margin int64
	// busy is when the last event that is no heartbeat came.
	busy time.Time
	// asked is when the server was last asked.
	asked time.Time
	// clock and end are the answers that wait for the reader to pass end.
	clock int64
	end   place
}

// event notes that something came.
func (i *idle) event(now time.Time) { i.busy = now }

// due reports whether the server should be asked at now.
func (i *idle) due(now time.Time) bool {
	quiet := now.Sub(i.busy)
	every := askEvery
	if quiet > longQuiet {
		every = askEveryLong
	}
	return quiet >= quietBefore-slack && now.Sub(i.asked) >= every-slack
}

// answer takes what the server said.
func (i *idle) answer(now time.Time, clock int64, end place) {
	i.asked, i.clock, i.end = now, clock, end
}

// watermark returns the watermark that the answers give to a reader at p, once.
func (i *idle) watermark(p place) (int64, bool) {
	if i.clock == 0 || !passed(p, i.end) {
		return 0, false
	}
	w := i.clock - i.margin
	i.clock = 0
	return w, true
}

// Passed reports whether a place in a binlog is at or behind another one, by the
// numbers of the files. Both must be of one server.
func Passed(file string, pos uint64, endFile string, endPos uint64) bool {
	return passed(place{file, pos}, place{endFile, endPos})
}

// passed reports whether a reader at p has read everything before end.
func passed(p, end place) bool {
	if p.file == end.file {
		return p.pos >= end.pos
	}
	a, aok := fileOrdinal(p.file)
	b, bok := fileOrdinal(end.file)
	return aok && bok && a > b
}
