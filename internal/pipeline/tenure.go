package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tailwater/internal/status"
)

// handOver bounds how long a shard that is taken from this process may take to
// publish what it has read. What is left then is read again by the next owner.
const handOver = 10 * time.Second

// possession is whose a shard is, as far as this process knows.
type possession int

const (
	// unknown: nobody has said yet.
	unknown possession = iota
	// elsewhere: another process's.
	elsewhere
	// provisional: this process's until the group says otherwise.
	provisional
	// mine: this process's.
	mine
	// removed: in no configuration of this process any more.
	removed
)

// tenure is whether a shard is this process's. It decides nothing about what may
// be written: the stream does, when a session is opened.
//
//	unknown | elsewhere -> provisional | mine -> elsewhere | unknown | removed
type tenure struct {
	mu sync.Mutex
	is possession
	// since is when the shard became mine.
	since time.Time
	// owner is who has it, "" when that is not known; trouble is why nobody says.
	owner, trouble string
	// running is whether the reader runs, and given that nobody needs to wait for
	// its end: the shard may be another's already.
	running, given bool
	// stop ends the reader once it has published what it has, hard at once. Both
	// are nil while none runs.
	stop, hard context.CancelFunc
	// changed is closed at each change, and another one takes its place.
	changed chan struct{}
	// told is called after the reader has ended, nil where the shard is shared
	// with nobody.
	told func()
	// heard is when the group has last answered, by the wall clock, in ns.
	heard atomic.Int64
}

func newTenure(is possession, told func()) *tenure {
	return &tenure{is: is, changed: make(chan struct{}), since: time.Now(), told: told}
}

// heardWithin is for how long what the group has said is taken for true.
const heardWithin = 5 * time.Second

// fresh waits until the group has answered lately. A process that stood still
// may have lost the shard without knowing it: to open it then would throw out
// its owner.
func (t *tenure) fresh(stop context.Context) error {
	for {
		is, changed := t.now()
		// The wall clock goes on while the machine sleeps.
		if t.told == nil || is == provisional || time.Now().UnixNano()-t.heard.Load() < int64(heardWithin) {
			return nil
		}
		select {
		case <-stop.Done():
			return context.Cause(stop)
		case <-changed:
		case <-time.After(heardWithin / 50):
		}
	}
}

// has reports whether the shard is this process's.
func (s possession) has() bool { return s == mine || s == provisional }

// set says whose the shard is. A reader goes on while it is this process's; else
// it ends, and has some seconds to publish what it has read.
func (t *tenure) set(is possession, owner string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.is == removed || t.is == is && t.owner == owner {
		return
	}
	if is == mine && t.is != mine {
		t.since = time.Now()
	}
	t.is, t.owner = is, owner
	if !is.has() && t.stop != nil {
		t.stop()
		time.AfterFunc(handOver, t.hard)
	}
	t.change()
}

// lose ends the reader at once: another process may have the shard.
func (t *tenure) lose() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.is == removed {
		return
	}
	t.is, t.owner = unknown, ""
	if t.hard != nil {
		t.given = true
		t.stop()
		t.hard()
	}
	t.change()
}

// troubled notes why nobody says whose the shard is, nil for nothing.
func (t *tenure) troubled(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	} else {
		t.heard.Store(time.Now().UnixNano())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trouble != why {
		t.trouble = why
		t.change()
	}
}

// change wakes who waits; the caller holds mu.
func (t *tenure) change() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// now is whose the shard is, and what is closed when that changes.
func (t *tenure) now() (possession, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.is, t.changed
}

// held reports whether others must wait for this process: the shard is its own,
// or its reader has not ended yet.
func (t *tenure) held() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.is.has() || t.running && !t.given
}

// begin begins a reader's time, if the shard is this process's: stop and hard
// end within those given.
func (t *tenure) begin(stop, hard context.Context) (_, _ context.Context, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.is.has() {
		return nil, nil, false
	}
	stop, t.stop = context.WithCancel(stop)
	hard, t.hard = context.WithCancel(hard)
	t.running, t.given = true, false
	return stop, hard, true
}

// end ends a reader's time.
func (t *tenure) end() {
	t.mu.Lock()
	t.stop()
	t.hard()
	t.stop, t.hard, t.running, t.given = nil, nil, false, false
	t.mu.Unlock()
	if t.told != nil {
		t.told()
	}
}

// away is the state of a shard that is not this process's.
func (t *tenure) away() (state status.ShardState, owner, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.is {
	case unknown:
		return status.Waiting, "", t.trouble
	case removed:
		return status.Ended, "", ""
	}
	return status.Elsewhere, t.owner, ""
}

// live follows the shard whenever it is this process's, until stop ends or the
// shard is removed. What is read by then is still published, for as long as
// hard lasts.
func (s *shard) live(stop, hard context.Context) {
	for {
		is, changed := s.tenure.now()
		if is == removed || stop.Err() != nil {
			s.ended(nil)
			return
		}
		begun, atOnce, ok := s.tenure.begin(stop, hard)
		if !ok {
			s.away()
			select {
			case <-changed:
			case <-stop.Done():
			}
			continue
		}
		err := s.run(begun, atOnce)
		s.tenure.end()
		if stop.Err() != nil {
			s.ended(err)
			return
		}
		s.left = nil // whoever has the shard now sees for himself
		s.counters.waiting.idle()
	}
}

// away shows that the shard is not this process's.
func (s *shard) away() {
	state, owner, why := s.tenure.away()
	s.counters.owner.Store(&owner)
	var err error
	if why != "" {
		err = errors.New(why)
	}
	s.set(state, err)
}

// The patience with a claim of another process.
const (
	// askGroup is how long the group may take to say that the shard has moved:
	// longer than it takes to miss a heartbeat.
	askGroup = 3 * time.Second
	// contestTime is how long after a shard was assigned a former owner may not
	// have heard of it, and contests how often it may be thrown out meanwhile.
	contestTime = 30 * time.Second
	contests    = 3
)

// contested is asked what to do once another process has claimed the shard. It
// waits until the group has said that it moved, which ends stop, or could have.
// It returns whether to take the shard back: a former owner that does not know
// yet that it is one is thrown out, but not for ever.
func (s *shard) contested(stop context.Context, times int) bool {
	if s.tenure.told == nil {
		return false
	}
	patience := time.NewTimer(askGroup)
	defer patience.Stop()
	for {
		is, changed := s.tenure.now()
		over := patience.C
		if is == provisional {
			over = nil // the group will say
		}
		select {
		case <-stop.Done():
			return false
		case <-changed:
			if now, _ := s.tenure.now(); is == provisional && now == mine {
				return true
			}
		case <-over:
			return times <= contests && s.now().Sub(s.tenure.begun()) < contestTime
		}
	}
}

// begun is when the shard became this process's.
func (t *tenure) begun() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since
}
