package campaign

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"tailwater/internal/campaign/check"
)

// Report is what a campaign came to, as it is printed.
type Report struct {
	Servers string `json:"servers"`
	// Kills are those that fell into work, KillsTried all.
	Kills      int            `json:"kills"`
	KillsTried int            `json:"kills_tried"`
	KillsOf    map[string]int `json:"kills_of"`
	// Faults counts what was done to links and servers beside the kills.
	Faults     int            `json:"faults_injected"`
	FaultsOf   map[string]int `json:"faults_of"`
	Rows       int64          `json:"rows"`
	Violations int64          `json:"violations"`
	// Transactions are those of the ledger that were compared, Compared what
	// each check looked at.
	Transactions int64            `json:"transactions"`
	Compared     map[string]int64 `json:"compared"`
	Seeds        []uint64         `json:"seeds"`
	// LongestRecovery is from the moment at which what was killed was started
	// again until the stream had all that was committed by then.
	LongestRecovery float64        `json:"longest_recovery_s"`
	Seconds         float64        `json:"seconds"`
	KillsPerPoint   map[string]int `json:"kills_per_failpoint"`
	PointsHit       int            `json:"failpoints_hit"`
	// Slow are the cycles above 8 s, LagBack is how long after the last fault
	// the lag was below 10 s, Takeovers how long second readers took.
	Slow              []Slow    `json:"slow"`
	LagBack           float64   `json:"lag_back_s"`
	Takeovers         []float64 `json:"takeover_s"`
	EndedByThemselves int       `json:"ended_by_themselves"`
	// StoppedBy is what the shard said that met a row above stream.max_record.
	StoppedBy string `json:"stopped_by"`
	// First are the first violations.
	First []check.Violation `json:"first_violations,omitempty"`

	mu sync.Mutex
}

// Slow is a cycle of kill, recovery and check that took long.
type Slow struct {
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
}

func newReport(o *Options) *Report {
	return &Report{
		Servers: strings.Join(o.Servers, ","), Seeds: []uint64{o.Seed}, KillsOf: map[string]int{}, FaultsOf: map[string]int{},
		Compared: map[string]int64{}, KillsPerPoint: map[string]int{}, Slow: []Slow{}, Takeovers: []float64{},
	}
}

// Failed reports whether anything is wrong.
func (r *Report) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Violations > 0
}

func (r *Report) violate(kind, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Violations++
	if len(r.First) < 30 {
		r.First = append(r.First, check.Violation{Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
}

// failure is a violation of the campaign's own parts.
func (r *Report) failure(err error) {
	if err != nil {
		r.violate("campaign", "%v", err)
	}
}

// found adds what a check has found. One that has compared nothing proves
// nothing.
func (r *Report) found(name string, f check.Findings) {
	r.Compared[name] = f.Looked
	if f.Looked == 0 {
		r.violate("check", "%s: nothing was compared", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Violations += f.Count
	r.First = append(r.First, f.First...)
}

func (r *Report) fault(kind string) {
	r.Faults++
	r.FaultsOf[kind]++
}

func (r *Report) takeover(took time.Duration) {
	r.Takeovers = append(r.Takeovers, rounded(took))
}

func (r *Report) cycle(what string, took, recovery time.Duration) {
	r.LongestRecovery = max(r.LongestRecovery, rounded(recovery))
	if took > slow {
		r.Slow = append(r.Slow, Slow{what, rounded(took)})
	}
}

func rounded(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// summarize counts what the campaign knows, and fails one that proves nothing.
func (c *campaign) summarize(began time.Time) {
	r := c.report
	for _, k := range c.kills {
		r.KillsTried++
		if !c.watch.counts(k) {
			continue
		}
		r.Kills++
		what, _, _ := strings.Cut(k.what, "-")
		r.KillsOf[what]++
		if k.point != "" {
			r.KillsPerPoint[k.point]++
		}
	}
	for n := range c.arms.hits {
		r.KillsPerPoint[string(n)] += 0
	}
	r.PointsHit = len(r.KillsPerPoint)
	r.Seconds = rounded(time.Since(began))
	if r.Faults == 0 {
		r.violate("campaign", "no fault was injected")
	}
	if r.Rows == 0 && !r.Failed() {
		r.violate("campaign", "no row was compared")
	}
	if r.Kills < c.o.Kills {
		r.violate("campaign", "%d kills fell into work within %v, want %d", r.Kills, c.o.Limit, c.o.Kills)
	}
	if want := wantedPoints(c.o); r.PointsHit < want && !r.Failed() {
		r.violate("campaign", "%d named steps were hit, want %d", r.PointsHit, want)
	}
	if r.Violations > 0 {
		c.tb.Logf("the members' logs: %s", c.logs())
	}
}

// wantedPoints is how many named steps have to be hit.
func wantedPoints(o *Options) int {
	switch {
	case !o.Points:
		return 0
	case o.Kills < 100: // too few to be sure of more
		return 1
	}
	return min(40, o.Kills/5)
}
