package view

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/expr"
	"tailwater/internal/jsontext"
)

// Plan turns the row changes of one table shape into the events of one view.
// It reuses its memory from change to change and is not safe for concurrent
// use: every shard compiles its own.
type Plan struct {
	view, shard string
	table       *change.Table
	schema      change.Schema
	src         *source
	where       *expr.Predicate
	// cells are the view's columns, and behind the first shown ones the parts
	// of the key that the view does not show.
	cells []cell
	shown int
	// key are the cells of the key.
	key []int
	// needs are the columns of the table without which no event can be made.
	needs []int

	// head, names and print are the texts between the metadata that changes.
	head, names, print []byte
	gtid, old          bool
	meta               meta
	// envelope writes the events of another form; nil is the flat one.
	envelope envelope.Renderer
	event    envelope.Event

	before, after image
	// out holds the values of the events of one change.
	out, scratch []byte
	parts        int
}

// image is one row image, rendered: buf holds the members of the shown cells
// as they stand in an event, then the other cells. Cell i is at places[i].
type image struct {
	buf    []byte
	places []place
	key    []byte
	// raw are the cells, ascending, that hold the base64 of bytes in place of a
	// text: they are not valid in its character set.
	raw []int
}

// place is where a cell begins and ends in an image.
type place struct{ start, end int }

func (m *image) cell(i int) []byte { return m.buf[m.places[i].start:m.places[i].end] }

// members are those of the first n cells, from the comma before them on.
func (m *image) members(n int) []byte {
	if n == 0 {
		return nil
	}
	return m.buf[:m.places[n-1].end]
}

// Cell is cell for who writes the image in another form.
func (m *image) Cell(i int) []byte { return m.cell(i) }

// maxParts is how many events one change may become: LSN.Part has 16 bits.
const maxParts = 1<<16 - 1

// need adds columns of the source to those without which no event can be made.
func (p *Plan) need(cols []int) { p.needs = append(p.needs, cols...) }

// Schema returns the shape of the plan's events. A copied column has the type
// of the table's, a masked one and a path into a JSON column are text, an
// expression has the type that its operations give it. The slices are the
// plan's own.
func (p *Plan) Schema() change.Schema { return p.schema }

// Apply hands the events of one row change to emit, in order of LSN:
//
//	Create, Read  the row is in the view: one event, c or r
//	Delete        the row was in the view: d
//	Update        it was and is, with the same key: u
//	              it was and is, under another key: d of the old, c of the new
//	              it enters: c; it leaves: d of the image that was in the view
//
// An error of emit is returned as it is. Any other error names the view and
// what it could not do, and nothing of the change was handed over; it must
// stop the shard, or the row would be lost.
func (p *Plan) Apply(c *Change, emit func(Event) error) error {
	err := p.apply(c, emit)
	// What a huge row has grown is given up now, not when the next row comes.
	p.out, p.before.buf, p.after.buf = kept(p.out), kept(p.before.buf), kept(p.after.buf)
	return err
}

// apply is Apply, and leaves the memory as it is.
func (p *Plan) apply(c *Change, emit func(Event) error) error {
	p.out, p.parts = kept(p.out), 0
	before, after, err := p.images(c)
	p.src.row = nil
	if err != nil {
		return fmt.Errorf("view %s: %w", p.view, err)
	}
	switch {
	case before && after && bytes.Equal(p.before.key, p.after.key):
		return p.emit(c, change.Update, &p.after, emit)
	case before && after:
		if err := p.emit(c, change.Delete, &p.before, emit); err != nil {
			return err
		}
		return p.emit(c, change.Create, &p.after, emit)
	case before:
		return p.emit(c, change.Delete, &p.before, emit)
	case after && c.Op == change.Read:
		return p.emit(c, change.Read, &p.after, emit)
	case after:
		return p.emit(c, change.Create, &p.after, emit)
	}
	return nil
}

// images renders the images of a change that are in the view.
func (p *Plan) images(c *Change) (before, after bool, err error) {
	wantBefore := c.Op == change.Update || c.Op == change.Delete
	wantAfter := c.Op != change.Delete
	switch {
	case !c.Op.Valid():
		return false, false, fmt.Errorf("a change has the unknown operation %q", c.Op)
	case wantBefore != (c.Before != nil) || wantAfter != (c.After != nil):
		return false, false, fmt.Errorf("a change with operation %q has the wrong images", c.Op)
	case c.Shard != p.shard:
		return false, false, fmt.Errorf("a change of shard %q came to the plan of shard %q", c.Shard, p.shard)
	}
	if wantBefore {
		if before, err = p.take(c.Before, &p.before); err != nil {
			return false, false, err
		}
	}
	if wantAfter {
		after, err = p.take(c.After, &p.after)
	}
	return before, after, err
}

// take renders a row image if the view takes it.
func (p *Plan) take(row change.Row, m *image) (bool, error) {
	for _, i := range p.needs {
		if row.State(i) == change.Absent {
			return false, fmt.Errorf("table %s.%s: a row image has no column %s: the session that wrote it used a smaller binlog_row_image (set it to FULL on the server and in every session), or the column is a generated one of MariaDB, which leaves them out of updates and deletes (take it out of the view, by select or masking: drop)", p.table.Database, p.table.Name, p.table.Columns[i].Name)
		}
	}
	p.src.row = row
	if p.where != nil {
		ok, err := p.where.Eval(p.src)
		if err != nil {
			return false, fmt.Errorf("key %s, where: %w", p.keyForError(), err)
		}
		if !ok {
			return false, nil
		}
	}
	m.buf, m.raw = kept(m.buf), m.raw[:0]
	for i := range p.cells {
		c := &p.cells[i]
		if i < p.shown {
			m.buf = append(m.buf, c.key...)
		}
		start := len(m.buf)
		var raw bool
		var err error
		if m.buf, raw, err = p.appendCell(m.buf, c); err != nil {
			return false, fmt.Errorf("key %s, select.%s: %w", p.keyForError(), c.name, err)
		}
		if raw {
			m.raw = append(m.raw, i)
		}
		m.places[i] = place{start, len(m.buf)}
	}
	m.key = append(kept(m.key), '[')
	for n, i := range p.key {
		m.key = appendKeyPart(m.key, n, m.cell(i), m.isRaw(i))
	}
	m.key = append(m.key, ']')
	return true, nil
}

// appendKeyPart appends the text of a cell as a JSON string; NULL is null, and
// bytes in place of a text are an object, which is the key of no text.
func appendKeyPart(dst []byte, n int, cell []byte, raw bool) []byte {
	if n > 0 {
		dst = append(dst, ',')
	}
	if raw {
		return append(append(append(dst, `{"_raw":`...), cell...), '}')
	}
	if cell[0] == '"' || string(cell) == "null" {
		return append(dst, cell...)
	}
	return jsontext.AppendQuoted(dst, cell)
}

// keyForError renders the key of the row at hand for an error's text, behind
// the masks as everywhere.
func (p *Plan) keyForError() string {
	key := []byte{'['}
	for n, i := range p.key {
		cell, raw, err := p.appendCell(nil, &p.cells[i])
		if err != nil {
			return "unknown"
		}
		key = appendKeyPart(key, n, cell, raw)
	}
	return string(append(key, ']'))
}

var errEmptyCell = errors.New("the row gives no text for the column")

// appendCell appends the JSON text of one cell of the row at hand; raw says that
// it is the base64 of bytes that are not valid in the column's character set.
// Only a copy can be that: what is computed of such a text would be a guess.
func (p *Plan) appendCell(dst []byte, c *cell) (out []byte, raw bool, err error) {
	start := len(dst)
	switch c.kind {
	case cellConstant:
		return append(dst, c.text...), false, nil
	case cellCopy:
		dst, err = p.src.AppendJSON(dst, c.col)
		if raw = err != nil && errors.Is(err, change.ErrInvalidText); raw {
			dst, err = p.src.AppendRaw(dst[:start], c.col)
		}
	case cellDocument:
		dst, err = p.appendDocument(dst, c.col)
	case cellValue:
		dst, err = c.value.AppendJSON(dst, p.src)
	}
	if err != nil {
		return dst, false, err
	}
	if len(dst) == start {
		return dst, false, errEmptyCell
	}
	if c.quote != quoteNone {
		dst = quoteNumber(dst, start, c.quote)
	}
	return dst, raw, nil
}

// appendDocument appends the text of a JSON column as a JSON string.
func (p *Plan) appendDocument(dst []byte, col int) ([]byte, error) {
	if p.src.State(col) == change.Null {
		return append(dst, "null"...), nil
	}
	if row, ok := p.src.documents(col); ok {
		return row.AppendDocument(dst, col)
	}
	doc, err := p.src.AppendJSON(p.scratch[:0], col)
	if err != nil {
		return dst, err
	}
	p.scratch = kept(doc)
	if len(doc) == 0 {
		return dst, errEmptyCell
	}
	return jsontext.AppendQuoted(dst, doc), nil
}

// quoteNumber makes the number at the end of dst a JSON string, if it is one
// that JavaScript and others cannot hold.
func quoteNumber(dst []byte, start int, q quoting) []byte {
	text := dst[start:]
	if text[0] != '-' && (text[0] < '0' || text[0] > '9') || q == quoteBig && !beyond53(text) {
		return dst
	}
	dst = append(dst, 0, '"')
	copy(dst[start+1:], dst[start:len(dst)-2])
	dst[start] = '"'
	return dst
}

// beyond53 reports whether a whole number is larger than 2^53 in size.
func beyond53(text []byte) bool {
	const limit = "9007199254740992"
	if text[0] == '-' {
		text = text[1:]
	}
	return len(text) > len(limit) || len(text) == len(limit) && string(text) > limit
}

// emit builds the event of an image and hands it over.
func (p *Plan) emit(c *Change, op change.Op, m *image, emit func(Event) error) error {
	if p.parts >= maxParts {
		return fmt.Errorf("view %s, key %s: one change becomes more than %d events: narrow where, or split the view", p.view, m.key, maxParts)
	}
	lsn := c.LSN
	lsn.Part = uint16(p.parts)
	p.parts++
	if p.envelope != nil {
		return p.emitAs(c, op, lsn, m, emit)
	}
	start := len(p.out)
	p.meta.of(p, c)
	// With the most that the rest of an event takes, so that it is made once.
	need := len(m.buf) + len(p.meta.front) + len(p.meta.back) + 128
	if op == change.Update && p.old {
		need += len(p.before.buf)
	}
	out := append(slices.Grow(p.out, need), `{"_op":"`...)
	out = append(out, byte(op))
	out = append(out, p.meta.front...)
	out = lsn.Append(out)
	out = append(out, p.meta.back...)
	if len(m.raw) > 0 {
		out = p.appendRaw(out, m, nil, [2]string{`,"_raw":[`, `]`})
	}
	out = append(out, m.members(p.shown)...)
	if op == change.Update && p.old {
		out = p.appendOld(out)
	}
	p.out = append(out, '}')
	return emit(Event{Op: op, LSN: lsn, Key: m.key, Value: p.out[start:], Raw: len(m.raw)})
}

// meta is the metadata of an event but for _op and _lsn: all rows of a
// transaction share it.
type meta struct {
	micros int64
	gtid   []byte
	// front stands between _op and the digits of _lsn, back behind them.
	front, back []byte
}

// of makes the metadata that of c's transaction.
func (t *meta) of(p *Plan, c *Change) {
	if len(t.front) > 0 && t.micros == c.TSMicros && string(t.gtid) == c.GTID {
		return
	}
	t.micros, t.gtid = c.TSMicros, append(t.gtid[:0], c.GTID...)
	t.front = strconv.AppendInt(append(t.front[:0], p.head...), c.TSMicros, 10)
	t.front = append(t.front, `,"_lsn":"`...)
	t.back = append(append(t.back[:0], '"'), p.names...)
	if p.gtid {
		t.back = jsontext.AppendQuoted(append(t.back, `,"_gtid":`...), t.gtid)
	}
	t.back = append(t.back, p.print...)
}

// emitAs is emit in another form. Value and key stand behind each other in out.
func (p *Plan) emitAs(c *Change, op change.Op, lsn change.LSN, m *image, emit func(Event) error) error {
	p.event = envelope.Event{
		Op: op, Commit: c.TSMicros, Read: c.ReadMicros, TxID: c.GTID, File: c.File, Pos: c.Pos, Row: lsn.Row, Server: c.Server,
	}
	err := p.refuseRaw(m)
	if op == change.Update || op == change.Delete {
		p.event.Before = &p.before
		err = cmp.Or(err, p.refuseRaw(&p.before))
	}
	if op != change.Delete {
		p.event.After = m
	}
	start, out := len(p.out), p.out
	if err == nil {
		out, err = p.envelope.Append(out, &p.event)
	}
	end := len(out)
	if err == nil {
		out, err = p.envelope.AppendKey(out, m)
	}
	if err != nil {
		return fmt.Errorf("view %s, key %s: %w", p.view, m.key, err)
	}
	p.out = out
	return emit(Event{Op: op, LSN: lsn, Key: out[end:len(out):len(out)], Value: out[start:end:end]})
}

// appendOld appends _old: the columns whose text changed, as they were.
func (p *Plan) appendOld(out []byte) []byte {
	open, raw := false, len(p.before.raw)+len(p.after.raw) > 0
	for i := range p.cells[:p.shown] {
		if bytes.Equal(p.before.cell(i), p.after.cell(i)) && !(raw && p.changed(i)) {
			continue
		}
		key := p.cells[i].key
		if !open {
			out, open = append(out, `,"_old":{`...), true
			if len(p.before.raw) > 0 {
				out = p.appendRaw(out, &p.before, p.changed, [2]string{`"_raw":[`, `],`})
			}
			key = key[1:]
		}
		out = append(append(out, key...), p.before.cell(i)...)
	}
	if open {
		out = append(out, '}')
	}
	return out
}

// changed reports whether an update changed a cell: its text, or whether that
// is one.
func (p *Plan) changed(i int) bool {
	return !bytes.Equal(p.before.cell(i), p.after.cell(i)) || p.before.isRaw(i) != p.after.isRaw(i)
}
