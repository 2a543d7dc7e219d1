package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestRender_IsReadableWithAndWithoutColor(t *testing.T) {
	findings := LintBytes("t.yaml", []byte(string(withUser("tw"))+"tabels: {}\n"))
	want := "t.yaml:14:1: error: unknown key `tabels` in the file [unknown-key]\n" +
		"  14 | tabels: {}\n" +
		"     | ^\n" +
		"     = did you mean `tables`?\n"
	if got := findings.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var colored bytes.Buffer
	if err := findings.Render(&colored, true); err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(colorRed, "", colorYellow, "", colorBold, "", colorOff, "").Replace(colored.String())
	if plain != want || !strings.Contains(colored.String(), colorRed) {
		t.Errorf("with colors it is\n%q", colored.String())
	}
}

func TestWantColor_NeedsATerminalAndNoObjection(t *testing.T) {
	env := func(pairs ...string) Lookup {
		return func(name string) (string, bool) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1], true
				}
			}
			return "", false
		}
	}
	file, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if WantColor(file, env()) || WantColor(&bytes.Buffer{}, env()) || WantColor(file, env("NO_COLOR", "1")) || WantColor(file, env("TERM", "dumb")) {
		t.Error("colors are wanted where no terminal is")
	}
}

func TestFinding_JSONHasEverythingThatAPersonSees(t *testing.T) {
	findings := LintBytes("t.yaml", []byte(string(withUser("tw"))+"tabels: {}\n"))
	b, err := json.Marshal(findings)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"severity": "error", "code": "unknown-key", "message": "unknown key `tabels` in the file", "path": "tabels", "file": "t.yaml",
		"line": 14.0, "column": 1.0, "suggestion": "did you mean `tables`?", "fix": "tables", "excerpt": "tabels: {}",
	}
	if len(got) != 1 || len(got[0]) != len(want) {
		t.Fatalf("got %s", b)
	}
	for k, v := range want {
		if got[0][k] != v {
			t.Errorf("%s is %v, want %v", k, got[0][k], v)
		}
	}
}

func TestFindings_CountBySeverity(t *testing.T) {
	f := Findings{{Severity: Error}, {Severity: Warning}, {Severity: Warning}}
	if f.Errors() != 1 || f.Warnings() != 2 {
		t.Errorf("got %d errors and %d warnings", f.Errors(), f.Warnings())
	}
}
