package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// inside is a client of the process itself.
func inside(t *testing.T, s *Server) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) },
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// outside connects as a stranger does.
func outside(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends bytes and returns the first line of the answer, "" when there is
// none and the connection is closed.
func ask(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	_, _ = io.WriteString(c, text) // it may be closed already
	line, err := bufio.NewReader(c).ReadString('\n')
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Errorf("%.40q: no answer", text)
	}
	return strings.TrimSpace(line)
}

func array(args ...string) string {
	b := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		b += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

func TestPort_GarbageEndsItsConnectionAndNothingElse(t *testing.T) {
	s := start(t)
	noise := make([]byte, 64<<10)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(rng.IntN(256))
	}
	for what, c := range map[string]struct{ send, want string }{
		"a huge string":         {"*1\r\n$99999999999999999\r\n", "-ERR Protocol error"},
		"a string below zero":   {"*1\r\n$-1\r\n", "-ERR Protocol error"},
		"a huge array":          {"*2147483647\r\n", "-ERR Protocol error"},
		"a number too large":    {"*99999999999999999999\r\n", "-ERR Protocol error"},
		"no length":             {"*1\r\n$\r\n", "-ERR Protocol error"},
		"an integer":            {"*1\r\n:1\r\n", "-ERR Protocol error"},
		"a wrong end":           {"*1\r\n$4\r\nPINGxx\r\n", "-ERR Protocol error"},
		"a long line":           {strings.Repeat("x", 1<<20), "-ERR Protocol error"},
		"words of a line":       {"PING\r\n", "+PONG"},
		"an empty array":        {"*0\r\n*-1\r\n\r\n" + array("PING"), "+PONG"},
		"an empty name":         {array(""), "-ERR  is refused"},
		"a name of other bytes": {array("\x00\r\n\xff"), "-ERR ??"},
		"HTTP":                  {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "-ERR"},
	} {
		if got := ask(t, outside(t, s), c.send); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", what, got, c.want)
		}
	}
	_, _ = outside(t, s).Write(noise)
	if err := inside(t, s).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Errorf("the process itself: %v", err)
	}
}

func TestPort_StrangersReadAndDoNotWrite(t *testing.T) {
	s := start(t)
	own := inside(t, s)
	if err := own.HSet(t.Context(), "h", "f", "v").Err(); err != nil {
		t.Fatal(err)
	}
	c := outside(t, s)
	for _, args := range [][]string{
		{"SET", "h", "x"}, {"HSET", "h", "f", "x"}, {"DEL", "h"}, {"FLUSHALL"}, {"FLUSHDB"}, {"SHUTDOWN"}, {"SHUTDOWN", "NOSAVE"},
		{"MONITOR"}, {"DEBUG", "SEGFAULT"}, {"CONFIG", "SET", "maxmemory", "1"}, {"SCRIPT", "FLUSH"}, {"SCRIPT", "LOAD", "return 1"},
		{"EVAL", "while true do end", "0"}, {"EVAL_RO", "while true do end", "0"}, {"EVALSHA", strings.Repeat("a", 40), "0"},
		{"SETRANGE", "h", "999999999999", "x"}, {"SETBIT", "h", "99999999999", "1"}, {"RENAME", "h", "i"}, {"SWAPDB", "0", "1"},
		{"SRANDMEMBER", "h", "-9999999999"}, {"eval", "while true do end", "0"},
	} {
		want := "-ERR " + strings.ToUpper(args[0]) + " is refused: the embedded Redis can be read only; set windows.store"
		if got := ask(t, c, array(args...)); !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q, want %q…", args, got, want)
		}
	}
	for _, args := range [][]string{{"KEYS", "\xff"}, {"KEYS", "[^"}, {"KEYS", `a\`}, {"SSCAN", "s", "-1"}, {"ZSCAN", "z", "-9223372036854775808"}, {"XGROUP", "CREATE", "n", "g", "$", "MkStream"}} {
		if got, want := ask(t, c, array(args...)), "-ERR "+args[0]+" with such arguments is refused"; !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q, want %q…", args, got, want)
		}
	}
	reader := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
	defer reader.Close()
	if got, err := reader.HGetAll(t.Context(), "h").Result(); err != nil || got["f"] != "v" || len(got) != 1 {
		t.Errorf("a reader gets %v and %v, want the field as it was", got, err)
	}
	// Answers of a pipeline keep their places.
	p := reader.Pipeline()
	before, refused, after := p.HGet(t.Context(), "h", "f"), p.Set(t.Context(), "h", "x", 0), p.HLen(t.Context(), "h")
	_, _ = p.Exec(t.Context()) // one of them fails
	if before.Val() != "v" || refused.Err() == nil || after.Val() != 1 {
		t.Errorf("a pipeline gets %v, %v and %v; want v, a refusal and 1", before, refused, after)
	}
}

func TestPort_AnnouncedBytesTakeNoMemory(t *testing.T) {
	s := start(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range maxClients / 2 {
		if _, err := fmt.Fprintf(outside(t, s), "*1\r\n$%d\r\n", maxCommand); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, outside(t, s), array("PING")); got != "+PONG" {
		t.Errorf("got %q, want an answer", got)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 10<<20 {
		t.Errorf("commands that were announced took %d KiB, want little", got>>10)
	}
}

func TestPort_TheProcessItselfComesInWhenStrangersFillTheRoom(t *testing.T) {
	s := start(t)
	for range 2 * maxClients {
		outside(t, s)
	}
	if err := inside(t, s).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Errorf("the process itself: %v", err)
	}
}

// Whatever a stranger may ask for, with whatever behind it, the server stands:
// it runs in this process, and its end would be that of the pipeline.
func TestPort_NothingThatAStrangerMayAskEndsTheServer(t *testing.T) {
	s := start(t)
	own := inside(t, s)
	ctx := t.Context()
	own.Set(ctx, "text", "value", 0)
	own.HSet(ctx, "hash", "f", "v", "g", "w")
	own.ZAdd(ctx, "sorted", goredis.Z{Score: 1, Member: "a"}, goredis.Z{Score: 2, Member: "b"})
	own.SAdd(ctx, "set", "a", "b")
	own.XAdd(ctx, &goredis.XAddArgs{Stream: "stream", Values: []string{"f", "v"}})
	own.XGroupCreate(ctx, "stream", "group", "0")
	pool := []string{"text", "hash", "sorted", "set", "stream", "none", "group", "", "0", "-1", "1", "2", "9223372036854775807", "-9223372036854775808",
		"99999999999999999999", "1e400", "nan", "inf", "-inf", "+", "-", "(1", "[a", "$", ">", "*", "0-0", "0-1", "18446744073709551615-18446744073709551615",
		"COUNT", "MATCH", "LIMIT", "WITHSCORES", "BYSCORE", "BYLEX", "REV", "STREAMS", "GROUP", "CREATE", "CREATECONSUMER", "DESTROY", "SETID", "DELCONSUMER",
		"IDLE", "JUSTID", "NOACK", "FULL", "STREAM", "GROUPS", "CONSUMERS", "SETNAME", "GETNAME", "AUTH", "3", "[", "[^", "\\", "f", "\x00\xff"}
	names := make([]string, 0, len(clientMay))
	for name := range clientMay {
		names = append(names, name)
	}
	slices.Sort(names)
	rng := rand.New(rand.NewPCG(7, 1))
	answers := 0
	for range 4000 {
		args := []string{names[rng.IntN(len(names))]}
		for range rng.IntN(7) {
			args = append(args, pool[rng.IntN(len(pool))])
		}
		if strings.HasPrefix(args[0], "XREAD") {
			args = slices.DeleteFunc(args, func(a string) bool { return a == "BLOCK" })
		}
		c := outside(t, s)
		if got := ask(t, c, array(args...)); got != "" {
			answers++
		}
		_ = c.Close()
	}
	if answers < 3900 {
		t.Errorf("got %d answers to 4000 commands", answers)
	}
	if n, err := own.ZCard(ctx, "sorted").Result(); err != nil || strconv.FormatInt(n, 10) != "2" {
		t.Errorf("afterwards: got %d and %v, want 2", n, err)
	}
}
