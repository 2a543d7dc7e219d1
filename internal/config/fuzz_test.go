package config

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse holds the loader to what it promises for any bytes: no panic, a
// Config exactly when there is no error, places that exist, text that can be
// printed, and nothing that only run would know from lint.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml", "../../examples/*.yaml"} {
		files, err := os.ReadDir(strings.TrimSuffix(pattern, "/*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			if b, err := os.ReadFile(strings.TrimSuffix(pattern, "*.yaml") + file.Name()); err == nil && strings.HasSuffix(file.Name(), ".yaml") {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "${file:") {
			return // It may name any file of the machine.
		}
		c, loaded := Parse("t.yaml", data, lookup)
		if (c == nil) != (loaded.Errors() > 0) {
			t.Errorf("got a Config %t and %d errors", c != nil, loaded.Errors())
		}
		if c != nil && c.Resolved() == nil {
			t.Error("a Config without a meaning")
		}
		linted := LintBytes("t.yaml", data)
		lines := len(lineBreak.Split(string(data), -1))
		for _, findings := range []Findings{loaded, linted} {
			for _, one := range findings {
				if one.Message == "" || one.Code == "" || one.Line < 0 || one.Line > lines || (one.Line == 0) != (one.Column == 0) {
					t.Errorf("bad finding %+v in a file of %d lines", one, lines)
				}
				if strings.Contains(one.Message+one.Excerpt, hole) {
					t.Errorf("a hole shows in %+v", one)
				}
			}
			if s := findings.String(); !utf8.ValidString(s) {
				t.Errorf("findings are not UTF-8: %q", s)
			}
		}
	})
}
