package config

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/config.md")

// variables are the environment of the golden files.
var variables = map[string]string{
	"EMPTY": "", "HOST": "127.0.0.1", "PORT": "3310", "PASSWORD": "hunter2", "PARTITIONS": "3",
	"DSN": "tw:hunter2@tcp(localhost:3311)/", "SIZE": "16",
}

func lookup(name string) (string, bool) {
	v, ok := variables[name]
	return v, ok
}

// here is the directory of the test, which golden files call ".".
func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// golden compares got with a file, or rewrites it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, here(t), ".")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs, -update rewrites it; got:\n%s", path, got)
	}
}

func cases(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no case matches %s: %v", pattern, err)
	}
	return files
}

func TestBadFiles_EveryMistakeIsNamedWithItsPlace(t *testing.T) {
	for _, file := range cases(t, "testdata/bad/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			linted := Lint(file)
			c, loaded := Load(file, lookup)
			if c != nil || loaded.Errors() == 0 {
				t.Errorf("Load found %d errors and returned %v; want errors and nothing", loaded.Errors(), c)
			}
			out := "# lint\n" + linted.String()
			if loaded.String() != linted.String() {
				out += "\n# run\n" + loaded.String()
			}
			if strings.Contains(out, "hunter2") {
				t.Errorf("a secret is in the findings:\n%s", out)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", out)
		})
	}
}

// hideSalts replaces the salts of views, which are plain bytes, by their length.
func hideSalts(r *Resolved) {
	for i := range r.Views {
		for column, m := range r.Views[i].Masking {
			if m.Salt != nil {
				m.Salt = make([]byte, len(m.Salt))
				r.Views[i].Masking[column] = m
			}
		}
	}
}

func TestGoodFiles_AreResolvedWhole(t *testing.T) {
	for _, file := range cases(t, "testdata/good/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			if linted := Lint(file); linted.Errors() != 0 {
				t.Errorf("Lint found:\n%s", linted)
			}
			c, findings := Load(file, lookup)
			if c == nil {
				t.Fatalf("Load found:\n%s", findings)
			}
			hideSalts(c.Resolved())
			b, err := json.MarshalIndent(c.Resolved(), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "hunter2") {
				t.Errorf("a secret is in:\n%s", b)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", findings.String()+string(b)+"\n")
		})
	}
}
