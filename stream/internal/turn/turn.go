// Package turn holds the life of a session, the same for every kind of log: one
// goroutine uses it at a time, and its first error ends it.
//
//	(Begin -> Finish)* -> End
package turn

import (
	"errors"
	"fmt"
	"sync"

	"tailwater/stream"
)

// Turns is the life of one session. Its methods may be called at any time from
// any goroutine.
type Turns struct {
	shard string
	epoch uint32
	// release gives up what the session writes with; it is called once.
	release func()

	mu    sync.Mutex
	busy  bool
	ended error
	// dirty is set while something published is not covered by a Save.
	dirty bool
}

// New begins the life of a session.
func New(shard string, epoch uint32, release func()) *Turns {
	return &Turns{shard: shard, epoch: epoch, release: release}
}

// Begin marks the session as busy, or returns why it cannot be used.
func (t *Turns) Begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return t.ended
	}
	if t.busy {
		return t.end(errors.New("two goroutines use the session"))
	}
	t.busy = true
	return nil
}

// Finish marks the session as idle. An error ends it, and is returned with the
// session's name.
func (t *Turns) Finish(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy = false
	if err == nil {
		return nil
	}
	return t.end(err)
}

// Publishing notes that something is about to be published that no Save covers.
func (t *Turns) Publishing() { t.set(true) }

// Saved notes that everything published is covered by a Save.
func (t *Turns) Saved() { t.set(false) }

func (t *Turns) set(dirty bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = dirty
}

// Last reports whether the session is idle, has not ended, and has everything
// saved. Then it is busy from here on, for what is to be written at its end.
func (t *Turns) Last() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil || t.busy || t.dirty {
		return false
	}
	t.busy = true
	return true
}

// End ends the session for a reason, unless it has ended.
func (t *Turns) End(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.end(cause)
}

// end ends the session; the caller holds mu.
func (t *Turns) end(cause error) error {
	if t.ended == nil {
		t.ended = fmt.Errorf("shard %s, epoch %d: %w: %w", t.shard, t.epoch, stream.ErrSessionEnded, cause)
		t.release()
	}
	return t.ended
}
