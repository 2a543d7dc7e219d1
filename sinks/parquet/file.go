package parquet

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/uncompressed"
	"github.com/parquet-go/parquet-go/compress/zstd"

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

// rowGroupRows bounds a row group, and with it what a writer holds in memory.
const rowGroupRows = 100_000

// orderedGroup is a group whose fields keep the order given; the library's own
// sorts them by name, and people read files in column order.
type orderedGroup struct {
	pq.Group
	fields []pq.Field
}

// Fields returns the fields in the order of the columns.
func (g orderedGroup) Fields() []pq.Field { return g.fields }

// field is one named node of an orderedGroup.
type field struct {
	pq.Node
	name string
}

// Name returns the column's name.
func (f field) Name() string { return f.name }

// Value is never asked for: rows are written, not structs.
func (f field) Value(base reflect.Value) reflect.Value { return base.FieldByName(f.name) }

// schemaOf makes the file's schema.
func schemaOf(view string, cols []Column) *pq.Schema {
	g := orderedGroup{Group: make(pq.Group, len(cols))}
	for _, c := range cols {
		n := pq.Optional(nodeOf(c))
		g.Group[c.Name] = n
		g.fields = append(g.fields, field{n, c.Name})
	}
	return pq.NewSchema(view, g)
}

func nodeOf(c Column) pq.Node {
	switch c.Kind {
	case KindInt:
		return pq.Int(64)
	case KindDecimal:
		switch {
		case c.Precision <= 9:
			return pq.Decimal(c.Scale, c.Precision, pq.Int32Type)
		case c.Precision <= 18:
			return pq.Decimal(c.Scale, c.Precision, pq.Int64Type)
		}
		return pq.Decimal(c.Scale, c.Precision, pq.FixedLenByteArrayType(decimalBytes))
	case KindFloat:
		return pq.Leaf(pq.FloatType)
	case KindDouble:
		return pq.Leaf(pq.DoubleType)
	case KindBool:
		return pq.Leaf(pq.BooleanType)
	case KindDate:
		return pq.Date()
	case KindTimestamp:
		return pq.TimestampAdjusted(pq.Microsecond, true)
	case KindDateTime:
		return pq.TimestampAdjusted(pq.Microsecond, false)
	case KindBytes:
		return pq.Leaf(pq.ByteArrayType)
	}
	if c.Source == change.Enum || c.From == "_op" || c.From == "_shard" || c.From == "_table" || c.From == "_db" || c.From == "_schema" {
		return pq.Encoded(pq.String(), &pq.RLEDictionary)
	}
	return pq.String()
}

func codecOf(c Codec) (compress.Codec, error) {
	switch c.Compression {
	case "zstd":
		level := zstd.SpeedFastest
		if c.Level == "default" {
			level = zstd.SpeedDefault
		}
		return &zstd.Codec{Level: level}, nil
	case "snappy":
		return &snappy.Codec{}, nil
	case "none":
		return &uncompressed.Codec{}, nil
	}
	return nil, fmt.Errorf("compression %q of a manifest is not known to this program", c.Compression)
}

// fileWriter writes the rows of one batch that belong to one directory.
type fileWriter struct {
	cols  []Column
	conv  []converter
	names []string
	// column i reads member from[i] of names.
	from   []int
	picker *codec.Picker
	raw    [][]byte
	vals   pq.Row
	routes map[string][]bool
	// schemas are the view's, by fingerprint.
	schemas map[string]*change.Schema
}

func newFileWriter(m *Manifest, schemas map[string]*change.Schema) *fileWriter {
	w := &fileWriter{cols: m.Columns, conv: make([]converter, len(m.Columns)), schemas: schemas, routes: make(map[string][]bool)}
	index := make(map[string]int)
	for i, c := range m.Columns {
		w.conv[i].col = c
		at, ok := index[c.From]
		if !ok {
			at = len(w.names)
			index[c.From] = at
			w.names = append(w.names, c.From)
		}
		w.from = append(w.from, at)
	}
	w.picker = codec.NewPicker(w.names)
	w.raw = make([][]byte, len(w.names))
	w.vals = make(pq.Row, len(m.Columns))
	return w
}

// route says which columns take the values of events with a schema: of several
// columns made of one view column, the one of the event's own type does.
func (w *fileWriter) route(fingerprint string) []bool {
	if r, ok := w.routes[fingerprint]; ok {
		return r
	}
	r := make([]bool, len(w.cols))
	s := w.schemas[fingerprint]
	for i, c := range w.cols {
		r[i] = c.Source == "" || s == nil && i == lastOf(w.cols, c.From)
		if s == nil || r[i] {
			continue
		}
		for _, vc := range s.Columns {
			if vc.Name == c.From && fits(c, columnOf(vc)) {
				r[i] = true
			}
		}
	}
	w.routes[fingerprint] = r
	return r
}

// lastOf returns the index of the newest typed column made of a view column.
func lastOf(cols []Column, from string) int {
	last := -1
	for i, c := range cols {
		if c.From == from && !c.Misfit {
			last = i
		}
	}
	return last
}

// convert fills w.vals with one event. misfit is called for each column whose
// value its type cannot hold.
func (w *fileWriter) convert(r *row, misfit func(from string)) error {
	if err := w.picker.Pick(r.value, w.raw); err != nil {
		return fmt.Errorf("event %s: %w", r.lsn, err)
	}
	takes := w.route(r.schema)
	for i := range w.cols {
		w.vals[i] = pq.NullValue().Level(0, 0, i)
	}
	for i, c := range w.cols {
		raw := w.raw[w.from[i]]
		if c.Misfit || !takes[i] || raw == nil || string(raw) == "null" {
			continue
		}
		v, err := w.conv[i].value(raw)
		if errors.Is(err, errMisfit) {
			misfit(c.From)
			if err := w.keepText(c.From, raw); err != nil {
				return fmt.Errorf("event %s, column %s: %w", r.lsn, c.Name, err)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("event %s, column %s: %w", r.lsn, c.Name, err)
		}
		w.vals[i] = v.Level(0, 1, i)
	}
	return nil
}

// keepText puts a value that its typed column cannot hold into its text column.
func (w *fileWriter) keepText(from string, raw []byte) error {
	for i, c := range w.cols {
		if c.Misfit && c.From == from {
			v, err := w.conv[i].value(raw)
			w.vals[i] = v.Level(0, 1, i)
			return err
		}
	}
	return errMisfit
}

// write writes a whole file of the rows of one directory to out.
func (w *fileWriter) write(out io.Writer, m *Manifest, rows []row, dir int) (err error) {
	cc, err := codecOf(m.Codec)
	if err != nil {
		return err
	}
	pw := pq.NewWriter(out, schemaOf(m.View, w.cols), pq.Compression(cc),
		pq.CreatedBy("tailwater", fmt.Sprint(formatVersion), ""), pq.PageBufferSize(256<<10),
		pq.KeyValueMetadata("tailwater.first", fmt.Sprint(m.First)), pq.KeyValueMetadata("tailwater.last", fmt.Sprint(m.Last)),
		pq.MaxRowsPerRowGroup(rowGroupRows))
	one := make([]pq.Row, 1)
	for i := range rows {
		if rows[i].dir != dir {
			continue
		}
		if err := w.convert(&rows[i], func(string) {}); err != nil {
			return err
		}
		one[0] = w.vals
		if _, err := pw.WriteRows(one); err != nil {
			return fmt.Errorf("write rows: %w", err)
		}
	}
	if err := pw.Close(); err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	return nil
}
