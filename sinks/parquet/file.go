package parquet

import (
	"fmt"
	"reflect"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/uncompressed"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"tailwater/change"
)

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

// codecs are a worker's; they keep their encoders from one file to the next.
type codecs struct{ fastest, normal zstd.Codec }

func newCodecs() *codecs {
	c := new(codecs)
	c.fastest.Level, c.fastest.Concurrency = zstd.SpeedFastest, 1
	c.normal.Level, c.normal.Concurrency = zstd.SpeedDefault, 1
	return c
}

func (k *codecs) of(c Codec) (compress.Codec, error) {
	switch c.Compression {
	case "zstd":
		if c.Level == "default" {
			return &k.normal, nil
		}
		return &k.fastest, nil
	case "snappy":
		return &snappy.Codec{}, nil
	case "none":
		return &uncompressed.Codec{}, nil
	}
	return nil, fmt.Errorf("compression %q of a manifest is not known to this program", c.Compression)
}
