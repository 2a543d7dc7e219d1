package binlog

import "unsafe"

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
