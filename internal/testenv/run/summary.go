package main

import (
	"fmt"
	"io"
	"time"
)

// summary is what the last lines say.
type summary struct {
	allowMissing bool
	missing      []string
	results      []result
	problems     []string
}

func (s *summary) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// findings names everything that fails the run.
func (s *summary) findings() []string {
	out := append([]string(nil), s.problems...)
	for _, r := range s.results {
		if r.failed > 0 {
			out = append(out, fmt.Sprintf("suite %q: %d failed", r.suite, r.failed))
		}
		if r.cases == 0 {
			out = append(out, fmt.Sprintf("suite %q: no test was found", r.suite))
		}
	}
	if len(s.missing) > 0 && !s.allowMissing {
		out = append(out, "servers or tools are missing (ALLOW_MISSING=1 goes on without)")
	}
	return out
}

func (s *summary) failed() bool { return len(s.findings()) > 0 }

func (s *summary) print(w io.Writer, took time.Duration) {
	if len(s.results) > 0 {
		fmt.Fprintf(w, "\n%-16s %7s %7s %8s %8s\n", "suite", "cases", "failed", "skipped", "minutes")
	}
	for _, r := range s.results {
		fmt.Fprintf(w, "%-16s %7d %7d %8d %8.1f\n", r.suite, r.cases, r.failed, len(r.skipped), r.took.Minutes())
	}
	for _, r := range s.results {
		for _, name := range r.skipped {
			fmt.Fprintf(w, "skipped: %s\n", name)
		}
	}
	for _, line := range s.missing {
		fmt.Fprintln(w, line)
	}
	findings := s.findings()
	for _, line := range findings {
		fmt.Fprintf(w, "FAILED: %s\n", line)
	}
	verdict := "passed"
	if len(findings) > 0 {
		verdict = "FAILED"
	} else if len(s.missing) > 0 {
		verdict = "passed, except what is missing,"
	}
	fmt.Fprintf(w, "make test: %s in %.1f minutes\n", verdict, took.Minutes())
}
