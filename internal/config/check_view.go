package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tailwater/change"
	"tailwater/internal/expr"
	"tailwater/internal/view"
)

// minSalt is the least length of a salt that cannot be guessed.
const minSalt = 16

// checkTables follows the references of tables and looks at their masks.
func (l *loader) checkTables(c *Config) {
	used := map[string]bool{}
	for _, v := range sorted(c.Views) {
		used[v.From] = true
	}
	for name, t := range sorted(c.Tables) {
		at := "tables." + name
		refer(l, at+".from.source", t.From.Source, "sources", c.Sources)
		l.checkKey(at+".key", t.Key)
		l.checkSalt(at, t.Masking, t.MaskingSalt, false)
		if !used[name] && l.allFrom(c) {
			l.warn(at, "unused", "no view selects from `%s`: it is not read", name)
		}
	}
}

// allFrom reports whether every view is from a table that is there.
func (l *loader) allFrom(c *Config) bool {
	for name, v := range c.Views {
		if v == nil || !l.known("views."+name+".from") || c.Tables[v.From] == nil {
			return false
		}
	}
	return len(c.Views) > 0
}

// checkKey finds columns that a key names twice.
func (l *loader) checkKey(at string, key []string) {
	for i, k := range key {
		if slices.ContainsFunc(key[:i], func(s string) bool { return change.EqualFold(s, k) }) {
			l.at(fmt.Sprintf("%s[%d]", at, i), "duplicate-key", "`%s` is in the key twice", k)
		}
	}
}

// checkSalt checks that what hashes has a salt. inherited says that there is
// another salt to take.
func (l *loader) checkSalt(at string, masks map[string]Mask, salt Secret, inherited bool) {
	path := at + ".masking_salt"
	hashed := ""
	for column, m := range masks {
		if m.Kind == "hash" && (hashed == "" || column < hashed) {
			hashed = column
		}
	}
	switch {
	case hashed != "" && !l.has(path) && !inherited:
		l.at(at+".masking."+hashed, "missing-key", "hash needs a secret salt beside masking: anybody can hash all telephone numbers").
			Suggestion = `add masking_salt: "${file:/run/secrets/salt}"`
	case hashed != "" && l.has(path) && l.known(path) && len(salt.Reveal()) < minSalt:
		l.at(path, "out-of-range", "the salt has fewer than %d bytes: it could be guessed", minSalt)
	case l.has(path) && hashed == "" && l.known(at+".masking"):
		l.at(path, "no-effect", "masking_salt has no effect: no column is masked by hash")
	}
}

// checkViews resolves every view.
func (l *loader) checkViews(c *Config) []view.Definition {
	var all []view.Definition
	for name, v := range sorted(c.Views) {
		at := "views." + name
		if !refer(l, at+".from", v.From, "tables", c.Tables) || c.Tables[v.From] == nil {
			l.checkKey(at+".key", v.Key)
			l.checkExpressions(at, v)
			continue
		}
		t := c.Tables[v.From]
		def := view.Definition{
			Name: name, Source: t.From.Source, Database: t.From.Schema, Table: t.From.Table,
			Where: string(v.Where), QuoteBig: v.QuoteBig, TableEvents: v.TableEvents, Envelope: l.envelope(c, at, v),
			Metadata: view.Metadata{NoDB: !v.Metadata.DB, NoTable: !v.Metadata.Table, NoGTID: !v.Metadata.GTID, NoSchema: !v.Metadata.Schema, NoOld: !v.Metadata.Old},
		}
		if s := c.Sources[t.From.Source]; s != nil {
			def.Connector = s.Type
		}
		for _, item := range v.Select {
			def.Select = append(def.Select, view.Item{Name: item.Name, Expr: string(item.Expr)})
		}
		paths := l.resolveKey(at, v, t, &def)
		l.mask(at, v, t, &def, paths)
		l.validate(at, v, &def, paths)
		all = append(all, def)
	}
	return all
}

// resolveKey sets the key of a view: its own, or the table's under the names
// that the view gives its columns. It returns the path of each field.
func (l *loader) resolveKey(at string, v *View, t *Table, def *view.Definition) map[string]string {
	paths := map[string]string{
		"name": at, "where": at + ".where",
		"database": "tables." + v.From + ".from.schema", "table": "tables." + v.From + ".from.table",
	}
	for _, item := range v.Select {
		paths["select."+item.Name] = item.path
	}
	if len(v.Key) > 0 {
		def.Key = v.Key
		for i := range v.Key {
			paths[fmt.Sprintf("key[%d]", i)] = fmt.Sprintf("%s.key[%d]", at, i)
		}
		return paths
	}
	if len(t.Key) == 0 {
		if !l.has(at+".key") && !l.has("tables."+v.From+".key") {
			l.at(at, "missing-key", "neither `%s` nor the table `%s` says what identifies a row", def.Name, v.From).
				Suggestion = "add key: [shard, id] to either, with the columns of the primary key"
		}
		return paths
	}
	for i, column := range t.Key {
		name := viewColumn(v, column)
		if name == "" {
			l.at(at, "missing-key", "the view does not copy `%s`, which is in the key of table `%s`", column, v.From).
				Suggestion = "select it, or give the view a key of its own"
			continue
		}
		paths[fmt.Sprintf("key[%d]", len(def.Key))] = fmt.Sprintf("tables.%s.key[%d]", v.From, i)
		def.Key = append(def.Key, name)
	}
	return paths
}

// viewColumn returns the name under which a view has a column of the table.
func viewColumn(v *View, column string) string {
	if change.EqualFold(column, "shard") || len(v.Select) == 0 {
		return column
	}
	star := false
	for _, item := range v.Select {
		e := strings.TrimSpace(string(item.Expr))
		if change.EqualFold(e, column) || e == "" && change.EqualFold(item.Name, column) {
			return item.Name
		}
		star = star || item.Name == "*"
	}
	if star {
		return column
	}
	return ""
}

// mask merges the masks of a table and a view. A view may add, never weaken.
func (l *loader) mask(at string, v *View, t *Table, def *view.Definition, paths map[string]string) {
	table := "tables." + v.From
	l.checkSalt(at, v.Masking, v.MaskingSalt, l.has(table+".masking_salt"))
	if len(t.Masking)+len(v.Masking) == 0 {
		return
	}
	def.Masking = map[string]view.Mask{}
	add := func(at, column string, m Mask, salt Secret) {
		paths["masking."+column] = at + ".masking." + column
		mask := view.Mask{Kind: m.Kind, Keep: m.Keep}
		if m.Kind == "hash" {
			mask.Salt = []byte(salt.Reveal())
		}
		def.Masking[column] = mask
	}
	for column, m := range t.Masking {
		add(table, column, m, t.MaskingSalt)
	}
	salt := v.MaskingSalt
	if salt.IsZero() {
		salt = t.MaskingSalt
	}
	for column, m := range v.Masking {
		clash := ""
		for masked := range t.Masking {
			if change.EqualFold(masked, column) {
				clash = masked
			}
		}
		if clash != "" {
			l.at(at+".masking."+column, "name-clash", "table `%s` masks `%s` in every view already", v.From, clash)
			continue
		}
		add(at, column, m, salt)
	}
}

// validate lets the view package look at a definition, and points its problems
// into the file.
func (l *loader) validate(at string, v *View, def *view.Definition, paths map[string]string) {
	for _, p := range view.Validate(def) {
		path, ok := paths[p.Field]
		if !ok {
			path = at
		}
		if l.doc.unknown[path] {
			continue
		}
		if m := l.doc.marks[path]; p.Offset < 0 && m.key != nil && strings.HasPrefix(p.Field, "select.") {
			l.on(path, m.key, "bad-name", "%s", p.Message).Suggestion = p.Hint
			continue
		}
		l.pointInto(path, problemCode(p.Field), p.Offset, p.Message, p.Hint)
	}
}

func problemCode(field string) string {
	switch {
	case field == "database" || field == "table":
		return "bad-pattern"
	case field == "name" || strings.HasPrefix(field, "masking"):
		return "bad-name"
	case strings.HasPrefix(field, "key"):
		return "bad-key"
	}
	return "bad-expression"
}

// pointInto reports a problem at an offset of a path's text; -1 is the whole.
func (l *loader) pointInto(path, code string, offset int, message, hint string) {
	m, ok := l.doc.marks[path]
	if !ok || m.value.Kind != yaml.ScalarNode {
		l.at(path, code, "%s", message).Suggestion = hint
		return
	}
	if strings.ContainsRune(m.value.Value, '$') || offset < 0 {
		// References move what stands behind them.
		offset = 0
	}
	line, column := l.doc.locate(m.value, offset)
	l.report(place{path, line, column}, code, "%s", message).Suggestion = hint
}

// checkExpressions checks what can be checked of a view without its table.
func (l *loader) checkExpressions(at string, v *View) {
	l.syntaxOf(at+".where", v.Where)
	for _, item := range v.Select {
		if item.Name != "*" {
			l.syntaxOf(item.path, item.Expr)
		}
	}
}

// syntaxOf checks an expression that stands at a path.
func (l *loader) syntaxOf(path string, e Expr) {
	if e == "" || !l.known(path) {
		return
	}
	err := expr.CheckSyntax(string(e))
	if err == nil {
		return
	}
	s, ok := err.(*expr.SyntaxError)
	if !ok {
		s = &expr.SyntaxError{Offset: -1, Msg: err.Error()}
	}
	l.pointInto(path, "bad-expression", s.Offset, s.Msg, s.Hint)
}
