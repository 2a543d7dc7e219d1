package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tailwater/internal/config"
)

// lintResult is the result of lint in its envelope.
type lintResult struct {
	// Documents names every configuration that was looked at.
	Documents []string        `json:"documents"`
	Errors    int             `json:"errors"`
	Warnings  int             `json:"warnings"`
	Findings  config.Findings `json:"findings"`
}

// newLintCommand returns the verb that checks configurations without a
// machine: it reads no variable, no secret and no network.
func newLintCommand() *cobra.Command {
	var strict bool
	var output outputFlag
	c := &cobra.Command{
		Use:   "lint [paths…]",
		Short: "Find every mistake in configurations, offline",
		Long: `Find every mistake in configurations, offline: no environment variable, secret
or network is needed. Paths are files and directories; without one it is
tailwater.yaml. In Markdown, fenced yaml blocks that begin with version: are checked.

Exit codes: 0 without errors, 2 with errors; with --strict, 2 with warnings too.`,
		Example:           "  tailwater lint\n  tailwater lint --strict deploy/ docs/\n  tailwater lint -o json tailwater.yaml",
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	}
	c.Flags().BoolVar(&strict, "strict", false, "fail on warnings too")
	output.register(c)
	c.RunE = func(c *cobra.Command, paths []string) error {
		if len(paths) == 0 {
			paths = []string{"tailwater.yaml"}
		}
		return lint(c.OutOrStdout(), paths, strict, output.json())
	}
	return c
}

// lint checks the paths and prints what it found.
func lint(w io.Writer, paths []string, strict, asJSON bool) error {
	linted := config.LintPaths(paths)
	f := linted.Findings
	ok := f.Errors() == 0 && (!strict || f.Warnings() == 0)
	summary := fmt.Sprintf("%s, %s, %s", count(len(linted.Documents), "configuration"), count(f.Errors(), "error"), count(f.Warnings(), "warning"))
	if err := printLint(w, linted, summary, ok, asJSON); err != nil {
		return failWith(exitFailure, fmt.Errorf("print findings: %w", err))
	}
	if !ok {
		return failShown(exitUsage, errors.New(summary))
	}
	return nil
}

// count is a number and what it counts.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func printLint(w io.Writer, linted config.Linted, summary string, ok, asJSON bool) error {
	f := linted.Findings
	if !asJSON {
		err := f.Render(w, config.WantColor(w, os.LookupEnv))
		_, err2 := fmt.Fprintln(w, summary)
		return errors.Join(err, err2)
	}
	e := envelope{Command: "lint", OK: ok, Summary: summary, Result: lintResult{
		Documents: append([]string{}, linted.Documents...),
		Errors:    f.Errors(), Warnings: f.Warnings(),
		Findings: append(config.Findings{}, f...),
	}}
	if !ok {
		e.Error = firstFault(f)
	}
	return writeEnvelope(w, e)
}

// firstFault is the first error, or the first warning where there is no error.
func firstFault(f config.Findings) *fault {
	for i := range f {
		if f[i].Severity == config.Error || f.Errors() == 0 {
			return &fault{
				Code: f[i].Code, Message: f[i].Position() + ": " + f[i].Message, Path: f[i].Path,
				Line: f[i].Line, Column: f[i].Column, Suggestion: f[i].Suggestion, Fix: f[i].Fix,
			}
		}
	}
	return nil
}
