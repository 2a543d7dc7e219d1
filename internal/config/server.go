package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ServerURL returns the source that a URL stands for, with its one shard:
//
//	mysql://user:password@host:3306
//	mariadb://user@/?socket=/run/mysqld/mysqld.sock
//
// The scheme is the source's type. ${NAME}, ${NAME:-default} and ${file:/path}
// stand for what a variable or a file holds, whatever characters that has; other
// text may be percent-encoded, and a ? in it must be. The shard is called after
// its address, protected as the mode auto says, and its server id is 0. Errors
// never quote the text: a password may be in it.
func ServerURL(text string, env Lookup) (ResolvedSource, error) {
	const form = "write mysql://user:${MYSQL_PASSWORD}@host:3306, or mariadb://…"
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "mysql" && scheme != "mariadb" {
		return ResolvedSource{}, fmt.Errorf("this is no URL of a server: %s", form)
	}
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	p := urlParts{l: &loader{env: env, doc: newDocument("", "")}}
	// What stands in references ends nothing: lengths are the same.
	shadow := fileOrVariable.ReplaceAllStringFunc(rest, func(ref string) string { return strings.Repeat("x", len(ref)) })
	query := ""
	if i := strings.IndexByte(shadow, '?'); i >= 0 {
		rest, shadow, query = rest[:i], shadow[:i], rest[i+1:]
	}
	shard := Shard{Network: "tcp"}
	if at := strings.LastIndexByte(shadow, '@'); at >= 0 {
		user, password := rest[:at], ""
		if i := strings.IndexByte(shadow[:at], ':'); i >= 0 {
			user, password = rest[:i], rest[i+1:at]
		}
		shard.User, shard.Password = p.text("user", user), NewSecret(p.text("password", password))
		rest = rest[at+1:]
	}
	addr, database, _ := strings.Cut(rest, "/")
	addr = p.text("host", addr)
	socket := p.socket(query)
	switch {
	case p.err != nil:
		return ResolvedSource{}, p.err
	case shard.User == "":
		return ResolvedSource{}, fmt.Errorf("the URL says not as whom to connect: %s", form)
	case database != "":
		return ResolvedSource{}, fmt.Errorf("the URL names a database, and a binlog is the whole server's: end it behind the port, and choose tables by their names")
	case addr == "" && socket == "":
		return ResolvedSource{}, fmt.Errorf("the URL names neither a host nor a socket: %s", form)
	case socket != "" && addr != "" && addr != "localhost":
		return ResolvedSource{}, fmt.Errorf("the URL names a host and a socket: remove one")
	}
	err := shard.reach(addr, socket)
	if err == nil {
		shard.TLS, err = shard.Protect(TLS{Mode: "auto"})
	}
	if err != nil {
		return ResolvedSource{}, err
	}
	return ResolvedSource{
		Name: shard.ID, Type: scheme, Position: "gtid", Start: Start{Mode: "latest"}, Heartbeat: Heartbeat{Every: time.Second},
		Timeout: 10 * time.Second, ReadTimeout: 30 * time.Second, Shards: []Shard{shard},
	}, nil
}

// reach sets the address of a shard, and calls it after that.
func (s *Shard) reach(addr, socket string) error {
	if socket != "" {
		s.Network, s.Addr, s.ID = "unix", socket, socket
		return nil
	}
	host, port := hostPort(addr)
	if port == "" && !strings.HasSuffix(addr, ":") {
		port = "3306"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.Count(host, ":") == 1 {
		return fmt.Errorf("the URL's address is not host:port with a port of 1 to 65535; a / or ? in a password is written %%2F or %%3F, or comes from ${NAME}")
	}
	s.Addr = net.JoinHostPort(host, port)
	s.ID = s.Addr
	return nil
}

// urlParts expands the parts of a URL and keeps the first error.
type urlParts struct {
	l   *loader
	err error
}

// text returns a part with its references replaced and the rest decoded.
func (p *urlParts) text(what, part string) string {
	var b strings.Builder
	literal := func(text string) {
		plain, err := url.PathUnescape(text)
		if err != nil && p.err == nil {
			p.err = fmt.Errorf("the URL's %s holds a %% that begins no percent-encoding: write %%25 for the character itself", what)
		}
		b.WriteString(plain)
	}
	last := 0
	for _, m := range fileOrVariable.FindAllStringIndex(part, -1) {
		literal(part[last:m[0]])
		value, _, err := p.l.reference(part[m[0]+2 : m[1]-1])
		if err != nil && p.err == nil {
			p.err = fmt.Errorf("the URL's %s: %w", what, err)
		}
		b.WriteString(value)
		last = m[1]
	}
	literal(part[last:])
	return b.String()
}

// socket returns the one parameter that a URL may have.
func (p *urlParts) socket(query string) string {
	if query == "" {
		return ""
	}
	name, value, _ := strings.Cut(query, "=")
	if name != "socket" || value == "" || strings.Contains(value, "&") {
		if p.err == nil {
			p.err = fmt.Errorf("the URL has a parameter that is not known: ?socket=/path is the only one")
		}
		return ""
	}
	return p.text("socket", value)
}

// Protect returns how the connections of a shard are protected: t with its mode
// told, auto being disable to this machine and verify to every other.
func (s *Shard) Protect(t TLS) (TLS, error) {
	host, _ := hostPort(s.Addr)
	switch t.Mode {
	case "auto", "":
		t.Mode = "verify"
		if s.Network == "unix" || isLoopback(host) {
			t.Mode = "disable"
			if t.CA != "" || t.Cert != "" || t.ServerName != "" {
				t.Mode = "verify"
			}
		}
	case "disable", "skip", "verify-ca", "verify":
	default:
		return t, fmt.Errorf("tls %q is not known: use auto, disable, skip, verify-ca or verify", t.Mode)
	}
	if (t.Cert == "") != (t.Key == "") {
		return t, fmt.Errorf("a client's certificate and its key need each other: give both")
	}
	return t, nil
}

// SecretFile reads a secret from a file, without the line break at its end.
func SecretFile(path string) (Secret, error) {
	l := &loader{doc: newDocument("", "")}
	text, _, err := l.secretFile(path)
	return NewSecret(text), err
}
