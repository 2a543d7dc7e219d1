//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The actions.
const (
	kill  = "kill"
	stop  = "stop"
	delay = "delay"
	fail  = "error"
)

// rule says what happens at a name, and when.
type rule struct {
	action string
	// wait is how long a delay takes.
	wait time.Duration
	// first is the first time at which it happens, count how often in a row; or
	// with a probability above 0 how often at most, 0 being no bound.
	first, count int64
	probability  float64
	// from is how long after the start times begin to count.
	from time.Duration

	mu          sync.Mutex
	seen, fired int64
	random      *rand.Rand
}

// text is the action as a rule has it.
func (r *rule) text() string {
	if r.action == delay {
		return delay + ":" + r.wait.String()
	}
	return r.action
}

// fires counts one time, and reports whether something happens at it.
func (r *rule) fires(after time.Duration) bool {
	if after < r.from {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen++
	if r.probability == 0 {
		return r.seen >= r.first && r.seen < r.first+r.count
	}
	if r.count > 0 && r.fired >= r.count || r.random.Float64() >= r.probability {
		return false
	}
	r.fired++
	return true
}

// disturb kills, stops or holds up. Signals go to the process itself; the kernel
// sends them before the call returns, but maybe not to this thread.
func (r *rule) disturb() {
	switch r.action {
	case kill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case stop:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case delay:
		time.Sleep(r.wait)
	}
}

// parse reads rules. Every rule draws from a source of its own, so that what it
// draws does not depend on the others.
func parse(text string, seed uint64) (map[Name][]*rule, error) {
	rules := make(map[Name][]*rule)
	var errs []error
	for i, one := range strings.Split(text, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		name, r, err := parseRule(one)
		if err != nil {
			errs = append(errs, fmt.Errorf("rule %q: %w", one, err))
			continue
		}
		r.random = rand.New(rand.NewPCG(seed, uint64(i)))
		rules[name] = append(rules[name], r)
	}
	return rules, errors.Join(errs...)
}

func parseRule(text string) (Name, *rule, error) {
	left, right, ok := strings.Cut(text, "=")
	name := Name(strings.TrimSpace(left))
	if !ok {
		return "", nil, errors.New("want name=action, such as publish.sent=kill@3")
	}
	if !slices.Contains(Names(), name) {
		return "", nil, fmt.Errorf("no step is named %q; the names are %s", name, join(Names()))
	}
	r := &rule{first: 1, count: 1}
	right, from, later := strings.Cut(strings.TrimSpace(right), "+")
	if later {
		var err error
		if r.from, err = parseDuration(from); err != nil {
			return "", nil, fmt.Errorf("behind the plus sign: %w", err)
		}
	}
	action, when, given := strings.Cut(right, "@")
	if err := r.parseAction(action); err != nil {
		return "", nil, err
	}
	if r.action == fail && !slices.Contains(Failing(), name) {
		return "", nil, fmt.Errorf("the step cannot fail; those that can are %s", join(Failing()))
	}
	if given {
		if err := r.parseWhen(when); err != nil {
			return "", nil, err
		}
	}
	return name, r, nil
}

func (r *rule) parseAction(text string) error {
	action, argument, has := strings.Cut(text, ":")
	r.action = action
	switch action {
	case kill, stop, fail:
		if has {
			return fmt.Errorf("the action %s takes nothing behind a colon", action)
		}
		return nil
	case delay:
		var err error
		if r.wait, err = parseDuration(argument); err != nil {
			return fmt.Errorf("delay: %w", err)
		}
		return nil
	}
	return fmt.Errorf("no action is named %q; they are kill, stop, error and delay:<duration>", action)
}

func (r *rule) parseWhen(text string) error {
	at, count, many := strings.Cut(text, "x")
	number, random := strings.CutPrefix(at, "p")
	var err error
	if random {
		r.count = 0
		if r.probability, err = strconv.ParseFloat(number, 64); err != nil || !(r.probability > 0 && r.probability <= 1) {
			return fmt.Errorf("probability %q: want a number above 0 and up to 1", number)
		}
	} else if r.first, err = strconv.ParseInt(number, 10, 64); err != nil || r.first < 1 {
		return fmt.Errorf("time %q: want a number from 1 on, or p and a probability", at)
	}
	if many {
		if r.count, err = strconv.ParseInt(count, 10, 64); err != nil || r.count < 1 {
			return fmt.Errorf("count %q: want a number from 1 on", count)
		}
	}
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("duration %q: want one such as 200ms", text)
	}
	return d, nil
}

func join(names []Name) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(n))
	}
	return b.String()
}
