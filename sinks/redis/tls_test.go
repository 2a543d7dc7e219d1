package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// certificates makes the files that testenv.RedisTLS takes, and settings that
// trust their authority.
func certificates(t *testing.T) (dir string, trust *tls.Config) {
	t.Helper()
	dir = testenv.Certificates(t)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trust = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	trust.RootCAs.AppendCertsFromPEM(ca)
	return dir, trust
}

// clientPair is the client's certificate of a folder.
func clientPair(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

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
