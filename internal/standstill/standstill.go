// Package standstill logs that something stands still, once, and once that it
// moves again, however often it is tried between.
package standstill

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Every is how often the log is reminded of what still stands.
const Every = time.Minute

// Options describe what may stand still.
type Options struct {
	Logger *slog.Logger
	// Level is that of the line about the standstill; that about its end has
	// level Info.
	Level slog.Level
	// Stops and Moves are the texts of the two lines.
	Stops, Moves string
	// Args name the thing in both lines.
	Args []any
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Notice is one thing, which may have parts that stand still each. It is safe
// for concurrent use.
type Notice struct {
	o Options

	mu    sync.Mutex
	parts map[int]bool
	since time.Time
	said  time.Time
}

// New returns a Notice of something that moves.
func New(o Options) *Notice {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Notice{o: o, parts: make(map[int]bool)}
}

// Stands says that a part stands still and why. It is logged when everything
// moved before, and again once a minute.
func (n *Notice) Stands(part int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.o.Now()
	first := len(n.parts) == 0
	n.parts[part] = true
	if first {
		n.since = now
	} else if now.Sub(n.said) < Every {
		return
	}
	n.said = now
	args := append(n.o.Args[:len(n.o.Args):len(n.o.Args)], "error", err)
	if !first {
		args = append(args, "for", now.Sub(n.since).Round(time.Second).String())
	}
	n.o.Logger.Log(context.Background(), n.o.Level, n.o.Stops, args...)
}

// Moves says that a part moves. It is logged when no part stands still any more.
func (n *Notice) Moves(part int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.parts[part] {
		return
	}
	delete(n.parts, part)
	if len(n.parts) == 0 {
		n.o.Logger.Info(n.o.Moves, append(n.o.Args[:len(n.o.Args):len(n.o.Args)], "stood", n.o.Now().Sub(n.since).Round(time.Millisecond).String())...)
	}
}
