package e2e

import (
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
)

// The first shard has a replica that takes over; the second shard is there to
// see that nothing of it happens to others.
func TestFailover_PromotedReplicaGoesOnByGTID(t *testing.T) {
	r := small(t)
	replica := testenv.MySQLReplica(t, r.shards[0])
	r.goLive()
	l := r.program.start()
	l.streaming(r.ids()...)
	r.grown(400)
	r.rest() // the last transactions have to reach the replica: it is no semi-synchronous one
	replica.Follow(t, r.shards[0])
	old := l.shard("00", "known", func(s *status.Shard) bool { return s.UUID != "" })
	r.shards[0].Kill(t)
	l.kill() // in the middle of whatever was published last
	replica.Promote(t)

	r.shards[0] = replica
	r.targets[0].move(t, replica)
	r.program.configure(r.config())
	r.goLive()
	l = r.program.start()
	r.grown(400)
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	s := l.shard("00", "on the other server", func(s *status.Shard) bool { return s.UUID != "" && s.UUID != old.UUID })
	if s.State != status.Streaming {
		t.Errorf("shard 00 is %s: %s", s.State, s.Error)
	}
	l.drain()
	r.balanced()
}

// The replica has stopped receiving before it takes over: transactions that
// were published are not there, and never will be.
func TestHazard_A12_FailoverThatLostPublishedTransactionsIsRefused(t *testing.T) {
	r := small(t)
	replica := testenv.MySQLReplica(t, r.shards[0])
	replica.Follow(t, r.shards[0])
	replica.Exec(t, "STOP REPLICA IO_THREAD")
	r.goLive()
	l := r.program.start()
	r.grown(300)
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
	events := r.ledger.Events()

	lost := r.shards[0].Query(t, "SELECT GTID_SUBTRACT(@@GLOBAL.gtid_executed, ?)", replica.Query(t, "SELECT @@GLOBAL.gtid_executed")[0][0])[0][0]
	r.shards[0].Kill(t)
	replica.Promote(t)
	primary := r.shards[0]
	r.shards[0] = replica
	r.program.configure(r.config())
	l = r.program.start()
	l.stopped("00", "never executed", strings.Split(lost, ":")[0], "fail-over")
	l.streaming("01")
	l.undrained("00")
	if got := r.compare(); got.LakeRows != events || got.Mismatches > 0 {
		t.Errorf("after the refusal: got %d lake rows and %d mismatches, want %d and none", got.LakeRows, got.Mismatches, events)
	}

	// The old primary returns: everything goes on from the position that did
	// not move.
	primary.Restart(t)
	r.shards[0] = primary
	r.program.configure(r.config())
	r.goLive()
	l = r.program.start()
	r.grown(200)
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

// A server that crashes and comes back is no other server.
func TestFailover_ServerThatComesBackIsFollowedAgain(t *testing.T) {
	r := newRig(t, rigOptions{shards: 2, shop: shop.Options{Seed: 5, Rate: 400, HistoryTxs: 40}})
	r.goLive()
	l := r.program.start()
	l.streaming(r.ids()...)
	for range 3 {
		r.grown(150)
		r.shards[0].Kill(t)
		l.shard("00", "without its server", func(s *status.Shard) bool { return s.State != status.Streaming })
		l.streaming("01")
		r.shards[0].Restart(t)
		l.streaming("00")
	}
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}
