package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/testenv"
)

// The campaign's size. E2E_KILLS, E2E_SHARDS, E2E_RATE and E2E_SEED change it:
// 50 kills take about two minutes, a night takes 5,000. On MariaDB it is
// E2E_MARIADB_KILLS and E2E_MARIADB_SHARDS.
const (
	mariadbShards  = 3
	mariadbKills   = 15
	campaignShards = 12
	campaignKills  = 30
	campaignRate   = 300
)

// fromEnv returns the number in an environment variable, or the default.
func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number above 0", name, text)
	}
	return n
}

// campaign kills the program and its servers at random moments.
type campaign struct {
	*rig
	rng   *rand.Rand
	kills int
	store *goredis.Client
	// down is the server of a shard that is dead now, -1 for none.
	down int
	// phases counts kills by what the program was doing.
	phases map[string]int
	// worked counts lives that published events, grew those during which the
	// servers committed some.
	worked, grew    int
	serverKills     int
	redisKills      int
	flushes         int
	longestRecovery time.Duration
	// openBatches and openFiles count kills in the middle of a lake batch and
	// of the writing of a file of the state directory.
	openBatches, openFiles int
	// verified is what verify printed.
	verified string
}

func TestCampaign_NothingIsLostOrDoubledWhateverDies(t *testing.T) {
	runCampaign(t, false, fromEnv(t, "E2E_KILLS", campaignKills), fromEnv(t, "E2E_SHARDS", campaignShards))
}

func TestCampaign_OnMariaDBNothingIsLostOrDoubledWhateverDies(t *testing.T) {
	runCampaign(t, true, fromEnv(t, "E2E_MARIADB_KILLS", mariadbKills), fromEnv(t, "E2E_MARIADB_SHARDS", mariadbShards))
}

func runCampaign(t *testing.T, mariadb bool, kills, shards int) {
	seed := uint64(fromEnv(t, "E2E_SEED", int(time.Now().UnixNano()%1_000_000)+1))
	t.Logf("E2E_SEED=%d repeats the choices of this run: %d kills, %d shards", seed, kills, shards)
	began := time.Now()
	r := newRig(t, rigOptions{
		shards: shards, mariadb: mariadb,
		shop: shop.Options{
			Seed: seed, Rate: fromEnv(t, "E2E_RATE", campaignRate), HistoryTxs: 60,
			Incidents: []shop.Incident{{Kind: shop.Alter, Shard: 0, At: 15 * time.Second}},
		},
	})
	c := &campaign{
		rig: r, rng: rand.New(rand.NewPCG(seed, 1)), kills: kills, down: -1, phases: map[string]int{},
		store: goredis.NewClient(&goredis.Options{Addr: r.redis.Addr}),
	}
	defer c.store.Close()
	t.Logf("%d servers with a history after %v", shards, time.Since(began).Round(time.Second))
	r.goLive()
	for i := range kills {
		c.life(i)
		if t.Failed() {
			break
		}
	}
	c.end()
	sums := r.balanced()
	c.report(began, sums.LakeRows, sums.WindowValues)
}

// life is one process from its start to its death, with what happens to the
// servers in between.
func (c *campaign) life(i int) {
	before := c.ledger.Events()
	l := c.program.start()
	dies := c.delay()
	c.disturb(i)
	select {
	case <-time.After(time.Until(l.started.Add(dies))):
	case <-l.done:
	}
	published := c.published(l)
	l.kill()
	phase, recovery := phaseOf(l, len(c.shards), time.Since(l.started))
	c.phases[phase]++
	c.longestRecovery = max(c.longestRecovery, recovery)
	c.inspect()
	if published {
		c.worked++
	}
	if c.ledger.Events() > before {
		c.grew++
	}
}

// delay is how long a process lives: some die while they open, some in the
// middle of their claims, most at work. Short lives are as likely in every
// order of magnitude from 5 ms to 6 s.
func (c *campaign) delay() time.Duration {
	const shortest, longest = 0.005, 6.0
	if c.rng.IntN(3) == 0 {
		return time.Duration((1.5 + 3*c.rng.Float64()) * float64(time.Second))
	}
	return time.Duration(shortest * math.Pow(longest/shortest, c.rng.Float64()) * float64(time.Second))
}

// published asks, shortly before the end, whether the process has published.
func (c *campaign) published(l *life) bool {
	if l.ended() {
		return false
	}
	if _, err := l.runFile(); err != nil {
		return false
	}
	s, err := l.status()
	if err != nil {
		return false
	}
	for i := range s.Shards {
		if s.Shards[i].Events > 0 {
			return true
		}
	}
	return false
}

// disturb does to the servers what is due in life i. A dead server comes
// back in the next life or the one after, so that lives see it gone, going and
// coming.
func (c *campaign) disturb(i int) {
	c.t.Helper()
	ctx := context.Background()
	switch {
	case i == c.kills/3: // what Redis will be thrown back to
		if err := c.store.Save(ctx).Err(); err != nil {
			c.t.Fatalf("save Redis: %v", err)
		}
	case i == c.kills/2: // it loses everything since
		c.redis.Kill(c.t)
		c.redis.Restart(c.t)
		c.redisKills++
	case i == 2*c.kills/3:
		if err := c.store.FlushAll(ctx).Err(); err != nil {
			c.t.Fatalf("flush Redis: %v", err)
		}
		c.flushes++
	case c.down >= 0 && c.rng.IntN(2) == 0:
		c.shards[c.down].Restart(c.t)
		c.down = -1
	case c.down < 0 && c.rng.IntN(3) == 0:
		c.down = c.rng.IntN(len(c.shards))
		c.shards[c.down].Kill(c.t)
		c.serverKills++
	}
}

// phaseOf says from the log of a dead process what it was doing, and how long
// it took until every shard was read again, 0 if it never was.
func phaseOf(l *life, shards int, lived time.Duration) (phase string, recovery time.Duration) {
	phase = "opening"
	seen := map[string]bool{}
	for _, line := range l.lines() {
		switch {
		case line.Msg == "tailwater runs":
			phase = "connecting"
		case line.Msg == "following" && !seen[line.Shard]:
			phase = "claiming, fencing, folding"
			if seen[line.Shard] = true; len(seen) == shards {
				phase, recovery = "working", line.Time.Sub(l.started)
			}
		}
	}
	if phase == "working" && lived-recovery < 300*time.Millisecond {
		phase = "catching up"
	}
	return phase, recovery
}

// inspect looks for what the dead process was writing.
func (c *campaign) inspect() {
	open := 0
	_ = filepath.WalkDir(filepath.Join(c.lake(), "_tailwater"), func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".json") && !strings.Contains(path, "/schema/") {
			if _, err := os.Stat(strings.TrimSuffix(path, ".json") + ".done"); err != nil {
				open++
			}
		}
		return nil
	})
	if open > 0 {
		c.openBatches++
	}
	temp := 0
	for _, dir := range []string{c.program.state, c.lake()} {
		_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err == nil && (strings.HasSuffix(path, ".tmp") || strings.Contains(filepath.Base(path), ".tmp-")) {
				temp++
			}
			return nil
		})
	}
	if temp > 0 {
		c.openFiles++
	}
}

// end lets the last process take everything and drain.
func (c *campaign) end() {
	c.t.Helper()
	if c.down >= 0 {
		c.shards[c.down].Restart(c.t)
	}
	c.rest()
	l := c.program.start()
	l.caughtUp(2*time.Minute, c.byID())
	// The second oracle reads the servers themselves.
	code, stdout, stderr := tailwater(c.t, 5*time.Minute, "verify", "-o", "json", c.program.config)
	if code != 0 {
		c.t.Errorf("verify: got exit code %d, want 0\n%s\n%s", code, stdout, stderr)
	}
	var compared struct {
		Result struct {
			Rows    int64 `json:"rows_compared"`
			Windows int64 `json:"windows_compared"`
			Lake    int64 `json:"lake_rows_compared"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(stdout), &compared); err != nil {
		c.t.Errorf("read what verify prints: %v\n%s", err, stdout)
	}
	if n := compared.Result; n.Rows == 0 || n.Windows == 0 || n.Lake != c.ledger.Events() {
		c.t.Errorf("verify compared %d rows, %d windows and %d lake rows; want some, some and %d", n.Rows, n.Windows, n.Lake, c.ledger.Events())
	}
	c.verified = stdout
	l.drain()
}

// report prints what the campaign came to, and fails one that proves nothing.
func (c *campaign) report(began time.Time, lakeRows int64, values int) {
	c.t.Helper()
	var asked, found int64
	for _, g := range c.targets {
		asked += g.asked.Load()
		found += g.found.Load()
	}
	var phases []string
	for name, n := range c.phases {
		phases = append(phases, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(phases)
	summary, _ := json.Marshal(map[string]any{
		"kills": c.kills, "phases": c.phases, "lives_that_published": c.worked, "lives_with_commits": c.grew,
		"mysqld_kills": c.serverKills, "redis_kills": c.redisKills, "redis_flushes": c.flushes,
		"outcomes_asked": asked, "outcomes_committed": found, "kills_inside_lake_batch": c.openBatches, "kills_inside_file": c.openFiles,
		"rows": c.ledger.Rows(), "events": c.ledger.Events(), "lake_rows": lakeRows, "window_values": values,
		"longest_recovery_ms": c.longestRecovery.Milliseconds(), "seconds": int(time.Since(began).Seconds()),
	})
	c.t.Logf("%s", summary)
	c.t.Logf("verify: %s", c.verified)
	if c.worked*4 < c.kills || c.grew*2 < c.kills {
		c.t.Errorf("only %d of %d lives published and %d saw commits: the kills hit no work (%s)", c.worked, c.kills, c.grew, strings.Join(phases, ", "))
	}
	if len(c.phases) < 3 && c.kills >= 30 {
		c.t.Errorf("the kills hit only these phases: %s", strings.Join(phases, ", "))
	}
	if c.serverKills == 0 || c.redisKills == 0 || c.flushes == 0 {
		c.t.Errorf("%d servers of shards and %d Redis were killed, and Redis was emptied %d times; want each", c.serverKills, c.redisKills, c.flushes)
	}
}

// servers is used where only some of the servers shall be waited for.
func (r *rig) servers(ids ...string) map[string]*testenv.Server {
	all, out := r.byID(), map[string]*testenv.Server{}
	for _, id := range ids {
		out[id] = all[id]
	}
	return out
}
