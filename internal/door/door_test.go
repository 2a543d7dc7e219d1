package door

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func listen(t *testing.T, most int) *Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(inner, most)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestLimit_OneMoreIsRefusedUntilSomebodyLeaves(t *testing.T) {
	l := listen(t, 2)
	var inside []net.Conn
	come := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(come)
				return
			}
			come <- c
		}
	}()
	for range 2 {
		dial(t, l)
		inside = append(inside, <-come)
	}
	third := dial(t, l)
	if err := third.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the third connection: got %v, want it closed", err)
	}
	// Closing twice makes room for one.
	for range 2 {
		_ = inside[0].Close()
	}
	dial(t, l)
	if c := <-come; c == nil {
		t.Error("nobody was let in after one had left")
	}
	if got, want := l.open.Load(), int64(2); got != want {
		t.Errorf("got %d inside, want %d", got, want)
	}
	_ = l.Close()
	if _, open := <-come; open {
		t.Error("Accept went on after Close")
	}
}

// faulty is a listener without descriptors for a while.
type faulty struct {
	net.Listener
	errors int
}

func (f *faulty) Accept() (net.Conn, error) {
	if f.errors > 0 {
		f.errors--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	a, _ := net.Pipe()
	return a, nil
}

func (f *faulty) Close() error { return nil }

func TestAccept_OutlivesAShortageOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limit(&faulty{errors: 30}, 1)
		began := time.Now()
		c, err := l.Accept()
		if err != nil || c == nil {
			t.Fatalf("got %v, want a connection after the errors", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > time.Minute {
			t.Errorf("30 errors took %v, want growing pauses of at most a second", took)
		}
	})
}

func TestClose_EndsThePauseAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limit(&faulty{errors: 1 << 30}, 1)
		done := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		time.Sleep(time.Minute)
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	})
}
