package verify

import (
	"maps"
	"slices"

	"tailwater/change"
)

// schemas are the stored schemas of a view, numbered.
type schemas struct {
	list    []change.Schema
	byPrint map[string]uint16
}

func newSchemas(stored map[string]change.Schema) *schemas {
	s := &schemas{byPrint: make(map[string]uint16)}
	for _, print := range slices.Sorted(maps.Keys(stored)) {
		s.byPrint[print] = uint16(len(s.list))
		s.list = append(s.list, stored[print])
	}
	return s
}

// of returns the schema of an event. An event that does not name it has the one
// whose columns are its members.
func (s *schemas) of(e *event) (uint16, bool) {
	if e.schema != "" {
		i, ok := s.byPrint[e.schema]
		return i, ok
	}
	for i := range s.list {
		if s.fits(i, e) {
			return uint16(i), true
		}
	}
	return 0, false
}

// fits reports whether the members of an event are the columns of schema i.
func (s *schemas) fits(i int, e *event) bool {
	n := 0
	for name := range e.raw {
		if !isMetadata(name) {
			n++
		}
	}
	if e.cells != nil {
		n = len(s.list[i].Columns) // the lake has every column that any schema has
	}
	if n != len(s.list[i].Columns) {
		return false
	}
	for _, c := range s.list[i].Columns {
		if _, ok, _ := e.get(c.Name); !ok {
			return false
		}
	}
	return true
}

// columns returns every column of any schema by name; where they differ in
// scale, the largest stands.
func (s *schemas) columns() map[string]change.Column {
	out := make(map[string]change.Column)
	for i := range s.list {
		for _, c := range s.list[i].Columns {
			if old, ok := out[c.Name]; ok && old.Scale > c.Scale {
				c.Scale = old.Scale
			}
			out[c.Name] = c
		}
	}
	return out
}

// shared are the columns that a schema and the tables at the source both have.
type shared struct {
	columns []change.Column
	// unseen counts those that only one side has.
	unseen int64
}

// sharedKey names a shared; table is empty where events do not name theirs.
type sharedKey struct {
	schema          uint16
	shard           string
	database, table string
}

// shareOf returns the columns of a schema that every table of the projections
// has too.
func shareOf(s *change.Schema, tables []*projection) *shared {
	out := new(shared)
	for _, c := range s.Columns {
		everywhere := len(tables) > 0
		for _, p := range tables {
			everywhere = everywhere && p.column(c.Name) >= 0
		}
		if everywhere {
			out.columns = append(out.columns, c)
		} else {
			out.unseen++
		}
	}
	for _, p := range tables[:min(1, len(tables))] {
		for i := range p.outputs[:p.shown] {
			if !slices.ContainsFunc(s.Columns, func(c change.Column) bool { return c.Name == p.outputs[i].Name }) {
				out.unseen++
			}
		}
	}
	return out
}
