// Package binlog follows one MySQL or MariaDB server's binary log and hands
// its row changes to a Handler, exactly once per connection and in commit
// order, with the position from which a later reader goes on.
//
// What is not understood stops the reader before its position moves: event
// types are an allow-list, and settings that a session can flip (row image,
// binlog format, partial JSON, compression) are checked on every event.
package binlog
