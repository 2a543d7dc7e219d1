package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tailwater/internal/config"
	"tailwater/internal/demo"
)

// began is when the process started, as nearly as a program can tell.
var began = time.Now()

func newDemoCommand() *cobra.Command {
	var out outputFlag
	o := demo.Options{Version: version, Began: began}
	var headless bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a shop on twelve shards, with nothing installed",
		Long: `See it work: a shop on twelve shards, its orders as five-minute metrics in Redis
and as Parquet files, by the same code that runs in production. At the end
everything that came out is held against the books of what was written.

The demo ends by Ctrl-C, or after --for; without a terminal after 30 s.

Exit codes: 0 every sum matches, 1 it could not run, 3 this machine cannot run
it, 4 something that came out differs from what was written.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.IntVar(&o.Shards, "shards", 12, "how many servers")
	f.IntVar(&o.Rate, "rate", 1000, "row changes a second over all shards")
	f.Uint64Var(&o.Seed, "seed", 1, "which workload")
	f.DurationVar(&o.For, "for", 0, "end after this long (default: until Ctrl-C; without a terminal 30s)")
	f.BoolVar(&headless, "headless", false, "tell nothing on the way")
	f.StringVar(&o.Servers, "servers", "builtin", "builtin: in this process; mysql or mariadb: real servers, started by deploy/dev")
	f.StringVar(&o.Keep, "keep", "", "a new directory for state, lake and configuration that is kept")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		stdout := cmd.OutOrStdout()
		if o.For == 0 && !isTerminal(stdout) {
			o.For = 30 * time.Second
		}
		o.Quiet, o.Out, o.Color = headless, stdout, config.WantColor(stdout, os.LookupEnv)
		if out.json() {
			o.Out, o.Color = cmd.ErrOrStderr(), false
		}
		return runDemo(cmd, o, out.json())
	}
	out.register(cmd)
	return cmd
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// runDemo runs it with a log of its own: warnings would tear the story apart.
func runDemo(cmd *cobra.Command, o demo.Options, asJSON bool) error {
	logName := filepath.Join(os.TempDir(), fmt.Sprintf("tailwater-demo-%d.log", os.Getpid()))
	if o.Keep != "" {
		logName = o.Keep + ".log"
	}
	logFile, err := os.OpenFile(logName, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return failWith(exitEnvironment, fmt.Errorf("open the demo's log: %w", err))
	}
	defer logFile.Close()
	o.Logger = newLogger(logFile, "info", "json")
	stop, hard, forced := signals(cmd.Context())
	r, err := demo.Run(stop, hard, o)
	if code := forced(); code != 0 {
		return failWith(code, errForced)
	}
	if err != nil {
		return failWith(demoCode(err), fmt.Errorf("%w\nthe pipeline's log is %s", err, logName))
	}
	if o.Keep == "" && r.Mismatches == 0 {
		os.Remove(logName)
	}
	if err := showDemo(cmd.OutOrStdout(), r, asJSON); err != nil {
		return err
	}
	if r.Mismatches > 0 {
		return failWith(exitFound, fmt.Errorf("%d mismatches; the pipeline's log is %s", r.Mismatches, logName))
	}
	return nil
}

func demoCode(err error) int {
	if code := environmentCode(err); code != exitFailure {
		return code
	}
	var usage *demo.UsageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// showDemo prints what the demo found.
func showDemo(w io.Writer, r *demo.Result, asJSON bool) error {
	summary := fmt.Sprintf("%d row changes on %d shards are %d events; %d of them in the lake, %d window values; %d mismatches, %d duplicates",
		r.RowsChanged, r.Shards, r.Events, r.LakeRows, r.WindowValues, r.Mismatches, r.DuplicatesApplied)
	if asJSON {
		return writeEnvelope(w, envelope{Command: "demo", OK: r.Mismatches == 0, Summary: summary, Result: r})
	}
	glyph := "✓"
	if r.Mismatches > 0 {
		glyph = "✗"
	}
	fmt.Fprintf(w, "\n%s %s\n", glyph, summary)
	for _, d := range r.Differences {
		fmt.Fprintf(w, "  ✗ %s\n", d)
	}
	from := "commit"
	if r.Source == "mariadb" {
		from = "the whole second of the commit that MariaDB logs"
	}
	_, err := fmt.Fprintf(w, "  delay from %s, p50 / p99: %.0f / %.0f ms to the stream, %.0f / %.0f ms to Redis\n"+
		"  first closed window after %.1f s; peak memory %.0f MiB; %.1f CPU-seconds in %.1f s\n",
		from, r.StreamLag.P50, r.StreamLag.P99, r.Lag.P50, r.Lag.P99, r.FirstWindowMS/1000, r.RSSPeakMB, r.CPUSeconds, r.Seconds)
	return err
}
