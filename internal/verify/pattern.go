package verify

import (
	"fmt"
	"regexp"
	"strings"

	"tailwater/internal/view"
)

// names decides which physical tables a view takes.
type names struct {
	database, table *regexp.Regexp
}

// copies matches the tables that online schema changes fill beside the real one.
var copies = regexp.MustCompile(`(?s)^(?:[_~].*_(gho|ghc|del|new|old)|#sql.*)$`)

func newNames(def *view.Definition) (names, error) {
	database, err := toRegexp(def.Database)
	if err != nil {
		return names{}, fmt.Errorf("view %s: schema pattern: %w", def.Name, err)
	}
	table, err := toRegexp(def.Table)
	if err != nil {
		return names{}, fmt.Errorf("view %s: table pattern: %w", def.Name, err)
	}
	return names{database, table}, nil
}

// toRegexp turns a pattern with {x} and {x:regex} into a regular expression
// with a named group for each.
func toRegexp(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`^(?s:`)
	for len(pattern) > 0 {
		open := strings.IndexByte(pattern, '{')
		if open < 0 {
			b.WriteString(regexp.QuoteMeta(pattern))
			break
		}
		b.WriteString(regexp.QuoteMeta(pattern[:open]))
		end := braceEnd(pattern[open:])
		if end < 0 {
			return nil, fmt.Errorf("%q has an open brace", pattern)
		}
		name, expr, has := strings.Cut(pattern[open+1:open+end], ":")
		if !has {
			expr = "[A-Za-z0-9]+"
		}
		fmt.Fprintf(&b, "(?P<%s>%s)", name, expr)
		pattern = pattern[open+end+1:]
	}
	return regexp.Compile(b.String() + `)$`)
}

// braceEnd returns where the brace at 0 is closed, or -1.
func braceEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// match returns the captures of a physical table's names, and whether the view
// takes it.
func (n names) match(database, table string) (map[string]string, bool) {
	if copies.MatchString(table) {
		return nil, false
	}
	captures := make(map[string]string)
	for _, p := range []struct {
		re   *regexp.Regexp
		name string
	}{{n.database, database}, {n.table, table}} {
		m := p.re.FindStringSubmatch(p.name)
		if m == nil {
			return nil, false
		}
		for i, x := range p.re.SubexpNames() {
			if x == "" {
				continue
			}
			if old, ok := captures[x]; ok && old != m[i] {
				return nil, false
			}
			captures[x] = m[i]
		}
	}
	return captures, true
}
