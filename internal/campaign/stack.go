package campaign

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailwater/internal/campaign/fault"
	"tailwater/internal/campaign/work"
	"tailwater/internal/testenv"
)

// windowSeconds is the size of the metrics' windows.
const windowSeconds = 10

// stack is the servers, the links to them, and the configuration.
type stack struct {
	o         *Options
	dir       string
	shards    []*testenv.Server
	redis     *testenv.Server
	kafka, s3 *testenv.Server
	links     map[string]*fault.Proxy
	// names are those of links, in a fixed order.
	names     []string
	lakeDir   string
	maxRecord int
}

func newStack(tb testing.TB, o *Options) *stack {
	tb.Helper()
	dir, err := os.MkdirTemp(o.Dir, "tailwater-campaign-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("configuration, state, lake and logs of the campaign: %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove %s: %v", dir, err)
		}
	})
	s := &stack{o: o, dir: dir, links: map[string]*fault.Proxy{}, lakeDir: filepath.Join(dir, "lake"), maxRecord: o.MaxRecord}
	s.shards = testenv.MySQL(tb, o.Shards, "--max-allowed-packet=256M", "--innodb-buffer-pool-size=128M")
	for i, m := range s.shards {
		s.link(tb, "mysql "+s.shard(i), m.Addr)
		if i%2 == 1 {
			m.Exec(tb, "SET PERSIST binlog_transaction_compression = ON")
		}
	}
	if o.has(Redis) {
		s.redis = testenv.Redis(tb, "--appendonly", "yes")
		s.link(tb, "redis", s.redis.Addr)
	}
	if o.has(Kafka) {
		// Brokers tell clients their address: it has to be that of the link.
		p := s.link(tb, "kafka", "127.0.0.1:1")
		s.kafka = testenv.Kafka(tb, "advertised.listeners=PLAINTEXT://"+p.Addr())
		p.SetTarget(s.kafka.Addr)
	}
	if o.has(S3) {
		s.s3 = testenv.S3(tb)
		s.link(tb, "s3", s.s3.Addr)
		s.lakeDir = filepath.Join(s.s3.DataDir, s.s3.Bucket, "lake")
	}
	return s
}

func (s *stack) link(tb testing.TB, name, target string) *fault.Proxy {
	tb.Helper()
	p, err := fault.Listen(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	s.links[name] = p
	s.names = append(s.names, name)
	return p
}

func (s *stack) shard(i int) string { return fmt.Sprintf("%02d", i) }

// targets are the shards as the workload writes to them, past the links.
func (s *stack) targets() []work.Shard {
	var out []work.Shard
	for i, m := range s.shards {
		out = append(out, work.Shard{Name: s.shard(i), DSN: m.DSN})
	}
	return out
}

// servers are those that can be killed, by name; slices of it are in a fixed
// order.
func (s *stack) servers() (names []string, byName map[string]*testenv.Server) {
	byName = map[string]*testenv.Server{}
	for i, m := range s.shards {
		byName["mysql "+s.shard(i)] = m
	}
	for name, server := range map[string]*testenv.Server{"redis": s.redis, "kafka": s.kafka, "s3": s.s3} {
		if server != nil {
			byName[name] = server
		}
	}
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, byName
}

// config is the text of the configuration.
func (s *stack) config() string {
	var b strings.Builder
	b.WriteString(`version: 1
name: camp
state: { dir: ./state }
sources:
  bank:
    type: mysql
    server_id: 6400-6499
    heartbeat: { every: 500ms, stall_after: 3s }
    connect: { tls: disable, timeout: 3s, read_timeout: 4s, retry: { min: 50ms, max: 500ms } }
    shards:
      list:
`)
	for i, m := range s.shards {
		fmt.Fprintf(&b, "        - { name: %q, host: 127.0.0.1, port: %d, user: %q, password: %q }\n",
			s.shard(i), s.links["mysql "+s.shard(i)].Port(), m.ReplUser, m.ReplPassword)
	}
	b.WriteString("tables:\n")
	views := []string{"ledger", "accounts", "moves", "items"}
	for _, v := range views {
		fmt.Fprintf(&b, "  %s: { from: { source: bank, schema: bank, table: \"%s_{part}\" }, key: [shard, lane, id] }\n", v, v)
	}
	b.WriteString("views:\n")
	for _, v := range views {
		fmt.Fprintf(&b, "  %s: { from: %s }\n", v, v)
	}
	b.WriteString("windows:\n")
	if s.redis != nil {
		fmt.Fprintf(&b, "  store: { type: redis, url: \"redis://%s/0\", timeout: 3s }\n", s.links["redis"].Addr())
	}
	fmt.Fprintf(&b, `  defaults: { size: %ds }
  metrics:
    txs: { view: ledger, value: count(), group_by: [kind] }
    cents: { view: ledger, value: sum(cents), group_by: [kind] }
    txs_by_row: { view: ledger, value: count(), group_by: [kind], time: at }
    cents_by_row: { view: ledger, value: sum(cents), group_by: [kind], time: at }
`, windowSeconds)
	lake := "url: file://./lake"
	if s.s3 != nil {
		lake = fmt.Sprintf("url: s3://%s/lake\n  region: us-east-1\n  endpoint: \"http://%s\"\n  path_style: true", s.s3.Bucket, s.links["s3"].Addr())
	} else {
		lake = "url: file://" + s.lakeDir
	}
	fmt.Fprintf(&b, "lake:\n  %s\n  file: { roll_every: 1s }\n", lake)
	stream := "type: embedded"
	if s.kafka != nil {
		stream = fmt.Sprintf("type: kafka, brokers: [%q], connect: { timeout: 4s }", s.links["kafka"].Addr())
	}
	fmt.Fprintf(&b, "stream: { %s, partitions: 4, max_record: %dB }\nhttp: { listen: \"127.0.0.1:0\" }\nlimits: { memory: 512MiB }\n", stream, s.maxRecord)
	return b.String()
}
