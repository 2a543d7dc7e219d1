package binlog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A distributed transaction stands in two places of the binlog: its rows where
// it was prepared, under a GTID of their own, and its outcome wherever XA COMMIT
// or XA ROLLBACK came. The rows are held as the events they came in, and handed
// over inside the transaction of the outcome, where they were committed:
//
//	prepared  = GTID, QUERY XA START, { rows | savepoint }, QUERY XA END, XA_PREPARE
//	outcome   = GTID, (QUERY XA COMMIT | QUERY XA ROLLBACK)
//
// On MariaDB the GTID event says that it is XA START, or that an outcome
// follows, and of which xid.
//
// Until the outcome is known a reader that begins at the position must come by
// the rows again. By MySQL's GTIDs their own is not in the position, so that they
// are sent once more. Everywhere else a position has no gaps, so it lists the
// transaction (prepared.go). XA COMMIT .. ONE PHASE prepares and commits at once.

// heldXA is a distributed transaction without an outcome.
type heldXA struct {
	xid string
	id  txID
	// listed is how the position names it, where that is how it comes again.
	listed Prepared
	events []heldEvent
	bytes  int
}

// heldEvent is a TABLE_MAP or rows event.
type heldEvent struct {
	kind eventType
	body []byte
}

// xaTransactions are those of a connection that have no outcome yet.
type xaTransactions struct {
	// open is the one whose rows are being read, nil for none.
	open *heldXA
	held map[string]*heldXA
	// outcome is the xid that MariaDB's GTID event says is committed or rolled
	// back in the transaction at hand.
	outcome string
	// bytes is what all of them take, at most the bound of a payload.
	bytes int
}

// The hints of stops at distributed transactions.
const (
	hintXABound = "commit or roll back the prepared transactions on the server (XA RECOVER lists them); the shard then goes on"
)

// startXA takes XA START, which is the BEGIN of a prepared transaction. MariaDB
// says it in the GTID event alone.
func (m *machine) startXA(xid string) error {
	if err := m.need(named); err != nil {
		return err
	}
	m.phase = inGroup
	m.xa.open = &heldXA{xid: xid, id: m.id, listed: Prepared{XID: xid, ID: strings.Clone(m.tx.ID), File: m.tx.File, Pos: m.tx.Pos}}
	if m.position.Domains != nil {
		if last, ok := m.position.Domains.Find(m.id.domain.Domain); ok {
			m.xa.open.listed.After = last.String()
		}
	}
	return nil
}

// listsXA reports whether a position names prepared transactions, because it
// cannot leave a gap at them.
func (m *machine) listsXA() bool { return m.o.Flavor == MariaDB || m.o.Position == ByFile }

// hold keeps an event of the open distributed transaction. It reports false
// when none is open.
func (m *machine) hold(ev event) (bool, error) {
	x := m.xa.open
	if x == nil {
		return false, nil
	}
	switch ev.kind {
	case evTableMap, evWriteV1, evUpdateV1, evDeleteV1, evWriteV2, evUpdateV2, evDeleteV2, evPartialUpdate:
	default:
		return false, nil
	}
	if m.xa.bytes+len(ev.body) > m.o.MaxHeld {
		return true, m.stop(hintXABound, "prepared transactions hold more than %d bytes of rows", m.o.MaxHeld)
	}
	m.xa.bytes += len(ev.body)
	x.bytes += len(ev.body)
	x.events = append(x.events, heldEvent{ev.kind, bytes.Clone(ev.body)})
	return true, nil
}

// prepareXA takes XA_PREPARE: 1 byte that is 1 for a commit in one phase; the
// xid behind it is that of XA START.
func (m *machine) prepareXA(ev event) error {
	if err := m.need(inGroup); err != nil {
		return err
	}
	x := m.xa.open
	if x == nil || len(ev.body) < 1 {
		return m.stop(hintReport, "XA_PREPARE without XA START")
	}
	m.xa.open = nil
	if ev.body[0] != 0 {
		if err := m.replay(x); err != nil {
			return err
		}
		return m.commit()
	}
	if m.xa.held[x.xid] != nil {
		return m.stop(hintReport, "XA_PREPARE of %s, which is prepared already", abridge(x.xid))
	}
	if len(m.xa.held) >= mostPrepared {
		return m.stop(hintXABound, "more than %d transactions are prepared", mostPrepared)
	}
	m.xa.keep(x)
	if m.listsXA() {
		m.position.Prepared = append(m.position.Prepared, x.listed)
	} else {
		// It joins the position with its outcome.
		m.id = txID{}
	}
	return m.commit()
}

// keep holds x until its outcome.
func (t *xaTransactions) keep(x *heldXA) {
	if t.held == nil {
		t.held = map[string]*heldXA{}
	}
	t.held[x.xid] = x
}

// outcomeOf returns the xid of an outcome: as MariaDB's GTID event says it, which
// stands for its statement too.
func (m *machine) outcomeOf(xid string) (string, error) {
	if m.o.Flavor != MariaDB {
		return xid, nil
	}
	if m.xa.outcome == "" {
		return "", m.stop(hintReport, "an outcome of a distributed transaction behind a GTID that does not announce one")
	}
	return m.xa.outcome, nil
}

// commitXA takes XA COMMIT: the rows are handed over now.
func (m *machine) commitXA(xid string) error {
	if err := m.need(named); err != nil {
		return err
	}
	xid, err := m.outcomeOf(xid)
	if err != nil {
		return err
	}
	x := m.xa.held[xid]
	if x == nil {
		if m.accepted[m.tx.ID] {
			m.passOver("XA COMMIT of rows that were not read")
			return m.commit()
		}
		return m.stop(m.behind(), "XA COMMIT of a transaction that was prepared before the place where the reader began: its rows were not read")
	}
	m.phase = inGroup
	if x.listed.Lost {
		m.passOver("XA COMMIT of the rows of " + x.listed.ID + ", which were given up")
	}
	if err := m.replay(x); err != nil {
		return err
	}
	m.forgetXA(x)
	return m.commit()
}

// rollbackXA takes XA ROLLBACK: the rows never happened.
func (m *machine) rollbackXA(xid string) error {
	if err := m.need(named); err != nil {
		return err
	}
	xid, err := m.outcomeOf(xid)
	if err != nil {
		return err
	}
	if x := m.xa.held[xid]; x != nil {
		m.forgetXA(x)
	}
	return m.commit()
}

// replay hands the rows of x over inside the transaction at hand.
func (m *machine) replay(x *heldXA) error {
	kind := m.kind
	defer func() { m.kind = kind }()
	m.tables.endStatement()
	for _, e := range x.events {
		m.kind = e.kind
		ev := event{header: header{kind: e.kind}, body: e.body}
		take := m.rows
		if e.kind == evTableMap {
			take = m.tableMap
		}
		if err := take(ev); err != nil {
			return err
		}
	}
	return nil
}

// forgetXA notes that x has an outcome.
func (m *machine) forgetXA(x *heldXA) {
	delete(m.xa.held, x.xid)
	m.xa.bytes -= x.bytes
	m.position.Prepared = slices.DeleteFunc(m.position.Prepared, func(p Prepared) bool { return p.XID == x.xid })
	if !m.listsXA() {
		m.position.add(x.id)
	}
}

// rowsBefore counts what a savepoint stands behind: row changes, or in a
// distributed transaction events that hold them.
func (m *machine) rowsBefore() uint32 {
	if x := m.xa.open; x != nil {
		return uint32(len(x.events))
	}
	return m.tx.Rows
}

// xid reads the xid of an XA statement: as the server writes it, in hex, so
// that one text is one transaction.
func (l *lexer) xid() string {
	var b []byte
	for {
		switch t := l.next(); t.kind {
		case tokenEnd:
			return string(b)
		case tokenString:
			b = fmt.Appendf(b, "'%s'", t.text)
		default:
			b = append(b, t.text...)
		}
	}
}

// distributed reads what follows XA.
func (l *lexer) distributed() statement {
	kind := unclassified
	switch {
	case l.accept("START", "BEGIN"):
		kind = startsXA
	case l.accept("END"):
		kind = endsXA
	case l.accept("COMMIT"):
		kind = commitsXA
	case l.accept("ROLLBACK"):
		kind = rollsBackXA
	}
	if kind != unclassified {
		return statement{kind: kind, verb: "XA", name: l.xid()}
	}
	return statement{}
}
