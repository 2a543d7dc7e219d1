package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/windowing"
)

// failoverTime bounds a fail-over: to notice, to vote, and the pauses of a
// client that meets nobody. It takes a few seconds on an idle machine.
const failoverTime = 2 * time.Minute

// rewinds is a log that notes the lowest offset which it was asked for.
type rewinds struct {
	*fakeLog
	mu     sync.Mutex
	lowest int64
}

func (l *rewinds) NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error) {
	c, err := l.fakeLog.NewConsumer(ctx, o)
	return rewindsConsumer{c, l}, err
}

type rewindsConsumer struct {
	stream.Consumer
	log *rewinds
}

func (c rewindsConsumer) Assign(offsets map[stream.TopicPartition]int64) error {
	c.log.mu.Lock()
	for _, off := range offsets {
		c.log.lowest = min(c.log.lowest, off)
	}
	c.log.mu.Unlock()
	return c.Consumer.Assign(offsets)
}

// failover is a worker under load, and the servers that its metric lives on.
type failover struct {
	*bench
	log    *rewinds
	metric *windowing.Metric
	shard  *fakeShard
	worker *Worker
	dial   func(s *testenv.Server) *goredis.Client
	n      int
}

// newFailover starts a worker on a store; protect is nil for plain text.
func newFailover(t *testing.T, o Options, protect *tls.Config) *failover {
	t.Helper()
	o.Timeout, o.TLS = 2*time.Second, protect
	f := &failover{bench: benchOf(t, o), log: &rewinds{fakeLog: newFakeLog(1), lowest: math.MaxInt64}}
	f.metric, f.shard = f.bench.metric(oneShard), f.log.shard("00")
	f.dial = func(s *testenv.Server) *goredis.Client {
		c := goredis.NewClient(&goredis.Options{Addr: s.Addr, TLSConfig: protect, MaxRetries: 5})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	f.write(50)
	f.worker = f.bench.work(f.log.fakeLog, func(o *WorkerOptions) { o.Source = f.log }, f.metric).Worker
	f.awaitEnd()
	return f
}

// write appends n rows.
func (f *failover) write(n int) {
	for range n {
		f.n++
		f.shard.event(0, 1000+float64(f.n)/50, fmt.Sprintf(`"city":"c%d","amount":%d.25`, f.n%7, f.n))
	}
}

// load writes until the returned function is called.
func (f *failover) load() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.write(1)
			case <-ctx.Done():
				return
			}
		}
	})
	end = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	f.Cleanup(end)
	return end
}

// awaitEnd waits until the store has what the log has, and checks it. Nobody
// may write meanwhile.
func (f *failover) awaitEnd() {
	f.Helper()
	testenv.Wait(f, failoverTime, "the worker to merge the whole log", func() error {
		st, err := f.store.table(f.metric, 0).load(context.Background())
		if err != nil {
			return err
		}
		if at, end := st.positions[0].Offset, f.log.end(0); at != end {
			return fmt.Errorf("the store is at %d of %d, and the worker says %q", at, end, f.worker.Status().Metrics[0].LastError)
		}
		return nil
	})
	checkExact(f.T, f.store, f.log.fakeLog, f.metric)
}

// follows waits until a server is a replica that has its primary's data.
func (f *failover) follows(s *testenv.Server) {
	f.Helper()
	c := f.dial(s)
	testenv.Wait(f, failoverTime, "server "+s.Name+" to follow", func() error {
		return errors.Join(tells(c, "role:slave"), tells(c, "master_link_status:up"))
	})
}

// loseTheNewest cuts a replica off, lets the primary take more, and kills it:
// whoever is promoted has data older than what the worker remembers. Rows are
// written all the time.
func (f *failover) loseTheNewest(primary, replica *testenv.Server) {
	f.Helper()
	f.follows(replica)
	replica.Pause(f)
	if err := f.dial(primary).Do(context.Background(), "CLIENT", "KILL", "TYPE", "replica").Err(); err != nil {
		f.Fatalf("cut the replica off: %v", err)
	}
	f.write(50)
	f.awaitEnd()
	taken := f.log.end(0)
	f.log.mu.Lock()
	f.log.lowest = math.MaxInt64
	f.log.mu.Unlock()
	end := f.load()
	primary.Kill(f)
	replica.Resume(f)
	testenv.Wait(f, failoverTime, "the replica to be promoted", func() error { return tells(f.dial(replica), "role:master") })
	// A client that asks the cluster once a minute would find it later.
	testenv.Wait(f, 30*time.Second, "the worker to go on", func() error {
		st, err := f.store.table(f.metric, 0).load(context.Background())
		if err == nil && st.positions[0].Offset <= taken {
			err = fmt.Errorf("the store is at %d, and the worker says %q", st.positions[0].Offset, f.worker.Status().Metrics[0].LastError)
		}
		return err
	})
	end()
	f.awaitEnd()
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	if f.log.lowest >= taken {
		f.Errorf("the worker went on from offset %d, want it to go back below %d: the promoted replica lacked rows", f.log.lowest, taken)
	}
}

// returns starts the former primary again, which must become a replica, and
// checks that rows go on to where they belong.
func (f *failover) returns(former *testenv.Server) {
	f.Helper()
	end := f.load()
	former.Restart(f)
	f.follows(former)
	end()
	f.write(50)
	f.awaitEnd()
	if text := f.worker.Status().Metrics[0].LastError; text != "" {
		f.Errorf("the worker that goes on says %q", text)
	}
}

func TestCluster_AReplicaThatLacksTheNewestIsPromotedUnderLoad(t *testing.T) {
	// However long it was cut off on a slow machine, it may be elected.
	nodes := testenv.RedisCluster(t, 3, 1, "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
	f := newFailover(t, Options{Cluster: &Cluster{Addresses: addresses(nodes)}}, nil)
	primary := ownerOf(f.bench, nodes)
	f.loseTheNewest(primary, replicaOf(f, nodes, primary))
	f.returns(primary)
}

// replicaOf returns the one replica of a cluster's primary.
func replicaOf(f *failover, nodes []*testenv.Server, primary *testenv.Server) *testenv.Server {
	f.Helper()
	for _, n := range nodes {
		if tells(f.dial(n), fmt.Sprintf("master_port:%d\r\n", primary.Port)) == nil {
			return n
		}
	}
	f.Fatalf("no node follows %s", primary.Addr)
	return nil
}

func TestSentinel_AReplicaThatLacksTheNewestIsPromotedUnderLoad(t *testing.T) {
	dir, trust := certificates(t)
	for name, c := range map[string]struct {
		protect   *tls.Config
		server    func(t testing.TB, options ...string) *testenv.Server
		sentinels func(t testing.TB, primary *testenv.Server) []*testenv.Server
	}{
		"plain": {nil, testenv.Redis,
			func(t testing.TB, p *testenv.Server) []*testenv.Server { return testenv.RedisSentinels(t, p, 1) }},
		"tls": {trust, func(t testing.TB, options ...string) *testenv.Server { return testenv.RedisTLS(t, dir, options...) },
			func(t testing.TB, p *testenv.Server) []*testenv.Server {
				return testenv.RedisSentinelsTLS(t, dir, p, 1)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := c.server(t, "--repl-diskless-sync-delay", "0")
			replica := c.server(t, "--replicaof", primary.Host, fmt.Sprint(primary.Port), "--repl-diskless-sync-delay", "0")
			watch := c.sentinels(t, primary)
			f := newFailover(t, Options{Sentinel: &Sentinel{Addresses: addresses(watch), Primary: "windows"}}, c.protect)
			if p, err := f.store.Preflight(context.Background()); err != nil || len(p.Warnings) != 0 {
				t.Fatalf("preflight: got %+v, %v", p, err)
			}
			f.follows(replica)
			sentinel := goredis.NewSentinelClient(&goredis.Options{Addr: watch[0].Addr, TLSConfig: c.protect})
			defer sentinel.Close()
			// A replica is not chosen that was cut off for longer than ten times this.
			if err := sentinel.Set(t.Context(), "windows", "down-after-milliseconds", "4000").Err(); err != nil {
				t.Fatal(err)
			}
			testenv.Wait(t, failoverTime, "the sentinel to know the replica", func() error {
				known, err := sentinel.Replicas(t.Context(), "windows").Result()
				if err == nil && (len(known) != 1 || known[0]["master-link-status"] != "ok") {
					err = fmt.Errorf("it knows %v", known)
				}
				return err
			})
			f.loseTheNewest(primary, replica)
			f.returns(primary)
		})
	}
}

func TestWorker_AServerThatIsAReplicaIsNamedAndWaitedFor(t *testing.T) {
	srv := testenv.Redis(t)
	f := newFailover(t, Options{URL: "redis://" + srv.Addr}, nil)
	admin := f.dial(srv)
	become := func(args ...any) {
		t.Helper()
		if err := admin.Do(context.Background(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	become("REPLICAOF", "127.0.0.1", "1")
	f.write(20)
	const want = "set windows.store.url to the primary's address, or windows.store.sentinel"
	if _, err := f.store.Preflight(context.Background()); err == nil || !strings.Contains(err.Error(), "replica of 127.0.0.1:1") || !strings.Contains(err.Error(), want) {
		t.Errorf("preflight: got %v, want the primary named and %q", err, want)
	}
	testenv.Wait(t, failoverTime, "the worker to say so", func() error {
		if text := f.worker.Status().Metrics[0].LastError; !strings.Contains(text, "READONLY") || !strings.Contains(text, want) {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
	become("REPLICAOF", "NO", "ONE")
	f.awaitEnd()
}
