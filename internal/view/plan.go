package view

import (
	"errors"

	"tailwater/change"
)

// Plan turns the row changes of one table shape into the events of one view.
// It is not safe for concurrent use: every shard compiles its own.
type Plan struct {
	schema change.Schema
}

var errNotBuilt = errors.New("compile view: not built")

// Compile makes the plan of a view for one shape of a physical table on one
// shard. captures are those that Matcher.Match returned for the table.
func Compile(def *Definition, shard string, t *change.Table, captures map[string]string) (*Plan, error) {
	return nil, errNotBuilt
}

// Schema returns the shape of the plan's events.
func (p *Plan) Schema() change.Schema { return p.schema }

// Apply hands the events of one row change to emit, in order of LSN.
func (p *Plan) Apply(c *Change, emit func(Event) error) error { return errNotBuilt }

// Match is a view that takes a physical table.
type Match struct {
	Definition *Definition
	// Captures are the values of the patterns' {x}, by name.
	Captures map[string]string
}

// Matcher finds the views that take a physical table. It is immutable.
type Matcher struct{}

// NewMatcher compiles the patterns of the definitions.
func NewMatcher(defs []*Definition) (*Matcher, error) { return &Matcher{}, nil }

// Match returns the views that take a physical table of a shard, in the order
// of the definitions.
func (m *Matcher) Match(source, shard, database, table string) []Match { return nil }

// Problem is a mistake in a definition that shows without a table.
type Problem struct {
	// Field is where it stands: "name", "database", "table", "where", "key[1]",
	// "select.city", "masking.email".
	Field string
	// Offset is the byte in the field's text, or -1 when the whole is meant.
	Offset int
	// Message says what is wrong, Hint what to write instead.
	Message, Hint string
}

// Validate returns the mistakes of a definition that show without a table.
func Validate(def *Definition) []Problem { return nil }
