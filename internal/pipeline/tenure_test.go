package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tailwater/binlog"
	"tailwater/internal/status"
	"tailwater/stream"
)

// begun is a tenure whose reader runs.
func begun(t *testing.T, is possession) (n *tenure, stop, hard context.Context, told *int) {
	t.Helper()
	told = new(int)
	n = newTenure(unknown, func() { *told++ })
	n.set(is, "me")
	stop, hard, ok := n.begin(t.Context(), t.Context())
	if !ok {
		t.Fatal("a reader may not begin although the shard is this process's")
	}
	return n, stop, hard, told
}

func TestTenure_AReaderGoesOnWhileTheShardStays(t *testing.T) {
	n, stop, hard, told := begun(t, provisional)
	n.set(mine, "me")
	n.set(mine, "me")
	if stop.Err() != nil || hard.Err() != nil || *told != 0 {
		t.Errorf("stop %v, hard %v, told %d times: want the reader to go on", stop.Err(), hard.Err(), *told)
	}
}

// A shard that is taken away is held until its reader has ended, which has some
// seconds to publish.
func TestTenure_WhatIsTakenAwayIsDrainedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stop, hard, told := begun(t, mine)
		n.set(elsewhere, "other:1")
		if stop.Err() == nil || hard.Err() != nil || !n.held() {
			t.Errorf("stop %v, hard %v, held %t: want it to drain", stop.Err(), hard.Err(), n.held())
		}
		<-hard.Done()
		n.end()
		if n.held() || *told != 1 {
			t.Errorf("held %t, told %d times after the end", n.held(), *told)
		}
		if state, owner, _ := n.away(); state != status.Elsewhere || owner != "other:1" {
			t.Errorf("it is %s of %s", state, owner)
		}
		if _, _, ok := n.begin(t.Context(), t.Context()); ok {
			t.Error("a reader begins although the shard is another process's")
		}
	})
}

// Of a shard that may be another's by now nobody waits for the end.
func TestTenure_WhatIsLostEndsAtOnceAndIsNotHeld(t *testing.T) {
	n, stop, hard, _ := begun(t, mine)
	n.lose()
	if stop.Err() == nil || hard.Err() == nil || n.held() {
		t.Errorf("stop %v, hard %v, held %t: want it ended", stop.Err(), hard.Err(), n.held())
	}
	n.troubled(errors.New("no broker answers"))
	n.end()
	if state, _, why := n.away(); state != status.Waiting || why != "no broker answers" {
		t.Errorf("it is %s, %q", state, why)
	}
	n.set(mine, "me")
	if stop, _, ok := n.begin(t.Context(), t.Context()); !ok || stop.Err() != nil {
		t.Error("it cannot begin again although it came back")
	}
}

// A process that stood still opens no shard before the group has answered.
func TestTenure_AShardIsOpenedOnceTheGroupHasAnsweredLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stop, _, _ := begun(t, mine)
		n.troubled(nil)
		if err := n.fresh(stop); err != nil {
			t.Errorf("fresh = %v just after an answer", err)
		}
		time.Sleep(time.Minute)
		opened := make(chan error, 1)
		go func() { opened <- n.fresh(stop) }()
		time.Sleep(time.Minute)
		select {
		case err := <-opened:
			t.Errorf("fresh = %v a minute after the last answer, want it to wait", err)
		default:
		}
		n.lose()
		if err := <-opened; err == nil {
			t.Error("a shard that was lost meanwhile is opened")
		}
	})
}

func TestTenure_ARemovedShardStaysRemoved(t *testing.T) {
	n, stop, _, _ := begun(t, mine)
	n.set(removed, "")
	n.set(mine, "me")
	n.lose()
	if is, _ := n.now(); is != removed || stop.Err() == nil {
		t.Errorf("it is %v, stop %v", is, stop.Err())
	}
}

// What brokers mend by themselves is no reason to wait for a minute.
func TestClassify_ALogThatIsNotAvailableIsAskedAgainSoon(t *testing.T) {
	for want, err := range map[binlog.Class]error{
		binlog.Retry: fmt.Errorf("open shard 00: %w: no leader", stream.ErrUnavailable),
		binlog.Stop:  fmt.Errorf("%w: %w", stream.ErrUnavailable, stream.ErrFenced),
	} {
		if got := classify(err); got != want {
			t.Errorf("classify(%v) = %v, want %v", err, got, want)
		}
	}
}

// A claim of another process is an error of a person where nobody shares, the
// group's to judge before it has spoken, and answered in kind for a while after.
func TestShard_AContestedShard(t *testing.T) {
	alone := &shard{tenure: newTenure(mine, nil), now: time.Now}
	if alone.contested(t.Context(), 1) {
		t.Error("a shard that is shared with nobody is taken back")
	}
	synctest.Test(t, func(t *testing.T) {
		n := newTenure(unknown, func() {})
		s := &shard{tenure: n, now: time.Now}
		n.set(provisional, "me")
		answer := make(chan bool, 1)
		go func() { answer <- s.contested(t.Context(), 1) }()
		time.Sleep(time.Minute)
		n.set(mine, "me")
		if !<-answer {
			t.Error("a shard that the group gives to this process is not taken")
		}
		var got []bool
		for i := range contests + 1 {
			got = append(got, s.contested(t.Context(), i+1))
		}
		if want := []bool{true, true, true, false}; !slices.Equal(got, want) {
			t.Errorf("claims in the first seconds are answered %v, want %v", got, want)
		}
		time.Sleep(contestTime)
		if s.contested(t.Context(), 1) {
			t.Error("a claim is answered long after the shard was assigned")
		}
		stop, cancel := context.WithCancel(t.Context())
		cancel()
		if s.contested(stop, 1) {
			t.Error("a shard that moves is taken back")
		}
	})
}
