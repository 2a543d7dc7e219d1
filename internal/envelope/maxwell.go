package envelope

import (
	"bytes"
	"strconv"
	"strings"

	"tailwater/change"
	"tailwater/internal/expr"
	"tailwater/internal/jsontext"
)

// maxwell writes the events of Maxwell with its default options.
type maxwell struct {
	fields []field
	shown  []field
	key    []int
	names  [][]byte
	// head is `{"database":…,"table":…`, of values and keys.
	head []byte
}

func newMaxwell(s *Shape) *maxwell {
	x := &maxwell{fields: s.fields(maxwellWriter), key: s.Key}
	x.shown = x.fields[:s.Shown]
	for _, name := range s.KeyNames {
		x.names = append(x.names, member("pk."+strings.ToLower(name)))
	}
	x.head = jsontext.AppendQuoted([]byte(`{"database":`), []byte(s.Database))
	x.head = jsontext.AppendQuoted(append(x.head, `,"table":`...), []byte(s.Table))
	return x
}

// AppendKey appends the key that Maxwell calls hash.
func (x *maxwell) AppendKey(dst []byte, m Image) ([]byte, error) {
	dst = append(dst, x.head...)
	for n, i := range x.key {
		dst = append(append(dst, ','), x.names[n]...)
		var err error
		if dst, err = appendCell(dst, &x.fields[i], m.Cell(i)); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// maxwellType names the operations; a row of a snapshot is a bootstrap-insert.
func maxwellType(op change.Op) string {
	switch op {
	case change.Update:
		return "update"
	case change.Delete:
		return "delete"
	case change.Read:
		return "bootstrap-insert"
	}
	return "insert"
}

// Append appends one event, without commit: see AddCommit.
func (x *maxwell) Append(dst []byte, e *Event) ([]byte, error) {
	dst = append(append(dst, x.head...), `,"type":"`...)
	dst = append(append(dst, maxwellType(e.Op)...), `","ts":`...)
	dst = strconv.AppendInt(dst, floorDiv(e.Commit, 1e6), 10)
	dst = strconv.AppendUint(append(dst, `,"xid":`...), e.number(), 10)
	row := e.After
	if row == nil {
		row = e.Before
	}
	dst, err := appendRow(append(dst, dataMember...), x.shown, row)
	if err != nil {
		return dst, err
	}
	if e.Op != change.Update {
		return append(dst, '}'), nil
	}
	start := len(dst)
	if dst, err = appendChanged(append(dst, `,"old":`...), x.shown, e.Before, e.After); err != nil {
		return dst, err
	}
	if bytes.HasSuffix(dst, []byte(`:{}`)) {
		dst = dst[:start] // none of the view's columns changed
	}
	return append(dst, '}'), nil
}

const (
	dataMember   = `,"data":`
	commitMember = `,"commit":true`
)

// AddCommit marks the value of Maxwell that begins at start in buf, and is the
// last in it, as the last of its transaction. Which one is, is known only at the
// commit.
func AddCommit(buf []byte, start int) []byte {
	// In the names before it a quote has a backslash, so this is the member.
	at := bytes.Index(buf[start:], []byte(dataMember))
	if at < 0 {
		return buf
	}
	at += start
	buf = append(buf, commitMember...)
	copy(buf[at+len(commitMember):], buf[at:len(buf)-len(commitMember)])
	copy(buf[at:], commitMember)
	return buf
}

// maxwellWriter is how Maxwell writes a column: temporals as text, a set as an
// array, a JSON column as the document itself.
func maxwellWriter(c *change.Column) writer {
	switch c.Type {
	case change.Timestamp:
		return appendLocal
	case change.Set:
		return appendMembers
	case change.JSON:
		return expr.AppendUnquoted
	case change.Geometry:
		return appendWKT
	}
	return nil
}
