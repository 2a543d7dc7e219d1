// Package budget holds the rules of this repository that a program can check,
// and the test that checks them over the whole repository.
//
// A codebase is spoilt at its tail: by the few functions of 200 lines, the one
// file that ate its package, the import that points the wrong way. So the
// limits bound the tail, and a breach is a failing test and not a remark in a
// review. CONTRIBUTING.md states the rules for people; each file here holds
// one group of them:
//
//	size.go     lengths of files, functions and parameter lists; the share of test code
//	names.go    comments on packages and exported names
//	imports.go  the arrows of docs/design.md, and the folder of each library
//	failpoints.go  each name of a step in one place of the product
//	tests.go    no sleep outside virtual time, no skip, nothing that cannot fail
//	text.go     words that do not belong here, links, scripts, formatting
//
// Only the standard library is used, and no package is built: a repository
// that does not compile can still be checked.
package budget

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Finding is one breach of a rule.
type Finding struct {
	// Rule names the rule in a word.
	Rule string
	// File is the path below the repository's top folder, Line the line in it;
	// 0 stands for the file or folder as a whole.
	File string
	Line int
	// Text says what is wrong and what to do.
	Text string
}

// String returns the finding in the form file:line: text (rule).
func (f Finding) String() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s (%s)", at, f.Text, f.Rule)
}

// Check reads the repository in root and returns every breach of every rule,
// sorted by file, line and rule. The error says that it could not be read.
func Check(root string) ([]Finding, error) {
	t, err := readTree(root)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", root, err)
	}
	var out []Finding
	for _, rules := range []func(*tree) []Finding{checkSizes, checkNames, checkImports, checkFailpoints, checkTests, checkText} {
		out = append(out, rules(t)...)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Text, b.Text))
	})
	return out, nil
}

// tree is what the rules look at.
type tree struct {
	root  string
	files []*file
}

// file is one text file of the repository.
type file struct {
	// path is slash-separated, below the root.
	path string
	mode fs.FileMode
	src  []byte
	// The rest is for Go files only; ast is nil when the file cannot be parsed.
	ast    *ast.File
	fset   *token.FileSet
	broken error
}

func (f *file) dir() string    { return path.Dir(f.path) }
func (f *file) isGo() bool     { return strings.HasSuffix(f.path, ".go") }
func (f *file) isTest() bool   { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) lines() int     { return bytes.Count(f.src, []byte("\n")) }
func (f *file) isScript() bool { return bytes.HasPrefix(f.src, []byte("#!/usr/bin/env bash")) }

func (f *file) line(p token.Pos) int { return f.fset.Position(p).Line }

// servesTests reports whether all code of the folder exists for tests.
func servesTests(dir string) bool {
	return strings.HasSuffix(dir, "test") || slices.ContainsFunc([]string{"internal/testenv", "internal/budget", "internal/e2e", "internal/campaign", "internal/mutants"}, func(d string) bool {
		return dir == d || strings.HasPrefix(dir, d+"/")
	})
}

// goFiles yields the Go files that could be parsed.
func (t *tree) goFiles(yield func(*file) bool) {
	for _, f := range t.files {
		if f.ast != nil && !yield(f) {
			return
		}
	}
}

// skipped are folders that hold no text of the repository. Files in testdata
// are input, and may be as wrong as their test needs them.
var skipped = []string{".git", "bin", "testdata", ".cache", "node_modules"}

func readTree(root string) (*tree, error) {
	t := &tree{root: root}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			// Somebody may be removing a temporary file at this moment.
			if os.IsNotExist(err) && name != root {
				return nil
			}
			return err
		}
		if d.IsDir() {
			if slices.Contains(skipped, d.Name()) && name != root {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := readFile(root, name, d)
		if f != nil {
			t.files = append(t.files, f)
		}
		return err
	})
	return t, err
}

func readFile(root, name string, d fs.DirEntry) (*file, error) {
	src, err := os.ReadFile(name)
	if err != nil || bytes.IndexByte(src[:min(len(src), 8000)], 0) >= 0 {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, err // a file with a NUL is no text
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	info, err := d.Info()
	if err != nil {
		return nil, err
	}
	f := &file{path: filepath.ToSlash(rel), mode: info.Mode(), src: src}
	if f.isGo() {
		f.fset = token.NewFileSet()
		if f.ast, f.broken = parser.ParseFile(f.fset, f.path, src, parser.ParseComments|parser.SkipObjectResolution); f.broken != nil {
			f.ast = nil
		}
	}
	return f, nil
}
