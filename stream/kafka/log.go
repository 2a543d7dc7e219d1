// Package kafka is the stream on a Kafka cluster: Apache Kafka 3.3 or later, or
// what speaks its protocol with transactions.
//
// What it promises beside stream's contract:
//
//   - A Publish is one Kafka transaction, a PublishAt is one together with its
//     position, and a Save is one of its own. Consumers read committed records
//     only.
//   - A shard has a transactional id, tw.<pipeline>.<source>.<shard>. OpenShard
//     initializes it before it reads anything, which ends what a session before
//     it had begun and fences that session: the brokers refuse what it still
//     sends.
//   - An answer that does not come ends the session. Nothing is sent twice: the
//     next OpenShard finds out what stands in the log.
//
// Its topics are tw.<pipeline>.<view> for each view, tw.<pipeline>.positions.<shard>
// with one partition that is the shard's own, and tw.<pipeline>.schemas;
// docs/format/stream.md describes their records. The library never creates a
// topic on its own: EnsureTopic does, and checks the ones that are there.
//
// While a session's transaction is open, the records of all shards behind its
// first one wait in the partitions that it touched. A reader that dies there is
// waited for until its successor begins, or until the brokers have looked for
// transactions older than transactionTimeout. Watch finds such partitions.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"tailwater/stream"
)

// Options are the options of Open.
type Options struct {
	// Brokers are the addresses of some brokers, host:port.
	Brokers []string
	// Name is the pipeline's.
	Name string
	// Replication is that of topics which are made; 0 is the brokers' default.
	Replication int
	// Retention becomes retention.ms of topics which are made; 0 is 24 h.
	Retention time.Duration
	// Timeout bounds making a connection and the wait for an answer; 0 is 10 s.
	Timeout time.Duration
	// TLS encrypts the connections; nil does not. An empty ServerName is the
	// broker's.
	TLS    *tls.Config
	SASL   SASL
	Logger *slog.Logger

	// dial, when set, makes the connections: tests break them.
	dial func(ctx context.Context, network, host string) (net.Conn, error)
	// now is the wall clock: tests step it.
	now func() time.Time
	// openFor is how long the brokers keep a transaction open whose producer is
	// silent; 0 is transactionTimeout. Tests shorten it.
	openFor time.Duration
}

// SASL is an account. The zero value is none.
type SASL struct {
	// Mechanism is plain, scram-sha-256 or scram-sha-512; empty is none.
	Mechanism      string
	User, Password string
}

// Log is a stream on a Kafka cluster. See stream.Log. It is safe for concurrent
// use.
type Log struct {
	o      Options
	common []kgo.Opt
	client *kgo.Client
	admin  *kadm.Client

	mu      sync.Mutex
	topics  map[string]*topic
	schemas schemaCache
	claimed epochs
}

var (
	_ stream.Log      = (*Log)(nil)
	_ stream.Balancer = (*Log)(nil)
	_ stream.Owners   = (*Log)(nil)
)

// The bounds of requests. A fetch answers with at least one batch, however
// large that is.
const (
	maxFetch          = 1 << 20
	maxPartitionFetch = 128 << 10
	maxWrite          = 1 << 30
)

func (o *Options) fill() error {
	if o.Retention == 0 {
		o.Retention = 24 * time.Hour
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.openFor == 0 {
		o.openFor = transactionTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Brokers) == 0 || o.Name == "" {
		return errors.New("open kafka stream: brokers and name must be given")
	}
	return nil
}

// mechanism returns the account as the client library takes it, nil for none.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("open kafka stream: unknown SASL mechanism %q", s.Mechanism)
}

// Open connects to the cluster and makes the topic of the schemas. It fails
// when no broker answers in time, or when what it answers cannot be worked
// with.
func Open(ctx context.Context, o Options) (*Log, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	auth, err := o.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	l := &Log{o: o, topics: make(map[string]*topic)}
	l.common = []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID("tailwater-" + o.Name),
		kgo.DialTimeout(o.Timeout),
		kgo.RequestTimeoutOverhead(o.Timeout),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.BrokerMaxReadBytes(maxWrite),
		kgo.BrokerMaxWriteBytes(maxWrite),
	}
	if o.dial != nil {
		l.common = append(l.common, kgo.Dialer(o.dial))
	}
	if o.TLS != nil {
		l.common = append(l.common, kgo.DialTLSConfig(o.TLS))
	}
	if auth != nil {
		l.common = append(l.common, kgo.SASL(auth))
	}
	l.client, err = kgo.NewClient(append(l.common, kgo.RetryTimeout(o.Timeout))...)
	if err != nil {
		return nil, fmt.Errorf("open kafka stream: %w", err)
	}
	l.admin = kadm.NewClient(l.client)
	l.admin.SetTimeoutMillis(int32(o.Timeout.Milliseconds()))
	if err := l.check(ctx); err != nil {
		l.client.Close()
		return nil, err
	}
	return l, nil
}

// check asks the cluster what it can do.
func (l *Log) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*l.o.Timeout, errNoAnswer)
	defer cancel()
	if err := l.client.Ping(ctx); err != nil {
		return l.explain("connect to kafka", err)
	}
	if err := l.checkTransactions(ctx); err != nil {
		return err
	}
	if err := l.makeTopic(ctx, l.schemaTopic(), 1, compacted(l.o.Replication)); err != nil {
		return l.explain("make the topic of the schemas", err)
	}
	t, err := l.awaitTopic(ctx, l.schemaTopic())
	if err != nil {
		return l.explain("look at the topic of the schemas", err)
	}
	return t.keeps(latest)
}

// transactionFeature is the level of the cluster at which an end of a
// transaction that arrives late can no longer end another one (KIP-890).
const transactionFeature = 2

// checkTransactions refuses a cluster that says that its transactions are of
// the older kind. Clusters that do not speak of it are taken as they are.
func (l *Log) checkTransactions(ctx context.Context) error {
	versions, err := l.admin.ApiVersions(ctx)
	if err != nil {
		return l.explain("ask the brokers for their versions", err)
	}
	for _, v := range versions {
		raw := v.Raw()
		if raw == nil {
			continue
		}
		if level, ok := transactionLevel(raw); ok && level < transactionFeature {
			return fmt.Errorf("connect to kafka: the cluster has transaction.version %d, at which a late answer can tear a transaction; "+
				"raise it with kafka-features.sh upgrade --feature transaction.version=%d", level, transactionFeature)
		}
	}
	return nil
}

// transactionLevel is a broker's level of transaction.version, if it tells.
// Brokers do not list a feature at level 0, as an upgraded cluster has it: it
// is known by the levels that it could have.
func transactionLevel(v *kmsg.ApiVersionsResponse) (level int16, ok bool) {
	for _, f := range v.SupportedFeatures {
		ok = ok || f.Name == "transaction.version" && f.MaxVersion >= transactionFeature && v.FinalizedFeaturesEpoch >= 0
	}
	for _, f := range v.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel, true
		}
	}
	return 0, ok
}

// Close closes the connections. It is idempotent.
func (l *Log) Close() error {
	l.client.Close()
	return nil
}

// newClient makes a client with options of its own.
func (l *Log) newClient(extra ...kgo.Opt) (*kgo.Client, error) {
	opts := append(append([]kgo.Opt(nil), l.common...), extra...)
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make a kafka client: %w", err)
	}
	return c, nil
}
