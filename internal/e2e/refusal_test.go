package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// goesOn lets the workload write to the shards that are left, and wants their
// readers to have it.
func (r *rig) goesOn(l *life, ids ...string) {
	r.t.Helper()
	r.goLive()
	r.grown(200)
	r.rest()
	l.caughtUp(time.Minute, r.servers(ids...))
}

func TestHazard_A8_PurgedBinlogsStopTheirShardAndNameIntervalAndChoices(t *testing.T) {
	r := small(t)
	l := r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
	// Transactions that nobody reads any more.
	had := r.shards[0].Query(t, "SELECT @@GLOBAL.gtid_executed")[0][0]
	r.goLive()
	r.grown(200)
	r.rest()
	s := r.shards[0]
	s.Exec(t, "FLUSH BINARY LOGS")
	s.Exec(t, "PURGE BINARY LOGS TO '"+s.Query(t, "SHOW BINARY LOG STATUS")[0][0]+"'")
	gone := s.Query(t, "SELECT GTID_SUBTRACT(@@GLOBAL.gtid_purged, ?)", had)[0][0]
	if gone == "" {
		t.Fatal("nothing was purged that the reader lacks")
	}
	l = r.program.start()
	l.stopped("00", "has purged "+gone, "tailwater shard reset 00 --to oldest", "--to now", "--to gtid:")
	l.streaming("01")
	r.goesOn(l, "01")
	l.undrained("00")
}

func TestRun_EarliestOnAServerThatHasPurgedIsRefusedWithTheChoices(t *testing.T) {
	r := small(t)
	s := r.shards[0]
	s.Exec(t, "FLUSH BINARY LOGS")
	s.Exec(t, "PURGE BINARY LOGS TO '"+s.Query(t, "SHOW BINARY LOG STATUS")[0][0]+"'")
	purged := strings.ReplaceAll(s.Query(t, "SELECT @@GLOBAL.gtid_purged")[0][0], "\n", "")
	l := r.program.start()
	l.stopped("00", "start: earliest", "has purged", strings.Split(purged, ",")[0], "start: latest", "start: gtid:")
	r.goesOn(l, "01")
	l.undrained("00")
}

func TestHazard_A8_ResetBinlogsAreRefused(t *testing.T) {
	r := small(t)
	l := r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	sums := r.balanced()
	r.shards[0].Exec(t, "RESET BINARY LOGS AND GTIDS")
	l = r.program.start()
	l.stopped("00", "never executed", "reset")
	l.streaming("01")
	l.undrained("00")
	if got := r.compare(); got.LakeRows != sums.LakeRows || got.Mismatches > 0 {
		t.Errorf("after the refusal: got %d lake rows and %d mismatches, want %d and none", got.LakeRows, got.Mismatches, sums.LakeRows)
	}
}

// While it runs the server forgets its past under the reader's feet.
func TestHazard_A8_ResetUnderARunningReaderStopsItsShard(t *testing.T) {
	r := small(t)
	l := r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.published()
	r.shards[0].Exec(t, "RESET BINARY LOGS AND GTIDS")
	r.goLive()
	r.grown(200)
	r.rest()
	l.stopped("00", "00")
	l.streaming("01")
	l.caughtUp(time.Minute, r.servers("01"))
	l.undrained("00")
}

func TestHazard_A59_RowsThatVanishUntoldStopOnlyTheirShard(t *testing.T) {
	r := small(t)
	l := r.program.start()
	l.caughtUp(time.Minute, r.byID())
	before := r.ledger.Events()
	r.shards[0].Exec(t, "ALTER TABLE shop_00.orders_2 ENGINE=BLACKHOLE")
	l.stopped("00", "BLACKHOLE", "shop_00", "orders_2", "binlog.")
	l.streaming("01")
	l.undrained("00")
	if got := r.compare(); got.LakeRows != before || got.Mismatches > 0 {
		t.Errorf("after the stop: got %d lake rows and %d mismatches, want %d and none: %q", got.LakeRows, got.Mismatches, before, got.Differences)
	}
	// It stays stopped, from the position that did not move.
	l = r.program.start()
	l.stopped("00", "BLACKHOLE", "orders_2")
	l.undrained("00")
}

func TestPreflight_MinimalMetadataIsRefusedWithTheStatementThatMendsIt(t *testing.T) {
	r := small(t)
	s := r.shards[0]
	s.Exec(t, "SET GLOBAL binlog_row_metadata = 'MINIMAL'")
	l := r.program.start()
	const mends = "SET PERSIST binlog_row_metadata = 'FULL'"
	l.stopped("00", "binlog_row_metadata is MINIMAL", mends)
	l.streaming("01")
	// The statement that it prints does mend it, and it goes on by itself, at
	// the latest after a minute; the API makes it at once.
	s.Exec(t, mends)
	l.retry("00")
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

func TestPreflight_AccountWithoutPrivilegesIsToldWhichToGrant(t *testing.T) {
	r := small(t)
	s := r.shards[0]
	for _, server := range r.shards {
		server.Exec(t, "SET sql_log_bin = 0", "CREATE USER few@'%' IDENTIFIED BY 'few'")
	}
	r.shards[1].Exec(t, "SET sql_log_bin = 0", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO few@'%'")
	r.user, r.password = "few", "few"
	r.source = "connect: { tls: skip, retry: { min: 100ms, max: 1s } }"
	r.program.configure(r.config())
	l := r.program.start()
	l.stopped("00", "GRANT REPLICATION SLAVE ON *.* TO 'few'@'%'", "GRANT REPLICATION CLIENT ON *.* TO 'few'@'%'")
	l.streaming("01")
	s.Exec(t, "SET sql_log_bin = 0", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO few@'%'")
	l.retry("00")
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

func TestConnect_WrongPasswordStopsTheShardAndIsNotPrinted(t *testing.T) {
	r := small(t)
	good := r.config()
	const wrong = "not-the-password"
	text := strings.Replace(good, `password: "repl" }`, fmt.Sprintf("password: %q }", wrong), 1)
	r.program.configure(text)
	l := r.program.start()
	l.stopped("00", "Access denied")
	r.goesOn(l, "01")
	l.undrained("00")
	if strings.Contains(l.text(), wrong) {
		t.Errorf("the log holds the password; see %s", l.log)
	}
	r.program.configure(good)
	l = r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}

func TestConnect_TLSVerifiesTheServersCertificate(t *testing.T) {
	r := small(t)
	// Who comes in by this account is encrypted.
	for _, s := range r.shards {
		s.Exec(t, "SET sql_log_bin = 0", "CREATE USER tls@'%' IDENTIFIED BY 'tls' REQUIRE SSL",
			"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO tls@'%'")
	}
	r.user, r.password = "tls", "tls"
	for i, c := range []struct {
		name, tls string
		// stops is what the shard's error says; empty when it streams.
		stops string
	}{
		{"certificate of the authority", fmt.Sprintf("tls: verify-ca, ca: %q", r.shards[0].CA), ""},
		{"unknown authority", "tls: verify-ca", "unknown authority"},
		{"other name", fmt.Sprintf("tls: verify, ca: %q, server_name: orders.example", r.shards[0].CA), "certificate"},
		{"not checked", "tls: skip", ""},
		{"plain text", "tls: disable", "Access denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.source = "connect: { " + c.tls + ", retry: { min: 100ms, max: 1s } }"
			text := strings.Replace(r.config(), "type: redis,", fmt.Sprintf("type: redis, prefix: \"tls-%d:\",", i), 1)
			l := newProgram(t, workDir(t), text).start()
			if c.stops != "" {
				l.stopped("00", c.stops)
				return
			}
			l.caughtUp(time.Minute, r.servers("00"))
		})
	}
}
