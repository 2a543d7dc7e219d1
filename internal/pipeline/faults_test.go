package pipeline_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
)

func TestPipeline_CrashedAtRandomMomentsLosesAndDoublesNothing(t *testing.T) {
	r := newShop(t, 3, 600)
	// Small batches, so that transactions and publishes are cut in pieces.
	r.extra = "limits: { memory: 64MiB }\n"
	end := r.background()
	rng := rand.New(rand.NewPCG(11, 1))
	for range 30 {
		r.start()
		pause := time.NewTimer(time.Duration(rng.IntN(120)) * time.Millisecond)
		<-pause.C
		r.crash()
	}
	end()
	r.start()
	r.drainAndCompare()
}

// fault is what one of the shards suffers.
type fault struct {
	name string
	make func(r *shopRig)
	// want is part of the shard's error, state what it must become.
	want  string
	state status.ShardState
	mend  func(r *shopRig)
}

func TestPipeline_OneBadShardLeavesTheOthersAlone(t *testing.T) {
	for _, f := range []fault{
		{"silent", func(r *shopRig) { r.servers[0].Silence(true) }, "nothing heard", status.Stalled,
			func(r *shopRig) { r.servers[0].Silence(false) }},
		{"down", func(r *shopRig) { r.servers[0].Down() }, "", status.Connecting,
			func(r *shopRig) {
				if err := r.servers[0].Up(); err != nil {
					r.t.Error(err)
				}
			}},
		{"cut", func(r *shopRig) { r.servers[0].CutAfter(5000) }, "", "", nil},
		{"flipped bit", func(r *shopRig) { r.servers[0].FlipBit() }, "", "", nil},
		{"error packet", func(r *shopRig) { r.servers[0].SendError(1236, "log event entry exceeded max_allowed_packet") }, "1236", "", nil},
		{"rotate storm", func(r *shopRig) { r.servers[0].RotateStorm(200) }, "", "", nil},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := newShop(t, 4, 800)
			r.start()
			r.caughtUp()
			end := r.background()
			f.make(r)
			if f.state != "" {
				r.await(string(f.state), func(s status.Snapshot) bool {
					return s.Shards[0].State == f.state && strings.Contains(s.Shards[0].Error, f.want)
				})
			}
			before := r.pipe.Snapshot()
			r.await("the other shards going on", func(s status.Snapshot) bool {
				for i := 1; i < len(s.Shards); i++ {
					if s.Shards[i].Events < before.Shards[i].Events+20 {
						return false
					}
				}
				return true
			})
			if f.mend != nil {
				f.mend(r)
			}
			end()
			r.await("healed", func(status.Snapshot) bool {
				retry(r)
				return r.servers[0].Executed() == r.shard(0).GTID
			})
			r.drainAndCompare()
		})
	}
}

// retry ends the pause of every shard that waits a minute.
func retry(r *shopRig) {
	for i := range r.servers {
		if r.shard(i).State == status.Stopped {
			post(r, "shards/"+r.shard(i).Shard+"/retry")
		}
	}
}

func TestPipeline_UnknownEventStopsItsShardAndThePositionStays(t *testing.T) {
	r := newShop(t, 3, 600)
	r.start()
	r.caughtUp()
	r.servers[0].WriteEvent(0x7f, []byte("what is this"))
	r.await("stopped", func(s status.Snapshot) bool { return s.Shards[0].State == status.Stopped })
	stopped := r.shard(0)
	if !strings.Contains(stopped.Error, "127") && !strings.Contains(stopped.Error, "0x7f") {
		t.Errorf("error = %q, want the event's type", stopped.Error)
	}
	r.write(300 * time.Millisecond)
	r.caughtUp(0)
	if got := r.shard(0); got.GTID != stopped.GTID || got.Events != stopped.Events {
		t.Errorf("the stopped shard moved from %s to %s", stopped.GTID, got.GTID)
	}
	if s := r.pipe.Snapshot(); s.Verdict != status.Failed {
		t.Errorf("verdict = %s, want failed: a person is needed", s.Verdict)
	}
	r.stop()
	var left *pipeline.UndrainedError
	if err := <-r.done; !errors.As(err, &left) || !strings.Contains(err.Error(), "shard 00 is stopped") {
		t.Errorf("Run = %v, want it to say that shard 00 is stopped: nothing of it is drained", err)
	}
}

func TestPipeline_RowsThatVanishUntoldStopTheirShardUntilThatIsAccepted(t *testing.T) {
	r := newShop(t, 2, 600)
	r.start()
	r.caughtUp()
	if err := r.servers[1].Statement("shop_01", "ALTER TABLE customers ENGINE=BLACKHOLE"); err != nil {
		t.Fatal(err)
	}
	r.await("stopped", func(s status.Snapshot) bool {
		return s.Shards[1].State == status.Stopped && strings.Contains(s.Shards[1].Error, "BLACKHOLE") && s.Shards[0].State == status.Streaming
	})
	_, rest, ok := strings.Cut(r.shard(1).Error, "accept transaction ")
	id, _, _ := strings.Cut(rest, ";")
	if !ok || !strings.HasPrefix(id, r.servers[1].UUID()) {
		t.Fatalf("error = %q, want it to name the transaction to accept", r.shard(1).Error)
	}
	before := r.shard(1).GTID
	post(r, "shards/01/accept?transaction="+id)
	r.caughtUp()
	if got := r.shard(1); got.GTID == before || got.Accepted != 1 {
		t.Errorf("the shard stands at %s, and has passed over %d statements, want it behind %s and one", got.GTID, got.Accepted, before)
	}
}

func TestPipeline_LakeThatFailsHoldsNothingElseBackAndHeals(t *testing.T) {
	r := newShop(t, 2, 600)
	r.start()
	r.caughtUp()
	lake := filepath.Join(r.dir, "lake")
	r.await("a first file", func(s status.Snapshot) bool { return s.Lake[0].Files > 0 })
	if err := os.Rename(lake, lake+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lake, []byte("a file in its place"), 0o600); err != nil {
		t.Fatal(err)
	}
	end := r.background()
	r.await("the lake's error", func(s status.Snapshot) bool { return s.Lake[0].Error != "" && s.Lake[1].Error != "" })
	if s := r.pipe.Snapshot(); s.Verdict != status.Degraded || status.Ready(s).Ready {
		t.Errorf("verdict %s, ready %+v, want degraded and not ready", s.Verdict, status.Ready(s))
	}
	if err := os.Remove(lake); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(lake+".away", lake); err != nil {
		t.Fatal(err)
	}
	r.await("the lake going on", func(s status.Snapshot) bool { return s.Lake[0].Error == "" && s.Lake[1].Error == "" })
	end()
	r.drainAndCompare()
}

// redisClient is a client of the pipeline's embedded store that may write.
func redisClient(r *shopRig) *goredis.Client {
	r.t.Helper()
	c := goredis.NewClient(&goredis.Options{
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return r.pipe.DialRedis(ctx) },
	})
	r.t.Cleanup(func() { c.Close() })
	return c
}

func TestPipeline_FlushedRedisIsBuiltAgainFromTheStream(t *testing.T) {
	r := newShop(t, 2, 600)
	r.start()
	end := r.background()
	r.caughtUpOnce()
	for range 3 {
		if err := redisClient(r).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r.await("merges again", func(s status.Snapshot) bool { return s.Metrics[0].Error == "" && s.Metrics[0].Flushes > 0 })
	}
	end()
	r.drainAndCompare()
}

func TestPipeline_ForeignKeysInRedisAreNamedAndNotOverwritten(t *testing.T) {
	r := newShop(t, 2, 600)
	r.start()
	r.caughtUp()
	c := redisClient(r)
	key := "tw:{gmv}:windows"
	r.await("windows", func(status.Snapshot) bool { return c.Exists(t.Context(), key).Val() == 1 })
	if err := c.Rename(t.Context(), key, "aside").Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), key, "somebody's text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r.write(100 * time.Millisecond)
	r.await("the metric's error", func(s status.Snapshot) bool {
		for _, m := range s.Metrics {
			if m.Metric == "gmv" && strings.Contains(m.Error, key) {
				return true
			}
		}
		return false
	})
	if got := c.Get(t.Context(), key).Val(); got != "somebody's text" {
		t.Errorf("the foreign key holds %q now", got)
	}
}
