package binlog

import "fmt"

// partialJSON is the only bit of a row's value options: the row may hold
// changes of JSON documents in place of the documents.
const partialJSON = 1

// partialPrefix is the size of the length before the changes of a document,
// which is that of the length before a document.
const partialPrefix = 4

// jsonColumns lists the JSON columns, which are those that have a bit in
// every row of an update that may be partial, be they in its image or not.
func (m *tableMap) jsonColumns() ([]int, error) {
	var list []int
	for i := range m.columns {
		if c := &m.columns[i]; c.wire == wireJSON {
			if c.prefix != partialPrefix {
				return nil, m.failColumn(i, fmt.Errorf("a JSON document's length takes %d bytes, want %d", c.prefix, partialPrefix))
			}
			list = append(list, i)
		}
	}
	return list, nil
}

// partialBits reads what stands before an after image of an update that may be
// partial, and returns the offset behind it:
//
//	value options (lenenc),
//	if they are 1: bitmap of the JSON columns that hold changes, (n+7)/8
//
// bits is nil when no column does.
func (m *tableMap) partialBits(h *rowsHeader, body []byte, pos int) (bits []byte, next int, err error) {
	r := fieldReader{body[pos:]}
	options, ok := r.lenenc()
	if !ok {
		return nil, 0, m.fail(errTruncated)
	}
	switch options {
	case 0:
	case partialJSON:
		if bits, ok = r.bytes(uint64(len(h.json)+7) / 8); !ok {
			return nil, 0, m.fail(errTruncated)
		}
	default:
		return nil, 0, m.fail(fmt.Errorf("a row has the unknown value options %#x", options))
	}
	return bits, len(body) - len(r.b), nil
}

// splitPartial is splitImage for an after image of an update that may be partial.
func (m *tableMap) splitPartial(h *rowsHeader, body []byte, pos int) (int, error) {
	bits, pos, err := m.partialBits(h, body, pos)
	if err != nil {
		return 0, err
	}
	if pos, err = m.splitImage(1, h.after, body, pos); err != nil || bits == nil {
		return pos, err
	}
	before, after := m.images[0].cells, m.images[1].cells
	for bit, i := range h.json {
		slot := m.columns[i].slot
		if bits[bit/8]&(1<<(bit%8)) == 0 || after[slot].length < 0 {
			continue
		}
		if before[slot].length == cellAbsent {
			// Changes of a document that nobody has are no value.
			after[slot].length = cellAbsent
			continue
		}
		after[slot] = cell{offset: after[slot].offset - partialPrefix, length: cellPatched}
	}
	return pos, nil
}

// appendPatched appends a document of an after image that is there as changes
// of the one in the before image.
func (r *image) appendPatched(dst []byte, col int) ([]byte, error) {
	before := &r.m.images[0]
	at := before.cells[col]
	if at.length < 0 {
		return dst, r.fail(col, errDiffOfNull)
	}
	start := int(r.cells[col].offset)
	diffs := r.body[start+partialPrefix:][:prefixed(r.body, start, partialPrefix)]
	out, err := appendPatchedJSON(dst, before.body[at.offset:at.offset+uint32(at.length)], diffs)
	if err != nil {
		return dst, r.fail(col, err)
	}
	return out, nil
}
