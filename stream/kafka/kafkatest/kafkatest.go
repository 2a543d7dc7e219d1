// Package kafkatest runs a Kafka broker inside a test's process: franz-go's
// kfake, in memory. It speaks the protocol with transactions and groups, and is
// no proof of how Apache Kafka behaves; tests of that start one.
package kafkatest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
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
