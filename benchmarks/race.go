package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// fullRounds pairs make a ratio unless a flag says otherwise; quickRounds
	// only show that it runs.
	fullRounds, quickRounds = 16, 1
	// tolerance is how far the interval of a ratio of an arm to itself may be
	// from 1.
	tolerance = 0.03
	// attempts is how often a group is measured before the machine is called
	// too noisy.
	attempts = 3
)

// noisyError says that no run was quiet enough.
type noisyError struct{ what string }

// Error says what was measured and the way out.
func (e *noisyError) Error() string {
	return fmt.Sprintf("%s: machine too noisy: in %d runs in a row an arm differs from itself by more than %.0f %%; stop what else runs here and try again",
		e.what, attempts, tolerance*100)
}

// run measures every group over every fixture.
func (b *bench) run(ctx context.Context, s *settings) error {
	if _, err := b.only(s.group); err != nil {
		return err
	}
	letters := b.fixtures
	if s.fixture != "" {
		letters = s.fixture
	}
	for _, f := range letters {
		if !strings.ContainsRune(b.fixtures+b.onRequest, f) {
			return fmt.Errorf("-fixture %s: %s has the fixtures %s, and not %c", letters, b.name, b.fixtures+b.onRequest, f)
		}
	}
	all, err := recordings(ctx, s, letters, b.rows)
	if err != nil {
		return err
	}
	var noisy error
	for _, r := range all {
		err := b.over(ctx, s, r)
		var n *noisyError
		if errors.As(err, &n) {
			// The other fixtures may fare better; the exit code tells all the same.
			fmt.Fprintln(s.log, "benchmarks:", err)
			noisy = err
		} else if err != nil {
			return err
		}
	}
	return noisy
}

// over measures every group over one fixture.
func (b *bench) over(ctx context.Context, s *settings, r *recording) error {
	served := new(service)
	if b.serve != nil {
		var err error
		if served, err = b.serve(r); err != nil {
			return err
		}
		defer served.close()
	}
	groups, err := b.only(s.group)
	if err != nil {
		return err
	}
	var noisy error
	for _, g := range groups {
		c := &contest{bench: b, group: g, settings: s, recording: r}
		c.job = job{Path: r.path, Addr: served.addr, Parts: served.parts, Rows: r.changes, Count: r.changes, Transactions: r.transactions, Fresh: b.fresh, MinLap: b.minLap}
		if g.transactions {
			c.job.Count = r.transactions
		}
		if s.quick {
			c.job.MinLap = 0
		}
		err := c.run(ctx)
		var n *noisyError
		if errors.As(err, &n) {
			noisy = err
		} else if err != nil {
			return err
		}
	}
	return noisy
}

// only returns the group of that name, all for none.
func (b *bench) only(name string) ([]*group, error) {
	all := b.groups()
	if name == "" {
		return all, nil
	}
	var names []string
	for _, g := range all {
		if g.name == name {
			return []*group{g}, nil
		}
		names = append(names, g.name)
	}
	return nil, fmt.Errorf("-group %s: %s has the groups %s", name, b.name, strings.Join(names, ", "))
}

// contest is one group over one fixture.
type contest struct {
	bench     *bench
	group     *group
	settings  *settings
	recording *recording
	job       job
}

func (c *contest) name() string {
	return c.bench.name + " " + c.group.name + ", fixture " + c.recording.name
}

// run checks that the outputs agree and then measures until a run counts.
func (c *contest) run(ctx context.Context) error {
	if c.settings.profile != "" {
		return c.profile(ctx)
	}
	digests, err := c.compare(ctx)
	if err != nil {
		return err
	}
	for range attempts {
		laps, err := c.measure(ctx)
		if err != nil {
			return err
		}
		aa := ratioOf(laps[1], laps[0])
		off := max(math.Abs(aa.low-1), math.Abs(aa.high-1))
		if off > tolerance && !c.settings.quick {
			fmt.Fprintf(c.settings.log, "%s: void, an arm differs from itself by up to %.1f %%\n", c.name(), off*100)
			for i, a := range c.group.arms[1:] {
				r := ratioOf(laps[1], laps[i+2])
				fmt.Fprintf(c.settings.log, "%s: void: %.2f times %s [%.2f, %.2f]\n", c.name(), r.median, a.name, r.low, r.high)
			}
			// A neighbour takes time from an arm, and no memory.
			for i, a := range c.group.arms {
				fmt.Fprintf(c.settings.log, "%s: void, but for the memory of %s: %.1f MB\n", c.name(), a.name, peak(laps[i+1]))
			}
			continue
		}
		c.report(laps, digests, off)
		return nil
	}
	return &noisyError{c.name()}
}

// compare runs every arm once and holds the outputs against each other.
func (c *contest) compare(ctx context.Context) ([]string, error) {
	var digests []string
	for _, a := range c.group.arms {
		p, err := c.start(ctx, a)
		if err != nil {
			return nil, err
		}
		j := c.job
		j.Check = true
		l, err := p.lap(&j)
		if err = errors.Join(err, p.close()); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
		digests = append(digests, l.Output)
		if l.Output != digests[0] && !a.ceiling {
			return nil, fmt.Errorf("%s: %s makes %s, %s makes %s (rows/bytes/hash): they do not do the same work, so no ratio counts",
				c.name(), c.group.arms[0].name, digests[0], a.name, l.Output)
		}
	}
	return digests, nil
}

// profile runs one lap of each arm with a CPU profile, and measures nothing:
// a profile is a load of its own.
func (c *contest) profile(ctx context.Context) error {
	if err := os.MkdirAll(c.settings.profile, 0o755); err != nil {
		return err
	}
	for _, a := range c.group.arms {
		p, err := c.start(ctx, a)
		if err != nil {
			return err
		}
		j := c.job
		if !j.Fresh {
			// What an arm prepares once is no part of its work.
			if _, err := p.lap(&j); err != nil {
				return errors.Join(fmt.Errorf("%s: %w", c.name(), err), p.close())
			}
		}
		j.MinLap = max(j.MinLap, 2*time.Second)
		name := fmt.Sprintf("%s-%s-%s-%s.pprof", c.bench.name, c.recording.name, c.group.name, a.name)
		if j.Profile, err = filepath.Abs(filepath.Join(c.settings.profile, name)); err != nil {
			return err
		}
		_, err = p.lap(&j)
		if err = errors.Join(err, p.close()); err != nil {
			return fmt.Errorf("%s: %w", c.name(), err)
		}
		fmt.Fprintln(c.settings.log, j.Profile)
	}
	return nil
}

// measure runs the rounds. laps[0] are those of the first arm as its own rival,
// laps[1] of the first arm, and so on: neighbours in the order of the laps.
func (c *contest) measure(ctx context.Context) (laps [][]*lap, err error) {
	lanes := append([]*arm{c.group.arms[0]}, c.group.arms...)
	laps = make([][]*lap, len(lanes))
	processes := make([]*process, len(lanes))
	defer func() {
		for _, p := range processes {
			if p != nil {
				err = errors.Join(err, p.close())
			}
		}
	}()
	// The first round of a measurement only warms up.
	from, rounds := 0, c.settings.rounds
	if c.settings.quick {
		from, rounds = 1, quickRounds
	}
	for round := from; round <= rounds; round++ {
		for i := range lanes {
			if round%2 == 1 {
				i = len(lanes) - 1 - i
			}
			if processes[i] == nil {
				if processes[i], err = c.start(ctx, lanes[i]); err != nil {
					return nil, err
				}
			}
			l, err := processes[i].lap(&c.job)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name(), err)
			}
			if c.bench.fresh {
				p := processes[i]
				processes[i] = nil
				if err := p.close(); err != nil {
					return nil, err
				}
			}
			if round > 0 {
				laps[i] = append(laps[i], l)
			}
		}
		fmt.Fprintf(c.settings.log, "%s: round %d of %d\n", c.name(), round, rounds)
	}
	return laps, nil
}

// process is a process that runs an arm.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	tmp string
}

// start starts the program again, as an arm.
func (c *contest) start(ctx context.Context, a *arm) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "tw-bench-arm-")
	if err != nil {
		return nil, err
	}
	p := &process{tmp: tmp}
	p.cmd = exec.CommandContext(ctx, self, armCommand, c.bench.name, c.group.name+"/"+a.name)
	p.cmd.Env = append(os.Environ(), selfVariable+"=1", "TMPDIR="+tmp)
	if c.bench.procs > 0 {
		p.cmd.Env = append(p.cmd.Env, "GOMAXPROCS="+strconv.Itoa(c.bench.procs))
	}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// selfVariable tells a test binary that it runs as the program.
const selfVariable = "TAILWATER_BENCHMARKS_ARM"

// lap asks for one lap.
func (p *process) lap(j *job) (*lap, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return nil, fmt.Errorf("ask %s for a lap: %w", p.cmd.Args[3], err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("read the lap of %s: %w", p.cmd.Args[3], err)
	}
	l := new(lap)
	if err := json.Unmarshal(line, l); err != nil {
		return nil, fmt.Errorf("read the lap of %s: %w", p.cmd.Args[3], err)
	}
	if l.Error != "" {
		return nil, errors.New(l.Error)
	}
	return l, nil
}

// close ends the process, whose input is over, and removes what it left.
func (p *process) close() error {
	_ = p.in.Close()
	return errors.Join(p.cmd.Wait(), os.RemoveAll(p.tmp))
}

// interval is a median with its bootstrap interval of 95 %.
type interval struct{ median, low, high float64 }

// ratioOf compares the rates of laps pair by pair.
func ratioOf(a, b []*lap) interval {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i].rate() / b[i].rate()
	}
	return bootstrap(ratios)
}

// bootstrap draws medians of samples with replacement, from a fixed seed.
func bootstrap(values []float64) interval {
	if len(values) == 0 {
		return interval{math.NaN(), math.NaN(), math.NaN()}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, 2000)
	sample := make([]float64, len(values))
	for i := range medians {
		for k := range sample {
			sample[k] = values[rng.IntN(len(values))]
		}
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	return interval{median(values), medians[len(medians)*25/1000], medians[len(medians)*975/1000]}
}

// median returns the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return math.NaN()
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
