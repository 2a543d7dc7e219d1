package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/view"
)

// pattern is database.table or database.table.column, with * and ? in it.
type pattern []string

// parsePatterns reads the patterns of a flag, of so many parts.
func parsePatterns(flag, form string, texts []string) ([]pattern, error) {
	n := strings.Count(form, ".") + 1
	var out []pattern
	for _, text := range texts {
		parts, ok := view.SplitName(text, n)
		if !ok {
			return nil, fmt.Errorf("%s %q: write %s, with * and ? for any text and any character, such as '%s'; a name with a dot in it stands in backquotes", flag, text, form, examples[n])
		}
		p := pattern(parts)
		if flag == "--table" && systemSchema(p[0]) {
			return nil, fmt.Errorf("%s %q: the tables of the server's own schemas are not printed", flag, text)
		}
		out = append(out, p)
	}
	return out, nil
}

// examples are patterns by the number of their parts.
var examples = map[int]string{2: "shop_*.orders_*", 3: "shop_*.orders_*.note"}

// matches reports whether any pattern takes a name with as many parts.
func matches(patterns []pattern, name ...string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool {
		for i := range p {
			if !glob(p[i], name[i]) {
				return false
			}
		}
		return true
	})
}

// glob matches a whole name: * stands for any text, ? for one byte, and all
// else for itself.
func glob(pattern, name string) bool {
	star, retry := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			retry++
			p, n = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// filter returns which tables are followed.
func (o *Options) filter() (binlog.Filter, error) {
	include, err1 := parsePatterns("--table", "database.table", o.Tables)
	exclude, err2 := parsePatterns("--exclude", "database.table", o.Exclude)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	// Copies of an online schema change are no rows of anybody's, unless they are
	// asked for by a name like theirs.
	shadows := slices.DeleteFunc(slices.Clone(include), func(p pattern) bool { return !change.IsShadow(p[1]) })
	return func(database, table string) bool {
		takes := len(include) == 0 || matches(include, database, table)
		if change.IsShadow(table) {
			takes = matches(shadows, database, table)
		}
		return takes && !systemSchema(database) && !matches(exclude, database, table)
	}, nil
}

// names are what the patterns say of databases and tables.
func (o *Options) names() []string {
	var out []string
	add := func(texts []string, parts int) {
		for _, text := range texts {
			if p, ok := view.SplitName(text, parts); ok {
				out = append(out, p[:2]...)
			}
		}
	}
	add(o.Tables, 2)
	add(o.Exclude, 2)
	add(o.Drop, 3)
	return out
}

// followsDatabase reports whether tables of a database are printed: what becomes
// of all of its tables at once is told then. The patterns are right, for filter
// has read them.
func (o *Options) followsDatabase(database string) bool {
	include, _ := parsePatterns("--table", "database.table", o.Tables)
	exclude, _ := parsePatterns("--exclude", "database.table", o.Exclude)
	any := func(p pattern) bool { return glob(p[0], database) }
	all := func(p pattern) bool { return any(p) && strings.Trim(p[1], "*") == "" }
	return !systemSchema(database) && (len(include) == 0 || slices.ContainsFunc(include, any)) && !slices.ContainsFunc(exclude, all)
}

// systemSchema reports whether a database is the server's own.
func systemSchema(name string) bool {
	switch strings.ToLower(name) {
	case "mysql", "sys", "information_schema", "performance_schema":
		return true
	}
	return false
}

// maxShapes bounds the plans that are kept; a server with more live shapes
// compiles some of them again.
const maxShapes = 4096

// plans holds the plan of every shape of a table, nil for one that is broken. A
// shape is known by its pointer: the reader makes a new one when it changes.
type plans struct {
	shard string
	drop  []pattern
	// envelope and connector are those of every view.
	envelope  envelope.Kind
	connector string
	known     map[*change.Table]*view.Plan
}

// of returns the plan of a table, or why it has none; nil without an error is
// one that was given up.
func (p *plans) of(t *change.Table) (*view.Plan, error) {
	if plan, ok := p.known[t]; ok {
		return plan, nil
	}
	plan, err := p.compile(t)
	if err != nil {
		return nil, err
	}
	p.keep(t, plan)
	return plan, nil
}

// giveUp makes a table broken for as long as it has this shape.
func (p *plans) giveUp(t *change.Table) { p.keep(t, nil) }

func (p *plans) keep(t *change.Table, plan *view.Plan) {
	if p.known == nil || len(p.known) >= maxShapes {
		p.known = make(map[*change.Table]*view.Plan)
	}
	p.known[t] = plan
}

// compile makes the plan of the view that selects every column of a table but
// those that are dropped.
func (p *plans) compile(t *change.Table) (*view.Plan, error) {
	def := view.Definition{Name: "events", Database: t.Database, Table: t.Name, Select: []view.Item{{Name: "*"}}, Metadata: view.Metadata{NoSchema: true},
		Envelope: p.envelope, Connector: p.connector}
	for _, c := range t.Columns {
		if matches(p.drop, t.Database, t.Name, c.Name) {
			if def.Masking == nil {
				def.Masking = make(map[string]view.Mask)
			}
			def.Masking[c.Name] = view.Mask{Kind: "drop"}
		}
	}
	var captures map[string]string
	if len(t.PrimaryKey) == 0 {
		// Without a key all rows have the same one: an update is an update.
		name := "none"
		for t.ColumnIndex(name) >= 0 {
			name += "_"
		}
		captures, def.Key = map[string]string{name: ""}, []string{name}
	}
	return view.Compile(&def, p.shard, t, captures)
}
