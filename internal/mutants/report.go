package mutants

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Report is what a run over several mutants came to.
type Report struct {
	// Results are in the order of the run, Took is the time of all.
	Results []Result
	Took    time.Duration
}

// Count returns how many mutants have the verdict.
func (r Report) Count(v Verdict) int {
	n := 0
	for _, one := range r.Results {
		if one.Verdict == v {
			n++
		}
	}
	return n
}

// WriteLine writes one row of the table.
func (r Result) WriteLine(w io.Writer) {
	fmt.Fprintf(w, "%-8s %4.0fs  %-52s %s\n", r.Verdict, r.Took.Seconds(), r.Mutant.Name, r.Said)
}

// WriteSummary writes the sum of the table, and what to do about each mutant
// that was not killed.
func (r Report) WriteSummary(w io.Writer) {
	for _, one := range r.Results {
		switch m := one.Mutant; one.Verdict {
		case Survived:
			fmt.Fprintf(w, "survived: %s (%s): %s\n\t%s\n\tway out: make the test say what goes wrong, or name one that does\n", m.Name, m.At, m.For, one.Said)
		case Broken:
			fmt.Fprintf(w, "error: %s (%s): %s\n\tway out: correct the entry, or what it names\n", m.Name, m.At, one.Said)
		}
	}
	fmt.Fprintf(w, "%d mutants: %d killed, %d survived, %d errors, %.0f s\n",
		len(r.Results), r.Count(Killed), r.Count(Survived), r.Count(Broken), r.Took.Seconds())
}

// WriteJSON writes the sum as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	err := json.NewEncoder(w).Encode(map[string]any{
		"mutants": len(r.Results), "killed": r.Count(Killed), "survived": r.Count(Survived),
		"errors": r.Count(Broken), "seconds": r.Took.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("write the sum: %w", err)
	}
	return nil
}
