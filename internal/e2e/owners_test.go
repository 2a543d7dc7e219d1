package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
)

// ownedShards are the shards that every reader together and each of the others
// begins with.
const ownedShards = 6

// owned are the shards that a process follows. One that is stopped fails the
// test: no hand-over is for a person.
func owned(t *testing.T, l *life) ([]string, error) {
	t.Helper()
	s, err := l.status()
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range s.Shards {
		switch sh := &s.Shards[i]; sh.State {
		case status.Streaming:
			out = append(out, sh.Shard)
		case status.Stopped:
			t.Fatalf("shard %s is stopped: %s; see %s", sh.Shard, sh.Error, l.log)
		}
	}
	return out, nil
}

// shared waits until readers follow all shards between them, each once and at
// least least of them, and returns how long that took.
func (r *rig) shared(what string, ids []string, least int, readers ...*life) time.Duration {
	r.t.Helper()
	began := time.Now()
	testenv.Wait(r.t, 90*time.Second, what, func() error {
		var all []string
		for _, l := range readers {
			mine, err := owned(r.t, l)
			if err != nil {
				return err
			}
			if len(mine) < least {
				return fmt.Errorf("%s has only %v", l.log, mine)
			}
			all = append(all, mine...)
		}
		if slices.Sort(all); !slices.Equal(all, ids) {
			return fmt.Errorf("%v are followed, of %v", all, ids)
		}
		return nil
	})
	took := time.Since(began).Round(10 * time.Millisecond)
	r.t.Logf("%s: %v", what, took)
	return took
}

// without is a configuration without a shard.
func without(t *testing.T, config, id string) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(config) {
		if !strings.Contains(line, fmt.Sprintf("- { name: %q,", id)) {
			out = append(out, line)
		}
	}
	if len(out)+1 != strings.Count(config, "\n") {
		t.Fatalf("the configuration has no shard %s, or several", id)
	}
	return strings.Join(out, "")
}

// Three processes share six shards. One is killed, one is stopped in order, one
// stands still for longer than it may, and a fourth brings a shard of its own,
// of which a fifth hears by SIGHUP.
func TestOwners_ShardsMoveBetweenProcessesAndNoRowIsLostOrDoubled(t *testing.T) {
	r := newRig(t, rigOptions{shards: ownedShards + 1, grownUp: true, shop: shop.Options{Seed: 9, Rate: 150, HistoryTxs: 20}})
	ids, last := r.ids()[:ownedShards], r.ids()[ownedShards]
	var readers []*life
	var programs []*program
	for i := range 3 {
		p := newProgram(t, workDir(t), without(t, r.config(), last))
		programs, readers = append(programs, p), append(readers, p.startRole("reader"))
		if i == 0 {
			r.shared("one process that starts alone has all shards after", ids, ownedShards, readers...)
		}
	}
	windows, lake := newProgram(t, workDir(t), r.config()).startRole("windows"), newProgram(t, workDir(t), r.config()).startRole("lake")
	r.shared("three processes that start have two shards each after", ids, 2, readers...)
	r.goLive()
	r.grown(100)

	readers[0].kill()
	r.shared("the shards of a killed one are followed after", ids, 3, readers[1:]...)
	readers[0] = programs[0].startRole("reader")
	r.shared("one that comes back has its part after", ids, 2, readers...)
	r.grown(100)

	readers[1].signal(syscall.SIGTERM)
	r.shared("the shards of one that is stopped are followed after", ids, 3, readers[0], readers[2])
	if code := readers[1].wait(time.Minute); code != 0 {
		t.Errorf("it ended with exit code %d\n%s", code, readers[1].tail())
	}
	readers[1] = programs[1].startRole("reader")
	r.shared("three again have two each after", ids, 2, readers...)
	r.grown(100)

	readers[2].signal(syscall.SIGSTOP)
	r.shared("the shards of one that stands still are followed after", ids, 3, readers[:2]...)
	r.grown(100)
	readers[2].signal(syscall.SIGCONT)
	r.shared("one that goes on has its part after", ids, 2, readers...)
	if !strings.Contains(readers[2].text(), "go on without this process") {
		t.Errorf("the one that stood still does not say that it was left out\n%s", readers[2].tail())
	}

	fourth := newProgram(t, workDir(t), r.config()).startRole("reader")
	r.shared("a shard that only a new process knows is followed after", r.ids(), 1, append(slices.Clone(readers), fourth)...)
	if mine, err := owned(t, fourth); err != nil || !slices.Contains(mine, last) {
		t.Errorf("the new process has %v, %v, want shard %s among them", mine, err, last)
	}
	programs[0].configure(r.config())
	readers[0].signal(syscall.SIGHUP)
	readers[0].shard(last, "known", func(s *status.Shard) bool { return s.Shard == last })
	fourth.drain()
	r.shared("it goes to one that has read its file again after", r.ids(), 2, readers...)
	if mine, err := owned(t, readers[0]); err != nil || !slices.Contains(mine, last) {
		t.Errorf("the process that has read its file again has %v, %v, want shard %s among them", mine, err, last)
	}
	r.grown(100)
	r.rest()
	r.exactly(append(readers, windows, lake))
}

// followed waits until each shard's owner has what its server has executed.
func (r *rig) followed(lives []*life) {
	r.t.Helper()
	testenv.Wait(r.t, 2*time.Minute, "each shard's owner to have what its server has executed", func() error {
		left := r.byID()
		for _, l := range lives {
			s, err := l.status()
			if err != nil {
				return err
			}
			for i := range s.Shards {
				sh := &s.Shards[i]
				if server := left[sh.Shard]; server != nil && sh.GTID != "" && lacking(r.t, server, sh.GTID) == "" {
					delete(left, sh.Shard)
				}
			}
		}
		if len(left) > 0 {
			return errors.New("some do not")
		}
		return nil
	})
}

// exactly ends the processes, and holds everything against the ledger.
func (r *rig) exactly(lives []*life) {
	r.t.Helper()
	r.followed(lives)
	for _, l := range lives {
		l.drain()
	}
	whole := newProgram(r.t, r.dir, r.config())
	l := whole.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
	kcatFindsEachOnce(r.t, r)
}
