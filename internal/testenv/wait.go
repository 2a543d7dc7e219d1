package testenv

import (
	"testing"
	"time"
)

// Wait calls done every 20 ms until it returns nil, and fails the test with
// the last error when that takes longer than limit. what completes the
// sentence "wait for ...".
//
// It is for things outside the process, which have no channel to wait on;
// inside, use channels and testing/synctest.
func Wait(t testing.TB, limit time.Duration, what string, done func() error) {
	t.Helper()
	over := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return
		}
		select {
		case <-over:
			t.Fatalf("wait for %s: after %s: %v", what, limit, err)
		case <-tick.C:
		}
	}
}
