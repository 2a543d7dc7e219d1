package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority issues certificates of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = certificate(t, "authority", nil)
	return a
}

// certificate makes one for a name, signed by an authority or by itself.
func certificate(t *testing.T, name string, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// write stores a certificate and its key as PEM files.
func write(t *testing.T, cert *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert.Raw}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// handshake connects a client with these settings to a server with this
// certificate, and returns the client's error.
func handshake(t *testing.T, client *tls.Config, cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_ = tls.Server(conn, &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert,
		}).Handshake()
	}()
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	err = tls.Client(conn, client).Handshake()
	conn.Close()
	<-done
	return err
}

func TestTLS_EachModeChecksWhatItSays(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	caFile, _ := write(t, ours.cert, ours.key)
	right, rightKey := certificate(t, "db", ours)
	wrongName, wrongNameKey := certificate(t, "elsewhere", ours)
	foreign, foreignKey := certificate(t, "db", other)
	clientCert, clientKey := write(t, right, rightKey)
	for _, c := range []struct {
		mode, serverName            string
		right, wrongName, foreignOK bool
	}{
		{"verify", "", true, false, false},
		{"verify", "elsewhere", false, true, false},
		{"verify-ca", "", true, true, false},
		{"skip", "", true, true, true},
	} {
		s := TLS{Mode: c.mode, CA: caFile, Cert: clientCert, Key: clientKey, ServerName: c.serverName}
		config, err := s.Config("db:3306")
		if err != nil {
			t.Fatal(err)
		}
		for name, run := range map[string]struct {
			cert *x509.Certificate
			key  *ecdsa.PrivateKey
			want bool
		}{"right": {right, rightKey, c.right}, "wrong name": {wrongName, wrongNameKey, c.wrongName}, "foreign": {foreign, foreignKey, c.foreignOK}} {
			if err := handshake(t, config, run.cert, run.key); (err == nil) != run.want {
				t.Errorf("%s, server name %q, %s certificate: got error %v, want success %t", c.mode, c.serverName, name, err, run.want)
			}
		}
	}
}

func TestTLS_NamesTheFileThatCannotBeUsed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []TLS{{Mode: "verify", CA: "/no/such/file"}, {Mode: "verify", CA: empty}, {Mode: "verify", Cert: empty, Key: empty}} {
		if c, err := s.Config("db:3306"); err == nil || c != nil {
			t.Errorf("%+v: got %v, %v", s, c, err)
		}
	}
	for _, mode := range []string{"", "disable"} {
		if c, err := (TLS{Mode: mode, CA: "/no/such/file"}).Config("db:3306"); c != nil || err != nil {
			t.Errorf("mode %q: got %v, %v; want no settings", mode, c, err)
		}
	}
}
