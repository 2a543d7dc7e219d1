package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// sectionKeys returns the keys of the file's outermost section.
func sectionKeys() []string { return sectionOf(reflect.TypeFor[Config]()).keys() }

// everyField calls visit for each key of each section of the file.
func everyField(t reflect.Type, path string, visit func(path string, s *section, f *field)) {
	s := sectionOf(t)
	for _, f := range s.fields {
		at := join(path, f.key)
		visit(at, s, f)
		if _, isScalar := kinds[f.typ]; isScalar || f.typ == reflect.TypeFor[Select]() {
			continue
		}
		inner := f.typ
		for slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Map, reflect.Slice}, inner.Kind()) {
			inner = inner.Elem()
		}
		if _, isScalar := kinds[inner]; !isScalar && inner.Kind() == reflect.Struct {
			everyField(inner, at, visit)
		}
	}
}

func TestTags_SayEverythingAboutEachKey(t *testing.T) {
	n := 0
	everyField(reflect.TypeFor[Config](), "", func(path string, s *section, f *field) {
		n++
		if f.doc == "" || !strings.HasSuffix(f.doc, ".") {
			t.Errorf("%s: doc %q is no sentence", path, f.doc)
		}
		if f.required && (f.def != "" || f.inherit != "") {
			t.Errorf("%s is required and has a default", path)
		}
		if s.later[f.key] {
			t.Errorf("%s is a key, and one that is not supported yet", path)
		}
		for _, c := range f.later {
			if slices.Contains(f.enum, c) {
				t.Errorf("%s: %s is a choice, and one that is not supported yet", path, c)
			}
		}
		if _, ok := patterns[f.pattern]; f.pattern != "" && !ok {
			t.Errorf("%s: no pattern is called %q", path, f.pattern)
		}
		if _, ok := patterns[f.names]; f.typ.Kind() == reflect.Map && !ok {
			t.Errorf("%s: no pattern is called %q", path, f.names)
		}
		if f.min != "" && f.max != "" && f.bound(f.min) >= f.bound(f.max) {
			t.Errorf("%s: range %s to %s is empty", path, f.min, f.max)
		}
		needsRange := f.typ == reflect.TypeFor[time.Duration]() || f.typ == reflect.TypeFor[Size]() || f.typ.Kind() == reflect.Int && len(f.enum) == 0
		if needsRange && f.max == "" {
			t.Errorf("%s has no range", path)
		}
		if f.def != "" {
			if err := f.setText(reflect.New(f.typ).Elem(), f.def); err != nil {
				t.Errorf("%s: default %q: %v", path, f.def, err)
			}
		}
	})
	if n < 90 {
		t.Errorf("the file has %d keys; the walk missed some", n)
	}
}

func TestLater_KeysHaveTheHintAndNoEffect(t *testing.T) {
	n := 0
	visit := map[reflect.Type]bool{}
	everyField(reflect.TypeFor[Config](), "", func(path string, s *section, f *field) {
		inner := f.typ
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct || visit[inner] || strings.Contains(path, "sources") {
			return
		}
		visit[inner] = true
		if _, isScalar := kinds[inner]; isScalar {
			return
		}
		for key := range sectionOf(inner).later {
			if strings.Count(path, ".") > 0 {
				continue
			}
			n++
			findings := LintBytes("t.yaml", []byte(path+": { "+key+": 1 }\n"))
			i := slices.IndexFunc(findings, func(f Finding) bool { return f.Path == join(path, key) })
			if i < 0 || findings[i].Severity != Error || findings[i].Suggestion != "not supported yet" {
				t.Errorf("%s.%s: got\n%s", path, key, findings)
			}
		}
	})
	if n < 10 {
		t.Errorf("only %d keys were tried", n)
	}
}
