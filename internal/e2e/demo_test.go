// Package e2e runs the program as its users do and looks at what comes out. It
// holds tests only; each of them starts bin/tailwater as a process of its own.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailwater/internal/testenv"
)

// demoResult is the part of the demo's result that the tests look at.
type demoResult struct {
	OK     bool `json:"ok"`
	Result struct {
		Source            string `json:"source"`
		Shards            int    `json:"shards"`
		RowsChanged       int    `json:"rows_changed"`
		Events            int    `json:"events"`
		LakeRows          int    `json:"lake_rows"`
		WindowValues      int    `json:"window_values"`
		Mismatches        int    `json:"mismatches"`
		DuplicatesApplied int    `json:"duplicates_applied"`
	} `json:"result"`
}

// command returns a tailwater command that is killed, should it take longer
// than limit.
func command(t *testing.T, limit time.Duration, args ...string) *exec.Cmd {
	t.Helper()
	// deploy/dev is found from the repository's top folder.
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testenv.Tailwater(t), args...)
	cmd.Dir = testenv.Root(t)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output is where a command of the tests writes to.
type output struct{ stdout, stderr bytes.Buffer }

func capture(cmd *exec.Cmd) *output {
	o := new(output)
	cmd.Stdout, cmd.Stderr = &o.stdout, &o.stderr
	return o
}

// checkDemo reads the demo's envelope and holds its sums against each other.
func checkDemo(t *testing.T, o *output, source string, shards int) demoResult {
	t.Helper()
	var got demoResult
	if err := json.Unmarshal(o.stdout.Bytes(), &got); err != nil {
		t.Fatalf("read the result: %v\n%s\n%s", err, o.stdout.String(), o.stderr.String())
	}
	r := got.Result
	if !got.OK || r.Source != source || r.Shards != shards {
		t.Errorf("got ok %t, source %q, %d shards; want true, %q, %d", got.OK, r.Source, r.Shards, source, shards)
	}
	if r.Mismatches != 0 || r.DuplicatesApplied != 0 {
		t.Errorf("got %d mismatches and %d duplicates, want none\n%s", r.Mismatches, r.DuplicatesApplied, o.stdout.String())
	}
	if r.RowsChanged == 0 || r.WindowValues == 0 || r.LakeRows != r.Events || r.Events < r.RowsChanged {
		t.Errorf("got %d row changes, %d events, %d lake rows, %d window values; want every event in the lake and an event for each change",
			r.RowsChanged, r.Events, r.LakeRows, r.WindowValues)
	}
	return got
}

func TestDemo_EverySumMatchesOnBuiltInPrimaries(t *testing.T) {
	cmd := command(t, 3*time.Minute, "demo", "--for", "5s", "--headless", "-o", "json", "--seed", "7")
	o := capture(cmd)
	if err := cmd.Run(); err != nil {
		t.Fatalf("run the demo: %v\n%s\n%s", err, o.stdout.String(), o.stderr.String())
	}
	checkDemo(t, o, "builtin", 12)
}

func TestDemo_EverySumMatchesOnTwelveRealServers(t *testing.T) {
	cmd := command(t, 8*time.Minute, "demo", "--servers", "mysql", "--for", "10s", "--headless", "-o", "json")
	o := capture(cmd)
	if err := cmd.Run(); err != nil {
		t.Fatalf("run the demo: %v\n%s\n%s", err, o.stdout.String(), o.stderr.String())
	}
	checkDemo(t, o, "mysql", 12)
}

func TestDemo_EverySumMatchesOnTwelveMariaDBServers(t *testing.T) {
	cmd := command(t, 8*time.Minute, "demo", "--servers", "mariadb", "--for", "8s", "--headless", "-o", "json")
	o := capture(cmd)
	if err := cmd.Run(); err != nil {
		t.Fatalf("run the demo: %v\n%s\n%s", err, o.stdout.String(), o.stderr.String())
	}
	checkDemo(t, o, "mariadb", 12)
}

func TestDemo_CtrlCDrainsAndPrintsTheSums(t *testing.T) {
	cmd := command(t, 3*time.Minute, "demo", "--for", "2m", "--shards", "3", "-o", "json")
	o := capture(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Its first rows are there after a second; interrupting it in any state must
	// end it well, so nothing finer is waited for.
	select {
	case <-time.After(4 * time.Second):
	case <-t.Context().Done():
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the interrupted demo: %v\n%s\n%s", err, o.stdout.String(), o.stderr.String())
	}
	checkDemo(t, o, "builtin", 3)
}

func TestDemo_KeptLakeIsReadByDuckDB(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	cmd := command(t, 3*time.Minute, "demo", "--for", "4s", "--shards", "3", "--headless", "-o", "json", "--keep", dir)
	o := capture(cmd)
	if err := cmd.Run(); err != nil {
		t.Fatalf("run the demo: %v\n%s\n%s", err, o.stdout.String(), o.stderr.String())
	}
	want := checkDemo(t, o, "builtin", 3).Result.LakeRows
	rows := testenv.DuckDB(t, "SELECT count(*) AS n, count(DISTINCT _shard) AS shards FROM read_parquet('"+dir+
		"/lake/*/dt=*/hr=*/*.parquet', union_by_name = true)")
	if got, _ := strconv.Atoi(string(rows[0]["n"].(json.Number))); got != want {
		t.Errorf("DuckDB counts %d rows in the lake, the demo %d", got, want)
	}
	if got := rows[0]["shards"].(json.Number); got != "3" {
		t.Errorf("DuckDB sees %s shards, want 3", got)
	}
}

func TestProgram_ExitCodeTellsUsageFromSuccess(t *testing.T) {
	for _, c := range []struct {
		args string
		want int
	}{
		{"version", 0},
		{"no-such-verb", 2},
		{"demo --no-such-flag", 2},
		{"lint no-such-file.yaml", 2},
	} {
		cmd := command(t, time.Minute, strings.Fields(c.args)...)
		o := capture(cmd)
		got, err := 0, cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			got = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("tailwater %s: got exit code %d, want %d\n%s", c.args, got, c.want, o.stderr.String())
		}
	}
}
