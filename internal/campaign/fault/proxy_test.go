package fault

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// server answers each line with the same line, and counts them.
type server struct {
	net.Listener
	mu    sync.Mutex
	lines []string
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.answer(c)
		}
	}()
	return s
}

func (s *server) answer(c net.Conn) {
	defer func() { _ = c.Close() }()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}

func (s *server) got() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// peer is a connection through the proxy.
type peer struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *peer {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{c, bufio.NewReader(c)}
}

// askNew is ask on a connection of its own; one that is refused may be reset
// before the dial has returned.
func askNew(p *Proxy, wait time.Duration) error {
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return (&peer{c, bufio.NewReader(c)}).ask(wait)
}

// ask sends a line and waits so long for its answer.
func (p *peer) ask(wait time.Duration) error {
	if _, err := io.WriteString(p, "hello\n"); err != nil {
		return err
	}
	_ = p.SetReadDeadline(time.Now().Add(wait))
	_, err := p.r.ReadString('\n')
	return err
}

func proxied(t *testing.T) (*server, *Proxy) {
	t.Helper()
	s := newServer(t)
	p, err := Listen(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return s, p
}

const patience = 20 * time.Second

func TestProxy_PassesConnectionsOn(t *testing.T) {
	s, p := proxied(t)
	for range 3 {
		if err := askNew(p, patience); err != nil {
			t.Errorf("got %v, want an answer", err)
		}
	}
	if got := s.got(); got != 3 {
		t.Errorf("the server got %d lines, want 3", got)
	}
}

func TestProxy_EachFaultIsSeenAndHeals(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		// silent is a connection that stays open without an answer; fresh is what
		// a new connection sees, reached whether the server got the request.
		silent, fresh, reached bool
	}{
		{Cut, false, true, false}, {Refuse, false, false, false}, {HalfOpen, true, false, false}, {LoseRequests, true, false, false},
		{LoseReplies, true, false, true}, {CutAtReply, false, false, true},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			s, p := proxied(t)
			old := dial(t, p)
			if err := old.ask(patience); err != nil {
				t.Fatal(err)
			}
			if n := p.Set(c.kind, 1); n != 1 {
				t.Errorf("got %d connections to be spoilt, want 1", n)
			}
			wait := patience
			if c.silent {
				wait = 300 * time.Millisecond
			}
			err := old.ask(wait)
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) != c.silent {
				t.Errorf("got %v, want an error, silence: %t", err, c.silent)
			}
			if got := s.got() == 2; got != c.reached {
				t.Errorf("the request reached the server: %t, want %t", got, c.reached)
			}
			if err := askNew(p, wait); (err == nil) != c.fresh {
				t.Errorf("a new connection: got %v, want an answer: %t", err, c.fresh)
			}
			p.Heal()
			if err := askNew(p, patience); err != nil {
				t.Errorf("after Heal: got %v, want an answer", err)
			}
		})
	}
}

func TestProxy_DelayAndNarrowLoseNothing(t *testing.T) {
	for _, kind := range []Kind{Delay, Narrow} {
		_, p := proxied(t)
		p.Set(kind, 1)
		if err := askNew(p, patience); err != nil {
			t.Errorf("%s: got %v, want an answer", kind, err)
		}
	}
}

func TestProxy_SpoilsOneInTwo(t *testing.T) {
	_, p := proxied(t)
	first, second := dial(t, p), dial(t, p)
	for _, c := range []*peer{first, second} {
		if err := c.ask(patience); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.Set(Cut, 2); n != 1 {
		t.Errorf("got %d connections to be spoilt, want 1", n)
	}
	if a, b := first.ask(patience), second.ask(patience); (a == nil) == (b == nil) {
		t.Errorf("got %v and %v, want one of them cut", a, b)
	}
}

func TestProxy_TargetMayChangeAndBeGone(t *testing.T) {
	s, p := proxied(t)
	p.SetTarget("127.0.0.1:1")
	if err := askNew(p, patience); err == nil {
		t.Error("got an answer of a server that is not there")
	}
	p.SetTarget(s.Addr().String())
	if err := askNew(p, patience); err != nil {
		t.Errorf("got %v, want an answer", err)
	}
}
