package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	pq "github.com/parquet-go/parquet-go"

	"tailwater/change"
	"tailwater/stream/codec"
)

// row is one accepted event, ready to be written.
type row struct {
	value []byte
	lsn   change.LSN
	// schema is the event's _schema; empty when the view does not show it.
	schema string
	dir    int
}

// rowOverhead is what a row costs in memory beside its JSON.
const rowOverhead = 80

// rowGroupRows bounds a row group, and with it what a writer holds in memory.
// blockRows is how many rows are handed to the column writers at once; it
// divides rowGroupRows.
const (
	rowGroupRows = 96 << 10
	blockRows    = 64
)

// built is one file of a batch as bytes, with the bounds of its rows.
type built struct {
	body   []byte
	lo, hi change.LSN
}

// fileWriter builds the files of one manifest from its rows.
type fileWriter struct {
	m      *Manifest
	codecs *codecs
	conv   []converter
	picker *codec.Picker
	raw    [][]byte
	// rawAt is the place of _raw among what is picked, of which hasRaw says that
	// it has a column.
	rawAt  int
	hasRaw bool
	// block holds up to blockRows values of each column, arena the bytes of
	// those that are not slices of an event.
	block [][]pq.Value
	fill  int
	arena []byte
	// long says that there is a row of longRow bytes or more.
	long bool
	//lint:ignore SA1019 the generic writer wants a Go type, and these columns are known at run time only.
	out *pq.Writer
	// routes say which columns take the values of events with a schema.
	routes map[string][]bool
	last   string
	takes  []bool
	// schemas are the view's, by fingerprint.
	schemas map[string]*change.Schema
	// misfits are the columns with a value that neither they nor a text
	// column of theirs can hold, in the order in which they were found, and
	// _raw where it has none.
	misfits []string
}

func newFileWriter(m *Manifest, schemas map[string]*change.Schema, k *codecs) *fileWriter {
	w := &fileWriter{
		m: m, codecs: k, conv: make([]converter, len(m.Columns)), schemas: schemas,
		routes: make(map[string][]bool), block: make([][]pq.Value, len(m.Columns)),
	}
	var names []string
	index := make(map[string]int)
	texts := make(map[string]int)
	values := make([]pq.Value, len(m.Columns)*blockRows)
	for i, c := range m.Columns {
		at, ok := index[c.From]
		if !ok {
			at = len(names)
			index[c.From] = at
			names = append(names, c.From)
		}
		if c.Misfit {
			texts[c.From] = i
		}
		w.conv[i] = converter{col: c, from: at, text: -1}
		w.block[i] = values[i*blockRows : (i+1)*blockRows : (i+1)*blockRows]
	}
	for i := range w.conv {
		if at, ok := texts[w.conv[i].col.From]; ok {
			w.conv[i].text = at
		}
	}
	if w.rawAt, w.hasRaw = index[codec.RawName]; !w.hasRaw {
		w.rawAt = len(names)
		names = append(names, codec.RawName)
	}
	w.picker = codec.NewEventPicker(names)
	w.raw = make([][]byte, len(names))
	return w
}

// longRow is the JSON from which on a batch has no bounds of open-ended
// columns: a file's footer repeats the whole of a smallest and a largest value.
const longRow = 4 << 10

// openEnded reports whether a column's values may be of any length.
func openEnded(c *Column) bool {
	return c.Kind == KindBytes || c.Kind == KindText && c.Source != change.Enum && (c.Source != "" || c.Misfit || c.From == "_old" || c.From == codec.RawName)
}

// build returns the files of the manifest, in its order. It returns errMisfit
// when misfits have been found: the manifest's columns cannot hold the rows.
func (w *fileWriter) build(rows []row) ([]built, error) {
	for i := range rows {
		w.long = w.long || len(rows[i].value) >= longRow
	}
	order, ends := byDir(rows, len(w.m.Files))
	out := make([]built, len(w.m.Files))
	start := 0
	for i, f := range w.m.Files {
		var err error
		if out[i], err = w.file(rows, order[start:ends[i]]); err != nil {
			return nil, fmt.Errorf("build %s: %w", f.Key, err)
		}
		start = ends[i]
	}
	if len(w.misfits) > 0 {
		return nil, fmt.Errorf("column %s: %w", w.misfits[0], errMisfit)
	}
	return out, nil
}

// byDir returns the indexes of the rows ordered by directory, and where those
// of each directory end.
func byDir(rows []row, dirs int) (order []int32, ends []int) {
	ends = make([]int, dirs)
	for i := range rows {
		ends[rows[i].dir]++
	}
	for i := 1; i < dirs; i++ {
		ends[i] += ends[i-1]
	}
	order = make([]int32, len(rows))
	for i := len(rows) - 1; i >= 0; i-- {
		d := rows[i].dir
		ends[d]--
		order[ends[d]] = int32(i)
	}
	copy(ends, ends[min(1, dirs):])
	if dirs > 0 {
		ends[dirs-1] = len(rows)
	}
	return order, ends
}

// file builds one file of the rows at the given indexes.
func (w *fileWriter) file(rows []row, at []int32) (built, error) {
	var buf bytes.Buffer
	if err := w.open(&buf); err != nil {
		return built{}, err
	}
	var b built
	for n, i := range at {
		r := &rows[i]
		if err := w.convert(r); err != nil {
			return built{}, err
		}
		if b.lo.IsZero() || r.lsn.Less(b.lo) {
			b.lo = r.lsn
		}
		if b.hi.Less(r.lsn) {
			b.hi = r.lsn
		}
		if w.fill == blockRows || n == len(at)-1 {
			if err := w.flush(); err != nil {
				return built{}, fmt.Errorf("write rows: %w", err)
			}
		}
		if (n+1)%rowGroupRows == 0 && n < len(at)-1 {
			if err := w.out.Flush(); err != nil {
				return built{}, fmt.Errorf("write row group: %w", err)
			}
		}
	}
	if err := w.out.Close(); err != nil {
		return built{}, fmt.Errorf("close file: %w", err)
	}
	b.body = buf.Bytes()
	return b, nil
}

// open begins a file; the writer's buffers serve all files of a batch.
func (w *fileWriter) open(buf *bytes.Buffer) error {
	if w.out != nil {
		w.out.Reset(buf)
		return nil
	}
	cc, err := w.codecs.of(w.m.Codec)
	if err != nil {
		return err
	}
	options := []pq.WriterOption{
		schemaOf(w.m.View, w.m.Columns), pq.Compression(cc), pq.CreatedBy("tailwater", fmt.Sprint(formatVersion), ""), pq.PageBufferSize(256 << 10),
		pq.DataPageStatistics(false), // the column index has them, cut short
	}
	if w.long {
		for i := range w.m.Columns {
			if c := &w.m.Columns[i]; openEnded(c) {
				options = append(options, pq.SkipPageBounds(c.Name))
			}
		}
	}
	for _, kv := range fileMetadata(w.m) {
		options = append(options, pq.KeyValueMetadata(kv[0], kv[1]))
	}
	w.out = pq.NewWriter(buf, options...)
	return nil
}

// fileMetadata is the key-value metadata of a manifest's files.
func fileMetadata(m *Manifest) [][2]string {
	return [][2]string{
		{"tailwater.incarnation", m.Incarnation}, {"tailwater.partition", fmt.Sprint(m.Partition)},
		{"tailwater.first", fmt.Sprint(m.First)}, {"tailwater.last", fmt.Sprint(m.Last)},
	}
}

// flush hands the block to the column writers.
func (w *fileWriter) flush() error {
	for i, c := range w.out.ColumnWriters() {
		values := w.block[i][:w.fill]
		if _, err := c.WriteRowValues(values); err != nil {
			return err
		}
		clear(values)
	}
	w.fill, w.arena = 0, w.arena[:0]
	return nil
}

// route says which columns take the values of events with a schema: of several
// columns made of one view column, the one of the event's own type does.
func (w *fileWriter) route(fingerprint string) []bool {
	if r, ok := w.routes[fingerprint]; ok {
		return r
	}
	r := make([]bool, len(w.conv))
	s := w.schemas[fingerprint]
	for i := range w.conv {
		c := &w.conv[i].col
		r[i] = !c.Misfit && (c.Source == "" || s == nil && i == lastOf(w.m.Columns, c.From))
	}
	if s != nil {
		w.routeSchema(r, s)
	}
	w.routes[fingerprint] = r
	return r
}

func (w *fileWriter) routeSchema(r []bool, s *change.Schema) {
	want := make(map[string]Column, len(s.Columns))
	for _, c := range s.Columns {
		want[c.Name] = columnOf(c)
	}
	for i := range w.conv {
		c := &w.conv[i].col
		if v, ok := want[c.From]; ok && c.Source != "" && !c.Misfit && fits(*c, v) {
			r[i] = true
		}
	}
}

// lastOf returns the index of the newest typed column made of a view column.
func lastOf(cols []Column, from string) int {
	last := -1
	for i := range cols {
		if cols[i].From == from && !cols[i].Misfit {
			last = i
		}
	}
	return last
}

// convert puts one event into the block.
func (w *fileWriter) convert(r *row) error {
	if err := w.picker.Pick(r.value, w.raw); err != nil {
		return fmt.Errorf("event %s: %w", r.lsn, err)
	}
	if w.raw[w.rawAt] != nil && !w.hasRaw {
		w.lacks(codec.RawName)
	}
	if w.takes == nil || r.schema != w.last {
		w.takes, w.last = w.route(r.schema), r.schema
	}
	for i := range w.conv {
		c := &w.conv[i]
		raw := w.raw[c.from]
		if raw == nil || !w.takes[i] || len(raw) == 4 && string(raw) == "null" {
			continue
		}
		v, err := c.value(raw, &w.arena)
		if errors.Is(err, errMisfit) {
			v, err = w.keepText(c, raw)
			if c.text >= 0 {
				w.block[c.text][w.fill] = v
			}
		} else {
			w.block[i][w.fill] = v.Level(0, 1, i)
		}
		if err != nil {
			return fmt.Errorf("event %s, column %s: %w", r.lsn, c.col.Name, err)
		}
	}
	w.fill++
	return nil
}

// lacks remembers that the manifest has no column for what an event says.
func (w *fileWriter) lacks(from string) {
	if !slices.Contains(w.misfits, from) {
		w.misfits = append(w.misfits, from)
	}
}

// keepText makes the text of a value that its typed column cannot hold, and
// remembers the column when it has no text column yet.
func (w *fileWriter) keepText(c *converter, raw []byte) (pq.Value, error) {
	if c.text < 0 {
		w.lacks(c.col.From)
		return pq.Value{}, nil
	}
	v, err := w.conv[c.text].value(raw, &w.arena)
	return v.Level(0, 1, c.text), err
}
