// Package embedded is a Redis in the process, for a first try with nothing
// installed: any Redis client on a loopback address may read it, and it keeps
// its data in memory only. After a restart the windows are rebuilt from the
// stream, which is what an empty Redis means to a worker anyway.
//
// Whoever writes comes from inside the process, by Dial: what a client from
// outside sends is looked at whole, and what does not read is refused.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"tailwater/internal/door"
)

// Server is a Redis in this process. It is safe for concurrent use.
type Server struct {
	mini *miniredis.Miniredis
	port *door.Listener
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
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start embedded redis on %s: %w", addr, err)
	}
	s := &Server{mini: miniredis.NewMiniRedis(), port: door.Limit(l, maxClients)}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("start embedded redis: %w", err), l.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.done.Go(func() { s.age(ctx) })
	s.done.Go(s.admit)
	return s, nil
}

// open starts the server without a listener of its own.
func (s *Server) open() error {
	c, err := s.mini.Dial()
	if err != nil {
		return err
	}
	return errors.Join(c.Close(), s.mini.Server().Register(refuse, answerRefusal))
}

// admit lets clients from outside in until the server is closed.
func (s *Server) admit() {
	for {
		c, err := s.port.Accept()
		if err != nil {
			return
		}
		s.mini.Server().ServeConn(newClient(c))
	}
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

// Dial connects to the server from inside the process. Such a connection may do
// everything.
func (s *Server) Dial(context.Context) (net.Conn, error) {
	ours, theirs := door.Pipe()
	s.mini.Server().ServeConn(theirs)
	return ours, nil
}

// Addr returns the host:port that the server listens on.
func (s *Server) Addr() string { return s.port.Addr().String() }

// URL is where Redis clients from outside read.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Close stops the server and forgets its data. It is idempotent.
func (s *Server) Close() (err error) {
	s.once.Do(func() {
		s.stop()
		err = s.port.Close()
		s.done.Wait()
		s.mini.Close()
	})
	return err
}
