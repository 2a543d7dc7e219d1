package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/internal/expr"
	"tailwater/internal/view"
)

// shardName is the column that stands for the shard's id.
const shardName = "shard"

// projection is a view over one physical table, evaluated row by row over
// values that were SELECTed.
type projection struct {
	def    *view.Definition
	shard  string
	table  *table
	source []sourceColumn
	// selected are the columns that a row is SELECTed with.
	selected []change.Column
	outputs  []output
	// shown is how many outputs the view has; what follows is for the key only.
	shown int
	key   []keyPart
	where *expr.Value
	// seen describes the source behind its masks, texts holds a row of it.
	seen  []change.Column
	texts textRow
	row   []cell
	out   []cell
	keys  []cell
}

// sourceColumn is a column that a view may use: one of the table behind its
// mask, a capture, or the shard's id.
type sourceColumn struct {
	change.Column
	// at is the place among the selected columns, -1 for a constant.
	at     int
	raw    change.Column
	mask   *view.Mask
	value  string
	hidden bool
}

// holdsJSON reports whether a path may lead into the column: JSON, or text of
// the server's, in which MariaDB keeps JSON.
func (c *sourceColumn) holdsJSON() bool {
	return c.Type == change.JSON || c.Type == change.Text && c.Charset != ""
}

// output is a column of the view.
type output struct {
	change.Column
	// copied is the source column of a plain copy, else -1.
	copied int
	path   path
	value  *expr.Value
	// secret says that a masked column shows in it.
	secret bool
}

// keyPart is an output or, where output is -1, the shard's id.
type keyPart struct {
	name   string
	output int
}

// newProjection lays a view over a table.
func newProjection(def *view.Definition, shard string, t *table, captures map[string]string) (*projection, error) {
	p := &projection{def: def, shard: shard, table: t}
	p.addSource(captures)
	for _, step := range []func() error{p.addOutputs, p.addKey, p.addWhere} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("view %s over table %s.%s: %w", def.Name, t.database, t.name, err)
		}
	}
	p.row = make([]cell, len(p.source))
	p.out = make([]cell, len(p.outputs))
	p.keys = make([]cell, len(p.key))
	p.texts = textRow{make(expr.Texts, len(p.source)), func(col int) bool { return p.row[col].raw }}
	return p, nil
}

func (p *projection) addSource(captures map[string]string) {
	for i := range p.table.columns {
		c := sourceColumn{Column: p.table.columns[i], raw: p.table.columns[i], at: -1}
		for name, m := range p.def.Masking {
			if change.EqualFold(name, c.Name) {
				c.mask = &m
				c.Column = change.Column{Name: c.Name, Type: change.Text, Nullable: c.Nullable}
				if m.Kind == "truncate" {
					c.Charset = c.raw.Charset
				}
			}
		}
		if c.hidden = c.mask != nil && c.mask.Kind == "drop"; !c.hidden {
			c.at = len(p.selected)
			p.selected = append(p.selected, c.raw)
		}
		p.source = append(p.source, c)
	}
	constant := func(name, value string) {
		if p.table.index(name) < 0 && p.find(name) < 0 {
			p.source = append(p.source, sourceColumn{Column: change.Column{Name: name, Type: change.Text}, at: -1, value: value})
		}
	}
	sorted := make([]string, 0, len(captures))
	for name := range captures {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		constant(name, captures[name])
	}
	constant(shardName, p.shard)
	for i := range p.source {
		c := p.source[i].Column
		if p.source[i].hidden {
			c.Name = ""
		}
		p.seen = append(p.seen, c)
	}
}

// find returns the place of a source column by name, or -1.
func (p *projection) find(name string) int {
	return slices.IndexFunc(p.source, func(c sourceColumn) bool { return !c.hidden && change.EqualFold(c.Name, name) })
}

func (p *projection) addOutputs() error {
	items := p.def.Select
	if len(items) == 0 {
		items = []view.Item{{Name: "*"}}
	}
	for _, it := range items {
		if it.Name != "*" {
			if err := p.addOutput(it.Name, it.Expr); err != nil {
				return err
			}
			continue
		}
		for i := range p.table.columns {
			c := &p.source[i]
			named := slices.ContainsFunc(items, func(it view.Item) bool {
				return change.EqualFold(it.Name, c.Name) || change.EqualFold(strings.TrimSpace(it.Expr), c.Name)
			})
			if c.hidden || named {
				continue
			}
			if err := p.addOutput(c.Name, c.Name); err != nil {
				return err
			}
		}
	}
	p.shown = len(p.outputs)
	return nil
}

func (p *projection) addOutput(name, text string) error {
	if text = strings.TrimSpace(text); text == "" {
		text = name
	}
	o := output{copied: p.find(text)}
	if o.copied >= 0 {
		o.Column, o.secret = p.source[o.copied].Column, p.source[o.copied].mask != nil
	} else if column, way, ok := parsePath(text); ok && p.find(column) >= 0 && p.source[p.find(column)].holdsJSON() {
		i := p.find(column)
		o.copied, o.path, o.secret = i, way, p.source[i].mask != nil
		o.Column = change.Column{Type: change.Text, Nullable: true}
	} else {
		v, err := expr.CompileValue(text, p.seen)
		if err != nil {
			return fmt.Errorf("select.%s: %w", name, err)
		}
		o.value, o.Column = v, v.Column()
		for _, i := range v.Columns() {
			o.secret = o.secret || p.source[i].mask != nil
		}
	}
	o.Name = name
	p.outputs = append(p.outputs, o)
	return nil
}

func (p *projection) addKey() error {
	wanted := p.def.Key
	if len(wanted) == 0 {
		return p.primaryKey()
	}
	for _, name := range wanted {
		at := slices.IndexFunc(p.outputs[:p.shown], func(o output) bool { return change.EqualFold(o.Name, name) })
		constant := slices.IndexFunc(p.source[len(p.table.columns):], func(c sourceColumn) bool { return change.EqualFold(c.Name, name) })
		switch {
		case at >= 0:
		case constant >= 0:
			at = len(p.outputs)
			i := len(p.table.columns) + constant
			p.outputs = append(p.outputs, output{Column: p.source[i].Column, copied: i})
		case change.EqualFold(name, shardName):
		default:
			return fmt.Errorf("key column %q is not there", name)
		}
		p.key = append(p.key, keyPart{name, at})
	}
	return nil
}

func (p *projection) primaryKey() error {
	if len(p.table.key) == 0 {
		return fmt.Errorf("neither the view nor the table has a key")
	}
	for _, i := range p.table.key {
		at := slices.IndexFunc(p.outputs[:p.shown], func(o output) bool { return o.value == nil && o.path == nil && o.copied == i })
		if at < 0 {
			at = len(p.outputs)
			p.outputs = append(p.outputs, output{Column: p.source[i].Column, copied: i, secret: p.source[i].mask != nil})
		}
		p.key = append(p.key, keyPart{p.outputs[at].Name, at})
	}
	return nil
}

// addWhere compiles the condition as the value of a choice: values run in
// cel-go as a whole, while conditions are split into native predicates.
func (p *projection) addWhere() error {
	if p.def.Where == "" {
		return nil
	}
	v, err := expr.CompileValue("("+p.def.Where+") ? true : false", p.seen)
	if err != nil {
		return fmt.Errorf("where: %w", err)
	}
	p.where = v
	return nil
}

// column returns the place of a shown output, or -1.
func (p *projection) column(name string) int {
	return slices.IndexFunc(p.outputs[:p.shown], func(o output) bool { return o.Name == name })
}

// identify returns the values of the view's key for a SELECTed row. It is
// cheap: only what the key needs is evaluated. The slice is valid until the
// next call.
func (p *projection) identify(selected []cell) ([]cell, error) {
	p.load(selected)
	for i, k := range p.key {
		if k.output < 0 {
			p.keys[i] = cell{text: p.shard}
			continue
		}
		v, err := p.eval(&p.outputs[k.output])
		if err != nil {
			return nil, err
		}
		p.keys[i] = v
	}
	return p.keys, nil
}

// load takes over a SELECTed row, masked.
func (p *projection) load(selected []cell) {
	for i := range p.source {
		c := &p.source[i]
		switch {
		case c.hidden:
			p.row[i] = null
		case c.at < 0:
			p.row[i] = cell{text: c.value}
		case c.mask != nil:
			p.row[i] = masked(*c.mask, &c.raw, selected[c.at])
		default:
			p.row[i] = selected[c.at]
		}
		p.texts.texts[i] = nil
	}
}

// evaluate returns the view's columns of the row that identify was called with,
// and whether the view takes the row. The slice is valid until the next call.
func (p *projection) evaluate() ([]cell, bool, error) {
	if p.where != nil {
		p.prepare(p.where)
		raw, err := p.where.AppendJSON(nil, &p.texts)
		if err != nil || string(raw) != "true" {
			return nil, false, err
		}
	}
	for i := range p.outputs[:p.shown] {
		v, err := p.eval(&p.outputs[i])
		if err != nil {
			return nil, false, err
		}
		p.out[i] = v
	}
	return p.out[:p.shown], true, nil
}

// prepare renders the columns that an expression reads.
func (p *projection) prepare(v *expr.Value) {
	for _, i := range v.Columns() {
		if p.texts.texts[i] == nil {
			p.texts.texts[i] = jsonText(p.source[i].Type, p.row[i])
		}
	}
}

func (p *projection) eval(o *output) (cell, error) {
	if o.value != nil {
		p.prepare(o.value)
		raw, err := o.value.AppendJSON(nil, &p.texts)
		if err != nil {
			return null, err
		}
		return plainJSON(raw)
	}
	v := p.row[o.copied]
	if o.path == nil || v.null {
		return v, nil
	}
	if v.raw {
		return null, fmt.Errorf("a path leads into column %s: %w", p.source[o.copied].Name, change.ErrInvalidText)
	}
	if p.source[o.copied].Type == change.Text && !json.Valid([]byte(v.text)) {
		return null, nil
	}
	return o.path.find(v.text)
}
