package binlog

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
