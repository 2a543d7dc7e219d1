package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

// The size of the campaign on separate processes. E2E_ROLE_KILLS changes the
// kills of each role: 50 take about ten minutes.
const (
	roleShards = 12
	roleKills  = 5
)

// roles are the processes of one pipeline: two of each, so that shards and
// partitions move between processes.
var roles = []string{"reader", "windows", "lake", "reader", "windows", "lake"}

func TestCampaign_ProcessesByRoleOnKafkaRedisAndS3LoseAndDoubleNothing(t *testing.T) {
	seed := uint64(fromEnv(t, "E2E_SEED", int(time.Now().UnixNano()%1_000_000)+1))
	kills := fromEnv(t, "E2E_ROLE_KILLS", roleKills)
	t.Logf("E2E_SEED=%d repeats the choices of this run: %d kills of each role", seed, kills)
	r := newRig(t, rigOptions{
		shards: fromEnv(t, "E2E_SHARDS", roleShards), grownUp: true,
		shop: shop.Options{Seed: seed, Rate: 200, HistoryTxs: 40, Incidents: []shop.Incident{{Kind: shop.Alter, Shard: 0, At: 10 * time.Second}}},
	})
	rng := rand.New(rand.NewPCG(seed, 2))
	programs, lives := make([]*program, len(roles)), make([]*life, len(roles))
	for i, role := range roles {
		// Two of one role need state directories of their own.
		programs[i] = newProgram(t, workDir(t), r.config())
		lives[i] = programs[i].startRole(role)
	}
	r.goLive()
	began, killed := time.Now(), map[string]int{}
	for n := 0; n < kills*3; n++ {
		i := rng.IntN(len(roles))
		for killed[roles[i]] == kills {
			i = (i + 1) % len(roles)
		}
		r.grown(int64(50 + rng.IntN(600)))
		lives[i].kill()
		killed[roles[i]]++
		if n == kills {
			flush(t, r.redis)
		}
		lives[i] = programs[i].startRole(roles[i])
	}
	for role, n := range killed {
		if n != kills {
			t.Errorf("role %s was killed %d times, want %d", role, n, kills)
		}
	}
	r.rest()
	r.followed(lives)
	t.Logf("%v kills and one FLUSHALL within %v of rows being written", killed, time.Since(began).Round(time.Second))
	for _, l := range lives {
		l.drain()
	}
	// What the sinks had not got to when they were told to stop is taken by one
	// process with every role, which drains to the stream's end.
	whole := newProgram(t, r.dir, r.config())
	l := whole.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	sums := r.balanced()
	l = whole.start()
	l.caughtUp(time.Minute, r.byID())
	code, stdout, stderr := tailwater(t, 5*time.Minute, "verify", whole.config)
	if code != 0 {
		t.Errorf("verify ended with %d\n%s%s", code, stdout, stderr)
	}
	l.drain()
	t.Logf("%d lake rows and %d window values compared with the ledger; verify: %s", sums.LakeRows, sums.WindowValues, strings.TrimSpace(stdout))
	kcatFindsEachOnce(t, r)
}

func flush(t *testing.T, s *testenv.Server) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr})
	defer c.Close()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatalf("flush Redis: %v", err)
	}
}

// kcatFindsEachOnce reads the topics with another client, committed records
// only: no event stands there twice, whatever Tailwater's own consumers would
// have dropped.
func kcatFindsEachOnce(t *testing.T, r *rig) {
	t.Helper()
	_, rest, _ := strings.Cut(r.stream, `brokers: ["`)
	broker, _, _ := strings.Cut(rest, `"`)
	events := map[string]bool{}
	for _, view := range []string{"orders", "customers"} {
		out, err := exec.CommandContext(t.Context(), "kcat", "-b", broker, "-C", "-t", stream.TopicName("e2e", view), "-o", "beginning", "-e", "-q",
			"-X", "isolation.level=read_committed", "-f", "%s\n").Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				err = fmt.Errorf("%w: %s", err, exit.Stderr)
			}
			t.Fatalf("kcat: %v", err)
		}
		for line := range strings.Lines(string(out)) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, `{"_op":"h"`) {
				continue // fences and heartbeats
			}
			shard, lsn := member(line, "_shard"), member(line, "_lsn")
			id := view + " " + shard + " " + lsn
			if shard == "" || lsn == "" || events[id] {
				t.Fatalf("event %s stands twice, or is none: %.200s", id, line)
			}
			events[id] = true
		}
	}
	if got, want := int64(len(events)), r.ledger.Events(); got != want {
		t.Errorf("kcat finds %d events, the ledger has %d", got, want)
	}
}

// member is a text member of a flat event, found by its name.
func member(event, name string) string {
	_, rest, _ := strings.Cut(event, `"`+name+`":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}
