package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"tailwater/change"
)

// tableMap is one parsed TABLE_MAP event: the table's shape, and for every
// column the plan that splits a row image and renders its cells.
//
// A tableMap renders rows into buffers of its own, so it belongs to one
// goroutine. The body of the event is, after the common header:
//
//	table id 6, flags 2,
//	length 1, database, 0, length 1, table, 0,
//	column count n (lenenc), n column types,
//	length (lenenc), type metadata,
//	null bitmap (n+7)/8,
//	optional metadata: (type 1, length lenenc, value)*
//
// Integers are little endian, lenenc is the length-encoded integer of the
// client protocol, bitmaps start at the lowest bit of the first byte except
// those of the optional metadata, which start at the highest.
type tableMap struct {
	id    uint64
	body  []byte
	table change.Table
}

// tableMapHeader is the length of the table id and the flags.
const tableMapHeader = 8

var (
	errTruncated = errors.New("event ends inside a field")
	// errMetadataMinimal means that the server does not log column names: no
	// row can be understood until binlog_row_metadata is FULL.
	errMetadataMinimal = errors.New("the server logs no column names: run SET GLOBAL binlog_row_metadata=FULL")
)

// parseTableMap compiles body, the TABLE_MAP event without its common header
// and checksum. It keeps a copy of body, so the caller may reuse it. The error
// is errMetadataMinimal when the server did not log the column names.
func parseTableMap(body []byte) (*tableMap, error) {
	id, db, table, err := tableMapName(body)
	if err != nil {
		return nil, err
	}
	return &tableMap{id: id, body: bytes.Clone(body), table: change.Table{Database: string(db), Name: string(table)}}, nil
}

// parseTableShape is parseTableMap for a table that is not followed: it needs
// no optional metadata, and its result can count rows but not render them.
func parseTableShape(body []byte) (*tableMap, error) { return parseTableMap(body) }

// same reports whether body is the event that m was made of, byte for byte.
func (m *tableMap) same(body []byte) bool { return bytes.Equal(m.body, body) }

// Table returns the table's shape as of the event. It does not change and
// outlives m.
func (m *tableMap) Table() *change.Table { return &m.table }

// tableMapName returns the table id and the names of a TABLE_MAP body. The
// names alias body.
func tableMapName(body []byte) (id uint64, db, table []byte, err error) {
	fail := func() (uint64, []byte, []byte, error) {
		return 0, nil, nil, fmt.Errorf("parse table map: %w", errTruncated)
	}
	if len(body) < tableMapHeader+1 {
		return fail()
	}
	id = uint64(binary.LittleEndian.Uint32(body)) | uint64(binary.LittleEndian.Uint16(body[4:]))<<32
	rest := body[tableMapHeader:]
	for _, name := range []*[]byte{&db, &table} {
		if len(rest) < 2 || len(rest) < int(rest[0])+2 {
			return fail()
		}
		*name, rest = rest[1:1+int(rest[0])], rest[2+int(rest[0]):]
	}
	return id, db, table, nil
}
