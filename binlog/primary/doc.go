// Package primary is a MySQL primary inside the process: it keeps tables in
// memory, writes a real binary log of every change, and serves both over the
// MySQL protocol on loopback, so that real replication clients and real SQL
// drivers can be tested and demonstrated without a server.
//
// # What it serves
//
// COM_BINLOG_DUMP and COM_BINLOG_DUMP_GTID to any number of followers, with
// live tail, heartbeats at the period asked for, checksum negotiation and
// purged files; the queries that a reader's preflight, an ordinary client and a
// table verifier send (see package minisql); consistent snapshots; KILL.
//
// # What it promises
//
// Transactions commit one after the other. A commit makes its events, its rows
// and its GTID visible together, so when gtid_executed reads the same before and
// after a consistent snapshot is opened, the snapshot holds exactly those
// transactions. Files look like MySQL's own:
// magic, format description, PREVIOUS_GTIDS, then
//
//	(GTID QUERY(BEGIN) (TABLE_MAP+ ROWS+)* XID | GTID QUERY(DDL))* ROTATE?
//
// # Memory
//
// Tables and the current file are in memory. Finished files are kept in memory
// up to Options.KeepBytes, or in Options.Dir when that is set; beyond KeepBytes
// the oldest are purged, except those that a follower is reading, and
// gtid_purged moves. The bound is KeepBytes (or, with Dir, one file) + FileBytes
// + the largest transaction, twice while the file grows.
//
// # Faults
//
// Faults are methods of the Server: Cut, CutAfter, Silence, Slow, FlipBit,
// SendError, WriteEvent, RotateStorm, Down and Up. Each says what a follower
// sees.
package primary
