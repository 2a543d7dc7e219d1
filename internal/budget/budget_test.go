package budget

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRepository_KeepsItsBudget(t *testing.T) {
	findings, err := Check(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
}

// check writes files into a repository of its own and returns what is wrong
// with it, one line per finding. Most of these small repositories have no tests
// and are not formatted; the rules on that have tests of their own.
func check(t *testing.T, files map[string]string) string {
	t.Helper()
	return checkBut(t, files, "test code", "gofmt")
}

// checkBut is check without what the rules but say.
func checkBut(t *testing.T, files map[string]string, but ...string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") && !strings.HasPrefix(filepath.Base(name), "plain") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	findings, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range findings {
		if !slices.Contains(but, f.Rule) {
			out = append(out, f.String())
		}
	}
	return strings.Join(out, "\n")
}

// goSource returns a file of the package that the folder's name names.
func goSource(pkg string, body ...string) string {
	return "// Package " + pkg + " is documented.\npackage " + pkg + "\n\n" + strings.Join(body, "\n") + "\n"
}

func lines(n int) string { return strings.Repeat("\t_ = 0\n", n) }

// breach is a repository and the whole text of what is wrong with it; an empty
// text means that nothing is.
type breach struct {
	name  string
	files map[string]string
	want  string
}

func runBreaches(t *testing.T, cases []breach) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := check(t, c.files); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestCheck_Sizes(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf("func f%d() {}\n", i)
	}
	runBreaches(t, []breach{
		{"file of 500 lines", map[string]string{"change/a.go": goSource("change", strings.Repeat("// x\n", 496))}, ""},
		{"file of 501 lines", map[string]string{"change/a.go": goSource("change", strings.Repeat("// x\n", 497))},
			"change/a.go: 501 lines, at most 500: split it by noun (file length)"},
		{"test file of 801 lines", map[string]string{"change/a_test.go": goSource("change", strings.Repeat("// x\n", 797))},
			"change/a_test.go: 801 lines, at most 800: split it by noun (file length)"},
		{"function of 80 lines among a hundred", map[string]string{"change/a.go": goSource("change", append(many, "func f() {\n"+lines(78)+"}")...)}, ""},
		{"function of 81 lines", map[string]string{"change/a.go": goSource("change", "func f() {\n"+lines(79)+"}")},
			"change/a.go:4: f has 81 lines, at most 80: divide it by what it does (function length)"},
		{"too many functions above 60 lines", map[string]string{"change/a.go": goSource("change", "func f() {\n"+lines(59)+"}")},
			"change/a.go:4: f has 61 lines, and too many functions have more than 60 (at most 1%) (function length)"},
		{"five parameters after ctx", map[string]string{"change/a.go": goSource("change",
			`import "context"`, "", "func f(ctx context.Context, a, b int, c string, d, e []byte) {}")}, ""},
		{"six parameters after ctx", map[string]string{"change/a.go": goSource("change",
			`import "context"`, "", "func f(ctx context.Context, a, b int, c string, d, e, g []byte) {}")},
			"change/a.go:6: f has 6 parameters after ctx, at most 5: make them a struct (parameters)"},
	})
	if got, want := check(t, map[string]string{"change/a.go": goSource("change", "func {")}), "(syntax)"; !strings.Contains(got, want) {
		t.Errorf("a file that cannot be parsed: got %q, want it to contain %q", got, want)
	}
}

func TestCheck_TestCodeHasItsShare(t *testing.T) {
	// Blank lines and comments count on neither side.
	source := "// Package a is documented.\npackage a\n\n// v and w are used by tests.\nvar v, w int\n"
	equal := "package a\n\n/* one\ntwo */\nvar _ = v /* three\nfour */\n"
	for _, c := range []struct{ name, source, tests, want string }{
		{"as long", source, equal, ""},
		{"shorter", source, "package a\n// comment\n// comment\n", ".: 1 lines of test code for 2 lines of source code, want at least 65 % (test code)"},
		{"a package for tests", source, equal + "var _ = w\n", ""},
	} {
		got := checkBut(t, map[string]string{"change/a.go": c.source, "change/a_test.go": c.tests}, "gofmt")
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	helper := map[string]string{"stream/streamtest/a.go": source}
	if got := checkBut(t, helper); got != "" {
		t.Errorf("a package that serves tests: got %q, want it to count as tests", got)
	}
}

func TestCheck_Comments(t *testing.T) {
	runBreaches(t, []breach{
		{"package without comment", map[string]string{"change/a.go": "package change\n"},
			"change: package change has no comment right before its clause (comment)"},
		{"blank line before the clause", map[string]string{"change/a.go": "// Package change is documented.\n\npackage change\n"},
			"change: package change has no comment right before its clause (comment)"},
		{"comment in another file of the package", map[string]string{"change/a.go": "package change\n", "change/doc.go": "// Package change is documented.\npackage change\n"}, ""},
		{"exported names", map[string]string{"change/a.go": goSource("change",
			"func F() {}\n", "type T struct{ X int }\n", "func (T) M() {}\n", "func (*T) m() {}\n", "var V, v int\n", "const C = 1\n", "type G[A any] struct{}\n", "func (*G[A]) N() {}")},
			"change/a.go:4: exported F has no comment: state its contract (comment)\n" +
				"change/a.go:6: exported T has no comment: state its contract (comment)\n" +
				"change/a.go:8: exported M has no comment: state its contract (comment)\n" +
				"change/a.go:12: exported V has no comment: state its contract (comment)\n" +
				"change/a.go:14: exported C has no comment: state its contract (comment)\n" +
				"change/a.go:16: exported G has no comment: state its contract (comment)\n" +
				"change/a.go:18: exported N has no comment: state its contract (comment)"},
		{"documented, grouped or not exported", map[string]string{"change/a.go": goSource("change",
			"// F does.\nfunc F() {}\n", "// The values.\nconst (\n\tA = 1\n\tB = 2\n)\n", "const (\n\tD = 1 // is one\n)\n",
			"type t struct{}\n", "func (t) M() {}")}, ""},
		{"tests need no comments", map[string]string{"change/a_test.go": "package change\n\nfunc Exported() {}\n"}, ""},
	})
}

func TestCheck_Arrows(t *testing.T) {
	imports := func(pkg string, paths ...string) string {
		body := "import (\n"
		for _, p := range paths {
			body += "\t_ \"" + p + "\"\n"
		}
		return goSource(pkg, body+")")
	}
	runBreaches(t, []breach{
		{"downwards", map[string]string{
			"cmd/tailwater/main.go":   imports("main", "tailwater/internal/config", "tailwater/change"),
			"internal/pipeline/a.go":  imports("pipeline", "tailwater/internal/config", "tailwater/stream/embedded"),
			"internal/view/a.go":      imports("view", "tailwater/internal/expr"),
			"sinks/redis/a.go":        imports("redis", "tailwater/stream", "tailwater/stream/codec", "tailwater/windowing"),
			"stream/a.go":             imports("stream", "tailwater/stream/codec"),
			"stream/embedded/a.go":    imports("embedded", "tailwater/stream", "tailwater/stream/internal/wire"),
			"binlog/primary/a.go":     imports("primary", "tailwater/binlog"),
			"windowing/a.go":          imports("windowing", "tailwater/stream"),
			"internal/verify/a.go":    imports("verify", "tailwater/sinks/redis"),
			"stream/streamtest/a.go":  imports("streamtest", "tailwater/internal/testenv"),
			"sinks/redis/embedded.go": imports("redis", "tailwater/sinks/redis/embedded"),
		}, ""},
		{"upwards", map[string]string{"change/a.go": imports("change", "tailwater/internal/view")},
			"change/a.go:5: change imports internal/view, which lies above it (arrow)"},
		{"sideways between roles", map[string]string{"binlog/a.go": imports("binlog", "tailwater/stream")},
			"binlog/a.go:5: binlog imports stream of its own level, which is no interface that it may know (arrow)"},
		{"a sink that knows an implementation of the stream", map[string]string{"sinks/redis/a.go": imports("redis", "tailwater/stream/embedded")},
			"sinks/redis/a.go:5: sinks/redis imports stream/embedded of its own level, which is no interface that it may know (arrow)"},
		{"a sink that knows another", map[string]string{"sinks/redis/a.go": imports("redis", "tailwater/sinks/parquet")},
			"sinks/redis/a.go:5: sinks/redis imports sinks/parquet: implementations of one role do not know each other (arrow)"},
		{"a role that knows its implementation", map[string]string{"stream/a.go": imports("stream", "tailwater/stream/embedded")},
			"stream/a.go:5: stream holds an interface and imports the implementation stream/embedded (arrow)"},
		{"the program imports what serves tests", map[string]string{"internal/demo/a.go": imports("demo", "tailwater/internal/testenv")},
			"internal/demo/a.go:5: internal/testenv serves tests; only they import it (arrow)"},
		{"a folder without a level", map[string]string{"internal/util/a.go": imports("util", "tailwater/change")},
			"internal/util/a.go:5: internal/util imports change, and one of them has no level: name it in layers in internal/budget/imports.go (arrow)"},
		{"what stands apart", map[string]string{"internal/campaign/check/a_test.go": imports("check", "tailwater/change")},
			"internal/campaign/check/a_test.go:5: internal/campaign/check imports change: it stands apart, and imports no package of this module (arrow)"},
		{"tests may look up", map[string]string{"sinks/redis/a_test.go": imports("redis", "tailwater/stream/embedded", "tailwater/internal/testenv")}, ""},
	})
}

func TestCheck_Libraries(t *testing.T) {
	imports := func(pkg, path string) string { return goSource(pkg, `import _ "`+path+`"`) }
	runBreaches(t, []breach{
		{"at home", map[string]string{
			"binlog/a.go":         imports("binlog", "github.com/go-mysql-org/go-mysql/replication"),
			"binlog/primary/a.go": imports("primary", "github.com/go-mysql-org/go-mysql/server"),
			"sinks/redis/a.go":    imports("redis", "github.com/redis/go-redis/v9"),
			"change/a_test.go":    imports("change", "github.com/redis/go-redis/v9"),
			"change/a.go":         imports("change", "golang.org/x/sys/unix"),
		}, ""},
		{"elsewhere", map[string]string{"windowing/a.go": imports("windowing", "github.com/go-mysql-org/go-mysql/mysql")},
			"windowing/a.go:4: github.com/go-mysql-org/go-mysql is imported only below binlog, benchmarks (library)"},
		{"elsewhere in a test", map[string]string{"windowing/a_test.go": imports("windowing", "github.com/twmb/franz-go/pkg/kgo")},
			"windowing/a_test.go:4: github.com/twmb/franz-go is imported only below stream, internal/testenv, internal/campaign/check, benchmarks (library)"},
		{"unknown", map[string]string{"windowing/a.go": imports("windowing", "example.org/leftpad")},
			"windowing/a.go:4: example.org/leftpad has no folder: name it in libraries in internal/budget/imports.go, if it is worth it (library)"},
		{"a name that only begins alike", map[string]string{"binlog/a.go": imports("binlog", "github.com/go-mysql-org/go-mysql-fork/x")},
			"binlog/a.go:4: github.com/go-mysql-org/go-mysql-fork/x has no folder: name it in libraries in internal/budget/imports.go, if it is worth it (library)"},
	})
}
