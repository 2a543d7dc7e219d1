// Package encode writes MySQL's binary log byte for byte: event headers,
// format descriptions, GTIDs, table maps with full row metadata, row images,
// binary JSON, checksums and compressed transaction payloads.
//
// It is the writing half of the protocol and shares no code with the reader,
// so that a mistake in one cannot hide behind the same mistake in the other.
// Formats follow MySQL's own documentation of the binary log (the
// mysql::binlog::event namespace, json_binary.h and the internals manual's row
// based replication pages).
//
// # Values
//
// A Row holds one Go value per column, nil for NULL. Table.Encode takes what is
// convenient and returns the canonical form, which is also what a SELECT
// prints:
//
//	integers      int64, or uint64 when unsigned; YEAR is int64
//	FLOAT, DOUBLE float64
//	DECIMAL       string with exactly the column's scale, "12.50"
//	BIT           uint64
//	text, ENUM, SET            string
//	binary                     []byte
//	DATE, TIME, DATETIME       string, "2026-11-20 10:10:10.123"
//	TIMESTAMP                  string like DATETIME, in UTC
//	JSON                       string as MySQL normalizes it, {"a": 1}; as a value that is
//	                           given also []byte, the binary document as it is
//
// Everything here is pure: no input, no output, no clock. A Table is immutable
// once New has returned it and may be used by several goroutines.
package encode
