package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/shop"
	"tailwater/internal/demo"
	"tailwater/internal/failpoint"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
	"tailwater/sinks/redis"
)

// failpointsByDefault is how many names are taken unless E2E_FAILPOINTS says
// how many, or all.
const failpointsByDefault = 6

// stage is a pipeline whose program can be disturbed at named steps: primaries,
// a Redis and a lake in or beside this process, which outlive the program, and
// an embedded stream, which dies with it.
type stage struct {
	t        *testing.T
	program  *program
	servers  []*primary.Server
	redis    *miniredis.Miniredis
	ledger   *shop.Ledger
	workload *shop.Workload
	// log gets what the program says of its failpoints.
	log string
	// endLive ends the workload and waits for it.
	endLive func()
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, ledger: shop.NewLedger(demo.Accounts()...), redis: miniredis.RunT(t)}
	var ids []string
	var targets []shop.Target
	for i := range 2 {
		// One of them compresses its transactions, and both rotate.
		p, err := primary.Start(primary.Options{ServerID: uint32(i + 1), User: "tailwater", Password: "x", Compress: i == 1, FileBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		s.servers = append(s.servers, p)
		ids = append(ids, fmt.Sprintf("%02d", i))
		targets = append(targets, shop.OnPrimary(p))
	}
	var err error
	if s.workload, err = shop.New(shop.Options{Seed: 3, Rate: 300, HistoryTxs: 20, Ledger: s.ledger}, ids, targets); err != nil {
		t.Fatal(err)
	}
	if err := s.workload.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.captured()
	dir := workDir(t)
	s.program = newProgram(t, dir, s.config())
	s.program.bin, s.log = testenv.TailwaterFailpoints(t), filepath.Join(dir, "failpoints.log")
	return s
}

// captured makes a table that no view names, and empties it.
func (s *stage) captured() {
	s.t.Helper()
	def := encode.Table{Database: "other", Name: "notes", PrimaryKey: []int{0}, Columns: []encode.Column{{Name: "id", Kind: encode.BigInt}}}
	if err := s.servers[0].CreateTable(def); err != nil {
		s.t.Fatal(err)
	}
	tx := s.servers[0].Begin()
	if err := tx.Insert("other", "notes", encode.Row{int64(1)}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.servers[0].TruncateTable("other", "notes"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) config() string {
	var b strings.Builder
	b.WriteString(`version: 1
name: stage
state: { dir: ./state }
sources:
  s:
    type: mysql
    server_id: 100-199
    capture: { tables: all }
    heartbeat: { every: 200ms, stall_after: 2s }
    connect: { retry: { min: 20ms, max: 200ms } }
    shards:
      list:
`)
	for i, p := range s.servers {
		fmt.Fprintf(&b, "        - { name: %q, dsn: \"tailwater:x@tcp(%s)/\" }\n", fmt.Sprintf("%02d", i), p.Addr())
	}
	fmt.Fprintf(&b, `tables:
  orders: { from: { source: s, schema: "shop_{db}", table: "orders_{part}" }, key: [shard, id] }
  customers: { from: { source: s, schema: "shop_{db}", table: customers }, key: [shard, id] }
views:
  orders: { from: orders }
  customers: { from: customers }
stream: { partitions: 4 }
windows:
  store: { type: redis, url: "redis://%s/0" }
  metrics:
    order_changes: { view: orders, value: count(), group_by: [status] }
    gmv: { view: orders, value: sum(amount), where: status == 'paid', group_by: [city] }
lake: { url: file://./lake, file: { roll_every: 1s } }
http: { listen: 127.0.0.1:0 }
limits: { memory: 256MiB }
`, s.redis.Addr())
	return b.String()
}

// start starts the program with rules.
func (s *stage) start(rules string) *life {
	s.t.Helper()
	s.program.env = []string{"TAILWATER_FAILPOINTS=" + rules, "TAILWATER_FAILPOINT_LOG=" + s.log}
	return s.program.start()
}

// goLive writes until endLive, or until the test ends.
func (s *stage) goLive() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.workload.Live(ctx) }()
	ended := false
	s.endLive = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("workload: %v", err)
		}
	}
	s.t.Cleanup(s.endLive)
}

// works waits until the program has put a batch of what is written into the
// lake, or has died, which it reports.
func (s *stage) works(l *life) (died bool) {
	s.t.Helper()
	var from uint64
	testenv.Wait(s.t, time.Minute, "the program to work or to die; see "+l.log, func() error {
		if died = l.ended(); died {
			return nil
		}
		rows, err := s.rows(l)
		if err != nil {
			return err
		}
		if from == 0 {
			from = rows
		}
		if rows <= from {
			return fmt.Errorf("the lake has %d rows, and had %d", rows, from)
		}
		return nil
	})
	return died
}

// rows asks the program how many rows it has put into the lake; it may die over
// it.
func (s *stage) rows(l *life) (rows uint64, err error) {
	r, err := l.runFile()
	if err != nil {
		return 0, err
	}
	resp, err := l.http.Get("http://" + r.HTTP + "/api/v1/status")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var body status.Snapshot
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return 0, err
	}
	for _, lake := range body.Lake {
		rows += lake.Rows
	}
	return rows, nil
}

// settles waits until windows and lake are what the ledger says, or the program
// has died, which it reports. That its readers have read everything says less:
// a session that meets a captured table reads on and publishes nothing of it.
func (s *stage) settles(l *life) (died bool) {
	s.t.Helper()
	testenv.Wait(s.t, time.Minute, "windows and lake to be those of the ledger; see "+l.log, func() error {
		if died = l.ended(); died {
			return nil
		}
		return s.differs()
	})
	return died
}

// whole runs a life until it has everything and ends it in order; it may die on
// the way, which it reports.
func (s *stage) whole(l *life) (died bool) {
	s.t.Helper()
	if s.works(l) {
		return true
	}
	s.endLive()
	if s.settles(l) {
		return true
	}
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	switch code := l.wait(time.Minute); code {
	case 0:
		return false
	case 128 + int(syscall.SIGKILL):
		return true
	default:
		s.t.Fatalf("it drained with exit code %d, want 0\n%s", code, l.tail())
		return false
	}
}

// differs says how windows and lake differ from the ledger.
func (s *stage) differs() error {
	store, err := redis.Open(redis.Options{URL: "redis://" + s.redis.Addr() + "/0"})
	if err != nil {
		return err
	}
	defer store.Close()
	books := demo.Books{Ledger: s.ledger, Store: store, Lake: filepath.Join(s.program.dir, "lake")}
	c, err := books.Compare(context.Background())
	if err != nil {
		return err
	}
	if c.Mismatches > 0 || c.DuplicatesApplied > 0 || c.WindowValues == 0 || c.LakeRows != s.ledger.Events() {
		return fmt.Errorf("got %d mismatches, %d duplicates, %d lake rows for %d events, %d window values:\n%s",
			c.Mismatches, c.DuplicatesApplied, c.LakeRows, s.ledger.Events(), c.WindowValues, strings.Join(c.Differences, "\n"))
	}
	return nil
}

// balanced holds windows and lake against the ledger.
func (s *stage) balanced(what string) {
	s.t.Helper()
	if err := s.differs(); err != nil {
		s.t.Errorf("%s: %v", what, err)
	}
}

// hits reads how often each name was come by, as the log's last lines of it say.
func (s *stage) hits() map[failpoint.Name]int {
	s.t.Helper()
	out := map[failpoint.Name]int{}
	b, err := os.ReadFile(s.log)
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(b)) {
		var name failpoint.Name
		var n int
		if _, err := fmt.Sscanf(line, "hit %s %d\n", &name, &n); err == nil {
			out[name] = n
		}
	}
	return out
}

// rehearse runs a pipeline that is killed at no name in particular, and one
// after it that ends in order, and returns how often each came by each name.
func rehearse(t *testing.T) (first, second map[failpoint.Name]int) {
	s := newStage(t)
	s.goLive()
	l := s.start("")
	if s.works(l) {
		t.Fatalf("it died without a rule\n%s", l.tail())
	}
	l.signal(syscall.SIGUSR1)
	testenv.Wait(t, time.Minute, "the counts", func() error {
		if first = s.hits(); len(first) < len(failpoint.Names()) {
			return fmt.Errorf("there are %d of %d", len(first), len(failpoint.Names()))
		}
		return nil
	})
	l.kill()
	if l = s.start(""); s.whole(l) {
		t.Fatalf("it died without a rule\n%s", l.tail())
	}
	s.balanced("the rehearsal")
	return first, s.hits()
}

// TestFailpoints_KilledAtEachStepLosesAndDoublesNothing kills the program once
// at each of some names, lets the next one finish, and holds windows and lake
// against the ledger. Names that a new pipeline comes by are hit in a new one,
// and the others in one that goes on after a kill.
func TestFailpoints_KilledAtEachStepLosesAndDoublesNothing(t *testing.T) {
	seed := uint64(fromEnv(t, "E2E_SEED", int(time.Now().UnixNano()%1_000_000)+1))
	rng := rand.New(rand.NewPCG(seed, 9))
	first, second := rehearse(t)
	var names, never []failpoint.Name
	for _, n := range failpoint.Names() {
		if first[n]+second[n] > 0 {
			names = append(names, n)
		} else {
			never = append(never, n)
		}
	}
	reached := len(names)
	if os.Getenv("E2E_FAILPOINTS") != "all" {
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names = names[:min(len(names), fromEnv(t, "E2E_FAILPOINTS", failpointsByDefault))]
	}
	t.Logf("E2E_SEED=%d repeats the choices: %d of the %d names that this pipeline comes by, of %d in all; it does not come by %s",
		seed, len(names), reached, len(failpoint.Names()), never)
	if reached < 60 {
		t.Errorf("the pipeline comes by %d names, want 60 at least", reached)
	}
	kills := map[failpoint.Name]int{}
	var slowest time.Duration
	for _, n := range names {
		began := time.Now()
		// A time that the rehearsal came by with room to spare.
		times := max(first[n], 1)
		if first[n] == 0 {
			times = second[n]
		}
		at := 1 + rng.IntN(min(1+times/3, 20))
		t.Run(string(n), func(t *testing.T) {
			if killAt(t, n, at, first[n] > 0) || killAt(t, n, 1, first[n] > 0) {
				kills[n]++
			} else {
				t.Errorf("it was not come by, and was in the rehearsal")
			}
		})
		slowest = max(slowest, time.Since(began))
	}
	summary, _ := json.Marshal(map[string]any{"kills_per_failpoint": kills, "failpoints_hit": len(kills), "slowest_s": slowest.Seconds()})
	t.Logf("%s", summary)
}

// killAt kills a pipeline at a name, lets the next one finish, and reports
// whether it was killed.
func killAt(t *testing.T, name failpoint.Name, at int, fresh bool) bool {
	s := newStage(t)
	s.goLive()
	if !fresh {
		l := s.start("")
		if s.works(l) {
			t.Fatalf("it died without a rule\n%s", l.tail())
		}
		l.kill()
	}
	if !s.whole(s.start(fmt.Sprintf("%s=kill@%d", name, at))) {
		return false
	}
	b, err := os.ReadFile(s.log)
	if want := fmt.Sprintf("fired %s kill %d ", name, at); err != nil || !slices.ContainsFunc(strings.Split(string(b), "\n"), func(l string) bool { return strings.HasPrefix(l, want) }) {
		t.Errorf("the process is gone, and the log does not say %q: %v", want, err)
	}
	s.endLive()
	l := s.start("")
	if s.settles(l) {
		t.Fatalf("the process after it died\n%s", l.tail())
	}
	l.drain()
	s.balanced(string(name))
	return true
}
