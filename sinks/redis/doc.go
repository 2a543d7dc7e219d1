// Package redis keeps the windows of metrics in Redis, exactly once.
//
// Workers hold no state of their own: Redis is where their deltas merge. A
// Worker folds records into deltas (package windowing) and sends them with one
// Lua script per metric, or per bucket of a wide one, that, atomically,
// compares the stored position of every partition with the one the deltas
// start from, refuses them if any differs, merges them, stores the new
// positions, marks and watermarks, closes the windows whose end the stored
// watermarks have reached, and deletes those that are no longer kept. So a
// replay, a lost reply, a second worker, a failover that lost the last second
// and a wiped server all end the same way: the script refuses, the worker
// loads the positions and folds again.
//
// Each publication of a window is also an entry of the metric's stream of
// events, written by the same script.
//
// The groups of a wide metric are divided into buckets, each with keys,
// positions and windows of its own, so that it lies on several nodes of a
// cluster. Readers see the buckets of a window as one.
//
// At every moment each window at or above the metric's floor equals the fold
// of the log up to the stored positions. docs/format/redis-keys.md describes
// every key, field and byte.
//
// What the scripts keep to:
//
//   - Redis undoes nothing, so everything is read and checked before the first
//     write, nothing that can fail follows it, and the marker "open" stands
//     while a script writes. A script that finds it answers CORRUPT, and the
//     metric is rebuilt from the log.
//   - Every key is declared. A window whose keys are not is left for the next
//     script, which the reply asks for.
//   - No value that a double could round becomes a Lua number: values are
//     decimal text, added in limbs of nine digits.
package redis
