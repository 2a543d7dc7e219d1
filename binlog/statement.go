package binlog

import "tailwater/change"

// statementKind says what a statement in a QUERY event means to the reader.
type statementKind int

const (
	// unclassified is text that this package cannot place.
	unclassified statementKind = iota
	// begins, commits and rollsBack delimit a transaction.
	begins
	commits
	rollsBack
	// saves and restores are SAVEPOINT and ROLLBACK TO.
	saves
	restores
	// harmless changes no row of any table without row events.
	harmless
	// changesTables takes all or some rows of tables away, or moves them, without
	// row events, and says which tables.
	changesTables
	// removes takes rows away without row events, in a way that no event can say.
	removes
	// changesRows is DML as text: the rows it changed are not in the log.
	changesRows
	// startsXA, endsXA, commitsXA and rollsBackXA delimit a distributed
	// transaction and its outcome.
	startsXA
	endsXA
	commitsXA
	rollsBackXA
)

// tableName is a table as a statement names it; Database is "" where it relies
// on the session's default.
type tableName struct{ Database, Name string }

// statement is a classified text.
type statement struct {
	kind statementKind
	// verb is what to call it in an error, such as "TRUNCATE TABLE".
	verb string
	// tables are those whose rows vanish or move.
	tables []tableName
	// steps are what a statement that changes tables does to them, in order.
	steps []tableStep
	// name is the savepoint or the xid.
	name string
}

// tableStep is a change of one table, of which a statement may make several. Of a
// database that is dropped the table's Name is "".
type tableStep struct {
	ddl             change.DDL
	table, to, from tableName
}

// changes adds steps to s.
func (s *statement) changes(verb string, steps ...tableStep) {
	if s.kind != removes {
		s.kind, s.verb = changesTables, verb
	}
	for _, x := range steps {
		s.steps, s.tables = append(s.steps, x), append(s.tables, x.table)
	}
}

// renames adds the two steps of a rename: rows leave the one name, and enter
// the other.
func (s *statement) renames(verb string, from, to tableName) {
	s.changes(verb, tableStep{ddl: change.Renamed, table: from, to: to}, tableStep{ddl: change.Renamed, table: to, from: from})
}

// classify says what a text means. It depends on text as little as it can:
// the shape of tables comes from TABLE_MAP, so all DDL is harmless but that
// which makes rows vanish or change tables. What does not parse is unclassified.
func classify(text []byte, mode lexMode) statement {
	l := newLexer(text, mode)
	s := classifyTokens(l)
	if l.bad || l.doubtful && s.kind == changesTables {
		return statement{}
	}
	return s
}

// classifyTokens decides by the first word.
func classifyTokens(l *lexer) statement {
	first := l.next()
	switch {
	case first.is("BEGIN"):
		l.accept("WORK")
		return l.atEnd(begins)
	case first.is("START"):
		if l.accept("TRANSACTION") {
			return statement{kind: begins}
		}
	case first.is("COMMIT"):
		l.accept("WORK")
		return l.atEnd(commits)
	case first.is("ROLLBACK"):
		return l.rollback()
	case first.is("SAVEPOINT"):
		return statement{kind: saves, name: l.next().text}
	case first.is("RELEASE"):
		return statement{kind: harmless}
	case first.is("XA"):
		return l.distributed()
	case first.is("INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "WITH", "SELECT", "VALUES"):
		return statement{kind: changesRows, verb: upper(first.text)}
	case first.is("TRUNCATE"):
		l.accept("TABLE")
		return l.list("TRUNCATE TABLE", change.Truncated)
	case first.is("DROP"):
		return l.drop()
	case first.is("RENAME"):
		return l.rename()
	case first.is("ALTER"):
		return l.alter()
	case first.is("CREATE"):
		return l.create()
	case first.is("SET"):
		if l.accept("PASSWORD", "DEFAULT") {
			return statement{kind: harmless}
		}
		if l.accept("STATEMENT") {
			return l.setStatement()
		}
	case first.is("GRANT", "REVOKE", "FLUSH", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "INSTALL", "UNINSTALL"):
		return statement{kind: harmless}
	}
	return statement{}
}

// setStatement reads what follows MariaDB's SET STATEMENT: variables, then FOR
// and the statement that they hold for. With sql_mode among them it is not known
// what the rest means.
func (l *lexer) setStatement() statement {
	for depth := 0; ; {
		t := l.next()
		switch {
		case t.kind == tokenEnd, t.kind == tokenQuoted, t.is("SQL_MODE"):
			return statement{}
		case t.mark('('):
			depth++
		case t.mark(')'):
			depth--
		case depth == 0 && t.is("FOR"):
			if l.peek().is("SET") {
				return statement{}
			}
			switch s := classifyTokens(l); s.kind {
			case harmless, changesTables, removes, changesRows:
				return s
			}
			return statement{}
		}
	}
}

// upper is strings.ToUpper for ASCII keywords.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// atEnd returns kind if the text ends here.
func (l *lexer) atEnd(kind statementKind) statement {
	if l.next().kind != tokenEnd {
		return statement{}
	}
	return statement{kind: kind}
}

// rollback reads ROLLBACK [WORK] [TO [SAVEPOINT] name].
func (l *lexer) rollback() statement {
	l.accept("WORK")
	if !l.accept("TO") {
		return l.atEnd(rollsBack)
	}
	l.accept("SAVEPOINT")
	return statement{kind: restores, name: l.next().text}
}

// table reads [database.]name.
func (l *lexer) table() (tableName, bool) {
	t := l.next()
	if t.kind != tokenWord && t.kind != tokenQuoted {
		return tableName{}, false
	}
	if !l.acceptMark('.') {
		return tableName{Name: t.text}, true
	}
	name := l.next()
	if name.kind != tokenWord && name.kind != tokenQuoted {
		return tableName{}, false
	}
	return tableName{Database: t.text, Name: name.text}, true
}

// list reads the tables of a statement that does the same to each.
func (l *lexer) list(verb string, ddl change.DDL) statement {
	var s statement
	for {
		t, ok := l.table()
		if !ok {
			return statement{}
		}
		s.changes(verb, tableStep{ddl: ddl, table: t})
		if !l.acceptMark(',') {
			break
		}
	}
	l.wait()
	l.accept("RESTRICT", "CASCADE")
	if l.next().kind != tokenEnd {
		return statement{}
	}
	return s
}

// wait passes over MariaDB's WAIT n and NOWAIT.
func (l *lexer) wait() {
	if l.accept("WAIT") {
		l.next()
	}
	l.accept("NOWAIT")
}

// ifExists passes over IF [NOT] EXISTS.
func (l *lexer) ifExists() {
	if l.accept("IF") {
		l.accept("NOT")
		l.accept("EXISTS")
	}
}

// drop reads what follows DROP.
func (l *lexer) drop() statement {
	if l.accept("TEMPORARY") {
		return statement{kind: harmless}
	}
	switch {
	case l.accept("TABLE", "TABLES"):
		l.ifExists()
		return l.list(verbDrop, change.Dropped)
	case l.accept("DATABASE", "SCHEMA"):
		l.ifExists()
		t, ok := l.table()
		if !ok || t.Database != "" || l.next().kind != tokenEnd {
			return statement{}
		}
		var s statement
		s.changes("DROP DATABASE", tableStep{ddl: change.Dropped, table: tableName{Database: t.Name}})
		return s
	case l.accept(otherObjects...):
		return statement{kind: harmless}
	}
	return statement{}
}

// otherObjects begin the names of what has no rows: CREATE, ALTER and DROP of
// them are harmless, including the modifiers that may stand before.
var otherObjects = []string{
	"VIEW", "INDEX", "TRIGGER", "PROCEDURE", "FUNCTION", "AGGREGATE", "EVENT", "USER", "ROLE", "SERVER", "TABLESPACE", "UNDO",
	"LOGFILE", "RESOURCE", "SPATIAL", "UNIQUE", "FULLTEXT", "VECTOR", "ONLINE", "OFFLINE", "INSTANCE", "LIBRARY", "JSON",
	"MATERIALIZED", "ALGORITHM", "DEFINER", "SQL", "PREPARE", "EXTERNAL", "SEQUENCE", "PACKAGE",
}

// rename reads RENAME TABLE a TO b, c TO d: every name of it, old and new,
// because rows leave the one and enter the other.
func (l *lexer) rename() statement {
	if l.accept("USER") {
		return statement{kind: harmless}
	}
	if !l.accept("TABLE", "TABLES") {
		return statement{}
	}
	l.ifExists()
	var s statement
	for {
		from, ok := l.table()
		l.wait()
		if !ok || !l.accept("TO") {
			return statement{}
		}
		to, ok := l.table()
		if !ok {
			return statement{}
		}
		s.renames("RENAME TABLE", from, to)
		if !l.acceptMark(',') {
			break
		}
	}
	if l.next().kind != tokenEnd {
		return statement{}
	}
	return s
}

// create reads what follows CREATE.
func (l *lexer) create() statement {
	replaces := false
	if l.accept("OR") {
		replaces = l.accept("REPLACE")
	}
	temporary := l.accept("TEMPORARY")
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
	if temporary {
		return statement{kind: harmless}
	}
	s := l.createBody()
	if replaces && s.kind == harmless {
		s.changes("CREATE OR REPLACE TABLE", tableStep{ddl: change.Dropped, table: table})
	}
	return s
}

// createBody looks for a query behind the columns. With the row format the
// server writes the columns out and logs the rows, inside a transaction that
// START TRANSACTION announces at the end; a query in the text means that the
// rows are not in the log.
func (l *lexer) createBody() statement {
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd:
			return statement{kind: harmless}
		case t.is("SELECT", "TABLE"), t.is("VALUES") && l.peek().is("ROW"):
			return statement{kind: changesRows, verb: "CREATE TABLE .. SELECT"}
		}
	}
}
