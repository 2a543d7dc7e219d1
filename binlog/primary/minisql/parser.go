package minisql

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads one statement. A semicolon may follow it.
func Parse(text string) (Statement, error) {
	st, _, err := Prepare(text)
	return st, err
}

// Prepare is Parse, and counts the placeholders.
func Prepare(text string) (st Statement, params int, err error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, 0, fmt.Errorf("parse statement: %w", err)
	}
	p := &parser{tokens: tokens, text: text}
	if st, err = p.statement(); err != nil {
		return nil, 0, fmt.Errorf("parse statement: %w", err)
	}
	p.symbol(";")
	if p.peek().kind != tokEnd {
		return nil, 0, fmt.Errorf("parse statement: %w", p.unexpected())
	}
	return st, p.params, nil
}

// parser walks over the tokens of one statement.
type parser struct {
	tokens []token
	at     int
	text   string
	params int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokEnd {
		p.at++
	}
	return t
}

func (p *parser) unexpected() error {
	t := p.peek()
	if t.kind == tokEnd {
		return fmt.Errorf("the statement ends too early")
	}
	return fmt.Errorf("%q is not understood there (joins, subqueries and writes are not served)", t.text)
}

// word consumes the keywords when they all follow.
func (p *parser) word(words ...string) bool {
	for i, w := range words {
		if p.at+i >= len(p.tokens) {
			return false
		}
		if t := p.tokens[p.at+i]; t.kind != tokWord || !strings.EqualFold(t.text, w) {
			return false
		}
	}
	p.at += len(words)
	return true
}

// symbol consumes s when it follows.
func (p *parser) symbol(s string) bool {
	if t := p.peek(); t.kind == tokSymbol && t.text == s {
		p.at++
		return true
	}
	return false
}

// skip consumes the rest of the statement.
func (p *parser) skip() { p.at = len(p.tokens) - 1 }

func (p *parser) statement() (Statement, error) {
	switch {
	case p.word("SELECT"):
		return p.selectStatement()
	case p.word("SHOW"):
		return p.show()
	case p.word("DESCRIBE"), p.word("DESC"):
		name, err := p.name()
		return &Show{What: "COLUMNS", Table: name}, err
	case p.word("SET"):
		return p.set()
	case p.word("USE"):
		name, err := p.identifier()
		return &Use{name}, err
	case p.word("KILL"):
		return p.kill()
	case p.word("START", "TRANSACTION"), p.word("BEGIN"):
		t := &Transaction{Begin: true}
		for p.peek().kind == tokWord || p.symbol(",") {
			if !p.word("WITH", "CONSISTENT", "SNAPSHOT") {
				p.next() // READ ONLY and the like
				continue
			}
			t.Snapshot = true
		}
		return t, nil
	case p.word("ROLLBACK", "TO"):
		p.skip()
		return &Nothing{}, nil
	case p.word("COMMIT"), p.word("ROLLBACK"):
		p.skip()
		return &Transaction{}, nil
	case p.word("FLUSH"), p.word("UNLOCK"), p.word("LOCK"), p.word("DO"), p.word("SAVEPOINT"), p.word("RELEASE"):
		p.skip()
		return &Nothing{}, nil
	}
	return nil, p.unexpected()
}

func (p *parser) selectStatement() (*Select, error) {
	s := &Select{Limit: -1}
	for p.word("SQL_NO_CACHE") || p.word("ALL") || p.word("STRAIGHT_JOIN") {
	}
	for {
		item, err := p.item()
		if err != nil {
			return nil, err
		}
		s.Items = append(s.Items, item)
		if !p.symbol(",") {
			break
		}
	}
	if p.word("FROM") && !p.word("DUAL") {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		s.From = &name
		if p.word("AS") || p.isAlias() {
			p.next()
		}
		if p.word("FORCE", "INDEX") || p.word("USE", "INDEX") {
			if _, err := p.primary(); err != nil {
				return nil, err
			}
		}
	}
	return s, p.selectTail(s)
}

// isAlias reports whether a table's alias follows.
func (p *parser) isAlias() bool {
	t := p.peek()
	if t.kind == tokQuoted {
		return true
	}
	return t.kind == tokWord && !strings.Contains(" WHERE GROUP ORDER LIMIT FOR LOCK FORCE USE JOIN LEFT INNER CROSS ",
		" "+strings.ToUpper(t.text)+" ")
}

func (p *parser) selectTail(s *Select) (err error) {
	if p.word("WHERE") {
		if s.Where, err = p.expr(); err != nil {
			return err
		}
	}
	if p.word("GROUP", "BY") {
		if s.GroupBy, err = p.list(); err != nil {
			return err
		}
	}
	if p.word("ORDER", "BY") {
		for {
			e, err := p.expr()
			if err != nil {
				return err
			}
			desc := p.word("DESC")
			if !desc {
				p.word("ASC")
			}
			s.OrderBy = append(s.OrderBy, Order{e, desc})
			if !p.symbol(",") {
				break
			}
		}
	}
	if p.word("LIMIT") {
		if s.Limit, err = p.integer(); err != nil {
			return err
		}
		if p.symbol(",") {
			s.Offset = s.Limit
			s.Limit, err = p.integer()
		} else if p.word("OFFSET") {
			s.Offset, err = p.integer()
		}
		if err != nil {
			return err
		}
	}
	if p.word("FOR", "UPDATE") || p.word("FOR", "SHARE") || p.word("LOCK", "IN", "SHARE", "MODE") {
		p.word("NOWAIT")
		p.word("SKIP", "LOCKED")
	}
	return nil
}

func (p *parser) integer() (int64, error) {
	t := p.next()
	n, err := strconv.ParseInt(t.text, 10, 64)
	if t.kind != tokNumber || err != nil || n < 0 {
		return 0, fmt.Errorf("LIMIT wants numbers, got %q", t.text)
	}
	return n, nil
}

func (p *parser) item() (Item, error) {
	if p.symbol("*") {
		return Item{Name: "*"}, nil
	}
	from := p.at
	e, err := p.expr()
	if err != nil {
		return Item{}, err
	}
	if c, ok := e.(*columnRef); ok {
		if c.name == "*" {
			return Item{Name: "*"}, nil
		}
		return p.alias(Item{e, c.name})
	}
	return p.alias(Item{e, p.source(from)})
}

func (p *parser) alias(it Item) (Item, error) {
	as := p.word("AS")
	t := p.peek()
	if as || t.kind == tokQuoted || t.kind == tokString ||
		t.kind == tokWord && !strings.EqualFold(t.text, "FROM") && p.isAlias() {
		if t.kind != tokWord && t.kind != tokQuoted && t.kind != tokString {
			return it, p.unexpected()
		}
		it.Name = p.next().text
	}
	return it, nil
}

// source rebuilds the text of the tokens from the given one on, as a heading.
func (p *parser) source(from int) string {
	var b strings.Builder
	for _, t := range p.tokens[from:p.at] {
		switch t.kind {
		case tokSysVar:
			b.WriteString("@@")
		case tokUserVar:
			b.WriteString("@")
		}
		b.WriteString(t.text)
	}
	return b.String()
}

func (p *parser) identifier() (string, error) {
	t := p.peek()
	if t.kind != tokWord && t.kind != tokQuoted {
		return "", p.unexpected()
	}
	p.next()
	return t.text, nil
}

// name reads table or database.table.
func (p *parser) name() (Name, error) {
	first, err := p.identifier()
	if err != nil || !p.symbol(".") {
		return Name{Table: first}, err
	}
	second, err := p.identifier()
	return Name{first, second}, err
}

func (p *parser) kill() (Statement, error) {
	k := &Kill{Query: p.word("QUERY")}
	p.word("CONNECTION")
	t := p.next()
	id, err := strconv.ParseUint(t.text, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("KILL wants a connection id, got %q", t.text)
	}
	k.ID = uint32(id)
	return k, nil
}

func (p *parser) show() (Statement, error) {
	s := &Show{}
	var what []string
	for p.peek().kind == tokWord {
		w := strings.ToUpper(p.peek().text)
		if w == "LIKE" || w == "WHERE" || w == "FROM" || w == "IN" || w == "FOR" {
			break
		}
		p.next()
		if w == "GLOBAL" || w == "SESSION" || w == "FULL" || w == "LOCAL" {
			continue
		}
		what = append(what, w)
		if w == "TABLE" && len(what) == 2 && what[0] == "CREATE" {
			break
		}
	}
	s.What = strings.Join(what, " ")
	var err error
	switch {
	case s.What == "CREATE TABLE":
		s.Table, err = p.name()
	case p.word("FOR"):
		p.skip()
	case p.word("FROM") || p.word("IN"):
		s.Table, err = p.name()
		if err == nil && (p.word("FROM") || p.word("IN")) {
			s.Table.Database, err = p.identifier()
		}
	}
	if err != nil {
		return nil, err
	}
	if p.word("LIKE") {
		t := p.next()
		if t.kind != tokString {
			return nil, fmt.Errorf("LIKE wants a string, got %q", t.text)
		}
		s.Like = &t.text
	} else if p.word("WHERE") {
		s.Where, err = p.expr()
	}
	return s, err
}

func (p *parser) set() (Statement, error) {
	s := &Set{}
	if p.word("NAMES") || p.word("CHARACTER") || p.word("TRANSACTION") ||
		p.word("SESSION", "TRANSACTION") || p.word("GLOBAL", "TRANSACTION") {
		p.skip()
		return s, nil
	}
	for {
		for p.word("GLOBAL") || p.word("SESSION") || p.word("LOCAL") || p.word("PERSIST") {
		}
		t := p.next()
		if t.kind != tokUserVar && t.kind != tokSysVar && t.kind != tokWord && t.kind != tokQuoted {
			return nil, fmt.Errorf("SET wants a variable, got %q", t.text)
		}
		if !p.symbol("=") && !p.symbol(":=") {
			return nil, p.unexpected()
		}
		a := Assignment{User: t.kind == tokUserVar, Name: unscoped(t.text)}
		if w := p.peek(); w.kind == tokWord && !strings.EqualFold(w.text, "NULL") && p.tokens[p.at+1].text != "(" {
			p.next() // SET sql_mode = ANSI, SET autocommit = ON
			a.Value = &literal{w.text}
		} else {
			var err error
			if a.Value, err = p.expr(); err != nil {
				return nil, err
			}
		}
		s.Assignments = append(s.Assignments, a)
		if !p.symbol(",") {
			return s, nil
		}
	}
}

// unscoped removes global., session. and the like, and the case.
func unscoped(name string) string {
	name = strings.ToLower(name)
	for _, scope := range []string{"global.", "session.", "local.", "persist."} {
		name = strings.TrimPrefix(name, scope)
	}
	return name
}
