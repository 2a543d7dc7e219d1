package view

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tailwater/change"
)

// Capture decides which tables of a source become views without being named.
// It is immutable and safe for concurrent use.
type Capture struct {
	include, exclude []capturePattern
}

// capturePattern is a compiled "schema.table" with * in it.
type capturePattern struct {
	database, table *regexp.Regexp
	// names are its two parts as they were written.
	names []string
}

// NewCapture compiles patterns of the form schema.table, in which * stands for
// any text, the empty one too; SplitName says how they are cut. No include pattern takes every table; what an
// exclude pattern matches is not taken.
func NewCapture(include, exclude []string) (*Capture, error) {
	c := &Capture{}
	for _, part := range []struct {
		texts []string
		into  *[]capturePattern
	}{{include, &c.include}, {exclude, &c.exclude}} {
		for _, text := range part.texts {
			p, err := parseCapture(text)
			if err != nil {
				return nil, err
			}
			*part.into = append(*part.into, p)
		}
	}
	return c, nil
}

// CheckCapturePattern returns what is wrong with one pattern of NewCapture.
func CheckCapturePattern(text string) error {
	_, err := parseCapture(text)
	return err
}

func parseCapture(text string) (capturePattern, error) {
	parts, ok := SplitName(text, 2)
	if !ok {
		return capturePattern{}, fmt.Errorf("%q is no pattern of tables: write schema.table, where * stands for any text (shop.*, *.orders), and a name with a dot in it stands in backquotes (`my.db`.*)", text)
	}
	return capturePattern{wildcard(parts[0]), wildcard(parts[1]), parts}, nil
}

// wildcard compiles a text with *. Everything else stands for itself.
func wildcard(text string) *regexp.Regexp {
	return regexp.MustCompile(`^(?s:` + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, `.*`) + `)$`)
}

func (p capturePattern) match(database, table string) bool {
	return p.database.MatchString(database) && p.table.MatchString(table)
}

// Takes reports whether a table is captured. The server's own schemas, the
// tables that an online schema change fills beside the real one (_x_gho, _x_ghc,
// _x_del, _x_new, _x_old) and the server's temporary ones (#sql…) never are.
func (c *Capture) Takes(database, table string) bool {
	if SystemDatabase(database) || change.IsShadow(table) {
		return false
	}
	for _, p := range c.exclude {
		if p.match(database, table) {
			return false
		}
	}
	for _, p := range c.include {
		if p.match(database, table) {
			return true
		}
	}
	return len(c.include) == 0
}

// Names returns what the patterns say of databases and tables.
func (c *Capture) Names() []string {
	var out []string
	for _, p := range slices.Concat(c.include, c.exclude) {
		out = append(out, p.names...)
	}
	return out
}

// TakesDatabase reports whether any table of a database may be captured.
func (c *Capture) TakesDatabase(database string) bool {
	if SystemDatabase(database) {
		return false
	}
	for _, p := range c.include {
		if p.database.MatchString(database) {
			return true
		}
	}
	return len(c.include) == 0
}

// SystemDatabase reports whether a database is a server's own.
func SystemDatabase(name string) bool {
	switch strings.ToLower(name) {
	case "mysql", "sys", "information_schema", "performance_schema":
		return true
	}
	return false
}
