package binlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tailwater/change"
)

// Prepared is a distributed (XA) transaction that a position is behind of,
// although its outcome is not known. A reader that begins at the position reads
// its rows again, over a connection of its own, from the place before them.
type Prepared struct {
	// XID names it, as statements do.
	XID string `json:"xid"`
	// ID is that of the transaction that holds its rows.
	ID string `json:"id"`
	// After is the transaction of its domain before it, on MariaDB; "" is none.
	After string `json:"after,omitempty"`
	// File and Pos are where it starts on the position's server.
	File string `json:"file"`
	Pos  uint64 `json:"pos"`
	// Lost is true where its rows are in no binlog any more, and a person has
	// decided to go on without them.
	Lost bool `json:"lost,omitempty"`
}

// mostPrepared bounds the transactions that wait for their outcome, because a
// position may list each of them.
const mostPrepared = 1000

// appendPrepared appends the key of a position and its list.
func appendPrepared(dst []byte, list []Prepared) []byte {
	dst = append(dst, `,"prepared":[`...)
	for i := range list {
		p := &list[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(append(dst, `{"xid":`...), p.XID)
		dst = appendQuoted(append(dst, `,"id":`...), p.ID)
		if p.After != "" {
			dst = appendQuoted(append(dst, `,"after":`...), p.After)
		}
		dst = appendQuoted(append(dst, `,"file":`...), p.File)
		dst = strconv.AppendUint(append(dst, `,"pos":`...), p.Pos, 10)
		if p.Lost {
			dst = append(dst, `,"lost":true`...)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// check reports what no reader can have written.
func (p *Prepared) check(flavor Flavor) error {
	if p.XID == "" || p.ID == "" {
		return errors.New("it has no xid or no id")
	}
	if p.File != "" && !validFileName(p.File) {
		return fmt.Errorf("%q is not the name of a binlog file", p.File)
	}
	if flavor != MariaDB {
		return nil
	}
	if p.After != "" {
		if _, err := ParseDomainGTID(p.After); err != nil {
			return err
		}
	}
	_, err := ParseDomainGTID(p.ID)
	return err
}

// before is the place from which a dump begins with p, for a reader at from.
func (p *Prepared) before(o *Options, from *Position) (*Position, error) {
	at := &Position{Flavor: from.Flavor, ServerUUID: from.ServerUUID, File: p.File, Pos: p.Pos}
	if o.Position == ByFile {
		return at, nil
	}
	at.File, at.Pos = "", 0
	if o.Flavor == MySQL {
		// It was read by file before.
		one, err := ParseGTIDSet(p.ID)
		if err != nil {
			return nil, err
		}
		at.GTID = from.GTID.Minus(one)
		return at, nil
	}
	at.Domains = &DomainPosition{}
	id, err := ParseDomainGTID(p.ID)
	if err != nil {
		return nil, err
	}
	// Of other domains nothing is sent that was read already.
	for _, g := range from.Domains.last {
		if g.Domain != id.Domain {
			at.Domains.Set(g)
		}
	}
	if p.After == "" {
		return at, nil
	}
	after, err := ParseDomainGTID(p.After)
	if err != nil {
		return nil, err
	}
	at.Domains.Set(after)
	return at, nil
}

// fetchPrepared reads the rows of the prepared transactions that a position
// lists. It takes from over, and marks in it those that a person gave up.
func (s *session) fetchPrepared(srv *server, from *Position) (xaTransactions, error) {
	var all xaTransactions
	for i := range from.Prepared {
		p := &from.Prepared[i]
		p.Lost = p.Lost || slices.Contains(s.r.o.Accepted, p.ID)
		x := &heldXA{xid: p.XID, listed: *p}
		if !p.Lost {
			var err error
			if x, err = s.fetch(srv, from, p); err != nil {
				return xaTransactions{}, err
			}
		}
		if all.bytes += x.bytes; all.bytes > s.r.o.MaxHeld {
			return xaTransactions{}, &StopError{Hint: hintXABound, Reason: fmt.Sprintf("prepared transactions hold more than %d bytes of rows", s.r.o.MaxHeld)}
		}
		all.keep(x)
	}
	return all, nil
}

// fetch reads the rows of one prepared transaction again.
func (s *session) fetch(srv *server, from *Position, p *Prepared) (*heldXA, error) {
	o := s.r.o
	at, err := p.before(&o, from)
	if err != nil {
		return nil, p.gone(err)
	}
	if o.Position == ByFile {
		_, err = srv.continueFile(&o, at, "the place before it")
	} else {
		err = srv.covers(&o, at, "the place before it")
	}
	if err != nil {
		return nil, p.gone(err)
	}
	d, err := s.r.startDump(s.ctx, at)
	if err != nil {
		return nil, err
	}
	defer d.close()
	defer context.AfterFunc(s.ctx, d.c.close)()
	o.Filter = func(string, string) bool { return false }
	o.FollowsDatabase = func(string) bool { return false }
	m := newMachine(o, false, at, deaf{})
	defer m.payload.close()
	s.r.o.Logger.Info("reading the rows of a prepared transaction again", "shard", o.Shard, "transaction", p.ID)
	for silent := 0; ; {
		ev, err := d.next()
		if err == nil {
			err = m.event(ev, o.Now())
		}
		switch {
		case err != nil && Classify(err) == Retry:
			return nil, err
		case err != nil:
			return nil, p.gone(err)
		}
		if x := m.xa.held[p.XID]; x != nil && x.listed.ID == p.ID {
			x.listed = *p
			return x, nil
		}
		if ev.kind == evHeartbeat || ev.kind == evHeartbeatV2 {
			silent++
		}
		if silent > int(o.ReadTimeout/o.Heartbeat) {
			return nil, p.gone(errors.New("the server has sent all it has, and not those rows"))
		}
	}
}

// gone is the error of a prepared transaction whose rows cannot be read again.
func (p *Prepared) gone(err error) error {
	return &StopError{Reason: fmt.Sprintf("transaction %s was prepared (XA %s) before the position, and its rows, which wait for their outcome, cannot be read again", p.ID, abridge(p.XID)), Err: err,
		Hint: "restore the binlogs, or point the shard to a server that has them; if the stream may go without those rows, should they be committed, accept transaction " + p.ID + "; else start anew"}
}

// deaf is a Handler of a dump of which only what it holds matters.
type deaf struct{}

var _ Handler = deaf{}

// Begin does nothing.
func (deaf) Begin(*Transaction) error { return nil }

// Row does nothing.
func (deaf) Row(*Transaction, *RowChange) error { return nil }

// Table does nothing.
func (deaf) Table(*Transaction, *change.TableChange) error { return nil }

// Commit does nothing.
func (deaf) Commit(*Transaction, []byte) error { return nil }

// Idle does nothing.
func (deaf) Idle(int64, []byte) error { return nil }
