package binlog

import (
	"fmt"
	"slices"
	"strings"
)

// moveDomains is move by the domains of MariaDB. Inside a domain transactions
// compare by their numbers, which rise in strict mode.
func (s *server) moveDomains(o *Options, from *Position, m *Move, target moveTarget) (*Position, error) {
	have := &DomainPosition{}
	if from != nil {
		if from.Domains == nil && target.kind != startLatest {
			return nil, &TargetError{o.Shard, target.text, "the saved position holds no GTIDs, so that nobody can say which rows would come twice", "give --to now, or " + elsewhere}
		} else if from.Domains == nil {
			m.Notes = append(m.Notes, "the saved position holds no GTIDs: which transactions are passed over cannot be said")
		} else {
			have = from.Domains
		}
	}
	to := &Position{Flavor: o.Flavor, ServerUUID: s.vars["server_uuid"]}
	switch target.kind {
	case startLatest:
		to.Domains, to.File, to.Pos = s.domains.end.Clone(), s.end.file, s.end.pos
	case startEarliest:
		to.Domains = s.oldestDomains(have)
	default:
		to.Domains = target.domains
		if err := s.coversDomains(o, to.Domains, resetTarget); err != nil {
			return nil, err
		}
	}
	var lost []string
	for _, g := range have.last {
		t, ok := to.Domains.Find(g.Domain)
		end, logged := s.domains.end.Find(g.Domain)
		held := s.domains.state.Holds(g)
		if !held {
			lost = append(lost, g.String())
		}
		// Of a domain whose last transaction the server lacks, nobody knows how
		// many of those before it are published: all that it has, perhaps.
		if held && (!ok || t.Sequence < g.Sequence) || !held && logged && t != end {
			return nil, s.backInDomain(o, target, g, end)
		}
	}
	m.Lost = strings.Join(lost, ",")
	var passedOver []string
	for _, t := range to.Domains.last {
		g, ok := have.Find(t.Domain)
		switch {
		case !ok:
			passedOver = append(passedOver, fmt.Sprintf("domain %d up to %v", t.Domain, t))
			m.Transactions += t.Sequence
		case t != g && slices.Contains(lost, g.String()):
			passedOver = append(passedOver, fmt.Sprintf("whatever of domain %d up to %v was not read elsewhere", t.Domain, t))
		case t != g:
			passedOver = append(passedOver, fmt.Sprintf("behind %v up to %v", g, t))
			m.Transactions += t.Sequence - g.Sequence
		}
	}
	m.Passed = strings.Join(passedOver, ", ")
	if from != nil && from.ServerUUID == to.ServerUUID && to.Domains.Equal(have) {
		return from, nil
	}
	return to, nil
}

// backInDomain refuses a target that lies before what was published.
func (s *server) backInDomain(o *Options, target moveTarget, g, end DomainGTID) error {
	least := g
	if !s.domains.state.Holds(g) {
		least = end
	}
	return &TargetError{o.Shard, target.text, fmt.Sprintf("in domain %d transactions up to %v are published, and would come twice", g.Domain, g),
		fmt.Sprintf("give %v, or a later one, for that domain, or %s", least, elsewhere)}
}

// oldestDomains is the nearest place of which the server has all that follows,
// and behind which nothing is published.
func (s *server) oldestDomains(have *DomainPosition) *DomainPosition {
	out := s.domains.first.Clone()
	for _, g := range have.last {
		if !s.domains.state.Holds(g) {
			if end, ok := s.domains.end.Find(g.Domain); ok {
				out.Set(end)
			}
			continue
		}
		if first, ok := out.Find(g.Domain); !ok || first.Sequence < g.Sequence {
			out.Set(g)
		}
	}
	return out
}
