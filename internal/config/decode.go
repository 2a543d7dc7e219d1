package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tailwater/change"
)

// value decodes one value into v. f gives its tags.
func (l *loader) value(at string, f *field, n *yaml.Node, v reflect.Value) {
	if l.doc.marks[at].value == nil {
		l.doc.marks[at] = mark{value: n}
	}
	if n = l.enter(at, n); n == nil {
		return
	}
	defer l.leave()
	if p, ok := v.Addr().Interface().(*Select); ok {
		l.selectItems(at, n, p)
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && n.Style == 0 {
		l.doc.unknown[at] = true
		l.on(at, n, "empty-value", "%s has no value: give it one, or remove the key", last(at))
		return
	}
	if isScalar(v) {
		l.scalar(at, f, n, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if l.isKind(at, n, yaml.MappingNode, "keys and values") {
			l.mapping(at, n, v)
		}
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if v.Type() == reflect.TypeFor[*Capture]() && n.Kind == yaml.ScalarNode {
			l.doc.unknown[at] = true
			l.on(at, n, "wrong-type", "%s takes keys and values, not a single value", last(at)).Suggestion = "write capture: { tables: all }"
			return
		}
		if l.isKind(at, n, yaml.MappingNode, "keys and values") {
			v.Set(p)
			l.mapping(at, n, p.Elem())
		}
	case reflect.Map:
		if l.isKind(at, n, yaml.MappingNode, "names and values") {
			l.entries(at, f, n, v)
		}
	case reflect.Slice:
		if l.isKind(at, n, yaml.SequenceNode, "a list, in [brackets] or with a dash before each element") {
			l.elements(at, f, n, v)
		}
	default:
		panic("config: no decoder for " + v.Type().String())
	}
}

func isScalar(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case textParser, *Secret, *Expr, *time.Duration, *Size:
		return true
	}
	return v.Kind() == reflect.String || v.Kind() == reflect.Bool || v.Kind() == reflect.Int
}

var kindNames = map[yaml.Kind]string{
	yaml.MappingNode: "keys and values", yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value",
}

func (l *loader) isKind(at string, n *yaml.Node, want yaml.Kind, words string) bool {
	if n.Kind == want {
		return true
	}
	l.doc.unknown[at] = true
	l.on(at, n, "wrong-type", "%s takes %s, not %s", last(at), words, kindNames[n.Kind])
	return false
}

// last returns the last part of a path for a sentence.
func last(at string) string {
	if at == "" {
		return "the file"
	}
	return "`" + at[strings.LastIndexByte(at, '.')+1:] + "`"
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// mapping decodes the keys of a section, and fills the defaults of the absent.
func (l *loader) mapping(at string, n *yaml.Node, v reflect.Value) {
	s := sectionOf(v.Type())
	seen := map[string]bool{}
	for key, value := range l.pairs(at, n) {
		name := key.Value
		f := s.byKey[name]
		if f == nil {
			if meant := l.unknownKey(at, key, s); meant != "" {
				seen[meant] = true
				l.doc.unknown[join(at, meant)] = true
			}
			continue
		}
		seen[name] = true
		path := join(at, name)
		l.doc.marks[path] = mark{key, value}
		l.value(path, f, value, v.FieldByIndex(f.index))
	}
	for _, f := range s.fields {
		if seen[f.key] {
			continue
		}
		if f.required {
			line, column := l.doc.near(at)
			l.report(place{join(at, f.key), line, column}, "missing-key", "`%s` is missing in %s", f.key, sectionName(at)).Suggestion = f.doc
			continue
		}
		fillDefault(f, v.FieldByIndex(f.index))
	}
}

func sectionName(at string) string {
	if at == "" {
		return "the file"
	}
	return at
}

// fillDefault gives an absent key its default, and those of its section.
func fillDefault(f *field, v reflect.Value) {
	if v.Kind() == reflect.Struct && !isScalar(v) {
		for _, inner := range sectionOf(v.Type()).fields {
			fillDefault(inner, v.FieldByIndex(inner.index))
		}
		return
	}
	if f.def == "" {
		return
	}
	if err := f.setText(v, f.def); err != nil {
		panic("config: default of " + f.key + ": " + err.Error())
	}
}

// pairs yields the keys of a mapping that are plain text and stand there once.
func (l *loader) pairs(at string, n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		first := map[string]*yaml.Node{}
		for i := 0; i+1 < len(n.Content) && !l.spent; i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			l.visited++
			switch {
			case key.ShortTag() == "!!merge":
				l.on(at, key, "yaml-merge", "merge keys are not supported: write the keys out")
				continue
			case key.Kind != yaml.ScalarNode:
				l.on(at, key, "wrong-type", "a key is plain text, not %s", kindNames[key.Kind])
				continue
			}
			if before := first[key.Value]; before != nil {
				l.on(join(at, key.Value), key, "duplicate-key", "`%s` is here a second time; the first is in line %d", key.Value, before.Line)
				continue
			}
			first[key.Value] = key
			if !yield(key, value) {
				return
			}
		}
	}
}

// unknownKey reports a key that is none of the section's, and returns the one
// that was probably meant.
func (l *loader) unknownKey(at string, key *yaml.Node, s *section) string {
	path := join(at, key.Value)
	if l.full() {
		return ""
	}
	f := l.on(path, key, "unknown-key", "unknown key `%s` in %s", key.Value, sectionName(at))
	if s.later[key.Value] {
		f.Code, f.Suggestion = "not-supported-yet", "not supported yet"
		l.later[at] = true
		return ""
	}
	meant := closest(key.Value, s.keys())
	if meant == "" {
		f.Suggestion = "known are " + strings.Join(s.keys(), ", ")
		return ""
	}
	f.Fix, f.Suggestion = meant, fmt.Sprintf("did you mean `%s`?", meant)
	return meant
}

// entries decodes a map of named things.
func (l *loader) entries(at string, f *field, n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	var names []string
	for key, value := range l.pairs(at, n) {
		path := join(at, key.Value)
		l.doc.marks[path] = mark{key, value}
		if p := patterns[f.names]; !p.re.MatchString(key.Value) {
			l.on(path, key, "bad-name", "%q is no name here: write %s", key.Value, p.says)
			continue
		}
		if i := slices.IndexFunc(names, func(s string) bool { return change.EqualFold(s, key.Value) }); i >= 0 {
			l.on(path, key, "name-clash", "`%s` differs from `%s` in case only", key.Value, names[i])
			continue
		}
		names = append(names, key.Value)
		elem := reflect.New(v.Type().Elem()).Elem()
		l.value(path, &field{key: key.Value, typ: elem.Type()}, value, elem)
		// A name whose value is wrong stays known, with nil, so that references
		// to it are not dangling too.
		v.SetMapIndex(reflect.ValueOf(key.Value), elem)
	}
	if len(names) == 0 && (f.required || f.filled) && len(n.Content) == 0 {
		l.on(at, n, "empty-value", "%s is empty: it needs at least one entry", last(at))
	}
}

// elements decodes a list.
func (l *loader) elements(at string, f *field, n *yaml.Node, v reflect.Value) {
	if len(n.Content) == 0 {
		l.on(at, n, "empty-value", "%s is an empty list: give it an element, or remove the key", last(at))
		return
	}
	for i, child := range n.Content {
		if l.spent {
			return
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		l.value(fmt.Sprintf("%s[%d]", at, i), &field{key: f.key, typ: elem.Type()}, child, elem)
		v.Set(reflect.Append(v, elem))
	}
}

// scalar decodes a single value.
func (l *loader) scalar(at string, f *field, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		l.doc.unknown[at] = true
		l.on(at, n, "wrong-type", "%s takes a single value, not %s", last(at), kindNames[n.Kind])
		return
	}
	if _, ok := v.Addr().Interface().(*Secret); ok {
		l.warnReadable(at, n)
	}
	text, known := l.text(at, n)
	if !known {
		l.doc.unknown[at] = true
		if s, ok := v.Addr().Interface().(*Secret); ok {
			*s = NewSecret(text)
		}
		return
	}
	if text == n.Value && !l.hasType(at, n, v) {
		l.doc.unknown[at] = true
		return
	}
	if e, ok := v.Addr().Interface().(*Expr); ok {
		*e = Expr(text)
		return
	}
	if err := f.setText(v, text); err != nil {
		l.doc.unknown[at] = true
		v.SetZero()
		l.within(at, n, 0, err)
	}
}

// hasType checks what YAML says of a value that stands in the file as it is.
func (l *loader) hasType(at string, n *yaml.Node, v reflect.Value) bool {
	_, isSecret := v.Addr().Interface().(*Secret)
	tag := n.ShortTag()
	switch {
	case (isSecret || v.Type() == reflect.TypeFor[string]()) && tag != "!!str":
		f := l.on(at, n, "wrong-type", "%s takes text, and YAML reads this as %s", last(at), tagNames[tag])
		f.Suggestion = "put it in quotes"
		if !isSecret {
			f.Fix = `"` + n.Value + `"`
		}
		return false
	case v.Type() == reflect.TypeFor[int]() && tag != "!!int":
		l.on(at, n, "wrong-type", "%s takes a whole number, not %s", last(at), tagNames[tag])
		return false
	case v.Kind() == reflect.Bool && tag != "!!bool":
		l.on(at, n, "wrong-type", "%s takes true or false, not %s", last(at), tagNames[tag])
		return false
	}
	return true
}

var tagNames = map[string]string{
	"!!str": "text", "!!int": "a number", "!!float": "a number with a fraction", "!!bool": "true or false",
	"!!null": "nothing", "!!timestamp": "a date", "!!binary": "binary data",
}

// selectItems decodes the columns of a view, which keep their order.
func (l *loader) selectItems(at string, n *yaml.Node, items *Select) {
	if !l.isKind(at, n, yaml.MappingNode, "name: expression for each column") {
		return
	}
	if len(n.Content) == 0 {
		l.on(at, n, "empty-value", "%s is empty: without it every column is copied", last(at))
	}
	for key, value := range l.pairs(at, n) {
		path := join(at, key.Value)
		l.doc.marks[path] = mark{key, value}
		if key.Value == "*" {
			l.selectStar(path, value, items)
			continue
		}
		if p := patterns["column"]; !p.re.MatchString(key.Value) {
			l.on(path, key, "bad-name", "%q is no name of a column: write %s", key.Value, p.says)
			continue
		}
		item := SelectItem{Name: key.Value, path: path}
		if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!null" {
			l.value(path, &field{key: key.Value}, value, reflect.ValueOf(&item.Expr).Elem())
		}
		*items = append(*items, item)
	}
}

// selectStar decodes "*": [a, b] and "*": "*".
func (l *loader) selectStar(path string, n *yaml.Node, items *Select) {
	if n.Kind == yaml.ScalarNode {
		if n.Value != "*" {
			l.on(path, n, "wrong-type", `"*" takes a list of columns, or "*" for all that nothing else names`)
			return
		}
		*items = append(*items, SelectItem{Name: "*", path: path})
		return
	}
	var columns []string
	l.value(path, &field{key: "*"}, n, reflect.ValueOf(&columns).Elem())
	for i, c := range columns {
		if c != "" {
			*items = append(*items, SelectItem{Name: c, Expr: Expr(c), path: fmt.Sprintf("%s[%d]", path, i)})
		}
	}
}
