package config

import (
	"fmt"
	"reflect"
	"strings"
)

//go:generate go test -run TestDocs -update .

const docsHead = `# Configuration

<!-- Generated from the structs of internal/config by go generate: edit those. -->

One YAML file says what a pipeline is. ` + "`tailwater lint`" + ` finds every mistake in it without a
machine, a variable or a network; ` + "`tailwater config schema`" + ` prints its JSON schema (draft-07)
for editors. Examples: [minimal](../examples/minimal.yaml), [shop](../examples/shop.yaml),
[MariaDB](../examples/mariadb.yaml), [Kafka](../examples/kafka.yaml), [capture](../examples/capture.yaml), [S3](../examples/s3.yaml).

## Rules

- An unknown key is an error, and so is a key that stands twice. A key exists only when its behaviour does.
- A **duration** is a number and a unit: ` + "`500ms`, `30s`, `5m`, `24h`, `14d`, `1h30m`" + `. A **size** is a number
  and a unit: ` + "`512B`, `64KiB`, `128MiB`, `10GiB`, `1TiB`, or `KB`, `MB`, `GB`, `TB`" + ` by thousands. Neither goes
  without a unit.
- References stand in values, never in keys, and are replaced after the YAML is read, so what they give cannot change
  the structure of the file:

  | reference | gives |
  |---|---|
  | ` + "`${NAME}`" + ` | the environment variable; it must be set |
  | ` + "`${NAME:-text}`" + ` | the variable, or the text when it is unset or empty |
  | ` + "`${NAME:?message}`" + ` | the variable; the message is the error when it is unset or empty |
  | ` + "`${file:/path}`" + ` | the text of a file, without the line break at its end |
  | ` + "`$$`" + ` | a dollar sign |

- A **secret** is never printed. A file of a secret that every user can read is a warning, and so is a password that
  goes over a network without TLS.
- An **expression** is CEL; NULL and decimals behave as in SQL. Quote it when YAML would read it as something else.
- A relative path starts at the directory of the file.
- A table that no view selects from is not read. There is no view but those under ` + "`views`" + `,
  unless a source has ` + "`capture`" + `: then each of its tables is a view as well, named ` + "`<schema>.<table>`" + `, for the stream only.
  Metrics and the lake take the views that the file names, and one table may feed both.
  [operations.md](operations.md#capture-every-table) says what becomes of a table that cannot be published.
- Anchors and aliases may be used; merge keys (` + "`<<`" + `) and tags (` + "`!x`" + `) may not. A file has at most 1 MiB.
`

// cell escapes what would end a cell of a table or begin an HTML element.
var cell = strings.NewReplacer("|", "\\|", "<", "&lt;")

// Docs returns docs/config.md.
func Docs() []byte {
	var b strings.Builder
	b.WriteString(docsHead)
	writeSection(&b, "", "", reflect.TypeFor[Config]())
	return []byte(b.String())
}

// inner is a section below another one.
type inner struct {
	path, doc string
	typ       reflect.Type
}

// writeSection writes the table of one section, then those below it.
func writeSection(b *strings.Builder, path, doc string, t reflect.Type) {
	title := "`" + path + "`"
	if path == "" {
		title = "The file"
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if doc != "" {
		fmt.Fprintf(b, "%s\n\n", cell.Replace(doc))
	}
	b.WriteString("| key | type | default | range or choices | meaning |\n|---|---|---|---|---|\n")
	var below []inner
	for _, f := range sectionOf(t).fields {
		word, sub := f.word(path)
		if sub != nil {
			below = append(below, *sub)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.key, word, f.defaultWords(), f.rangeWords(), cell.Replace(f.doc))
	}
	for _, s := range below {
		writeSection(b, s.path, s.doc, s.typ)
	}
}

// word returns the type of a field, and the section that it opens.
func (f *field) word(path string) (string, *inner) {
	t, at := f.typ, join(path, f.key)
	if k, ok := kinds[t]; ok {
		return k.word, nil
	}
	if t == reflect.TypeFor[Select]() {
		return "names and expressions", nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "section", &inner{at, f.doc, t.Elem()}
	case reflect.Struct:
		return "section", &inner{at, f.doc, t}
	case reflect.Map:
		return f.mapWord(at)
	case reflect.Slice:
		if k, ok := kinds[t.Elem()]; ok {
			return "list of " + k.word + "s", nil
		}
		if t.Elem().Kind() == reflect.Struct {
			return "list of sections", &inner{at + "[]", f.doc, t.Elem()}
		}
		return "list of texts", nil
	case reflect.Int:
		return "number", nil
	case reflect.Bool:
		return "true or false", nil
	}
	return "text", nil
}

func (f *field) mapWord(at string) (string, *inner) {
	elem := f.typ.Elem()
	if k, ok := kinds[elem]; ok {
		return "names and " + k.word + "s", nil
	}
	if elem.Kind() == reflect.Slice {
		return "names and lists of sections", nil
	}
	return "names and sections", &inner{at + ".<name>", "", elem.Elem()}
}

func (f *field) defaultWords() string {
	switch {
	case f.required:
		return "**required**"
	case f.filled:
		return "**required** without `capture`"
	case f.inherit != "":
		return "`" + f.inherit + "`"
	case f.def != "":
		return "`" + f.def + "`"
	}
	return ""
}

func (f *field) rangeWords() string {
	switch {
	case len(f.enum) > 0:
		return "`" + strings.Join(f.enum, "`, `") + "`"
	case f.min != "" || f.max != "":
		return f.min + " to " + f.max
	case f.pattern != "" && f.pattern != "table":
		return patterns[f.pattern].says
	case f.names != "":
		return "names: " + patterns[f.names].says
	}
	return ""
}
