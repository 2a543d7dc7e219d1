package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// runVerbAsUsersSeeIt runs a command as the process would, and returns all that
// it prints.
func runVerbAsUsersSeeIt(t *testing.T, c *cobra.Command, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	c.SetOut(&b)
	c.SetErr(&b)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	code = execute(t.Context(), c)
	return b.String(), code
}

func TestRoot_ExitCodeTellsUsageFromSuccess(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitOK, "Available Commands"},
		{"help run", exitOK, "Exit codes"},
		{"help shard reset", exitOK, "Exit codes"},
		{"__complete shard reset 03 --to o", exitOK, "oldest"},
		{"version", exitOK, "tailwater devel"},
		{"fly", exitUsage, `unknown command "fly"`},
		{"version extra", exitUsage, "tailwater help"},
		{"version --colour", exitUsage, "--colour"},
		{"version -o yaml", exitUsage, "use text or json"},
		{"run a b", exitUsage, "accepts at most 1 arg"},
		{"run --grace soon", exitUsage, "--grace"},
		{"status --fail-on red", exitUsage, "use degraded or failed"},
		{"demo --shards x", exitUsage, "--shards"},
		{"demo extra", exitUsage, "extra"},
	} {
		out, code := runVerbAsUsersSeeIt(t, newRootCommand(), strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("tailwater %s: got exit code %d and %q, want %d and %q", c.args, code, out, c.code, c.want)
		}
	}
}

func TestVersion_JSONIsOneEnvelope(t *testing.T) {
	out, code := runVerb(t, newVersionCommand(), "-o", "json")
	var e struct {
		envelope
		Result buildInfo `json:"result"`
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	if !e.OK || e.Command != "version" || e.Result.Version != version || e.Result.Go == "" || !strings.Contains(e.Result.Platform, "/") {
		t.Errorf("got %+v, want the version, Go's, and the platform", e)
	}
}
