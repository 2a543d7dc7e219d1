package binlog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DomainGTID names one transaction of MariaDB: domain-server-sequence. The
// zero value is none, as a sequence begins with 1.
type DomainGTID struct {
	Domain, Server uint32
	Sequence       uint64
}

// ParseDomainGTID reads domain-server-sequence, as 0-101-7.
func ParseDomainGTID(s string) (DomainGTID, error) {
	parts := strings.Split(strings.TrimSpace(s), "-")
	if len(parts) == 3 {
		domain, err1 := strconv.ParseUint(parts[0], 10, 32)
		server, err2 := strconv.ParseUint(parts[1], 10, 32)
		sequence, err3 := strconv.ParseUint(parts[2], 10, 64)
		if err1 == nil && err2 == nil && err3 == nil && sequence > 0 {
			return DomainGTID{Domain: uint32(domain), Server: uint32(server), Sequence: sequence}, nil
		}
	}
	return DomainGTID{}, fmt.Errorf("parse gtid %q: want domain-server-sequence, such as 0-101-7", abridge(s))
}

// Append appends domain-server-sequence to dst.
func (g DomainGTID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(g.Domain), 10)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(g.Server), 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, g.Sequence, 10)
}

// String returns domain-server-sequence.
func (g DomainGTID) String() string {
	var b [44]byte
	return string(g.Append(b[:0]))
}

// DomainPosition is MariaDB's form of a place in a server's history: of every
// replication domain the transaction that came last. Domains are independent
// of each other; inside one, a server's binlog has the transactions in the
// order in which every replica gets them, whatever their numbers. The zero
// value is the beginning. It is not safe for concurrent use.
type DomainPosition struct {
	// last is sorted by domain, one of each.
	last []DomainGTID
}

// ParseDomainPosition reads MariaDB's text form: GTIDs of different domains
// separated by commas, in any order.
func ParseDomainPosition(s string) (*DomainPosition, error) {
	list, err := parseDomainList(s)
	if err != nil {
		return nil, err
	}
	p := &DomainPosition{}
	for _, g := range list {
		if _, ok := p.Find(g.Domain); ok {
			return nil, fmt.Errorf("parse gtid position %q: domain %d comes twice", abridge(s), g.Domain)
		}
		p.Set(g)
	}
	return p, nil
}

// parseDomainList reads GTIDs separated by commas.
func parseDomainList(s string) ([]DomainGTID, error) {
	var out []DomainGTID
	for item := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		g, err := ParseDomainGTID(item)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// search returns where the domain is, or belongs.
func (p *DomainPosition) search(domain uint32) (int, bool) {
	return slices.BinarySearchFunc(p.last, domain, func(g DomainGTID, d uint32) int { return cmp.Compare(g.Domain, d) })
}

// Find returns the last transaction of a domain.
func (p *DomainPosition) Find(domain uint32) (DomainGTID, bool) {
	i, ok := p.search(domain)
	if !ok {
		return DomainGTID{}, false
	}
	return p.last[i], true
}

// Set makes g the last transaction of its domain.
func (p *DomainPosition) Set(g DomainGTID) {
	i, ok := p.search(g.Domain)
	if ok {
		p.last[i] = g
		return
	}
	p.last = slices.Insert(p.last, i, g)
}

// Clone returns a copy that shares nothing with p.
func (p *DomainPosition) Clone() *DomainPosition {
	return &DomainPosition{last: slices.Clone(p.last)}
}

// Equal reports whether both are the same place.
func (p *DomainPosition) Equal(q *DomainPosition) bool { return slices.Equal(p.last, q.last) }

// IsEmpty reports whether p is the beginning.
func (p *DomainPosition) IsEmpty() bool { return len(p.last) == 0 }

// Append appends MariaDB's text form to dst, domains in their order, without
// white space.
func (p *DomainPosition) Append(dst []byte) []byte {
	for i, g := range p.last {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = g.Append(dst)
	}
	return dst
}

// String returns MariaDB's text form.
func (p *DomainPosition) String() string { return string(p.Append(nil)) }

// DomainState is what a MariaDB server's binlogs have seen: the last
// transaction of every pair of domain and server, as gtid_binlog_state says it.
type DomainState struct {
	last map[[2]uint32]uint64
}

// ParseDomainState reads the text form of gtid_binlog_state.
func ParseDomainState(s string) (*DomainState, error) {
	list, err := parseDomainList(s)
	if err != nil {
		return nil, err
	}
	out := &DomainState{last: map[[2]uint32]uint64{}}
	for _, g := range list {
		key := [2]uint32{g.Domain, g.Server}
		out.last[key] = max(out.last[key], g.Sequence)
	}
	return out, nil
}

// Holds reports whether the server has logged g. It takes the numbers of one
// server in one domain to rise, which they do unless somebody sets them.
func (s *DomainState) Holds(g DomainGTID) bool {
	return s.last[[2]uint32{g.Domain, g.Server}] >= g.Sequence
}

// decodeGTIDList reads the body of a GTID_LIST event: the number of GTIDs in
// the low 28 bits of 4 bytes, flags above; then domain 4, server 4 and
// sequence 8 of each. Of a domain with several servers the last one stands
// last.
func decodeGTIDList(body []byte) (*DomainPosition, error) {
	f := fields{b: body}
	count := f.uint(4) & (1<<28 - 1)
	if count > uint64(len(body)) {
		return nil, fmt.Errorf("decode GTID_LIST: %d bytes do not hold %d GTIDs", len(body), count)
	}
	p := &DomainPosition{}
	for range count {
		g := DomainGTID{Domain: uint32(f.uint(4)), Server: uint32(f.uint(4)), Sequence: f.uint(8)}
		if f.short {
			return nil, fmt.Errorf("decode GTID_LIST: %d bytes do not hold %d GTIDs", len(body), count)
		}
		p.Set(g)
	}
	return p, nil
}
