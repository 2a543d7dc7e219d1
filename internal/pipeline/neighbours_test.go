package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/internal/status"
)

// neighbourShards is how many shards share the pipeline with the bad one.
const neighbourShards = 12

// badShard is what befalls shard 00 of twelve.
type badShard struct {
	name  string
	begin func(r *shopRig)
	// state and want are the shard's state and part of its error while the
	// fault lasts; no state means that it heals by itself.
	state status.ShardState
	want  string
	// still says that nothing of the shard may be published meanwhile.
	still bool
	end   func(r *shopRig)
	// forever says that the event stays in the log: the shard stays stopped.
	forever bool
}

var badShards = []badShard{
	{name: "blocks", begin: func(r *shopRig) { r.servers[0].Silence(true) }, end: func(r *shopRig) { r.servers[0].Silence(false) },
		state: status.Stalled, want: "nothing heard", still: true},
	{name: "is away", begin: func(r *shopRig) { r.servers[0].Down() }, end: func(r *shopRig) {
		if err := r.servers[0].Up(); err != nil {
			r.t.Error(err)
		}
	}, state: status.Connecting, want: "shard 00", still: true},
	{name: "is slow", begin: func(r *shopRig) { r.servers[0].Slow(2000) }, end: func(r *shopRig) { r.servers[0].Slow(0) }},
	{name: "floods", begin: func(r *shopRig) {
		for i := range 6 {
			r.commit(0, r.hugeTx(0, int64(i+50)*1_000_000, 1000, 500))
		}
	}},
	{name: "sends a flipped bit", begin: func(r *shopRig) { r.servers[0].FlipBit() }, state: status.Stopped, want: "damaged", still: true},
	{name: "sends an error", begin: func(r *shopRig) { r.servers[0].SendError(1236, "Could not find first log file name") },
		state: status.Stopped, want: "1236", still: true},
	{name: "sends an unknown event", begin: func(r *shopRig) { r.servers[0].WriteEvent(0x7f, []byte("what is this")) },
		state: status.Stopped, want: "127", still: true, forever: true},
	{name: "sends garbage as rows", begin: func(r *shopRig) {
		rng := rand.New(rand.NewPCG(1, 2))
		body := make([]byte, 300)
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		r.servers[0].WriteEvent(30, body)
	}, state: status.Stopped, want: "shard 00", still: true, forever: true},
}

// lags measures how long the shards but the first take from commit to durable,
// over a second of writing: the 95th percentile of looks at each shard's lag.
func (r *shopRig) lags(d time.Duration) (p95 time.Duration) {
	r.t.Helper()
	var seen []float64
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(d)
	for {
		select {
		case <-tick.C:
			s := r.pipe.Snapshot()
			for i := 1; i < len(s.Shards); i++ {
				seen = append(seen, s.Shards[i].LagSeconds)
			}
		case <-end:
			slices.Sort(seen)
			return time.Duration(seen[len(seen)*95/100] * float64(time.Second))
		}
	}
}

// othersKeepTheirLag looks until the neighbours of the bad shard lag at most
// twice as much as without its fault. A machine that is busy with something else
// slows single looks down; a fault that spreads slows all of them.
func (r *shopRig) othersKeepTheirLag(fault string, quiet time.Duration) {
	r.t.Helper()
	limit := max(2*quiet, 250*time.Millisecond)
	var seen []time.Duration
	for range 10 {
		lag := r.lags(500 * time.Millisecond)
		if seen = append(seen, lag); lag <= limit {
			r.t.Logf("shard 00 %s: lag of the others %v, %v without a fault", fault, seen, quiet)
			return
		}
	}
	r.t.Errorf("shard 00 %s: the others lag %v, want at most %v at least once", fault, seen, limit)
}

func TestPipeline_BadShardOfTwelveLeavesTheOthersTheirLag(t *testing.T) {
	r := newShop(t, neighbourShards, 1200)
	r.start()
	r.caughtUp()
	stopWriting := r.background()
	r.await("new events on every shard", func(s status.Snapshot) bool {
		return !slices.ContainsFunc(s.Shards, func(sh status.Shard) bool { return sh.LagSeconds > 1 })
	})
	for _, f := range badShards {
		if f.forever {
			continue
		}
		before, quiet := r.pipe.Snapshot(), r.lags(500*time.Millisecond)
		f.begin(r)
		if f.state != "" {
			r.await(fmt.Sprintf("%s when shard 00 %s", f.state, f.name), func(s status.Snapshot) bool {
				return s.Shards[0].State == f.state && strings.Contains(s.Shards[0].Error, f.want)
			})
		}
		at := r.shard(0)
		r.othersKeepTheirLag(f.name, quiet)
		r.await(fmt.Sprintf("the others going on while shard 00 %s", f.name), func(after status.Snapshot) bool {
			for i := 1; i < neighbourShards; i++ {
				if after.Shards[i].Events <= before.Shards[i].Events || after.Shards[i].State != status.Streaming {
					return false
				}
			}
			return true
		})
		if now := r.shard(0); f.still && now.GTID != at.GTID {
			t.Errorf("shard 00 %s, and moved from %s to %s", f.name, at.GTID, now.GTID)
		}
		if f.end != nil {
			f.end(r)
		}
		r.await(fmt.Sprintf("streaming after shard 00 %s", f.name), func(s status.Snapshot) bool {
			retry(r)
			return s.Shards[0].State == status.Streaming && s.Shards[0].Transactions > at.Transactions+3 && s.Verdict == status.OK
		})
	}
	stopWriting()
	r.drainAndCompare()
}

func TestPipeline_EventNobodyUnderstandsStopsOneOfTwelve(t *testing.T) {
	for _, f := range badShards {
		if !f.forever {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			r := newShop(t, neighbourShards, 1200)
			// By GTID a server passes over what follows a transaction that the
			// reader has, up to the next one: nothing there has rows. By file
			// nothing is passed over, and each attempt finds the same.
			r.edit = func(text string) string {
				return strings.Replace(text, "type: mysql", "type: mysql\n    position: file", 1)
			}
			r.start()
			r.caughtUp()
			f.begin(r)
			r.await("stopped", func(s status.Snapshot) bool {
				return s.Shards[0].State == status.Stopped && strings.Contains(s.Shards[0].Error, f.want)
			})
			at := r.shard(0)
			t.Log(at.Error)
			if !strings.Contains(at.Error, "binlog.000001:") {
				t.Errorf("error %q does not say where in the binlog", at.Error)
			}
			r.write(300 * time.Millisecond)
			r.caughtUp(0)
			retry(r)
			r.await("stopped again", func(s status.Snapshot) bool {
				return s.Shards[0].State == status.Stopped && s.Shards[0].Epoch > at.Epoch
			})
			if now := r.shard(0); now.GTID != at.GTID || now.Events != at.Events || now.Error != at.Error {
				t.Errorf("the stopped shard is at %s with %d events and %q, was at %s with %d and %q",
					now.GTID, now.Events, now.Error, at.GTID, at.Events, at.Error)
			}
			r.metric(`tailwater_source_state{shard="00",source="s",state="stopped"} 1`)
			r.metric(`tailwater_source_state{shard="01",source="s",state="streaming"} 1`)
		})
	}
}
