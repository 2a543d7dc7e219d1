package pipeline

import (
	"context"
	"sync"
	"sync/atomic"
)

// lookBytes is how much may be published between two looks at the disk: what a
// full disk gets too much is that, and a batch of each shard.
const lookBytes = 4 << 20

// gate holds publishers back while the stream has no room. The zero value is
// open.
type gate struct {
	mu     sync.Mutex
	shut   chan struct{}
	reason string
	// look, when set, looks at the disk and sets the gate; unseen counts the
	// bytes that went through since.
	look   func()
	unseen atomic.Int64
}

// wait lets so many bytes through: at once while the gate is open, else when it
// opens. It ends with ctx.
func (g *gate) wait(ctx context.Context, bytes int) error {
	if g.look != nil && g.unseen.Add(int64(bytes)) > lookBytes {
		g.unseen.Store(0)
		g.look()
	}
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return nil
		}
		select {
		case <-shut:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// set closes the gate for a reason, or opens it with none. It reports whether
// that changed anything.
func (g *gate) set(reason string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := (reason != "") != (g.shut != nil)
	g.reason = reason
	switch {
	case reason != "" && g.shut == nil:
		g.shut = make(chan struct{})
	case reason == "" && g.shut != nil:
		close(g.shut)
		g.shut = nil
	}
	return changed
}

// closed reports whether publishers wait.
func (g *gate) closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut != nil
}

// why is the reason for which publishers wait, or "".
func (g *gate) why() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason
}
