package verify

import (
	"context"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// seen is the last event of a key that differs.
type seen struct {
	e   *event
	key string
}

// look reads the stream once more for the texts of what differs, and reports it.
func (r *rows) look(ctx context.Context) error {
	wanted := make(map[uint64]bool)
	for _, s := range r.suspect {
		if s.kind == Altered || s.kind == Extra {
			wanted[s.hash] = true
		}
	}
	last, err := r.lookUp(ctx, wanted)
	if err != nil {
		return err
	}
	for _, s := range r.suspect {
		for _, d := range r.explain(&s, last[s.hash]) {
			r.v.findings.add(d)
		}
	}
	r.suspect = nil
	return nil
}

// lookUp finds the last events of keys by their hashes.
func (r *rows) lookUp(ctx context.Context, wanted map[uint64]bool) (map[uint64]seen, error) {
	last := make(map[uint64]seen)
	if len(wanted) == 0 {
		return last, nil
	}
	r.v.progress.begin("looking up what differs in view "+r.def.Name, r.topic.records())
	p := &pass{keys: allKeys}
	keep := func(e *event, hash uint64, key string) error {
		if r.byTable {
			hash = p.hash.within(hash, e.database, e.table)
		}
		s := r.servers[e.shard]
		if !wanted[hash] || s == nil {
			return nil
		}
		if e.txid != "" {
			if kind, err := s.cut.side(e.txid); err != nil || kind != inside {
				return err
			}
		}
		if old, ok := last[hash]; !ok || old.e.lsn.Less(e.lsn) {
			last[hash] = seen{e, key}
		}
		return nil
	}
	if err := r.lookUpHistory(ctx, p, keep); err != nil {
		return nil, err
	}
	spans := make(map[int32]span)
	for i, b := range r.topic.bounds {
		at, m := r.topic.start(i)
		p.marks = append(p.marks, m)
		spans[int32(i)] = span{at, b.Next}
	}
	prefixes := make(map[uint32]bool)
	for h := range wanted {
		prefixes[uint32(h>>32)] = true
	}
	err := readSpans(ctx, r.v.log, r.topic.Name, spans, func(rec *stream.Record) error {
		r.v.progress.add(1)
		if ok, _ := p.marks[rec.Partition].accept(rec); !ok || rec.Kind != stream.Event || ofTable(rec) {
			return nil
		}
		key, err := parseKey(rec.Key, p.key)
		if err != nil {
			return nil // it is reported already
		}
		p.key = key
		hash := p.hash.identity(r.keyTypes, rec.Shard, key)
		if !prefixes[uint32(hash>>32)] {
			return nil
		}
		e, err := decodeEvent(rec)
		if err != nil {
			return nil // it is reported already
		}
		return keep(e, hash, r.showKey(rec.Shard, key))
	})
	return last, err
}

// lookUpHistory is lookUp in the batches of the lake.
func (r *rows) lookUpHistory(ctx context.Context, p *pass, keep func(*event, uint64, string) error) error {
	for _, batches := range r.topic.history {
		for _, b := range batches {
			for _, f := range b.Done.Files {
				err := parquet.ReadFile(ctx, r.topic.store, f, func(row *parquet.FileRow) error {
					e, err := decodeRow(row, b.Manifest)
					if err != nil || e.op == change.OnTable {
						return nil // it is reported already, or no row's
					}
					key, ok := r.keyOf(p, e)
					if !ok {
						return nil
					}
					return keep(e, p.hash.identity(r.keyTypes, e.shard, key), r.showKey(e.shard, key))
				})
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				// A file that cannot be read is named by the lake's own check.
				if away := lakeAway(err); away != nil {
					return away
				}
			}
		}
	}
	return nil
}

// showKey shows the key of an event, parts that show a masked column hidden.
func (r *rows) showKey(shard string, key []cell) string {
	tables := r.tables[shard]
	if len(tables) == 0 || len(tables[0].key) != len(key) {
		for _, others := range r.tables {
			if len(others) > 0 && len(others[0].key) == len(key) {
				return showKey(others[0], key)()
			}
		}
		return `["***"]` // which parts are masked is not known without a table
	}
	return showKey(tables[0], key)()
}

// explain turns a suspect into differences, one for each column that differs.
func (r *rows) explain(s *suspect, last seen) []Difference {
	d := Difference{Kind: s.kind, Part: "rows", View: r.def.Name, Shard: s.shard, Key: s.key, Table: s.table, Text: s.text}
	if !s.lsn.IsZero() {
		d.LSN = s.lsn.String()
	}
	if s.projection != nil {
		d.Table = s.projection.table.database + "." + s.projection.table.name
	} else if s.key != "" {
		key, err := parseKey([]byte(s.key), nil)
		if err != nil {
			key = nil
		}
		d.Key = r.showKey(s.shard, key)
	}
	if last.e != nil {
		d.Key = last.key
		if last.e.table != "" {
			d.Table = last.e.database + "." + last.e.table
		}
	}
	if s.kind != Altered || last.e == nil {
		return []Difference{d}
	}
	out := r.differing(s, last.e, d)
	if len(out) == 0 {
		d.Text = "the values differ, but not when they are looked at again"
		out = append(out, d)
	}
	return out
}

// differing compares the values of an altered row column by column.
func (r *rows) differing(s *suspect, e *event, d Difference) []Difference {
	schema, ok := r.schemas.of(e)
	if !ok {
		return nil
	}
	var out []Difference
	names := make([]string, 0, len(s.want))
	for name := range s.want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		want := s.want[name]
		got, ok, err := e.get(name)
		t := typeOf(&r.schemas.list[schema], name)
		if err == nil && ok && got.null == want.null && got.raw == want.raw && canonical(t, got.text) == canonical(t, want.text) {
			continue
		}
		d.Column, d.Expected, d.Actual = name, want.show(), got.show()
		if !ok {
			d.Actual = "absent"
		}
		if s.projection.outputs[s.projection.column(name)].secret {
			d.Expected, d.Actual = "***", "***"
		}
		out = append(out, d)
	}
	return out
}

func typeOf(s *change.Schema, name string) change.Type {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return s.Columns[i].Type
		}
	}
	return change.Text
}

// hasPart reports whether a part was asked for.
func hasPart(only []string, part string) bool {
	return len(only) == 0 || slices.ContainsFunc(only, func(s string) bool { return strings.EqualFold(s, part) })
}
