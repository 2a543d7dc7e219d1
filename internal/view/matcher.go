package view

import (
	"fmt"

	"tailwater/change"
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
// of the definitions. A table that an online schema change fills beside the real
// one is in none: its rows are copies. Match does not look at the shard: a table whose {shard} is
// not the shard's id is matched, so that Compile refuses it aloud.
func (m *Matcher) Match(source, _, database, table string) []Match {
	if change.IsShadow(table) {
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

// Names returns what the patterns of a source's views say of databases and
// tables, without their {x}.
func (m *Matcher) Names(source string) []string {
	var out []string
	for i := range m.entries {
		if e := &m.entries[i]; e.def.Source == source {
			out = append(append(out, e.database.literals...), e.table.literals...)
		}
	}
	return out
}

// MatchDatabase returns the views that take tables of a database of a source, in
// the order of the definitions.
func (m *Matcher) MatchDatabase(source, database string) []*Definition {
	var out []*Definition
	for i := range m.entries {
		e := &m.entries[i]
		if e.def.Source == source && e.database.match(database, make(map[string]string)) {
			out = append(out, e.def)
		}
	}
	return out
}
