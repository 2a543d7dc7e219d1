package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailwater/internal/failpoint"
	"tailwater/internal/testenv"
)

// fired returns the names that the log of a stage says something happened at.
func (s *stage) fired() (names []string) {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "fired" && !slices.Contains(names, words[1]) {
			names = append(names, words[1])
		}
	}
	return names
}

// spoilt lets the program work with rules, starting it again whenever it ends,
// until something has happened at so many names; then the next one finishes
// without rules, and windows and lake are held against the ledger.
func spoilt(t *testing.T, rules string, names int) {
	t.Helper()
	s := newStage(t)
	s.goLive()
	l := s.start(rules)
	testenv.Wait(t, 2*time.Minute, fmt.Sprintf("something to happen at %d names", names), func() error {
		if l.ended() {
			// A disk that fails while the program opens ends it, in order.
			if ws, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				return nil
			}
			l = s.start(rules)
		}
		if at := s.fired(); len(at) < names {
			return fmt.Errorf("it has at %q", at)
		}
		return nil
	})
	if l.ended() && l.cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("a signal ended it\n%s", l.tail())
	}
	s.endLive()
	_ = l.cmd.Process.Kill()
	<-l.done
	l = s.start("")
	if s.settles(l) {
		t.Fatalf("the process after it died\n%s", l.tail())
	}
	l.drain()
	s.balanced(rules)
}

// Every step that can fail does so now and then, with what the step could see of
// its disk, its server and its stores.
func TestFailpoints_ErrorsAtEveryStepLoseAndDoubleNothing(t *testing.T) {
	var rules []string
	for _, n := range failpoint.Failing() {
		// A sync that fails ends the embedded stream until the next start.
		if n != failpoint.StreamSynced && n != failpoint.StreamEndsWritten {
			rules = append(rules, fmt.Sprintf("%s=error@p0.1x3+1s", n))
		}
	}
	spoilt(t, strings.Join(rules, ";"), 8)
}

func TestFailpoints_ASyncThatFailsLosesNothing(t *testing.T) {
	for _, n := range []failpoint.Name{failpoint.StreamSynced, failpoint.StreamEndsWritten} {
		t.Run(string(n), func(t *testing.T) { spoilt(t, string(n)+"=error@10", 1) })
	}
}
