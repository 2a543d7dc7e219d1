package expr

import (
	"bytes"
	"encoding/base64"
	"regexp"

	"cel.dev/cel-go/common/types"

	"tailwater/change"
)

// truth is a value of SQL's three-valued logic.
type truth uint8

const (
	isFalse truth = iota
	isTrue
	isUnknown
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// not exchanges true and false.
func (t truth) not() truth {
	switch t {
	case isTrue:
		return isFalse
	case isFalse:
		return isTrue
	}
	return isUnknown
}

// test is a part of a condition.
type test interface {
	eval(row change.Row) (truth, error)
}

// nativeBuilder turns a checked condition into tests.
type nativeBuilder struct {
	cols []change.Column
}

func (b *nativeBuilder) test(n *node) (test, error) {
	switch n.op {
	case opAnd, opOr:
		left, err := b.test(n.args[0])
		if err != nil {
			return nil, err
		}
		right, err := b.test(n.args[1])
		if err != nil {
			return nil, err
		}
		decides := isFalse
		if n.op == opOr {
			decides = isTrue
		}
		return &bothTest{left: left, right: right, decides: decides}, nil
	case opNot:
		of, err := b.test(n.args[0])
		if err != nil {
			return nil, err
		}
		return &notTest{of: of}, nil
	}
	if t := b.leaf(n); t != nil {
		return t, nil
	}
	p, err := newProgram(n, b.cols)
	if err != nil {
		return nil, err
	}
	return &celTest{p: p}, nil
}

// bothTest is && or ||: decides is the truth of one side that settles it.
type bothTest struct {
	left, right test
	decides     truth
}

func (t *bothTest) eval(row change.Row) (truth, error) {
	l, err := t.left.eval(row)
	if err == nil && l == t.decides {
		return l, nil
	}
	r, err2 := t.right.eval(row)
	switch {
	case err2 == nil && r == t.decides:
		return r, nil
	case err != nil:
		return isUnknown, err
	case err2 != nil:
		return isUnknown, err2
	case l == isUnknown:
		return l, nil
	}
	return r, nil
}

type notTest struct{ of test }

func (t *notTest) eval(row change.Row) (truth, error) {
	v, err := t.of.eval(row)
	return v.not(), err
}

// celTest is a part of a condition that runs in cel-go.
type celTest struct{ p *program }

func (t *celTest) eval(row change.Row) (truth, error) {
	v, err := t.p.eval(row)
	if err != nil {
		return isUnknown, err
	}
	if b, ok := v.(types.Bool); ok {
		return truthOf(bool(b)), nil
	}
	return isUnknown, nil
}

// flipped is the comparison with its sides exchanged.
var flipped = map[op]op{opEq: opEq, opNe: opNe, opLt: opGt, opLe: opGe, opGt: opLt, opGe: opLe}

// leaf returns the native test for n, or nil when there is none.
func (b *nativeBuilder) leaf(n *node) test {
	o := n.op
	switch o {
	case opLeaf:
		if n.typ.kind != kindBool {
			return nil
		}
		return b.cell(n, opEq, []*node{{op: opConst, val: types.True, typ: typeBool}})
	case opIsNull, opNotNull:
		if n.args[0].op != opLeaf {
			return nil
		}
		return b.cell(n.args[0], o, nil)
	case opEq, opNe, opLt, opLe, opGt, opGe:
		if n.args[0].op == opConst && n.args[1].op == opLeaf {
			return b.cell(n.args[1], flipped[o], n.args[:1])
		}
	case opIn:
	case opCall:
		return b.textTest(n)
	default:
		return nil
	}
	for i, a := range n.args {
		if a.op != opLeaf && i == 0 || a.op != opConst && i > 0 {
			return nil
		}
	}
	return b.cell(n.args[0], o, n.args[1:])
}

// cell builds the test of a column or path against constants.
func (b *nativeBuilder) cell(leaf *node, o op, consts []*node) test {
	t := &cellTest{op: o, col: leaf.col, path: leaf.path, name: b.cols[leaf.col].Name, kind: leaf.typ.kind, column: b.cols[leaf.col].Type}
	t.time = leaf.typ.temporal
	for _, c := range consts {
		k := constant{}
		switch v := c.val.(type) {
		case types.Null:
			t.nullInList = true
			continue
		case numVal:
			k.kind, k.num, k.float = kindNum, v.num, v.float()
			k.long, _ = splitNum(v.appendText(nil))
		case types.String:
			k.kind, k.text = kindText, []byte(v)
		case timeVal:
			k.kind, k.text = kindTime, []byte(v.text)
		case types.Bool:
			k.kind, k.truth = kindBool, bool(v)
		case types.Bytes:
			if o != opEq && o != opNe && o != opIn {
				return nil // base64 does not keep the order
			}
			k.kind, k.text = kindBytes, []byte(base64.StdEncoding.EncodeToString(v))
		default:
			return nil
		}
		t.consts = append(t.consts, k)
	}
	t.indexTexts()
	return t
}

// textTest builds x.startsWith('a') and its like.
func (b *nativeBuilder) textTest(n *node) test {
	t := &textCellTest{fn: n.fn}
	switch n.fn {
	case "startsWith", "endsWith", "contains":
		s, ok := n.args[1].val.(types.String)
		if !ok {
			return nil
		}
		t.arg = []byte(s)
	case "matches":
		t.re, _ = n.extra.(*regexp.Regexp)
	default:
		return nil
	}
	leaf := n.args[0]
	if leaf.op != opLeaf || leaf.typ.kind != kindText {
		return nil
	}
	t.cellTest = cellTest{col: leaf.col, name: b.cols[leaf.col].Name, kind: kindText}
	return t
}

// textCellTest is a function of text and a constant over a text column.
type textCellTest struct {
	cellTest
	fn  string
	arg []byte
	re  *regexp.Regexp
}

func (t *textCellTest) eval(row change.Row) (truth, error) {
	raw, err := t.read(row)
	if err != nil || raw == nil {
		return isUnknown, err
	}
	text, err := t.content(raw)
	if err != nil {
		return isUnknown, err
	}
	switch t.fn {
	case "startsWith":
		return truthOf(bytes.HasPrefix(text, t.arg)), nil
	case "endsWith":
		return truthOf(bytes.HasSuffix(text, t.arg)), nil
	case "contains":
		return truthOf(bytes.Contains(text, t.arg)), nil
	}
	return truthOf(t.re.Match(text)), nil
}
