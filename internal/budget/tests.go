package budget

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// verdicts are the methods by which a test fails.
var verdicts = []string{"Error", "Errorf", "Fatal", "Fatalf", "Fail", "FailNow"}

// skips are the methods by which a test is left out.
var skips = []string{"Skip", "Skipf", "SkipNow"}

func checkTests(t *tree) []Finding {
	var out []Finding
	for f := range t.goFiles {
		if !f.isTest() {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			out = append(out, checkSleep(f, fn)...)
			out = append(out, checkSkip(f, fn)...)
			if strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" && fn.Recv == nil && !canFail(fn) {
				out = append(out, Finding{"verdict", f.path, f.line(fn.Pos()), fn.Name.Name + " cannot fail: say what it got and what it wants"})
			}
		}
	}
	return out
}

// checkSleep finds time.Sleep outside virtual time. Inside a test it has to
// stand in a call of synctest.Test; a helper may sleep when its file imports
// testing/synctest, for who calls it is not known here.
func checkSleep(f *file, fn *ast.FuncDecl) []Finding {
	helper := !strings.HasPrefix(fn.Name.Name, "Test") && !strings.HasPrefix(fn.Name.Name, "Benchmark")
	if helper && importsPackage(f, "testing/synctest") {
		return nil
	}
	var out []Finding
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if isCall(call, "synctest", "Test") {
			return false
		}
		if isCall(call, "time", "Sleep") {
			out = append(out, Finding{"sleep", f.path, f.line(call.Pos()),
				fmt.Sprintf("%s sleeps in real time: wait on a channel, poll with a limit, or use testing/synctest", fn.Name.Name)})
		}
		return true
	})
	return out
}

// checkSkip finds tests that may be left out. Only package testenv may do that,
// loudly; a fuzz target may refuse an input.
func checkSkip(f *file, fn *ast.FuncDecl) []Finding {
	if strings.HasPrefix(fn.Name.Name, "Fuzz") {
		return nil
	}
	var out []Finding
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		on, ok := sel.X.(*ast.Ident)
		if ok && (slices.Contains(skips, sel.Sel.Name) && slices.Contains([]string{"t", "b", "tb"}, on.Name) || isCall(call, "testing", "Short")) {
			out = append(out, Finding{"skip", f.path, f.line(call.Pos()),
				fmt.Sprintf("%s may be left out: what it needs comes from package testenv, which fails or says so", fn.Name.Name)})
		}
		return true
	})
	return out
}

// canFail reports whether a test calls a verdict or hands its handle to somebody
// who might.
func canFail(fn *ast.FuncDecl) bool {
	can := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return !can
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(verdicts, sel.Sel.Name) {
			can = true
		}
		for _, arg := range call.Args {
			if id, ok := arg.(*ast.Ident); ok && (id.Name == "t" || id.Name == "tb") {
				can = true
			}
		}
		return !can
	})
	return can
}

func isCall(call *ast.CallExpr, pkg, name string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	on, ok := sel.X.(*ast.Ident)
	return ok && on.Name == pkg
}

func importsPackage(f *file, name string) bool {
	return slices.ContainsFunc(f.ast.Imports, func(s *ast.ImportSpec) bool {
		got, err := strconv.Unquote(s.Path.Value)
		return err == nil && got == name
	})
}
