package expr

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"tailwater/change"
)

// checker turns CEL's tree into nodes with types, against a list of columns.
type checker struct {
	src  *source
	cols []change.Column
	// nodes counts down what the expression may still have.
	nodes int
}

// check parses src and checks it against the columns.
func check(src string, cols []change.Column) (*node, error) {
	s, err := parse(src)
	if err != nil {
		return nil, err
	}
	c := &checker{src: s, cols: cols, nodes: maxNodes}
	return c.expr(s.expr, 0)
}

func (c *checker) fail(e ast.Expr, hint, format string, args ...any) error {
	return &SyntaxError{Offset: c.src.offset(e), Msg: fmt.Sprintf(format, args...), Hint: hint}
}

func (c *checker) failAt(n *node, hint, format string, args ...any) error {
	return &SyntaxError{Offset: n.at, Msg: fmt.Sprintf(format, args...), Hint: hint}
}

func (c *checker) expr(e ast.Expr, depth int) (*node, error) {
	if c.nodes--; c.nodes < 0 || depth > maxDepth {
		return nil, c.fail(e, "", "the expression is too large")
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return c.literal(e)
	case ast.IdentKind, ast.SelectKind:
		return c.leaf(e)
	case ast.CallKind:
		return c.call(e, depth+1)
	case ast.ListKind:
		return nil, c.fail(e, "", "a list stands only behind in")
	}
	return nil, c.fail(e, "", "maps and messages are not part of the language")
}

// literal reads numbers from the source text: CEL's own are doubles.
func (c *checker) literal(e ast.Expr) (*node, error) {
	n := &node{op: opConst, at: c.src.offset(e)}
	switch v := e.AsLiteral().(type) {
	case types.Null:
		n.typ, n.val = typeNull, v
	case types.Bool:
		n.typ, n.val = typeBool, v
	case types.String:
		n.typ, n.val = typeText, v
	case types.Bytes:
		n.typ, n.val = typ{kind: kindBytes}, v
	case types.Int:
		return c.number(n, numFromInt(int64(v))), nil
	case types.Uint:
		return c.number(n, numFromUint(uint64(v))), nil
	case types.Double:
		x, err := parseNum([]byte(strings.Join(strings.Fields(c.src.literal(e)), "")))
		if err != nil {
			return nil, c.fail(e, "", "the number cannot be read: %v", err)
		}
		return c.number(n, x), nil
	default:
		return nil, c.fail(e, "", "a literal of this kind is not part of the language")
	}
	return n, nil
}

func (c *checker) number(n *node, x num) *node {
	n.val = numVal{num: x}
	n.typ = typ{kind: kindNum, whole: x.scale == 0, scale: x.scale, digits: max(x.digits()-x.scale, 1)}
	n.typ.wide = !n.typ.whole || x.big != nil
	return n
}

// leaf resolves a column, or a path into a column that holds JSON.
func (c *checker) leaf(e ast.Expr) (*node, error) {
	var steps path
	base := e
	for {
		switch {
		case base.Kind() == ast.SelectKind:
			s := base.AsSelect()
			steps, base = append(steps, step{key: s.FieldName(), index: -1}), s.Operand()
			continue
		case isCallOf(base, operators.Index):
			args := base.AsCall().Args()
			s, err := c.indexStep(args[1])
			if err != nil {
				return nil, err
			}
			steps, base = append(steps, s), args[0]
			continue
		}
		break
	}
	for i, j := 0, len(steps)-1; i < j; i, j = i+1, j-1 {
		steps[i], steps[j] = steps[j], steps[i]
	}
	name, err := c.columnName(base)
	if err != nil {
		return nil, err
	}
	n := &node{op: opLeaf, at: c.src.offset(base), path: steps}
	if n.col = c.columnIndex(name); n.col < 0 {
		return nil, c.unknownColumn(base, name)
	}
	n.typ = typeOfColumn(&c.cols[n.col])
	if len(steps) > 0 {
		// Text without a character set is of our own making: a mask's, a
		// capture's.
		if col := &c.cols[n.col]; col.Type == change.Text && col.Charset != "" {
			n.typ = typeOfColumn(&change.Column{Type: change.JSON})
		}
		if n.typ.kind != kindJSON {
			return nil, c.fail(base, "", "column %s is %s: only a JSON column, or text that holds JSON, has members", c.cols[n.col].Name, n.typ)
		}
		n.typ.nullable = true
	}
	return n, nil
}

func isCallOf(e ast.Expr, name string) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == name
}

func (c *checker) indexStep(e ast.Expr) (step, error) {
	if e.Kind() == ast.LiteralKind {
		switch v := e.AsLiteral().(type) {
		case types.Int:
			if v >= 0 && v < 1<<31 {
				return step{index: int(v)}, nil
			}
		case types.String:
			return step{key: string(v), index: -1}, nil
		}
	}
	return step{}, c.fail(e, "", `in brackets stands a number from 0 or a text: items[0], payload["a key"]`)
}

// columnName returns the name at the bottom of a path: x or col("x").
func (c *checker) columnName(e ast.Expr) (string, error) {
	if e.Kind() == ast.IdentKind {
		return strings.TrimPrefix(e.AsIdent(), "."), nil
	}
	if isCallOf(e, "col") {
		call := e.AsCall()
		if args := call.Args(); !call.IsMemberFunction() && len(args) == 1 && args[0].Kind() == ast.LiteralKind {
			if name, ok := args[0].AsLiteral().(types.String); ok {
				return string(name), nil
			}
		}
		return "", c.fail(e, "", `col takes the name of a column in quotes: col("order-id")`)
	}
	return "", c.fail(e, "", "a path begins with a column that holds JSON")
}

func (c *checker) columnIndex(name string) int {
	for i := range c.cols {
		if change.EqualFold(c.cols[i].Name, name) {
			return i
		}
	}
	return -1
}

func (c *checker) unknownColumn(e ast.Expr, name string) error {
	names := make([]string, len(c.cols))
	for i := range c.cols {
		names[i] = c.cols[i].Name
	}
	return c.fail(e, DidYouMean(name, names), "unknown column %q", name)
}

// operator maps CEL's operators to ours.
var operator = map[string]op{
	operators.LogicalAnd: opAnd, operators.LogicalOr: opOr, operators.LogicalNot: opNot,
	operators.Conditional: opIf, operators.In: opIn,
	operators.Equals: opEq, operators.NotEquals: opNe,
	operators.Less: opLt, operators.LessEquals: opLe,
	operators.Greater: opGt, operators.GreaterEquals: opGe,
	operators.Add: opAdd, operators.Subtract: opSub, operators.Multiply: opMul,
	operators.Divide: opDiv, operators.Modulo: opRem, operators.Negate: opNeg,
}

func (c *checker) call(e ast.Expr, depth int) (*node, error) {
	call := e.AsCall()
	name := call.FunctionName()
	if name == operators.Index || name == "col" {
		return c.leaf(e)
	}
	o, isOperator := operator[name]
	if !isOperator {
		return c.function(e, depth)
	}
	n := &node{op: o, at: c.src.offset(e)}
	operands := call.Args()
	if o == opIn {
		if operands[1].Kind() != ast.ListKind {
			return nil, c.fail(operands[1], "x in [1, 2]", "behind in stands a list in brackets")
		}
		operands = append([]ast.Expr{operands[0]}, operands[1].AsList().Elements()...)
	}
	for _, a := range operands {
		arg, err := c.expr(a, depth)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
	}
	switch o {
	case opAnd, opOr, opNot:
		return c.logic(n)
	case opIf:
		return c.conditional(n)
	case opIn:
		return c.in(n)
	case opEq, opNe, opLt, opLe, opGt, opGe:
		return c.comparison(n)
	}
	return c.arithmetic(n)
}

// condition demands a truth value.
func (c *checker) condition(n *node) error {
	switch {
	case n.typ.kind == kindBool || n.isLiteralNull():
		return nil
	case n.typ.kind == kindJSON:
		return c.failAt(n, "compare it, or write bool(...)", "a condition is needed here, not a JSON value")
	case n.typ.kind == kindNum:
		return c.failAt(n, "compare it: ... != 0", "a condition is needed here, not %s", n.typ)
	}
	return c.failAt(n, "", "a condition is needed here, not %s", n.typ)
}

func (c *checker) logic(n *node) (*node, error) {
	for _, a := range n.args {
		if err := c.condition(a); err != nil {
			return nil, err
		}
	}
	n.typ = typeBool.orNull(n.args...)
	return n, nil
}

func (c *checker) conditional(n *node) (*node, error) {
	if err := c.condition(n.args[0]); err != nil {
		return nil, err
	}
	t, ok := unify(n.args[1].typ, n.args[2].typ)
	if !ok {
		return nil, c.failAt(n, "", "the two branches are %s and %s", n.args[1].typ, n.args[2].typ)
	}
	if n.typ = t; t.kind == kindText {
		n.args[1], n.args[2] = c.asText(n.args[1]), c.asText(n.args[2])
	}
	return n, nil
}

// unify returns the type that holds the values of both.
func unify(a, b typ) (typ, bool) {
	nullable := a.nullable || b.nullable
	t := a
	switch {
	case a.kind == kindNull:
		t = b
	case b.kind == kindNull:
	case a.kind == kindNum && b.kind == kindNum:
		t.whole, t.wide = a.whole && b.whole, a.wide || b.wide || a.whole != b.whole
		t.digits, t.scale = max(a.digits, b.digits), max(a.scale, b.scale)
	case (a.kind == kindNum || a.kind == kindDouble) && (b.kind == kindNum || b.kind == kindDouble):
		t = typeDouble
	case (a.kind == kindText || a.kind == kindJSON) && (b.kind == kindText || b.kind == kindJSON):
		t = typeText
	case a.kind == kindTime && b.kind == kindTime:
		t.scale = max(a.scale, b.scale)
		if a.temporal != b.temporal {
			return typ{}, false
		}
	case a.kind != b.kind:
		return typ{}, false
	}
	t.nullable = nullable
	return t, true
}

func (c *checker) arithmetic(n *node) (*node, error) {
	for _, a := range n.args {
		switch k := a.typ.kind; {
		case k == kindNum || k == kindDouble || k == kindNull:
		case n.op == opAdd && (k == kindText || k == kindJSON):
		case k == kindJSON:
			return nil, c.failAt(a, "write int(...), decimal(..., p, s) or double(...)", "a JSON value has no type to compute with")
		default:
			return nil, c.failAt(a, "", "%s cannot be computed with", a.typ)
		}
	}
	a := n.args[0]
	if n.op == opNeg {
		if a.typ.kind == kindNum {
			n.typ = a.typ
			n.typ.wide = n.typ.wide || !n.typ.whole
			return n, nil
		}
		n.typ = typeDouble.orNull(a)
		return n, nil
	}
	b := n.args[1]
	if isTextual(a) || isTextual(b) {
		if !isTextual(a) && !a.isLiteralNull() || !isTextual(b) && !b.isLiteralNull() {
			return nil, c.failAt(n, "write string(...)", "%s and %s cannot be joined", a.typ, b.typ)
		}
		n.args[0], n.args[1] = c.asText(a), c.asText(b)
		n.typ = typeText.orNull(a, b)
		return n, nil
	}
	n.typ = arithmeticType(n.op, a.typ, b.typ).orNull(a, b)
	return n, nil
}

func isTextual(n *node) bool { return n.typ.kind == kindText || n.typ.kind == kindJSON }

// arithmeticType returns the type of an operation on numbers, wide enough for
// every result.
func arithmeticType(o op, a, b typ) typ {
	if a.kind == kindDouble || b.kind == kindDouble {
		return typeDouble
	}
	t := typ{kind: kindNum, whole: a.whole && b.whole, scale: max(a.scale, b.scale)}
	t.wide = a.wide || b.wide || !t.whole
	switch o {
	case opAdd, opSub:
		t.digits = max(a.digits, b.digits) + 1
	case opMul:
		t.digits, t.scale = a.digits+b.digits, a.scale+b.scale
	case opDiv:
		t.whole, t.wide = false, true
		t.digits, t.scale = a.digits+b.scale, a.scale+divExtra
	case opRem:
		t.digits = max(a.digits, b.digits)
	}
	if o == opDiv || o == opRem {
		t.nullable = true
	}
	return t
}
