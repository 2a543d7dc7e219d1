// Package embedded is a Redis in the process, for a first try with nothing
// installed: it answers any Redis client on a loopback address and keeps its
// data in memory only. After a restart the windows are rebuilt from the
// stream, which is what an empty Redis means to a worker anyway.
package embedded

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Server is a Redis in this process. It is safe for concurrent use.
type Server struct {
	mini *miniredis.Miniredis
	stop context.CancelFunc
	done sync.WaitGroup
	once sync.Once
}

// Start listens on addr, a loopback host:port; port 0 takes a free one. It
// asks nobody for a password, which is why no other address is accepted.
func Start(addr string) (*Server, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("start embedded redis: address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("start embedded redis: address %q is no loopback address, and the embedded store asks nobody for a password; use 127.0.0.1 or a server of yours", addr)
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("start embedded redis on %s: %w", addr, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{mini: m, stop: stop}
	s.done.Go(func() { s.age(ctx) })
	return s, nil
}

// age lets keys expire, which nothing else does here.
func (s *Server) age(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.mini.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Addr returns the host:port that the server listens on.
func (s *Server) Addr() string { return s.mini.Addr() }

// URL returns the address as redis.Options wants it.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Close stops the server and forgets its data. It is idempotent.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.stop()
		s.done.Wait()
		s.mini.Close()
	})
	return nil
}
