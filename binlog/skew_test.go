package binlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/internal/testenv"
)

// lines is a log that a test reads while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func TestSkew_IsTheDistanceFromTheMiddleOfTheQuestion(t *testing.T) {
	asked := time.UnixMicro(1_000_000_000)
	for _, c := range []struct {
		rtt, ahead time.Duration
		alarms     bool
	}{
		{time.Millisecond, 0, false},
		{time.Millisecond, time.Second, false},
		{time.Millisecond, 1100 * time.Millisecond, true},
		{time.Millisecond, -1100 * time.Millisecond, true},
		// An answer that took so long may have been right all the time.
		{500 * time.Millisecond, 1100 * time.Millisecond, false},
		{time.Millisecond, 10 * time.Minute, true},
	} {
		k := skewOf(asked, asked.Add(c.rtt), asked.Add(c.rtt/2).Add(c.ahead).UnixMicro())
		if k.Offset != c.ahead || k.Error != c.rtt/2 || k.Alarming() != c.alarms || !k.At.Equal(asked.Add(c.rtt)) {
			t.Errorf("%v ahead, answered in %v: got %+v, alarming %t", c.ahead, c.rtt, k, k.Alarming())
		}
	}
}

// A busy server is asked as well as a quiet one, and a clock that is set right
// ends the alarm.
func TestHazard_B28_TheSkewOfAServersClockIsMeasuredAndAlarmed(t *testing.T) {
	for _, want := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(want.String(), func(t *testing.T) {
			t.Parallel()
			var ahead atomic.Int64
			ahead.Store(int64(want))
			s := newSource(t, primary.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
			log := new(lines)
			f := s.follow(nil, func(o *Options) {
				o.Heartbeat, o.Logger = 50*time.Millisecond, slog.New(slog.NewTextHandler(log, nil))
			})
			off := func(want time.Duration) error {
				k := f.r.Status().Skew
				if k.At.IsZero() {
					return fmt.Errorf("nothing is measured")
				}
				// What is read of the clock has microseconds.
				if d := (k.Offset - want).Abs(); d > k.Error+time.Millisecond {
					return fmt.Errorf("it is %v ± %v, want %v", k.Offset, k.Error, want)
				}
				return nil
			}
			testenv.Wait(t, patience, "the skew", func() error { return off(want) })
			if !f.r.Status().Skew.Alarming() {
				t.Errorf("a skew of %v is no alarm", want)
			}
			s.insert(1)
			f.wantIDs(1, 1)
			unlock := f.j.lock()
			commit := time.UnixMicro(f.j.transactions[len(f.j.transactions)-1].CommitMicros)
			unlock()
			// The time of a row is its server's, whatever the reader's clock says.
			if d := time.Since(commit.Add(-want)).Abs(); d > patience {
				t.Errorf("the row's commit time is %v off the server's clock", d)
			}
			ahead.Store(0)
			testenv.Wait(t, patience, "the clock that is right again", func() error { return off(0) })
			if f.r.Status().Skew.Alarming() {
				t.Error("a clock that is right is still an alarm")
			}
			for _, text := range []string{"clock and this machine's differ", "agree again"} {
				if got := log.count(text); got != 1 {
					t.Errorf("the log says %q %d times, want once", text, got)
				}
			}
		})
	}
}

// A server that is never quiet is not asked at heartbeats, for it sends none.
func TestSkew_OfABusyServerIsMeasuredByTheEvents(t *testing.T) {
	s := newSource(t, primary.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	s.insert(1)
	f := s.follow(nil, func(o *Options) { o.Heartbeat = time.Minute })
	testenv.Wait(t, patience, "the skew", func() error {
		if k := f.r.Status().Skew; k.Offset < 59*time.Minute {
			return fmt.Errorf("it is %v", k.Offset)
		}
		return nil
	})
}
