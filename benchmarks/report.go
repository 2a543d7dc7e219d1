package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
)

// armLine is what is said of an arm: the medians of its laps.
type armLine struct {
	Bench   string `json:"bench"`
	Fixture string `json:"fixture"`
	Group   string `json:"group"`
	Arm     string `json:"arm"`
	// Rows and Bytes are those of one lap, Bytes the size of the output.
	Rows  int64   `json:"rows"`
	Bytes int64   `json:"bytes"`
	CPU   float64 `json:"cpu_s"`
	Wall  float64 `json:"wall_s"`
	Rate  float64 `json:"rows_per_cpu_s"`
	// Allocs is the number of allocations for each row.
	Allocs float64 `json:"allocs_per_row"`
	// RSS is the largest of all laps: the process's own high-water mark.
	RSS float64 `json:"peak_rss_mb"`
	// Output is rows/bytes/hash of the canonical output.
	Output string `json:"output"`
	Quick  bool   `json:"quick,omitempty"`
}

// ratioLine is what is said of a pair of arms.
type ratioLine struct {
	Bench   string `json:"bench"`
	Fixture string `json:"fixture"`
	Group   string `json:"group"`
	// Ratio is rows per CPU-second of Arm over those of Rival: the median of
	// the pairs, with its interval of 95 %.
	Arm   string  `json:"arm"`
	Rival string  `json:"rival"`
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// AA is how far the interval of Arm against itself is from 1.
	AA    float64 `json:"aa"`
	Pairs int     `json:"pairs"`
	Quick bool    `json:"quick,omitempty"`
}

// report writes the lines of a contest.
func (c *contest) report(laps [][]*lap, digests []string, aa float64) {
	for i, a := range c.group.arms {
		l := c.armLine(a, laps[i+1], digests[i])
		c.settings.print(l, "%-8s %s  %-22s %9.0f rows/CPU-s  %7.3f CPU-s  %7.3f s  %8.3f allocs/row  %6.1f MB\n",
			l.Bench, l.Fixture, l.Group+"/"+l.Arm, l.Rate, l.CPU, l.Wall, l.Allocs, l.RSS)
	}
	for i, a := range c.group.arms[1:] {
		r := ratioOf(laps[1], laps[i+2])
		l := ratioLine{
			Bench: c.bench.name, Fixture: c.recording.name, Group: c.group.name, Arm: c.group.arms[0].name, Rival: a.name,
			Ratio: round(r.median, 3), Low: round(r.low, 3), High: round(r.high, 3), AA: round(aa, 4), Pairs: len(laps[1]), Quick: c.settings.quick,
		}
		c.settings.print(l, "%-8s %s  %s: %.2f times %s [%.2f, %.2f]  A/A within %.1f %%\n",
			l.Bench, l.Fixture, l.Group+"/"+l.Arm, l.Ratio, l.Rival, l.Low, l.High, aa*100)
	}
}

func (c *contest) armLine(a *arm, laps []*lap, digest string) *armLine {
	of := func(get func(*lap) float64) float64 {
		values := make([]float64, len(laps))
		for i, l := range laps {
			values[i] = get(l)
		}
		return median(values)
	}
	out := &armLine{
		Bench: c.bench.name, Fixture: c.recording.name, Group: c.group.name, Arm: a.name,
		Rows:   int64(of(func(l *lap) float64 { return float64(l.Rows) })),
		Bytes:  int64(of(func(l *lap) float64 { return float64(l.Bytes) })),
		CPU:    round(of(func(l *lap) float64 { return l.CPU }), 4),
		Wall:   round(of(func(l *lap) float64 { return l.Wall }), 4),
		Rate:   round(of((*lap).rate), 0),
		Allocs: round(of(func(l *lap) float64 { return float64(l.Allocs) / float64(l.Rows) }), 4),
		Output: digest, Quick: c.settings.quick,
	}
	out.RSS = round(peak(laps), 1)
	return out
}

// peak is the largest resident size of all laps, in MB.
func peak(laps []*lap) (mb float64) {
	for _, l := range laps {
		mb = max(mb, l.RSS)
	}
	return mb
}

// print writes a line as JSON or as text.
func (s *settings) print(line any, format string, args ...any) {
	if s.output != "json" {
		fmt.Fprintf(s.out, format, args...)
		return
	}
	b, err := json.Marshal(line)
	if err != nil {
		b = fmt.Appendf(nil, `{"error":%q}`, err)
	}
	_, _ = io.WriteString(s.out, string(b)+"\n")
}

func round(v float64, digits int) float64 {
	p := math.Pow(10, float64(digits))
	return math.Round(v*p) / p
}
