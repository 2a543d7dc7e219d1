package redis

import (
	"context"
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
	"strings"
	"testing"
	"time"

	"tailwater/internal/testenv"
)

func TestTLS_WithAnAuthorityOfOnesOwn(t *testing.T) {
	dir, trust := certificates(t)
	srv := testenv.RedisTLS(t, dir)
	foldTwice(benchOf(t, Options{URL: "rediss://" + srv.Addr, TLS: trust}), func() {})
}

func TestTLS_OfACluster(t *testing.T) {
	dir, trust := certificates(t)
	nodes := testenv.RedisClusterTLS(t, dir, 3)
	b := benchOf(t, Options{Cluster: &Cluster{Addresses: addresses(nodes[:1])}, TLS: trust})
	if p, err := b.store.Preflight(context.Background()); err != nil || p.Mode != "cluster" {
		t.Fatalf("preflight: got %+v, %v", p, err)
	}
	foldTwice(b, func() {})
}

func TestTLS_AServerThatWantsAClientsCertificate(t *testing.T) {
	dir, trust := certificates(t)
	srv := testenv.RedisTLS(t, dir, "--tls-auth-clients", "yes")
	with := func(c ...tls.Certificate) Options {
		settings := trust.Clone()
		settings.Certificates = c
		return Options{URL: "rediss://" + srv.Addr, TLS: settings}
	}
	otherDir, _ := certificates(t)
	for name, o := range map[string]Options{"none": with(), "one of another authority": with(clientPair(t, otherDir))} {
		_, err := benchOf(t, o).store.Preflight(context.Background())
		if err == nil || !strings.Contains(err.Error(), "look at windows.store.tls") || !strings.Contains(err.Error(), "cert and key") {
			t.Errorf("%s: got %v, want the keys cert and key named", name, err)
		}
	}
	foldTwice(benchOf(t, with(clientPair(t, dir))), func() {})
}

// clientPair issues a certificate for clients, by the authority of a folder.
func clientPair(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "tailwater"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca.Leaf, &key.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// certificates makes a self-signed certificate for 127.0.0.1 in a folder that
// testenv.RedisTLS takes, and settings that trust it.
func certificates(t *testing.T) (dir string, trust *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "windows"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{
		"ca.crt": cert, "server.crt": cert, "server.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	trust.RootCAs.AppendCertsFromPEM(cert)
	return dir, trust
}
