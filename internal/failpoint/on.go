//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled says whether this build can be disturbed.
const Enabled = true

// The variables of the environment; see the package comment.
const (
	rulesVariable = "TAILWATER_FAILPOINTS"
	seedVariable  = "TAILWATER_FAILPOINT_SEED"
	logVariable   = "TAILWATER_FAILPOINT_LOG"
)

// armed is what a process was told at its start.
type armed struct {
	rules map[Name][]*rule
	began time.Time
	// log gets the lines of what has happened. Each is one write, so that those
	// of several processes do not mix.
	log io.Writer
	// report is whether log gets how often each name was come by.
	report bool
}

// current is nil until Start, and what is disturbed is a process as a whole: it
// belongs to no value that could be handed through every part of the product.
var current atomic.Pointer[armed]

// hits counts how often each name was come by.
var hits = func() map[Name]*atomic.Int64 {
	m := make(map[Name]*atomic.Int64)
	for _, n := range Names() {
		m[n] = new(atomic.Int64)
	}
	return m
}()

// Start reads the rules from the environment. A mistake in them is an error that
// names it, and nothing is armed then. From here on SIGUSR1 writes the counts.
func Start() error {
	a, err := fromEnvironment()
	if err != nil {
		return err
	}
	current.Store(a)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			a.counts()
		}
	}()
	return nil
}

func fromEnvironment() (*armed, error) {
	a := &armed{began: time.Now(), log: os.Stderr}
	seed := uint64(1)
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, fmt.Errorf("%s=%q: want a number", seedVariable, text)
		}
	}
	var err error
	if a.rules, err = parse(os.Getenv(rulesVariable), seed); err != nil {
		return nil, fmt.Errorf("%s: %w", rulesVariable, err)
	}
	if name := os.Getenv(logVariable); name != "" {
		// It is open as long as the process lives.
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", logVariable, err)
		}
		a.log, a.report = f, true
	}
	return a, nil
}

// Report writes how often each name was come by, at an orderly end.
func Report() {
	if a := current.Load(); a != nil {
		a.counts()
	}
}

func (a *armed) counts() {
	if !a.report {
		return
	}
	var lines []byte
	for _, n := range Names() {
		lines = fmt.Appendf(lines, "hit %s %d\n", n, hits[n].Load())
	}
	_, _ = a.log.Write(lines) // there is nobody to tell
}

// At is a step of the product that can be disturbed, but not fail.
func At(name Name) { _ = reach(name, nil) }

// Err is a step that can be disturbed, and can fail with an error like as. The
// error that it returns wraps as.
func Err(name Name, as error) error { return reach(name, as) }

// reach does what the rules of a name want. It may not return.
func reach(name Name, as error) error {
	n := hits[name].Add(1)
	a := current.Load()
	if a == nil {
		return nil
	}
	var err error
	for _, r := range a.rules[name] {
		after := time.Since(a.began)
		if !r.fires(after) {
			continue
		}
		// Before it happens: afterwards there may be no process.
		_, _ = fmt.Fprintf(a.log, "fired %s %s %d pid %d after %s\n", name, r.text(), n, os.Getpid(), after.Round(time.Millisecond))
		if r.action == fail {
			err = errors.Join(err, fmt.Errorf("failpoint %s: %w", name, as))
			continue
		}
		r.disturb()
	}
	return err
}
