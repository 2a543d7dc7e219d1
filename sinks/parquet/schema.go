package parquet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/internal/objstore"
	"tailwater/stream/codec"
)

// Kind is how a column is stored.
type Kind string

// The kinds. DuckDB, Athena and Redshift read each of them.
const (
	KindInt       Kind = "int64"
	KindDecimal   Kind = "decimal"
	KindFloat     Kind = "float"
	KindDouble    Kind = "double"
	KindBool      Kind = "bool"
	KindDate      Kind = "date"
	KindTimestamp Kind = "timestamp" // microseconds, adjusted to UTC
	KindDateTime  Kind = "datetime"  // microseconds, no zone
	KindText      Kind = "text"
	KindBytes     Kind = "bytes"
)

// Column is one column of the lake's table.
type Column struct {
	// Name in the file.
	Name string `json:"name"`
	// From is the member of the event that gives the value.
	From string `json:"from"`
	// Source is the logical type of the view's column it was made for; the
	// events of a schema with another type go to another column.
	Source    change.Type `json:"source,omitempty"`
	Kind      Kind        `json:"kind"`
	Precision int         `json:"precision,omitempty"`
	Scale     int         `json:"scale,omitempty"`
	// Misfit marks the text column for values that From's typed column cannot
	// hold, such as a zero date.
	Misfit bool `json:"misfit,omitempty"`
}

// maxDecimal is the widest DECIMAL that Athena and Redshift read.
const maxDecimal = 38

// metadataColumns stand first in every file.
var metadataColumns = []Column{
	{Name: "_op", From: "_op", Kind: KindText},
	{Name: "_shard", From: "_shard", Kind: KindText},
	{Name: "_ts_us", From: "_ts_us", Kind: KindTimestamp},
	{Name: "_lsn", From: "_lsn", Kind: KindText},
	{Name: "_db", From: "_db", Kind: KindText},
	{Name: "_table", From: "_table", Kind: KindText},
	{Name: "_gtid", From: "_gtid", Kind: KindText},
	{Name: "_schema", From: "_schema", Kind: KindText},
	{Name: "_old", From: "_old", Kind: KindText},
}

// tableColumns are those of events of a table as a whole; a view's lake table has
// them from the first such event on.
var tableColumns = []Column{
	{Name: "_ddl", From: "_ddl", Kind: KindText},
	{Name: "_to", From: "_to", Kind: KindText},
	{Name: "_from", From: "_from", Kind: KindText},
}

// rawColumn names the columns of a row that hold the base64 of bytes in place of
// a text; a view's lake table has it from the first such row on.
var rawColumn = Column{Name: codec.RawName, From: codec.RawName, Kind: KindText}

// columnOf says how a view's column is stored.
func columnOf(c change.Column) Column {
	out := Column{Name: c.Name, From: c.Name, Source: c.Type, Kind: KindText}
	switch c.Type {
	case change.Int, change.Year:
		out.Kind = KindInt
	case change.Uint, change.Bit:
		out.Kind = KindInt
		if c.Bits == 64 || c.Bits == 0 {
			out.Kind, out.Precision = KindDecimal, 20
		}
	case change.Decimal:
		if c.Precision > 0 && c.Precision <= maxDecimal {
			out.Kind, out.Precision, out.Scale = KindDecimal, c.Precision, c.Scale
		}
	case change.Float:
		out.Kind = KindFloat
	case change.Double:
		out.Kind = KindDouble
	case change.Bool:
		out.Kind = KindBool
	case change.Date:
		out.Kind = KindDate
	case change.Timestamp:
		out.Kind = KindTimestamp
	case change.DateTime:
		out.Kind = KindDateTime
	case change.Bytes:
		out.Kind = KindBytes
	}
	return out
}

// schemaVersion is one version of a view's typed schema. Each one is a
// superset of the one before; versions are agreed by conditional PUT.
type schemaVersion struct {
	Version int      `json:"version"`
	Number  int      `json:"number"`
	View    string   `json:"view"`
	Columns []Column `json:"columns"`
}

func schemaKey(view string, n int) string {
	return fmt.Sprintf("_tailwater/%s/schema/%08d.json", view, n)
}

// merge returns cols with what the columns of one view schema need added. A
// change of type that does not widen starts a new column name__2.
func merge(cols []Column, schema *change.Schema) []Column {
	out := slices.Clone(cols)
	for _, c := range schema.Columns {
		want := columnOf(c)
		i := slices.IndexFunc(out, func(h Column) bool { return !h.Misfit && h.From == want.From && fits(h, want) })
		if i >= 0 {
			out[i].Precision = max(out[i].Precision, want.Precision)
			continue
		}
		want.Name = freeName(out, want.Name, "__", 2)
		out = append(out, want)
	}
	return out
}

// fits reports whether values of want may stand in column have, widened at most.
func fits(have, want Column) bool {
	if have.Kind != want.Kind {
		return false
	}
	return have.Kind != KindDecimal || have.Scale == want.Scale
}

// withMisfits adds the text columns for values that their typed column cannot
// hold, and _raw; from names the columns that have such values, or _raw.
func withMisfits(cols []Column, from []string) []Column {
	out := cols
	for _, f := range from {
		if f == codec.RawName {
			if !slices.Contains(out, rawColumn) {
				out = append(slices.Clip(out), rawColumn)
			}
			continue
		}
		if slices.ContainsFunc(out, func(c Column) bool { return c.Misfit && c.From == f }) {
			continue
		}
		out = append(slices.Clip(out), Column{
			Name: freeName(out, f+"__text", "__", 2), From: f, Kind: KindText, Misfit: true,
		})
	}
	return out
}

// freeName returns name, or name with the first free number behind it. Case
// does not tell names apart in SQL.
func freeName(cols []Column, name, sep string, from int) string {
	taken := func(n string) bool {
		return slices.ContainsFunc(cols, func(c Column) bool { return strings.EqualFold(c.Name, n) })
	}
	for n, i := name, from; ; i++ {
		if !taken(n) {
			return n
		}
		n = name + sep + strconv.Itoa(i)
	}
}

// schemas agrees with every other worker on the typed schema of one view.
type schemas struct {
	store objstore.Store
	view  string
	cur   schemaVersion
}

// load reads the newest version there is.
func (s *schemas) load(ctx context.Context) error {
	if s.cur.Number == 0 {
		s.cur = schemaVersion{Version: formatVersion, View: s.view, Columns: slices.Clone(metadataColumns)}
	}
	for {
		var next schemaVersion
		err := getJSON(ctx, s.store, schemaKey(s.view, s.cur.Number+1), &next)
		if errors.Is(err, objstore.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("load schema of view %s: %w", s.view, err)
		}
		s.cur = next
	}
}

// wanted is what a batch wants of a schema version: the columns of these view
// schemas, a text column for each misfit, and those of tables' events. _raw among
// the misfits is the column of that name.
type wanted struct {
	schemas []*change.Schema
	misfits []string
	tables  bool
}

// agree returns a version that has what is wanted. It writes one when there is
// none.
func (s *schemas) agree(ctx context.Context, want wanted) (schemaVersion, error) {
	for {
		cols := s.cur.Columns
		for _, n := range want.schemas {
			cols = merge(cols, n)
		}
		cols = withMisfits(cols, want.misfits)
		if want.tables && !slices.Contains(cols, tableColumns[0]) {
			cols = append(slices.Clip(cols), tableColumns...)
		}
		if s.cur.Number > 0 && slices.Equal(cols, s.cur.Columns) {
			return s.cur, nil
		}
		next := schemaVersion{Version: formatVersion, Number: s.cur.Number + 1, View: s.view, Columns: cols}
		failpoint.At(failpoint.LakeSchemaPutting)
		err := putJSON(ctx, s.store, schemaKey(s.view, next.Number), next)
		failpoint.At(failpoint.LakeSchemaPut)
		if err != nil && !errors.Is(err, objstore.ErrExists) {
			if lerr := s.load(ctx); lerr == nil && slices.Equal(s.cur.Columns, cols) {
				return s.cur, nil
			}
			return schemaVersion{}, fmt.Errorf("agree on schema %d of view %s: %w", next.Number, s.view, err)
		}
		if err := s.load(ctx); err != nil {
			return schemaVersion{}, err
		}
	}
}

// sortedSchemas returns the schemas in an order that does not depend on a map,
// so that two workers that see the same events propose the same columns.
func sortedSchemas(m map[string]*change.Schema) []*change.Schema {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[string])
	out := make([]*change.Schema, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}
