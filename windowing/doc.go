// Package windowing folds the accepted records of a stream into the deltas of
// tumbling-window metrics. It is pure: no goroutine, no clock, no input or
// output. Whoever folds the same records from the same position gets the same
// deltas, which is what makes replays, crashes and two workers at once
// harmless: the store that merges the deltas refuses those whose start is not
// the position it holds.
//
// The words:
//
//   - A window is half open, [start, start+size), aligned to the Unix epoch in
//     UTC. Its start in seconds names it.
//   - The time of an event is its commit time, _ts_us, or that of a DATE,
//     DATETIME or TIMESTAMP column, which count as UTC. An image whose column is
//     NULL, no date, or outside of 1970 to 2255 is skipped and counted.
//   - The watermark of a partition at an offset is the lowest of the expected
//     shards' watermarks there, less the metric's lateness. A shard never heard
//     has none, and then the partition has none.
//   - A window ends by the watermark, also when a column gives the time: it is
//     closed when everything committed before its end has been read.
//   - An event is late when its window had ended, that is end <= watermark of
//     the event's own partition, before the event's record. This depends on
//     the log alone.
//   - rows: changes counts row changes: every accepted event with _op c, u or d
//     that passes the metric's condition counts once, with the columns as the
//     event carries them (the new row of an update, the last image of a
//     delete). A change of a row's key is two events, a delete and a create,
//     and counts twice. Rows read by a snapshot (_op r) are no changes and are
//     not counted.
//   - A value that _raw names, bytes that are no text in their character set, is
//     a group of its own, {"_raw":"base64"}. It has no place among the texts of
//     min and max: a metric stops at it.
//   - rows: inserts counts the events with _op c only: rows that entered the
//     view. A row that comes to meet the view's condition enters it, and so does
//     one whose key changes, under the new key.
//   - rows: latest counts the rows as they are: c puts an image into the window
//     and group that its own columns name, d takes it out, u takes out the image
//     before, which is the row with the columns of _old over it, and puts in the
//     one after. The condition is asked for each image by itself. An update that
//     changes nothing the metric reads does nothing.
//
// The legal sequence of a Fold:
//
//	(Start | Drop)* -> Add* -> Cut -> Commit -> Add* ...
//	                            \---> Drop (refused: load the positions and Start again)
package windowing
