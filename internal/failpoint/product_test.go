package failpoint_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tailwater/internal/failpoint"
)

func TestNames_ListEveryConstantOnce(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []failpoint.Name
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			text, err := strconv.Unquote(s.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, failpoint.Name(text))
		}
	}
	got := failpoint.Names()
	if !slices.Equal(got, want) {
		t.Errorf("Names() = %q\nwant the constants of names.go in their order: %q", got, want)
	}
	if len(got) < 60 {
		t.Errorf("there are %d names, want 60 at least", len(got))
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != len(want) {
		t.Error("two constants have one name")
	}
	for _, n := range failpoint.Failing() {
		if !slices.Contains(want, n) {
			t.Errorf("Failing() has %q, which Names() has not", n)
		}
	}
}

// What the product is made of has neither the functions nor a name of a step nor
// the names of the variables. The same program with the tag has all of them, so
// that what is looked for could be found.
func TestProduct_HasNothingOfFailpoints(t *testing.T) {
	const program = `package main

import (
	"fmt"
	"os"
	"syscall"

	"tailwater/internal/failpoint"
)

func main() {
	if err := failpoint.Start(); err != nil {
		fmt.Println(err)
	}
	failpoint.At(failpoint.PublishSent)
	if err := failpoint.Err(failpoint.StreamFileSynced, syscall.EIO); err != nil {
		fmt.Println(err)
	}
	fmt.Println(len(os.Args))
	failpoint.Report()
}
`
	// A folder of the module, for only its own packages may import the internal one.
	dir, err := os.MkdirTemp(".", "testdata-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tags := range []string{"", "failpoints"} {
		bin := filepath.Join(t.TempDir(), "program")
		if out, err := exec.Command("go", "build", "-tags", tags, "-o", bin, "./"+dir).CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		checkBinary(t, bin, tags != "")
	}
	if bin := os.Getenv("TAILWATER_BIN"); bin != "" {
		checkBinary(t, bin, false) // the whole product, where it is built already
	}
}

// checkBinary looks for the symbols and the strings of this package.
func checkBinary(t *testing.T, bin string, want bool) {
	t.Helper()
	symbols, err := exec.Command("go", "tool", "nm", bin).Output()
	if err != nil {
		t.Fatalf("list the symbols of %s: %v", bin, err)
	}
	if got := strings.Contains(string(symbols), "internal/failpoint."); got != want {
		t.Errorf("%s has a symbol of failpoints: %t, want %t", bin, got, want)
	}
	b, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"TAILWATER_FAILPOINT", string(failpoint.PublishSent), string(failpoint.StreamFileSynced)} {
		if got := bytes.Contains(b, []byte(text)); got != want {
			t.Errorf("%s has the text %q: %t, want %t", bin, text, got, want)
		}
	}
}
