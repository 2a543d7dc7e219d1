// Package campaign runs a whole pipeline on real servers under a workload that
// tells what it is (package work), kills its processes and its servers, spoils
// the links between them (package fault), moves shards and partitions from
// process to process, and then holds what was delivered against what was
// committed, from outside (package check).
//
// The choices are functions of the seed: which process or server dies, at which
// named step of the product (package failpoint), which link is spoilt, how and
// for how long. When a choice meets the pipeline is the machine's.
//
// A kill counts only when it fell into work: a transaction that the server had
// acknowledged before the kill was published after it, or was missing in Redis
// or in the lake right behind it. A campaign that has injected no fault or has
// looked at no row is a failure, as is every violation. It ends by itself.
//
// Program campaign/run is the command line; the package's test runs small
// campaigns, and a program is given the servers of package testenv by a Host.
package campaign

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tailwater/internal/campaign/check"
	"tailwater/internal/campaign/work"
	"tailwater/internal/failpoint"
)

// The bounds of what a campaign waits for.
const (
	recoveryLimit = 3 * time.Minute
	// slow is from where on a cycle of kill, recovery and check is named.
	slow = 8 * time.Second
)

// campaign is one run.
type campaign struct {
	tb    testing.TB
	o     *Options
	s     *stack
	work  *work.Work
	watch *watch
	rng   *rand.Rand
	arms  *arms
	done  check.Done

	// reader is the process with the shards, spare the place of the one that
	// takes over, nil where one process has all roles. members are all.
	reader, spare *member
	members       []*member
	// before is what was committed when everybody was last seen alive.
	before map[laneID]int64
	// heal says when links are to be healed, disturbed when a server or a link
	// was last bad.
	heal      map[string]time.Time
	disturbed time.Time
	kills     []*kill
	deadline  time.Time
	// once are the steps that are to come.
	once   []step
	report *Report
}

// Run runs a campaign and returns what it came to. Violations are in the
// report; what keeps the campaign from running fails tb.
func Run(tb testing.TB, o Options) *Report {
	tb.Helper()
	began := time.Now()
	c := &campaign{
		tb: tb, o: &o, rng: rand.New(rand.NewPCG(o.Seed, 7)), heal: map[string]time.Time{},
		report: newReport(&o), deadline: began.Add(o.Limit),
	}
	c.s = newStack(tb, &o)
	c.done = check.Done{Dir: c.s.lakeDir, View: check.Ledger}
	c.work = work.New(work.Options{Seed: o.Seed, Lanes: o.Lanes, Pause: o.Pause, Idle: o.Idle, MaxRows: o.MaxRows, MaxBody: o.MaxBody}, c.s.targets())
	if err := c.work.Prepare(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	c.watch = newWatch("camp", o.has(Embedded))
	c.before = committed(c.work)
	c.arms = newArms(c.rng, &o)
	// The workload and the watch end before the servers do, also when this
	// goroutine is ended by a failure.
	writing, stopWriting := context.WithCancel(context.Background())
	ends, giveUp := context.WithCancel(context.Background())
	var all sync.WaitGroup
	tb.Cleanup(func() { stopWriting(); giveUp(); all.Wait() })
	all.Go(func() { c.report.failure(c.watch.run(ends)) })
	wrote := make(chan struct{})
	all.Go(func() { c.report.failure(c.work.Run(writing, ends)); close(wrote) })
	c.begin()
	c.once = c.steps()
	for i := 0; (c.counted() < o.Kills || len(c.once) > 0) && len(c.kills) < 2*o.Kills+20 && !c.over(); i++ {
		c.cycle(i)
	}
	c.rest(func() { stopWriting(); <-wrote })
	giveUp()
	c.summarize(began)
	return c.report
}

// over reports whether there is no use in going on.
func (c *campaign) over() bool {
	return time.Now().After(c.deadline) || c.report.Failed() || c.tb.Context().Err() != nil
}

// begin starts the first processes and waits until they work.
func (c *campaign) begin() {
	roles := []string{"reader", "windows", "lake", "windows", "lake"}
	if c.s.kafka == nil {
		roles = []string{""}
	}
	for i, role := range roles {
		name := fmt.Sprintf("%s-%d", role, i)
		if role == "" {
			name = "tailwater"
		}
		c.members = append(c.members, newMember(c.tb, c.s.dir, name, role))
	}
	c.reader = c.members[0]
	if c.s.kafka != nil {
		c.spare = newMember(c.tb, c.s.dir, "reader-9", "reader")
		c.watch.reach(c.s.kafka.Addr)
	}
	for _, m := range c.members {
		c.start(m, 0)
	}
	c.recovered("the start")
	for _, m := range c.members { // the first kills hit what is open and idle
		if m != c.reader || c.rng.IntN(2) == 0 {
			c.kill(m)
			c.start(m, 9)
		}
	}
}

// start starts a member's next process, armed with a chance of tenths in ten.
func (c *campaign) start(m *member, tenths int) {
	var name failpoint.Name
	rule := ""
	if c.rng.IntN(10) < tenths {
		name, rule = c.arms.next(m.role)
	}
	m.start(c.tb, c.o.Program, c.s.config(), name, rule)
}

// record notes a kill at a moment with what was committed before it.
func (c *campaign) record(what, point string, at time.Time, before map[laneID]int64) *kill {
	k := &kill{what: what, point: point, at: at, committed: before}
	c.kills = append(c.kills, k)
	c.watch.follow(k)
	if c.sinksLack(what, sum(before)) {
		c.watch.hit(k)
	}
	return k
}

// sinksLack reports whether right after a kill the sinks have not all that was
// committed before it. What somebody else has taken since counts as if it had
// been there, so this errs to the safe side.
func (c *campaign) sinksLack(what string, committed int64) bool {
	lake := slices.Contains([]string{"lake-2", "lake-4", "s3", "tailwater"}, what)
	if rows, err := c.done.Rows(); lake && err == nil && rows < committed {
		return true
	}
	if c.s.redis == nil || !slices.Contains([]string{"windows-1", "windows-3", "redis", "tailwater"}, what) {
		return false
	}
	ctx, cancel := context.WithTimeout(c.tb.Context(), 2*time.Second)
	defer cancel()
	stored, err := check.ReadWindows(ctx, "redis://"+c.s.redis.Addr, check.Metrics[0])
	return err == nil && stored.Total(check.Metrics[0].Name) < committed
}

// counted is the number of kills that fell into work.
func (c *campaign) counted() (n int) {
	for _, k := range c.kills {
		if c.watch.counts(k) {
			n++
		}
	}
	return n
}

// tick heals what is due, and sees who has ended and starts them again.
func (c *campaign) tick() {
	for name, at := range c.heal {
		if time.Now().After(at) {
			c.s.links[name].Heal()
			delete(c.heal, name)
			c.disturbed = time.Now()
		}
	}
	for _, m := range c.alive() {
		if m.life.gone() {
			c.ended(m)
		} else if r, err := m.life.runFile(); err == nil && m.role == "" {
			c.watch.reach(r.Stream)
		}
	}
	c.before = committed(c.work)
}

// alive are the members that have a process.
func (c *campaign) alive() []*member {
	out := slices.Clone(c.members)
	if c.spare != nil {
		out = append(out, c.spare)
	}
	return slices.DeleteFunc(out, func(m *member) bool { return m.life == nil })
}

// ended is called for a process that has ended without being killed from here.
func (c *campaign) ended(m *member) {
	l := m.life
	code, quiet := l.cmd.ProcessState.ExitCode(), time.Since(c.disturbed) > 15*time.Second && len(c.heal) == 0
	arm := 5
	switch {
	case l.fired():
		c.record(m.name, string(l.armed), l.ended, c.before)
		c.arms.hit(l.armed)
	case code < 0, code != 0 && quiet, !l.told && quiet:
		c.report.violate("process", "%s ended by itself: %v\n%s", m.name, l.cmd.ProcessState, l.tail())
	case !l.told:
		// A start that meets a server which is gone may give up; who supervises
		// the process starts it again.
		c.report.EndedByThemselves++
		arm = 0
	}
	if m.retired {
		m.life = nil
		return
	}
	c.start(m, arm)
}

// wait calls done every 20 ms until it returns nil, and reports whether it did.
func (c *campaign) wait(limit time.Duration, what string, done func() error) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(limit); ; {
		c.tick()
		err := done()
		if err == nil {
			return true
		}
		if time.Now().After(over) || c.tb.Context().Err() != nil {
			c.report.violate("recovery", "%s: not after %v: %v; see %s", what, limit, err, c.logs())
			return false
		}
		<-tick.C
	}
}

// pause lets things be for a while.
func (c *campaign) pause(d time.Duration) {
	until := time.Now().Add(d)
	c.wait(d+time.Minute, "a pause", func() error {
		if time.Now().Before(until) {
			return fmt.Errorf("until %v", until)
		}
		return nil
	})
}

// recovered waits until the stream has all that is committed now.
func (c *campaign) recovered(after string) {
	want := committed(c.work)
	c.wait(recoveryLimit, "recovery after "+after, func() error {
		if n := c.watch.lacks(want); n > 0 {
			return fmt.Errorf("the stream lacks %d transactions; %s", n, c.states())
		}
		return nil
	})
}

// states says how the reader's shards are.
func (c *campaign) states() string {
	if time.Since(c.reader.life.started) < 20*time.Second {
		return "the reader has just begun"
	}
	s, err := c.reader.life.status()
	if err != nil {
		return err.Error()
	}
	text := ""
	for i := range s.Shards {
		text += fmt.Sprintf("shard %s is %s %s; ", s.Shards[i].Shard, s.Shards[i].State, s.Shards[i].Error)
	}
	return text
}

// logs is where the members' logs are.
func (c *campaign) logs() string { return filepath.Join(c.s.dir, "*", "run-*.log") }
