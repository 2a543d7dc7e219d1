package budget

import (
	"fmt"
	"go/ast"
	"go/token"
)

// failpointFolder holds the names of steps, names.go, and those of steps that
// can fail, in the function Failing of list.go.
const failpointFolder = "internal/failpoint"

// checkFailpoints wants every name of a step in exactly one place of the
// product, and Err exactly at those that are said to fail: a name in two places
// says nothing of where it happened, and one in none can never be hit.
func checkFailpoints(t *tree) []Finding {
	names, failing := map[string]*use{}, map[string]bool{}
	for f := range t.goFiles {
		switch f.path {
		case failpointFolder + "/names.go":
			addNames(f, names)
		case failpointFolder + "/list.go":
			addFailing(f, failing)
		}
	}
	var out []Finding
	for f := range t.goFiles {
		if !f.isTest() && !servesTests(f.dir()) && !inFolder(f.dir(), failpointFolder) {
			out = append(out, addUses(f, names)...)
		}
	}
	for name, u := range names {
		switch {
		case u.times != 1:
			out = append(out, Finding{"failpoint", u.file, u.line, fmt.Sprintf("%s stands in %d places of the product, want one", name, u.times)})
		case u.fails != failing[name]:
			out = append(out, Finding{"failpoint", u.file, u.line, fmt.Sprintf("%s stands in Err: %t, and Failing has it: %t", name, u.fails, failing[name])})
		}
	}
	return out
}

// use is where a name is declared, and how it is used.
type use struct {
	file  string
	line  int
	times int
	fails bool
}

func addNames(f *file, names map[string]*use) {
	for _, d := range f.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				names[n.Name] = &use{file: f.path, line: f.line(n.Pos())}
			}
		}
	}
}

func addFailing(f *file, failing map[string]bool) {
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "Failing" {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				failing[id.Name] = true
			}
			return true
		})
	}
}

// addUses counts the calls of a file. A name that is used otherwise hides from
// this rule, and is a finding.
func addUses(f *file, names map[string]*use) []Finding {
	called := map[*ast.SelectorExpr]bool{}
	var out []Finding
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 {
			fn, arg := failpointOf(call.Fun), failpointOf(call.Args[0])
			if u := names[selected(arg)]; u != nil && (selected(fn) == "At" || selected(fn) == "Err") {
				u.times++
				u.fails = u.fails || selected(fn) == "Err"
				called[arg] = true
			}
		}
		e, _ := n.(ast.Expr)
		if s := failpointOf(e); s != nil && names[s.Sel.Name] != nil && !called[s] {
			out = append(out, Finding{"failpoint", f.path, f.line(s.Pos()), s.Sel.Name + " is not the first argument of At or Err"})
		}
		return true
	})
	return out
}

// failpointOf returns e when it selects something of package failpoint.
func failpointOf(e ast.Expr) *ast.SelectorExpr {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if id, ok := s.X.(*ast.Ident); !ok || id.Name != "failpoint" {
		return nil
	}
	return s
}

func selected(s *ast.SelectorExpr) string {
	if s == nil {
		return ""
	}
	return s.Sel.Name
}
