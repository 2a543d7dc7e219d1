// Package binlog follows one MySQL or MariaDB server's binary log and hands
// its row changes to a Handler, exactly once per connection and in commit
// order, with the position from which a later reader goes on.
//
// What is not understood stops the reader before its position moves: event
// types are an allow-list, and settings that a session can flip (row image,
// binlog format, partial JSON, compression) are read of every event. A column
// that an image lacks is absent and never NULL: its reader decides. Changes of
// JSON documents, which MySQL logs with binlog_row_value_options=PARTIAL_JSON,
// are applied to the documents before them.
//
// # Parts
//
// A Reader is made of pieces that can be read one by one:
//
//   - dump and framer cut a connection into events and verify checksums. The
//     library's own syncer is not used: it asks the server to leave checksums
//     out, and ends every connection with a KILL of an id through a second one,
//     which hits a stranger once an address has moved to another server.
//   - machine follows the legal sequences of events and calls the Handler. It
//     has no goroutine, no lock and no clock. A new event type begins there.
//   - tableMap and its rows decode row images by a plan that is compiled once
//     per shape of a table, from the log itself: no schema is ever asked for.
//   - classify reads statements, only to find those that make rows vanish or
//     change without row events.
//   - GTIDSet and Position say what was read; server.resume refuses to go on
//     where something is missing.
//   - idle tells a server where nothing happens from one that hides it, by the
//     server's own clock.
//
// One Run is one connection. Who runs it again, after how long, is the caller's
// to decide, with Classify and Backoff:
//
//	for {
//		err := reader.Run(ctx, position, handler)
//		if ctx.Err() != nil {
//			return err
//		}
//		wait(backoff.Next(binlog.Classify(err)))
//	}
//
// # Memory
//
// One event is in memory at a time (Options.MaxEvent; of several readers the
// large ones, Options.Room). A compressed transaction is an event: its compressed
// bytes are held whole, for their checksum stands at the end, and decompressed a
// window and one of its events at a time. Beside them, while a JSON document that is logged
// as changes is rendered, a multiple of the bytes of the document and its
// changes. Nothing is read ahead but the socket's buffers, so a Handler that
// blocks stops the server's sending, and the memory of a shard does not depend on
// the size of its transactions.
//
// # Privileges
//
// REPLICATION SLAVE and REPLICATION CLIENT. No other is used, and nothing is
// written to the server.
package binlog
