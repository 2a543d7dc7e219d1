package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"tailwater/internal/status"
)

// runShard runs tailwater shard with an answer to its question.
func runShard(t *testing.T, answer string, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	c := newRootCommand()
	c.SetOut(&b)
	c.SetErr(&b)
	c.SetIn(io.Reader(strings.NewReader(answer)))
	c.SetArgs(append([]string{"shard"}, args...))
	code = execute(t.Context(), c)
	return b.String(), code
}

// wantShard runs it, and compares the code and parts of what it prints.
func wantShard(t *testing.T, answer string, code int, parts []string, args ...string) string {
	t.Helper()
	out, got := runShard(t, answer, args...)
	if got != code {
		t.Errorf("tailwater shard %s: exit code %d, want %d", strings.Join(args, " "), got, code)
	}
	for _, p := range parts {
		if !strings.Contains(out, p) {
			t.Errorf("tailwater shard %s prints\n%s\nwant %q", strings.Join(args, " "), out, p)
		}
	}
	return out
}

func TestShard_ListsAndMovesWithAProcessAndWithout(t *testing.T) {
	s, path, drain := runningPipeline(t)
	// Whoever compares has waited until everything is published.
	if out, code := runVerb(t, newVerifyCommand(), "--only", "rows", "-q", path); code != exitOK {
		t.Fatalf("verify: exit code %d\n%s", code, out)
	}
	wantShard(t, "", exitOK, []string{"shop/a  streaming", s.UUID()}, "list", path)
	wantShard(t, "", exitFailure, []string{"the position was not moved", "is streaming", "drain the process"}, "reset", "a", path, "--to", "now", "--yes")
	drain()
	wantShard(t, "", exitOK, []string{"shop/a  not running", s.Executed(), s.UUID(), "0.0 MiB", "720h0m0s"}, "list", path)
	insert(t, s, 3)
	behind := s.Executed()
	shown := []string{"shard shop/a", "passed over: 1 transaction: " + s.UUID() + ":3", "called complete without them"}
	wantShard(t, "", exitOK, append(shown, "would go on at gtid:"+behind, "nothing was changed"), "reset", "a", path, "--to", "now", "--dry-run")
	wantShard(t, "b\n", exitFailure, append(shown, "type the shard's id (a)", "not confirmed: nothing was changed"), "reset", "a", path, "--to", "now")
	wantShard(t, "a\n", exitOK, append(shown, "✓ shard a goes on at gtid:"+behind), "reset", "a", path, "--to", "now")
	wantShard(t, "", exitOK, []string{"nothing is passed over: the shard stands there already", "stands at gtid:" + behind + " already"}, "reset", "a", path, "--to", "oldest", "--yes")
	wantShard(t, "", exitFailure, []string{"move shard a to gtid:" + s.UUID() + ":1: the rows of " + s.UUID() + ":2-3 are published, and would come twice", "another name"},
		"reset", "a", path, "--to", "gtid:"+s.UUID()+":1", "--yes")
	wantShard(t, "", exitOK, []string{"its position was moved at ", "passed over 1 transaction: " + s.UUID() + ":3"}, "list", path)
	out := wantShard(t, "", exitOK, nil, "reset", "a", path, "--to", "now", "--dry-run", "-o", "json")
	var e struct {
		envelope
		Result status.Reset `json:"result"`
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || !e.OK || e.Result.Shard != "a" || !e.Result.Nothing {
		t.Errorf("%v: got %s", err, out)
	}
	s.Down()
	wantShard(t, "", exitEnvironment, []string{"shard a: connect to"}, "reset", "a", path, "--to", "now", "--yes")
	wantShard(t, "", exitOK, []string{"✗ shard a: connect to"}, "list", path)
}

func TestShard_ArgumentsAreHeldAgainstTheConfiguration(t *testing.T) {
	_, path, drain := runningPipeline(t)
	drain()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"reset", "a", path}, exitUsage, "--to is missing"},
		{[]string{"reset", "b", path, "--to", "now"}, exitUsage, `no such shard "b": the configuration has a`},
		{[]string{"reset", "a", path, "--to", "yesterday"}, exitUsage, "want now, oldest, gtid:<set> or file:<name>:<offset>"},
		{[]string{"reset", "a", path, "--to", "file:binlog.000001:4"}, exitUsage, "keeps its position by gtid"},
		{[]string{"reset", "a", path, "--to", "now", "-o", "json"}, exitUsage, "-o json asks nobody"},
		{[]string{"reset", "--to", "now"}, exitUsage, "between 1 and 2"},
		{[]string{"list", path + ".none"}, exitUsage, "tailwater.yaml.none"},
		{nil, exitOK, "Available Commands"},
	} {
		wantShard(t, "", c.code, []string{c.want}, c.args...)
	}
}

func TestShowShards_AlarmsLowHeadroom(t *testing.T) {
	var b bytes.Buffer
	err := showShards(&b, []status.Shard{
		{Source: "s", Shard: "00", State: status.Stopped, Error: "gone", GTID: "u:1-7", File: "binlog.000003", Pos: 9,
			Headroom: &status.Headroom{Behind: 3 << 20, Retention: 36000, Left: 1800, Low: true, Method: "by its age"},
			Resets:   []status.Reset{{Shard: "00", At: time.Unix(1e9, 0).UTC(), Target: "gtid:u:1-7", Passed: "u:6-7", Transactions: 2, Lost: "v:1", Notes: []string{"who knows"}, Unsure: true}}},
		{Source: "s", Shard: "01", State: status.Streaming, Headroom: &status.Headroom{}},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"u:1-7 at binlog.000003:9", "3.0 MiB", "30m0s", "ever", "✗ shard 00: gone",
		"✗ shard 00: binlogs that are still to be read may be purged in 30m0s (3.0 MiB of a retention of 10h0m0s, by its age)",
		"⚠ shard 00: its position was perhaps moved, the process ended before it could say so at 2001-09-09T01:46:40Z to gtid:u:1-7, passed over 2 transactions: u:6-7, lost v:1; who knows",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%s\nwant %q", b.String(), want)
		}
	}
}
