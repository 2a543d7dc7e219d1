package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"tailwater/internal/config"
	"tailwater/internal/events"
)

// eventsOptions are the flags of the events verb.
type eventsOptions struct {
	events.Options
	server         serverFlags
	until          string
	maxTransaction config.Size
	quiet          bool
}

// newEventsCommand returns the verb that prints what one server logs.
func newEventsCommand() *cobra.Command {
	o := eventsOptions{maxTransaction: events.DefaultMaxTransaction}
	cmd := &cobra.Command{
		Use:   "events --source URL",
		Short: "Print a server's row changes as JSON lines, with nothing to set up",
		Long: `Print the row changes of one server as JSON lines on standard output: no
stream, no state and no configuration. Each line is the event that a pipeline
would have made of the row (docs/format/event.md), or with --envelope the event
of Debezium, Maxwell or Canal (docs/format/envelopes.md); docs/events.md has the
rest.

--source is mysql:// or mariadb://user:password@host:port, or …/?socket=/path.
Write the password as ${NAME} or ${file:/path} in single quotes, so that it
stands in no list of processes and no history, or give --password-file. A
configuration and a shard, tailwater.yaml#03, reach that shard's server.

It prints from now on, unless --start names another place, and whole
transactions only. It ends by Ctrl-C, by what --until, --until-gtid, --limit or
--for say, when nobody reads its output any more, or at a statement that
cannot be placed. A table that is emptied, dropped or renamed is a line too.

Exit codes: 0 ended by one of those, 1 such a statement or a table that cannot
be printed, 2 usage, 3 the server cannot be reached, refuses, is not set up or
is lost, or --for is over before --until; 130 or 143 by a second signal.`,
		Example: `  tailwater events --source 'mysql://tailwater:${MYSQL_PASSWORD}@db1:3306'
  tailwater events --source 'mysql://root@/?socket=/run/mysqld/mysqld.sock' --table 'shop.orders_*' --start earliest --until now
  tailwater events --source tailwater.yaml#03 --limit 10 | jq .`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.server.register(f)
	f.StringArrayVar(&o.Tables, "table", nil, "database.table to print, * and ? stand for any text, a name with a dot in backquotes; may be repeated (default every table but those of online schema changes)")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "database.table to leave out; may be repeated")
	f.StringArrayVar(&o.Drop, "drop", nil, "database.table.column to leave out; may be repeated")
	f.BoolVar(&o.SkipBroken, "skip-broken", false, "go on without the tables that cannot be printed")
	f.StringVar(&o.Start, "start", "latest", "earliest, latest, gtid:<set> or file:<name>:<offset>")
	f.StringVar(&o.Position, "position", "", "gtid or file (default what --start and the server allow)")
	f.StringVar(&o.until, "until", "", "now: end where the binlog ended at the start")
	f.StringVar(&o.UntilGTID, "until-gtid", "", "end when all of a GTID set, or of a position of MariaDB, is printed")
	f.Uint64Var(&o.Limit, "limit", 0, "end behind so many events")
	f.DurationVar(&o.For, "for", 0, "end after this time")
	f.StringArrayVar(&o.Accept, "accept", nil, "transaction whose statement does not end the run; may be repeated")
	f.Var(&o.maxTransaction, "max-transaction", "largest transaction, as events; it is held in memory")
	f.StringVar((*string)(&o.Envelope), "envelope", "flat", "form of a line: flat, debezium, maxwell or canal")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing on standard error but why it failed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return printEvents(cmd, o) }
	return cmd
}

// eventsMemory is the soft limit of the heap beyond the largest transaction.
const eventsMemory = 64 << 20

// printEvents runs the verb.
func printEvents(cmd *cobra.Command, o eventsOptions) error {
	stderr := cmd.ErrOrStderr()
	if err := errors.Join(o.check(), emptyFlags(cmd)); err != nil {
		return failWith(exitUsage, err)
	}
	var err error
	if o.Source, o.Shard, err = o.server.resolve(stderr); err != nil {
		return err
	}
	if o.Position == "" && o.Source.Position == "file" {
		o.Position = o.Source.Position
	}
	note := noteTo(stderr)
	if !o.quiet {
		o.Note = note
	}
	// What the verb holds is a transaction, and a row in the making; garbage is
	// collected sooner where that is much.
	debug.SetMemoryLimit(int64(o.maxTransaction) + eventsMemory)
	// A reader of the output that goes away ends the verb in order.
	signal.Ignore(syscall.SIGPIPE)
	o.Out = cmd.OutOrStdout()
	stop, hard, forced := signals(cmd.Context())
	context.AfterFunc(hard, func() {
		if code := forced(); code != 0 {
			fmt.Fprintln(stderr, "tailwater:", errForced)
			os.Exit(code)
		}
	})
	ctx, cancel := context.WithCancel(stop)
	defer cancel()
	closed := watchClosed(ctx, o.Out, cancel)
	r, err := events.Run(ctx, o.Options)
	cancel()
	if wasClosed := closed(); !o.quiet && !r.Closed && !wasClosed && r.Next != "" {
		note(farewell(&r))
		if len(r.Unaccepted) > 0 {
			note("nothing was passed over because of --accept " + strings.Join(r.Unaccepted, ", ") + ": what was read has no such transaction, or nothing in it that ends a run")
		}
	}
	return eventsFailed(err)
}

// check looks at the flags that need no server.
func (o *eventsOptions) check() error {
	if o.until != "" && o.until != "now" {
		return fmt.Errorf("--until %q: now is the only word for it; --until-gtid takes a set", o.until)
	}
	o.UntilNow = o.until == "now"
	o.MaxTransaction = int(o.maxTransaction)
	return nil
}

// emptyFlags refuses a flag that was given without its text: a script's empty
// variable must not mean the default.
func emptyFlags(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && f.Value.Type() == "string" && f.Value.String() == "" {
			err = fmt.Errorf("--%s has no value: give one, or leave the flag out", f.Name)
		}
	})
	return err
}

// eventsFailed gives an error its exit code.
func eventsFailed(err error) error {
	var usage *events.UsageError
	var unreachable *events.UnreachableError
	var incomplete *events.IncompleteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &usage):
		return failWith(exitUsage, err)
	case errors.As(err, &unreachable), errors.As(err, &incomplete):
		return failWith(exitEnvironment, err)
	}
	return failWith(exitFailure, err)
}

// noteTo writes lines for a person.
func noteTo(w io.Writer) func(string) {
	var mu sync.Mutex
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(w, "tailwater:", text)
	}
}

// farewell says what was printed, and how another run goes on.
func farewell(r *events.Result) string {
	text := fmt.Sprintf("%s of %s", count(int(r.Events), "event"), count(int(r.Transactions), "transaction"))
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		text += fmt.Sprintf(", %s of %s skipped", count(int(r.Skipped[name]), "change"), name)
	}
	if !r.GoesOn {
		return text + ", the last one cut by --limit; to print it from its first event: --start " + r.Next
	}
	return text + "; to go on: --start " + r.Next
}

// closedEvery is how often a pipe is asked whether anybody reads it.
const closedEvery = 200 * time.Millisecond

// watchClosed calls end when w is a pipe that nobody reads any more, also while
// there is nothing to write. What it returns waits, once ctx has ended, and says
// whether that was so.
func watchClosed(ctx context.Context, w io.Writer, end func()) func() bool {
	f, ok := w.(*os.File)
	if info, err := statOf(f, ok); err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return func() bool { return false }
	}
	result := make(chan bool, 1)
	go func() {
		for ctx.Err() == nil {
			// Without an event asked for, only the end of the other side is told.
			fds := []unix.PollFd{{Fd: int32(f.Fd())}}
			n, err := unix.Poll(fds, int(closedEvery/time.Millisecond))
			if err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
				end()
				result <- true
				return
			}
			if err != nil && !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		result <- false
	}()
	return func() bool { return <-result }
}

// statOf is the kind of a file, an error for what is none.
func statOf(f *os.File, ok bool) (os.FileInfo, error) {
	if !ok {
		return nil, os.ErrInvalid
	}
	return f.Stat()
}
