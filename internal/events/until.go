package events

import (
	"fmt"
	"strings"

	"tailwater/binlog"
)

// until decides when everything that was asked for has been printed. The zero
// value never does.
type until struct {
	// left is what is not printed yet of a set of MySQL, domains of MariaDB.
	left    *binlog.GTIDSet
	domains map[uint32]binlog.DomainGTID
	// file and pos are the end of the binlog that was asked for, on the server
	// with that uuid.
	server, file string
	pos          uint64
}

// untilGTID waits for a set.
func untilGTID(flavor binlog.Flavor, text string) (until, error) {
	if flavor != binlog.MariaDB {
		set, err := binlog.ParseGTIDSet(text)
		if err == nil && set.IsEmpty() {
			err = fmt.Errorf("the set is empty")
		}
		return until{left: set}, err
	}
	p, err := binlog.ParseDomainPosition(text)
	if err != nil {
		return until{}, err
	}
	u := until{domains: make(map[uint32]binlog.DomainGTID)}
	for item := range strings.SplitSeq(p.String(), ",") {
		g, err := binlog.ParseDomainGTID(item)
		if err != nil {
			return until{}, err
		}
		u.domains[g.Domain] = g
	}
	return u, nil
}

// active reports whether there is anything to wait for.
func (u *until) active() bool { return u.left != nil || u.domains != nil || u.file != "" }

// begin takes where the reader begins, and reports whether nothing is left. Of
// a domain of MariaDB a beginning tells one transaction only: those with lower
// numbers are taken to be before it.
func (u *until) begin(at beginning) (bool, error) {
	switch {
	case u.left != nil:
		set, err := binlog.ParseGTIDSet(at.gtid)
		if err != nil {
			return false, err
		}
		u.left = u.left.Minus(set)
		return u.left.IsEmpty(), nil
	case u.domains != nil:
		p, err := binlog.ParseDomainPosition(at.gtid)
		if err != nil {
			return false, err
		}
		for domain, g := range u.domains {
			if last, ok := p.Find(domain); ok && last.Sequence >= g.Sequence {
				delete(u.domains, domain)
			}
		}
		return len(u.domains) == 0, nil
	case u.file != "":
		if at.server != u.server {
			return false, fmt.Errorf("two connections reached two servers, %s and %s: name one of them, and not what stands in front of it", u.server, at.server)
		}
		return at.file != "" && u.passed(at.file, at.pos), nil
	}
	return false, nil
}

// committed takes a transaction that was printed, and reports whether nothing
// is left.
func (u *until) committed(tx *binlog.Transaction, position []byte) (bool, error) {
	switch {
	case u.left != nil:
		set, err := binlog.ParseGTIDSet(tx.ID)
		if err != nil {
			return false, err
		}
		u.left = u.left.Minus(set)
		return u.left.IsEmpty(), nil
	case u.domains != nil:
		g, err := binlog.ParseDomainGTID(tx.ID)
		if err != nil {
			return false, err
		}
		if last, ok := u.domains[g.Domain]; ok && (g == last || g.Server == last.Server && g.Sequence > last.Sequence) {
			delete(u.domains, g.Domain)
		}
		return len(u.domains) == 0, nil
	case u.file != "" && (tx.File == u.file || u.passed(tx.File, tx.Pos)):
		return u.quiet(position)
	}
	return false, nil
}

// before reports, where the end of a binlog was asked for, whether a transaction
// lies behind it.
func (u *until) before(tx *binlog.Transaction) bool {
	return u.file != "" && u.passed(tx.File, tx.Pos)
}

// quiet takes the position of a silence or a commit.
func (u *until) quiet(position []byte) (bool, error) {
	if u.file == "" {
		return false, nil
	}
	p, err := binlog.ParsePosition(position)
	if err != nil {
		return false, err
	}
	return u.passed(p.File, p.Pos), nil
}

// passed reports whether a place is at or behind the end that was asked for.
func (u *until) passed(file string, pos uint64) bool {
	return binlog.Passed(file, pos, u.file, u.pos)
}
