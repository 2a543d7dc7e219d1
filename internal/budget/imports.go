package budget

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const module = "tailwater"

// layers are the levels of docs/design.md, the lowest first. A package imports
// its own level and those below. A folder stands for all folders in it.
var layers = [][]string{
	{"change"},
	{"internal/view", "internal/envelope", "internal/expr", "internal/objstore", "internal/failpoint", "internal/clock", "internal/door", "internal/standstill", "internal/jsontext"},
	{"binlog", "stream", "windowing", "sinks"},
	{"internal/pipeline", "internal/config", "internal/status", "internal/console", "internal/notify", "internal/quality",
		"internal/verify", "internal/demo", "internal/events"},
	{"cmd"},
}

// side are the folders that stand beside the levels: they serve tests and
// measurements, may import anything, and only tests and each other import them.
var side = []string{"internal/testenv", "internal/budget", "internal/e2e", "internal/campaign", "internal/mutants", "benchmarks"}

// apart are folders beside the levels that import no package of this module, for
// they hold against the product what it cannot be asked.
var apart = []string{"internal/campaign/check", "internal/campaign/fault"}

// interfaces are the packages that others of their level may import: they hold
// contracts, and no implementation. All else on that level stays to itself.
var interfaces = map[string][]string{
	"stream":       {"windowing", "sinks"},
	"stream/codec": {"windowing", "sinks"},
	"windowing":    {"sinks"},
}

// roles are the packages that hold an interface and never import a package
// below them, for these are its implementations; but for the shared form of
// what passes through it.
var roles = map[string][]string{"stream": {"stream/codec"}, "sinks": nil}

// libraries says in which folders a module may be imported, and whether tests
// elsewhere may as well. No folder means everywhere. verify and demo look at
// the pipeline from outside, with clients that share nothing with it. benchmarks
// measures against pipelines that are made of these libraries alone.
var libraries = []struct {
	module  string
	folders []string
	tests   bool
}{
	{"github.com/go-mysql-org/go-mysql", []string{"binlog", "benchmarks"}, false},
	{"github.com/twmb/franz-go", []string{"stream", "internal/testenv", "internal/campaign/check", "benchmarks"}, false},
	{"github.com/redis/go-redis", []string{"sinks/redis", "internal/verify", "internal/demo", "internal/campaign", "benchmarks"}, true},
	{"github.com/alicebob/miniredis", []string{"sinks/redis"}, true},
	{"github.com/parquet-go/parquet-go", []string{"sinks/parquet", "internal/verify", "internal/demo", "benchmarks"}, false},
	{"github.com/aws", []string{"internal/objstore/s3"}, false},
	{"cel.dev/cel-go", []string{"internal/expr", "internal/verify"}, false},
	{"github.com/go-sql-driver/mysql", []string{"internal/verify", "internal/demo", "internal/testenv", "internal/campaign/check", "benchmarks"}, true},
	{"go.yaml.in/yaml", []string{"internal/config"}, true},
	{"github.com/spf13", []string{"cmd"}, false},
	{"github.com/prometheus/client_golang", nil, true},
	{"github.com/prometheus/client_model", nil, true},
	{"github.com/cespare/xxhash", nil, true},
	{"github.com/klauspost/compress", nil, true},
	{"golang.org/x", nil, true},
}

func checkImports(t *tree) []Finding {
	var out []Finding
	for f := range t.goFiles {
		for _, spec := range f.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			rule, text := "arrow", ""
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				text = checkArrow(f, own)
			} else if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				rule, text = "library", checkLibrary(f, imported)
			}
			if text != "" {
				out = append(out, Finding{rule, f.path, f.line(spec.Pos()), text})
			}
		}
	}
	return out
}

func inFolder(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

func inAny(dir string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return inFolder(dir, f) })
}

// checkArrow says what is wrong when f imports the package own of ours.
func checkArrow(f *file, own string) string {
	dir := f.dir()
	if inAny(dir, apart) {
		return fmt.Sprintf("%s imports %s: it stands apart, and imports no package of this module", dir, own)
	}
	// Tests may use what lies above them: a sink is tested on a real stream.
	if f.isTest() || servesTests(dir) || inAny(dir, side) {
		return ""
	}
	if inAny(own, side) {
		return own + " serves tests; only they import it"
	}
	from, to := layerOf(dir), layerOf(own)
	switch {
	case from < 0 || to < 0:
		return fmt.Sprintf("%s imports %s, and one of them has no level: name it in layers in internal/budget/imports.go", dir, own)
	case to > from:
		return fmt.Sprintf("%s imports %s, which lies above it", dir, own)
	case from == layerOf("stream") && to == from:
		return checkSiblings(dir, own)
	}
	return ""
}

// checkSiblings is checkArrow on the level of the roles.
func checkSiblings(dir, own string) string {
	if allowed, ok := roles[dir]; ok && inFolder(own, dir) && !slices.Contains(allowed, own) {
		return fmt.Sprintf("%s holds an interface and imports the implementation %s", dir, own)
	}
	top, _, _ := strings.Cut(dir, "/")
	if inFolder(own, top) {
		return siblingSink(dir, own)
	}
	if !slices.Contains(interfaces[own], top) {
		return fmt.Sprintf("%s imports %s of its own level, which is no interface that it may know", dir, own)
	}
	return ""
}

// siblingSink keeps implementations of one role from knowing each other.
func siblingSink(dir, own string) string {
	if !inFolder(dir, "sinks") || inFolder(own, dir) || inFolder(dir, own) {
		return ""
	}
	return fmt.Sprintf("%s imports %s: implementations of one role do not know each other", dir, own)
}

func layerOf(dir string) int {
	return slices.IndexFunc(layers, func(folders []string) bool { return inAny(dir, folders) })
}

// checkLibrary says what is wrong when f imports a package of somebody else.
func checkLibrary(f *file, imported string) string {
	for _, l := range libraries {
		if !inFolder(imported, l.module) {
			continue
		}
		if len(l.folders) == 0 || inAny(f.dir(), l.folders) || l.tests && (f.isTest() || servesTests(f.dir())) {
			return ""
		}
		return fmt.Sprintf("%s is imported only below %s", l.module, strings.Join(l.folders, ", "))
	}
	return imported + " has no folder: name it in libraries in internal/budget/imports.go, if it is worth it"
}
