package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
)

// reading is a process that follows shards, but for the following.
type reading struct {
	mu      sync.Mutex
	knows   []string
	now     stream.Ownership
	alone   bool
	lost    int
	changed chan struct{}
	cancel  context.CancelFunc
	done    chan error
}

// readingAs begins a process. What it is told to give up it gives up at once.
func readingAs(t *testing.T, brokers []string, name string, knows ...string) *reading {
	t.Helper()
	l := openLog(t, brokers)
	r := &reading{knows: knows, changed: make(chan struct{}, 1), done: make(chan error, 1)}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	go func() {
		r.done <- l.Own(ctx, stream.OwnOptions{
			Group: "tw.suite.readers", Process: name, Name: name, Changed: r.changed,
			Shards: r.shards, Held: r.has, Assign: r.assign, Failing: func(error) {},
		})
	}()
	t.Cleanup(r.cancel)
	return r
}

func (r *reading) shards() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.knows)
}

func (r *reading) has() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.now.Mine)
}

func (r *reading) assign(o stream.Ownership) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := len(r.now.Mine) > 0 && !slices.Equal(r.now.Mine, o.Mine)
	r.now = o
	switch o.Standing {
	case stream.Alone:
		r.alone = true
	case stream.Lost:
		r.lost++
	}
	if gone {
		r.tell()
	}
}

// tell says that something has changed.
func (r *reading) tell() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// learn makes the process know other shards.
func (r *reading) learn(knows ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.knows = knows
	r.tell()
}

// divided waits until some processes have the shards among them, each at least
// least of them, and know whose they are.
func divided(t *testing.T, what string, shards []string, least int, all ...*reading) {
	t.Helper()
	testenv.Wait(t, time.Minute, what, func() error {
		var got []string
		for _, r := range all {
			mine := r.has()
			if len(mine) < least {
				return fmt.Errorf("one has only %v", mine)
			}
			got = append(got, mine...)
		}
		slices.Sort(got)
		if !slices.Equal(got, shards) {
			return fmt.Errorf("%v are owned, of %v", got, shards)
		}
		return nil
	})
}

func testOwn(t *testing.T, brokers []string) {
	shards := []string{"00", "01", "02", "03", "04", "05"}
	a := readingAs(t, brokers, "a", shards...)
	divided(t, "one process with all", shards, 6, a)
	// Before it is in the group, another one would believe to be alone too.
	testenv.Wait(t, time.Minute, "the first to be in the group", func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.now.Standing != stream.Member {
			return errors.New("it is not")
		}
		return nil
	})
	b := readingAs(t, brokers, "b", shards...)
	divided(t, "two with three each", shards, 3, a, b)
	c := readingAs(t, brokers, "c", shards...)
	divided(t, "three with two each", shards, 2, a, b, c)
	testenv.Wait(t, time.Minute, "the owners to be known", func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		for s, who := range a.now.Owners {
			if slices.Contains(a.now.Mine, s) != (who == "a") || who == "" {
				return fmt.Errorf("shard %s is said to be %q's", s, who)
			}
		}
		if len(a.now.Owners) != len(shards) {
			return fmt.Errorf("owners %v", a.now.Owners)
		}
		return nil
	})
	b.cancel()
	began := time.Now()
	if err := <-b.done; err != nil {
		t.Errorf("Own = %v at its end, want nil", err)
	}
	divided(t, "two with three each again", shards, 3, a, c)
	t.Logf("the shards of one that left were divided %v after it was told to end", time.Since(began).Round(time.Millisecond))
	// A process knows a shard that the others do not.
	a.learn(append(shards, "06")...)
	divided(t, "the new shard", append(slices.Clone(shards), "06"), 3, a, c)
	if slices.Contains(c.has(), "06") {
		t.Errorf("c has %v, and does not know 06", c.has())
	}
	if a.lost+b.lost+c.lost > 0 || !a.alone || b.alone || c.alone {
		t.Errorf("lost %d, %d, %d times, alone %t, %t, %t: want none lost and only the first alone", a.lost, b.lost, c.lost, a.alone, b.alone, c.alone)
	}
}

func TestOwn_ShardsAreDividedAmongThoseWhoRead(t *testing.T) {
	t.Run("in process", func(t *testing.T) { testOwn(t, kafkatest.Start(t)) })
	t.Run("Apache Kafka", func(t *testing.T) { testOwn(t, []string{testenv.Kafka(t).Addr}) })
}

func TestUnavailable_IsWhatBrokersMendByThemselves(t *testing.T) {
	for _, err := range []error{kerr.LeaderNotAvailable, fmt.Errorf("read: %w", kerr.NotLeaderForPartition), kerr.CoordinatorLoadInProgress} {
		if got := unavailable(err); !errors.Is(got, stream.ErrUnavailable) || !errors.Is(got, err) {
			t.Errorf("unavailable(%v) = %v", err, got)
		}
	}
	for _, err := range []error{nil, kerr.TopicAuthorizationFailed, errNoAnswer, fenced(kerr.ProducerFenced)} {
		if got := unavailable(err); !errors.Is(got, err) || errors.Is(got, stream.ErrUnavailable) {
			t.Errorf("unavailable(%v) = %v", err, got)
		}
	}
}

// silent joins the group as a process that says nothing more, as one that was
// killed.
func silent(t *testing.T, brokers []string, name string, shards ...string) {
	t.Helper()
	l := openLog(t, brokers)
	w := &owning{log: l, clientID: "tailwater-suite-" + name, o: stream.OwnOptions{
		Group: "tw.suite.readers", Process: name, Name: name,
		Shards: func() []string { return shards }, Held: func() []string { return nil },
	}}
	var err error
	if w.client, err = l.newClient(clientIDOf(w)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	plan, err := w.join(t.Context())
	if err == nil {
		_, err = w.sync(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A process that takes the place of a dead one does not wait for it.
func TestOwn_WhoComesInTheDeadOnesPlaceIsNotKeptWaiting(t *testing.T) {
	brokers := kafkatest.Start(t)
	silent(t, brokers, "a", "00", "01")
	a := readingAs(t, brokers, "a", "00", "01")
	testenv.Wait(t, time.Minute, "all shards, alone, for the dead one is taken out", func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.alone || a.now.Standing != stream.Member || len(a.now.Mine) != 2 {
			return fmt.Errorf("it is %v with %v", a.now.Standing, a.now.Mine)
		}
		return nil
	})
}

// Another one takes what a dead one had once it has been silent for too long.
func TestOwn_TheShardsOfADeadOneGoToTheOthers(t *testing.T) {
	brokers := kafkatest.Start(t)
	silent(t, brokers, "a", "00", "01")
	began := time.Now()
	b := readingAs(t, brokers, "b", "00", "01")
	divided(t, "the dead one's shards", []string{"00", "01"}, 2, b)
	t.Logf("divided anew after %v", time.Since(began).Round(time.Millisecond))
	if b.alone {
		t.Error("b was told that it is alone while the group had a member")
	}
}

// Who was taken out of the group gives its shards up, and joins again.
func TestOwn_WhoIsOutsideGivesUpItsShardsAndJoinsAgain(t *testing.T) {
	brokers := kafkatest.Start(t)
	a := readingAs(t, brokers, "a", "00")
	divided(t, "the shard", []string{"00"}, 1, a)
	l := openLog(t, brokers)
	testenv.Wait(t, time.Minute, "a member that can be taken out", func() error {
		described, err := l.admin.DescribeGroups(t.Context(), "tw.suite.readers")
		if err != nil {
			return err
		}
		w := &owning{log: l, client: l.client, o: stream.OwnOptions{Group: "tw.suite.readers"}}
		for _, m := range described["tw.suite.readers"].Members {
			w.remove(t.Context(), []string{m.MemberID})
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.lost == 0 {
			return errors.New("it has not noticed")
		}
		return nil
	})
	divided(t, "the shard again", []string{"00"}, 1, a)
}
