package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/testenv"
)

// verified wants verify to find no difference, and something to compare.
func (r *rig) verified() {
	r.t.Helper()
	var code int
	var stdout, stderr string
	testenv.Wait(r.t, time.Minute, "verify to have windows and lake to compare with", func() error {
		if code, stdout, stderr = tailwater(r.t, 3*time.Minute, "verify", "-o", "json", r.program.config); code != 0 {
			return fmt.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
		}
		return nil
	})
	if strings.Contains(stdout, `"values_compared": 0`) || strings.Contains(stdout, `"lake_rows_compared": 0`) {
		r.t.Errorf("verify compared nothing:\n%s", stdout)
	}
}

// openers are what strangers say first, on whatever port.
var openers = []string{
	"\x00\x00\x00\x0c\xff\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00", // a key that Kafka does not know
	"\xff\xff\xff\xff", "\x7f\xff\xff\xff\x00\x01", "\x00\x00\x00\x00",
	"*0\r\n", "*-1\r\n", "*1\r\n$99999999999999999\r\n", "*2147483647\r\n", "\r\n\r\n",
	"*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n", "*1\r\n$8\r\nSHUTDOWN\r\n", "*1\r\n$8\r\nFLUSHALL\r\n", "*1\r\n$7\r\nMONITOR\r\n",
	"*2\r\n$5\r\nDEBUG\r\n$8\r\nSEGFAULT\r\n", "*2\r\n$6\r\nSCRIPT\r\n$5\r\nFLUSH\r\n", "FLUSHALL\r\n",
	"GET / HTTP/1.1\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"POST /api/v1/shards/00/retry HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
}

// pester connects again and again until ctx ends, says one of the openers and
// then noise, and stays for a while. It returns how often it came in.
func pester(ctx context.Context, addr string, seed uint64) int {
	rng := rand.New(rand.NewPCG(seed, 1))
	noise := make([]byte, 64<<10)
	came := 0
	var staying []net.Conn
	defer func() {
		for _, c := range staying {
			_ = c.Close()
		}
	}()
	for ctx.Err() == nil {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		came++
		_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = c.Write([]byte(openers[rng.IntN(len(openers))]))
		if rng.IntN(4) == 0 {
			for i := range noise {
				noise[i] = byte(rng.IntN(256))
			}
			for range 1 + rng.IntN(100) { // 6 MiB at most
				if _, err := c.Write(noise); err != nil {
					break
				}
			}
		}
		_, _ = c.Read(noise)
		if rng.IntN(3) == 0 && len(staying) < 400 {
			staying = append(staying, c)
			continue
		}
		_ = c.Close()
	}
	return came
}

func TestRun_GarbageOnEveryPortChangesNothing(t *testing.T) {
	r := small(t)
	text := strings.Replace(r.config(), fmt.Sprintf("store: { type: redis, url: \"redis://%s/0\" }", r.redis.Addr), "store: { type: embedded }", 1)
	r.program.configure(strings.Replace(text, "memory: 512MiB", "memory: 256MiB", 1))
	l := r.program.start()
	l.streaming(r.ids()...)
	run, err := l.runFile()
	if err != nil {
		t.Fatal(err)
	}
	r.goLive()
	ctx, stop := context.WithTimeout(t.Context(), 12*time.Second)
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	came := map[string]int{}
	for i, addr := range []string{run.HTTP, run.Stream, strings.TrimSuffix(strings.TrimPrefix(run.Redis, "redis://"), "/0")} {
		for j := range 2 {
			wg.Go(func() {
				n := pester(ctx, addr, uint64(10*i+j))
				mu.Lock()
				defer mu.Unlock()
				came[addr] += n
			})
		}
	}
	r.grown(600)
	wg.Wait()
	r.grown(200)
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	s, err := l.status()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("strangers came %v times; RSS peak %d MiB", came, s.Process.RSSPeakBytes>>20)
	for addr, n := range came {
		if n < 20 {
			t.Errorf("strangers came to %s only %d times", addr, n)
		}
	}
	if got := s.Process.RSSPeakBytes >> 20; got > 400 {
		t.Errorf("RSS peak: got %d MiB with limits.memory 256MiB", got)
	}
	r.verified()
	l.drain()
	if strings.Contains(l.text(), "panic") {
		t.Errorf("it panicked\n%s", l.tail())
	}
}
