package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"tailwater/change"
)

// parallelShards bounds how many servers are read at once.
const parallelShards = 4

// compare holds the rows of the sources against the entries of a pass.
func (r *rows) compare(ctx context.Context, p *pass) error {
	r.v.progress.begin("reading the tables of view "+r.def.Name, 0)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelShards)
	for id, s := range r.servers {
		g.Go(func() error {
			c := comparison{r: r, pass: p, server: s, entries: p.entries[id]}
			for _, t := range r.tables[id] {
				if why := r.incomparable(p, id, t.table.database, t.table.name); why != "" {
					r.v.findings.note("view %s: table %s.%s of shard %s cannot be compared, because rows left it or came to it without events: %s", r.def.Name, t.table.database, t.table.name, id, why)
					continue
				}
				if err := c.table(ctx, t); err != nil {
					if moved(err) {
						return fmt.Errorf("%w: table %s.%s of shard %s: %w", errAgain, t.table.database, t.table.name, id, err)
					}
					return fmt.Errorf("shard %s, table %s.%s: %w", id, t.table.database, t.table.name, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// comparison is the work on one shard in one pass.
type comparison struct {
	r       *rows
	pass    *pass
	server  *server
	entries map[uint64]entry
	hash    hasher
	shares  map[uint16]*placed
}

// placed says where the columns that a schema and a table share stand in the
// table's projection.
type placed struct {
	*shared
	outputs []int
}

// table reads one table from its first row to its last.
func (c *comparison) table(ctx context.Context, p *projection) error {
	c.shares = make(map[uint16]*placed)
	row := newScanRow(p.selected)
	if !p.table.ordered() {
		_, err := c.page(ctx, p, row, "SELECT "+selectList(p.selected)+" FROM "+from(p.table), nil)
		return err
	}
	keys := make([]int, len(p.table.key))
	columns := p.selected
	for i, k := range p.table.key {
		keys[i] = p.source[k].at
		if keys[i] < 0 { // a column that is dropped is still walked by
			keys[i] = len(columns)
			columns = append(columns[:len(columns):len(columns)], p.table.columns[k])
		}
	}
	row = newScanRow(columns)
	order := list(keyColumns(p.table))
	text := "SELECT " + selectList(columns) + " FROM " + from(p.table)
	tail := fmt.Sprintf(" ORDER BY %s LIMIT %d", order, c.r.v.o.PageRows)
	n, err := c.page(ctx, p, row, text+tail, nil)
	// A key that is no text cannot be sent back: the rows behind it are found
	// behind the last key that is one, by their number.
	after, skip := "", 0
	var args []any
	for err == nil && n == c.r.v.o.PageRows {
		skip += n
		if row.texts(keys) {
			args, after, skip = pageArgs(row, keys), " WHERE "+behind(keyColumns(p.table)), 0
		}
		n, err = c.page(ctx, p, row, text+after+tail+fmt.Sprintf(" OFFSET %d", skip), args)
	}
	return err
}

func from(t *table) string { return identifier(t.database) + "." + identifier(t.name) }

func keyColumns(t *table) []change.Column {
	out := make([]change.Column, len(t.key))
	for i, k := range t.key {
		out[i] = t.columns[k]
	}
	return out
}

func list(columns []change.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = identifier(c.Name)
	}
	return strings.Join(names, ", ")
}

// behind is the condition of a row behind a given key. Servers find the rows by
// an index with a condition on single columns, not with one on a list of them.
func behind(key []change.Column) string {
	name := identifier(key[0].Name)
	if len(key) == 1 {
		return name + " > ?"
	}
	return name + " >= ? AND (" + name + " > ? OR (" + behind(key[1:]) + "))"
}

// pageArgs are the arguments of behind for the last row that was read.
func pageArgs(row *scanRow, keys []int) []any {
	var args []any
	for i, k := range keys {
		arg := keyArg(row.columns[k].Type, row.raw[k])
		args = append(args, arg)
		if i < len(keys)-1 {
			args = append(args, arg)
		}
	}
	return args
}

// keyArg is a value of a key as an argument: numbers that came as text are
// numbers again.
func keyArg(t change.Type, v any) any {
	b, ok := v.([]byte)
	if !ok {
		return v
	}
	switch t {
	case change.Int, change.Year:
		if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
			return n
		}
	case change.Uint:
		if n, err := strconv.ParseUint(string(b), 10, 64); err == nil {
			return n
		}
	}
	return v
}

// page reads and compares the rows of one SELECT. It always uses a prepared
// statement: only in that protocol floating-point numbers keep all their digits.
func (c *comparison) page(ctx context.Context, p *projection, row *scanRow, text string, args []any) (int, error) {
	stmt, err := c.server.conn.PrepareContext(ctx, text)
	if err != nil {
		return 0, err
	}
	defer stmt.Close()
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		if err := c.next(p, row, rows); err != nil {
			return n, err
		}
		n++
	}
	c.r.v.progress.add(int64(n))
	if err := errors.Join(rows.Err(), rows.Close(), stmt.Close()); err != nil {
		return n, err
	}
	return n, c.server.release(ctx)
}

// next compares one row.
func (c *comparison) next(p *projection, row *scanRow, rows *sql.Rows) error {
	if err := row.scan(rows); err != nil {
		return err
	}
	key, err := p.identify(row.cells)
	if err != nil {
		return err
	}
	hash := c.hash.identity(c.r.keyTypes, p.shard, key)
	if !c.pass.keys.has(hash) {
		return nil
	}
	shown := showKey(p, key)
	if c.r.byTable {
		hash = c.hash.within(hash, p.table.database, p.table.name)
	}
	values, taken, err := p.evaluate()
	if err != nil {
		return fmt.Errorf("view %s, key %s: %w", c.r.def.Name, shown(), err)
	}
	if !taken {
		return nil
	}
	e, known := c.entries[hash]
	switch {
	case known && e.state&busy != 0:
	case known && !c.r.trusted(e):
		c.r.unseenRows.Add(1)
	case known && e.state&found != 0:
		c.r.add(suspect{kind: Ambiguous, shard: p.shard, projection: p, key: shown(),
			text: "two rows of the source have this key; it must tell every row apart"})
	case known && c.r.alive(c.pass, p.shard, &e):
		c.values(p, hash, e, values, shown)
	case c.r.complete(p.shard):
		text := "the source has the row, the stream has no event of it"
		if known {
			text = "the source has the row, its last event deletes it"
		}
		c.r.add(suspect{kind: Lost, shard: p.shard, projection: p, key: shown(), text: text})
	case known:
		c.r.add(suspect{kind: Lost, shard: p.shard, projection: p, key: shown(), text: "the source has the row, its last event deletes it"})
	default:
		c.r.unseenRows.Add(1)
	}
	if known {
		e.state |= found
		c.entries[hash] = e
	}
	return nil
}

// values compares the values of a row with the hash of its last event.
func (c *comparison) values(p *projection, hash uint64, e entry, values []cell, shown func() string) {
	if e.state&dark != 0 {
		return // that is told already
	}
	s := c.place(p, e.schema)
	c.r.compared.Add(1)
	c.r.columns.Add(int64(len(s.columns)))
	c.r.unseen.Add(s.unseen)
	c.hash.reset()
	for i, col := range s.columns {
		c.hash.cell(col.Type, values[s.outputs[i]])
	}
	if c.hash.sum() == e.values {
		return
	}
	want := make(map[string]cell, len(s.columns))
	for i, col := range s.columns {
		want[col.Name] = values[s.outputs[i]]
	}
	c.r.add(suspect{kind: Altered, shard: p.shard, hash: hash, projection: p, key: shown(), want: want, lsn: change.LSNFromBytes(e.lsn[:])})
}

// place finds the columns of a schema in a projection.
func (c *comparison) place(p *projection, schema uint16) *placed {
	if s, ok := c.shares[schema]; ok {
		return s
	}
	tables := []*projection{p}
	if !c.r.byTable {
		tables = c.r.tables[p.shard]
	}
	s := &placed{shared: shareOf(&c.r.schemas.list[schema], tables)}
	for _, col := range s.columns {
		s.outputs = append(s.outputs, p.column(col.Name))
	}
	c.shares[schema] = s
	return s
}

// showKey returns the key for a person, when it is asked for.
func showKey(p *projection, key []cell) func() string {
	return func() string {
		var b strings.Builder
		for i, c := range key {
			b.WriteByte("[,"[min(i, 1)])
			switch {
			case p.key[i].output >= 0 && p.outputs[p.key[i].output].secret:
				b.WriteString(`"***"`)
			case c.null:
				b.WriteString("null")
			case c.raw:
				b.WriteString(`{"_raw":` + string(quote(clip(c.text))) + "}")
			default:
				b.Write(quote(clip(c.text)))
			}
		}
		return b.String() + "]"
	}
}

// sweep counts what was left out, and finds rows that only the stream has.
func (r *rows) sweep(p *pass) {
	for shard, entries := range p.entries {
		for hash, e := range entries {
			switch {
			case e.state&busy != 0:
				r.busy.Add(1)
			case r.alive(p, shard, &e) && e.state&found == 0 && r.trusted(e) && r.incomparable(p, shard, r.named[e.table][0], r.named[e.table][1]) == "":
				r.add(suspect{kind: Extra, shard: shard, hash: hash, lsn: change.LSNFromBytes(e.lsn[:]),
					text: "the stream has the row, the source does not"})
			}
		}
	}
}
