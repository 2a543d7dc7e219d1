package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

// benchOf is a bench over a store that is reached in any way.
func benchOf(t *testing.T, o Options) *bench {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &bench{T: t, store: s, client: s.client}
}

func addresses(servers []*testenv.Server) []string {
	var out []string
	for _, s := range servers {
		out = append(out, s.Addr)
	}
	return out
}

// foldTwice folds rows, folds more, and checks that both are there once.
func foldTwice(b *bench, between func()) {
	b.Helper()
	l := newFakeLog(1)
	m := b.metric(oneShard)
	s := l.shard("00")
	s.event(0, 101, `"city":"Pune","amount":1`)
	h := b.hand(l, m)
	h.sync()
	between()
	s.event(0, 102, `"city":"Pune","amount":2`)
	healed(b, func() error {
		if err := h.tryLoad(); err != nil {
			return err
		}
		h.foldAll()
		return h.tryFlush()
	})
	checkExact(b.T, b.store, l, m)
}

// healed waits until try succeeds.
func healed(b *bench, try func() error) {
	b.Helper()
	testenv.Wait(b.T, 60*time.Second, "the store to take what it refused", try)
}

func TestCluster_KeepsMetricsOnEveryPrimary(t *testing.T) {
	nodes := testenv.RedisCluster(t, 3, 0)
	b := benchOf(t, Options{Cluster: &Cluster{Addresses: addresses(nodes[:1])}})
	p, err := b.store.Preflight(context.Background())
	if err != nil || p.Mode != "cluster" || len(p.Warnings) != 0 {
		t.Fatalf("preflight: got %+v, %v", p, err)
	}
	used := map[string]bool{}
	for _, name := range []string{"gmv", "orders", "refunds", "visits", "signups", "baskets"} {
		l := newFakeLog(1)
		m := compile(t, func(d *windowing.Definition) { oneShard(d); d.Name = name })
		l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
		b.hand(l, m).sync()
		checkExact(t, b.store, l, m)
		c, err := b.client.(*goredis.ClusterClient).MasterForKey(context.Background(), "tw:{"+name+"}:windows")
		if err != nil {
			t.Fatal(err)
		}
		used[c.Options().Addr] = true
	}
	if len(used) != 3 {
		t.Errorf("primaries in use: got %v, want all three", used)
	}
}

func TestCluster_ForgottenScriptsAndAWipedNodeHeal(t *testing.T) {
	nodes := testenv.RedisCluster(t, 3, 0)
	b := benchOf(t, Options{Cluster: &Cluster{Addresses: addresses(nodes)}})
	each := func(f func(ctx context.Context, c *goredis.Client) error) {
		if err := b.store.eachPrimary(context.Background(), f); err != nil {
			t.Fatal(err)
		}
	}
	foldTwice(b, func() {
		each(func(ctx context.Context, c *goredis.Client) error { return c.ScriptFlush(ctx).Err() })
	})
	each(func(ctx context.Context, c *goredis.Client) error { return c.FlushAll(ctx).Err() })
	foldTwice(b, func() {
		each(func(ctx context.Context, c *goredis.Client) error { return c.FlushAll(ctx).Err() })
	})
}

func TestSentinel_FailoverToAReplicaGoesOn(t *testing.T) {
	primary := testenv.Redis(t)
	replica := testenv.Redis(t, "--replicaof", primary.Host, fmt.Sprint(primary.Port), "--repl-diskless-sync-delay", "0")
	link := goredis.NewClient(&goredis.Options{Addr: replica.Addr})
	defer link.Close()
	testenv.Wait(t, 60*time.Second, "the replica to follow", func() error {
		return tells(link, "master_link_status:up")
	})
	watch := testenv.RedisSentinels(t, primary, 1)
	b := benchOf(t, Options{Sentinel: &Sentinel{Addresses: addresses(watch), Primary: "windows"}})
	if _, err := b.store.Preflight(context.Background()); err != nil {
		t.Fatalf("preflight: %v", err)
	}
	sentinel := goredis.NewSentinelClient(&goredis.Options{Addr: watch[0].Addr})
	defer sentinel.Close()
	testenv.Wait(t, 60*time.Second, "the sentinel to know the replica", func() error {
		known, err := sentinel.Replicas(context.Background(), "windows").Result()
		if err == nil && len(known) != 1 {
			err = fmt.Errorf("it knows %d replicas", len(known))
		}
		return err
	})
	foldTwice(b, func() { primary.Kill(t) })
	if err := tells(link, "role:master"); err != nil {
		t.Errorf("the replica was not promoted: %v", err)
	}
}

// tells checks that a server's INFO replication has a line.
func tells(c *goredis.Client, line string) error {
	text, err := c.Info(context.Background(), "replication").Result()
	if err == nil && !strings.Contains(text, line) {
		err = fmt.Errorf("want %s in %s", line, text)
	}
	return err
}

func TestACL_DocumentedLineIsEnough(t *testing.T) {
	srv := testenv.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: srv.Addr})
	defer admin.Close()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if line := ACL("tw", "tw:"); !strings.Contains(string(page), "\n"+line+"\n") {
		t.Errorf("docs/operations.md lacks the line\n%s", line)
	}
	grant(t, admin, ACL("tw", "tw:"))
	if err := admin.Do(context.Background(), "ACL", "SETUSER", "tw", "on", ">pw").Err(); err != nil {
		t.Fatal(err)
	}
	b := benchOf(t, Options{URL: "redis://tw:pw@" + srv.Addr})
	if p, err := b.store.Preflight(context.Background()); err != nil || len(p.Warnings) != 0 {
		t.Errorf("preflight: got %+v, %v", p, err)
	}
	foldTwice(b, func() {})
	for _, forbidden := range [][]any{{"FLUSHALL"}, {"KEYS", "*"}, {"CONFIG", "SET", "maxmemory", "1"}, {"GET", "other"}} {
		if err := b.client.Do(context.Background(), forbidden...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%v: got %v, want NOPERM", forbidden, err)
		}
	}
}

func grant(t *testing.T, c *goredis.Client, line string) {
	t.Helper()
	var args []any
	for _, word := range strings.Fields(line) {
		args = append(args, word)
	}
	if err := c.Do(context.Background(), args...).Err(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

func TestPreflight_NamesTheSettingThatIsWrong(t *testing.T) {
	plain := testenv.Redis(t, "--requirepass", "right")
	open := testenv.Redis(t)
	poor := goredis.NewClient(&goredis.Options{Addr: open.Addr})
	defer poor.Close()
	grant(t, poor, "ACL SETUSER poor on >pw ~tw:* -@all +@connection -ping")
	node := testenv.RedisCluster(t, 3, 0)[0]
	sentinel := testenv.RedisSentinels(t, open, 1)[0]
	dir, trust := certificates(t)
	secure := testenv.RedisTLS(t, dir)
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"no password", Options{URL: "redis://" + plain.Addr}, "the server wants a password"},
		{"wrong password", Options{URL: "redis://:wr0ng@" + plain.Addr}, "user or password is wrong"},
		{"a node of a cluster as one server", Options{URL: "redis://" + node.Addr}, "set windows.store.cluster"},
		{"one server as a cluster", Options{Cluster: &Cluster{Addresses: []string{open.Addr}}}, "set windows.store.url in place of cluster"},
		{"a sentinel as a server", Options{URL: "redis://" + sentinel.Addr}, "set windows.store.sentinel"},
		{"a server as a sentinel", Options{Sentinel: &Sentinel{Addresses: []string{open.Addr}, Primary: "windows"}}, "look at windows.store.sentinel"},
		{"another name", Options{Sentinel: &Sentinel{Addresses: []string{sentinel.Addr}, Primary: "others"}}, "look at windows.store.sentinel"},
		{"plain text to TLS", Options{URL: "redis://" + secure.Addr}, "use rediss://"},
		{"TLS to plain text", Options{URL: "rediss://" + open.Addr, Timeout: time.Second}, "use redis://"},
		{"authority unknown", Options{URL: "rediss://" + secure.Addr}, "look at windows.store.tls"},
		{"another server name", Options{URL: "rediss://" + secure.Addr, TLS: &tls.Config{RootCAs: trust.RootCAs, ServerName: "other"}}, "look at windows.store.tls"},
		{"permissions", Options{URL: "redis://poor:pw@" + open.Addr}, ACL("poor", "tw:")},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := benchOf(t, c.o).store.Preflight(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("got %v\nwant %s, without the password", err, c.want)
			}
		})
	}
}

func TestOpen_WantsExactlyOneWay(t *testing.T) {
	for _, o := range []Options{
		{URL: "redis://h", Cluster: &Cluster{}}, {URL: "redis://h", Sentinel: &Sentinel{}}, {Cluster: &Cluster{}, Sentinel: &Sentinel{}},
		{URL: "redis://h", TLS: &tls.Config{}},
	} {
		if s, err := Open(o); err == nil {
			t.Errorf("%+v: got %v, want an error", o, s)
		}
	}
}

func TestPolicy_IsAskedForWhereInfoDoesNotTell(t *testing.T) {
	p := &Preflight{}
	if errs := p.memory("", errors.New("NOPERM")); len(errs) != 0 || len(p.Warnings) != 1 {
		t.Errorf("got %v, warnings %q", errs, p.Warnings)
	}
	p.memory("", errors.New("NOPERM"))
	if len(p.Warnings) != 1 {
		t.Errorf("the same of several nodes is said once, got %q", p.Warnings)
	}
}
