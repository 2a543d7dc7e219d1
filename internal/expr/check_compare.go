package expr

import (
	"cel.dev/cel-go/common/types"
)

// comparison checks ==, !=, <, <=, > and >=. With the word null the first two
// are IS NULL and IS NOT NULL.
func (c *checker) comparison(n *node) (*node, error) {
	a, b := n.args[0], n.args[1]
	n.typ = typeBool.orNull(a, b)
	if a.isLiteralNull() || b.isLiteralNull() {
		if a.isLiteralNull() {
			a = b
		}
		switch n.op {
		case opEq:
			n.op = opIsNull
		case opNe:
			n.op = opNotNull
		default:
			return nil, c.failAt(n, "x == null tests for NULL", "nothing is smaller or larger than null")
		}
		n.args, n.typ = []*node{a}, typeBool
		return n, nil
	}
	if err := c.comparable(n, a, b); err != nil {
		return nil, err
	}
	return n, nil
}

// in checks x in [a, b]: SQL's IN, x == a || x == b. A null in the list is a
// value that is not known, not a test for NULL.
func (c *checker) in(n *node) (*node, error) {
	if len(n.args) == 1 {
		return nil, c.failAt(n, "", "the list is empty")
	}
	n.typ = typeBool.orNull(n.args...)
	if n.args[0].isLiteralNull() {
		return nil, c.failAt(n, "x == null tests for NULL", "null is in no list")
	}
	as := &node{op: opEq, at: n.at}
	for _, item := range n.args[1:] {
		if item.isLiteralNull() {
			continue
		}
		if err := c.comparable(as, n.args[0], item); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// comparable reports whether a and b can be compared by n. A text constant
// beside a date or time becomes one.
func (c *checker) comparable(n, a, b *node) error {
	ordered := n.op != opEq && n.op != opNe
	ka, kb := a.typ.kind, b.typ.kind
	switch {
	case ka == kindTime && kb == kindText:
		return c.timeConst(b, a)
	case kb == kindTime && ka == kindText:
		return c.timeConst(a, b)
	case ka == kindTime && kb == kindTime:
		if comparableTimes(a.typ.temporal, b.typ.temporal) {
			return nil
		}
	case isNumeric(ka) && isNumeric(kb), ka == kindText && kb == kindText:
		return nil
	case ka == kindBytes && kb == kindBytes:
		return nil
	case ka == kindBool && kb == kindBool:
		if ordered {
			return c.failAt(n, "", "truth values have no order")
		}
		return nil
	case ka == kindJSON && kb == kindJSON:
		return c.failAt(n, "write string(...), int(...) or decimal(..., p, s) around one", "two JSON values have no common type to compare as")
	case ka == kindJSON || kb == kindJSON:
		k := ka + kb - kindJSON
		if isNumeric(k) || k == kindText || k == kindBool && !ordered {
			return nil
		}
	}
	return c.failAt(n, compareHint(a, b), "%s cannot be compared with %s", a.typ, b.typ)
}

func isNumeric(k kind) bool { return k == kindNum || k == kindDouble }

func compareHint(a, b *node) string {
	if a.op == opConst {
		a, b = b, a
	}
	switch {
	case a.typ.kind == kindNum && b.typ.kind == kindText && b.op == opConst:
		return "write the number without quotes"
	case a.typ.kind == kindText && b.typ.kind == kindNum && b.op == opConst:
		return "write it in quotes, or int(...) around the text"
	case a.typ.kind == kindNum && b.typ.kind == kindBool:
		return "compare it with 0 or 1"
	case a.typ.kind == kindBytes && b.typ.kind == kindText && b.op == opConst:
		return `bytes are written b"..."`
	case a.typ.kind == kindOpaque || b.typ.kind == kindOpaque:
		return "it can be compared with null only"
	}
	return ""
}

// timeConst makes the text constant n one of the type of the temporal node t.
func (c *checker) timeConst(n, t *node) error {
	s, ok := n.val.(types.String)
	if n.op != opConst || !ok {
		return c.failAt(n, "write string(...) around the other", "%s is compared with a constant or another %s", t.typ, t.typ)
	}
	v, err := parseTimeConst(t.typ.temporal, string(s))
	if err != nil {
		return c.failAt(n, "", "%v", err)
	}
	n.val, n.typ = v, typ{kind: kindTime, temporal: t.typ.temporal}
	return nil
}
