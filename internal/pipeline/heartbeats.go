package pipeline

import "time"

// Heartbeats go where nothing went for beatAfter; in a partition that was
// silent for quietAfter they come only every beatQuiet.
const (
	beatAfter  = time.Second
	quietAfter = time.Minute
	beatQuiet  = 5 * time.Second
)

// Captured views may be hundreds, most of them silent, and no window waits for
// their watermarks: theirs come more rarely.
const (
	beatCaptured      = 5 * time.Second
	beatCapturedQuiet = time.Minute
)

// heartbeats knows when each partition was last written to by this shard.
type heartbeats struct {
	targets []*target
	lanes   [][]lane
	now     time.Time
	checked time.Time
}

// lane is one partition of one topic.
type lane struct {
	// event is when the last event went, sent when anything went.
	event, sent time.Time
}

func newHeartbeats(targets []*target, now time.Time) heartbeats {
	h := heartbeats{targets: targets, lanes: make([][]lane, len(targets)), now: now}
	for n, t := range targets {
		lanes := make([]lane, t.partitions)
		for i := range lanes {
			lanes[i].event = now
		}
		h.lanes[n] = lanes
	}
	return h
}

// sent notes an event in a partition, as of the last call of due: a tenth of a
// second is close enough, and the hot path asks no clock.
func (h *heartbeats) sent(t *target, part int32) {
	l := &h.lanes[t.index][part]
	l.event, l.sent = h.now, h.now
}

// due calls beat for every partition that needs a heartbeat. It looks at most
// every tenth of a second.
func (h *heartbeats) due(now time.Time, beat func(t *target, part int32)) {
	h.now = now
	if now.Sub(h.checked) < beatAfter/10 {
		return
	}
	h.checked = now
	for n, t := range h.targets {
		lanes := h.lanes[n]
		for i := range lanes {
			l := &lanes[i]
			every, quiet := beatAfter, beatQuiet
			if t.captured {
				every, quiet = beatCaptured, beatCapturedQuiet
			}
			if now.Sub(l.event) > quietAfter {
				every = quiet
			}
			if now.Sub(l.sent) >= every {
				l.sent = now
				beat(t, int32(i))
			}
		}
	}
}
