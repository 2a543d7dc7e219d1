package redis

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// replyEater is a proxy that lets scripts through to the server and, while it
// is hungry, cuts the connection instead of handing back the reply.
type replyEater struct {
	net.Listener
	server  string
	hungry  atomic.Bool
	scripts atomic.Int64
	conns   sync.WaitGroup
}

func newReplyEater(t *testing.T, server string) *replyEater {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &replyEater{Listener: l, server: server}
	e.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.conns.Go(func() { e.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		e.conns.Wait()
	})
	return e
}

func (e *replyEater) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", e.server)
	if err != nil {
		return
	}
	defer server.Close()
	var eat atomic.Bool
	e.conns.Go(func() {
		defer server.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if bytes.Contains(bytes.ToLower(buf[:n]), []byte("evalsha")) {
				e.scripts.Add(1)
				eat.Store(e.hungry.Load())
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil || eat.Load() {
			return // the server has run the script, and its reply is gone
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestHazard_B32_ScriptWhoseReplyIsLostIsSentOnce(t *testing.T) {
	mini := miniredis.RunT(t)
	proxy := newReplyEater(t, mini.Addr())
	b := newBench(t, mini, "redis://"+proxy.Addr().String())
	t.Cleanup(func() { b.store.Close() }) // before the proxy waits for its connections
	l := newFakeLog(1)
	s0 := l.shard("00")
	m := b.metric(oneShard)
	s0.event(0, 101, `"city":"Pune","amount":1`)
	h := b.hand(l, m)
	h.sync() // the server knows the scripts
	s0.event(0, 102, `"city":"Pune","amount":2`)
	h.foldAll()
	before := proxy.scripts.Load()
	proxy.hungry.Store(true)
	if err := h.tryFlush(); err == nil {
		t.Fatal("the reply was not lost")
	}
	proxy.hungry.Store(false)
	if got, want := proxy.scripts.Load()-before, int64(1); got != want {
		t.Errorf("scripts sent: got %d, want %d", got, want)
	}
	h.load()
	if next, _ := h.r.fold.Next(0); next != 2 {
		t.Errorf("position after the load: got %d, want 2, for the script was run", next)
	}
	checkExact(t, b.store, l, m)
}

func TestHazard_B32_WorkerIsExactWhenRepliesAreLost(t *testing.T) {
	mini := miniredis.RunT(t)
	proxy := newReplyEater(t, mini.Addr())
	b := newBench(t, mini, "redis://"+proxy.Addr().String())
	t.Cleanup(func() { b.store.Close() })
	direct := newBench(t, mini, "redis://"+mini.Addr())
	l := newFakeLog(2)
	m := b.metric(nil)
	w := b.work(l, nil, m)
	s0 := l.shard("00")
	for i := range 200 {
		proxy.hungry.Store(i%20 == 0)
		s0.event(int32(i%2), 1000+float64(i)/10, `"city":"Pune","amount":1.5`)
	}
	proxy.hungry.Store(false)
	direct.await(l, m)
	w.stop()
}

func TestHazard_B16_AllKeysOfAMetricShareOneSlot(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShard)
		l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
		h := b.hand(l, m)
		h.load()
		h.foldAll()
		names, _ := h.r.t.batch(h.r.fold.Cut(), []string{"90"})
		if got, want := len(names), 4+2*4; got != want {
			t.Errorf("declared keys: got %d, want %d", got, want)
		}
		for _, k := range names {
			if !strings.HasPrefix(k, "tw:{gmv}:") {
				t.Errorf("key %s has not the metric's tag", k)
			}
		}
		h.flush()
		im := b.snapshot()
		for k := range im.hashes {
			if !strings.HasPrefix(k, "tw:{gmv}:") {
				t.Errorf("stored key %s has not the metric's tag", k)
			}
		}
	})
}
