package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tailwater/binlog"
	"tailwater/internal/config"
	"tailwater/internal/pipeline"
	"tailwater/internal/status"
)

// shardDoor is where shards are looked at and moved: the process that runs, or
// the stream itself when none does.
type shardDoor interface {
	List(ctx context.Context) ([]status.Shard, error)
	Reset(ctx context.Context, shard string, req pipeline.ResetRequest) (status.Reset, error)
	Close() error
}

var _ shardDoor = (*pipeline.Stopped)(nil)

func newShardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shard",
		Short: "List the shards and where they stand; move the position of one",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newShardListCommand(), newShardResetCommand())
	return cmd
}

func newShardListCommand() *cobra.Command {
	var out outputFlag
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "list [config]",
		Short: "List the shards of a configuration: state, position, server, and how long it keeps what is still to be read",
		Long: `List the shards of a configuration (default tailwater.yaml): state, position,
server, and how long the server keeps the binlogs that are still to be read.

It asks the process that runs, or reads the stream itself when none does on this
machine.

Exit codes: 0 listed, 2 the configuration is wrong, 3 the process or the stream
cannot be reached.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for answers")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		cfg, err := loadConfig(cmd.ErrOrStderr(), args)
		if err != nil {
			return err
		}
		door, err := openShards(ctx, cfg)
		if err != nil {
			return shardFailed(cmd, "shard list", out.json(), err)
		}
		shards, err := door.List(ctx)
		if err = errors.Join(err, door.Close()); err != nil {
			return shardFailed(cmd, "shard list", out.json(), err)
		}
		return showShards(cmd.OutOrStdout(), shards, out.json())
	}
	out.register(cmd)
	return cmd
}

func newShardResetCommand() *cobra.Command {
	var out outputFlag
	var o resetOptions
	cmd := &cobra.Command{
		Use:   "reset SHARD [config] --to now|oldest|gtid:SET|file:FILE:OFFSET",
		Short: "Move the position of a stopped shard, and say what is passed over",
		Long: `Move the position of a shard that is stopped, and say what is passed over.

  --to now               the end of the server's binlog
  --to oldest            the nearest place that the server still has; rows that
                         are published already are never read again
  --to gtid:SET          behind these transactions (MySQL: uuid:1-100,…;
                         MariaDB: 0-101-100,…)
  --to file:FILE:OFFSET  that place, with position: file

It shows the old position and the new one and which transactions nobody will
read, and asks for the shard's id. What is passed over is remembered in the
stream: status, shard list and verify name it. Windows of the time passed over
are called complete without its rows.

A position never moves back: rows would come twice. To read them anew, use
another name or state directory.

It asks the process that runs, where the shard must be stopped, or opens the
stream itself when none runs on this machine.

Exit codes: 0 moved (or shown, with --dry-run), 1 refused or not confirmed, 2 the
configuration, the shard or the target is wrong, 3 the process, the server or
the stream cannot be reached.`,
		Example: "  tailwater shard reset 03 --to oldest --dry-run\n  tailwater shard reset 03 --to now --yes",
		Args:    cobra.RangeArgs(1, 2),
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "where to: now, oldest, gtid:SET or file:FILE:OFFSET")
	// The error is about a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]cobra.Completion{binlog.TargetNow, binlog.TargetOldest}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would become of it, and change nothing")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long each step may take")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.shard, o.json = args[0], out.json()
		cfg, err := loadConfig(cmd.ErrOrStderr(), args[1:])
		if err != nil {
			return err
		}
		if err := o.check(cfg); err != nil {
			return failWith(exitUsage, err)
		}
		return resetShard(cmd, cfg, o)
	}
	out.register(cmd)
	return cmd
}

// resetOptions are the arguments of shard reset.
type resetOptions struct {
	shard, to   string
	yes, dryRun bool
	json        bool
	timeout     time.Duration
}

// check holds the arguments against the configuration.
func (o *resetOptions) check(cfg *config.Resolved) error {
	if o.to == "" {
		return errors.New("--to is missing: now, oldest, gtid:SET or file:FILE:OFFSET")
	}
	if o.json && !o.yes && !o.dryRun {
		return errors.New("-o json asks nobody: add --dry-run or --yes")
	}
	var known []string
	for i := range cfg.Sources {
		src := &cfg.Sources[i]
		for _, s := range src.Shards {
			if s.ID == o.shard {
				if err := binlog.CheckTarget(o.to, binlog.Flavor(src.Type), binlog.PositionMode(src.Position)); err != nil {
					return fmt.Errorf("--to: %w", err)
				}
				return nil
			}
			known = append(known, s.ID)
		}
	}
	return &pipeline.NoShardError{Shard: o.shard, Known: known}
}

// loadConfig loads the configuration that the arguments name, or the default.
func loadConfig(stderr io.Writer, args []string) (*config.Resolved, error) {
	path := "tailwater.yaml"
	if len(args) > 0 {
		path = args[0]
	}
	cfg, findings := config.Load(path, os.LookupEnv)
	if cfg == nil {
		if err := findings.Render(stderr, config.WantColor(stderr, os.LookupEnv)); err != nil {
			return nil, failWith(exitFailure, err)
		}
		return nil, failShown(exitUsage, fmt.Errorf("%s has errors", path))
	}
	return cfg.Resolved(), nil
}

// openShards reaches the process that reads the shards, or opens the stream.
func openShards(ctx context.Context, cfg *config.Resolved) (shardDoor, error) {
	if r := pipeline.Running(cfg.StateDir); r != nil && slices.Contains(r.Roles, pipeline.Reader) {
		return newRunningShards(r)
	}
	logger := slog.New(slog.DiscardHandler)
	s, err := pipeline.OpenStopped(ctx, pipeline.Options{Config: cfg, Version: version, Logger: logger})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// resetShard shows what a move is, asks, and makes it.
func resetShard(cmd *cobra.Command, cfg *config.Resolved, o resetOptions) error {
	fail := func(err error) error { return shardFailed(cmd, "shard reset", o.json, err) }
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	door, err := openShards(ctx, cfg)
	if err != nil {
		return fail(err)
	}
	plan, err := door.Reset(ctx, o.shard, pipeline.ResetRequest{Target: o.to, DryRun: true})
	if err != nil {
		return fail(errors.Join(err, door.Close()))
	}
	if !o.json {
		if err := printReset(cmd.OutOrStdout(), &plan); err != nil {
			return errors.Join(err, door.Close())
		}
	}
	made := plan
	if !o.dryRun {
		if !o.yes && !typed(cmd, o.shard) {
			return fail(errors.Join(errNotConfirmed, door.Close()))
		}
		limit, stop := context.WithTimeout(cmd.Context(), o.timeout)
		defer stop()
		made, err = door.Reset(limit, o.shard, pipeline.ResetRequest{Target: plan.Target, From: &plan.From})
	}
	if err = errors.Join(err, door.Close()); err != nil {
		return fail(err)
	}
	return showReset(cmd.OutOrStdout(), &plan, &made, o)
}

var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// typed asks for the shard's id, and reports whether it was typed.
func typed(cmd *cobra.Command, shard string) bool {
	fmt.Fprintf(cmd.ErrOrStderr(), "type the shard's id (%s) to move it: ", shard)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.TrimSpace(line) == shard
}

// printReset says what a move is.
func printReset(w io.Writer, r *status.Reset) error {
	var b strings.Builder
	fmt.Fprintf(&b, "shard %s/%s\n  from  %s\n  to    %s (%s)\n", r.Source, r.Shard, orNone(r.From), r.To, r.Target)
	switch {
	case r.Nothing:
		b.WriteString("  nothing is passed over: the shard stands there already\n")
	case r.Passed == "" && len(r.Notes) == 0:
		b.WriteString("  nothing is passed over\n")
	case r.Passed != "":
		fmt.Fprintf(&b, "  ⚠ passed over: %s\n", passedText(r))
		b.WriteString("  ⚠ rows of these are in no stream, window or lake; windows of that time are called complete without them\n")
	}
	if r.Lost != "" {
		fmt.Fprintf(&b, "  ⚠ published, and not on this server: %s; these rows stay where they are\n", r.Lost)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  ⚠ %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// passedText names what a reset passes over.
func passedText(r *status.Reset) string {
	if r.Transactions == 0 {
		return r.Passed
	}
	return fmt.Sprintf("%s: %s", count(int(r.Transactions), "transaction"), r.Passed)
}

func orNone(s string) string {
	if s == "" {
		return "none is saved"
	}
	return s
}

// showReset says that a move was made.
func showReset(w io.Writer, plan, made *status.Reset, o resetOptions) error {
	summary := fmt.Sprintf("shard %s goes on at %s", o.shard, goesOn(made))
	switch {
	case o.dryRun:
		summary = fmt.Sprintf("shard %s would go on at %s; nothing was changed", o.shard, goesOn(plan))
	case made.Nothing:
		summary = fmt.Sprintf("shard %s stands at %s already; nothing was changed", o.shard, made.Target)
	}
	if o.json {
		return writeEnvelope(w, envelope{Command: "shard reset", OK: true, Summary: summary, Result: made})
	}
	if made.Lost != plan.Lost || made.Passed != plan.Passed || len(made.Notes) > len(plan.Notes) {
		// The stream has told more, once it was claimed.
		if err := printReset(w, made); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "✓ %s\n", summary)
	return err
}

// shardFailed ends a verb with the code of what went wrong.
func shardFailed(cmd *cobra.Command, command string, asJSON bool, err error) error {
	code, name := environmentCode(err), "failed"
	var none *pipeline.NoShardError
	var no *pipeline.NoStreamError
	var refused *binlog.TargetError
	var answer *answerError
	switch {
	case errors.As(err, &none):
		code, name = exitUsage, "usage"
	case errors.As(err, &no), errors.Is(err, context.DeadlineExceeded):
		code, name = exitEnvironment, "unreachable"
	case errors.As(err, &answer):
		code, name = answer.code, answer.problem.Code
	case errors.As(err, &refused), errors.Is(err, errNotConfirmed):
		code, name = exitFailure, "refused"
	case code == exitFailure && binlog.Classify(err) == binlog.Retry:
		code, name = exitEnvironment, "unreachable"
	}
	if !asJSON {
		return failWith(code, err)
	}
	return failWithEnvelope(cmd.OutOrStdout(), envelope{Command: command, Summary: "nothing was changed", Error: &fault{Code: name}}, code, err)
}

// goesOn names the place where a shard goes on.
func goesOn(r *status.Reset) string {
	if r.Target == binlog.TargetNow {
		return "the end of its server's binlog"
	}
	return r.Target
}

// showShards prints where the shards stand.
func showShards(w io.Writer, shards []status.Shard, asJSON bool) error {
	if asJSON {
		return writeEnvelope(w, envelope{Command: "shard list", OK: true, Summary: count(len(shards), "shard"), Result: shards})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SHARD\tSTATE\tPOSITION\tSERVER\tBEHIND\tKEPT FOR")
	for i := range shards {
		s := &shards[i]
		state := string(s.State)
		if s.State == status.Ended {
			state = "not running"
		}
		fmt.Fprintf(t, "%s/%s\t%s\t%s\t%s\t%s\t%s\n", s.Source, s.Shard, state, position(s), orDash(s.UUID), behind(s.Headroom), kept(s.Headroom))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var lines []string
	for i := range shards {
		s := &shards[i]
		if s.Error != "" {
			who := fmt.Sprintf("shard %s: ", s.Shard)
			lines = append(lines, "✗ "+who+strings.TrimPrefix(s.Error, who))
		}
		lines = append(lines, headroomLines(s)...)
		lines = append(lines, resetLines(s)...)
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(lines, "\n"))
	return err
}

// position is where a shard stands: by its transactions, or by file.
func position(s *status.Shard) string {
	switch {
	case s.GTID != "" && s.File != "":
		return s.GTID + " at " + place(s)
	case s.GTID != "":
		return s.GTID
	}
	return place(s)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// behind is how much binlog is still to be read.
func behind(h *status.Headroom) string {
	if h == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(h.Behind)/(1<<20))
}

// kept is how long the server keeps what is still to be read.
func kept(h *status.Headroom) string {
	switch {
	case h == nil:
		return "-"
	case h.Retention == 0:
		return "ever"
	}
	return seconds(h.Left)
}

func seconds(s float64) string {
	return (time.Duration(s) * time.Second).String()
}

// headroomLines alarm a shard whose binlogs may be purged before they are read.
func headroomLines(s *status.Shard) []string {
	h := s.Headroom
	if h == nil || !h.Low {
		return nil
	}
	return []string{fmt.Sprintf("✗ shard %s: binlogs that are still to be read may be purged in %s (%s of a retention of %s, %s): mend what holds the shard back, or raise binlog_expire_logs_seconds on the server",
		s.Shard, seconds(h.Left), behind(h), seconds(h.Retention), h.Method)}
}

// resetLines name what resets have passed over.
func resetLines(s *status.Shard) []string {
	var out []string
	for i := range s.Resets {
		r := &s.Resets[i]
		did := "its position was moved"
		if r.Unsure {
			did = "its position was perhaps moved, the process ended before it could say so"
		}
		line := fmt.Sprintf("⚠ shard %s: %s at %s to %s", s.Shard, did, r.At.Format(time.RFC3339), r.Target)
		if r.Passed != "" {
			line += ", passed over " + passedText(r)
		}
		if r.Lost != "" {
			line += ", lost " + r.Lost
		}
		for _, note := range r.Notes {
			line += "; " + note
		}
		out = append(out, line)
	}
	return out
}
