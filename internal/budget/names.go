package budget

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
)

// checkNames wants a comment on every package and on every exported name.
// Fields, interface methods and methods of unexported types need none.
func checkNames(t *tree) []Finding {
	var out []Finding
	documented := map[string]bool{}
	first := map[string]*file{}
	for f := range t.goFiles {
		if f.isTest() {
			continue
		}
		if first[f.dir()] == nil {
			first[f.dir()] = f
		}
		// A blank line between comment and clause leaves Doc empty, as go doc does.
		if f.ast.Doc != nil && strings.TrimSpace(f.ast.Doc.Text()) != "" {
			documented[f.dir()] = true
		}
		for _, d := range f.ast.Decls {
			for _, name := range undocumented(d) {
				out = append(out, Finding{"comment", f.path, f.line(name.Pos()),
					fmt.Sprintf("exported %s has no comment: state its contract", name.Name)})
			}
		}
	}
	for dir, f := range first {
		if !documented[dir] {
			out = append(out, Finding{"comment", dir, 0, fmt.Sprintf("package %s has no comment right before its clause", f.ast.Name.Name)})
		}
	}
	return out
}

// undocumented returns the exported names of a declaration that have no comment.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || receiver(d).IsExported()) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT || d.Doc != nil {
			return nil
		}
		var out []*ast.Ident
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
					out = append(out, s.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if s.Doc == nil && s.Comment == nil && name.IsExported() {
						out = append(out, name)
					}
				}
			}
		}
		return out
	}
	return nil
}

// receiver returns the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) *ast.Ident {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x
		default:
			return &ast.Ident{Name: "_"}
		}
	}
}
