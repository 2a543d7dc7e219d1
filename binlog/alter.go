package binlog

// alter reads what follows ALTER.
func (l *lexer) alter() statement {
	ignore := l.accept("IGNORE")
	if !l.accept("TABLE") {
		if l.accept("DATABASE", "SCHEMA") || l.accept(otherObjects...) {
			return statement{kind: harmless}
		}
		return statement{}
	}
	l.ifExists()
	table, ok := l.table()
	if !ok {
		return statement{}
	}
	s := statement{kind: harmless, tables: []tableName{table}}
	if ignore {
		s.kind, s.verb = removes, "ALTER IGNORE TABLE"
	}
	for l.peek().kind != tokenEnd {
		if !l.action(&s) {
			return statement{}
		}
	}
	return s
}

// removing marks s as a statement that removes rows of its table, and of the
// others named.
func (s *statement) removing(verb string, others ...tableName) {
	s.kind, s.verb = removes, verb
	s.tables = append(s.tables, others...)
}

// action reads one action of ALTER TABLE and the comma behind it. It reports
// false when the text cannot be placed.
func (l *lexer) action(s *statement) bool {
	switch {
	case l.accept("RENAME"):
		if l.accept("COLUMN", "INDEX", "KEY") {
			break
		}
		if !l.accept("TO", "AS") {
			l.acceptMark('=')
		}
		to, ok := l.table()
		if !ok {
			return false
		}
		s.removing("ALTER TABLE .. RENAME", to)
	case l.accept("DROP"):
		if l.accept("PARTITION") {
			s.removing("ALTER TABLE .. DROP PARTITION")
		}
	case l.accept("TRUNCATE"):
		s.removing("ALTER TABLE .. TRUNCATE PARTITION")
	case l.accept("DISCARD"):
		s.removing("ALTER TABLE .. DISCARD TABLESPACE")
	case l.accept("IMPORT"):
		s.removing("ALTER TABLE .. IMPORT TABLESPACE")
	case l.accept("EXCHANGE"):
		if !l.exchange(s) {
			return false
		}
	case l.accept("ENGINE"):
		l.acceptMark('=')
		if t := l.peek(); t.is("BLACKHOLE") || t.text == "BLACKHOLE" {
			s.removing("ALTER TABLE .. ENGINE=BLACKHOLE")
		}
	}
	return l.skipAction()
}

// exchange reads PARTITION p WITH TABLE t.
func (l *lexer) exchange(s *statement) bool {
	for !l.accept("TABLE") {
		if l.next().kind == tokenEnd {
			return false
		}
	}
	other, ok := l.table()
	if !ok {
		return false
	}
	s.removing("ALTER TABLE .. EXCHANGE PARTITION", other)
	return true
}

// skipAction passes over the rest of an action: up to a comma outside
// parentheses. Options may also follow one another without a comma, so that
// ENGINE and RENAME are looked for here too.
func (l *lexer) skipAction() bool {
	for depth := 0; ; {
		t := l.peek()
		switch {
		case t.kind == tokenEnd:
			return depth == 0
		case t.mark('('):
			depth++
		case t.mark(')'):
			depth--
		case t.mark(',') && depth == 0:
			l.next()
			return true
		case depth == 0 && t.is("ENGINE"):
			return true
		}
		l.next()
	}
}
