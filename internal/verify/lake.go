package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"tailwater/change"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// lake compares one layout of one view.
type lake struct {
	v       *verifier
	view    string
	layout  string
	topic   *topic
	schemas *schemas
	// columns are those of all schemas, by name.
	columns []change.Column
	hash    hasher
	// chains are the committed batches by chain, in order.
	chains map[string][]parquet.Batch
}

// compareLake checks every committed file and holds its rows against the stream.
func (v *verifier) compareLake(ctx context.Context) error {
	if v.cfg.Lake == nil {
		return nil
	}
	if v.lake == nil {
		v.findings.note("the lake was not compared: %s does not exist", v.cfg.Lake.Dir)
		return nil
	}
	for i := range v.cfg.Views {
		name := v.cfg.Views[i].Name
		if !v.cfg.Views[i].Envelope.IsFlat() {
			continue
		}
		for _, layout := range v.layouts(name) {
			l := &lake{v: v, view: name, layout: layout, chains: make(map[string][]parquet.Batch)}
			if err := l.run(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lake) differ(d Difference) {
	d.Part, d.View = "lake", l.view
	l.v.findings.add(d)
}

// run reads the chains, then each batch beside its part of the stream.
func (l *lake) run(ctx context.Context) error {
	for b, err := range parquet.Committed(ctx, l.v.lake, l.view, l.layout) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if away := lakeAway(err); away != nil {
			return away
		}
		if err != nil {
			l.differ(Difference{Kind: Chain, Where: "layout " + l.layout, Text: err.Error()})
			break
		}
		id := chainID(b.Manifest.Incarnation, int(b.Manifest.Partition))
		l.chains[id] = append(l.chains[id], b)
	}
	var err error
	if l.topic, err = openTopic(ctx, l.v.log, topicName(l.v.cfg, l.view)); err != nil {
		return err
	}
	stored, err := l.v.log.Schemas(ctx, l.view)
	if err != nil {
		return fmt.Errorf("read the schemas of view %s: %w", l.view, err)
	}
	l.schemas = newSchemas(stored)
	byName := l.schemas.columns()
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		l.columns = append(l.columns, byName[name])
	}
	for _, id := range slices.Sorted(maps.Keys(l.chains)) {
		if err := l.chain(ctx, l.chains[id]); err != nil {
			return err
		}
	}
	return l.compareTail(ctx)
}

// chain compares the batches of one chain, each with the events of its offsets
// where the stream still has them.
func (l *lake) chain(ctx context.Context, batches []parquet.Batch) error {
	m := make(marks)
	started := false
	for i, b := range batches {
		l.v.progress.begin(fmt.Sprintf("reading the lake of view %s, partition %d", l.view, b.Manifest.Partition), 0)
		if i > 0 {
			l.hangs(batches[i-1].Manifest, b.Manifest)
		}
		files := &content{}
		whole, err := l.files(ctx, b, files)
		if err != nil {
			return err
		}
		if whole && files.rows != b.Manifest.Rows {
			l.differ(Difference{Kind: Chain, Where: manifestName(b.Manifest), Expected: fmt.Sprintf("%d rows", b.Manifest.Rows), Actual: fmt.Sprintf("%d rows", files.rows)})
		}
		if !l.inStream(b.Manifest) {
			continue
		}
		if !started {
			started = true
			for shard, k := range b.Manifest.Before {
				m[shard] = mark{lsn: k.LSN, n: k.N, watermark: k.Watermark}
			}
		}
		events := &content{}
		if err := l.events(ctx, b.Manifest, m, events); err != nil {
			return err
		}
		if !whole {
			continue // the missing file is named; what is left cannot be whole
		}
		l.v.result.LakeRowsCompared += files.rows
		if events.rows != files.rows || events.sum != files.sum {
			if err := l.explain(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// hangs checks that two batches follow each other.
func (l *lake) hangs(a, b *parquet.Manifest) {
	same := len(a.After) == len(b.Before)
	for shard, k := range a.After {
		same = same && b.Before[shard] == k
	}
	if a.Last != b.First || !same {
		l.differ(Difference{Kind: Chain, Where: manifestName(b), Text: fmt.Sprintf("the batch does not begin where the one before it ends, at offset %d", a.Last)})
	}
}

func manifestName(m *parquet.Manifest) string {
	return fmt.Sprintf("batch %s/%s/%s/%05d/%020d", m.View, m.Layout.Name, m.Incarnation, m.Partition, m.First)
}

// inStream reports whether the stream still has every record of a batch.
func (l *lake) inStream(m *parquet.Manifest) bool {
	if m.Incarnation != l.topic.Incarnation || int(m.Partition) >= len(l.topic.bounds) {
		return false
	}
	b := l.topic.bounds[m.Partition]
	return b.First <= m.First && m.Last <= b.Next
}

// content is a multiset of rows: their number and the sum of their hashes, in
// whatever order they come.
type content struct {
	rows int64
	sum  [2]uint64
	// detail, when set, is called with the hash of every row.
	detail func(h [16]byte, e *event)
}

func (c *content) add(h [16]byte, e *event) {
	c.rows++
	var carry uint64
	c.sum[0], carry = bits.Add64(c.sum[0], binary.BigEndian.Uint64(h[:8]), 0)
	c.sum[1], _ = bits.Add64(c.sum[1], binary.BigEndian.Uint64(h[8:]), carry)
	if c.detail != nil {
		c.detail(h, e)
	}
}

// files reads the files of a batch. whole is false when one of them could not
// be read; each of those is a difference.
func (l *lake) files(ctx context.Context, b parquet.Batch, into *content) (whole bool, err error) {
	whole = true
	keys := make(map[string]bool)
	var order uniqueness
	for _, f := range b.Done.Files {
		keys[f.Key] = true
		err := parquet.ReadFile(ctx, l.v.lake, f, func(row *parquet.FileRow) error {
			e, err := decodeRow(row, b.Manifest)
			if err != nil {
				return err
			}
			order.add(e)
			into.add(l.hashOf(e), e)
			return nil
		})
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if away := lakeAway(err); away != nil {
			return false, away
		}
		if err != nil {
			whole = false
			if into.detail == nil {
				l.differ(Difference{Kind: File, Where: f.Key, Text: err.Error()})
			}
			continue
		}
		if into.detail == nil {
			l.v.result.LakeFiles++
			l.v.result.LakeRows += f.Rows
			l.v.progress.add(f.Rows)
		}
	}
	if into.detail != nil {
		return whole, nil
	}
	for _, f := range b.Manifest.Files {
		if !keys[f.Key] {
			whole = false
			l.differ(Difference{Kind: File, Where: f.Key, Text: "its batch promises the file, and was committed without it"})
		}
	}
	for _, d := range order.check(b.Manifest) {
		l.differ(d)
	}
	return whole, nil
}

// events reads the events of a batch's offsets that count.
func (l *lake) events(ctx context.Context, m *parquet.Manifest, at marks, into *content) error {
	return readSpans(ctx, l.v.log, l.topic.Name, map[int32]span{m.Partition: {m.First, m.Last}}, func(r *stream.Record) error {
		if ok, _ := at.accept(r); !ok || r.Kind != stream.Event {
			return nil
		}
		e, err := decodeEvent(r)
		if err != nil {
			return nil // the comparison of rows names it; here its row is missing
		}
		if raw, ok := e.raw["_gtid"]; ok {
			c, err := plainJSON(raw)
			if err != nil {
				return nil
			}
			e.txid = c.text
		} else {
			e.txid = ""
		}
		into.add(l.hashOf(e), e)
		return nil
	})
}

// hashOf hashes everything that an event says: metadata, and every column that
// is not NULL, for a file does not tell NULL from absent.
func (l *lake) hashOf(e *event) [16]byte {
	h := &l.hash
	h.reset()
	lsn := e.lsn.Bytes()
	h.buf = append(append(h.buf, byte(e.op)), lsn[:]...)
	for _, s := range []string{e.shard, e.database, e.table, e.schema, e.txid, e.old.text, fmt.Sprint(e.micros), e.ddl, e.to, e.from, fmt.Sprintf("%q", e.noText)} {
		h.text(s)
	}
	known := 0
	for _, c := range l.columnsOf(e) {
		v, has, err := e.get(c.Name)
		if err != nil || !has || v.null {
			continue
		}
		known++
		h.text(c.Name)
		h.cell(c.Type, v)
	}
	if n := filled(e); n != known {
		h.text(fmt.Sprintf("%d values that the schema does not have", n-known))
	}
	return h.sum()
}

// columnsOf returns the columns of an event's schema. Where events do not name
// it, every column of every schema stands for it.
func (l *lake) columnsOf(e *event) []change.Column {
	if i, ok := l.schemas.byPrint[e.schema]; ok {
		return l.schemas.list[i].Columns
	}
	return l.columns
}

// filled counts the columns of an event that are not NULL.
func filled(e *event) (n int) {
	for _, c := range e.cells {
		if !c.null {
			n++
		}
	}
	for name, raw := range e.raw {
		if !isMetadata(name) && string(raw) != "null" {
			n++
		}
	}
	return n
}

// uniqueness checks that no event stands twice in a batch, and that all lie
// between its marks. With batches that hang together, none stands twice in a
// chain.
type uniqueness struct {
	byShard map[string][]change.LSN
}

func (u *uniqueness) add(e *event) {
	if u.byShard == nil {
		u.byShard = make(map[string][]change.LSN)
	}
	u.byShard[e.shard] = append(u.byShard[e.shard], e.lsn)
}

func (u *uniqueness) check(m *parquet.Manifest) []Difference {
	var out []Difference
	for shard, all := range u.byShard {
		slices.SortFunc(all, change.LSN.Compare)
		before, after := m.Before[shard].LSN, m.After[shard].LSN
		for i, lsn := range all {
			d := Difference{Shard: shard, LSN: lsn.String(), Where: manifestName(m)}
			switch {
			case i > 0 && all[i-1] == lsn:
				d.Kind, d.Text = Doubled, "the row stands twice in the batch"
			case !before.Less(lsn) || after.Less(lsn):
				d.Kind, d.Text = Extra, "the row lies outside the marks of its batch"
			default:
				continue
			}
			out = append(out, d)
		}
	}
	return out
}

// explain finds which rows of a batch and which events differ.
func (l *lake) explain(ctx context.Context, b parquet.Batch) error {
	type place struct {
		shard string
		lsn   change.LSN
	}
	events, rows := make(map[[16]byte]int), make(map[[16]byte]int)
	names := make(map[[16]byte]place)
	detail := func(into map[[16]byte]int) func([16]byte, *event) {
		return func(h [16]byte, e *event) {
			into[h]++
			names[h] = place{e.shard, e.lsn}
		}
	}
	m := make(marks)
	for shard, k := range b.Manifest.Before {
		m[shard] = mark{lsn: k.LSN, n: k.N, watermark: k.Watermark}
	}
	if err := l.events(ctx, b.Manifest, m, &content{detail: detail(events)}); err != nil {
		return err
	}
	if _, err := l.files(ctx, b, &content{detail: detail(rows)}); err != nil {
		return err
	}
	missing, extra := make(map[place]bool), make(map[place]int)
	for h, at := range names {
		switch {
		case events[h] > rows[h]:
			missing[at] = true
		case rows[h] > events[h]:
			extra[at] += rows[h] - events[h]
		}
	}
	for at := range missing {
		d := Difference{Kind: Lost, Shard: at.shard, LSN: at.lsn.String(), Where: manifestName(b.Manifest), Text: "the stream has the event, no file of the batch has its row"}
		if extra[at] > 0 {
			d.Kind, d.Text = Altered, "the row has other values than the event"
		}
		l.differ(d)
	}
	for at := range extra {
		if !missing[at] {
			l.differ(Difference{Kind: Extra, Shard: at.shard, LSN: at.lsn.String(), Where: manifestName(b.Manifest), Text: "a file of the batch has a row that no event of the stream accounts for"})
		}
	}
	return nil
}
