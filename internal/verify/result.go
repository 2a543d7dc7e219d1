package verify

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Kind says what a difference is.
type Kind string

// The kinds of differences.
const (
	// Lost: the source has a row, or the stream an event, that did not arrive.
	Lost Kind = "lost"
	// Doubled: an event or a row of the lake counts twice.
	Doubled Kind = "doubled"
	// Altered: a value is another one.
	Altered Kind = "altered"
	// Extra: something is there that nothing at the source accounts for.
	Extra Kind = "extra"
	// Ambiguous: two rows of the source have the view's key, which must tell
	// rows apart.
	Ambiguous Kind = "ambiguous key"
	// Unreadable: a record or a row is not what the formats promise.
	Unreadable Kind = "unreadable"
	// Window: a value of a window is another one.
	Window Kind = "wrong window"
	// File: a file of the lake is missing or not the one that was committed.
	File Kind = "file"
	// Chain: the batches of the lake do not hang together.
	Chain Kind = "chain"
)

// Difference is one thing that is not as it must be. Values of masked columns
// are never part of it.
type Difference struct {
	Kind Kind `json:"kind"`
	// Part is rows, windows or lake.
	Part   string `json:"part"`
	View   string `json:"view,omitempty"`
	Shard  string `json:"shard,omitempty"`
	Table  string `json:"table,omitempty"`
	Key    string `json:"key,omitempty"`
	Column string `json:"column,omitempty"`
	Metric string `json:"metric,omitempty"`
	Window string `json:"window,omitempty"`
	Group  string `json:"group,omitempty"`
	// Where is a file, a manifest, or topic/partition@offset.
	Where    string `json:"where,omitempty"`
	LSN      string `json:"lsn,omitempty"`
	Expected string `json:"expected,omitempty"`
	Actual   string `json:"actual,omitempty"`
	// Text says the rest in words.
	Text string `json:"text"`
}

// String is the difference in one line.
func (d *Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:", d.Part, d.Kind)
	sep := " "
	for _, p := range []struct{ name, value string }{
		{"metric ", d.Metric}, {"window ", d.Window}, {"group ", d.Group}, {"view ", d.View}, {"shard ", d.Shard},
		{"", d.Table}, {"key ", d.Key}, {"column ", d.Column}, {"", d.Where}, {"lsn ", d.LSN},
	} {
		if p.value != "" {
			b.WriteString(sep + p.name + p.value)
			sep = ", "
		}
	}
	if d.Text != "" {
		b.WriteString(": " + d.Text)
	}
	if d.Expected != "" || d.Actual != "" {
		fmt.Fprintf(&b, ": expected %s, is %s", orNothing(d.Expected), orNothing(d.Actual))
	}
	return b.String()
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Result is what was compared and found.
type Result struct {
	// Tables counts physical tables, Views views.
	Tables int `json:"tables"`
	Views  int `json:"views"`
	// RowsCompared counts rows that both the source and the stream have,
	// ColumnsCompared their values.
	RowsCompared    int64 `json:"rows_compared"`
	ColumnsCompared int64 `json:"columns_compared"`
	// Unseen counts values that could not be compared, because the row's last
	// event was made under a schema without the column, or with one that is
	// gone. UnseenRows counts rows that no event can show: the stream began
	// after them.
	Unseen     int64 `json:"unseen"`
	UnseenRows int64 `json:"unseen_rows"`
	// Busy counts keys left out because a transaction touched them while the
	// snapshot was opened.
	Busy int64 `json:"busy"`
	// Events counts events that count, of the stream and of the lake where the
	// stream has them no more.
	Events int64 `json:"events"`
	// WindowsCompared counts windows, ValuesCompared their values. SkippedWindows
	// could not be compared: open, lost, or older than the stream.
	WindowsCompared int64 `json:"windows_compared"`
	ValuesCompared  int64 `json:"values_compared"`
	SkippedWindows  int64 `json:"windows_skipped"`
	// LakeFiles counts files whose bytes were checked, LakeRows their rows;
	// LakeRowsCompared those held against events of the stream.
	LakeFiles        int64 `json:"lake_files"`
	LakeRows         int64 `json:"lake_rows"`
	LakeRowsCompared int64 `json:"lake_rows_compared"`
	// LakeBehind counts rows of the stream that no batch holds yet.
	LakeBehind int64 `json:"lake_rows_behind"`
	// Found counts differences; Differences are the first of them.
	Found       int64        `json:"found"`
	Differences []Difference `json:"differences"`
	// Notes say what was not compared, and why.
	Notes []string `json:"notes,omitempty"`
	// Passes is how often the stream of a view was read for its rows, at most.
	Passes  int     `json:"passes"`
	Seconds float64 `json:"seconds"`
}

// Compared reports whether anything was compared at all.
func (r *Result) Compared() bool {
	return r.RowsCompared > 0 || r.WindowsCompared > 0 || r.LakeRows > 0
}

// findings collects differences up to a limit. It is safe for concurrent use.
type findings struct {
	mu sync.Mutex
	// passed says, by shard, what a person has taken out of the comparison's
	// reach: a difference of its rows may be of that.
	passed map[string]string
	limit  int
	found  int64
	list   []Difference
	notes  []string
}

func (f *findings) add(d Difference) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found++
	if why := f.passed[d.Shard]; why != "" && d.Part == "rows" {
		d.Text += " (" + why + ")"
	}
	if len(f.list) < f.limit {
		f.list = append(f.list, d)
	}
}

// note says something once.
func (f *findings) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(f.notes, text) {
		f.notes = append(f.notes, text)
	}
}
