package binlog

import (
	"errors"
	"fmt"
)

// Types of the optional metadata of a TABLE_MAP event.
const (
	metaSignedness         = 1
	metaDefaultCharset     = 2
	metaColumnCharset      = 3
	metaColumnName         = 4
	metaSetMembers         = 5
	metaEnumMembers        = 6
	metaGeometryType       = 7
	metaPrimaryKey         = 8
	metaPrimaryKeyPrefix   = 9
	metaEnumSetDefault     = 10
	metaEnumSetCharset     = 11
	metaVisibility         = 12
	metaVectorDimension    = 13
	metaTypes              = 14
	maxSetMembers, maxEnum = 64, 65535
)

// metadata is the optional metadata, split but not yet laid over the columns:
// which column an entry belongs to depends on the types of all before it.
type metadata struct {
	raw   [metaTypes][]byte
	has   [metaTypes]bool
	names [][]byte
	// err is why the metadata was not understood to its end.
	err error
	// primaryKey holds physical column indexes.
	primaryKey []int
}

// parseMetadata splits the optional metadata. A type that is not known is an
// error: it may change the meaning of the rest.
func parseMetadata(b []byte) *metadata {
	md := &metadata{}
	r := fieldReader{b}
	for len(r.b) > 0 && md.err == nil {
		kind := r.b[0]
		r.b = r.b[1:]
		value, ok := r.lenencBytes()
		switch {
		case !ok:
			md.err = fmt.Errorf("optional metadata of type %d: %w", kind, errTruncated)
		case kind == 0 || kind >= metaTypes:
			md.err = fmt.Errorf("optional metadata of type %d is unknown", kind)
		case md.has[kind]:
			md.err = fmt.Errorf("optional metadata of type %d comes twice", kind)
		default:
			md.raw[kind], md.has[kind] = value, true
		}
	}
	if md.has[metaColumnName] {
		names, err := stringList(md.raw[metaColumnName])
		if err != nil && md.err == nil {
			md.err = fmt.Errorf("column names: %w", err)
		}
		md.names = names
	}
	return md
}

// name gives the columns their names, if there is one for each.
func (md *metadata) name(columns []column) {
	if len(md.names) != len(columns) {
		return
	}
	for i := range columns {
		columns[i].Name = string(md.names[i])
	}
}

// apply lays the metadata over the columns of m. The two flavours do not count
// the same columns as having a collation.
func (md *metadata) apply(m *tableMap, flavor Flavor) error {
	if len(md.names) != len(m.columns) {
		return m.fail(fmt.Errorf("the event has %d columns and %d column names", len(m.columns), len(md.names)))
	}
	collated := (*column).isCharacter
	if flavor == MariaDB {
		collated = (*column).isCollatedOnMariaDB
	}
	for _, step := range []func(*tableMap) error{
		md.applySignedness,
		func(m *tableMap) error {
			return md.applyCollations(m, collated, metaDefaultCharset, metaColumnCharset)
		},
		func(m *tableMap) error {
			return md.applyCollations(m, (*column).isEnumOrSet, metaEnumSetDefault, metaEnumSetCharset)
		},
		func(m *tableMap) error { return md.applyMembers(m, (*column).isEnum, metaEnumMembers) },
		func(m *tableMap) error { return md.applyMembers(m, (*column).isSet, metaSetMembers) },
		md.applyDimensions,
		md.applyPrimaryKey,
		md.checkRest,
	} {
		if err := step(m); err != nil {
			return err
		}
	}
	return nil
}

// columnsOf returns the indexes of the columns for which has is true.
func (m *tableMap) columnsOf(has func(*column) bool) []int {
	var out []int
	for i := range m.columns {
		if has(&m.columns[i]) {
			out = append(out, i)
		}
	}
	return out
}

// applySignedness reads one bit for every numeric column, the highest first.
func (md *metadata) applySignedness(m *tableMap) error {
	numeric := m.columnsOf((*column).isNumeric)
	bits := md.raw[metaSignedness]
	if len(bits) != (len(numeric)+7)/8 {
		return m.fail(fmt.Errorf("%d bytes of signedness for %d numeric columns", len(bits), len(numeric)))
	}
	for n, i := range numeric {
		m.columns[i].unsigned = bits[n/8]&(0x80>>(n%8)) != 0
	}
	return nil
}

// applyCollations reads the collations of the columns for which has is true.
// The server logs either all of them, or the commonest and the exceptions as
// pairs of (index among those columns, collation).
func (md *metadata) applyCollations(m *tableMap, has func(*column) bool, byDefault, byColumn int) error {
	columns := m.columnsOf(has)
	if len(columns) == 0 {
		return nil
	}
	r := fieldReader{md.raw[byColumn]}
	switch {
	case md.has[byColumn] && md.has[byDefault], !md.has[byColumn] && !md.has[byDefault]:
		return m.failColumn(columns[0], errors.New("the event does not say the character set in one way"))
	case md.has[byColumn]:
		for _, i := range columns {
			id, ok := r.lenenc()
			if !ok {
				return m.failColumn(i, fmt.Errorf("character set: %w", errTruncated))
			}
			m.columns[i].collation = id
		}
	default:
		r = fieldReader{md.raw[byDefault]}
		id, ok := r.lenenc()
		for _, i := range columns {
			m.columns[i].collation = id
		}
		for ok && len(r.b) > 0 {
			n, ok1 := r.lenenc()
			id, ok2 := r.lenenc()
			if ok = ok1 && ok2 && n < uint64(len(columns)); ok {
				m.columns[columns[n]].collation = id
			}
		}
		if !ok {
			return m.failColumn(columns[0], errors.New("the default character set has exceptions for columns that do not exist"))
		}
	}
	if len(r.b) != 0 {
		return m.fail(errors.New("the event has more character sets than columns"))
	}
	return nil
}

// applyMembers reads one list of members for every column for which has is
// true, and converts them to UTF-8.
func (md *metadata) applyMembers(m *tableMap, has func(*column) bool, kind int) error {
	r := fieldReader{md.raw[kind]}
	for _, i := range m.columnsOf(has) {
		c := &m.columns[i]
		n, ok := r.lenenc()
		limit := uint64(maxEnum)
		if c.isSet() {
			limit = maxSetMembers
		}
		if !ok || n > limit {
			return m.failColumn(i, fmt.Errorf("members: %w", errTruncated))
		}
		raw := make([][]byte, n)
		for j := range raw {
			if raw[j], ok = r.lenencBytes(); !ok {
				return m.failColumn(i, fmt.Errorf("members: %w", errTruncated))
			}
		}
		c.setMembers(raw)
	}
	if len(r.b) != 0 {
		return m.fail(errors.New("the event has members for more ENUM or SET columns than the table"))
	}
	return nil
}

// applyDimensions reads how many numbers the values of a VECTOR column have at
// most.
func (md *metadata) applyDimensions(m *tableMap) error {
	r := fieldReader{md.raw[metaVectorDimension]}
	for _, i := range m.columnsOf((*column).isVector) {
		n, ok := r.lenenc()
		if !ok || n > 1<<20 {
			return m.failColumn(i, errors.New("the event does not say the vector's dimension"))
		}
		m.columns[i].Length = int(n) * 4
	}
	if len(r.b) != 0 {
		return m.fail(errors.New("the event has dimensions for more VECTOR columns than the table"))
	}
	return nil
}

// applyPrimaryKey reads the key's columns, in key order. A key over prefixes
// of columns is logged as pairs of (column, length of the prefix).
func (md *metadata) applyPrimaryKey(m *tableMap) error {
	if md.has[metaPrimaryKey] && md.has[metaPrimaryKeyPrefix] {
		return m.fail(errors.New("the event has two primary keys"))
	}
	r := fieldReader{md.raw[metaPrimaryKey]}
	prefixes := md.has[metaPrimaryKeyPrefix]
	if prefixes {
		r = fieldReader{md.raw[metaPrimaryKeyPrefix]}
	}
	for len(r.b) > 0 {
		i, ok := r.lenenc()
		if ok && prefixes {
			_, ok = r.lenenc()
		}
		if !ok || i >= uint64(len(m.columns)) {
			return m.fail(errors.New("the primary key names a column that does not exist"))
		}
		md.primaryKey = append(md.primaryKey, int(i))
	}
	return nil
}

// checkRest holds the entries that nothing is taken from against the columns:
// an event that is not consistent was not understood.
func (md *metadata) checkRest(m *tableMap) error {
	r := fieldReader{md.raw[metaGeometryType]}
	for _, i := range m.columnsOf((*column).isGeometry) {
		if _, ok := r.lenenc(); !ok {
			return m.failColumn(i, errors.New("the event does not say the geometry's type"))
		}
	}
	if len(r.b) != 0 {
		return m.fail(errors.New("the event has types for more GEOMETRY columns than the table"))
	}
	if n := len(md.raw[metaVisibility]); md.has[metaVisibility] && n != (len(m.columns)+7)/8 {
		return m.fail(fmt.Errorf("%d bytes of visibility for %d columns", n, len(m.columns)))
	}
	return nil
}

// stringList reads strings to the end of b.
func stringList(b []byte) ([][]byte, error) {
	out := [][]byte{}
	r := fieldReader{b}
	for len(r.b) > 0 {
		s, ok := r.lenencBytes()
		if !ok {
			return nil, errTruncated
		}
		out = append(out, s)
	}
	return out, nil
}
