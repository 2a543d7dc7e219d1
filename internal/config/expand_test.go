package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withUser is a file whose one user is a value.
func withUser(value string) []byte {
	return fmt.Appendf(nil, `version: 1
name: shop
state: { dir: /s }
sources:
  orders:
    shards:
      list:
        - name: a
          host: 127.0.0.1
          user: %s
    server_id: 1
tables: { orders: { from: { source: orders, schema: s, table: t }, key: [id] } }
views: { orders: { from: orders } }
`, value)
}

// user loads a file whose one user is a value, and returns what it became.
func user(t *testing.T, value string, env Lookup) (string, Findings) {
	t.Helper()
	c, findings := Parse("t.yaml", withUser(value), env)
	if c == nil {
		return "", findings
	}
	return c.Resolved().Sources[0].Shards[0].User, findings
}

func TestReferences_AreReplacedInValues(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "alpha", "EMPTY": "", "YAML": "x, list: [1", "REF": "${A}"}[name]
		return v, ok
	}
	for _, c := range []struct{ value, want, finding string }{
		{`"${A}"`, "alpha", ""},
		{`${A}`, "alpha", ""},
		{`pre-${A}-${A}-post`, "pre-alpha-alpha-post", ""},
		{`"${NONE:-default}"`, "default", ""},
		{`"${EMPTY:-default}"`, "default", ""},
		{`"${A:-default}"`, "alpha", ""},
		{`"${NONE:-}x"`, "x", ""},
		{`"$$A"`, "$A", ""},
		{`"$${A}"`, "${A}", ""},
		{`"a$b$"`, "a$b$", ""},
		{`"${YAML}"`, "x, list: [1", ""},
		{`"${REF}"`, "${A}", ""},
		{`"${A:?needed}"`, "alpha", ""},
		{`"${NONE}"`, "", "variable NONE is not set"},
		{`"${NONE:?set it to the account}"`, "", "set it to the account"},
		{`"${EMPTY:?set it}"`, "", "set it"},
		{`"${1A}"`, "", "this is no reference"},
		{`"${}"`, "", "this is no reference"},
		{`"${A"`, "", "has no end"},
		{`"${A:-${B}}"`, "", "do not nest"},
	} {
		got, findings := user(t, c.value, env)
		if got != c.want || c.finding == "" && len(findings) > 0 {
			t.Errorf("%s gives %q, want %q; findings:\n%s", c.value, got, c.want, findings)
		}
		if !strings.Contains(findings.String(), c.finding) {
			t.Errorf("%s: findings do not say %q:\n%s", c.value, c.finding, findings)
		}
	}
}

func TestReferences_AreNotReplacedInKeys(t *testing.T) {
	_, findings := Parse("t.yaml", append(withUser("tw"), "\"${KEY}\": 1\n"...), func(string) (string, bool) { return "http", true })
	if findings.Errors() != 1 || findings[0].Code != "unknown-key" {
		t.Errorf("got\n%s", findings)
	}
}

func TestLint_NeedsNoVariableAndNoFile(t *testing.T) {
	for _, value := range []string{`"${NONE}"`, `"${NONE:?needed}"`, `"${file:/no/such/file}"`} {
		if findings := LintBytes("t.yaml", withUser(value)); len(findings) != 0 {
			t.Errorf("%s: got\n%s", value, findings)
		}
	}
}

func TestSecretFile_IsReadWithoutItsLineBreak(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ content, want, finding string }{
		"plain":    {"hunter2", "hunter2", ""},
		"line":     {"hunter2\n", "hunter2", ""},
		"crlf":     {"hunter2\r\n", "hunter2", ""},
		"lines":    {"a\nb\n\n", "a\nb\n", ""},
		"dollars":  {"${A}$$", "${A}$$", ""},
		"empty":    {"\n", "", "is empty"},
		"not-utf8": {"\xff", "", "not UTF-8"},
		"large":    {strings.Repeat("x", maxSecretFile+1), "", "too many for a value"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, findings := user(t, `"${file:`+path+`}"`, nil)
		if got != c.want || !strings.Contains(findings.String(), c.finding) {
			t.Errorf("%s gives %q, want %q; findings:\n%s", name, got, c.want, findings)
		}
	}
	if _, findings := user(t, `"${file:`+dir+`}"`, nil); !strings.Contains(findings.String(), "is a directory") {
		t.Errorf("a directory gives\n%s", findings)
	}
}

func TestSecretFile_IsRelativeToTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "user"), []byte("tw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, findings := Parse(filepath.Join(dir, "t.yaml"), withUser(`"${file:user}"`), nil)
	if c == nil || c.Resolved().Sources[0].Shards[0].User != "tw" {
		t.Errorf("got\n%s", findings)
	}
}

func TestSecretFile_ReadableByEverybodyIsAWarning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := withUser("tw\n          password: ${file:" + path + "}")
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1, 0o604: 1} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, loaded := Parse("t.yaml", file, nil)
		linted := LintBytes("t.yaml", file)
		for _, findings := range []Findings{loaded, linted} {
			if len(findings) != want || findings.Warnings() != want {
				t.Errorf("mode %o: got %d findings, want %d warnings:\n%s", mode, len(findings), want, findings)
				continue
			}
			if want == 1 && (findings[0].Code != "readable-secret" || !strings.HasPrefix(findings[0].Suggestion, "chmod 06")) {
				t.Errorf("mode %o: got\n%s", mode, findings)
			}
		}
	}
}
