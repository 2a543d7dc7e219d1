package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkStore checks where window values go, and makes paths absolute.
func (l *loader) checkStore(s *WindowStore) {
	const at = "windows.store"
	if !l.known(at + ".type") {
		return
	}
	if s.Type == "embedded" {
		for _, key := range []string{"url", "sentinel", "cluster", "user", "password", "db", "tls", "timeout"} {
			if l.has(at + "." + key) {
				l.at(at+"."+key, "no-effect", "%s has no effect with type: embedded", key).Suggestion = "set type: redis, or use listen"
			}
		}
		return
	}
	if l.has(at + ".listen") {
		l.at(at+".listen", "no-effect", "listen has no effect with type: redis")
	}
	var ways []string
	for _, key := range []string{"url", "sentinel", "cluster"} {
		if l.has(at + "." + key) {
			ways = append(ways, key)
		}
	}
	switch len(ways) {
	case 0:
		l.at(at, "missing-key", "`url` is missing in %s, whose type is redis", at).
			Suggestion = "add url: redis://127.0.0.1:6379/0, or sentinel or cluster"
	case 1:
		l.checkAccount(s, ways[0])
		l.checkStoreTLS(s)
	default:
		l.at(at+"."+ways[1], "exactly-one", "%s says where the server is already: remove one", ways[0])
	}
	if text := s.URL.Reveal(); text != "" {
		l.redisURL(at+".url", text)
	}
	if s.Sentinel != nil {
		l.checkAddresses(at+".sentinel.addresses", s.Sentinel.Addresses, 6379)
	}
	if s.Cluster != nil {
		l.checkAddresses(at+".cluster.addresses", s.Cluster.Addresses, 6379)
	}
}

// checkAddresses checks the places where a connection may begin.
func (l *loader) checkAddresses(at string, addresses []string, port int) {
	for i, a := range addresses {
		path := fmt.Sprintf("%s[%d]", at, i)
		switch host, _ := hostPort(a); {
		case strings.Contains(a, hole) || !l.known(path):
		case !patterns["address"].re.MatchString(a) || host == "":
			l.at(path, "bad-value", "%q is no address: write host:port, such as 10.0.0.5:%[2]d or [::1]:%[2]d", a, port)
		}
	}
}

// checkAccount refuses keys that the way to the server leaves without effect.
func (l *loader) checkAccount(s *WindowStore, way string) {
	const at = "windows.store"
	if way == "url" {
		for _, key := range []string{"user", "password", "db"} {
			if l.has(at + "." + key) {
				l.at(at+"."+key, "no-effect", "%s has no effect beside url", key).Suggestion = "write it into the url: redis://user:password@host:6379/0"
			}
		}
		return
	}
	if way == "cluster" && l.has(at+".db") {
		l.at(at+".db", "no-effect", "db has no effect with cluster, which has database 0 only")
	}
	if l.has(at+".user") && !l.has(at+".password") {
		l.at(at+".user", "missing-key", "user needs password beside it")
	}
	if s.TLS == nil && !s.Password.IsZero() && remoteStore(s) {
		l.warn(at+".password", "plain-password", "the password and every value go over the network in plain text").Suggestion = "add tls: {}"
	}
	if c := s.Sentinel; c != nil && l.has(at+".sentinel.user") && !l.has(at+".sentinel.password") {
		l.at(at+".sentinel.user", "missing-key", "user needs password beside it")
	}
}

// remoteStore reports whether a connection begins at another machine.
func remoteStore(s *WindowStore) bool {
	var addresses []string
	if s.Sentinel != nil {
		addresses = s.Sentinel.Addresses
	}
	if s.Cluster != nil {
		addresses = s.Cluster.Addresses
	}
	return slices.ContainsFunc(addresses, func(a string) bool {
		host, _ := hostPort(a)
		return !strings.Contains(a, hole) && !isLoopback(host)
	})
}

// checkStoreTLS checks the TLS keys and makes their paths absolute.
func (l *loader) checkStoreTLS(s *WindowStore) {
	const at = "windows.store.tls"
	if s.TLS == nil {
		return
	}
	if text := s.URL.Reveal(); text != "" && !strings.Contains(text, hole) && !strings.HasPrefix(text, "rediss://") {
		l.at(at, "no-effect", "tls has no effect: the url is plain").Suggestion = "write rediss://"
	}
	if l.has(at+".cert") != l.has(at+".key") {
		have, lack := "cert", "key"
		if s.TLS.Cert == "" {
			have, lack = lack, have
		}
		l.at(at+"."+have, "missing-key", "%s needs %s beside it", have, lack)
	}
	for _, path := range []*string{&s.TLS.CA, &s.TLS.Cert, &s.TLS.Key} {
		if *path != "" {
			*path = l.doc.abs(*path)
		}
	}
	if m, ok := l.doc.marks[at+".key"]; ok && s.TLS.Key != "" {
		l.warnMode(at+".key", m.value, 0, s.TLS.Key)
	}
}
