package pipeline

import (
	"context"
	"sync"
)

// gate holds publishers back while the stream has no room. The zero value is
// open.
type gate struct {
	mu     sync.Mutex
	shut   chan struct{}
	reason string
}

// wait returns at once while the gate is open, else when it opens or ctx ends.
func (g *gate) wait(ctx context.Context) error {
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
