package budget

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"strings"
)

// The limits, in lines and in parameters.
const (
	maxFileLines     = 500
	maxTestFileLines = 800
	maxFuncLines     = 80
	longFuncLines    = 60
	maxParams        = 5
	// At most one function in longFuncShare may be longer than longFuncLines.
	longFuncShare = 100
)

func checkSizes(t *tree) []Finding {
	var out []Finding
	var funcs, source, tests int
	var long []Finding
	for _, f := range t.files {
		if !f.isGo() {
			continue
		}
		limit := maxFileLines
		if f.isTest() {
			limit = maxTestFileLines
		}
		if n := f.lines(); n > limit {
			out = append(out, Finding{"file length", f.path, 0, fmt.Sprintf("%d lines, at most %d: split it by noun", n, limit)})
		}
		if f.isTest() || servesTests(f.dir()) {
			tests += codeLines(f.src)
		} else {
			source += codeLines(f.src)
		}
		if f.ast == nil {
			out = append(out, Finding{"syntax", f.path, 0, fmt.Sprint(f.broken)})
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			funcs++
			from, to := f.line(fn.Pos()), f.line(fn.End())
			switch n := to - from + 1; {
			case n > maxFuncLines:
				out = append(out, Finding{"function length", f.path, from,
					fmt.Sprintf("%s has %d lines, at most %d: divide it by what it does", fn.Name.Name, n, maxFuncLines)})
			case n > longFuncLines:
				long = append(long, Finding{"function length", f.path, from,
					fmt.Sprintf("%s has %d lines, and too many functions have more than %d (at most 1%%)", fn.Name.Name, n, longFuncLines)})
			}
			if n := countParams(fn.Type); n > maxParams {
				out = append(out, Finding{"parameters", f.path, from,
					fmt.Sprintf("%s has %d parameters after ctx, at most %d: make them a struct", fn.Name.Name, n, maxParams)})
			}
		}
	}
	if len(long)*longFuncShare > funcs {
		out = append(out, long...)
	}
	if tests*100 < source*minTestShare {
		out = append(out, Finding{"test code", ".", 0,
			fmt.Sprintf("%d lines of test code for %d lines of source code, want at least %d %%", tests, source, minTestShare)})
	}
	return out
}

// minTestShare is how many lines of test code there are at least for 100 lines
// of source. It is a ratchet: the aim is 100, and it is raised when the share
// has grown, never lowered.
const minTestShare = 65

// codeLines counts the lines that hold more than blanks and comments.
func codeLines(src []byte) int {
	var s scanner.Scanner
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(src))
	s.Init(file, src, nil, 0)
	n, last := 0, 0
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return n
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue // the line's end, not written by anybody
		}
		from := file.Line(pos)
		to := from + strings.Count(text, "\n")
		n += to - max(from, last+1) + 1
		last = to
	}
}

// countParams counts parameters without a leading context or test handle.
func countParams(fn *ast.FuncType) int {
	n := 0
	for i, field := range fn.Params.List {
		if i == 0 && isHandle(field.Type) {
			continue
		}
		n += max(1, len(field.Names))
	}
	return n
}

func isHandle(t ast.Expr) bool {
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	sel, ok := t.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && (pkg.Name == "context" && sel.Sel.Name == "Context" || pkg.Name == "testing")
}
