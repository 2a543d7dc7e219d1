package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

// trust reads the authority of a test's server.
func trust(t *testing.T, path string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// works publishes and reads one event.
func works(t *testing.T, o Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := Open(ctx, o)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	defer l.Close()
	topic := stream.TopicName(o.Name, "rows")
	if _, err := l.EnsureTopic(ctx, stream.TopicSpec{Name: topic, Partitions: 1}); err != nil {
		t.Errorf("ensure topic: %v", err)
		return
	}
	s, err := l.OpenShard(ctx, stream.ShardOptions{Source: "s", Shard: "a", Topics: []string{topic}})
	if err != nil {
		t.Errorf("open shard: %v", err)
		return
	}
	err = s.Publish(ctx, []stream.Record{{
		Topic: topic, Kind: stream.Event, Shard: "a", LSN: change.LSN{Epoch: s.Epoch(), Txn: 1}, TxID: "t", Key: []byte("[1]"), Value: []byte("{}"),
	}})
	if err != nil {
		t.Errorf("publish: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestOpen_ByTLSAndByEveryKindOfAccount(t *testing.T) {
	server := testenv.Kafka(t, testenv.KafkaSASL, testenv.KafkaTLS)
	t.Run("TLS", func(t *testing.T) {
		works(t, Options{Brokers: []string{server.TLSAddr}, Name: "tls", TLS: trust(t, server.CA)})
	})
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(mechanism, func(t *testing.T) {
			works(t, Options{Brokers: []string{server.SASLAddr}, Name: mechanism, SASL: SASL{mechanism, server.User, server.Password}})
		})
	}
	t.Run("mistakes", func(t *testing.T) { mistakes(t, server) })
}

// mistakes are settings that do not fit the server, each with the word that
// tells what to change.
func mistakes(t *testing.T, server *testenv.Server) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	const secret = "not the password"
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no broker":         {Options{Brokers: []string{nobody}}, "check stream.brokers"},
		"wrong password":    {Options{Brokers: []string{server.SASLAddr}, SASL: SASL{"plain", server.User, secret}}, "check stream.sasl.user, password and mechanism"},
		"wrong scram":       {Options{Brokers: []string{server.SASLAddr}, SASL: SASL{"scram-sha-512", server.User, secret}}, "check stream.sasl.user, password and mechanism"},
		"no account":        {Options{Brokers: []string{server.SASLAddr}}, "stream.sasl"},
		"unknown authority": {Options{Brokers: []string{server.TLSAddr}, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, "stream.connect.ca"},
		"plain to TLS":      {Options{Brokers: []string{server.TLSAddr}}, "stream.connect.tls"},
	} {
		c.o.Name, c.o.Timeout = "mistakes", 2*time.Second
		l, err := Open(t.Context(), c.o)
		if err == nil {
			_ = l.Close()
			t.Errorf("%s: Open went well", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.o.Brokers[0]) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v; want %q and the broker, and no password", name, err, c.want)
		}
	}
}

func TestEnsureTopic_ChecksWhatIsThere(t *testing.T) {
	brokers := []string{testenv.Kafka(t).Addr}
	l := openLog(t, brokers)
	ctx := t.Context()
	spec := stream.TopicSpec{Name: "tw.suite.checked", Partitions: 3, MaxRecord: 1 << 20}
	if _, err := l.EnsureTopic(ctx, spec); err != nil {
		t.Fatal(err)
	}
	spec.Partitions = 4
	if _, err := l.EnsureTopic(ctx, spec); err == nil || !strings.Contains(err.Error(), "it has 3 partitions, the configuration wants 4") {
		t.Errorf("another count: %v, want both counts", err)
	}
	spec.Partitions, spec.MaxRecord = 3, 8<<20
	if _, err := l.EnsureTopic(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if got, err := l.look(ctx, spec.Name); err != nil || got.maxRecord != 8<<20 {
		t.Errorf("topic = %+v, %v, want its bound raised", got, err)
	}
	before, _ := l.Topic(ctx, spec.Name)
	if _, err := l.admin.DeleteTopics(ctx, spec.Name); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, time.Minute, "another incarnation", func() error {
		again, err := l.EnsureTopic(ctx, spec)
		if err == nil && again.Incarnation == before.Incarnation {
			return errors.New("the topic is the old one")
		}
		return err
	})
	many := openLog(t, brokers)
	many.o.Replication = 3
	if _, err := many.EnsureTopic(ctx, stream.TopicSpec{Name: "tw.suite.replicated"}); err == nil || !strings.Contains(err.Error(), "stream.replication") {
		t.Errorf("too many replicas: %v, want the setting", err)
	}
}
