package expr

import (
	"bytes"
	"errors"

	"tailwater/change"
)

// constant is what a cell is compared with.
type constant struct {
	kind  kind
	num   num
	long  longNum
	float float64
	text  []byte
	truth bool
}

// cellTest compares one column, or one path into a document, with constants: the JSON text of the cell is never made a value.
type cellTest struct {
	op   op
	col  int
	path path
	name string
	kind kind
	time change.Type
	// column is the column's own type.
	column change.Type

	consts []constant
	// texts are the constants of a long list of texts.
	texts map[string]struct{}
	// nullInList says that a list of in has a null.
	nullInList bool

	// buf holds the cell, plain its text when something in it is escaped.
	buf, plain []byte
	// doc is the document in a text column.
	doc []byte
}

// manyTexts is from where on a list of texts is looked up by hash.
const manyTexts = 8

func (t *cellTest) indexTexts() {
	if t.op != opIn || len(t.consts) < manyTexts {
		return
	}
	texts := make(map[string]struct{}, len(t.consts))
	for _, c := range t.consts {
		if c.kind != kindText {
			return
		}
		texts[string(c.text)] = struct{}{}
	}
	t.texts = texts
}

// read returns the JSON text of the cell, or nil when it is NULL.
func (t *cellTest) read(row change.Row) ([]byte, error) {
	if row.State(t.col) == change.Null {
		return nil, nil
	}
	raw, err := row.AppendJSON(t.buf[:0], t.col)
	if err != nil {
		return nil, t.fault(err)
	}
	t.buf = keepBuffer(raw)
	if t.kind == kindJSON {
		raw, t.doc, err = t.path.findIn(t.column, raw, keepBuffer(t.doc))
	} else if len(raw) == 0 {
		err = errCell
	}
	if err != nil {
		return nil, t.fault(err)
	}
	return raw, nil
}

func (t *cellTest) fault(err error) error {
	return &fault{msg: cellError(err), cause: err, col: t.name}
}

// unreadable is the truth of a comparison with a cell that cannot be read: bytes
// that are no text in their character set are equal to no text.
func (t *cellTest) unreadable(err error) (truth, error) {
	if t.kind != kindText || !errors.Is(err, change.ErrInvalidText) {
		return isUnknown, err
	}
	switch t.op {
	case opEq, opNe:
		return t.unrelated(), nil
	case opIn:
		return t.notFound(), nil
	}
	return isUnknown, err
}

// content returns the text that a JSON string says.
func (t *cellTest) content(raw []byte) ([]byte, error) {
	text, buf, err := unquote(raw, t.plain)
	if err != nil {
		return nil, t.fault(errCell)
	}
	t.plain = keepBuffer(buf)
	return text, nil
}

func (t *cellTest) eval(row change.Row) (truth, error) {
	if t.kind != kindJSON && (t.op == opIsNull || t.op == opNotNull) {
		return truthOf((row.State(t.col) == change.Null) == (t.op == opIsNull)), nil
	}
	raw, err := t.read(row)
	if err != nil {
		return t.unreadable(err)
	}
	switch {
	case t.op == opIsNull:
		return truthOf(raw == nil), nil
	case t.op == opNotNull:
		return truthOf(raw != nil), nil
	case raw == nil:
		return isUnknown, nil
	}
	switch t.kind {
	case kindNum:
		return t.number(numText(raw))
	case kindDouble:
		return t.float(numText(raw))
	case kindBool:
		return t.boolean(raw)
	case kindText, kindTime, kindBytes:
		text, err := t.content(raw)
		if err != nil {
			return isUnknown, err
		}
		return t.text(text, t.kind), nil
	}
	return t.json(raw)
}

// json compares a value inside a document, whose type only the row tells.
func (t *cellTest) json(raw []byte) (truth, error) {
	switch raw[0] {
	case '"':
		text, err := t.content(raw)
		if err != nil {
			return isUnknown, err
		}
		return t.text(text, kindText), nil
	case '{', '[':
		return t.decide(func(*constant) (int, bool) { return 0, false }), nil
	case 't', 'f':
		return t.boolean(raw)
	}
	return t.number(raw)
}

func (t *cellTest) text(text []byte, k kind) truth {
	if t.texts != nil {
		if _, ok := t.texts[string(text)]; ok {
			return isTrue
		}
		return t.notFound()
	}
	if len(t.consts) == 1 && t.op != opIn {
		c := &t.consts[0]
		if c.kind != k {
			return t.unrelated()
		}
		if k == kindTime {
			return t.holds(cmpTime(t.time, text, c.text))
		}
		return t.holds(bytes.Compare(text, c.text))
	}
	return t.decide(func(c *constant) (int, bool) {
		if c.kind != k {
			return 0, false
		}
		if k == kindTime {
			return cmpTime(t.time, text, c.text), true
		}
		return bytes.Compare(text, c.text), true
	})
}

func (t *cellTest) number(raw []byte) (truth, error) {
	n, ok := parseSmallNum(raw)
	if !ok {
		if long, ok := splitNum(raw); ok {
			return t.decide(func(c *constant) (int, bool) { return cmpLong(long, c.long), c.kind == kindNum }), nil
		}
		var err error
		if n, err = parseNum(raw); err != nil {
			return isUnknown, t.fault(errCell)
		}
	}
	if len(t.consts) == 1 && t.op != opIn {
		c := &t.consts[0]
		if c.kind != kindNum {
			return t.unrelated(), nil
		}
		return t.holds(n.cmp(c.num)), nil
	}
	return t.decide(func(c *constant) (int, bool) { return n.cmp(c.num), c.kind == kindNum }), nil
}

func (t *cellTest) float(raw []byte) (truth, error) {
	f, err := parseFloat(raw)
	if err != nil {
		return isUnknown, t.fault(errCell)
	}
	return t.decide(func(c *constant) (int, bool) { return cmpFloat(f, c.float), c.kind == kindNum }), nil
}

func (t *cellTest) boolean(raw []byte) (truth, error) {
	is := string(raw) == "true"
	if !is && string(raw) != "false" {
		return isUnknown, t.fault(errCell)
	}
	return t.decide(func(c *constant) (int, bool) { return b2i(is) - b2i(c.truth), c.kind == kindBool }), nil
}

// decide applies the operator to what compare finds for each constant.
func (t *cellTest) decide(compare func(*constant) (c int, related bool)) truth {
	if t.op != opIn {
		c, related := compare(&t.consts[0])
		if !related {
			return t.unrelated()
		}
		return t.holds(c)
	}
	for i := range t.consts {
		if c, related := compare(&t.consts[i]); related && c == 0 {
			return isTrue
		}
	}
	return t.notFound()
}

// notFound is the truth of in when no constant of the list is equal.
func (t *cellTest) notFound() truth {
	if t.nullInList {
		return isUnknown
	}
	return isFalse
}

// unrelated is the truth of a comparison of values whose types differ.
func (t *cellTest) unrelated() truth {
	switch t.op {
	case opEq:
		return isFalse
	case opNe:
		return isTrue
	}
	return isUnknown
}

func (t *cellTest) holds(c int) truth {
	switch t.op {
	case opEq:
		return truthOf(c == 0)
	case opNe:
		return truthOf(c != 0)
	case opLt:
		return truthOf(c < 0)
	case opLe:
		return truthOf(c <= 0)
	case opGt:
		return truthOf(c > 0)
	}
	return truthOf(c >= 0)
}
