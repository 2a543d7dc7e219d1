package door

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipe_BothEndsMayWriteBeforeTheyRead(t *testing.T) {
	a, b := Pipe()
	block := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var wg sync.WaitGroup
	for _, c := range []net.Conn{a, b} {
		wg.Go(func() {
			for range 4 {
				if n, err := c.Write(block); n != len(block) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
			}
			got := make([]byte, 4*len(block))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, bytes.Repeat(block, 4)) {
				t.Errorf("read other bytes than were written, %v", err)
			}
		})
	}
	wg.Wait()
}

func TestPipe_EndsAsASocketDoes(t *testing.T) {
	a, b := Pipe()
	if _, err := a.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
		t.Errorf("behind the close: %q, %v, want what was written before", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a write to nobody = %v, want io.ErrClosedPipe", err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a read of a closed end = %v, want io.ErrClosedPipe", err)
	}
}

func TestPipe_DeadlinesEndReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		if err := a.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Read = %v after %v, want the deadline after a second", err, time.Since(began))
		}
		// One that is moved while a read waits.
		if err := a.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Minute)
			_ = a.SetReadDeadline(time.Unix(1, 0))
		}()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v, want the deadline that came meanwhile", err)
		}
		if err := a.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = b.Write([]byte("late")) }()
		got := make([]byte, 8)
		if n, err := a.Read(got); err != nil || string(got[:n]) != "late" {
			t.Errorf("Read = %q, %v behind a deadline that was lifted", got[:n], err)
		}
	})
}
