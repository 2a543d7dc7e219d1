package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var typeOfConfig = reflect.TypeFor[Config]()

// validator checks values by the part of draft-07 that Schema uses.
type validator struct{ errs []string }

func (v *validator) fail(at, format string, args ...any) {
	v.errs = append(v.errs, at+": "+fmt.Sprintf(format, args...))
}

// matches reports whether a value meets a schema, and adds nothing.
func matches(at string, schema map[string]any, value any) bool {
	var v validator
	v.check(at, schema, value)
	return len(v.errs) == 0
}

func (v *validator) check(at string, s map[string]any, value any) {
	for keyword, arg := range s {
		switch keyword {
		case "$schema", "title", "description", "default":
		case "type":
			v.checkType(at, arg, value)
		case "enum":
			if !slices.ContainsFunc(arg.([]any), func(c any) bool { return fmt.Sprint(c) == fmt.Sprint(value) }) {
				v.fail(at, "%v is none of %v", value, arg)
			}
		case "pattern":
			if text, ok := value.(string); ok && !regexp.MustCompile(goRegexp(arg)).MatchString(text) {
				v.fail(at, "%q does not match %s", text, arg)
			}
		case "minimum", "maximum":
			if n, ok := value.(int); ok && (keyword == "minimum" && float64(n) < arg.(float64) || keyword == "maximum" && float64(n) > arg.(float64)) {
				v.fail(at, "%d is outside of %s %v", n, keyword, arg)
			}
		case "anyOf", "oneOf":
			n := 0
			for _, choice := range arg.([]any) {
				if matches(at, choice.(map[string]any), value) {
					n++
				}
			}
			if n == 0 || keyword == "oneOf" && n != 1 {
				v.fail(at, "%v meets %d of %s", value, n, keyword)
			}
		case "items", "minItems":
			v.checkItems(at, keyword, arg, value)
		default:
			v.checkObject(at, keyword, s, value)
		}
	}
}

// goRegexp turns the escapes of a JSON schema's pattern into Go's.
func goRegexp(pattern any) string {
	return regexp.MustCompile(`\\u([0-9a-f]{4})`).ReplaceAllString(pattern.(string), `\x{$1}`)
}

func (v *validator) checkType(at string, arg, value any) {
	types, ok := arg.([]any)
	if !ok {
		types = []any{arg}
	}
	kinds := map[string]bool{}
	switch value.(type) {
	case string:
		kinds["string"] = true
	case bool:
		kinds["boolean"] = true
	case int:
		kinds["integer"], kinds["number"] = true, true
	case float64:
		kinds["number"] = true
	case nil:
		kinds["null"] = true
	case map[string]any:
		kinds["object"] = true
	case []any:
		kinds["array"] = true
	}
	if !slices.ContainsFunc(types, func(t any) bool { return kinds[t.(string)] }) {
		v.fail(at, "%v is no %v", value, arg)
	}
}

func (v *validator) checkItems(at, keyword string, arg, value any) {
	list, ok := value.([]any)
	if !ok {
		return
	}
	if keyword == "minItems" && float64(len(list)) < arg.(float64) {
		v.fail(at, "too few items")
	}
	if keyword == "items" {
		for i, item := range list {
			v.check(fmt.Sprintf("%s[%d]", at, i), arg.(map[string]any), item)
		}
	}
}

func (v *validator) checkObject(at, keyword string, s map[string]any, value any) {
	object, ok := value.(map[string]any)
	if !ok {
		return
	}
	properties, _ := s["properties"].(map[string]any)
	switch keyword {
	case "properties":
		for key, p := range properties {
			if inner, ok := object[key]; ok {
				v.check(join(at, key), p.(map[string]any), inner)
			}
		}
	case "required":
		for _, key := range s["required"].([]any) {
			if _, ok := object[key.(string)]; !ok {
				v.fail(at, "%s is missing", key)
			}
		}
	case "additionalProperties", "propertyNames":
		for key, inner := range object {
			if _, known := properties[key]; known {
				continue
			}
			rule, isSchema := s[keyword].(map[string]any)
			switch {
			case !isSchema:
				v.fail(at, "unknown key %s", key)
			case keyword == "propertyNames":
				v.check(join(at, key), rule, key)
			default:
				v.check(join(at, key), rule, inner)
			}
		}
	case "minProperties":
		if len(object) == 0 {
			v.fail(at, "too few properties")
		}
	default:
		v.fail(at, "the schema has the keyword %s, which this test does not know", keyword)
	}
}

func schemaOf(t *testing.T) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, schema map[string]any, text []byte) []string {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return []string{err.Error()}
	}
	var v validator
	v.check("", schema, value)
	return v.errs
}

func TestSchema_TakesEveryFileThatTheLoaderTakes(t *testing.T) {
	schema := schemaOf(t)
	if got := schema["$schema"]; got != "http://json-schema.org/draft-07/schema#" {
		t.Errorf("$schema is %v", got)
	}
	for _, file := range append(cases(t, "testdata/good/*.yaml"), cases(t, filepath.Join(root, "examples", "*.yaml"))...) {
		data, finding := readFile(file)
		if finding != nil {
			t.Fatal(finding)
		}
		if errs := validate(t, schema, data); len(errs) > 0 {
			t.Errorf("%s:\n%s", file, strings.Join(errs, "\n"))
		}
	}
}

func TestSchema_RefusesWhatHasAWrongForm(t *testing.T) {
	schema := schemaOf(t)
	for _, name := range []string{"unknown_keys", "wrong_types", "units", "not_supported_yet", "not_a_mapping", "windows_and_lake", "ranges", "shards"} {
		data, finding := readFile("testdata/bad/" + name + ".yaml")
		if finding != nil {
			t.Fatal(finding)
		}
		if errs := validate(t, schema, data); len(errs) == 0 {
			t.Errorf("%s has no mistake by the schema", name)
		}
	}
}

func TestSchema_DescribesEveryKey(t *testing.T) {
	text := string(Schema())
	everyField(typeOfConfig, "", func(path string, _ *section, f *field) {
		doc, err := json.Marshal(f.doc)
		if err != nil {
			t.Fatal(err)
		}
		doc = []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(doc)))
		if !strings.Contains(text, `"description": `+string(doc)) {
			t.Errorf("%s is not described", path)
		}
	})
}
