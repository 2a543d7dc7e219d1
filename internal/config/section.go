package config

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// field is one key of a section, as the struct tags give it.
type field struct {
	key      string
	doc      string
	def      string
	inherit  string
	pattern  string
	names    string
	required bool
	// filled says that the key may be absent where a source captures its tables,
	// and never empty.
	filled   bool
	enum     []string
	later    []string
	min, max string
	typ      reflect.Type
	index    []int
}

// section is a struct of the file.
type section struct {
	fields []*field
	byKey  map[string]*field
	// later are keys that are known but not supported yet.
	later map[string]bool
}

var (
	sections     sync.Map // reflect.Type to *section
	durationType = reflect.TypeFor[time.Duration]()
)

// sectionOf reads the tags of a struct type, once.
func sectionOf(t reflect.Type) *section {
	if s, ok := sections.Load(t); ok {
		return s.(*section)
	}
	s := &section{byKey: map[string]*field{}, later: map[string]bool{}}
	s.add(t, nil)
	got, _ := sections.LoadOrStore(t, s)
	return got.(*section)
}

func (s *section) add(t reflect.Type, index []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(append([]int(nil), index...), i)
		key := sf.Tag.Get("key")
		switch {
		case sf.Name == "_":
			for name := range strings.SplitSeq(sf.Tag.Get("later"), ",") {
				s.later[name] = true
			}
		case key == ",inline":
			s.add(sf.Type, at)
		case key != "":
			f := newField(sf, key, at)
			s.fields = append(s.fields, f)
			s.byKey[key] = f
		}
	}
}

func newField(sf reflect.StructField, key string, index []int) *field {
	split := func(tag string) []string {
		if v := sf.Tag.Get(tag); v != "" {
			return strings.Split(v, "|")
		}
		return nil
	}
	f := &field{
		key:      key,
		doc:      sf.Tag.Get("doc"),
		def:      sf.Tag.Get("default"),
		inherit:  sf.Tag.Get("inherit"),
		pattern:  sf.Tag.Get("pattern"),
		names:    sf.Tag.Get("names"),
		required: sf.Tag.Get("required") == "true",
		filled:   sf.Tag.Get("required") == "captured",
		enum:     split("enum"),
		later:    split("later"),
		typ:      sf.Type,
		index:    index,
	}
	f.min, f.max, _ = strings.Cut(sf.Tag.Get("range"), "..")
	return f
}

// keys returns the names of all keys.
func (s *section) keys() []string {
	keys := make([]string, len(s.fields))
	for i, f := range s.fields {
		keys[i] = f.key
	}
	return keys
}

// setText sets a scalar from its text, and checks it against the tags. The
// error is a *textError.
func (f *field) setText(v reflect.Value, text string) error {
	if err := f.checkChoice(text); err != nil {
		return err
	}
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		*p = d
	case *Size:
		s, err := parseSize(text)
		if err != nil {
			return err
		}
		*p = s
	case *Secret:
		*p = NewSecret(text)
	case textParser:
		return p.parseText(text)
	default:
		return f.setPlain(v, text)
	}
	return f.checkRange(v, text)
}

func (f *field) setPlain(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		if f.pattern != "" && !patterns[f.pattern].re.MatchString(text) {
			return badText("bad-"+f.patternCode(), "%q is not valid here: write %s", text, patterns[f.pattern].says)
		}
		v.SetString(text)
		return nil
	case reflect.Bool:
		if text != "true" && text != "false" {
			return badText("wrong-type", "%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
		return nil
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil || len(text) > 1 && text[0] == '0' {
			return badText("wrong-type", "%q is no whole number", text)
		}
		v.SetInt(int64(n))
		return f.checkRange(v, text)
	}
	panic("config: no text form for " + v.Type().String())
}

func (f *field) patternCode() string {
	switch f.pattern {
	case "address", "prefix":
		return f.pattern
	case "table":
		return "pattern"
	}
	return "name"
}

func (f *field) checkChoice(text string) error {
	if len(f.enum) == 0 {
		return nil
	}
	for _, choice := range f.enum {
		if choice == text {
			return nil
		}
	}
	for _, choice := range f.later {
		if strings.EqualFold(choice, text) {
			return later("%s cannot be %q: write %s", f.key, text, oneOf(f.enum))
		}
	}
	e := badText("not-one-of", "%s cannot be %q: write %s", f.key, text, oneOf(f.enum))
	e.fix = closest(text, f.enum)
	return e
}

// oneOf lists choices for a sentence.
func oneOf(choices []string) string {
	if len(choices) == 1 {
		return choices[0]
	}
	last := len(choices) - 1
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}

func (f *field) checkRange(v reflect.Value, text string) error {
	if f.min == "" && f.max == "" {
		return nil
	}
	n := v.Int()
	if f.min != "" && n < f.bound(f.min) || f.max != "" && n > f.bound(f.max) {
		return badText("out-of-range", "%s is %s, outside of %s to %s", f.key, text, f.min, f.max)
	}
	return nil
}

// bound reads one end of a range tag in the field's own unit.
func (f *field) bound(text string) int64 {
	v := reflect.New(f.typ).Elem()
	bare := &field{key: f.key, typ: f.typ}
	if err := bare.setText(v, text); err != nil {
		panic("config: range of " + f.key + ": " + err.Error())
	}
	return v.Int()
}
