package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tailwater/internal/config"
	"tailwater/internal/status"
	"tailwater/stream"
)

// lag is what the rig's shard shows while its server is quiet.
func (r *rig) lag() time.Duration {
	return time.Duration(r.counters.waiting.lag(r.now(), true) * float64(time.Second)).Round(time.Second)
}

// old is the age of a transaction of the rig by its number.
func (r *rig) old(number int64) time.Duration { return r.now().Sub(time.Unix(number, 0)) }

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !holds() {
		if !pause(ctx, time.Millisecond) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestLag_RisesWhileAPublishHangsAndFallsBehindIt(t *testing.T) {
	session := &fakeSession{hold: make(chan struct{})}
	r := newRig(t, session, nil)
	if r.lag() != 0 {
		t.Errorf("lag = %s before anything was read, want 0", r.lag())
	}
	r.tx("g1", 1) // in flight
	r.tx("g2", 1) // gathers
	for range 3 {
		r.pass(10 * time.Second)
		if got, want := r.lag(), r.old(1); got != want {
			t.Errorf("lag = %s while the publish of the first hangs, want its age %s", got, want)
		}
	}
	session.hold <- struct{}{}
	eventually(t, "the age of the second", func() bool { return r.lag() == r.old(2) })
	close(session.hold)
	eventually(t, "no lag", func() bool { return r.lag() == 0 })
}

func TestLag_RisesWhileTheStreamHasNoRoom(t *testing.T) {
	g := new(gate)
	g.set("the disk is full")
	r := newRig(t, &fakeSession{}, func(o *publisherOptions) { o.Gate = g.wait })
	r.tx("g1", 1)
	r.pass(time.Minute)
	if got, want := r.lag(), r.old(1); got != want {
		t.Errorf("lag = %s while the disk is full, want the transaction's age %s", got, want)
	}
	g.set("")
	eventually(t, "no lag", func() bool { return r.lag() == 0 })
}

func TestLag_OutlivesTheSessionThatDidNotPublish(t *testing.T) {
	session := &fakeSession{fail: stream.ErrSessionEnded}
	r := newRig(t, session, nil)
	r.tx("g1", 1)
	if err := r.p.Finish(); !errors.Is(err, stream.ErrSessionEnded) {
		t.Fatalf("Finish = %v, want the end of the session", err)
	}
	r.counters.waiting.end()
	r.pass(time.Minute)
	if got, want := r.lag(), r.old(1); got != want {
		t.Errorf("lag = %s between two sessions, want %s", got, want)
	}
	again := newRig(t, &fakeSession{}, func(o *publisherOptions) { o.Counters = r.counters })
	again.counters = r.counters
	again.tx("g1", 1)
	eventually(t, "no lag once it is read again", func() bool { return again.lag() == 0 })
}

func TestLag_WaitsForNoTransactionWithoutEvents(t *testing.T) {
	session := &fakeSession{hold: make(chan struct{})}
	defer close(session.hold)
	r := newRig(t, session, nil)
	tx := r.begin("g1")
	if got, want := r.lag(), r.old(1); got != want {
		t.Errorf("lag = %s inside a transaction, want its age %s", got, want)
	}
	r.commit(tx)
	if r.lag() != 0 {
		t.Errorf("lag = %s behind a transaction of other tables, want 0", r.lag())
	}
	tx = r.begin("g2")
	if err := r.row(tx, 1); err != nil {
		t.Fatal(err)
	}
	if err := r.p.Idle(1, []byte("behind g1")); err != nil {
		t.Fatal(err)
	}
	if r.lag() != 0 {
		t.Errorf("lag = %s behind a transaction that was dropped, want 0", r.lag())
	}
	// More may be unread as long as the server is not quiet.
	if got, want := r.counters.waiting.lag(r.now(), false), r.old(1).Seconds(); got < want-1 {
		t.Errorf("lag = %f s of a server that sends what is old, want about %f", got, want)
	}
}

func TestLag_OfALargeTransactionIsItsAgeUntilItsLastPieceIsPublished(t *testing.T) {
	session := &fakeSession{hold: make(chan struct{})}
	r := newRig(t, session, func(o *publisherOptions) { o.BatchBytes = 1 })
	tx := r.begin("g1")
	if err := r.row(tx, 1); err != nil {
		t.Fatal(err)
	}
	session.hold <- struct{}{}
	eventually(t, "the first piece", func() bool { return len(session.events()) == 1 })
	if got, want := r.lag(), r.old(1); got != want {
		t.Errorf("lag = %s behind the first piece, want %s", got, want)
	}
	close(session.hold)
	r.commit(tx)
	eventually(t, "no lag", func() bool { return r.lag() == 0 })
}

func TestShard_KeepsTheReasonWhileItConnectsAgain(t *testing.T) {
	reached := make(chan struct{})
	attempts := 0
	s := &shard{
		source: "s", id: "00", counters: &counters{lag: new(status.Latency), state: status.Connecting},
		retry: config.Retry{Min: time.Millisecond, Max: time.Millisecond}, logger: slog.New(slog.DiscardHandler), now: time.Now,
		tenure: newTenure(mine, nil),
		saved: func(ctx context.Context, _ string) ([]byte, error) {
			if attempts++; attempts == 1 {
				return nil, fmt.Errorf("the broker is away: %w", stream.ErrSessionEnded)
			}
			close(reached)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	stop, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(stop, t.Context())
	}()
	select {
	case <-reached:
	case <-time.After(90 * time.Second):
		t.Fatal("there was no second attempt")
	}
	if state, fault, _ := s.counters.get(); state != status.Connecting || !strings.Contains(fault, "the broker is away") {
		t.Errorf("the second attempt is %s with error %q, want connecting, and why the first one ended", state, fault)
	}
	end()
	<-done
}

func TestShard_StallsWhenAPublishIsNotAnswered(t *testing.T) {
	s := openQuiet(t).shards[0]
	now := time.Now()
	s.counters.set(status.Streaming, "", now)
	s.counters.waiting.asked.Store(now.UnixNano())
	s.stallAfter = time.Minute
	if got := s.snapshot(now.Add(time.Second)); got.State != status.Streaming {
		t.Errorf("after a second: %s (%s), want streaming", got.State, got.Error)
	}
	if got := s.snapshot(now.Add(12 * time.Second)); got.State != status.Stalled || !strings.Contains(got.Error, "not answered a publish for 12s") {
		t.Errorf("after 12 s: %s (%s), want it stalled by the stream", got.State, got.Error)
	}
}
