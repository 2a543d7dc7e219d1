package binlog

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/binlog/primary"
)

// replies is a server that sends each connection the same bytes, whatever it is
// asked, and hangs up.
func replies(t *testing.T) (set func([]byte), address Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var answer []byte
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, c)
			mu.Lock()
			_, _ = c.Write(answer)
			mu.Unlock()
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return func(b []byte) { mu.Lock(); answer = b; mu.Unlock() },
		Options{Shard: "00", Host: host, Port: uint16(n), User: "root", ReadTimeout: time.Minute, ConnectTimeout: time.Minute}
}

// wiretapped is what a primary sends while f asks it.
func wiretapped(t *testing.T, s *source, f func(*Reader)) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var sent bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		up, err := net.Dial("tcp", s.Addr())
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(up, c)
			up.Close()
		}()
		_, _ = io.Copy(io.MultiWriter(c, &sent), up)
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	r, err := New(s.options(func(o *Options) { o.Host, o.Port = host, uint16(n) }))
	if err != nil {
		t.Fatal(err)
	}
	f(r)
	<-done
	return sent.Bytes()
}

func TestReader_WhatIsNoServerIsAnErrorOfTheShard(t *testing.T) {
	set, o := replies(t)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string][]byte{
		"nothing":     {},
		"zeros":       make([]byte, 4000),
		"a web page":  []byte("HTTP/1.1 400 Bad Request\r\n\r\nhello\n"),
		"cut short":   []byte("\x05\x00\x00\x00\x0a8.0\x00"),
		"no version":  []byte("\x05\x00\x00\x00\x0a8.0."),
		"a large one": append([]byte("\xff\xff\xff\x00"), bytes.Repeat([]byte{10}, 100)...),
	} {
		set(answer)
		_, end := r.End(t.Context())
		for verb, err := range map[string]error{"preflight": r.Preflight(t.Context()), "end": end, "run": r.Run(t.Context(), nil, newJournal())} {
			if err == nil || !strings.Contains(err.Error(), "shard 00: connect to 127.0.0.1:") || strings.Contains(err.Error(), "panic") {
				t.Errorf("%s of %s: %v, want an error of the shard that says what was connected to", verb, name, err)
			}
		}
	}
}

// One byte of what a server says is another one, or nothing comes behind it:
// whatever becomes of that, the process goes on.
func TestReader_GarbledAnswersAreErrorsOfTheShard(t *testing.T) {
	s := newSource(t, primary.Options{})
	said := wiretapped(t, s, func(r *Reader) {
		if err := r.Preflight(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	set, o := replies(t)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	step := max(1, len(said)/1000)
	for i := 0; i < len(said); i += step {
		garbled := bytes.Clone(said)
		garbled[i] ^= 0xff
		for what, answer := range map[string][]byte{"garbled at": garbled, "cut at": said[:i]} {
			set(answer)
			if err := r.Preflight(t.Context()); err == nil && what == "cut at" {
				t.Errorf("answers of %d bytes %s %d: no error", len(said), what, i)
			}
		}
	}
}
