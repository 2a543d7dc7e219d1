// Package check holds what a pipeline has delivered against what the servers
// say was committed, from outside: it asks the servers by SQL, the log by a
// Kafka client, Redis by its client and the lake by DuckDB, and knows of the
// pipeline nothing but what docs/format promises. It imports no package of this
// module, so no mistake can be in both.
//
// Every transaction of the workload has one row in a ledger: its number, how
// many rows it changed, and a digest of them. The ledger in the servers is the
// truth. Checked against it are
//
//   - Transactions: each committed one is in the stream once and whole, in the
//     order of its lane, and nothing that was rolled back; the events of a key
//     stand in one partition and never go backwards;
//   - Fold: the stream folded by key is what SELECT shows;
//   - Windows: the values in Redis are the sums of the ledger by commit time,
//     and by the time in the row;
//   - Lake: the Parquet files hold each event of the stream once, and no other.
//
// The checks are functions of what was read, so that a test can doctor it. Each
// returns what it looked at and what is wrong.
package check

import "fmt"

// Violation is one thing that is not as it was promised.
type Violation struct {
	// Kind is the check: transaction, order, key, fold, window or lake.
	Kind string `json:"kind"`
	// Text names the place and says what it got and what it wants.
	Text string `json:"text"`
}

// String returns the violation in a line.
func (v Violation) String() string { return v.Kind + ": " + v.Text }

// kept bounds the violations of one check that are described; all are counted.
const kept = 20

// Findings are the violations of one check.
type Findings struct {
	// Looked counts what was compared; a check that compared nothing proves
	// nothing.
	Looked int64
	// Count is the number of violations, First the first of them.
	Count int64
	First []Violation
}

func (f *Findings) add(kind, format string, args ...any) {
	if f.Count++; len(f.First) < kept {
		f.First = append(f.First, Violation{kind, fmt.Sprintf(format, args...)})
	}
}

// Merge adds what another check has found.
func (f *Findings) Merge(o Findings) {
	f.Looked += o.Looked
	f.Count += o.Count
	f.First = append(f.First, o.First...)
}
