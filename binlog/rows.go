package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"tailwater/change"
)

// Event types that carry rows. Version 2 (since MySQL 5.6) has extra data
// behind the header; MariaDB writes version 1. rowsPartial is a rowsUpdateV2
// whose after images may hold changes of JSON documents in place of the
// documents: binlog_row_value_options=PARTIAL_JSON.
const (
	rowsWriteV1  = 23
	rowsUpdateV1 = 24
	rowsDeleteV1 = 25
	rowsWriteV2  = 30
	rowsUpdateV2 = 31
	rowsDeleteV2 = 32
	rowsPartial  = 39
)

// errNotRows means that an event type is none of those above.
var errNotRows = errors.New("event type carries no rows that are understood")

// rowsTableID returns the table id and the flags of a rows event; flag 1 is
// the end of the statement.
func rowsTableID(eventType byte, body []byte) (id uint64, flags uint16, err error) {
	if len(body) < tableMapHeader {
		return 0, 0, fmt.Errorf("parse rows event of type %d: %w", eventType, errTruncated)
	}
	return tableID(body), binary.LittleEndian.Uint16(body[6:]), nil
}

// rowsHeader is what a rows event says before its rows.
type rowsHeader struct {
	op change.Op
	// before and after are the plans of the images; nil where there is none.
	before, after []span
	// partial is true for rowsPartial; json are then the JSON columns.
	partial bool
	json    []int
	// start is the offset of the first row.
	start int
}

// parseRowsHeader reads a rows event up to its first row. The body is:
//
//	table id 6, flags 2,
//	version 2 only: length 2 (it counts itself), extra data,
//	column count (lenenc),
//	bitmap of the columns in the before image of an update or delete, or the
//	after image of a write, (n+7)/8,
//	update only: bitmap of the columns in the after image,
//	rows: null bitmap of the columns that are present, then their values;
//	before an after image of rowsPartial what partialBits reads
func (m *tableMap) parseRowsHeader(eventType byte, body []byte) (rowsHeader, error) {
	h := rowsHeader{op: change.Update}
	version2 := false
	switch eventType {
	case rowsWriteV1, rowsWriteV2:
		h.op, version2 = change.Create, eventType == rowsWriteV2
	case rowsDeleteV1, rowsDeleteV2:
		h.op, version2 = change.Delete, eventType == rowsDeleteV2
	case rowsUpdateV1, rowsUpdateV2:
		version2 = eventType == rowsUpdateV2
	case rowsPartial:
		h.partial, version2 = true, true
	default:
		return h, m.fail(fmt.Errorf("%w: %d", errNotRows, eventType))
	}
	if len(body) < tableMapHeader || len(body) > math.MaxInt32 {
		return h, m.fail(errTruncated)
	}
	if id := tableID(body); id != m.id {
		return h, m.fail(fmt.Errorf("the rows belong to table id %d, the table map to %d", id, m.id))
	}
	r := fieldReader{body[tableMapHeader:]}
	if version2 {
		size, ok := r.bytes(2)
		if !ok || binary.LittleEndian.Uint16(size) < 2 {
			return h, m.fail(errTruncated)
		}
		if _, ok = r.bytes(uint64(binary.LittleEndian.Uint16(size)) - 2); !ok {
			return h, m.fail(errTruncated)
		}
	}
	n, ok := r.lenenc()
	if !ok {
		return h, m.fail(errTruncated)
	}
	if n != uint64(len(m.columns)) {
		return h, m.fail(fmt.Errorf("the rows have %d columns, the table map %d", n, len(m.columns)))
	}
	if h.partial {
		var err error
		if h.json, err = m.jsonColumns(); err != nil {
			return h, err
		}
	}
	return h, m.presence(&h, &r, len(body))
}

// presence reads the bitmaps of the columns that are present.
func (m *tableMap) presence(h *rowsHeader, r *fieldReader, size int) error {
	width := uint64(len(m.columns)+7) / 8
	first, ok := r.bytes(width)
	if !ok {
		return m.fail(errTruncated)
	}
	if h.op == change.Create {
		h.after, m.presentAfter = m.present(first, m.presentAfter)
	} else {
		h.before, m.presentBefore = m.present(first, m.presentBefore)
	}
	if h.op == change.Update {
		second, ok := r.bytes(width)
		if !ok {
			return m.fail(errTruncated)
		}
		h.after, m.presentAfter = m.present(second, m.presentAfter)
	}
	h.start = size - len(r.b)
	if len(h.before)+len(h.after) == 0 {
		return m.fail(errors.New("the rows carry no column: binlog_row_image must be FULL, in every session"))
	}
	if len(r.b) == 0 {
		return m.fail(errors.New("the event carries no row"))
	}
	return nil
}

// present returns the plan of an image whose columns are those of bitmap. It
// builds it in buf, which it returns too, unless every column is there.
func (m *tableMap) present(bitmap []byte, buf []span) (spans, grown []span) {
	buf = buf[:0]
	for i := range m.all {
		if bitmap[i/8]&(1<<(i%8)) != 0 {
			buf = append(buf, m.all[i])
		}
	}
	if len(buf) == len(m.all) {
		return m.all, buf
	}
	return buf, buf
}

// rows calls fn for every row change of a rows event, in order. The rows that
// fn gets are valid until it returns. The first error ends the walk.
func (m *tableMap) rows(eventType byte, body []byte, fn func(op change.Op, before, after change.Row) error) error {
	if !m.compiled {
		return m.fail(errMetadataMinimal)
	}
	h, err := m.parseRowsHeader(eventType, body)
	if err != nil {
		return err
	}
	err = m.walk(&h, body, fn)
	// A table may wait long for its next event: it must not hold this one.
	m.images[0].body, m.images[1].body = nil, nil
	return err
}

// walk is rows behind the header.
func (m *tableMap) walk(h *rowsHeader, body []byte, fn func(op change.Op, before, after change.Row) error) (err error) {
	var before, after change.Row
	if h.op != change.Create {
		m.images[0].clear()
		before = &m.images[0]
	}
	if h.op != change.Delete {
		m.images[1].clear()
		after = &m.images[1]
	}
	for pos := h.start; pos < len(body); {
		if before != nil {
			if pos, err = m.splitImage(0, h.before, body, pos); err != nil {
				return err
			}
		}
		if after != nil {
			if h.partial {
				pos, err = m.splitPartial(h, body, pos)
			} else {
				pos, err = m.splitImage(1, h.after, body, pos)
			}
			if err != nil {
				return err
			}
		}
		if err := fn(h.op, before, after); err != nil {
			return err
		}
	}
	return nil
}

func (m *tableMap) splitImage(which int, spans []span, body []byte, pos int) (int, error) {
	next := m.images[which].split(spans, body, pos)
	if next < 0 {
		return 0, m.failSpan(spans, next)
	}
	return next, nil
}

// failSpan makes an error of what split returned for an image that is too
// short.
func (m *tableMap) failSpan(spans []span, result int) error {
	if i := -1 - result; i < len(spans) {
		for n := range m.columns {
			if m.columns[n].slot == int(spans[i].slot) {
				return m.failColumn(n, errTruncated)
			}
		}
	}
	return m.fail(errTruncated)
}

// count returns the number of row changes in a rows event. It walks the
// lengths of the images and looks at no value.
func (m *tableMap) count(eventType byte, body []byte) (int, error) {
	h, err := m.parseRowsHeader(eventType, body)
	if err != nil {
		return 0, err
	}
	rows := 0
	for pos := h.start; pos < len(body); rows++ {
		for i, spans := range [2][]span{h.before, h.after} {
			if i == 1 && h.partial {
				if _, pos, err = m.partialBits(&h, body, pos); err != nil {
					return 0, err
				}
			}
			if len(spans) == 0 {
				continue
			}
			if pos = skip(spans, body, pos); pos < 0 {
				return 0, m.failSpan(spans, pos)
			}
		}
	}
	return rows, nil
}
