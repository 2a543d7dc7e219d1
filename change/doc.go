// Package change holds the words that every other package shares: the order
// key of a change (LSN), the shape of a table (Table, Column), the schema of a
// view (Schema) and the way a row hands out its values (Row).
//
// It imports the standard library only and knows no transport, no store and no
// clock, so that readers, streams, windows and the lake can agree on it
// without knowing each other.
package change
