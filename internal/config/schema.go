package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// kind is how a type is called and checked outside of the loader.
type kind struct {
	// word is the type in docs/config.md.
	word string
	// schema is the type in the JSON schema; references are added to it.
	schema map[string]any
}

func textKind(word, pattern string) kind {
	return kind{word, map[string]any{"type": "string", "pattern": pattern}}
}

// kinds are the scalars with a form of their own.
var kinds = map[reflect.Type]kind{
	durationType:                 textKind("duration", `^(\d+d)?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))*$`),
	reflect.TypeFor[Size]():      textKind("size", `^\d+(\.\d+)? ?(B|[KMGT]i?B)$`),
	reflect.TypeFor[Secret]():    {"secret", map[string]any{"type": "string"}},
	reflect.TypeFor[Expr]():      {"expression", map[string]any{"type": []string{"string", "number", "boolean"}}},
	reflect.TypeFor[Names]():     {"names", map[string]any{"type": "string"}},
	reflect.TypeFor[IDRange]():   {"range of numbers", map[string]any{"type": []string{"string", "integer"}, "pattern": `^\d+(-\d+)?$`}},
	reflect.TypeFor[Start]():     textKind("text", `^(earliest|latest|gtid:.+|file:.+:\d+)$`),
	reflect.TypeFor[Mask]():      textKind("mask", `^(hash|drop|truncate\(\s*\d+\s*\))$`),
	reflect.TypeFor[Aggregate](): textKind("aggregate", `^(count\(\s*\*?\s*\)|(sum|avg|min|max)\(.+\))$`),
	reflect.TypeFor[Level]():     {"directory level", map[string]any{"type": "string"}},
}

// referencePattern is the form of a value that only a machine knows.
const referencePattern = `\$\{[^}]+\}`

// Schema returns the JSON schema, draft-07, of the file.
func Schema() []byte {
	s := sectionSchema(reflect.TypeFor[Config]())
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "Configuration of Tailwater"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic("config: a schema of plain values cannot fail to marshal: " + err.Error())
	}
	return b.Bytes()
}

func sectionSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, f := range sectionOf(t).fields {
		p := f.schema()
		p["description"] = f.doc
		properties[f.key] = p
		if f.required {
			required = append(required, f.key)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	if t == reflect.TypeFor[Shards]() {
		s["oneOf"] = []any{
			map[string]any{"required": []string{"template"}},
			map[string]any{"required": []string{"list"}},
		}
	}
	return s
}

// schema returns the schema of a field's value.
func (f *field) schema() map[string]any {
	s := typeSchema(f.typ, f)
	if f.def != "" {
		s["default"] = f.defaultValue()
	}
	return s
}

func typeSchema(t reflect.Type, f *field) map[string]any {
	if k, ok := kinds[t]; ok {
		return orReference(k.schema)
	}
	switch {
	case t == reflect.TypeFor[Select]():
		return selectSchema()
	case t.Kind() == reflect.Pointer:
		return typeSchema(t.Elem(), f)
	case t.Kind() == reflect.Struct:
		return sectionSchema(t)
	case t.Kind() == reflect.Map:
		return map[string]any{
			"type":                 "object",
			"propertyNames":        map[string]any{"pattern": portable(patterns[f.names].re.String())},
			"additionalProperties": typeSchema(t.Elem(), &field{}),
		}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "minItems": 1, "items": typeSchema(t.Elem(), &field{})}
	case t.Kind() == reflect.Bool:
		return orReference(map[string]any{"type": "boolean"})
	case t.Kind() == reflect.Int:
		return orReference(f.intSchema())
	}
	s := map[string]any{"type": "string"}
	if len(f.enum) > 0 {
		s = map[string]any{"enum": f.enum}
	} else if f.pattern != "" {
		s["pattern"] = portable(patterns[f.pattern].re.String())
	}
	return orReference(s)
}

func (f *field) intSchema() map[string]any {
	if len(f.enum) > 0 {
		var choices []int
		for _, c := range f.enum {
			n, _ := strconv.Atoi(c)
			choices = append(choices, n)
		}
		return map[string]any{"enum": choices}
	}
	s := map[string]any{"type": "integer"}
	if f.min != "" {
		s["minimum"] = f.bound(f.min)
	}
	if f.max != "" {
		s["maximum"] = f.bound(f.max)
	}
	return s
}

// orReference allows a reference in place of what s describes.
func orReference(s map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{s, map[string]any{"type": "string", "pattern": referencePattern}}}
}

func selectSchema() map[string]any {
	expression := kinds[reflect.TypeFor[Expr]()].schema
	return map[string]any{
		"type": "object", "minProperties": 1,
		"properties": map[string]any{"*": map[string]any{"anyOf": []any{
			map[string]any{"enum": []string{"*"}},
			map[string]any{"type": "array", "minItems": 1, "items": map[string]any{"type": "string"}},
		}}},
		"additionalProperties": map[string]any{"anyOf": []any{expression, map[string]any{"type": "null"}}},
	}
}

// portable rewrites the classes of Go's regular expressions that a JSON schema
// may not know.
func portable(re string) string {
	b := bytes.ReplaceAll([]byte(re), []byte(`\p{L}\p{N}_$`), []byte(`\w$\u0080-\uffff`))
	return string(bytes.ReplaceAll(b, []byte(`\p{L}_$`), []byte(`A-Za-z_$\u0080-\uffff`)))
}

// defaultValue is the default in the type that YAML gives it.
func (f *field) defaultValue() any {
	if _, isText := kinds[f.typ]; !isText && f.typ != reflect.TypeFor[time.Duration]() {
		switch f.typ.Kind() {
		case reflect.Int:
			n, _ := strconv.Atoi(f.def)
			return n
		case reflect.Bool:
			return f.def == "true"
		}
	}
	return f.def
}
