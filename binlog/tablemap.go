package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"tailwater/change"
)

// tableMap is one parsed TABLE_MAP event: the table's shape, and for every
// column the plan that splits a row image and renders its cells.
//
// A tableMap renders rows into buffers of its own, so it belongs to one
// goroutine. The body of the event is, after the common header:
//
//	table id 6, flags 2,
//	length 1, database, 0, length 1, table, 0,
//	column count n (lenenc), n column types,
//	length (lenenc), type metadata,
//	null bitmap (n+7)/8,
//	optional metadata: (type 1, length lenenc, value)*
//
// Integers are little endian, lenenc is the length-encoded integer of the
// client protocol, bitmaps start at the lowest bit of the first byte except
// those of the optional metadata, which start at the highest.
type tableMap struct {
	id    uint64
	body  []byte
	table change.Table
	// columns are the physical columns, in the order of a row image.
	columns []column
	// all is the plan of an image that carries every column.
	all []span
	// compiled says that rows can be rendered and not only counted.
	compiled bool

	images        [2]image
	presentBefore []span
	presentAfter  []span
}

// tableMapHeader is the length of the table id and the flags.
const tableMapHeader = 8

// maxColumns is the most columns that a table of any server can have.
const maxColumns = 4096

var (
	// errTruncated means that a length points behind the end of the event.
	errTruncated = errors.New("event ends inside a field")
	// errMetadataMinimal means that the server does not log column names: no
	// row can be understood until binlog_row_metadata is FULL.
	errMetadataMinimal = errors.New("the server logs no column names: run SET GLOBAL binlog_row_metadata=FULL")
)

// tableError is what cannot be understood about one table. Column is empty
// when the whole event is meant.
type tableError struct {
	Database, Table, Column string
	Err                     error
}

// Error names the table, and the column where there is one.
func (e *tableError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("decode table %s.%s: %v", e.Database, e.Table, e.Err)
	}
	return fmt.Sprintf("decode table %s.%s, column %s: %v", e.Database, e.Table, e.Column, e.Err)
}

// Unwrap returns the cause.
func (e *tableError) Unwrap() error { return e.Err }

// fail wraps err with the table's name.
func (m *tableMap) fail(err error) error {
	return &tableError{Database: m.table.Database, Table: m.table.Name, Err: err}
}

// failColumn wraps err with the names of the table and of column i, or its
// number where the name is not known.
func (m *tableMap) failColumn(i int, err error) error {
	name := fmt.Sprintf("#%d", i+1)
	if i < len(m.columns) && m.columns[i].Name != "" {
		name = m.columns[i].Name
	}
	return &tableError{Database: m.table.Database, Table: m.table.Name, Column: name, Err: err}
}

// parseTableMap compiles body, the TABLE_MAP event without its common header
// and checksum, of a server of that flavour. It keeps a copy of body, so the
// caller may reuse it. The error is errMetadataMinimal when the server did not
// log the column names.
func parseTableMap(body []byte, flavor Flavor) (*tableMap, error) {
	m, meta, err := parseShape(body)
	if err != nil {
		return nil, err
	}
	if err := m.compile(meta, flavor); err != nil {
		return nil, err
	}
	return m, nil
}

// parseTableShape is parseTableMap for a table that is not followed: it needs
// no optional metadata, and its result can count rows but not render them.
func parseTableShape(body []byte) (*tableMap, error) {
	m, _, err := parseShape(body)
	return m, err
}

// same reports whether body is the event that m was made of, byte for byte.
func (m *tableMap) same(body []byte) bool { return bytes.Equal(m.body, body) }

// Table returns the table's shape as of the event. It does not change and
// outlives m.
func (m *tableMap) Table() *change.Table { return &m.table }

// tableMapName returns the table id and the names of a TABLE_MAP body. The
// names alias body.
func tableMapName(body []byte) (id uint64, db, table []byte, err error) {
	id, db, table, _, err = splitName(body)
	return id, db, table, err
}

var errShortMap = fmt.Errorf("parse table map: %w", errTruncated)

// splitName is tableMapName with what follows the names.
func splitName(body []byte) (id uint64, db, table, rest []byte, err error) {
	if len(body) < tableMapHeader {
		return 0, nil, nil, nil, errShortMap
	}
	id, rest = tableID(body), body[tableMapHeader:]
	for _, name := range []*[]byte{&db, &table} {
		if len(rest) < 1 || len(rest) < int(rest[0])+2 {
			return 0, nil, nil, nil, errShortMap
		}
		n := 1 + int(rest[0])
		if rest[n] != 0 {
			return 0, nil, nil, nil, errors.New("parse table map: a name does not end with a zero byte")
		}
		*name, rest = rest[1:n], rest[n+1:]
	}
	return id, db, table, rest, nil
}

// tableID reads the six bytes that start a table map and a rows event.
func tableID(body []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(body)) | uint64(binary.LittleEndian.Uint16(body[4:]))<<32
}

// parseShape reads everything up to the optional metadata, which it returns
// split. Of the metadata it takes the names only, so that errors can tell them.
func parseShape(body []byte) (*tableMap, *metadata, error) {
	body = bytes.Clone(body)
	id, db, table, rest, err := splitName(body)
	if err != nil {
		return nil, nil, err
	}
	m := &tableMap{id: id, body: body, table: change.Table{Database: string(db), Name: string(table)}}
	r := fieldReader{rest}
	n, ok := r.lenenc()
	if !ok {
		return nil, nil, m.fail(errTruncated)
	}
	if n < 1 || n > maxColumns {
		return nil, nil, m.fail(fmt.Errorf("the event names %d columns, want 1 to %d", n, maxColumns))
	}
	types, ok1 := r.bytes(n)
	typeMeta, ok2 := r.lenencBytes()
	nulls, ok3 := r.bytes((n + 7) / 8)
	if !ok1 || !ok2 || !ok3 {
		return nil, nil, m.fail(errTruncated)
	}
	meta := parseMetadata(r.b)
	m.columns = make([]column, n)
	meta.name(m.columns)
	if err := m.shapeColumns(types, typeMeta, nulls); err != nil {
		return nil, nil, err
	}
	m.plan()
	return m, meta, nil
}

// shapeColumns reads the type of every column.
func (m *tableMap) shapeColumns(types, meta, nulls []byte) error {
	mr := fieldReader{meta}
	for i, wire := range types {
		size, err := metaSize(wire)
		if err != nil {
			return m.failColumn(i, err)
		}
		own, ok := mr.bytes(uint64(size))
		if !ok {
			return m.failColumn(i, errTruncated)
		}
		c, err := newColumn(wire, own)
		if err != nil {
			return m.failColumn(i, err)
		}
		c.Name = m.columns[i].Name
		c.Nullable = nulls[i/8]&(1<<(i%8)) != 0
		c.slot = i
		m.columns[i] = c
	}
	if len(mr.b) != 0 {
		return m.fail(fmt.Errorf("%d bytes of type metadata belong to no column", len(mr.b)))
	}
	return nil
}

// compile applies the optional metadata and fixes the table's shape.
func (m *tableMap) compile(meta *metadata, flavor Flavor) error {
	if meta.err != nil {
		return m.fail(meta.err)
	}
	if meta.names == nil {
		return m.fail(errMetadataMinimal)
	}
	if err := meta.apply(m, flavor); err != nil {
		return err
	}
	for i := range m.columns {
		c := &m.columns[i]
		c.compile()
		c.hidden = isHidden(c.Name)
	}
	m.order()
	m.plan()
	m.table.PrimaryKey = m.visibleKey(meta.primaryKey)
	m.compiled = true
	return nil
}

// visibleKey returns the key's columns as indexes of the table's. A key with a
// hidden column is none: what is left of it does not tell rows apart.
func (m *tableMap) visibleKey(physical []int) []int {
	var key []int
	for _, i := range physical {
		if m.columns[i].hidden {
			return nil
		}
		key = append(key, m.columns[i].slot)
	}
	return key
}

// isHidden reports whether name is one that a server gives to a column of its
// own, which no statement can select: the expression behind a functional index
// of MySQL, the hash behind a long unique key of MariaDB.
func isHidden(name string) bool {
	return strings.HasPrefix(name, "!hidden!") || strings.HasPrefix(name, "DB_ROW_HASH_")
}

// order gives the visible columns the first slots, and lists them.
func (m *tableMap) order() {
	m.table.Columns = make([]change.Column, 0, len(m.columns))
	for i := range m.columns {
		if c := &m.columns[i]; !c.hidden {
			c.slot = len(m.table.Columns)
			m.table.Columns = append(m.table.Columns, c.Column)
		}
	}
	next := len(m.table.Columns)
	for i := range m.columns {
		if c := &m.columns[i]; c.hidden {
			c.slot = next
			next++
		}
	}
}

// plan makes what the walk over a row image needs.
func (m *tableMap) plan() {
	m.all = make([]span, len(m.columns))
	bySlot := make([]*column, len(m.columns))
	for i := range m.columns {
		c := &m.columns[i]
		m.all[i] = span{size: uint32(c.size), prefix: uint8(c.prefix), slot: uint16(c.slot)}
		bySlot[c.slot] = c
	}
	for i := range m.images {
		m.images[i] = image{m: m, columns: bySlot, cells: make([]cell, len(m.columns))}
	}
}
