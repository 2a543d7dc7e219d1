package e2e

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/testenv"
)

// small is a rig of two shards with a short history.
func small(t *testing.T) *rig {
	t.Helper()
	return newRig(t, rigOptions{shards: 2, shop: shop.Options{Seed: 3, Rate: 400, HistoryTxs: 40}})
}

func TestRun_SecondProcessOnAStateDirectoryIsRefused(t *testing.T) {
	r := small(t)
	first := r.program.start()
	first.streaming(r.ids()...)
	second := r.program.start()
	if got := second.wait(30 * time.Second); got != 3 {
		t.Errorf("the second process ended with %d, want 3\n%s", got, second.tail())
	}
	for _, want := range []string{"state directory is in use", strconv.Itoa(first.cmd.Process.Pid), "state.dir"} {
		if !strings.Contains(second.text(), want) {
			t.Errorf("the second process does not say %q\n%s", want, second.tail())
		}
	}
	// The first one noticed nothing: its files are as they were.
	r.goLive()
	r.grown(300)
	r.rest()
	first.caughtUp(time.Minute, r.byID())
	first.drain()
	r.balanced()
}

func TestRun_BusyHTTPPortIsNamed(t *testing.T) {
	r := small(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	addr := busy.Addr().String()
	r.program.configure(strings.Replace(r.config(), `listen: "127.0.0.1:0"`, fmt.Sprintf("listen: %q", addr), 1))
	l := r.program.start()
	if got := l.wait(30 * time.Second); got != 3 {
		t.Errorf("got exit code %d, want 3\n%s", got, l.tail())
	}
	for _, want := range []string{addr, "http.listen", "address already in use"} {
		if !strings.Contains(l.text(), want) {
			t.Errorf("it does not say %q\n%s", want, l.tail())
		}
	}
	// Nothing is held by a process that was refused.
	r.program.configure(r.config())
	l = r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

// A broker that takes a connection and says nothing keeps a start from its end.
func TestRun_SignalWhileItStartsEndsItInOrder(t *testing.T) {
	r := small(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	kafka := *r
	kafka.stream = fmt.Sprintf("stream: { type: kafka, brokers: [%q], partitions: 4 }\n", silent.Addr())
	r.program.configure(kafka.config())
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		l := r.program.start()
		conn, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		l.signal(sig)
		if got := l.wait(5 * time.Second); got != 0 || !strings.Contains(l.text(), "told to end before anything was read") {
			t.Errorf("got exit code %d after %v, want 0 and why\n%s", got, sig, l.tail())
		}
	}
}

// Its first events are a few milliseconds old when the drain begins.
func TestRun_DrainsWhatItReadAMomentAgo(t *testing.T) {
	r := small(t)
	l := r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

func TestRun_SecondSignalEndsItAtOnce(t *testing.T) {
	for _, c := range []struct {
		sig  syscall.Signal
		want int
	}{{syscall.SIGTERM, 143}, {syscall.SIGINT, 130}} {
		t.Run(c.sig.String(), func(t *testing.T) {
			r := small(t)
			l := r.program.start()
			l.caughtUp(time.Minute, r.byID())
			r.goLive()
			r.grown(100)
			// A Redis that is silent keeps the drain from its end.
			r.redis.Pause(t)
			r.grown(300)
			l.signal(c.sig)
			testenv.Wait(t, 20*time.Second, "the drain to begin; see "+l.log, func() error {
				if !strings.Contains(l.text(), `"msg":"draining"`) {
					return fmt.Errorf("no line says draining")
				}
				return nil
			})
			second := time.Now()
			l.signal(c.sig)
			if got := l.wait(20 * time.Second); got != c.want {
				t.Errorf("got exit code %d after two signals, want %d\n%s", got, c.want, l.tail())
			}
			if took := time.Since(second); took > 3*time.Second {
				t.Errorf("the second signal took %v, want it to end the process at once\n%s", took, l.tail())
			}
			r.redis.Resume(t)
			r.rest()
			l = r.program.start()
			l.caughtUp(time.Minute, r.byID())
			l.drain()
			r.balanced()
		})
	}
}

func TestRun_DrainsUnderLoadAndGoesOnWhereItStopped(t *testing.T) {
	r := small(t)
	r.goLive()
	for range 3 {
		l := r.program.start()
		l.streaming(r.ids()...)
		r.grown(300)
		l.drain()
	}
	r.rest()
	l := r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

func TestRun_StoppedForLongerThanReadTimeoutsAndContinued(t *testing.T) {
	r := small(t)
	// The configuration gives up a connection after 4 s of silence; the servers
	// give up a reader that takes nothing after 2 s.
	for _, s := range r.shards {
		s.Exec(t, "SET GLOBAL net_write_timeout = 2")
	}
	l := r.program.start()
	l.streaming(r.ids()...)
	r.goLive()
	r.grown(200)
	l.signal(syscall.SIGSTOP)
	stopped := time.Now()
	r.grown(200)
	testenv.Wait(t, 20*time.Second, "the time-outs to pass", func() error {
		if gone := time.Since(stopped); gone < 7*time.Second {
			return fmt.Errorf("%v of 7s have passed", gone)
		}
		return nil
	})
	l.signal(syscall.SIGCONT)
	r.grown(200)
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

// Two processes with state directories of their own have streams of their own,
// in which an offset means another record. On one prefix of Redis each finds
// positions of a foreign log, and cannot know what they stand for: it marks the
// windows so far as lost and goes on behind them. So the two spoil each other's
// windows, and say so; but neither counts a row a second time, and no window
// that is called complete is wrong.
func TestRun_TwoPipelinesOnOneRedisPrefixMarkWindowsLostAndDoubleNone(t *testing.T) {
	r := small(t)
	first := r.program.start()
	first.caughtUp(time.Minute, r.byID())
	other := newProgram(t, workDir(t), r.config())
	second := other.start()
	second.caughtUp(time.Minute, r.byID())
	r.goLive()
	r.grown(300)
	r.rest()
	for _, l := range []*life{first, second} {
		l.caughtUp(time.Minute, r.byID())
		l.signal(syscall.SIGTERM)
		if got := l.wait(time.Minute); got != 0 && got != 1 {
			t.Errorf("got exit code %d, want 0 (drained) or 1 (not drained)\n%s", got, l.tail())
		}
	}
	if !strings.Contains(second.text(), "what was before the stream's first record is not known") {
		t.Errorf("the second process does not say that it found a foreign log's positions\n%s", second.tail())
	}
	want := map[string]map[string]int64{}
	for _, v := range r.ledger.Windows("order_changes") {
		start := fmt.Sprint(v.Start / 1e6)
		if want[start] == nil {
			want[start] = map[string]int64{}
		}
		want[start][fmt.Sprintf("[%q]", v.Group[0])] = v.Count
	}
	compared := 0
	for start, groups := range want {
		complete := strings.Join(redisCLI(t, r.redis.Addr, "HGET", "tw:{order_changes}:meta:"+start, "complete"), "") == "1"
		for group, count := range groups {
			text := strings.Join(redisCLI(t, r.redis.Addr, "HGET", "tw:{order_changes}:w:"+start, group), "")
			got, _ := strconv.ParseInt(text, 10, 64)
			if got > count || complete && got != count {
				t.Errorf("window %s, group %s: Redis has %d (complete %t), the ledger %d", start, group, got, complete, count)
			}
			compared++
		}
	}
	if compared == 0 {
		t.Error("no window was compared")
	}
}
