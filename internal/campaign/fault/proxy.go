// Package fault is a TCP proxy that spoils links: it cuts them, keeps them open
// and silent, loses what goes one way, delays, narrows, and loses a reply and
// with it the connection. What it does is set from outside and may change while
// connections are open. It knows no protocol.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is a way in which a link is bad.
type Kind string

// The kinds of faults. Each but Cut lasts until Heal.
const (
	// None is a link as it should be.
	None Kind = "none"
	// Cut ends the connections that there are with a reset; new ones are taken.
	Cut Kind = "cut"
	// Refuse ends them and every new one.
	Refuse Kind = "refuse"
	// HalfOpen keeps connections open and passes nothing on, either way.
	HalfOpen Kind = "half-open"
	// LoseRequests passes nothing on to the server, LoseReplies nothing back.
	LoseRequests Kind = "requests lost"
	LoseReplies  Kind = "replies lost"
	// CutAtReply passes a request on, and resets the connection in place of
	// what the server answers: the request was carried out, and nobody knows.
	CutAtReply Kind = "cut at a reply"
	// Delay adds a fifth of a second to each piece.
	Delay Kind = "delay"
	// Narrow passes at most 256 KiB a second each way.
	Narrow Kind = "narrow"
)

// Kinds are all but None.
var Kinds = []Kind{Cut, Refuse, HalfOpen, LoseRequests, LoseReplies, CutAtReply, Delay, Narrow}

const (
	delay  = 200 * time.Millisecond
	narrow = 256 << 10
	piece  = 32 << 10
)

// Proxy listens on a port of 127.0.0.1 and passes connections on.
type Proxy struct {
	listener net.Listener
	target   atomic.Pointer[string]
	stop     context.CancelFunc
	ctx      context.Context
	all      sync.WaitGroup

	mu    sync.Mutex
	kind  Kind
	every int
	// changed is closed when kind changes.
	changed chan struct{}
	links   map[*link]struct{}
	count   int
}

// link is one connection.
type link struct {
	client, server *net.TCPConn
	number         int
}

// Listen starts a proxy to target, which may be told later. Close ends it.
func Listen(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &Proxy{listener: l, kind: None, every: 1, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.SetTarget(target)
	p.all.Go(p.accept)
	return p, nil
}

// Addr is the proxy's host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Port is the proxy's port.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// SetTarget says where new connections go.
func (p *Proxy) SetTarget(addr string) { p.target.Store(&addr) }

// Set spoils one in every connections, and all new ones by the same count; 1 is
// each of them. It returns how many there were to be spoilt.
func (p *Proxy) Set(kind Kind, every int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kind, p.every = kind, max(1, every)
	close(p.changed)
	p.changed = make(chan struct{})
	n := 0
	for l := range p.links {
		if l.number%p.every != 0 {
			continue
		}
		n++
		if kind == Cut || kind == Refuse {
			l.reset()
		}
	}
	return n
}

// Heal ends what Set began. What was lost stays lost: a connection that missed
// bytes is reset, for no network delivers the bytes behind them.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kind == HalfOpen || p.kind == LoseRequests || p.kind == LoseReplies {
		for l := range p.links {
			if l.number%p.every == 0 {
				l.reset()
			}
		}
	}
	p.kind, p.every = None, 1
	close(p.changed)
	p.changed = make(chan struct{})
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.stop()
	_ = p.listener.Close()
	p.mu.Lock()
	for l := range p.links {
		l.reset()
	}
	p.mu.Unlock()
	p.all.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // short of descriptors
			continue
		}
		p.all.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	l := &link{client: client}
	p.mu.Lock()
	l.number = p.count
	p.count++
	refuse := p.kind == Refuse && l.number%p.every == 0
	p.mu.Unlock()
	if refuse {
		l.reset()
		return
	}
	server, err := net.DialTimeout("tcp", *p.target.Load(), 5*time.Second)
	if err != nil {
		l.reset()
		return
	}
	l.server = server.(*net.TCPConn)
	p.mu.Lock()
	p.links[l] = struct{}{}
	p.mu.Unlock()
	if p.ctx.Err() != nil {
		l.reset()
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, l.client, l.server, true) })
	both.Go(func() { p.pass(l, l.server, l.client, false) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	l.reset()
}

// reset ends both sides as a broken network does, without a proper end.
func (l *link) reset() {
	for _, c := range []*net.TCPConn{l.client, l.server} {
		if c != nil {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}
}

// pass copies one way until either side ends.
func (p *Proxy) pass(l *link, from, to *net.TCPConn, request bool) {
	buf := make([]byte, piece)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.piece(l, to, buf[:n], request) {
			l.reset()
			return
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
	}
}

// piece passes bytes on as the fault of the moment wants it; false ends the
// connection.
func (p *Proxy) piece(l *link, to *net.TCPConn, b []byte, request bool) bool {
	for {
		kind, changed := p.now(l)
		switch {
		case kind == CutAtReply && !request:
			return false
		case kind == HalfOpen, kind == LoseRequests && request, kind == LoseReplies && !request:
			// Nothing is read any more, so that the sender's buffers fill as they
			// do in front of a silent peer. Heal resets the connection.
			select {
			case <-changed:
				continue
			case <-p.ctx.Done():
				return false
			}
		case kind == Delay:
			p.sleep(delay)
		case kind == Narrow:
			p.sleep(time.Duration(len(b)) * time.Second / narrow)
		}
		_, err := to.Write(b)
		return err == nil
	}
}

func (p *Proxy) now(l *link) (Kind, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.number%p.every != 0 {
		return None, p.changed
	}
	return p.kind, p.changed
}

func (p *Proxy) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}
