package binlog

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

// txID names the transaction at hand: by MySQL's GTID, by MariaDB's, or not at
// all.
type txID struct {
	gtid   GTID
	domain DomainGTID
}

// known reports whether the transaction has a name.
func (id txID) known() bool { return id.gtid.GNO != 0 || id.domain.Sequence != 0 }

// String returns the name as the server writes it.
func (id txID) String() string {
	if id.domain.Sequence != 0 {
		return id.domain.String()
	}
	return id.gtid.String()
}

// Append appends String to dst.
func (id txID) Append(dst []byte) []byte {
	if id.domain.Sequence != 0 {
		return id.domain.Append(dst)
	}
	return id.gtid.Append(dst)
}

// CanonicalID returns the id of one transaction as Transaction.ID has it: its
// GTID, or file:offset of its start. It is an error where the text can be neither.
func CanonicalID(flavor Flavor, text string) (string, error) {
	text = strings.TrimSpace(text)
	if name, offset, ok := cutLast(text, ":"); ok && validFileName(name) {
		if pos, err := strconv.ParseUint(offset, 10, 64); err == nil {
			return fmt.Sprintf("%s:%d", name, pos), nil
		}
	}
	if flavor == MariaDB {
		if g, err := ParseDomainGTID(text); err == nil {
			return g.String(), nil
		}
		return "", fmt.Errorf("%q is not the id of a transaction: want domain-server-sequence, such as 0-101-7, or file:offset, such as binlog.000042:1234", abridge(text))
	}
	set, err := ParseGTIDSet(text)
	if err != nil || len(set.lanes) != 1 || len(set.lanes[0].ivs) != 1 || set.lanes[0].ivs[0].first != set.lanes[0].ivs[0].last {
		return "", fmt.Errorf("%q is not the id of a transaction: want uuid:number, or file:offset, such as binlog.000042:1234", abridge(text))
	}
	return set.String(), nil
}

// txNames makes the names of transactions, many of them out of one buffer: one
// for each would be the only allocation of a short transaction.
type txNames struct{ buf []byte }

const (
	namesSize = 4 << 10
	mostName  = 128
)

// of returns the name of a transaction. It shares a buffer with its neighbours,
// which is never written again.
func (n *txNames) of(id txID) string {
	if cap(n.buf)-len(n.buf) < mostName {
		n.buf = make([]byte, 0, namesSize)
	}
	start := len(n.buf)
	n.buf = id.Append(n.buf)
	name := n.buf[start:]
	return unsafe.String(unsafe.SliceData(name), len(name))
}

// seen reports whether a place is behind the transaction already. It is false
// where the place does not know its transactions.
func (p *Position) seen(id txID) bool {
	switch {
	case id.gtid.GNO != 0 && p.GTID != nil:
		return p.GTID.Contains(id.gtid)
	case id.domain.Sequence != 0 && p.Domains != nil:
		last, ok := p.Domains.Find(id.domain.Domain)
		return ok && last.Server == id.domain.Server && last.Sequence >= id.domain.Sequence
	}
	return false
}

// add notes that the transaction is committed and read.
func (p *Position) add(id txID) {
	switch {
	case id.gtid.GNO != 0 && p.GTID != nil:
		p.GTID.Add(id.gtid)
	case id.domain.Sequence != 0 && p.Domains != nil:
		p.Domains.Set(id.domain)
	}
}

// GTIDText returns the transactions that p has read as its server writes them:
// MySQL's set or MariaDB's position. It is empty where they are not known.
func (p *Position) GTIDText() string {
	switch {
	case p.GTID != nil:
		return p.GTID.String()
	case p.Domains != nil:
		return p.Domains.String()
	}
	return ""
}
