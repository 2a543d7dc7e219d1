package config

import (
	"cmp"
	"slices"
)

// Severity says what a finding does to the pipeline.
type Severity string

// The severities. An error stops the pipeline from starting, a warning does not.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong with a file.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code names the kind of mistake and is stable: unknown-key, bad-size, …
	Code    string `json:"code"`
	Message string `json:"message"`
	// Path is the key from the root, such as sources.orders.server_id.
	Path string `json:"path,omitempty"`
	File string `json:"file"`
	// Line and Column count from 1, Column in characters. Both are 0 when the
	// finding is about the file as a whole.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Suggestion says what to do.
	Suggestion string `json:"suggestion,omitempty"`
	// Fix is the text to put in place of what stands at Line and Column.
	Fix string `json:"fix,omitempty"`
	// Excerpt is the source line, secrets replaced.
	Excerpt string `json:"excerpt,omitempty"`

	// caret is the column in Excerpt.
	caret int
}

// Findings are what Load and Lint return, in the order of the file.
type Findings []Finding

// Errors counts the findings that stop the pipeline from starting.
func (f Findings) Errors() int { return f.count(Error) }

// Warnings counts the others.
func (f Findings) Warnings() int { return f.count(Warning) }

func (f Findings) count(s Severity) int {
	n := 0
	for i := range f {
		if f[i].Severity == s {
			n++
		}
	}
	return n
}

// sort puts findings in the order of the file, and drops repetitions.
func (f Findings) sort() Findings {
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.CompactFunc(f, func(a, b Finding) bool { return a == b })
}
