package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tailwater/internal/status"
)

// fixedStatus is a source that never changes.
type fixedStatus status.Snapshot

func (f *fixedStatus) Snapshot() status.Snapshot { return status.Snapshot(*f) }

// shopStatus has something of everything that the table shows.
func shopStatus(v status.Verdict) *fixedStatus {
	now := time.Date(2026, 11, 20, 10, 10, 10, 0, time.UTC)
	return &fixedStatus{
		Name: "shop", Version: "1.2.3", PID: 42, Started: now.Add(-90 * time.Minute), Time: now, Verdict: v,
		Shards: []status.Shard{
			{Source: "orders", Shard: "00", State: status.Streaming, LagSeconds: 0.25, Rows: 1200, Events: 1300,
				File: "binlog.000007", Pos: 4711, LastSaved: now.Add(-700 * time.Millisecond)},
			{Source: "orders", Shard: "01", State: status.Stopped, Rows: 7, Error: "TRUNCATE of shop_01.orders_1: its rows are gone",
				Headroom: &status.Headroom{Behind: 1 << 20, Retention: 86400, Left: 1200, Low: true, Method: "by its age"},
				Resets:   []status.Reset{{At: now, Target: "gtid:u:1-7", Passed: "u:7", Transactions: 1}}},
		},
		Views: []status.View{
			{View: "orders", Topic: "tw.shop.orders", Partitions: 12, Events: 1300},
			{View: "crm.notes", Topic: "tw.shop.crm.notes", Partitions: 1, Events: 9, Captured: true},
		},
		Captures: []status.Capture{{Source: "orders", Tables: 1, Stopped: 1, Skipped: 5, Notices: []status.TableNotice{
			{Shard: "00", Schema: "crm", Table: "bad", State: "stopped", Since: "u:17", Reason: "the column name _v", Skipped: 5},
			{Shard: "00", Schema: "old", State: "noted", Since: "u:18", Reason: "DROP DATABASE old"},
		}}},
		Metrics: []status.Metric{
			{Metric: "gmv", View: "orders", Closed: 3, Groups: 12, Late: 1, Negatives: 2, Watermark: now.Add(-time.Minute)},
			{Metric: "refunds", View: "orders", Error: "no answer from Redis"},
		},
		Lake: []status.Lake{{View: "orders", Layout: "default", Rows: 1300, Files: 4, Bytes: 3 << 20, LastCommit: now.Add(-5 * time.Second)}},
		Stream: status.Stream{Type: "embedded", Error: "the disk is full", Held: []status.Held{
			{Topic: "tw.shop.orders", Partition: 3, Stable: 5, End: 9, Shard: "01"}, {Topic: "tw.shop.orders", Partition: 4, Stable: 5, End: 6},
		}},
		Process: status.Process{RSSBytes: 200 << 20, StreamLag: status.Quantiles{P99: 12}, DeliveryLag: status.Quantiles{P99: 340}},
	}
}

func TestStateOf_NamesWhoHasAShardThatIsElsewhere(t *testing.T) {
	for want, s := range map[string]status.Shard{
		"streaming": {State: status.Streaming}, "waiting": {State: status.Waiting},
		"owned elsewhere": {State: status.Elsewhere}, "owned elsewhere by db1:7": {State: status.Elsewhere, Owner: "db1:7"},
	} {
		if got := stateOf(&s); got != want {
			t.Errorf("stateOf(%s of %q) = %q, want %q", s.State, s.Owner, got, want)
		}
	}
}

// statusServer serves a source as a running process does.
func statusServer(t *testing.T, s status.Source) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- status.NewServer(status.ServerOptions{Listener: l, Source: s, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

const shopTable = `✗ shop: failed, version 1.2.3, pid 42, up 1h30m0s
lag: 12 ms to the stream, 340 ms to Redis (p99); memory 200 MiB

SHARD      STATE      LAG   ROWS  EVENTS  POSITION            SAVED      KEPT FOR
orders/00  streaming  0.2s  1200  1300    binlog.000007:4711  700ms ago  -
orders/01  stopped    0.0s  7     0       -                   never      20m0s

CAPTURED TABLE  TOPIC              PARTITIONS  EVENTS
crm.notes       tw.shop.crm.notes  1           9

METRIC   VIEW    WATERMARK  CLOSED  GROUPS  LATE
gmv      orders  10:09:10Z  3       12      1
refunds  orders  unknown    0       0       0

LAKE TABLE  LAYOUT   ROWS  FILES  MIB  LAST COMMIT
orders      default  1300  4      3.0  5s ago

✗ shard 01 is stopped: TRUNCATE of shop_01.orders_1: its rows are gone
✗ captured table crm.bad of shard 00 is stopped since transaction u:17, 5 rows skipped in this process: the column name _v; mend it, then resume it: docs/operations.md
✗ captured schema old of shard 00 goes on, and differs perhaps since transaction u:18: DROP DATABASE old
✗ metric gmv: 2 groups fell below zero rows: rows older than the stream, dated ahead of it, were changed or deleted
✗ metric refunds: no answer from Redis
✗ stream: the disk is full
✗ stream: topic tw.shop.orders, partition 3: records from offset 5 on wait behind an open transaction of shard 01
✗ stream: topic tw.shop.orders, partition 4: records from offset 5 on wait behind an open transaction
✗ shard 01: binlogs that are still to be read may be purged in 20m0s (1.0 MiB of a retention of 24h0m0s, by its age): mend what holds the shard back, or raise binlog_expire_logs_seconds on the server
⚠ shard 01: its position was moved at 2026-11-20T10:10:10Z to gtid:u:1-7, passed over 1 transaction: u:7
`

func TestStatus_PrintsTablesAndEveryErrorBelowThem(t *testing.T) {
	url := statusServer(t, shopStatus(status.Failed))
	for _, addr := range []string{url, url + "/", strings.TrimPrefix(url, "http://")} {
		out, code := runVerb(t, newStatusCommand(), "--url", addr)
		if code != exitOK {
			t.Errorf("--url %s: exit code %d, want 0\n%s", addr, code, out)
		}
		var lines []string
		for line := range strings.Lines(out) {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
		if got := strings.Join(lines, "\n") + "\n"; got != shopTable {
			t.Errorf("--url %s: got\n%s\nwant\n%s", addr, got, shopTable)
		}
	}
}

func TestStatus_FailOnEndsWith4AtThatVerdictOrAWorseOne(t *testing.T) {
	for _, c := range []struct {
		verdict status.Verdict
		failOn  string
		want    int
	}{
		{status.OK, "", exitOK}, {status.Failed, "", exitOK},
		{status.OK, "degraded", exitOK}, {status.Degraded, "degraded", exitFound}, {status.Failed, "degraded", exitFound},
		{status.OK, "failed", exitOK}, {status.Degraded, "failed", exitOK}, {status.Failed, "failed", exitFound},
		{status.OK, "ok", exitUsage}, {status.Failed, "stopped", exitUsage},
	} {
		args := []string{"--url", statusServer(t, shopStatus(c.verdict))}
		if c.failOn != "" {
			args = append(args, "--fail-on", c.failOn)
		}
		if out, code := runVerb(t, newStatusCommand(), args...); code != c.want {
			t.Errorf("verdict %s, --fail-on %q: got exit code %d, want %d\n%s", c.verdict, c.failOn, code, c.want, out)
		}
	}
}

func TestStatus_JSONIsOneEnvelope(t *testing.T) {
	out, code := runVerb(t, newStatusCommand(), "-o", "json", "--url", statusServer(t, shopStatus(status.Degraded)))
	var e struct {
		envelope
		Result status.Snapshot `json:"result"`
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	if e.Command != "status" || e.OK || e.Summary != "shop: degraded" || e.Error != nil {
		t.Errorf("envelope %+v, want status, not ok, with a summary and no error", e.envelope)
	}
	if len(e.Result.Shards) != 2 || e.Result.Shards[0].Rows != 1200 || e.Result.Process.DeliveryLag.P99 != 340 {
		t.Errorf("result %+v, want the snapshot", e.Result)
	}
}

// answers serves one body on every path.
func answers(t *testing.T, code int, body string) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestStatus_SaysWhatIsNotTailwater(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	// It takes connections and says nothing.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for name, c := range map[string]struct{ url, want string }{
		"nothing listens": {"http://" + gone.Addr().String(), "connection refused"},
		"it is mute":      {"http://" + mute.Addr().String(), "deadline exceeded"},
		"a web page":      {answers(t, 200, "<html>hello</html>"), "does not answer as Tailwater does"},
		"empty":           {answers(t, 200, ""), "does not answer as Tailwater does"},
		"other JSON":      {answers(t, 200, `{"status":"green"}`), "has no verdict"},
		"a list":          {answers(t, 200, `[1,2]`), "does not answer as Tailwater does"},
		"deep JSON":       {answers(t, 200, strings.Repeat("[", 1<<20)), "does not answer as Tailwater does"},
		"not found":       {answers(t, 404, "no"), "404 Not Found"},
		"login needed":    {answers(t, 401, "no"), "401 Unauthorized"},
		"no URL":          {"http://%zz", "invalid URL"},
		"another scheme":  {"ftp://127.0.0.1", "unsupported protocol scheme"},
	} {
		text, code := runVerbAsUsersSeeIt(t, newStatusCommand(), "--url", c.url, "--timeout", "300ms")
		if code != exitEnvironment || !strings.Contains(text, c.want) || !strings.Contains(text, "--url") {
			t.Errorf("%s: got exit code %d and %q, want 3, %q and the way out", name, code, text, c.want)
		}
		var e envelope
		out, code := runVerb(t, newStatusCommand(), "--json", "--url", c.url, "--timeout", "300ms")
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if code != exitEnvironment || e.OK || e.Error == nil || e.Error.Code != "unreachable" || !strings.Contains(e.Error.Message, c.want) {
			t.Errorf("%s: got exit code %d and %+v, want 3 and an error that says %q", name, code, e, c.want)
		}
	}
}

func TestStatus_RefusesATimeoutThatIsNone(t *testing.T) {
	for _, d := range []string{"0s", "-1s", "soon"} {
		if out, code := runVerb(t, newStatusCommand(), "--timeout", d); code != exitUsage {
			t.Errorf("--timeout %s: got exit code %d, want 2\n%s", d, code, out)
		}
	}
}
