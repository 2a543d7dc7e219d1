package verify

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
)

// storedIn is the shop's configuration with its windows in a real store.
func storedIn(store string) string {
	return strings.Replace(shopViews, "store: { type: embedded }", "store: { type: redis, "+store+" }", 1)
}

// addresses lists servers as the configuration does.
func addresses(servers []*testenv.Server) string {
	var out []string
	for _, s := range servers {
		out = append(out, fmt.Sprintf("%q", s.Addr))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// inStore runs a pipeline whose windows lie in a store, under load and when it
// is drained, and wants every window there. Then one value is made wrong: what
// looks elsewhere would not see it.
func inStore(t *testing.T, store string, client goredis.UniversalClient) {
	t.Helper()
	defer client.Close()
	f := newFixture(t, 2, storedIn(store))
	f.start()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := f.workload.Live(ctx); err != nil {
		t.Fatal(err)
	}
	clean(t, f.verify())
	f.halt()
	r := f.verify()
	clean(t, r)
	if r.WindowsCompared == 0 || r.ValuesCompared == 0 {
		t.Errorf("%d windows with %d values were compared, want some", r.WindowsCompared, r.ValuesCompared)
	}
	starts, err := client.ZRange(t.Context(), "tw:{changes}:windows", 0, -1).Result()
	if err != nil || len(starts) == 0 {
		t.Fatalf("windows of the metric changes: %q, %v", starts, err)
	}
	values := "tw:{changes}:w:" + starts[0]
	if n, err := client.Exists(t.Context(), values).Result(); err != nil || n != 1 {
		t.Fatalf("%s: %d keys, %v, want it there", values, n, err)
	}
	if err := client.HSet(t.Context(), values, `["planted"]`, "7").Err(); err != nil {
		t.Fatal(err)
	}
	if r := f.verify("windows"); r.Found != 1 || !strings.Contains(fmt.Sprint(r.Differences), "planted") {
		t.Errorf("with a value planted: %d differences, want that one: %v", r.Found, r.Differences)
	}
}

func TestVerify_WindowsInACluster(t *testing.T) {
	nodes := testenv.RedisCluster(t, 3, 0)
	inStore(t, fmt.Sprintf("cluster: { addresses: %s }", addresses(nodes[:1])), goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{nodes[0].Addr}}))
}

func TestVerify_WindowsBehindSentinels(t *testing.T) {
	primary := testenv.Redis(t)
	watch := testenv.RedisSentinels(t, primary, 2)
	inStore(t, fmt.Sprintf("sentinel: { addresses: %s, master: windows }", addresses(watch)), goredis.NewClient(&goredis.Options{Addr: primary.Addr}))
}

// Everybody who connects must show a certificate: pipeline, verify, sentinels.
func TestVerify_WindowsBehindSentinelsThatWantCertificates(t *testing.T) {
	dir := testenv.Certificates(t)
	primary := testenv.RedisTLS(t, dir, "--tls-auth-clients", "yes")
	watch := testenv.RedisSentinelsTLS(t, dir, primary, 1, "--tls-auth-clients", "yes")
	file := func(name string) string { return filepath.Join(dir, name) }
	pair, err := tls.LoadX509KeyPair(file("client.crt"), file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	protect := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}
	inStore(t, fmt.Sprintf("sentinel: { addresses: %s, master: windows }, tls: { ca: %q, cert: %q, key: %q }", addresses(watch), file("ca.crt"), file("client.crt"), file("client.key")),
		goredis.NewClient(&goredis.Options{Addr: primary.Addr, TLSConfig: protect}))
}

// The primary of a metric dies while the pipeline writes, and its replica is
// promoted with whatever it has.
func TestVerify_WindowsInAClusterWhosePrimaryDies(t *testing.T) {
	nodes := testenv.RedisCluster(t, 3, 1, "--cluster-replica-validity-factor", "0")
	f := newFixture(t, 2, storedIn(fmt.Sprintf("cluster: { addresses: %s }", addresses(nodes))))
	f.start()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.workload.Live(ctx) }()
	flushed := func(more uint64) {
		t.Helper()
		before := f.pipeline.Snapshot().Metrics
		testenv.Wait(t, time.Minute, "every metric to go on", func() error {
			for i, m := range f.pipeline.Snapshot().Metrics {
				if m.Error != "" || m.Flushes < before[i].Flushes+more {
					return fmt.Errorf("metric %s has %d flushes, had %d, and says %q", m.Metric, m.Flushes, before[i].Flushes, m.Error)
				}
			}
			return nil
		})
	}
	flushed(5)
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{nodes[0].Addr}})
	owner, err := client.MasterForKey(ctx, "tw:{changes}:windows")
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(nodes, func(s *testenv.Server) bool { return s.Addr == owner.Options().Addr })
	if at < 0 {
		t.Fatalf("no node has the address %s", owner.Options().Addr)
	}
	client.Close()
	nodes[at].Kill(t)
	flushed(5)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	clean(t, f.verify())
	f.halt()
	clean(t, f.verify())
}
