package testenv

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSchemaChange_RunsBothTools(t *testing.T) {
	for tool, want := range map[string]string{"gh-ost": "v1.", "pt-online-schema-change": "pt-online-schema-change 3."} {
		out, err := SchemaChange(t, tool, "--version").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s --version: got %q, %v, want %q", tool, out, err, want)
		}
	}
}

func TestSchemaChange_AToolThatCannotBeHadFailsAndLeavesNothing(t *testing.T) {
	path := onlyTools(t, "bash", "env", "basename", "dirname", "mkdir", "flock", "rm", "mktemp", "sed", "cat", "tail", "sleep")
	for what, goes := range map[string]bool{"missing: go, which builds gh-ost": false, "missing: gh-ost v1.": true} {
		if goes {
			fakeProgram(t, path, "go", "echo 'no route to host'; exit 1")
		} else {
			_ = os.Remove(filepath.Join(path, "go"))
		}
		r := ends(t, func(tb testing.TB) { SchemaChange(tb, "gh-ost") })
		if !r.failed || !strings.Contains(r.text, what) || !strings.Contains(r.text, "way out: ") {
			t.Errorf("got failed %t and %q, want %q and the way out", r.failed, r.text, what)
		}
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "tailwater", "bin", "*"))
	if left = slices.DeleteFunc(left, func(f string) bool { return strings.HasSuffix(f, ".lock") }); err != nil || len(left) != 0 {
		t.Errorf("the cache holds %q, %v, want nothing", left, err)
	}
}
