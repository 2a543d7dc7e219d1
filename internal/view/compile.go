package view

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/expr"
	"tailwater/internal/jsontext"
)

// shardColumn names the shard's id in keys, and in select and expressions
// where the table has no column of that name.
const shardColumn = "shard"

// cellKind says how a cell of an event is made.
type cellKind uint8

const (
	cellCopy     cellKind = iota // the text of a table column
	cellDocument                 // the text of a JSON column, as a JSON string
	cellConstant                 // a capture
	cellValue                    // a path or an expression
)

// cell makes one column of the view.
type cell struct {
	kind cellKind
	// name is the view's column, expr what it is made of.
	name, expr string
	// key is `,"name":`.
	key []byte
	// col is the column of the source that is copied.
	col int
	// text is the JSON text of a constant.
	text []byte
	// value is a path or expression.
	value *expr.Value
	// quote says which numbers become JSON strings.
	quote quoting
}

// quoting says which numbers of a cell are written as JSON strings.
type quoting uint8

const (
	quoteNone quoting = iota
	quoteBig          // integers beyond 2^53
	quoteAll          // decimals
)

// compiler makes a plan of a definition and a table.
type compiler struct {
	def   *Definition
	shard string
	table *change.Table
	plan  *Plan
	src   *source
	cols  []change.Column
	// hidden are the columns of the cells that only the key shows.
	hidden []change.Column
}

// Compile makes the plan of a view for one shape of a physical table on one
// shard. captures are those that Matcher.Match returned for the table; a
// capture called shard must repeat the shard's id. When the shape changes the
// caller compiles a new plan: a column that is gone is an error that names it.
func Compile(def *Definition, shard string, t *change.Table, captures map[string]string) (*Plan, error) {
	c := &compiler{def: def, shard: shard, table: t}
	for _, step := range []func() error{
		func() error { return c.source(captures) },
		c.columns, c.where, c.keyColumns, c.finish,
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("compile view %s for table %s.%s: %w", def.Name, t.Database, t.Name, err)
		}
	}
	return c.plan, nil
}

// source lays out the columns that expressions see: the table's behind their
// masks, then the captures, then the shard's id.
func (c *compiler) source(captures map[string]string) error {
	n := len(c.table.Columns)
	c.src = &source{table: n, columns: slices.Clone(c.table.Columns)}
	c.plan = &Plan{view: c.def.Name, shard: c.shard, table: c.table, src: c.src}
	if v, ok := captures[shardColumn]; ok && v != c.shard {
		return fmt.Errorf("{shard} stands for the shard's id, which is %q, but the name says %q: name the capture otherwise ({db}), or narrow its pattern ({db:regex})", c.shard, v)
	}
	if err := c.masks(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(captures)) {
		if strings.EqualFold(name, shardColumn) {
			continue
		}
		if i := c.table.ColumnIndex(name); i >= 0 {
			return fmt.Errorf("{%s} has the name of the column %s: name the capture otherwise", name, c.table.Columns[i].Name)
		}
		c.constant(name, captures[name])
	}
	if c.table.ColumnIndex(shardColumn) < 0 {
		c.constant(shardColumn, c.shard)
	}
	c.cols = c.src.columns
	return nil
}

func (c *compiler) constant(name, value string) {
	c.src.columns = append(c.src.columns, change.Column{Name: name, Type: change.Text})
	c.src.constants = append(c.src.constants, jsontext.AppendQuoted(nil, []byte(value)))
}

func (c *compiler) masks() error {
	for _, name := range slices.Sorted(maps.Keys(c.def.Masking)) {
		m := c.def.Masking[name]
		i := c.table.ColumnIndex(name)
		if i < 0 {
			return fmt.Errorf("masking.%s: %w", name, c.unknown(name))
		}
		if c.src.masks == nil {
			c.src.masks = make([]*masker, len(c.table.Columns))
		}
		if c.src.masks[i] != nil {
			return fmt.Errorf("masking.%s: the column is masked twice", name)
		}
		var err error
		if c.src.masks[i], c.src.columns[i], err = newMasker(&m, c.table.Columns[i]); err != nil {
			return fmt.Errorf("masking.%s: %w", name, err)
		}
		if m.Kind == maskDrop {
			c.src.columns[i].Name = ""
		}
	}
	return nil
}

// unknown is the error for a column that the table does not have.
func (c *compiler) unknown(name string) error {
	if i := c.table.ColumnIndex(name); i >= 0 && c.src.columns[i].Name == "" {
		return fmt.Errorf("column %q is dropped by its mask", name)
	}
	err := fmt.Errorf("the table has no column %q", name)
	if hint := expr.DidYouMean(name, columnNames(c.src.columns)); hint != "" {
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}

// explain adds to the error of an expression which of the columns in its text
// are dropped: to the expression they are unknown.
func (c *compiler) explain(text string, err error) error {
	for i := range c.table.Columns {
		if name := c.table.Columns[i].Name; name != "" && c.src.columns[i].Name == "" && strings.Contains(text, name) {
			return fmt.Errorf("%w (column %q is dropped by its mask)", err, name)
		}
	}
	return err
}

func columnNames(cols []change.Column) []string {
	var names []string
	for i := range cols {
		if cols[i].Name != "" {
			names = append(names, cols[i].Name)
		}
	}
	return names
}

func columnIndex(cols []change.Column, name string) int {
	return slices.IndexFunc(cols, func(c change.Column) bool { return c.Name != "" && change.EqualFold(c.Name, name) })
}

// columns resolves what is selected.
func (c *compiler) columns() error {
	items := c.def.Select
	if len(items) == 0 {
		items = []Item{{Name: "*"}}
	}
	var seen []Item
	for _, item := range items {
		expanded := []Item{item}
		if item.Name == "*" {
			expanded = c.star(items)
		}
		for _, it := range expanded {
			if msg, hint := badName(it.Name, seen); msg != "" {
				return fmt.Errorf("select.%s: %s (%s)", it.Name, msg, hint)
			}
			seen = append(seen, it)
			out, column, err := c.cell(it)
			if err != nil {
				return fmt.Errorf("select.%s: %w", it.Name, err)
			}
			c.plan.cells = append(c.plan.cells, out)
			c.plan.schema.Columns = append(c.plan.schema.Columns, column)
		}
	}
	if len(c.plan.cells) == 0 {
		return errors.New("no column is left to select")
	}
	c.plan.shown = len(c.plan.cells)
	return nil
}

// star returns every column of the table that no other item names, by its name
// or by copying it.
func (c *compiler) star(items []Item) []Item {
	var out []Item
	for i := range c.table.Columns {
		name := c.src.columns[i].Name
		named := slices.ContainsFunc(items, func(it Item) bool {
			return change.EqualFold(it.Name, name) || change.EqualFold(strings.TrimSpace(it.Expr), name)
		})
		if name != "" && !named {
			out = append(out, Item{Name: name, Expr: name})
		}
	}
	return out
}

// cell resolves one item: a column of the source by its plain name, else an
// expression.
func (c *compiler) cell(it Item) (cell, change.Column, error) {
	text := strings.TrimSpace(it.Expr)
	if text == "" {
		text = it.Name
	}
	if i := columnIndex(c.cols, text); i >= 0 {
		out, column := c.copyCell(it.Name, i)
		return out, column, nil
	}
	if i := c.table.ColumnIndex(text); i >= 0 {
		return cell{}, change.Column{}, c.unknown(text)
	}
	v, err := expr.CompileValue(text, c.cols)
	if err != nil {
		if strings.TrimSpace(it.Expr) == "" {
			err = c.unknown(it.Name)
		}
		return cell{}, change.Column{}, c.explain(text, err)
	}
	c.plan.need(v.Columns())
	column := v.Column()
	column.Name = it.Name
	return cell{kind: cellValue, name: it.Name, expr: text, key: memberKey(it.Name), value: v, quote: c.quoting(&column)}, column, nil
}

// copyCell makes the cell that copies column i of the source.
func (c *compiler) copyCell(name string, i int) (cell, change.Column) {
	column := c.cols[i]
	out := cell{name: name, expr: column.Name, key: memberKey(name), col: i, quote: c.quoting(&column)}
	switch {
	case i >= c.src.table:
		out.kind, out.text = cellConstant, c.src.constants[i-c.src.table]
	case column.Type == change.JSON:
		out.kind = cellDocument
	}
	c.plan.need([]int{i})
	column.Name = name
	return out, column
}

func (c *compiler) quoting(column *change.Column) quoting {
	switch {
	case !c.def.QuoteBig || !c.def.Envelope.IsFlat():
	case column.Type == change.Decimal:
		return quoteAll
	case column.Type == change.Int || column.Type == change.Uint || column.Type == change.Bit:
		if column.Bits == 0 || column.Bits > 53 {
			return quoteBig
		}
	}
	return quoteNone
}

// memberKey returns `,"name":`.
func memberKey(name string) []byte {
	return append(jsontext.AppendQuoted([]byte{','}, []byte(name)), ':')
}

func (c *compiler) where() error {
	if c.def.Where == "" {
		return nil
	}
	p, err := expr.CompilePredicate(c.def.Where, c.cols)
	if err != nil {
		return fmt.Errorf("where: %w", c.explain(c.def.Where, err))
	}
	c.plan.where = p
	c.plan.need(p.Columns())
	return nil
}

// keyColumns resolves the key: columns of the view, captures and the shard's
// id by name, or else the primary key. Parts of the key that the view does not
// show become cells behind those it does.
func (c *compiler) keyColumns() error {
	if len(c.def.Key) == 0 {
		return c.primaryKey()
	}
	for i, name := range c.def.Key {
		at := columnIndex(c.plan.schema.Columns, name)
		if change.EqualFold(name, shardColumn) && at >= 0 && !c.isShard(at) {
			return fmt.Errorf("key[%d]: %q is the shard's id and a column of the view: select the column under another name", i, name)
		}
		if at < 0 {
			src := columnIndex(c.cols[c.src.table:], name)
			switch {
			case src >= 0:
				at = c.hide(name, c.src.table+src)
			case change.EqualFold(name, shardColumn):
				// The table has a column of that name, which is not meant.
				at = c.constantCell(name)
			default:
				return fmt.Errorf("key[%d]: %w", i, c.unknownKey(name))
			}
		}
		c.addKey(name, at)
	}
	return nil
}

// constantCell adds the shard's id behind the columns that are shown.
func (c *compiler) constantCell(name string) int {
	c.plan.cells = append(c.plan.cells, cell{kind: cellConstant, name: name, text: jsontext.AppendQuoted(nil, []byte(c.shard))})
	c.hidden = append(c.hidden, change.Column{Name: name, Type: change.Text})
	return len(c.plan.cells) - 1
}

// isShard reports whether column at of the view is the shard's id.
func (c *compiler) isShard(at int) bool {
	cell := &c.plan.cells[at]
	return cell.kind == cellConstant && c.cols[cell.col].Name == shardColumn
}

func (c *compiler) unknownKey(name string) error {
	err := fmt.Errorf("the view has no column %q", name)
	if hint := expr.DidYouMean(name, columnNames(c.plan.schema.Columns)); hint != "" {
		return fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}

func (c *compiler) primaryKey() error {
	if c.def.ShardKey {
		c.addKey(shardColumn, c.constantCell(shardColumn))
	}
	if len(c.table.PrimaryKey) == 0 && c.def.WholeRow {
		for i := range c.plan.shown {
			c.addKey(c.plan.cells[i].name, i)
		}
		return nil
	}
	if len(c.table.PrimaryKey) == 0 {
		return fmt.Errorf("the table has no primary key: say which columns identify a row (key: [%s, ...]), or give the table a primary key", c.plan.cells[0].name)
	}
	for _, i := range c.table.PrimaryKey {
		if c.cols[i].Name == "" {
			return fmt.Errorf("column %q of the primary key is dropped by its mask: hash it, or say which columns identify a row (key)", c.table.Columns[i].Name)
		}
		at := slices.IndexFunc(c.plan.cells[:c.plan.shown], func(x cell) bool {
			return x.kind <= cellDocument && x.col == i
		})
		if at < 0 {
			c.addKey(c.cols[i].Name, c.hide(c.cols[i].Name, i))
			continue
		}
		c.addKey(c.plan.cells[at].name, at)
	}
	return nil
}

// hide adds column i of the source behind the columns that are shown.
func (c *compiler) hide(name string, i int) int {
	hidden, column := c.copyCell(name, i)
	c.plan.cells, c.hidden = append(c.plan.cells, hidden), append(c.hidden, column)
	return len(c.plan.cells) - 1
}

func (c *compiler) addKey(name string, at int) {
	c.plan.key = append(c.plan.key, at)
	c.plan.schema.Key = append(c.plan.schema.Key, name)
}

// finish prepares what stands in every event.
func (c *compiler) finish() error {
	p, m := c.plan, c.def.Metadata
	slices.Sort(p.needs)
	p.needs = slices.DeleteFunc(slices.Compact(p.needs), func(i int) bool { return i >= c.src.table })
	p.schema.View = c.def.Name
	p.old = !m.NoOld
	p.gtid = !m.NoGTID
	p.head = append(jsontext.AppendQuoted([]byte(`","_shard":`), []byte(c.shard)), `,"_ts_us":`...)
	if !m.NoDB {
		p.names = jsontext.AppendQuoted(append(p.names, `,"_db":`...), []byte(c.table.Database))
	}
	if !m.NoTable {
		p.names = jsontext.AppendQuoted(append(p.names, `,"_table":`...), []byte(c.table.Name))
	}
	if !m.NoSchema {
		p.print = append(append([]byte(`,"_schema":"`), p.schema.Fingerprint()...), '"')
	}
	p.before.places = make([]place, len(p.cells))
	p.after.places = make([]place, len(p.cells))
	p.envelope = envelope.New(c.def.Envelope, &envelope.Shape{
		Shard: c.shard, Database: c.table.Database, Table: c.table.Name, Connector: c.def.Connector,
		Columns: slices.Concat(p.schema.Columns, c.hidden), Shown: p.shown, Key: p.key, KeyNames: p.schema.Key,
	})
	return nil
}
