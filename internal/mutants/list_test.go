package mutants

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T) List {
	t.Helper()
	list, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The list must not rot: what it says of the files holds, and every mutant
// would build.
func TestList_EveryMutantCanBePlanted(t *testing.T) {
	list := read(t)
	if len(list.Mutants) < 100 {
		t.Errorf("%d mutants, want more than 100", len(list.Mutants))
	}
	// Mutants of different files of a package are checked together.
	var rounds []map[string]planted
	for _, m := range list.Mutants {
		text, err := os.ReadFile(filepath.Join(root, m.File))
		if err != nil {
			t.Errorf("%s: mutant %s: %v", m.At, m.Name, err)
			continue
		}
		mutated, err := m.Apply(string(text))
		if err != nil {
			t.Error(err)
		}
		if err != nil || !strings.HasSuffix(m.File, ".go") {
			continue
		}
		i := 0
		for i < len(rounds) && rounds[i][m.File].text != "" {
			i++
		}
		if i == len(rounds) {
			rounds = append(rounds, map[string]planted{})
		}
		rounds[i][m.File] = planted{m, mutated}
	}
	c := newChecker(t, list)
	for _, files := range rounds {
		c.check(t, files)
	}
}

// planted is a file with a mutant in it.
type planted struct {
	m    Mutant
	text string
}

// checker type-checks packages with some files replaced, against what the go
// command has compiled of the others.
type checker struct {
	fset     *token.FileSet
	importer types.Importer
	paths    map[string]string
	files    map[string]map[string]*ast.File
}

func newChecker(t *testing.T, list List) *checker {
	t.Helper()
	args := []string{"list", "-deps", "-export", "-f", `{{.ImportPath}}{{"\t"}}{{.Export}}{{"\t"}}{{.Dir}}{{"\t"}}{{join .GoFiles " "}}`}
	dirs := map[string]bool{}
	for _, m := range list.Mutants {
		if strings.HasSuffix(m.File, ".go") {
			dirs["./"+filepath.Dir(m.File)] = true
		}
	}
	cmd := exec.Command("go", append(args, slices.Sorted(maps.Keys(dirs))...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list the packages of the mutants: %v\n%s", err, stderr.Bytes())
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{fset: token.NewFileSet(), paths: map[string]string{}, files: map[string]map[string]*ast.File{}}
	compiled := map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		compiled[f[0]] = f[1]
		dir, err := filepath.Rel(top, f[2])
		if err != nil || !dirs["./"+dir] {
			continue
		}
		c.paths[dir], c.files[dir] = f[0], map[string]*ast.File{}
		for _, name := range strings.Fields(f[3]) {
			file, err := parser.ParseFile(c.fset, filepath.Join(f[2], name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			c.files[dir][name] = file
		}
	}
	c.importer = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(compiled[path]) })
	return c
}

// check reports what keeps the files, by their path, from building.
func (c *checker) check(t *testing.T, files map[string]planted) {
	t.Helper()
	packages := map[string]map[string]*ast.File{}
	for path, p := range files {
		dir, name := filepath.Dir(path), filepath.Base(path)
		if packages[dir] == nil {
			packages[dir] = maps.Clone(c.files[dir])
		}
		mutated, err := parser.ParseFile(c.fset, path, p.text, parser.SkipObjectResolution)
		if err == nil && packages[dir][name] == nil {
			err = errors.New("it is no file of its package")
		}
		if err != nil {
			t.Errorf("%s: mutant %s would not build: %v", p.m.At, p.m.Name, err)
			continue
		}
		packages[dir][name] = mutated
	}
	for dir, all := range packages {
		config := types.Config{Importer: c.importer, Sizes: types.SizesFor("gc", "amd64"), Error: func(err error) {
			var at types.Error
			if errors.As(err, &at) {
				p := files[at.Fset.Position(at.Pos).Filename]
				t.Errorf("%s: mutant %s would not build: %v", p.m.At, p.m.Name, err)
			}
		}}
		// What is wrong went to Error.
		_, _ = config.Check(c.paths[dir], c.fset, slices.Collect(maps.Values(all)), nil)
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// A pattern that chooses no test would be an error of the run; here it is found
// without one. A part behind the first is a name that some test file gives.
func TestList_EveryTestIsThere(t *testing.T) {
	names := literals(t)
	tests := map[string][]string{}
	for _, m := range read(t).Mutants {
		if tests[m.Package] == nil {
			tests[m.Package] = testsOf(t, m.Package)
		}
		parts := strings.Split(m.Test, "/")
		if n := matching(tests[m.Package], parts[0]); n != 1 {
			t.Errorf("%s: mutant %s: %d tests of %s match %q, want one", m.At, m.Name, n, m.Package, parts[0])
		}
		for _, part := range parts[1:] {
			if matching(names, part) == 0 {
				t.Errorf("%s: mutant %s: no test file has a name that matches %q", m.At, m.Name, part)
			}
		}
	}
}

func matching(names []string, pattern string) int {
	re := regexp.MustCompile(pattern)
	n := 0
	for _, name := range names {
		if re.MatchString(name) {
			n++
		}
	}
	return n
}

// testsOf returns the tests of a folder.
func testsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range testFunc.FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
	}
	return names
}

// literals returns what test files and suites have in quotes, as the testing
// package would name a subtest.
func literals(t *testing.T) []string {
	t.Helper()
	quoted := regexp.MustCompile(`"[^"\\\n]{1,100}"`)
	var names []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(filepath.Base(filepath.Dir(path)), "test") || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range quoted.FindAll(text, -1) {
			if name, err := strconv.Unquote(string(found)); err == nil {
				names = append(names, strings.ReplaceAll(name, " ", "_"))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Every hazard of rows and schemas has a mutant that takes its guard away, or a
// reason why there can be none.
func TestList_StandsForEveryHazardFromA38ToA82(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "hazards.md"))
	if err != nil {
		t.Fatal(err)
	}
	list := read(t)
	named := map[string]bool{}
	hazard := regexp.MustCompile(`\b[AB]\d+\b`)
	for _, m := range list.Mutants {
		for _, h := range hazard.FindAllString(m.For, -1) {
			named[h] = true
		}
	}
	for _, w := range list.Without {
		named[w.For] = true
	}
	rows := regexp.MustCompile(`(?m)^\| (A(\d+)) \|`).FindAllSubmatch(page, -1)
	found := 0
	for _, row := range rows {
		n, err := strconv.Atoi(string(row[2]))
		if err != nil {
			t.Fatal(err)
		}
		if n < 38 || n > 82 {
			continue
		}
		if found++; !named[string(row[1])] {
			t.Errorf("no mutant stands for hazard %s: add one to internal/mutants/list, or the reason why there is none", row[1])
		}
	}
	if found != 45 {
		t.Errorf("docs/hazards.md has %d hazards from A38 to A82, want 45", found)
	}
	count := fmt.Sprintf("%d known bugs", len(list.Mutants))
	if !strings.Contains(string(page), count) {
		t.Errorf("docs/hazards.md does not say that there are %s", count)
	}
}
