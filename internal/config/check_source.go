package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"

	"tailwater/change"
)

// checkSources resolves every source, and compares them with each other.
func (l *loader) checkSources(c *Config) []ResolvedSource {
	var all []ResolvedSource
	ids := map[string]string{}
	addresses := map[string]*Shard{}
	for name, s := range sorted(c.Sources) {
		at := "sources." + name
		l.checkTimes(at, s)
		l.checkStart(at, s)
		r := ResolvedSource{
			Name: name, Type: s.Type, Position: s.Position, Start: s.Start, Heartbeat: s.Heartbeat,
			Timeout: s.Connect.Timeout, ReadTimeout: s.Connect.ReadTimeout, Retry: s.Connect.Retry,
		}
		shards := l.shards(at, name, s)
		for i := range shards {
			l.unique(&shards[i], ids, addresses)
			r.Shards = append(r.Shards, shards[i].Shard)
		}
		l.serverIDs(at, c, name, s, r.Shards)
		if len(r.Shards) > 1 && s.Start.Mode == "file" {
			l.warn(at+".start", "same-position", "all %d shards of %s begin at the same place of a file of the same name", len(r.Shards), name)
		}
		all = append(all, r)
	}
	return all
}

// located is a shard with the path of what names it, and of its address.
type located struct {
	Shard
	at, addrAt string
}

// shards expands the template or the list of a source.
func (l *loader) shards(at, source string, s *Source) []located {
	at += ".shards"
	hasTemplate, hasList := l.has(at+".template"), l.has(at+".list")
	switch {
	case hasTemplate && hasList:
		l.at(at+".list", "exactly-one", "%s has both template and list: remove one", at)
	case !hasTemplate && !hasList && l.has(at) && !l.later[at] && l.known(at+".template", at+".list"):
		l.at(at, "exactly-one", "%s has neither template nor list", at).
			Suggestion = `write template: { names: "00..11", dsn: … } or list: [{ name: …, dsn: … }]`
	}
	if t := s.Shards.Template; t != nil {
		return l.fromTemplate(at+".template", source, s, t)
	}
	l.checkTLSKeys(strings.TrimSuffix(at, ".shards")+".connect", s.Connect.TLS, s.Connect.Cert, s.Connect.Key)
	var all []located
	for i := range s.Shards.List {
		server := &s.Shards.List[i]
		path := fmt.Sprintf("%s.list[%d]", at, i)
		shard, addrAt := l.address(path, s, &server.Address)
		shard.Source, shard.ID = source, server.Name
		all = append(all, located{shard, path + ".name", addrAt})
	}
	return all
}

func (l *loader) fromTemplate(at, source string, s *Source, t *Template) []located {
	l.checkTLSKeys("sources."+source+".connect", s.Connect.TLS, s.Connect.Cert, s.Connect.Key)
	base, addrAt := l.address(at, s, &t.Address)
	if len(t.Names) > 1 && base.Addr != "" && !strings.Contains(base.Addr, hole) && !strings.Contains(base.Addr, "{shard}") {
		l.at(addrAt, "same-server", "all %d shards would have the address %s", len(t.Names), base.Addr).
			Suggestion = "put {shard} where the shard's id stands in the address"
		base.Addr = ""
	}
	all := make([]located, len(t.Names))
	for i, id := range t.Names {
		shard := base
		shard.Source, shard.ID = source, id
		shard.Addr = strings.ReplaceAll(base.Addr, "{shard}", id)
		shard.User = strings.ReplaceAll(base.User, "{shard}", id)
		all[i] = located{shard, at + ".names", addrAt}
		if !strings.Contains(shard.Addr, hole) {
			l.checkPort(addrAt, shard)
		}
	}
	return all
}

// address combines a dsn with the keys beside it, which go first, and returns
// the path of what gave the address.
func (l *loader) address(at string, s *Source, a *Address) (shard Shard, addrAt string) {
	var d dsn
	addrAt = at
	if !a.DSN.IsZero() {
		addrAt = at + ".dsn"
		var ok bool
		if d, ok = l.dsn(addrAt, a.DSN.Reveal()); !ok {
			return Shard{}, addrAt
		}
	}
	shard = Shard{Network: d.network, Addr: d.addr, User: d.user, Password: NewSecret(d.password)}
	if a.User != "" {
		shard.User = a.User
	}
	if !a.Password.IsZero() {
		shard.Password = a.Password
	}
	addrAt = l.place(at, addrAt, a, &shard)
	switch {
	case shard.Addr == "" && l.known(at+".host", at+".socket", at+".dsn", at+".port"):
		l.at(at, "missing-key", "nothing says where the server is").Suggestion = "give dsn, host or socket"
	case shard.User == "" && l.known(at+".user", at+".dsn"):
		l.at(at, "missing-key", "nothing says as whom to connect").Suggestion = "give user, or put it before the @ of the dsn"
	}
	shard.TLS = l.protection(at, addrAt, s, d, shard)
	return shard, addrAt
}

// place sets network and address from the keys beside a dsn.
func (l *loader) place(at, addrAt string, a *Address, shard *Shard) string {
	if a.Socket != "" {
		for _, key := range []string{".host", ".port"} {
			if l.has(at + key) {
				l.at(at+key, "exactly-one", "socket and %s exclude each other: remove one", key[1:])
			}
		}
		shard.Network, shard.Addr = "unix", a.Socket
		return at + ".socket"
	}
	host, port := hostPort(shard.Addr)
	if shard.Network == "unix" {
		host, port = "", ""
	}
	if a.Host != "" {
		host, addrAt = a.Host, at+".host"
	} else if l.has(at+".host") && !l.known(at+".host") {
		host = hole
	}
	if a.Port != 0 && l.known(at+".port") {
		port = strconv.Itoa(a.Port)
	} else if l.has(at+".port") && !l.known(at+".port") {
		port = hole
	}
	switch {
	case host == "" && a.Port != 0 && shard.Network == "unix":
		l.at(at+".port", "exactly-one", "a port needs a host, and the dsn names a socket")
		return addrAt
	case host == "" && shard.Network == "unix":
		return addrAt
	case host == "" && shard.Network == "tcp":
		host = "127.0.0.1"
	case host == "":
		return addrAt
	}
	if port == "" {
		port = "3306"
	}
	shard.Network, shard.Addr = "tcp", net.JoinHostPort(host, port)
	if !strings.Contains(shard.Addr, "{shard}") {
		l.checkPort(addrAt, *shard)
	}
	return addrAt
}

// checkPort checks the port that a dsn gave.
func (l *loader) checkPort(at string, shard Shard) {
	if shard.Network != "tcp" || shard.Addr == "" {
		return
	}
	_, port := hostPort(shard.Addr)
	if n, err := strconv.ParseUint(port, 10, 16); !strings.Contains(port, hole) && (err != nil || n == 0) {
		l.at(at, "out-of-range", "the address has no port of 1 to 65535")
	}
}

// dsn parses a dsn and looks at its parameters. What lint cannot know is never
// a mistake.
func (l *loader) dsn(at, text string) (dsn, bool) {
	d, err := parseDSN(text)
	if err != nil {
		if !strings.Contains(text, hole) && l.known(at) {
			e := asTextError(err)
			l.at(at, e.code, "%s", e.msg)
		}
		return dsn{}, false
	}
	if d.database != "" && !strings.Contains(d.database, hole) {
		l.warn(at, "no-effect", "the database in a dsn has no effect: binlogs are those of the whole server").
			Suggestion = "end the dsn with /"
	}
	for _, p := range d.params {
		switch {
		case strings.Contains(p.name+p.value, hole):
		case p.name == "tls" && tlsOf[p.value] == "":
			l.at(at, "not-one-of", "the dsn's tls cannot be %q: use connect.tls", p.value)
		case p.name == "tls":
		case idleParams[p.name]:
			l.warn(at, "no-effect", "the dsn's parameter %s has no effect", p.name).Suggestion = "remove it; time-outs are those of connect"
		default:
			l.at(at, "bad-dsn", "the dsn has an unknown parameter").Suggestion = "remove it; connect says how connections are made"
		}
	}
	return d, true
}

// protection decides how a server's connections are protected, and warns where
// a password or rows would cross a network in the open.
func (l *loader) protection(at, addrAt string, s *Source, d dsn, shard Shard) TLS {
	c := s.Connect
	t := TLS{Mode: c.TLS, ServerName: c.ServerName}
	for _, p := range d.params {
		if mode := tlsOf[p.value]; p.name == "tls" && mode != "" && t.Mode == "auto" {
			t.Mode = mode
		}
	}
	host, _ := hostPort(shard.Addr)
	local := shard.Network == "unix" || isLoopback(host)
	if t.Mode == "auto" {
		t.Mode = "verify"
		if local {
			t.Mode = "disable"
		}
	}
	for _, f := range []struct{ from, to *string }{{&c.CA, &t.CA}, {&c.Cert, &t.Cert}, {&c.Key, &t.Key}} {
		if *f.from != "" {
			*f.to = l.doc.abs(*f.from)
		}
	}
	if local || shard.Addr == "" || host == hole {
		return t
	}
	passwordKnown := !shard.Password.IsZero() || l.has(at+".password")
	switch {
	case t.Mode == "disable" && passwordKnown:
		l.warn(addrAt, "plain-password", "the password and every row go over the network in plain text").
			Suggestion = "set connect.tls to verify"
	case t.Mode == "skip":
		l.warn(addrAt, "unverified-tls", "whoever can stand between can read the password and every row").
			Suggestion = "set connect.tls to verify, and connect.ca if the authority is your own"
	}
	return t
}

// checkTLSKeys compares the TLS keys of a section.
func (l *loader) checkTLSKeys(at, mode, cert, key string) {
	if l.has(at+".cert") != l.has(at+".key") {
		have, lack := "cert", "key"
		if cert == "" {
			have, lack = lack, have
		}
		l.at(at+"."+have, "missing-key", "%s needs %s beside it", have, lack)
	}
	if !l.known(at + ".tls") {
		return
	}
	for _, name := range []string{".ca", ".cert", ".key", ".server_name"} {
		unused := mode == "disable" || mode == "skip" && (name == ".ca" || name == ".server_name") || mode == "verify-ca" && name == ".server_name"
		if l.has(at+name) && unused {
			l.at(at+name, "no-effect", "%s has no effect with tls: %s", name[1:], mode)
		}
	}
	if m, ok := l.doc.marks[at+".key"]; ok && key != "" {
		l.warnMode(at+".key", m.value, 0, l.doc.abs(key))
	}
}

// checkTimes compares the times of a source.
func (l *loader) checkTimes(at string, s *Source) {
	every, stall := at+".heartbeat.every", at+".heartbeat.stall_after"
	read, low, high := at+".connect.read_timeout", at+".connect.retry.min", at+".connect.retry.max"
	if l.known(every, stall) && s.Heartbeat.StallAfter <= s.Heartbeat.Every {
		l.at(l.either(stall, every), "out-of-range", "stall_after is %s and heartbeats come every %s: a healthy shard would count as stalled", short(s.Heartbeat.StallAfter), short(s.Heartbeat.Every))
	}
	if l.known(every, read) && s.Connect.ReadTimeout < 3*s.Heartbeat.Every {
		l.at(l.either(read, every), "out-of-range", "read_timeout is %s, less than three heartbeats of %s", short(s.Connect.ReadTimeout), short(s.Heartbeat.Every))
	}
	if l.known(low, high) && s.Connect.Retry.Min > s.Connect.Retry.Max {
		l.at(l.either(low, high), "out-of-range", "retry.min is %s, more than retry.max, which is %s", short(s.Connect.Retry.Min), short(s.Connect.Retry.Max))
	}
}

// either returns the first path that stands in the file.
func (l *loader) either(a, b string) string {
	if l.has(a) {
		return a
	}
	return b
}

// checkStart compares start with position.
func (l *loader) checkStart(at string, s *Source) {
	if !l.known(at+".start", at+".position") {
		return
	}
	if mode := s.Start.Mode; (mode == "gtid" || mode == "file") && mode != s.Position {
		l.at(at+".start", "exclusive", "start names a place by %s, and position is %s", mode, s.Position).
			Suggestion = "set position: " + mode
	}
	if s.Start.Mode != "gtid" || !l.known(at+".type") {
		return
	}
	if maria := isDomainPosition(s.Start.GTIDs); maria != (s.Type == "mariadb") {
		kind, form := "MySQL", "0-101-100"
		if maria {
			kind, form = "MariaDB", "<server uuid>:1-100"
		}
		l.at(at+".start", "bad-position", "start names transactions as %s does, and type is %s", kind, s.Type).
			Suggestion = "write gtid:" + form
	}
}

// unique checks that no other shard has the id, and warns when one has the server.
func (l *loader) unique(s *located, ids map[string]string, addresses map[string]*Shard) {
	lower := strings.ToLower(s.ID)
	if other, ok := ids[lower]; ok && s.ID != "" {
		l.at(s.at, "name-clash", "shard id `%s` is taken by a shard of source %s", s.ID, other).
			Suggestion = "ids are unique in the file, whatever their case"
	}
	ids[lower] = s.Source
	if s.Addr == "" || strings.Contains(s.Addr, hole) {
		return
	}
	key := s.Network + "(" + strings.ToLower(s.Addr) + ")"
	other, ok := addresses[key]
	switch {
	case !ok:
		addresses[key] = &s.Shard
	case other.Source == s.Source:
		l.at(s.addrAt, "same-server", "shard %s has the address of shard %s: its rows would come twice", s.ID, other.ID)
	default:
		l.warn(s.addrAt, "same-server", "shard %s has the address of shard %s of source %s", s.ID, other.ID, other.Source)
	}
}

// serverIDs gives each shard its replication server id.
func (l *loader) serverIDs(at string, c *Config, name string, s *Source, shards []Shard) {
	at += ".server_id"
	if !l.has(at) || !l.known(at) {
		return
	}
	if s.ServerID.Len() < len(shards) {
		f := l.at(at, "out-of-range", "%s holds %d of the server ids that %d shards need", s.ServerID, s.ServerID.Len(), len(shards))
		if last := uint64(s.ServerID.First) + uint64(len(shards)) - 1; last <= math.MaxUint32 {
			f.Fix = IDRange{s.ServerID.First, uint32(last)}.String()
			f.Suggestion = "did you mean `" + f.Fix + "`?"
		}
		return
	}
	for i := range shards {
		shards[i].ServerID = s.ServerID.First + uint32(i)
	}
	for other, o := range sorted(c.Sources) {
		if change.EqualFold(other, name) {
			return
		}
		if o.ServerID.First != 0 && o.ServerID.Overlaps(s.ServerID) {
			l.at(at, "range-clash", "%s overlaps %s of source %s: two replicas with one id disconnect each other", s.ServerID, o.ServerID, other)
		}
	}
}
