// Package kafkatest runs a Kafka broker inside a test's process: franz-go's
// kfake, in memory. It speaks the protocol with transactions and groups, and is
// no proof of how Apache Kafka behaves; tests of that start one.
package kafkatest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Start returns the addresses of a cluster of one broker that ends with the
// test.
func Start(t testing.TB) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

// LeaveOpen writes one record to a partition in a transaction that stays open,
// as a session that dies before its commit leaves it, and returns what aborts
// the transaction. Whoever had the transactional id is fenced.
func LeaveOpen(t testing.TB, brokers []string, id, topic string, partition int32) (abort func()) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte("never committed")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := c.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
	}
}
