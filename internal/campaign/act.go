package campaign

import (
	"fmt"
	"maps"
	"syscall"
	"time"

	"tailwater/internal/campaign/fault"
	"tailwater/internal/status"
)

// step is what happens once in a campaign, behind so many kills.
type step struct {
	after int
	act   func() string
}

// steps are those, in their order.
func (c *campaign) steps() []step {
	kills := c.o.Kills
	out := []step{{kills / 3, c.killInside}, {kills / 2, c.outgrow}}
	if c.spare != nil {
		out = append([]step{{kills / 4, c.freeze}}, out...)
	}
	if c.s.redis != nil {
		out = append(out, step{2 * kills / 3, c.flush})
	}
	return out
}

// cycle is one kill with what is around it, and the recovery.
func (c *campaign) cycle(i int) {
	began := time.Now()
	what := c.act()
	back := time.Now()
	c.recovered(what)
	took := time.Since(began)
	c.report.cycle(what, took, time.Since(back))
	c.tb.Logf("cycle %d, %.1f s: %s", i, took.Seconds(), what)
}

// act does what is due, and returns what it was.
func (c *campaign) act() string {
	if n := len(c.once); n > 0 && c.counted() >= c.once[0].after {
		first := c.once[0]
		c.once = c.once[1:]
		return first.act()
	}
	link := ""
	if c.rng.IntN(2) == 0 {
		link = c.spoil()
	}
	switch pick := c.rng.IntN(100); {
	case pick < 12:
		return c.killServer() + link
	case pick < 18 && c.spare != nil:
		return c.takeOver() + link
	case pick < 24 && c.spare != nil:
		return c.handOver() + link
	}
	return c.killProcess(c.members[c.rng.IntN(len(c.members))]) + link
}

// spoil makes a link bad for a while. It is healed as time goes by.
func (c *campaign) spoil() string {
	name := c.s.names[c.rng.IntN(len(c.s.names))]
	kind := fault.Kinds[c.rng.IntN(len(fault.Kinds))]
	every, last := 1+c.rng.IntN(2), time.Duration(200+c.rng.IntN(1800))*time.Millisecond
	c.s.links[name].Set(kind, every)
	c.heal[name] = time.Now().Add(last)
	c.disturbed = time.Now()
	c.report.fault(string(kind))
	return fmt.Sprintf(", link to %s: %s for %v", name, kind, last)
}

// killProcess kills a process, at the step that it is armed with if it comes
// there soon.
func (c *campaign) killProcess(m *member) string {
	l := m.life
	what := m.name
	if l.armed != "" {
		what += " at " + string(l.armed)
		if atEnd(l.armed) {
			// A process that has hardly begun does not hear a signal as it should.
			c.soon(func() bool { _, err := l.runFile(); return err == nil || m.life != l })
			l.tell()
		}
		c.soon(func() bool { return m.life != l }) // it has been started again
		if m.life != l {
			return what
		}
	} else {
		c.pause(time.Duration(c.rng.IntN(700)) * time.Millisecond)
		if m.life != l {
			return what
		}
	}
	c.kill(m)
	c.start(m, 9)
	return what
}

// soon waits up to three seconds.
func (c *campaign) soon(done func() bool) {
	until := time.Now().Add(3 * time.Second)
	c.wait(time.Minute, "a step", func() error {
		if done() || time.Now().After(until) {
			return nil
		}
		return fmt.Errorf("not yet")
	})
}

// kill ends a process by kill -9.
func (c *campaign) kill(m *member) {
	before := committed(c.work)
	m.life.kill()
	point := ""
	if m.life.fired() {
		point = string(m.life.armed)
		c.arms.hit(m.life.armed)
	}
	c.record(m.name, point, m.life.ended, before)
}

// killServer kills a server and starts it again.
func (c *campaign) killServer() string {
	names, servers := c.s.servers()
	name := names[c.rng.IntN(len(names))]
	c.disturbed = time.Now()
	before := committed(c.work)
	servers[name].Kill(c.tb)
	k := c.record(name, "", time.Now(), before)
	c.pause(time.Duration(c.rng.IntN(500)) * time.Millisecond)
	servers[name].Restart(c.tb)
	c.disturbed = time.Now()
	if c.sinksLack(name, sum(before)) { // Redis could not be asked before
		c.watch.hit(k)
	}
	return name
}

// flush empties Redis: the windows are made again from the stream.
func (c *campaign) flush() string {
	if err := flushRedis(c.tb.Context(), c.s.redis.Addr); err != nil {
		c.tb.Fatal(err)
	}
	c.report.fault("redis emptied")
	return "redis emptied, and then " + c.killProcess(c.members[len(c.members)-1])
}

// streams waits until a member follows every shard.
func (c *campaign) streams(m *member) {
	c.wait(recoveryLimit, m.name+" to follow all shards", func() error {
		s, err := m.life.status()
		if err != nil {
			return err
		}
		for i := range s.Shards {
			if sh := &s.Shards[i]; sh.State != status.Streaming || !sh.Connected {
				return fmt.Errorf("shard %s is %s: %s", sh.Shard, sh.State, sh.Error)
			}
		}
		return nil
	})
}

// change kills the reader, if it has not come to its step and ended, and makes
// the spare the reader.
func (c *campaign) change() {
	if c.reader.life != nil {
		c.kill(c.reader)
	}
	c.reader, c.spare = c.spare, c.reader
	c.spare.life, c.spare.retired = nil, false
	c.members[0] = c.reader
}

// takeOver starts a second reader beside the first and kills that, whose shards
// go to the second.
func (c *campaign) takeOver() string {
	c.streams(c.reader)
	c.reader.retired = true
	c.start(c.spare, 0)
	l := c.spare.life
	c.soon(func() bool { _, err := l.runFile(); return err == nil })
	c.change()
	killed := time.Now()
	c.streams(c.reader)
	c.report.takeover(time.Since(killed))
	return "take-over of the shards"
}

// freeze stops the reader until another has taken its shards, and lets it go on:
// what it still writes must not count.
func (c *campaign) freeze() string {
	c.streams(c.reader) // one that has not yet claimed its shards would do so when it goes on
	old := c.reader
	old.retired = true
	old.life.signal(syscall.SIGSTOP)
	stopped := time.Now()
	c.report.fault("reader stopped and continued")
	c.start(c.spare, 0)
	c.streams(c.spare)
	c.report.takeover(time.Since(stopped))
	old.life.signal(syscall.SIGCONT)
	c.pause(1500 * time.Millisecond)
	c.change()
	return fmt.Sprintf("a reader that was stopped for %.0f s, replaced, and continued", time.Since(stopped).Seconds())
}

// handOver ends a windows' or a lake's process in order, so that its partitions
// go to the other one. It is started again when it has ended.
func (c *campaign) handOver() string {
	m := c.members[1+c.rng.IntN(len(c.members)-1)]
	l := m.life
	c.soon(func() bool { _, err := l.runFile(); return err == nil || m.life != l })
	l.tell()
	c.report.fault("partitions handed over")
	c.wait(recoveryLimit, m.name+" to end after SIGTERM", func() error {
		if m.life == l {
			return fmt.Errorf("it still runs; %s", l.log)
		}
		return nil
	})
	return "partitions of " + m.name + " handed over"
}

// killInside has the largest transaction written, and kills the reader while it
// is likely inside.
func (c *campaign) killInside() string {
	lanes := c.work.Lanes()
	lane := lanes[c.rng.IntN(len(lanes))]
	before := lane.Committed.Load()
	lane.InsertRows(c.o.MaxRows)
	c.wait(recoveryLimit, "the commit of a large transaction", func() error {
		if lane.Committed.Load() == before {
			return fmt.Errorf("shard %s is at number %d", lane.Shard, before)
		}
		return nil
	})
	c.kill(c.reader)
	c.start(c.reader, 0)
	c.pause(2 * time.Second)
	c.kill(c.reader)
	c.start(c.reader, 0)
	return fmt.Sprintf("the reader inside a transaction of %d rows, twice", c.o.MaxRows)
}

// outgrow has a row written that is larger than stream.max_record: its shard
// must stop and say so, and go on from there once the bound is raised.
func (c *campaign) outgrow() string {
	lanes := c.work.Lanes()
	lane := lanes[len(lanes)-1]
	lane.InsertText(c.s.maxRecord + c.s.maxRecord/8)
	c.report.fault("row above stream.max_record")
	c.wait(recoveryLimit, "shard "+lane.Shard+" to stop at a row above stream.max_record", func() error {
		s, err := c.reader.life.status()
		if err != nil {
			return err
		}
		for i := range s.Shards {
			if sh := &s.Shards[i]; sh.Shard == lane.Shard && sh.State == status.Stopped {
				c.report.StoppedBy = sh.Error
				return nil
			}
		}
		return fmt.Errorf("it is not stopped")
	})
	c.s.maxRecord *= 4
	for _, m := range c.members {
		c.kill(m)
		c.start(m, 0)
	}
	return "stream.max_record was raised"
}

// healAll heals every link.
func (c *campaign) healAll() {
	for name := range maps.Clone(c.heal) {
		c.heal[name] = time.Now()
	}
	c.tick()
}
