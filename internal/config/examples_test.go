package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository's.
const root = "../.."

func TestExamples_AreWithoutAnyFinding(t *testing.T) {
	for _, file := range cases(t, filepath.Join(root, "examples", "*.yaml")) {
		if findings := Lint(file); len(findings) != 0 {
			t.Errorf("%s:\n%s", file, findings)
		}
	}
}

func TestExamples_RunWithTheirVariables(t *testing.T) {
	env := func(name string) (string, bool) { return "a password of sixteen bytes", true }
	c, findings := Load(filepath.Join(root, "examples", "minimal.yaml"), env)
	if c == nil {
		t.Fatalf("minimal.yaml:\n%s", findings)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of sixteen bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "examples", "shop.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("/run/secrets/mysql", secret, "/run/secrets/masking_salt", secret).Replace(string(b))
	c, findings = Parse("shop.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if c == nil {
		t.Fatalf("shop.yaml:\n%s", findings)
	}
	r := c.Resolved()
	if n := len(r.Sources[0].Shards); n != 12 || r.Sources[0].Shards[11].Addr != "orders-11.db:3306" || r.Sources[0].Shards[11].ServerID != 5411 {
		t.Errorf("%d shards, the last %+v; want 12, orders-11.db:3306 with server id 5411", n, r.Sources[0].Shards[n-1])
	}
	if got := strings.Join(r.Views[0].Key, ","); got != "shard,id" {
		t.Errorf("the key of orders is %s", got)
	}
}

func TestMarkdown_ConfigurationsOfTheRepositoryAreRight(t *testing.T) {
	var paths []string
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "docs"} {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			paths = append(paths, filepath.Join(root, name))
		}
	}
	if len(paths) == 0 {
		t.Fatal("the repository has no documentation")
	}
	for _, path := range paths {
		got := LintPaths([]string{path})
		for _, f := range got.Findings {
			if f.Severity == Error && f.Code != "nothing-to-lint" {
				t.Errorf("%s", Findings{f})
			}
		}
	}
}

func TestDocs_AreThoseOfTheStructs(t *testing.T) {
	path := filepath.Join(root, "docs", "config.md")
	want := string(Docs())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go generate ./internal/config", path)
	}
}

func TestDocs_SayEveryKeyDefaultAndRange(t *testing.T) {
	docs := string(Docs())
	everyField(typeOfConfig, "", func(path string, _ *section, f *field) {
		for _, want := range []string{"| `" + f.key + "` |", cell.Replace(f.doc), f.min, f.max, f.def} {
			if !strings.Contains(docs, want) {
				t.Errorf("%s: docs do not say %q", path, want)
			}
		}
	})
}
