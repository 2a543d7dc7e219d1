package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"tailwater/internal/config"
)

// rightConfig is a configuration without any finding.
const rightConfig = `version: 1
name: shop
state: { dir: /s }
sources: { orders: { shards: { list: [{ name: a, host: 127.0.0.1, user: tw }] }, server_id: 1 } }
tables: { orders: { from: { source: orders, schema: s, table: t }, key: [id] } }
views: { orders: { from: orders } }
`

// warnedConfig has a warning and no error.
const warnedConfig = rightConfig + "stream: { listen: \"0.0.0.0:9092\" }\n"

// runVerb runs a command and returns what it printed and its exit code.
func runVerb(t *testing.T, c *cobra.Command, args ...string) (out string, code int) {
	t.Helper()
	var stdout bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stdout)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	var e *exitError
	switch {
	case errors.As(err, &e):
		code = e.code
	case err != nil:
		code = exitUsage
	}
	return stdout.String(), code
}

// writeConfig stores a configuration in a new directory.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tailwater.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLint_ExitCodeSaysWhatWasFound(t *testing.T) {
	right, warned, wrong := writeConfig(t, rightConfig), writeConfig(t, warnedConfig), writeConfig(t, "version: 1\n")
	for _, c := range []struct {
		args    []string
		code    int
		summary string
	}{
		{[]string{right}, exitOK, "1 configuration, 0 errors, 0 warnings"},
		{[]string{"--strict", right}, exitOK, "1 configuration, 0 errors, 0 warnings"},
		{[]string{warned}, exitOK, "1 configuration, 0 errors, 1 warning"},
		{[]string{"--strict", warned}, exitUsage, "1 configuration, 0 errors, 1 warning"},
		{[]string{right, warned, wrong}, exitUsage, "3 configurations, 5 errors, 1 warning"},
		{[]string{filepath.Dir(right)}, exitOK, "1 configuration, 0 errors, 0 warnings"},
		{[]string{t.TempDir()}, exitUsage, "0 configurations, 1 error, 0 warnings"},
		{[]string{"/no/such/file.yaml"}, exitUsage, "1 configuration, 1 error, 0 warnings"},
		{[]string{"--no-such-flag"}, exitUsage, ""},
		{[]string{"-o", "yaml", right}, exitUsage, ""},
	} {
		out, code := runVerb(t, newLintCommand(), c.args...)
		if code != c.code || !strings.HasSuffix(strings.TrimSpace(out), c.summary) {
			t.Errorf("lint %v: exit code %d, want %d; it printed\n%s", c.args, code, c.code, out)
		}
	}
}

func TestLint_TakesTailwaterYAMLByDefault(t *testing.T) {
	t.Chdir(filepath.Dir(writeConfig(t, rightConfig)))
	if out, code := runVerb(t, newLintCommand()); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	t.Chdir(t.TempDir())
	if out, code := runVerb(t, newLintCommand()); code != exitUsage || !strings.HasPrefix(out, "tailwater.yaml: error: read file: no such file or directory") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestLint_JSONIsOneEnvelope(t *testing.T) {
	path := writeConfig(t, strings.Replace(warnedConfig, "name: shop", "nmae: shop", 1))
	for _, flag := range []string{"-ojson", "--json"} {
		out, code := runVerb(t, newLintCommand(), flag, path)
		var e struct {
			Command, Summary string
			OK               bool
			Result           struct {
				Documents        []string
				Errors, Warnings int
				Findings         []config.Finding
			}
			Error *fault
		}
		d := json.NewDecoder(strings.NewReader(out))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil || d.More() {
			t.Fatalf("%s: %v in\n%s", flag, err, out)
		}
		if code != exitUsage || e.Command != "lint" || e.OK || e.Result.Errors != 1 || e.Result.Warnings != 1 || len(e.Result.Findings) != 2 || len(e.Result.Documents) != 1 {
			t.Errorf("%s: exit code %d and\n%s", flag, code, out)
		}
		if e.Error == nil || e.Error.Code != "unknown-key" || e.Error.Line != 2 || e.Error.Column != 1 || e.Error.Fix != "name" || !strings.HasPrefix(e.Error.Message, path+":2:1: ") {
			t.Errorf("%s: the error is %+v", flag, e.Error)
		}
	}
	out, code := runVerb(t, newLintCommand(), "--json", writeConfig(t, rightConfig))
	if code != exitOK || !strings.Contains(out, `"findings": []`) || !strings.Contains(out, `"error": null`) {
		t.Errorf("exit code %d and\n%s", code, out)
	}
	out, code = runVerb(t, newLintCommand(), "--json", "--strict", writeConfig(t, warnedConfig))
	if code != exitUsage || !strings.Contains(out, `"code": "open-listener"`) || strings.Contains(out, `"error": null`) {
		t.Errorf("exit code %d and\n%s", code, out)
	}
}

func TestConfigSchema_PrintsTheSchema(t *testing.T) {
	out, code := runVerb(t, newConfigCommand(), "schema")
	if code != exitOK || out != string(config.Schema()) || !json.Valid([]byte(out)) {
		t.Errorf("exit code %d and\n%.300s", code, out)
	}
	if out, code := runVerb(t, newConfigCommand(), "schema", "extra"); code != exitUsage || strings.Contains(out, "{") {
		t.Errorf("an argument gives exit code %d and\n%.300s", code, out)
	}
	if out, code := runVerb(t, newConfigCommand()); code != exitOK || !strings.Contains(out, "schema") {
		t.Errorf("config alone gives exit code %d and\n%s", code, out)
	}
}
