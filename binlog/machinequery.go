package binlog

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tailwater/change"
	"tailwater/internal/failpoint"
)

// query takes a statement. Its text decides only whether a transaction begins
// or ends, and whether rows changed without row events.
func (m *machine) query(ev event, readAt time.Time) error {
	q, err := parseQuery(ev.body)
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	failpoint.At(failpoint.BinlogStatementRead)
	if string(q.text) == "BEGIN" {
		// Nearly every transaction: no need to look at it word by word.
		return m.begin(ev, readAt)
	}
	return m.statement(q, ev, readAt)
}

// statement takes a QUERY event whose text must be looked at.
func (m *machine) statement(q query, ev event, readAt time.Time) error {
	s := classify(q.text, q.mode)
	if s.kind == begins {
		return m.begin(ev, readAt)
	}
	if m.phase == between {
		// A server without GTIDs logs a single statement by itself.
		if m.o.Position == ByGTID {
			return m.need(named)
		}
		if err := m.open(gtidEvent{}, ev, readAt); err != nil {
			return err
		}
	}
	switch s.kind {
	case commits:
		if err := m.need(inGroup); err != nil {
			return err
		}
		return m.commit()
	case rollsBack:
		return m.rollback()
	case startsXA:
		return m.startXA(s.name)
	case endsXA:
		return m.need(inGroup)
	case commitsXA:
		return m.commitXA(s.name)
	case rollsBackXA:
		return m.rollbackXA(s.name)
	case saves:
		return m.save(s.name)
	case restores:
		return m.restore(s.name)
	}
	take := m.judge
	if s.kind == changesTables {
		take = m.changeTables
	}
	if err := take(&q, &s); err != nil {
		var handler *HandlerError
		if !m.accepted[m.tx.ID] || errors.As(err, &handler) {
			return err
		}
		m.passOver(err.Error())
	}
	if m.phase == named {
		return m.commit()
	}
	return nil
}

// passOver counts and logs what would stop the shard, had a person not accepted
// its transaction.
func (m *machine) passOver(what string) {
	m.tx.Accepted++
	m.o.Logger.Warn("passed over, because a person has accepted the transaction", "shard", m.o.Shard, "transaction", m.tx.ID, "what", what)
}

// begin takes BEGIN.
func (m *machine) begin(ev event, readAt time.Time) error {
	if m.phase == between && m.o.Position == ByFile {
		if err := m.open(gtidEvent{}, ev, readAt); err != nil {
			return err
		}
	}
	if err := m.need(named); err != nil {
		return err
	}
	m.phase = inGroup
	return nil
}

// rollback takes ROLLBACK at the end of a group. A server writes one only
// where a statement changed a table that cannot roll back. Which of the rows
// stayed is not in the log, so it is an end only when there were none.
func (m *machine) rollback() error {
	if m.phase == named {
		return m.commit()
	}
	if m.tx.Rows > 0 {
		return m.stop("compare the tables that the transaction wrote, then start behind it",
			"ROLLBACK behind %d row changes: those of transactional tables did not happen, those of others did, and the log does not tell them apart", m.tx.Rows)
	}
	return m.commit()
}

// save takes SAVEPOINT, which is no boundary of anything.
func (m *machine) save(name string) error {
	if err := m.need(inGroup); err != nil {
		return err
	}
	m.savepoints = slices.DeleteFunc(m.savepoints, func(s savepoint) bool { return strings.EqualFold(s.name, name) })
	m.savepoints = append(m.savepoints, savepoint{name: name, rows: m.rowsBefore()})
	return nil
}

// restore takes ROLLBACK TO. A server cuts the rows off before it writes them;
// the statement itself is logged only where it could not.
func (m *machine) restore(name string) error {
	if err := m.need(inGroup); err != nil {
		return err
	}
	var rows uint32
	for _, s := range m.savepoints {
		if strings.EqualFold(s.name, name) {
			rows = s.rows
		}
	}
	if now := m.rowsBefore(); now > rows {
		return m.stop("compare the tables that the transaction wrote, then start behind it",
			"ROLLBACK TO a savepoint behind %d row changes, and the log does not tell which of them stayed", now-rows)
	}
	return nil
}

// judge returns what stops the shard about a statement, if anything.
func (m *machine) judge(q *query, s *statement) error {
	switch s.kind {
	case harmless:
		return nil
	case removes:
		for _, t := range s.tables {
			database, table := m.names(q, t)
			if !m.o.Filter(database, table) {
				continue
			}
			stop := m.stop(m.behind(), "%s of %s.%s, which is followed: rows left it without row events, and what is left cannot be said", s.verb, database, table)
			if err := m.tolerated(database, table, stop); err != nil {
				return err
			}
		}
		return nil
	case changesRows:
		if m.elsewhere(q) {
			return nil
		}
		return m.stop("set binlog_format=ROW globally and end the sessions that have another; if the stream shall go without what the statement changed, accept transaction "+m.tx.ID+"; else compare the tables and start anew",
			"%s is logged as a statement: the rows that it changed are not in the binlog", s.verb)
	}
	return m.judgeUnclassified(q)
}

// elsewhere reports whether a statement has changed rows of databases only that
// nobody follows. Its text cannot prove that: a trigger, a function or a view
// may write where nothing in it points to. The server's list of the databases
// that it opened to write can, which MariaDB does not log.
func (m *machine) elsewhere(q *query) bool {
	return q.known && len(q.updated) > 0 && !slices.ContainsFunc(q.updated, m.mayConcern)
}

// blame says which table is at fault for a stop, and returns the stop.
func blame(stop error, database, table string) error {
	if e := (*StopError)(nil); errors.As(stop, &e) {
		e.Table = change.TableName{Database: database, Name: table}
	}
	return stop
}

// tolerated returns what is left of an error that stops the shard at a statement.
func (m *machine) tolerated(database, table string, stop error) error {
	stop = blame(stop, database, table)
	if m.o.Tolerate == nil || database == "" {
		return stop
	}
	ok, err := m.o.Tolerate(m.tx.ID, database, table, stop)
	if err != nil {
		return handed(err)
	}
	if ok {
		return nil
	}
	return stop
}

// judgeUnclassified stops at text that cannot be placed, unless it concerns no
// followed database: the server says so, or the session's is another and no
// other is named.
func (m *machine) judgeUnclassified(q *query) error {
	names := q.updated
	if !q.known || len(names) == 0 {
		if q.mode.unsafeCharset {
			return m.unclassified(q, string(q.database))
		}
		names = append([]string{string(q.database)}, namesIn(q.text)...)
	}
	for _, name := range names {
		if m.mayConcern(name) {
			if err := m.tolerated(name, "", m.unclassified(q, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayConcern reports whether a statement about a database may be about a followed
// table.
func (m *machine) mayConcern(database string) bool {
	if m.lowerNames {
		database = strings.ToLower(database)
	}
	return database == "" || m.o.FollowsDatabase(database)
}

// unclassified is the error of text that cannot be placed. Of the text it tells
// the first word only.
func (m *machine) unclassified(q *query, database string) error {
	return m.stop(m.behind(), "a statement in database %q cannot be classified (it begins with %q)", database, firstWord(q.text))
}

// namesIn returns everything in a text that may be the name of a database,
// wherever it stands: words, and what is between two quotes. It is read without
// a grammar, for it is not known which one holds.
func namesIn(text []byte) []string {
	names := strings.FieldsFunc(string(text), func(r rune) bool { return r < utf8.RuneSelf && !wordByte(byte(r)) })
	for _, quote := range []string{"`", `"`} {
		const doubled = "\x00"
		parts := strings.Split(strings.ReplaceAll(string(text), quote+quote, doubled), quote)
		for _, part := range parts[1:] {
			if part != "" {
				names = append(names, strings.ReplaceAll(part, doubled, quote))
			}
		}
	}
	return names
}

// firstWord returns the first word of a statement, never more: the rest may
// hold values.
func firstWord(text []byte) string {
	t := newLexer(text, lexMode{}).next()
	if t.kind != tokenWord {
		return ""
	}
	return upper(abridge(t.text))
}

// behind says how a person goes on behind a statement that stops the shard.
func (m *machine) behind() string {
	return "if the stream shall keep those rows as they were, accept transaction " + m.tx.ID + "; else rebuild what was made of the table"
}
