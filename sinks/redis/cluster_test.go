package redis

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
)

// ownerOf returns the node that serves the metric gmv, as the cluster says.
func ownerOf(b *bench, nodes []*testenv.Server) *testenv.Server {
	b.Helper()
	c, err := b.client.(*goredis.ClusterClient).MasterForKey(context.Background(), "tw:{gmv}:windows")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range nodes {
		if n.Addr == c.Options().Addr {
			return n
		}
	}
	b.Fatalf("no node has address %s", c.Options().Addr)
	return nil
}

func TestCluster_PrimaryWithoutReplicaComesBackEmpty(t *testing.T) {
	nodes := testenv.RedisCluster(t, 3, 0)
	b := benchOf(t, Options{Cluster: &Cluster{Addresses: addresses(nodes)}, Timeout: time.Second})
	foldTwice(b, func() {
		old := ownerOf(b, nodes)
		old.Kill(t)
		old.Restart(t)
	})
}

func TestCluster_SlotThatMovesIsWaitedFor(t *testing.T) {
	nodes := testenv.RedisCluster(t, 3, 0)
	b := benchOf(t, Options{Cluster: &Cluster{Addresses: addresses(nodes)}, Timeout: time.Second})
	ctx := context.Background()
	l := newFakeLog(1)
	m := b.metric(oneShard)
	s := l.shard("00")
	s.event(0, 101, `"city":"Pune","amount":1`)
	h := b.hand(l, m)
	h.sync()

	from := ownerOf(b, nodes)
	to := nodes[0]
	if to == from {
		to = nodes[1]
	}
	do := func(n *testenv.Server, args ...any) any {
		t.Helper()
		c := goredis.NewClient(&goredis.Options{Addr: n.Addr})
		defer c.Close()
		v, err := c.Do(ctx, args...).Result()
		if err != nil && !errors.Is(err, goredis.Nil) {
			t.Fatalf("%v: %v", args, err)
		}
		return v
	}
	slot := do(from, "CLUSTER", "KEYSLOT", "{gmv}")
	fromID, toID := do(from, "CLUSTER", "MYID"), do(to, "CLUSTER", "MYID")
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	names := do(from, "CLUSTER", "GETKEYSINSLOT", slot, 1000).([]any)
	do(from, "MIGRATE", to.Host, to.Port, names[0], 0, 5000)

	s.event(0, 102, `"city":"Pune","amount":2`)
	h.foldAll()
	if err := h.tryFlush(); err == nil {
		t.Error("flush while half of the keys have moved: got no error")
	}
	for _, name := range names[1:] {
		do(from, "MIGRATE", to.Host, to.Port, name, 0, 5000)
	}
	for _, n := range nodes {
		do(n, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	healed(b, func() error {
		if err := h.tryLoad(); err != nil {
			return err
		}
		h.foldAll()
		return h.tryFlush()
	})
	checkExact(t, b.store, l, m)
}
