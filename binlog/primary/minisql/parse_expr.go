package minisql

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of expressions, and with it the stack.
const maxDepth = 200

// expr reads an expression: OR of AND of NOT of comparisons of sums of products.
func (p *parser) expr() (Expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("the expression is nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	return p.chain(p.and, "OR", "||")
}

func (p *parser) and() (Expr, error) { return p.chain(p.not, "AND", "&&") }

// chain reads operands joined by a keyword or its symbol.
func (p *parser) chain(operand func() (Expr, error), word, sym string) (Expr, error) {
	x, err := operand()
	for err == nil && (p.word(word) || p.symbol(sym)) {
		var y Expr
		if y, err = operand(); err == nil {
			x = &binary{word, x, y}
		}
	}
	return x, err
}

func (p *parser) not() (Expr, error) {
	if p.word("NOT") || p.symbol("!") {
		if p.depth++; p.depth > maxDepth {
			return nil, fmt.Errorf("the expression is nested deeper than %d", maxDepth)
		}
		defer func() { p.depth-- }()
		x, err := p.not()
		return &unary{"NOT", x}, err
	}
	return p.comparison()
}

func (p *parser) comparison() (Expr, error) {
	x, err := p.sum()
	for err == nil {
		t := p.peek()
		switch {
		case t.kind == tokSymbol && strings.Contains(" = <=> < > <= >= <> != ", " "+t.text+" "):
			p.next()
			var y Expr
			if y, err = p.sum(); err == nil {
				x = &binary{t.text, x, y}
			}
		case p.word("IS"):
			not := p.word("NOT")
			if !p.word("NULL") {
				return nil, p.unexpected()
			}
			x = &isNull{x, not}
		case t.kind == tokWord && strings.Contains(" NOT IN BETWEEN LIKE ", " "+strings.ToUpper(t.text)+" "):
			x, err = p.predicate(x)
		default:
			return x, nil
		}
	}
	return nil, err
}

// predicate reads [NOT] IN, BETWEEN or LIKE behind x.
func (p *parser) predicate(x Expr) (Expr, error) {
	not := p.word("NOT")
	var out Expr
	switch {
	case p.word("IN"):
		if !p.symbol("(") {
			return nil, p.unexpected()
		}
		list, err := p.list()
		if err != nil {
			return nil, err
		}
		if !p.symbol(")") {
			return nil, p.unexpected()
		}
		return &inList{x, list, not}, nil
	case p.word("BETWEEN"):
		low, err := p.sum()
		if err != nil {
			return nil, err
		}
		if !p.word("AND") {
			return nil, p.unexpected()
		}
		high, err := p.sum()
		if err != nil {
			return nil, err
		}
		out = &binary{"AND", &binary{">=", x, low}, &binary{"<=", x, high}}
	case p.word("LIKE"):
		pattern, err := p.sum()
		if err != nil {
			return nil, err
		}
		out = &binary{"LIKE", x, pattern}
	default:
		return nil, p.unexpected()
	}
	if not {
		out = &unary{"NOT", out}
	}
	return out, nil
}

func (p *parser) list() ([]Expr, error) {
	var out []Expr
	for {
		e, err := p.expr()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if !p.symbol(",") {
			return out, nil
		}
	}
}

func (p *parser) sum() (Expr, error) { return p.arithmetic(p.product, "+", "-") }

func (p *parser) product() (Expr, error) { return p.arithmetic(p.primary, "*", "/", "%") }

func (p *parser) arithmetic(operand func() (Expr, error), ops ...string) (Expr, error) {
	x, err := operand()
	for err == nil {
		op := ""
		for _, o := range ops {
			if op == "" && p.symbol(o) {
				op = o
			}
		}
		if op == "" {
			return x, nil
		}
		var y Expr
		if y, err = operand(); err == nil {
			x = &binary{op, x, y}
		}
	}
	return nil, err
}

func (p *parser) primary() (Expr, error) {
	t := p.peek()
	switch t.kind {
	case tokNumber:
		p.next()
		return number(t.text)
	case tokString:
		p.next()
		return &literal{t.text}, nil
	case tokBytes:
		p.next()
		return &literal{[]byte(t.text)}, nil
	case tokSysVar:
		p.next()
		return &sysVar{unscoped(t.text)}, nil
	case tokUserVar:
		p.next()
		return &userVar{strings.ToLower(t.text)}, nil
	case tokParam:
		p.next()
		p.params++
		return &param{p.params - 1}, nil
	case tokQuoted:
		return p.column()
	case tokWord:
		return p.wordPrimary()
	}
	switch {
	case p.symbol("-"), p.symbol("+"):
		if p.depth++; p.depth > maxDepth {
			return nil, fmt.Errorf("the expression is nested deeper than %d", maxDepth)
		}
		defer func() { p.depth-- }()
		x, err := p.primary()
		return &unary{t.text, x}, err
	case p.symbol("("):
		list, err := p.list()
		if err != nil {
			return nil, err
		}
		if !p.symbol(")") {
			return nil, p.unexpected()
		}
		if len(list) == 1 {
			return list[0], nil
		}
		return &tuple{list}, nil
	}
	return nil, p.unexpected()
}

func number(text string) (Expr, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return &literal{i}, nil
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return &literal{u}, nil
	}
	if !strings.ContainsAny(text, "eE") {
		return &literal{Decimal(text)}, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", text)
	}
	return &literal{f}, nil
}

// wordPrimary reads a keyword literal, a function call, a cast or a column.
func (p *parser) wordPrimary() (Expr, error) {
	switch {
	case p.word("NULL"):
		return &literal{nil}, nil
	case p.word("TRUE"):
		return &literal{int64(1)}, nil
	case p.word("FALSE"):
		return &literal{int64(0)}, nil
	case p.word("BINARY"), p.word("_binary"), p.word("_utf8mb4"), p.word("ALL"):
		return p.primary()
	}
	if p.tokens[p.at+1].text != "(" || p.tokens[p.at+1].kind != tokSymbol {
		if strings.EqualFold(p.peek().text, "CURRENT_TIMESTAMP") || strings.EqualFold(p.peek().text, "CURRENT_USER") {
			return &call{name: strings.ToUpper(p.next().text)}, nil
		}
		return p.column()
	}
	name := strings.ToUpper(p.next().text)
	p.next() // (
	c := &call{name: name}
	switch {
	case p.symbol(")"):
		return c, nil
	case p.symbol("*"):
		c.star = true
	default:
		list, err := p.list()
		if err != nil {
			return nil, err
		}
		c.args = list
	}
	if name == "CAST" && p.word("AS") || name == "CONVERT" && p.word("USING") {
		return p.castTo(c)
	}
	if name == "CAST" || !p.symbol(")") {
		return nil, p.unexpected()
	}
	return c, nil
}

// castTo reads the type of CAST(x AS type), which may have a length.
func (p *parser) castTo(c *call) (Expr, error) {
	to, err := p.identifier()
	if err != nil || len(c.args) != 1 {
		return nil, p.unexpected()
	}
	for depth := 1; depth > 0; {
		switch t := p.next(); {
		case t.kind == tokEnd:
			return nil, p.unexpected()
		case t.kind == tokSymbol && t.text == "(":
			depth++
		case t.kind == tokSymbol && t.text == ")":
			depth--
		}
	}
	return &cast{c.args[0], strings.ToUpper(to)}, nil
}

// column reads [[database.]table.]column or table.*.
func (p *parser) column() (Expr, error) {
	name, err := p.identifier()
	for err == nil && p.symbol(".") {
		if p.symbol("*") {
			return &columnRef{"*"}, nil
		}
		name, err = p.identifier()
	}
	return &columnRef{name}, err
}
