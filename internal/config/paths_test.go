package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLintPaths_WalksDirectories(t *testing.T) {
	good := string(withUser("tw"))
	bad := strings.Replace(good, "name: shop", "nmae: shop", 1)
	root := tree(t, map[string]string{
		"a.yaml":              good,
		"b/c.yml":             "# a comment\n---\n" + bad,
		"compose.yaml":        "services: {}\n",
		".hidden/d.yaml":      bad,
		".e.yaml":             bad,
		"testdata/f.yaml":     bad,
		"node_modules/g.yaml": bad,
		"h.json":              "{}",
		"README.md":           "# Title\n\n```yaml\n" + good + "```\n",
	})
	got := LintPaths([]string{root})
	want := []string{"README.md:4", "a.yaml", "b/c.yml"}
	if len(got.Documents) != len(want) {
		t.Fatalf("looked at %v, want %v", got.Documents, want)
	}
	for i := range want {
		if got.Documents[i] != filepath.Join(root, want[i]) {
			t.Errorf("document %d is %s, want %s", i, got.Documents[i], want[i])
		}
	}
	if got.Findings.Errors() == 0 {
		t.Error("the bad file has no finding")
	}
	for _, f := range got.Findings {
		if f.File != filepath.Join(root, "b/c.yml") {
			t.Errorf("unexpected finding %+v", f)
		}
	}
}

func TestLintPaths_ChecksWhatIsNamedWhateverItIsCalled(t *testing.T) {
	root := tree(t, map[string]string{"pipeline.conf": string(withUser("tw")), "other.yaml": "services: {}\n", ".dot.yaml": "x: 1\n"})
	for name, want := range map[string]bool{"pipeline.conf": true, "other.yaml": false, ".dot.yaml": false, "absent.yaml": false} {
		got := LintPaths([]string{filepath.Join(root, name)})
		if len(got.Documents) != 1 || (got.Findings.Errors() == 0) != want {
			t.Errorf("%s: got %v and\n%s", name, got.Documents, got.Findings)
		}
	}
}

func TestLintPaths_NothingToLintIsAnError(t *testing.T) {
	root := tree(t, map[string]string{"compose.yaml": "services: {}\n", "README.md": "no block\n", "sub/x.txt": ""})
	for _, paths := range [][]string{{root}, {filepath.Join(root, "README.md")}, {filepath.Join(root, "sub")}} {
		if got := LintPaths(paths); len(got.Documents) != 0 || got.Findings.Errors() != 1 || got.Findings[0].Code != "nothing-to-lint" {
			t.Errorf("%v: got %v and\n%s", paths, got.Documents, got.Findings)
		}
	}
}

func TestLintPaths_FindingsOfMarkdownCarryItsLines(t *testing.T) {
	text := strings.Join([]string{
		"# Title",
		"```yaml",
		"key: this is no configuration",
		"```",
		"1. A list:",
		"",
		"   ```yaml title=\"x\"",
		"   # comment first",
		"   version: 1",
		"   nmae: shop",
		"   ```",
		"~~~yml",
		"version: 2",
		"# ```",
		"~~~",
		"```json",
		"version: 1",
		"```",
		"```yaml",
		"version: 3",
	}, "\n")
	got := LintPaths([]string{filepath.Join(tree(t, map[string]string{"doc.md": text}), "doc.md")})
	var lines []string
	for _, d := range got.Documents {
		lines = append(lines, d[strings.LastIndexByte(d, ':')+1:])
	}
	if want := "8 13 20"; strings.Join(lines, " ") != want {
		t.Errorf("blocks begin in lines %v, want %s", lines, want)
	}
	for _, want := range []string{"doc.md:10:4: error: unknown key `nmae`", "doc.md:13:10: error: version cannot be", "doc.md:20:10: error: version cannot be"} {
		if !strings.Contains(got.Findings.String(), want) {
			t.Errorf("want %q in\n%s", want, got.Findings)
		}
	}
}
