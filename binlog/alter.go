package binlog

import "tailwater/change"

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
	l.wait()
	s := statement{kind: harmless, tables: []tableName{table}}
	if ignore {
		s.kind, s.verb = removes, "ALTER IGNORE TABLE"
	}
	for l.peek().kind != tokenEnd {
		if !l.action(&s, table) {
			return statement{}
		}
	}
	return s
}

// removing marks s as a statement that removes rows of its table in a way that
// no event can say.
func (s *statement) removing(verb string) { s.kind, s.verb = removes, verb }

// action reads one action of ALTER TABLE and the comma behind it. It reports
// false when the text cannot be placed.
func (l *lexer) action(s *statement, table tableName) bool {
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
		s.renames("ALTER TABLE .. RENAME", table, to)
	case l.accept("DROP"):
		if l.accept("PARTITION") {
			s.changes("ALTER TABLE .. DROP PARTITION", tableStep{ddl: change.Repartitioned, table: table})
		}
	case l.accept("TRUNCATE"):
		s.changes("ALTER TABLE .. TRUNCATE PARTITION", tableStep{ddl: change.Repartitioned, table: table})
	case l.accept("DISCARD"):
		s.removing("ALTER TABLE .. DISCARD TABLESPACE")
	case l.accept("IMPORT"):
		s.removing("ALTER TABLE .. IMPORT TABLESPACE")
	case l.accept("EXCHANGE"):
		return l.exchange(s, table) && l.skipAction()
	case l.accept("CONVERT"):
		return l.convert(s, table) && l.skipAction()
	case l.accept("ENGINE"):
		l.acceptMark('=')
		if t := l.peek(); t.is("BLACKHOLE") || t.text == "BLACKHOLE" {
			s.removing("ALTER TABLE .. ENGINE=BLACKHOLE")
		}
	}
	return l.skipAction()
}

// exchange reads PARTITION p WITH TABLE t.
func (l *lexer) exchange(s *statement, table tableName) bool {
	for !l.accept("TABLE") {
		if l.next().kind == tokenEnd {
			return false
		}
	}
	other, ok := l.table()
	if !ok {
		return false
	}
	s.changes("ALTER TABLE .. EXCHANGE PARTITION",
		tableStep{ddl: change.Repartitioned, table: table, to: other, from: other},
		tableStep{ddl: change.Repartitioned, table: other, to: table, from: table})
	return true
}

// convert reads what MariaDB has behind CONVERT: PARTITION p TO TABLE t, and
// TABLE t TO PARTITION p. A conversion of the character set has no rows.
func (l *lexer) convert(s *statement, table tableName) bool {
	const verb = "ALTER TABLE .. CONVERT PARTITION"
	switch {
	case l.accept("PARTITION"):
		for !l.accept("TABLE") {
			if l.next().kind == tokenEnd {
				return false
			}
		}
		other, ok := l.table()
		s.changes(verb, tableStep{ddl: change.Repartitioned, table: table, to: other}, tableStep{ddl: change.Renamed, table: other, from: table})
		return ok
	case l.accept("TABLE"):
		other, ok := l.table()
		s.changes(verb, tableStep{ddl: change.Renamed, table: other, to: table}, tableStep{ddl: change.Repartitioned, table: table, from: other})
		return ok
	}
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
