// Command run is what `make mutants` runs: it plants the mutants of package
// mutants one at a time, and shows that the test that each of them names turns
// red. The table goes to the standard error, one JSON object with the sum to
// the standard output.
//
//	-run REGEXP   only mutants whose name, hazards or needs match
//	-list         print them, and plant none
//
// It exits with 0 when all were killed, 1 when one survived or is in error, and
// 2 when it could not do its work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"

	"tailwater/internal/mutants"
	"tailwater/internal/testenv"
)

// limit is the time for the tests of one run.
const limit = 60 * time.Second

var errInterrupted = errors.New("interrupted")

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
	code, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	os.Exit(code)
}

// run does all that the command promises and returns the exit code. It is
// called in the repository's top folder.
func run(ctx context.Context, args []string, out, table io.Writer) (int, error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(table)
	pattern := flags.String("run", "", "only mutants whose name, hazards or needs match this regular expression")
	list := flags.Bool("list", false, "print the mutants, and plant none")
	if err := flags.Parse(args); err != nil {
		return 2, nil // flags has said it
	}
	chosen, without, err := choose(*pattern)
	if err != nil {
		return 2, err
	}
	if *list {
		for _, m := range chosen {
			fmt.Fprintf(out, "%s\t%s\t%s %s\t%s\t%s\n", m.Name, m.Needs, m.Package, m.Test, m.File, m.For)
		}
		for _, w := range without {
			fmt.Fprintf(out, "none for %s\t%s\n", w.For, w.Reason)
		}
		return 0, nil
	}
	report, err := plant(ctx, chosen, table)
	report.WriteSummary(table)
	if err != nil {
		return 2, err
	}
	if err := report.WriteJSON(out); err != nil {
		return 2, err
	}
	if report.Count(mutants.Killed) < len(chosen) {
		return 1, nil
	}
	return 0, nil
}

// choose returns what pattern chooses of the list.
func choose(pattern string) ([]mutants.Mutant, []mutants.Without, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, nil, fmt.Errorf("read -run: %w", err)
	}
	list, err := mutants.Read()
	if err != nil {
		return nil, nil, err
	}
	chosen := slices.DeleteFunc(list.Mutants, func(m mutants.Mutant) bool {
		return !re.MatchString(m.Name) && !re.MatchString(m.For) && !re.MatchString(m.Needs)
	})
	if len(chosen) == 0 {
		return nil, nil, fmt.Errorf("no mutant matches %q; -list prints them", pattern)
	}
	return chosen, list.Without, nil
}

// plant runs chosen one after the other and writes a row for each.
func plant(ctx context.Context, chosen []mutants.Mutant, table io.Writer) (report mutants.Report, err error) {
	root, err := os.Getwd()
	if err != nil {
		return report, fmt.Errorf("find the repository: %w", err)
	}
	temp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return report, fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	start := time.Now()
	runner := mutants.Runner{Root: root, Temp: temp, Limit: limit, After: func() error {
		_, err := testenv.EndServers(temp)
		return err
	}}
	for _, m := range chosen {
		result, err := runner.Run(ctx, m)
		report.Took = time.Since(start)
		if err != nil {
			return report, fmt.Errorf("plant mutant %s: %w", m.Name, err)
		}
		report.Results = append(report.Results, result)
		result.WriteLine(table)
	}
	return report, nil
}
