// Command run is what `make test` runs: it makes sure that the real servers
// can be started, runs every test of the repository once, in five suites, and
// sums up.
//
//	vet and budget   go vet, and package budget over the whole repository
//	in process       every package whose tests need nothing but Go
//	failpoints       package failpoint once more, with the tag failpoints
//	real servers     every package whose tests import package testenv
//	end to end       the packages below internal/e2e, and internal/campaign
//
// It fails when a test fails, when a suite finds no test, when something is
// missing and ALLOW_MISSING=1 is not set, and when the whole takes longer than
// 40 minutes. What is missing is named in the last lines. Whatever ends it,
// Ctrl-C included, it ends the servers that its tests have started, and no
// other process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tailwater/internal/testenv"
)

// limit is the time that all suites may take together.
const limit = 40 * time.Minute

var (
	errTooLong     = fmt.Errorf("more than %v minutes", limit.Minutes())
	errInterrupted = errors.New("interrupted")
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		cancel(errInterrupted)
		// A second signal ends this process as if nobody had listened.
		signal.Reset()
	}()
	ctx, stop := context.WithTimeoutCause(ctx, limit, errTooLong)
	code := run(ctx, os.Stdout)
	stop()
	os.Exit(code)
}

// run does all that the command promises and returns the exit code.
func run(ctx context.Context, w io.Writer) int {
	start := time.Now()
	sum := &summary{allowMissing: os.Getenv("ALLOW_MISSING") == "1"}
	if err := runAll(ctx, w, sum); err != nil {
		sum.problem("%v", err)
	}
	sum.print(w, time.Since(start))
	if sum.failed() {
		return 1
	}
	return 0
}

func runAll(ctx context.Context, w io.Writer, sum *summary) (err error) {
	// Everything that a test leaves behind is below one folder, which is how
	// what was started can be found even after a test has crashed.
	temp, err := os.MkdirTemp("", "twtest-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, cleanUp(w, temp)) }()
	if err := os.Setenv("TMPDIR", temp); err != nil {
		return fmt.Errorf("set TMPDIR: %w", err)
	}
	missing, err := prepare(ctx, w)
	if err != nil {
		return err
	}
	sum.missing = missing
	if len(missing) > 0 && !sum.allowMissing {
		return nil
	}
	suites, err := findSuites(ctx)
	if err != nil {
		return err
	}
	for _, s := range suites {
		r, err := s.run(ctx, w)
		sum.results = append(sum.results, r)
		if err != nil {
			return err
		}
	}
	return nil
}

// cleanUp ends the servers below temp and removes it.
func cleanUp(w io.Writer, temp string) error {
	ended, err := testenv.EndServers(temp)
	for _, dir := range ended {
		fmt.Fprintf(w, "ended the server in %s, which its test had left\n", dir)
	}
	return errors.Join(err, removeAll(temp))
}

// removeAll removes temp, in which servers that were just ended may still be
// writing their last files.
func removeAll(temp string) error {
	var err error
	for range 20 {
		if err = os.RemoveAll(temp); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("remove %s: %w", temp, err)
}
