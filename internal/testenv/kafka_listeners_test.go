package testenv

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// ping says whether a server answers a client with these options.
func ping(t *testing.T, addr string, opts ...kgo.Opt) error {
	t.Helper()
	return client(t, addr, opts...).Ping(within(t))
}

func TestKafka_SASLListenerTakesTheAccountAndNoOther(t *testing.T) {
	s := Kafka(t, KafkaSASL)
	if s.TLSAddr != "" || s.SASLAddr == "" || s.SASLAddr == s.Addr {
		t.Fatalf("addresses: got %q, SASL %q and TLS %q, want the first two, and different", s.Addr, s.SASLAddr, s.TLSAddr)
	}
	account := func(user, password string) map[string]sasl.Mechanism {
		return map[string]sasl.Mechanism{
			"PLAIN":         plain.Auth{User: user, Pass: password}.AsMechanism(),
			"SCRAM-SHA-256": scram.Auth{User: user, Pass: password}.AsSha256Mechanism(),
			"SCRAM-SHA-512": scram.Auth{User: user, Pass: password}.AsSha512Mechanism(),
		}
	}
	for _, c := range []struct {
		name, user, password string
		taken                bool
	}{
		{"the account", s.User, s.Password, true},
		{"a wrong password", s.User, s.Password + "x", false},
		{"a wrong user", s.User + "x", s.Password, false},
	} {
		for name, mechanism := range account(c.user, c.password) {
			if err := ping(t, s.SASLAddr, kgo.SASL(mechanism)); (err == nil) != c.taken {
				t.Errorf("%s by %s: got %v, want it taken: %t", c.name, name, err, c.taken)
			}
		}
	}
	if err := ping(t, s.SASLAddr); err == nil {
		t.Error("no account: got success, want a refusal")
	}
	// What a client learns there must lead back to the same listener.
	createTopic(t, s.Addr, "orders", 1)
	cl := client(t, s.SASLAddr, kgo.SASL(account(s.User, s.Password)["SCRAM-SHA-512"]))
	if err := cl.ProduceSync(within(t), &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
		t.Errorf("produce with the account: %v", err)
	}
}

func TestKafka_TLSListenerShowsACertificateOfItsOwn(t *testing.T) {
	s := Kafka(t, KafkaTLS)
	if s.SASLAddr != "" || s.TLSAddr == "" {
		t.Fatalf("addresses: got SASL %q and TLS %q, want the second only", s.SASLAddr, s.TLSAddr)
	}
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", s.CA)
	}
	createTopic(t, s.Addr, "orders", 1)
	cl := client(t, s.TLSAddr, kgo.DialTLSConfig(&tls.Config{RootCAs: trusted}))
	if err := cl.ProduceSync(within(t), &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
		t.Errorf("produce with the authority trusted: %v", err)
	}
	err = ping(t, s.TLSAddr, kgo.DialTLSConfig(&tls.Config{RootCAs: x509.NewCertPool()}))
	if want := "unknown authority"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("with the authority unknown: got %v, want %q", err, want)
	}
	err = ping(t, s.TLSAddr, kgo.DialTLSConfig(&tls.Config{RootCAs: trusted, ServerName: "kafka.example"}))
	if want := "kafka.example"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("as another host: got %v, want an error that names %q", err, want)
	}
	if err := ping(t, s.TLSAddr); err == nil {
		t.Error("without TLS: got success, want a refusal")
	}
}

func TestKafka_BothListenersKeepTheirAddressesOverKill(t *testing.T) {
	s := Kafka(t, KafkaSASL, KafkaTLS, "message.max.bytes=4096")
	s.Kill(t)
	again, err := parseServers(script(t, "kafka-start", "--owner", strconv.Itoa(os.Getpid()), "--again", s.Dir))
	if err != nil {
		t.Fatal(err)
	}
	got := *again[0]
	if got.Addr != s.Addr || got.SASLAddr != s.SASLAddr || got.TLSAddr != s.TLSAddr || got.User != s.User || got.CA != s.CA {
		t.Errorf("after kill and restart: got %+v, want %+v", got, *s)
	}
	auth := plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()
	if err := ping(t, s.SASLAddr, kgo.SASL(auth)); err != nil {
		t.Errorf("the account after kill and restart: %v", err)
	}
	createTopic(t, s.Addr, "orders", 1)
	err = client(t, s.Addr, kgo.ProducerBatchCompression(kgo.NoCompression())).
		ProduceSync(within(t), &kgo.Record{Topic: "orders", Value: make([]byte, 1<<16)}).FirstErr()
	if err == nil || !strings.Contains(err.Error(), "MESSAGE_TOO_LARGE") {
		t.Errorf("a record beyond message.max.bytes: got %v, want MESSAGE_TOO_LARGE", err)
	}
}
