package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// demoRuns is how often the demo runs.
const demoRuns = 3

// demoLine is what is said of the demo: the best and the median of the runs.
type demoLine struct {
	Bench  string  `json:"bench"`
	Figure string  `json:"figure"`
	Best   float64 `json:"best"`
	Median float64 `json:"median"`
	Runs   int     `json:"runs"`
	Quick  bool    `json:"quick,omitempty"`
}

// quantiles are lags in milliseconds.
type quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// demoResult is what of the demo's own result is looked at.
type demoResult struct {
	RowsChanged int64     `json:"rows_changed"`
	Mismatches  int       `json:"mismatches"`
	Lag         quantiles `json:"lag_ms"`
	StreamLag   quantiles `json:"stream_lag_ms"`
	RSS         float64   `json:"rss_peak_mb"`
	CPU         float64   `json:"cpu_seconds"`
	FirstWindow float64   `json:"first_window_ms"`
}

// demoBench runs bin/tailwater demo, whose sums must match every time.
func demoBench(ctx context.Context, s *settings) error {
	program := os.Getenv("TAILWATER_BIN")
	if program == "" {
		top, err := root()
		if err != nil {
			return err
		}
		program = filepath.Join(top, "bin", "tailwater")
	}
	runs, length := demoRuns, "30s"
	if s.quick {
		runs, length = 1, "3s"
	}
	figures := []struct {
		name   string
		of     func(*demoResult) float64
		values []float64
	}{
		{name: "lag_p50_ms", of: func(r *demoResult) float64 { return r.Lag.P50 }},
		{name: "lag_p99_ms", of: func(r *demoResult) float64 { return r.Lag.P99 }},
		{name: "stream_lag_p99_ms", of: func(r *demoResult) float64 { return r.StreamLag.P99 }},
		{name: "first_window_ms", of: func(r *demoResult) float64 { return r.FirstWindow }},
		{name: "peak_rss_mb", of: func(r *demoResult) float64 { return r.RSS }},
		{name: "cpu_s", of: func(r *demoResult) float64 { return r.CPU }},
	}
	for i := range runs {
		fmt.Fprintf(s.log, "demo: run %d of %d, %s\n", i+1, runs, length)
		cmd := exec.CommandContext(ctx, program, "demo", "--for", length, "--headless", "-o", "json", "--seed", strconv.Itoa(i+1))
		cmd.Stderr = s.log
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("run %s demo (make build makes it): %w", program, err)
		}
		var answer struct{ Result demoResult }
		if err := json.Unmarshal(out, &answer); err != nil {
			return fmt.Errorf("read the demo's result: %w", err)
		}
		r := &answer.Result
		if r.Mismatches != 0 || r.RowsChanged == 0 {
			return fmt.Errorf("the demo has %d mismatches in %d rows: its figures do not count", r.Mismatches, r.RowsChanged)
		}
		for k := range figures {
			figures[k].values = append(figures[k].values, figures[k].of(r))
		}
	}
	for _, f := range figures {
		best := f.values[0]
		for _, v := range f.values {
			best = min(best, v)
		}
		l := demoLine{Bench: "demo", Figure: f.name, Best: round(best, 2), Median: round(median(f.values), 2), Runs: runs, Quick: s.quick}
		s.print(l, "demo  %-18s best %8.2f  median %8.2f  of %d\n", l.Figure, l.Best, l.Median, l.Runs)
	}
	return nil
}
