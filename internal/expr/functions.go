package expr

import (
	"fmt"
	"regexp"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// function is the shape of one of the language's functions.
type function struct {
	// least and most bound the number of arguments, the receiver of x.f(y) included.
	least, most int
	// member and global say whether x.f(y) and f(x, y) are allowed.
	member, global bool
}

// functions are the language's functions by name.
var functions = map[string]function{
	"startsWith": {2, 2, true, false},
	"endsWith":   {2, 2, true, false},
	"contains":   {2, 2, true, false},
	"matches":    {2, 2, true, true},
	"lower":      {1, 1, true, true},
	"upper":      {1, 1, true, true},
	"size":       {1, 1, true, true},
	"int":        {1, 1, false, true},
	"double":     {1, 1, false, true},
	"string":     {1, 1, false, true},
	"bool":       {1, 1, false, true},
	"decimal":    {3, 3, false, true},
	"coalesce":   {2, 20, false, true},
	"has":        {1, 1, false, true},
	"col":        {1, 1, false, true},
}

// meant maps names of SQL and of CEL's extensions to ours.
var meant = map[string]string{
	"ifnull": "coalesce", "nvl": "coalesce", "length": "size", "char_length": "size", "lcase": "lower", "ucase": "upper",
	"lowerascii": "lower", "upperascii": "upper", "uint": "decimal", "cast": "decimal", "regexp_like": "matches",
	"starts_with": "startsWith", "ends_with": "endsWith", "isnull": "has", "float": "double",
	"exists": "matches", "like": "matches",
}

func functionNames() []string {
	var names []string
	for name := range functions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// signature finds the function that e calls and checks the number of its arguments.
func (s *source) signature(e ast.Expr) (function, []ast.Expr, error) {
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	fail := func(hint, format string, a ...any) (function, []ast.Expr, error) {
		return function{}, nil, &SyntaxError{Offset: s.offset(e), Msg: fmt.Sprintf(format, a...), Hint: hint}
	}
	f, ok := functions[name]
	if !ok {
		hint := DidYouMean(name, functionNames())
		if m, ok := meant[lowerASCII(name)]; ok && hint == "" {
			hint = fmt.Sprintf("did you mean %q?", m)
		}
		return fail(hint, "unknown function %q", name)
	}
	if call.IsMemberFunction() {
		if !f.member {
			return fail("", "%s is written %s(x)", name, name)
		}
		args = append([]ast.Expr{call.Target()}, args...)
	} else if !f.global {
		return fail("", "%s is written x.%s(y)", name, name)
	}
	if len(args) < f.least || len(args) > f.most {
		return fail("", "%s takes %s, not %d", name, argumentCount(f, call.IsMemberFunction()), len(args)-b2i(call.IsMemberFunction()))
	}
	return f, args, nil
}

func argumentCount(f function, member bool) string {
	least, most := f.least-b2i(member), f.most-b2i(member)
	switch {
	case least != most:
		return fmt.Sprintf("%d to %d arguments", least, most)
	case least == 1:
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", least)
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// function checks a call of a function by name.
func (c *checker) function(e ast.Expr, depth int) (*node, error) {
	_, operands, err := c.src.signature(e)
	if err != nil {
		return nil, err
	}
	n := &node{op: opCall, fn: e.AsCall().FunctionName(), at: c.src.offset(e)}
	for _, a := range operands {
		arg, err := c.expr(a, depth)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
	}
	if err := c.typeOfCall(n); err != nil {
		return nil, err
	}
	return n, nil
}

// typeOfCall checks the arguments of a function and gives the call its type.
func (c *checker) typeOfCall(n *node) error {
	switch n.fn {
	case "startsWith", "endsWith", "contains":
		n.typ = typeBool.orNull(n.args...)
		return c.textArgs(n)
	case "lower", "upper":
		n.typ = typeText.orNull(n.args...)
		return c.textArgs(n)
	case "matches":
		return c.pattern(n)
	case "size":
		return c.size(n)
	case "int":
		n.typ = typeInt.orNull(n.args...)
		return c.convertible(n, kindNum, kindDouble, kindText, kindBool, kindJSON)
	case "double":
		n.typ = typeDouble.orNull(n.args...)
		return c.convertible(n, kindNum, kindDouble, kindText, kindJSON)
	case "string":
		n.typ = typeText.orNull(n.args...)
		return c.convertible(n, kindNum, kindDouble, kindText, kindBool, kindTime, kindJSON)
	case "bool":
		n.typ = typeBool.orNull(n.args...)
		return c.convertible(n, kindNum, kindBool, kindJSON)
	case "decimal":
		return c.toDecimal(n)
	case "coalesce":
		return c.coalesce(n)
	case "has":
		return c.has(n)
	}
	return c.failAt(n, "", "%s stands only for a column", n.fn)
}

// asText makes a JSON value text where text is needed.
func (c *checker) asText(n *node) *node {
	if n.typ.kind != kindJSON {
		return n
	}
	return &node{op: opCall, fn: "string", at: n.at, args: []*node{n}, typ: typ{kind: kindText, nullable: true}}
}

// textArgs demands text in every place.
func (c *checker) textArgs(n *node) error {
	for i, a := range n.args {
		if !isTextual(a) && !a.isLiteralNull() {
			return c.failAt(a, "write string(...)", "%s takes text, not %s", n.fn, a.typ)
		}
		n.args[i] = c.asText(a)
	}
	return nil
}

// pattern compiles the regular expression of matches, which must be constant:
// a row may not bring its own.
func (c *checker) pattern(n *node) error {
	s, ok := n.args[1].val.(types.String)
	if !ok {
		return c.failAt(n.args[1], "", "the pattern of matches is a constant text")
	}
	re, err := regexp.Compile(string(s))
	if err != nil {
		return c.failAt(n.args[1], "the syntax is RE2's", "the pattern cannot be compiled: %v", err)
	}
	n.args, n.extra = n.args[:1], re
	n.typ = typeBool.orNull(n.args...)
	return c.textArgs(n)
}

func (c *checker) size(n *node) error {
	a := n.args[0]
	if !isTextual(a) && a.typ.kind != kindBytes && !a.isLiteralNull() {
		return c.failAt(a, "", "size takes text, bytes or JSON, not %s", a.typ)
	}
	n.typ = typ{kind: kindNum, whole: true, digits: 10, nullable: a.typ.nullable || a.typ.kind == kindJSON}
	return nil
}

// convertible demands an argument of one of the kinds.
func (c *checker) convertible(n *node, kinds ...kind) error {
	a := n.args[0]
	if !slices.Contains(kinds, a.typ.kind) && !a.isLiteralNull() {
		return c.failAt(a, "", "%s cannot be made of %s", n.fn, a.typ)
	}
	return nil
}

// toDecimal checks decimal(x, precision, scale); the two are constants.
func (c *checker) toDecimal(n *node) error {
	var ps [2]int
	for i, a := range n.args[1:] {
		v, ok := a.val.(numVal)
		if !ok || v.scale != 0 || v.big != nil || v.small < int64(1-i) || v.small > maxPrecision {
			return c.failAt(a, "decimal(x, 12, 2)", "precision and scale of decimal are constant whole numbers")
		}
		ps[i] = int(v.small)
	}
	if ps[1] > maxScale || ps[1] > ps[0] {
		return c.failAt(n.args[2], "", "the scale of decimal is at most %d and at most the precision", maxScale)
	}
	n.typ = typ{kind: kindNum, wide: true, digits: ps[0] - ps[1], scale: ps[1]}.orNull(n.args[0])
	n.args, n.extra = n.args[:1], ps
	return c.convertible(n, kindNum, kindDouble, kindText, kindBool, kindJSON)
}

func (c *checker) coalesce(n *node) error {
	t := n.args[0].typ
	nullable := true
	for _, a := range n.args {
		u, ok := unify(t, a.typ)
		if !ok {
			return c.failAt(a, "", "coalesce has values of types %s and %s", t, a.typ)
		}
		t, nullable = u, nullable && a.typ.nullable
	}
	if t.kind == kindText {
		for i, a := range n.args {
			n.args[i] = c.asText(a)
		}
	}
	t.nullable = nullable
	n.typ = t
	return nil
}

// has is x != null: a path that leads somewhere.
func (c *checker) has(n *node) error {
	n.op, n.typ = opNotNull, typeBool
	if n.args[0].op != opLeaf {
		return c.failAt(n.args[0], "has(payload.ship)", "has takes a column or a path")
	}
	return nil
}

// checkCalls finds what is wrong with a tree without knowing columns.
func checkCalls(s *source) error {
	var err error
	nodes := 0
	var visit func(e ast.Expr, depth int)
	visit = func(e ast.Expr, depth int) {
		if nodes++; err != nil {
			return
		}
		if nodes > maxNodes || depth > maxDepth {
			err = &SyntaxError{Offset: s.offset(e), Msg: "the expression is too large"}
			return
		}
		var below []ast.Expr
		switch e.Kind() {
		case ast.SelectKind:
			below = []ast.Expr{e.AsSelect().Operand()}
		case ast.CallKind:
			below, err = s.checkCall(e)
		case ast.LiteralKind, ast.IdentKind:
		case ast.ListKind:
			err = &SyntaxError{Offset: s.offset(e), Msg: "a list stands only behind in"}
		default:
			err = &SyntaxError{Offset: s.offset(e), Msg: "maps and messages are not part of the language"}
		}
		for _, b := range below {
			visit(b, depth+1)
		}
	}
	visit(s.expr, 0)
	return err
}

// checkCall checks one call and returns the expressions below it.
func (s *source) checkCall(e ast.Expr) ([]ast.Expr, error) {
	call := e.AsCall()
	name := call.FunctionName()
	if name == operators.In {
		if list := call.Args()[1]; list.Kind() == ast.ListKind {
			return append([]ast.Expr{call.Args()[0]}, list.AsList().Elements()...), nil
		}
		return nil, &SyntaxError{Offset: s.offset(e), Msg: "behind in stands a list in brackets", Hint: "x in [1, 2]"}
	}
	if _, ok := operator[name]; ok || name == operators.Index {
		return call.Args(), nil
	}
	_, args, err := s.signature(e)
	if err != nil {
		return nil, err
	}
	if name != "matches" {
		return args, nil
	}
	if args[1].Kind() == ast.LiteralKind {
		if p, ok := args[1].AsLiteral().(types.String); ok {
			if _, err := regexp.Compile(string(p)); err != nil {
				return nil, &SyntaxError{Offset: s.offset(args[1]), Msg: fmt.Sprintf("the pattern cannot be compiled: %v", err), Hint: "the syntax is RE2's"}
			}
		}
	}
	return args, nil
}
