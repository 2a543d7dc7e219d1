package binlog

import (
	"bytes"
	"fmt"
)

// A distributed transaction stands in two places of the binlog: its rows where
// it was prepared, under a GTID of their own, and its outcome wherever XA COMMIT
// or XA ROLLBACK came. The rows are held as the events they came in, and handed
// over inside the transaction of the outcome, where they were committed:
//
//	prepared  = GTID, QUERY XA START, { rows | savepoint }, QUERY XA END, XA_PREPARE
//	outcome   = GTID, (QUERY XA COMMIT | QUERY XA ROLLBACK)
//
// Until the outcome is known the GTID of the rows is not in the position, so
// that a reader which begins there is sent them again; that takes a position by
// GTID. XA COMMIT .. ONE PHASE prepares and commits at once.

// heldXA is a distributed transaction without an outcome.
type heldXA struct {
	xid    string
	id     txID
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
	// bytes is what all of them take, at most the bound of a payload.
	bytes int
}

// The hints of stops at distributed transactions.
const (
	hintXAMode  = "use position: gtid, or end the use of distributed (XA) transactions on this server, and start behind them"
	hintXABound = "commit or roll back the prepared transactions on the server (XA RECOVER lists them); the shard then goes on"
)

// startXA takes XA START, which is the BEGIN of a prepared transaction.
func (m *machine) startXA(xid string) error {
	if err := m.need(named); err != nil {
		return err
	}
	if m.o.Flavor == MariaDB {
		return m.stop(hintXA, "XA: a distributed transaction may be rolled back after its rows were logged")
	}
	m.phase = inGroup
	m.xa.open = &heldXA{xid: xid, id: m.id}
	return nil
}

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
	if m.o.Position == ByFile {
		return m.stop(hintXAMode, "XA_PREPARE: the rows wait for their outcome, and a position by file cannot stay behind at them")
	}
	if m.xa.held == nil {
		m.xa.held = map[string]*heldXA{}
	}
	if m.xa.held[x.xid] != nil {
		return m.stop(hintReport, "XA_PREPARE of %s, which is prepared already", abridge(x.xid))
	}
	m.xa.held[x.xid] = x
	// It joins the position with its outcome.
	m.id = txID{}
	return m.commit()
}

// commitXA takes XA COMMIT: the rows are handed over now.
func (m *machine) commitXA(xid string) error {
	if err := m.need(named); err != nil {
		return err
	}
	x := m.xa.held[xid]
	if x == nil {
		if m.accepted[m.tx.ID] {
			return m.commit()
		}
		return m.stop(m.behind(), "XA COMMIT of a transaction that was prepared before the place where the reader began: its rows were not read")
	}
	m.phase = inGroup
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
	m.position.add(x.id)
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
