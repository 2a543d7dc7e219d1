package campaign

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/campaign/check"
	"tailwater/internal/testenv"
)

// flushRedis removes everything.
func flushRedis(ctx context.Context, addr string) error {
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	if err := c.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	return nil
}

// rest ends the faults, measures how soon the lag is back, ends the workload,
// and checks everything.
func (c *campaign) rest(stopWriting func()) {
	c.healAll()
	if c.report.Failed() {
		stopWriting()
		return
	}
	for _, m := range c.alive() {
		// One that is armed might die while it is looked at.
		if m.life.armed != "" {
			c.kill(m)
			c.start(m, 0)
		}
	}
	last := time.Now()
	c.lagBack(last)
	stopWriting()
	c.recovered("the end of the workload")
	total := sum(committed(c.work))
	c.wait(recoveryLimit, "the sinks to have everything", func() error { return c.sinksHave(total) })
	if c.report.Failed() {
		return
	}
	c.verify()
}

// lagBack measures how soon after the last fault stream, Redis and lake have
// what was committed ten seconds before, with the workload going on.
func (c *campaign) lagBack(last time.Time) {
	const lag = 10 * time.Second
	want := committed(c.work)
	type sample struct {
		at   time.Time
		want map[laneID]int64
	}
	samples := []sample{{last, want}}
	c.wait(2*time.Minute, "a lag below 10 s", func() error {
		if time.Since(samples[len(samples)-1].at) > time.Second {
			samples = append(samples, sample{time.Now(), committed(c.work)})
		}
		for len(samples) > 1 && time.Since(samples[1].at) > lag {
			samples = samples[1:]
		}
		if n := c.watch.lacks(samples[0].want); n > 0 {
			return fmt.Errorf("the stream lacks %d transactions of %v ago", n, time.Since(samples[0].at))
		}
		return c.sinksHave(sum(samples[0].want))
	})
	c.report.LagBack = rounded(time.Since(last))
	if c.report.LagBack > 60 {
		c.report.violate("recovery", "the lag was below %v only %.0f s after the last fault, want 60", lag, c.report.LagBack)
	}
}

// redisURL is where the windows are read.
func (c *campaign) redisURL() (string, error) {
	if c.s.redis != nil {
		return "redis://" + c.s.redis.Addr, nil
	}
	r, err := c.reader.life.runFile()
	if err != nil {
		return "", err
	}
	return r.Redis, nil
}

// sinksHave returns nil once Redis and the lake have so many transactions.
func (c *campaign) sinksHave(want int64) error {
	rows, err := c.done.Rows()
	if err != nil {
		return err
	}
	if rows < want {
		return fmt.Errorf("the lake has %d transactions of %d", rows, want)
	}
	url, err := c.redisURL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.tb.Context(), 10*time.Second)
	defer cancel()
	stored, err := check.ReadWindows(ctx, url, check.Metrics...)
	if err != nil {
		return err
	}
	for _, m := range check.Metrics {
		if n := stored.Total(m.Name); !m.Sum && n < want {
			return fmt.Errorf("metric %s has %d transactions of %d", m.Name, n, want)
		}
	}
	return nil
}

// verify reads all of it and compares.
func (c *campaign) verify() {
	ctx, cancel := context.WithTimeout(c.tb.Context(), 10*time.Minute)
	defer cancel()
	if err := c.compare(ctx); err != nil {
		c.report.violate("check", "%v", err)
	}
}

func (c *campaign) compare(ctx context.Context) error {
	var truth check.Truth
	for _, s := range c.s.targets() {
		if err := truth.ReadServer(ctx, s.Name, s.DSN, c.o.Lanes); err != nil {
			return err
		}
	}
	events, found, err := c.watch.log.Read(ctx)
	if err != nil {
		return err
	}
	c.report.found("record", found)
	c.report.found("transactions", check.Transactions(&truth, events))
	c.report.found("fold", check.Fold(&truth, events))
	url, err := c.redisURL()
	if err != nil {
		return err
	}
	stored, err := check.ReadWindows(ctx, url, check.Metrics...)
	if err != nil {
		return err
	}
	c.report.found("windows", check.Windows(&truth, events, stored, windowSeconds))
	c.report.Rows, c.report.Transactions = int64(len(events)), int64(len(truth.Entries))
	c.lakeHas(events)
	c.drain()
	lake, err := check.ReadLake(ctx, filepath.Join(testenv.Root(c.tb), "deploy", "dev", "duckdb"), c.s.lakeDir)
	if err != nil {
		return err
	}
	c.report.found("lake", check.Lake(events, lake))
	return nil
}

// lakeHas waits until the lake has committed as many rows of each view as the
// stream has: a process of the role lake alone does not wait for that when it
// is told to end.
func (c *campaign) lakeHas(events []check.Event) {
	want := map[string]int64{}
	for i := range events {
		want[events[i].Table]++
	}
	for view, n := range want {
		done := check.Done{Dir: c.s.lakeDir, View: view}
		c.wait(recoveryLimit, "the lake to have every row of view "+view, func() error {
			rows, err := done.Rows()
			if err == nil && rows < n {
				err = fmt.Errorf("it has %d of %d", rows, n)
			}
			return err
		})
	}
}

// drain ends every process by SIGTERM. The readers' come first, for the sinks
// take what they leave.
func (c *campaign) drain() {
	for _, m := range c.members {
		m.life.signal(syscall.SIGTERM)
		select {
		case <-m.life.done:
		case <-time.After(recoveryLimit):
			c.report.violate("process", "%s has not ended %v after SIGTERM\n%s", m.name, recoveryLimit, m.life.tail())
			return
		}
		if code := m.life.cmd.ProcessState.ExitCode(); code != 0 {
			c.report.violate("process", "%s drained with exit code %d, want 0\n%s", m.name, code, m.life.tail())
		}
	}
}
