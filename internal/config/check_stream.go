package config

import "slices"

// checkStream completes the stream.
func (l *loader) checkStream(c *Config) ResolvedStream {
	s := &c.Stream
	r := ResolvedStream{Stream: *s}
	if !l.known("stream.type") {
		return r
	}
	l.checkStreamKeys(s)
	if s.Type != "kafka" {
		return r
	}
	if !l.has("stream.brokers") {
		l.at("stream", "missing-key", "`brokers` is missing in stream, whose type is kafka").Suggestion = `add brokers: ["host:9092"]`
	} else if l.checkAddresses("stream.brokers", s.Brokers, 9092); len(s.Brokers) == 0 && l.known("stream.brokers") {
		l.at("stream.brokers", "missing-key", "brokers is empty: name at least one")
	}
	l.checkTLSKeys("stream.connect", s.Connect.TLS, s.Connect.Cert, s.Connect.Key)
	l.checkSASL(s)
	r.TLS = l.streamTLS(s)
	return r
}

// checkStreamKeys finds keys of one type of stream in another.
func (l *loader) checkStreamKeys(s *Stream) {
	unused := map[string][]string{
		"embedded": {"brokers", "replication", "connect", "sasl"},
		"kafka":    {"listen", "retention.bytes"},
	}
	for _, key := range unused[s.Type] {
		if at := "stream." + key; l.has(at) {
			l.at(at, "no-effect", "%s has no effect with type: %s", key, s.Type)
		}
	}
	if s.Type != "embedded" && l.has("limits.disk") {
		l.at("limits.disk", "no-effect", "limits.disk has no effect: the stream is not on this disk")
	}
}

func (l *loader) checkSASL(s *Stream) {
	const at = "stream.sasl"
	if !l.has(at) || !l.known(at) {
		return
	}
	for _, key := range []string{"mechanism", "user", "password"} {
		if !l.has(at + "." + key) {
			l.at(at, "missing-key", "`%s` is missing in stream.sasl", key)
		}
	}
	if l.has(at+".user") && l.known(at+".user") && s.SASL.User == "" {
		l.at(at+".user", "bad-value", "user is empty")
	}
	if l.has(at+".password") && l.known(at+".password") && s.SASL.Password.Reveal() == "" {
		l.at(at+".password", "bad-value", "password is empty")
	}
}

// streamTLS decides how the connections to the brokers are protected, and warns
// where a password or rows would cross a network in the open.
func (l *loader) streamTLS(s *Stream) TLS {
	c := s.Connect
	t := TLS{Mode: c.TLS, ServerName: c.ServerName}
	remote := slices.ContainsFunc(s.Brokers, func(b string) bool {
		host, _ := hostPort(b)
		return !isLoopback(host)
	})
	if t.Mode == "auto" {
		t.Mode = "disable"
		if remote {
			t.Mode = "verify"
		}
	}
	for _, f := range []struct{ from, to *string }{{&c.CA, &t.CA}, {&c.Cert, &t.Cert}, {&c.Key, &t.Key}} {
		if *f.from != "" {
			*f.to = l.doc.abs(*f.from)
		}
	}
	switch {
	case !remote || !l.known("stream.brokers", "stream.connect.tls"):
	case t.Mode == "disable" && l.has("stream.sasl.password"):
		l.warn("stream.connect.tls", "plain-password", "the password and every row go over the network in plain text").
			Suggestion = "set stream.connect.tls to verify"
	case t.Mode == "skip":
		l.warn("stream.connect.tls", "unverified-tls", "whoever can stand between can read the password and every row").
			Suggestion = "set stream.connect.tls to verify, and stream.connect.ca if the authority is your own"
	}
	return t
}
