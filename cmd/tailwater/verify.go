package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tailwater/internal/verify"
)

// verifyMemory is the soft limit of the process's heap.
const verifyMemory = 400 << 20

// newVerifyCommand returns the verb that holds what came out against the
// sources.
func newVerifyCommand() *cobra.Command {
	var out outputFlag
	var o verify.Options
	var quiet bool
	cmd := &cobra.Command{
		Use:   "verify [config]",
		Short: "Hold stream, windows and lake against the sources, row by row",
		Long: `Hold what came out against what went in: every column of every row of the
sources against the stream, the windows in Redis and the files of the lake
against the stream's events.

It works beside a running pipeline and beside writing clients: it reads the
servers in consistent snapshots, takes no lock, writes nothing, and waits until
the pipeline has what the snapshots have. docs/verify.md says what is compared,
and how.

Exit codes: 0 no difference, 1 it failed, 2 the configuration is wrong, 3
something cannot be reached or is not there in time, 4 differences, 130 Ctrl-C.`,
		Example: "  tailwater verify\n  tailwater verify --only rows,lake -o json /etc/tailwater.yaml",
		Args:    cobra.MaximumNArgs(1),
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Only, "only", nil, "compare these parts only: rows, windows, lake")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "how long the pipeline may take to get to where the sources are")
	f.IntVar(&o.MaxDifferences, "max-differences", 100, "how many differences to describe; all are counted")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := "tailwater.yaml"
		if len(args) > 0 {
			path = args[0]
		}
		if o.Timeout <= 0 || o.MaxDifferences <= 0 {
			return failWith(exitUsage, errors.New("--timeout and --max-differences must be above zero"))
		}
		if !quiet {
			o.OnProgress, o.ProgressEvery = progressTo(cmd.ErrOrStderr())
		}
		return runVerify(cmd, path, o, out.json())
	}
	out.register(cmd)
	return cmd
}

// progressTo shows progress: a line that is written over on a terminal, else a
// line every ten seconds.
func progressTo(w io.Writer) (func(verify.Progress), time.Duration) {
	if isTerminal(w) {
		return func(p verify.Progress) { fmt.Fprintf(w, "\r\x1b[K%s", progressText(p)) }, 200 * time.Millisecond
	}
	return func(p verify.Progress) { fmt.Fprintln(w, progressText(p)) }, 10 * time.Second
}

func progressText(p verify.Progress) string {
	if p.Total <= 0 {
		return fmt.Sprintf("%s: %d", p.Stage, p.Done)
	}
	const width = 20
	n := int(min(width, width*p.Done/p.Total))
	return fmt.Sprintf("[%s%s] %s: %d of %d", strings.Repeat("#", n), strings.Repeat(".", width-n), p.Stage, p.Done, p.Total)
}

// runVerify loads the configuration, compares, and prints.
func runVerify(cmd *cobra.Command, path string, o verify.Options, asJSON bool) error {
	stderr := cmd.ErrOrStderr()
	cfg, err := loadConfig(stderr, []string{path})
	if err != nil {
		return err
	}
	o.Config = cfg
	debug.SetMemoryLimit(verifyMemory)
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r, err := verify.Run(ctx, o)
	if o.OnProgress != nil && isTerminal(stderr) {
		fmt.Fprint(stderr, "\r\x1b[K")
	}
	if err != nil {
		return verifyFailed(cmd, ctx, err, asJSON)
	}
	return showVerify(cmd.OutOrStdout(), r, asJSON)
}

// verifyFailed tells why nothing could be compared.
func verifyFailed(cmd *cobra.Command, ctx context.Context, err error, asJSON bool) error {
	code, name := exitFailure, "failed"
	var unreachable *verify.UnreachableError
	var usage *verify.UsageError
	switch {
	case ctx.Err() != nil && cmd.Context().Err() == nil:
		code, name, err = 130, "interrupted", errors.New("interrupted; nothing was changed")
	case errors.As(err, &unreachable):
		code, name = exitEnvironment, "unreachable"
	case errors.As(err, &usage):
		code, name = exitUsage, "usage"
	}
	if !asJSON {
		return failWith(code, err)
	}
	e := envelope{Command: "verify", Summary: "nothing was compared", Error: &fault{Code: name, Message: err.Error()}}
	if werr := writeEnvelope(cmd.OutOrStdout(), e); werr != nil {
		return failWith(exitFailure, werr)
	}
	return failShown(code, err)
}

// showVerify prints what was compared and found.
func showVerify(w io.Writer, r *verify.Result, asJSON bool) error {
	ok := r.Found == 0 && r.Compared()
	summary := verifySummary(r)
	var err error
	if asJSON {
		err = writeEnvelope(w, envelope{Command: "verify", OK: ok, Summary: summary, Result: r})
	} else {
		err = printVerify(w, r, summary, ok)
	}
	switch {
	case err != nil:
		return failWith(exitFailure, fmt.Errorf("print the result: %w", err))
	case r.Found > 0:
		return failShown(exitFound, errors.New(summary))
	case !ok:
		return failShown(exitEnvironment, errors.New(summary))
	}
	return nil
}

func verifySummary(r *verify.Result) string {
	switch {
	case r.Found > 0:
		return count(int(r.Found), "difference")
	case !r.Compared():
		return "nothing was there to compare"
	}
	return fmt.Sprintf("no difference in %s, %s and %s", count(int(r.RowsCompared), "row"), count(int(r.WindowsCompared), "window"), count(int(r.LakeFiles), "lake file"))
}

func printVerify(w io.Writer, r *verify.Result, summary string, ok bool) error {
	var b strings.Builder
	glyph := "✓"
	if !ok {
		glyph = "✗"
	}
	fmt.Fprintf(&b, "%s %s\n", glyph, summary)
	fmt.Fprintf(&b, "  rows: %s, %s, %d rows and %d values compared in %s; %d values unseen, %d rows unseen, %d keys busy\n",
		count(r.Views, "view"), count(r.Tables, "table"), r.RowsCompared, r.ColumnsCompared, passes(r.Passes), r.Unseen, r.UnseenRows, r.Busy)
	fmt.Fprintf(&b, "  windows: %d compared with %d values, %d left out\n", r.WindowsCompared, r.ValuesCompared, r.SkippedWindows)
	fmt.Fprintf(&b, "  lake: %s with %d rows, %d of them held against the stream, %d on their way\n",
		count(int(r.LakeFiles), "file"), r.LakeRows, r.LakeRowsCompared, r.LakeBehind)
	fmt.Fprintf(&b, "  stream: %d events; %.1f s\n", r.Events, r.Seconds)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  ⚠ %s\n", n)
	}
	for i := range r.Differences {
		fmt.Fprintf(&b, "  ✗ %s\n", &r.Differences[i])
	}
	if more := r.Found - int64(len(r.Differences)); more > 0 {
		fmt.Fprintf(&b, "  ✗ and %d more; --max-differences shows them\n", more)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func passes(n int) string {
	if n == 1 {
		return "1 pass"
	}
	return fmt.Sprintf("%d passes", n)
}
