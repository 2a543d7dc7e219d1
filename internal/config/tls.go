package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// TLS says how a connection is protected. Paths are absolute.
type TLS struct {
	// Mode is disable, skip, verify-ca or verify.
	Mode       string
	CA         string
	Cert, Key  string
	ServerName string
}

// Config reads the files and returns the settings of a connection to addr,
// which is host:port or a socket's path. It is nil for mode disable.
func (t TLS) Config(addr string) (*tls.Config, error) { return t.load(addr, "connect") }

// load is Config for the keys of a section, which errors name.
func (t TLS) load(addr, section string) (*tls.Config, error) {
	if t.Mode == "disable" || t.Mode == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if host, _, err := net.SplitHostPort(addr); err == nil && c.ServerName == "" {
		c.ServerName = host
	}
	if t.CA != "" {
		pem, err := readPEM(t.CA)
		if err != nil {
			return nil, &FileError{fmt.Errorf("read %s.ca: %w", section, err)}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &FileError{fmt.Errorf("read %s.ca: %s holds no certificate in PEM form", section, t.CA)}
		}
	}
	if t.Cert != "" {
		cert, err := readPEM(t.Cert)
		if err != nil {
			return nil, &FileError{fmt.Errorf("read %s.cert: %w", section, err)}
		}
		key, err := readPEM(t.Key)
		if err != nil {
			return nil, &FileError{fmt.Errorf("read %s.key: %w", section, err)}
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, &FileError{fmt.Errorf("read %[1]s.cert and %[1]s.key: %[2]s and %[3]s: %[4]w", section, t.Cert, t.Key, err)}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	switch t.Mode {
	case "skip":
		c.InsecureSkipVerify = true
	case "verify-ca":
		// crypto/tls checks the chain and the name together or not at all, so
		// the chain is checked here.
		c.InsecureSkipVerify = true
		roots := c.RootCAs
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, roots) }
	}
	return c, nil
}

// verifyChain checks a server's certificate against the roots, whatever name
// it carries.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("verify server: it sent no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := s.PeerCertificates[0].Verify(o); err != nil {
		return fmt.Errorf("verify server: %w", err)
	}
	return nil
}
