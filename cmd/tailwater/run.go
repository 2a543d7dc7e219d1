package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tailwater/internal/config"
	"tailwater/internal/pipeline"
)

// errForced ends a drain that a second signal cut short.
var errForced = errors.New("stopped at once by a second signal")

// forcedWait is how long the parts may take to close after a second signal.
const forcedWait = time.Second

func newRunCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [config]",
		Short: "Run the pipeline of a configuration (default tailwater.yaml)",
		Long: `Run the pipeline of a configuration: every role in one process, or with --role
the named ones. Processes of different roles share one configuration and need a
stream that all of them reach (stream.type kafka). Any number may have one role:
readers share the shards, windows and lake the partitions, and whoever dies is
replaced by the others within seconds.

SIGHUP reads the file again: shards that a source has besides are begun, those
that are gone are drained and stopped. Anything else that is changed needs a
restart; then, and where the file has mistakes, nothing is changed and the log
says why.

SIGTERM and SIGINT drain: the readers stop, the sinks take what the stream
holds, and the process ends with 0. A second signal stops at once. Whatever
is not drained is read again at the next start; nothing is lost.

Exit codes: 0 drained, 1 failed, 2 the configuration or a role is wrong, 3 a port or the
state directory is taken or the lake's bucket refuses, 130 or 143 stopped by a second signal.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = "tailwater.yaml"
			if len(args) > 0 {
				o.path = args[0]
			}
			return run(cmd.Context(), cmd.ErrOrStderr(), o)
		},
	}
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-stream-loss", false, "go on with an embedded stream that has lost records")
	cmd.Flags().StringVar(&o.roles, "role", "", "what this process does: reader, windows, lake, or several separated by commas (default all)")
	cmd.Flags().DurationVar(&o.grace, "grace", 30*time.Second, "how long to drain before giving up")
	return cmd
}

// runOptions are the arguments of the run verb.
type runOptions struct {
	path       string
	grace      time.Duration
	acceptLoss bool
	roles      string
}

// run loads, opens and runs a pipeline.
func run(ctx context.Context, stderr io.Writer, o runOptions) error {
	roles, err := pipeline.ParseRoles(o.roles)
	if err != nil {
		return failWith(exitUsage, fmt.Errorf("--role: %w", err))
	}
	cfg, findings := config.Load(o.path, os.LookupEnv)
	if len(findings) > 0 {
		if err := findings.Render(stderr, config.WantColor(stderr, os.LookupEnv)); err != nil {
			return failWith(exitFailure, err)
		}
	}
	if cfg == nil {
		return failShown(exitUsage, fmt.Errorf("%s has errors", o.path))
	}
	// One that comes before the pipeline runs must not end the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	r := cfg.Resolved()
	logger := newLogger(stderr, r.Log.Level, r.Log.Format)
	stop, hard, forced := signals(ctx)
	// Some part may wait for a server that does not answer; nothing depends on
	// its end, for what is not drained is read again.
	defer context.AfterFunc(hard, func() {
		<-time.After(forcedWait)
		fmt.Fprintln(stderr, "tailwater:", errForced)
		os.Exit(forced())
	})()
	// What is open may live on this context until it is closed.
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := openUntil(stop, cancel, func() (*pipeline.Pipeline, error) {
		return pipeline.Open(opening, pipeline.Options{
			Config: r, Version: version, Roles: roles, Logger: logger, AcceptStreamLoss: o.acceptLoss, Load: func() (*config.Resolved, error) { return reload(o.path) },
		})
	})
	if errors.Is(err, errStopped) {
		logger.Info("told to end before anything was read", "opening", err)
		return nil
	}
	if err != nil {
		return failWith(environmentCode(err), err)
	}
	defer p.Close()
	logger.Info("tailwater runs", "version", version, "name", r.Name, "roles", roles, "state", pipeline.StateDirOf(r.StateDir, roles),
		"http", p.HTTPAddr(), "stream", p.StreamAddr())
	var side sync.WaitGroup
	side.Go(func() { reloads(stop, hangups, p, logger) })
	defer side.Wait()
	if err := p.Run(stop, hard, o.grace); err != nil {
		if code := forced(); code != 0 {
			return failWith(code, errForced)
		}
		return failWith(exitFailure, err)
	}
	return nil
}

// errStopped says that a pipeline was told to end while it was opened.
var errStopped = errors.New("stopped while it was opened")

// openUntil opens a pipeline, or cancels that and returns errStopped when stop
// ends before it is open. A part that waits for a server is not waited for:
// nothing was read.
func openUntil(stop context.Context, cancel context.CancelFunc, open func() (*pipeline.Pipeline, error)) (*pipeline.Pipeline, error) {
	type result struct {
		p   *pipeline.Pipeline
		err error
	}
	opened := make(chan result, 1)
	go func() {
		p, err := open()
		opened <- result{p, err}
	}()
	select {
	case r := <-opened:
		return r.p, r.err
	case <-stop.Done():
		cancel()
	}
	select {
	case r := <-opened:
		if r.err == nil {
			r.err = r.p.Close()
		}
		return nil, errors.Join(errStopped, r.err)
	case <-time.After(forcedWait):
		return nil, fmt.Errorf("%w: some server did not answer", errStopped)
	}
}

// reload reads the file of a process that runs.
func reload(path string) (*config.Resolved, error) {
	cfg, findings := config.Load(path, os.LookupEnv)
	if cfg == nil {
		return nil, fmt.Errorf("%s has errors:\n%s", path, findings)
	}
	return cfg.Resolved(), nil
}

// reloads reads the configuration again at each SIGHUP, until ctx ends.
func reloads(ctx context.Context, hangups <-chan os.Signal, p *pipeline.Pipeline, logger *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := p.Reload(ctx); err != nil {
				logger.Error("the configuration is not taken, and nothing was changed", "error", err)
			}
		}
	}
}

// environmentCode tells what was refused around the program from what failed.
func environmentCode(err error) int {
	var role *pipeline.RoleError
	if errors.As(err, &role) {
		return exitUsage
	}
	var file *config.FileError
	if errors.As(err, &file) && !errors.Is(err, os.ErrPermission) {
		return exitUsage
	}
	var port *pipeline.PortError
	var lake *pipeline.LakeError
	var log *pipeline.StreamError
	if errors.As(err, &port) || errors.As(err, &lake) || errors.As(err, &log) || errors.Is(err, pipeline.ErrStateInUse) ||
		errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOSPC) {
		return exitEnvironment
	}
	return exitFailure
}

// signals returns a context that the first SIGINT or SIGTERM ends, one that the
// second ends, and the exit code of the second, 0 without one.
func signals(ctx context.Context) (stop, hard context.Context, forced func() int) {
	stop, cancelStop := context.WithCancel(ctx)
	hard, cancelHard := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	var code atomic.Int32
	go func() {
		<-ch
		cancelStop()
		code.Store(128 + int32((<-ch).(syscall.Signal)))
		cancelHard(errForced)
	}()
	return stop, hard, func() int { return int(code.Load()) }
}

// newLogger logs to w: text for people, JSON for machines.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: l}
	f, isFile := w.(*os.File)
	if format == "text" || format != "json" && isFile && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
