package encode

import "encoding/binary"

// flagEndOfStatement closes a statement's last row event.
const flagEndOfStatement = 1

// AppendRowsHeader appends the fixed part of a WRITE, UPDATE or DELETE rows
// event (version 2) whose images carry every column of a table with the given
// number of columns. The images follow it: one a row, or before and after for
// an update.
func AppendRowsHeader(dst []byte, typ byte, tableID uint64, columns int, last bool) []byte {
	dst = appendUint(dst, tableID, 6)
	flags := uint16(0)
	if last {
		flags = flagEndOfStatement
	}
	dst = binary.LittleEndian.AppendUint16(dst, flags)
	dst = binary.LittleEndian.AppendUint16(dst, 2) // extra data: its own length only
	dst = appendLength(dst, uint64(columns))
	dst = appendAllPresent(dst, columns)
	if typ == TypeUpdateRows {
		dst = appendAllPresent(dst, columns)
	}
	return dst
}

// appendAllPresent appends a bitmap of n ones.
func appendAllPresent(dst []byte, n int) []byte {
	for ; n >= 8; n -= 8 {
		dst = append(dst, 0xff)
	}
	if n > 0 {
		dst = append(dst, 1<<n-1)
	}
	return dst
}

// TransactionPayload appends the body of the event that holds a transaction's
// other events compressed: type, length, value triples, an end mark, the data.
// uncompressed is the length before compression with zstd.
func TransactionPayload(dst, compressed []byte, uncompressed int) []byte {
	const (
		fieldEnd          = 0
		fieldSize         = 1
		fieldAlgorithm    = 2
		fieldUncompressed = 3
		zstd              = 0
	)
	field := func(typ byte, v uint64) {
		dst = append(dst, typ, byte(lengthSize(v)))
		dst = appendLength(dst, v)
	}
	field(fieldAlgorithm, zstd)
	field(fieldUncompressed, uint64(uncompressed))
	field(fieldSize, uint64(len(compressed)))
	dst = append(dst, fieldEnd)
	return append(dst, compressed...)
}
