// Command tailwater turns the binlogs of MySQL shards into windowed metrics in
// Redis and a Parquet lake.
//
// Every verb keeps to the same rules: the result is on standard output, logs
// and progress are on standard error, and the exit code is one of the
// constants below.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tailwater/internal/failpoint"
)

// The exit codes of every verb. Of several findings the worst counts.
const (
	exitOK          = 0
	exitFailure     = 1 // it ran and failed
	exitUsage       = 2 // configuration or usage
	exitEnvironment = 3 // refused, denied, a port taken, timed out
	exitFound       = 4 // the verb worked and found what it was asked to look for
)

// exitError carries an exit code out of a verb.
type exitError struct {
	code int
	err  error
	// shown is set when the verb has told the user already.
	shown bool
}

// Error returns the text of the cause.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// failWith makes an error that ends the process with code.
func failWith(code int, err error) error { return &exitError{code: code, err: err} }

// failShown is failWith of an error that the user has seen already.
func failShown(code int, err error) error { return &exitError{code: code, err: err, shown: true} }

func main() {
	if err := failpoint.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "tailwater:", err)
		os.Exit(exitUsage)
	}
	code := execute(context.Background(), newRootCommand())
	failpoint.Report()
	os.Exit(code)
}

// execute runs a command and returns the exit code.
func execute(ctx context.Context, root *cobra.Command) int {
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		// Cobra's own errors are about flags and arguments.
		e = &exitError{code: exitUsage, err: fmt.Errorf("%w\nrun 'tailwater help' for the verbs and their flags", err)}
	}
	if !e.shown {
		fmt.Fprintln(root.ErrOrStderr(), "tailwater:", e.err)
	}
	return e.code
}

// newRootCommand makes the command with all its verbs.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "tailwater",
		Short:         "MySQL and MariaDB binlogs to windowed metrics in Redis and a Parquet lake, exact to the row",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newDemoCommand(), newRunCommand(), newEventsCommand(), newStatusCommand(), newShardCommand(), newVerifyCommand(), newLintCommand(), newConfigCommand(), newVersionCommand())
	return root
}
