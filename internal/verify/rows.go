package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"tailwater/change"
	"tailwater/internal/view"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// rows compares the rows of one view.
type rows struct {
	v       *verifier
	def     *view.Definition
	topic   *topic
	schemas *schemas
	servers map[string]*server
	// tables are the projections of each shard.
	tables map[string][]*projection
	// keyTypes are the types of the key's columns; text where tables differ.
	keyTypes []change.Type
	// byTable says that events name their physical table.
	byTable bool
	shares  map[sharedKey]*shared
	suspect []suspect
	// named are the physical tables of entries, by number, and numbers the other
	// way round.
	named   [][2]string
	numbers map[[2]string]uint32

	compared, columns, unseen, unseenRows, busy, events atomic.Int64
}

// suspect is a difference whose texts are looked up at the end.
type suspect struct {
	kind  Kind
	shard string
	hash  uint64
	// projection is the table of a row of the source, want its values by column.
	projection *projection
	key        string
	table      string
	want       map[string]cell
	text       string
	lsn        change.LSN
}

func (v *verifier) newRows(ctx context.Context, def *view.Definition, servers []*server) (*rows, error) {
	r := &rows{
		v: v, def: def, servers: make(map[string]*server), tables: make(map[string][]*projection),
		byTable: !def.Metadata.NoDB && !def.Metadata.NoTable, shares: make(map[sharedKey]*shared),
		numbers: make(map[[2]string]uint32),
	}
	n, err := newNames(def)
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		if s.shard.Source != def.Source {
			continue
		}
		r.servers[s.shard.ID] = s
		for _, t := range s.tables {
			captures, ok := n.match(t.database, t.name)
			if !ok {
				continue
			}
			p, err := newProjection(def, s.shard.ID, t, captures)
			if err != nil {
				return nil, fmt.Errorf("shard %s: %w", s.shard.ID, err)
			}
			r.tables[s.shard.ID] = append(r.tables[s.shard.ID], p)
			r.addKeyTypes(p)
		}
	}
	if r.topic, err = v.openTopic(ctx, def.Name); err != nil {
		return nil, err
	}
	stored, err := v.log.Schemas(ctx, def.Name)
	if err != nil {
		return nil, fmt.Errorf("read the schemas of view %s: %w", def.Name, err)
	}
	r.schemas = newSchemas(stored)
	if !r.topic.whole {
		v.findings.note("view %s: records of the stream are gone and the lake does not have them all; rows without an event count as unseen", def.Name)
	}
	return r, nil
}

func (r *rows) addKeyTypes(p *projection) {
	first := r.keyTypes == nil
	for i, k := range p.key {
		t := change.Text
		if k.output >= 0 {
			t = p.outputs[k.output].Type
		}
		switch {
		case first:
			r.keyTypes = append(r.keyTypes, t)
		case i < len(r.keyTypes) && r.keyTypes[i] != t:
			r.keyTypes[i] = change.Text
		}
	}
}

// trusted reports whether an entry is surely the last of its key: what the lake
// lacks may be newer than what it has.
func (r *rows) trusted(e entry) bool { return r.topic.whole || e.state&older == 0 }

// complete reports whether a row of a shard must have an event.
func (r *rows) complete(shard string) bool { return r.topic.whole && r.servers[shard].earliest }

// share returns what a schema and a physical table have in common.
func (r *rows) share(schema uint16, shard, database, table string) *shared {
	k := sharedKey{schema: schema, shard: shard}
	if r.byTable {
		k.database, k.table = database, table
	}
	if s, ok := r.shares[k]; ok {
		return s
	}
	var tables []*projection
	for _, p := range r.tables[shard] {
		if !r.byTable || p.table.database == database && p.table.name == table {
			tables = append(tables, p)
		}
	}
	s := shareOf(&r.schemas.list[schema], tables)
	r.shares[k] = s
	return s
}

// pass is one reading of the stream for a part of the keys.
type pass struct {
	keys    keyRange
	rest    []keyRange
	entries map[string]map[uint64]entry
	n       int
	// vanished are the events of tables as a whole, by shard.
	vanished map[string]tableEvents
	// order are violations of the order of events, kept until it is sure that
	// their keys stay in this pass.
	order  []suspect
	hash   hasher
	key    []cell
	events int64
	marks  []marks
}

// run compares the view in as many passes as memory asks for.
func (r *rows) run(ctx context.Context) error {
	todo := []keyRange{allKeys}
	passes := 0
	defer func() { r.v.result.Passes = max(r.v.result.Passes, passes) }()
	for first := true; len(todo) > 0; first = false {
		p := &pass{keys: todo[0], entries: make(map[string]map[uint64]entry), vanished: make(map[string]tableEvents)}
		for id := range r.servers {
			p.entries[id] = make(map[uint64]entry)
		}
		if err := r.fold(ctx, p); err != nil {
			return err
		}
		passes++
		if first {
			r.events.Store(p.events)
		}
		for _, s := range p.order {
			if p.keys.has(s.hash) {
				r.add(s)
			}
		}
		if err := r.compare(ctx, p); err != nil {
			return err
		}
		r.sweep(p)
		todo = append(p.rest, todo[1:]...)
	}
	return r.look(ctx)
}

// fold reads all events of the topic up to its captured end.
func (r *rows) fold(ctx context.Context, p *pass) error {
	r.v.progress.begin("reading the stream of view "+r.def.Name, r.topic.records())
	for _, batches := range r.topic.history {
		for _, b := range batches {
			if err := r.foldBatch(ctx, p, b); err != nil {
				return err
			}
		}
	}
	spans := make(map[int32]span)
	for i, b := range r.topic.bounds {
		at, m := r.topic.start(i)
		p.marks = append(p.marks, m)
		spans[int32(i)] = span{at, b.Next}
	}
	return readSpans(ctx, r.v.log, r.topic.Name, spans, func(rec *stream.Record) error {
		r.v.progress.add(1)
		return r.record(p, rec)
	})
}

// record folds one record of the stream.
func (r *rows) record(p *pass, rec *stream.Record) error {
	ok, gap := p.marks[rec.Partition].accept(rec)
	if gap != "" && p.keys.first == 0 {
		r.v.findings.add(Difference{Kind: Lost, Part: "rows", View: r.def.Name, Shard: rec.Shard, Where: at(rec), LSN: rec.LSN.String(), Text: gap + " are missing in the stream before this record"})
	}
	if !ok || rec.Kind != stream.Event {
		return nil
	}
	p.events++
	if ofTable(rec) {
		e, err := decodeEvent(rec)
		if err == nil {
			err = r.tableChange(p, e)
		}
		if err != nil {
			return r.unreadable(p, rec, err)
		}
		return nil
	}
	key, err := parseKey(rec.Key, p.key)
	if err != nil {
		return r.unreadable(p, rec, err)
	}
	p.key = key
	hash := p.hash.identity(r.keyTypes, rec.Shard, key)
	if !p.keys.has(hash) {
		return nil
	}
	e, err := decodeEvent(rec)
	if err != nil {
		return r.unreadable(p, rec, err)
	}
	return r.apply(p, e, hash, func() suspect {
		return suspect{shard: rec.Shard, key: string(rec.Key), lsn: rec.LSN}
	})
}

func at(rec *stream.Record) string {
	return fmt.Sprintf("%s/%d@%d", rec.Topic, rec.Partition, rec.Offset)
}

func (r *rows) unreadable(p *pass, rec *stream.Record, err error) error {
	if p.keys.first == 0 {
		r.v.findings.add(Difference{Kind: Unreadable, Part: "rows", View: r.def.Name, Shard: rec.Shard, Where: at(rec), LSN: rec.LSN.String(), Text: err.Error()})
	}
	return nil
}

// foldBatch folds a batch of the lake whose records have left the stream. Its
// rows lie in several files, so they come in no order: the lsn decides.
func (r *rows) foldBatch(ctx context.Context, p *pass, b parquet.Batch) error {
	for _, f := range b.Done.Files {
		err := parquet.ReadFile(ctx, r.topic.store, f, func(row *parquet.FileRow) error {
			e, err := decodeRow(row, b.Manifest)
			if err != nil {
				return err
			}
			p.events++
			if e.op == change.OnTable {
				return r.tableChange(p, e)
			}
			key, ok := r.keyOf(p, e)
			if !ok {
				r.topic.whole = false
				return nil
			}
			hash := p.hash.identity(r.keyTypes, e.shard, key)
			if !p.keys.has(hash) {
				return nil
			}
			return r.apply(p, e, hash, nil)
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if away := lakeAway(err); away != nil {
			return away
		}
		if err != nil {
			r.topic.whole = false // the lake's own check names the file
		}
	}
	return nil
}

// keyOf builds the key of a row of the lake of its columns. It is false when the
// view does not show them all.
func (r *rows) keyOf(p *pass, e *event) ([]cell, bool) {
	schema, ok := r.schemas.of(e)
	if !ok {
		return nil, false
	}
	p.key = p.key[:0]
	for _, name := range r.schemas.list[schema].Key {
		c, ok := e.cells[name]
		if !ok && change.EqualFold(name, shardName) {
			c, ok = cell{text: e.shard}, true
		}
		if !ok {
			if c, ok = r.capture(e, name); !ok {
				return nil, false
			}
		}
		p.key = append(p.key, c)
	}
	return p.key, true
}

// capture returns what a pattern captures of an event's table.
func (r *rows) capture(e *event, name string) (cell, bool) {
	n, err := newNames(r.def)
	if err != nil || e.table == "" {
		return null, false
	}
	captures, _ := n.match(e.database, e.table)
	for x, v := range captures {
		if change.EqualFold(x, name) {
			return cell{text: v}, true
		}
	}
	return null, false
}

// apply folds one event that counts. describe is nil for events that do not
// come in order.
func (r *rows) apply(p *pass, e *event, hash uint64, describe func() suspect) error {
	s := r.servers[e.shard]
	if s == nil {
		r.v.findings.note("view %s: events of shard %s, which the configuration does not have, are left out", r.def.Name, e.shard)
		return nil
	}
	if r.byTable {
		hash = p.hash.within(hash, e.database, e.table)
	}
	kind := inside
	if e.txid != "" {
		var err error
		if kind, err = s.cut.side(e.txid); err != nil {
			return fmt.Errorf("view %s, shard %s, lsn %s: %w", r.def.Name, e.shard, e.lsn, err)
		}
	}
	if kind == beyond {
		return nil
	}
	entries := p.entries[e.shard]
	old, known := entries[hash]
	lsn := e.lsn.Bytes()
	if known && string(lsn[:]) <= string(old.lsn[:]) {
		return nil
	}
	if !known {
		r.makeRoom(p)
		if !p.keys.has(hash) {
			return nil
		}
		p.n++
		entries = p.entries[e.shard] // making room has made it anew
	}
	next := entry{lsn: lsn, state: old.state &^ older, table: r.number(e.database, e.table)}
	if describe == nil {
		next.state |= older
	}
	if kind == between {
		next.values, next.schema = old.values, old.schema
		next.state |= busy
		entries[hash] = next
		return nil
	}
	at := r.named[next.table]
	if describe != nil && r.complete(e.shard) && old.state&busy == 0 && p.vanished[e.shard].unknown(at[0], at[1], e.lsn) == nil {
		was := old.state&live != 0 && !p.vanished[e.shard].gone(at[0], at[1], change.LSNFromBytes(old.lsn[:]), e.lsn)
		if text, kind := disorder(e.op, was); text != "" {
			x := describe()
			x.kind, x.hash, x.text = kind, hash, text
			if e.table != "" {
				x.table = e.database + "." + e.table
			}
			p.order = append(p.order, x)
		}
	}
	if e.op == change.Delete {
		next.state &^= live
		entries[hash] = next
		return nil
	}
	next.state = next.state&^dark | live
	var err error
	next.schema, next.values, err = r.valuesOf(&p.hash, e)
	if err != nil {
		next.state |= dark
		r.v.findings.add(Difference{Kind: Unreadable, Part: "rows", View: r.def.Name, Shard: e.shard, LSN: e.lsn.String(), Text: err.Error()})
	}
	entries[hash] = next
	return nil
}

// disorder says what is wrong with an event by what came before it.
func disorder(op change.Op, live bool) (string, Kind) {
	switch {
	case op == change.Create && live:
		return "the event creates a row that an event before it has created already", Doubled
	case op == change.Update && !live:
		return "the event updates a row that no event before it has created", Lost
	case op == change.Delete && !live:
		return "the event deletes a row that no event before it has created", Lost
	}
	return "", ""
}

// valuesOf hashes the values of an event that its table at the source has too.
func (r *rows) valuesOf(h *hasher, e *event) (uint16, [16]byte, error) {
	schema, ok := r.schemas.of(e)
	if !ok {
		return 0, [16]byte{}, fmt.Errorf("the event names the schema %q of view %s, which the stream does not hold: it was removed, or the stream is another one's", e.schema, r.def.Name)
	}
	h.reset()
	for _, c := range r.share(schema, e.shard, e.database, e.table).columns {
		v, ok, err := e.get(c.Name)
		if err != nil || !ok {
			return schema, [16]byte{}, errors.Join(fmt.Errorf("the event has no column %s, which its schema has", c.Name), err)
		}
		h.cell(c.Type, v)
	}
	return schema, h.sum(), nil
}

// makeRoom gives half of the keys to a later pass when there are too many.
func (r *rows) makeRoom(p *pass) {
	for p.n >= r.v.o.MaxKeys {
		low, high, ok := p.keys.halves()
		if !ok {
			return
		}
		p.keys = low
		p.rest = slices.Insert(p.rest, 0, high)
		p.n = 0
		for id, entries := range p.entries {
			kept := make(map[uint64]entry, len(entries)/2)
			for h, e := range entries {
				if low.has(h) {
					kept[h] = e
				}
			}
			p.entries[id] = kept
			p.n += len(kept)
		}
	}
}

// add keeps a suspect for the look-up, or only counts it.
func (r *rows) add(s suspect) {
	r.v.findings.mu.Lock()
	defer r.v.findings.mu.Unlock()
	if len(r.suspect)+len(r.v.findings.list) < r.v.findings.limit {
		r.suspect = append(r.suspect, s)
		return
	}
	r.v.findings.found++
}
