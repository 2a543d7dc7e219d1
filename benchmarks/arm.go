package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is a measurement: groups of arms over fixtures.
type bench struct {
	name, what string
	// fresh gives every lap a process of its own, and counts the whole process.
	fresh bool
	// procs is GOMAXPROCS of the arms, 0 for the machine's.
	procs int
	// serve starts what the arms need a server for, in the parent, so that it is
	// not counted; nil where they need none.
	serve  func(r *recording) (*service, error)
	groups func() []*group
	// fixtures are the letters of those that it runs over, onRequest of those
	// that it also can.
	fixtures, onRequest string
	// rows is the size of its recordings where it is not the fixture's own.
	rows map[string]int
	// minLap is how long a lap takes at least.
	minLap time.Duration
}

// group are arms that do the same work: the first is ours.
type group struct {
	name string
	// transactions says that the arms count transactions, for they see no rows.
	transactions bool
	arms         []*arm
}

// arm is one way to do the work.
type arm struct {
	name, what string
	// ceiling is an arm that does a part of the work, for what none can beat: it
	// has no output to compare.
	ceiling bool
	// run does the work once.
	run func(ctx context.Context, j *job, t *tally) error
}

// job is what a process that runs an arm is told for each lap.
type job struct {
	// Path is the recording, Addr the server that the parent runs where it does,
	// Parts are those that have a part of the recording each.
	Path  string   `json:"path"`
	Addr  string   `json:"addr,omitempty"`
	Parts []string `json:"parts,omitempty"`
	// Rows are the row changes of the recording, Count what a pass must count.
	Rows  int64 `json:"rows"`
	Count int64 `json:"count"`
	// Transactions are those of the recording.
	Transactions int64 `json:"transactions"`
	// Check hashes the output instead of measuring.
	Check bool `json:"check,omitempty"`
	// MinLap is how long passes are repeated.
	MinLap time.Duration `json:"min_lap,omitempty"`
	// Profile is a file for a CPU profile.
	Profile string `json:"profile,omitempty"`
	// Fresh counts the process from its start.
	Fresh bool `json:"fresh,omitempty"`
}

// lap is what a process answers.
type lap struct {
	Rows   int64   `json:"rows"`
	Bytes  int64   `json:"bytes"`
	CPU    float64 `json:"cpu_s"`
	Wall   float64 `json:"wall_s"`
	Allocs uint64  `json:"allocs"`
	RSS    float64 `json:"peak_rss_mb"`
	// Output is the digest of the output, when it was asked for.
	Output string `json:"output,omitempty"`
	Error  string `json:"error,omitempty"`
}

// rate is rows per CPU-second.
func (l *lap) rate() float64 { return float64(l.Rows) / l.CPU }

// armCommand is the hidden command by which the program runs itself.
const armCommand = "arm"

// findArm finds an arm by the names of its bench and group/arm.
func findArm(benchName, armName string) *arm {
	groupName, name, _ := strings.Cut(armName, "/")
	for _, b := range benches() {
		for _, g := range b.groups() {
			for _, a := range g.arms {
				if b.name == benchName && g.name == groupName && a.name == name {
					return a
				}
			}
		}
	}
	return nil
}

// serveArm runs laps of one arm: a job to a line in, a lap to a line out.
func serveArm(ctx context.Context, benchName, armName string, in io.Reader, out, log io.Writer) int {
	a := findArm(benchName, armName)
	if a == nil {
		fmt.Fprintf(log, "benchmarks: no arm %s of %s\n", armName, benchName)
		return exitUsage
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		j := new(job)
		err := json.Unmarshal(lines.Bytes(), j)
		l := new(lap)
		if err == nil {
			l, err = a.lap(ctx, j)
		}
		if err != nil {
			l = &lap{Error: err.Error()}
		}
		text, err := json.Marshal(l)
		if err != nil {
			return exitFailed
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return exitFailed
		}
	}
	return 0
}

// lap runs passes until the lap is long enough.
func (a *arm) lap(ctx context.Context, j *job) (*lap, error) {
	t := newTally(j)
	if j.Profile != "" {
		f, err := os.Create(j.Profile)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	if !j.Fresh {
		// The rubbish of the lap before is not this one's.
		runtime.GC()
	}
	t.start()
	passes, began := int64(0), time.Now()
	for first := true; first || !j.Check && !j.Fresh && time.Since(began) < j.MinLap; first = false {
		if err := a.run(ctx, j, t); err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		passes++
	}
	t.stop()
	if got, want := t.count, passes*j.Count; got != want {
		return nil, fmt.Errorf("%s counts %d in %d passes, want %d", a.name, got, passes, want)
	}
	t.lap.Rows, t.lap.Bytes = passes*j.Rows, t.bytes
	if j.Check {
		t.lap.Output = t.digest()
	}
	return &t.lap, nil
}

// start begins to count; an arm that has something to prepare, which is none of
// its work, calls it again behind that.
func (t *tally) start() {
	t.began = time.Now()
	if !t.job.Fresh {
		t.cpu = cpuTime()
		t.mallocs = mallocs()
	}
}

// stop ends counting; what an arm does behind its own call is not counted, as
// reading its output back.
func (t *tally) stop() {
	if t.stopped {
		return
	}
	t.stopped = true
	t.lap.CPU = (cpuTime() - t.cpu).Seconds()
	t.lap.Wall = time.Since(t.began).Seconds()
	t.lap.Allocs = mallocs() - t.mallocs
	t.lap.RSS = peakRSS()
}

// cpuTime is what the process has used, in user space and in the kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // the arguments are constants
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// peakRSS is the largest resident size of the process in MB, which the kernel
// keeps as VmHWM; 0 where there is no /proc.
func peakRSS() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err == nil {
				return kb / 1024
			}
		}
	}
	return 0
}
