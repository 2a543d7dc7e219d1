// Package verify holds what came out of a pipeline against what went in: the
// rows of the sources against the stream, the windows in Redis and the files
// of the lake against the stream's events.
//
// It is the oracle, so it shares as little as possible with what it judges. It
// reads the servers by SELECT, events by encoding/json, windows by a plain
// Redis client, and decides by rules of its own which events count. It
// evaluates views itself; expressions run in cel-go, never in the compiled plan
// of a view and never as native predicates. docs/verify.md says what is shared.
//
// # Rows
//
// One snapshot for each shard, between two reads of the executed transactions:
//
//	G1 -> START TRANSACTION WITH CONSISTENT SNAPSHOT -> G2 -> wait until the shard's position contains G2
//
// The stream is folded to its last event for each key, leaving out events of
// transactions beyond G2; keys that a transaction between G1 and G2 touches are
// left out, and counted. What is left must equal the snapshot, column by
// column. Nothing is written to a server, and no lock is taken.
//
// Memory is bounded by the number of keys held at once: the keys are divided by
// their hash, and the stream and the tables are read once for each part. An
// entry is the key's hash, the lsn, the schema and a hash of the values; what
// differs is looked up again for its text.
package verify
