package view

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/internal/expr"
)

// Problem is a mistake in a definition that shows without a table.
type Problem struct {
	// Field is where it stands: "name", "source", "database", "table", "where",
	// "key[1]", "select.city", "masking.email".
	Field string
	// Offset is the byte in the field's text, or -1 when the whole is meant.
	Offset int
	// Message says what is wrong, Hint what to write instead; Hint may be empty.
	Message, Hint string
}

// Validate returns the mistakes of a definition that show without a table, in
// the order of the definition's fields.
func Validate(def *Definition) []Problem {
	v := &validator{def: def}
	if def.Name == "" {
		v.add("name", -1, "", "the view has no name")
	}
	if def.Source == "" {
		v.add("source", -1, "", "the view names no source")
	}
	v.pattern("database", def.Database)
	v.pattern("table", def.Table)
	v.items()
	if def.Where != "" {
		v.syntax("where", def.Where)
	}
	v.key()
	v.masking()
	return v.problems
}

type validator struct {
	def      *Definition
	captures []string
	problems []Problem
}

func (v *validator) add(field string, offset int, hint, format string, args ...any) {
	v.problems = append(v.problems, Problem{Field: field, Offset: offset, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (v *validator) pattern(field, text string) {
	p, err := parsePattern(text)
	if e := (*patternError)(nil); errors.As(err, &e) {
		v.add(field, e.offset, e.hint, "%s", e.msg)
		return
	}
	v.captures = append(v.captures, p.names...)
}

func (v *validator) syntax(field, src string) {
	err := expr.CheckSyntax(src)
	if e := (*expr.SyntaxError)(nil); errors.As(err, &e) {
		v.add(field, e.Offset, e.Hint, "%s", e.Msg)
	} else if err != nil {
		v.add(field, -1, "", "%v", err)
	}
}

func (v *validator) items() {
	for i, item := range v.def.Select {
		field := "select." + item.Name
		if msg, hint := badName(item.Name, v.def.Select[:i]); msg != "" {
			v.add(field, -1, hint, "%s", msg)
		}
		switch {
		case item.Name == "*" && item.Expr != "":
			v.add(field, -1, "", "* stands for columns and has no expression")
		case item.Expr != "":
			v.syntax(field, item.Expr)
		}
	}
}

// badName says why name cannot be a view's column behind those before it.
func badName(name string, before []Item) (msg, hint string) {
	switch {
	case name == "":
		return "a column has no name", ""
	case strings.HasPrefix(name, "_"):
		return fmt.Sprintf("the column name %q begins with _, which is kept for metadata", name), fmt.Sprintf("select it under another name: %s: %s", strings.TrimLeft(name, "_"), name)
	}
	for _, other := range before {
		if other.Name == "*" && name == "*" {
			return "* stands twice", ""
		}
		if change.EqualFold(other.Name, name) {
			return fmt.Sprintf("the column name %q clashes with %q: names differ in more than case", name, other.Name), "give one another name"
		}
	}
	return "", ""
}

func (v *validator) key() {
	names, open := v.keyNames()
	for i, k := range v.def.Key {
		field := fmt.Sprintf("key[%d]", i)
		for _, other := range v.def.Key[:i] {
			if change.EqualFold(other, k) {
				v.add(field, -1, "", "%q stands twice in the key", k)
			}
		}
		if !open && !containsFold(names, k) {
			hint := expr.DidYouMean(k, names)
			if hint == "" {
				hint = "a key holds columns of the view, captures of its patterns, and shard"
			}
			v.add(field, -1, hint, "the view has no column %q", k)
		}
	}
}

// keyNames returns what a key may name, as far as it is known without a table.
func (v *validator) keyNames() (names []string, open bool) {
	open = len(v.def.Select) == 0
	for _, item := range v.def.Select {
		open = open || item.Name == "*"
		names = append(names, item.Name)
	}
	return append(append(names, v.captures...), shardColumn), open
}

func (v *validator) masking() {
	names := slices.Sorted(maps.Keys(v.def.Masking))
	for i, name := range names {
		field := "masking." + name
		m := v.def.Masking[name]
		if err := m.check(); err != nil {
			v.add(field, -1, "", "%v", err)
		}
		if containsFold(names[:i], name) {
			v.add(field, -1, "", "the column %q is masked twice", name)
		}
	}
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return change.EqualFold(n, name) })
}
