// Package events prints the row changes of one server as JSON lines, without a
// stream, a state or a configuration.
//
// A line is the event of docs/format/event.md, made by the same renderer: of
// every table the view that selects each of its columns, keyed by the primary
// key. Two things differ, because there is no stream: the epoch of _lsn is 0,
// which no stream has, so its order holds within one run; and there is no
// _schema, as nothing holds schemas. A table without a primary key has no key,
// and its updates are always u. With Options.Envelope a line is what
// docs/format/envelopes.md says of another system's event.
//
// Whole transactions are printed, in their order. One is held in memory until
// its commit has been read, up to Options.MaxTransaction; a larger one ends the
// run before any of it is printed. It is not spilled to a disk: whoever prints
// events of that size raises the bound knowingly.
//
// A table that is emptied, dropped or renamed is an event like those of rows. What
// stops a reader, such as a statement that cannot be placed, ends the run behind
// the transactions before it.
//
// # Goroutines
//
// The reader's goroutine renders into one buffer while another goroutine writes
// the other, so that lines gather exactly as long as the output is busy, and a
// line never waits for a second one.
package events
