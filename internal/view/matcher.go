package view

import (
	"fmt"
	"regexp"
)

// Match is a view that takes a physical table.
type Match struct {
	Definition *Definition
	// Captures are the values of the patterns' {x}, by name.
	Captures map[string]string
}

// Matcher finds the views that take a physical table. It is immutable and safe
// for concurrent use. It holds names only, so a table that is created later
// joins its views by itself.
type Matcher struct {
	entries []matcherEntry
}

type matcherEntry struct {
	def             *Definition
	database, table *pattern
}

// shadowTable matches the tables that gh-ost and pt-online-schema-change fill
// beside the real one. Their rows are copies; the table joins its view when it
// is renamed to the real name.
var shadowTable = regexp.MustCompile(`(?s)^[_~].*_(gho|ghc|del|new|old)$`)

// NewMatcher compiles the patterns of the definitions.
func NewMatcher(defs []*Definition) (*Matcher, error) {
	m := &Matcher{}
	for _, d := range defs {
		e := matcherEntry{def: d}
		var err error
		if e.database, err = parsePattern(d.Database); err != nil {
			return nil, fmt.Errorf("view %s: database pattern %q: %w", d.Name, d.Database, err)
		}
		if e.table, err = parsePattern(d.Table); err != nil {
			return nil, fmt.Errorf("view %s: table pattern %q: %w", d.Name, d.Table, err)
		}
		m.entries = append(m.entries, e)
	}
	return m, nil
}

// Match returns the views that take a physical table of a source, in the order
// of the definitions. It does not look at the shard: a table whose {shard} is
// not the shard's id is matched, so that Compile refuses it aloud.
func (m *Matcher) Match(source, _, database, table string) []Match {
	if shadowTable.MatchString(table) {
		return nil
	}
	var out []Match
	for i := range m.entries {
		e := &m.entries[i]
		if e.def.Source != source {
			continue
		}
		captures := make(map[string]string, len(e.database.names)+len(e.table.names))
		if e.database.match(database, captures) && e.table.match(table, captures) {
			out = append(out, Match{Definition: e.def, Captures: captures})
		}
	}
	return out
}

// MatchesDatabase reports whether any view takes tables of a database of a
// source.
func (m *Matcher) MatchesDatabase(source, database string) bool {
	for i := range m.entries {
		e := &m.entries[i]
		if e.def.Source == source && e.database.match(database, make(map[string]string)) {
			return true
		}
	}
	return false
}
