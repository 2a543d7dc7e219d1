package binlog

import (
	"errors"

	"tailwater/change"
)

// span is what the walk over a row image needs to know of one column, packed
// so that a wide table's plan stays in the cache.
type span struct {
	size   uint32
	prefix uint8
	slot   uint16
}

// cell is where a value lies in the event's body, or that there is none.
type cell struct {
	offset uint32
	// length is the length of the value, or one of those below.
	length int32
}

const (
	cellNull   = -1
	cellAbsent = -2
	// cellPatched is a JSON document that is there as changes of the one in the
	// before image; offset is that of their length.
	cellPatched = -3
)

var (
	errAbsent    = errors.New("the row image does not carry the column: binlog_row_image must be FULL, in every session")
	errNoSuchRow = errors.New("the table has no such column")
	errDocument  = errors.New("a text in the JSON document is not UTF-8")
)

// image is one row image, split into cells. It implements change.Row and is
// reused for every row of its table.
type image struct {
	m       *tableMap
	columns []*column
	cells   []cell
	body    []byte
}

var (
	_ change.DocumentRow = (*image)(nil)
	_ change.RawRow      = (*image)(nil)
)

// State implements change.Row.
func (r *image) State(col int) change.CellState {
	if uint(col) >= uint(len(r.m.table.Columns)) {
		return change.Absent
	}
	switch r.cells[col].length {
	case cellAbsent:
		return change.Absent
	case cellNull:
		return change.Null
	}
	return change.Present
}

// AppendJSON implements change.Row. After an error dst is as it was.
func (r *image) AppendJSON(dst []byte, col int) ([]byte, error) {
	if uint(col) >= uint(len(r.m.table.Columns)) {
		return dst, r.m.fail(errNoSuchRow)
	}
	at := r.cells[col]
	if at.length < 0 {
		switch at.length {
		case cellNull:
			return append(dst, "null"...), nil
		case cellPatched:
			return r.appendPatched(dst, col)
		}
		return dst, r.fail(col, errAbsent)
	}
	c := r.columns[col]
	out, err := c.append(c, dst, r.body[at.offset:at.offset+uint32(at.length)])
	if err != nil {
		return dst, r.fail(col, err)
	}
	return out, nil
}

// AppendDocument implements change.DocumentRow. After an error dst is as it was.
func (r *image) AppendDocument(dst []byte, col int) ([]byte, error) {
	if uint(col) >= uint(len(r.m.table.Columns)) {
		return dst, r.m.fail(errNoSuchRow)
	}
	at, c := r.cells[col], r.columns[col]
	if at.length < 0 || c.wire != wireJSON {
		text, err := r.AppendJSON(nil, col)
		if err != nil {
			return dst, err
		}
		out, ok := appendEscaped(append(dst, '"'), text)
		if !ok {
			return dst, r.fail(col, errDocument)
		}
		return append(out, '"'), nil
	}
	out, err := appendJSONString(dst, r.body[at.offset:at.offset+uint32(at.length)])
	if err != nil {
		return dst, r.fail(col, err)
	}
	return out, nil
}

// AppendRaw implements change.RawRow.
func (r *image) AppendRaw(dst []byte, col int) ([]byte, error) {
	if uint(col) >= uint(len(r.m.table.Columns)) {
		return dst, r.m.fail(errNoSuchRow)
	}
	at, c := r.cells[col], r.columns[col]
	if at.length < 0 {
		return dst, r.fail(col, errAbsent)
	}
	return c.appendRaw(dst, r.body[at.offset:at.offset+uint32(at.length)]), nil
}

func (r *image) fail(col int, err error) error {
	return &tableError{
		Database: r.m.table.Database, Table: r.m.table.Name, Column: r.columns[col].Name, Err: err,
	}
}

// clear makes every cell absent, for events that carry only some columns.
func (r *image) clear() {
	for i := range r.cells {
		r.cells[i] = cell{length: cellAbsent}
	}
}

// split finds the cells of the image that starts at body[pos:], whose columns
// are those of spans, and returns the offset behind it. A column with a length
// that points behind the body's end makes it fail with -1-i, where i is the
// column's index in spans.
func (r *image) split(spans []span, body []byte, pos int) int {
	nulls := body[pos:]
	n := (len(spans) + 7) / 8
	if n > len(nulls) {
		return -1
	}
	nulls = nulls[:n]
	pos += n
	cells := r.cells
	r.body = body
	for i := range spans {
		s := &spans[i]
		if nulls[uint(i)/8]&(1<<(uint(i)%8)) != 0 {
			cells[s.slot] = cell{length: cellNull}
			continue
		}
		size := int(s.size)
		if s.prefix != 0 {
			if size = prefixed(body, pos, int(s.prefix)); size < 0 {
				return -1 - i
			}
			pos += int(s.prefix)
		}
		if size > len(body)-pos {
			return -1 - i
		}
		cells[s.slot] = cell{offset: uint32(pos), length: int32(size)}
		pos += size
	}
	return pos
}

// skip is split without the cells.
func skip(spans []span, body []byte, pos int) int {
	nulls := body[pos:]
	n := (len(spans) + 7) / 8
	if n > len(nulls) {
		return -1
	}
	nulls = nulls[:n]
	pos += n
	for i := range spans {
		s := &spans[i]
		if nulls[uint(i)/8]&(1<<(uint(i)%8)) != 0 {
			continue
		}
		size := int(s.size)
		if s.prefix != 0 {
			if size = prefixed(body, pos, int(s.prefix)); size < 0 {
				return -1 - i
			}
			pos += int(s.prefix)
		}
		if size > len(body)-pos {
			return -1 - i
		}
		pos += size
	}
	return pos
}

// prefixed reads a length of n bytes, little endian, at body[pos:]. It returns
// -1 when the body ends before.
func prefixed(body []byte, pos, n int) int {
	if n > len(body)-pos {
		return -1
	}
	switch b := body[pos:]; n {
	case 1:
		return int(b[0])
	case 2:
		return int(b[0]) | int(b[1])<<8
	case 3:
		return int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	default:
		return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 | int(b[3])<<24
	}
}
