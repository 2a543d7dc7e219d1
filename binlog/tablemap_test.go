package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"tailwater/change"
)

// mapColumn is one column of a TABLE_MAP that a test writes.
type mapColumn struct {
	wire     byte
	meta     []byte
	nullable bool
}

// mapBody writes a TABLE_MAP of table shop.orders with id 7: the columns, then
// optional metadata as (type, value) pairs.
func mapBody(columns []mapColumn, optional ...[]byte) []byte {
	b := []byte{7, 0, 0, 0, 0, 0, 1, 0, 4, 's', 'h', 'o', 'p', 0, 6, 'o', 'r', 'd', 'e', 'r', 's', 0, byte(len(columns))}
	var meta []byte
	nulls := make([]byte, (len(columns)+7)/8)
	for i, c := range columns {
		b = append(b, c.wire)
		meta = append(meta, c.meta...)
		if c.nullable {
			nulls[i/8] |= 1 << (i % 8)
		}
	}
	b = append(append(append(b, byte(len(meta))), meta...), nulls...)
	for _, o := range optional {
		b = append(append(b, o[0], byte(len(o)-1)), o[1:]...)
	}
	return b
}

// tlv writes one entry of optional metadata for mapBody.
func tlv(kind byte, value ...byte) []byte { return append([]byte{kind}, value...) }

// names writes the entry of the column names.
func names(list ...string) []byte {
	out := []byte{metaColumnName}
	for _, n := range list {
		out = append(append(out, byte(len(n))), n...)
	}
	return out
}

// writeBody writes a WRITE_ROWS of table id 7 with all of columns present.
func writeBody(columns int, rows ...[]byte) []byte {
	b := []byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 0, byte(columns)}
	for i := 0; i < columns; i += 8 {
		b = append(b, 0xff)
	}
	return append(b, bytes.Join(rows, nil)...)
}

func TestTableMap_ShapeComesFromTheEvent(t *testing.T) {
	m := mustParse(t, mapBody([]mapColumn{
		{wire: wireLongLong},
		{wire: wireTiny},
		{wire: wireVarchar, meta: []byte{44, 1}, nullable: true},
		{wire: wireNewDecimal, meta: []byte{12, 2}},
		{wire: wireString, meta: []byte{wireEnum, 1}},
		{wire: wireString, meta: []byte{0xee, 0x58}}, // CHAR of 0x158 = 344 bytes
		{wire: wireString, meta: []byte{wireString, 16}},
		{wire: wireBit, meta: []byte{1, 1}},
		{wire: wireYear},
		{wire: wireTimestamp2, meta: []byte{3}},
	},
		tlv(metaSignedness, 0b1001_0000),
		tlv(metaDefaultCharset, 45, 2, 63),
		names("id", "n", "name", "amount", "state", "note", "hash", "flags", "y", "at"),
		tlv(metaEnumSetCharset, 8),
		tlv(metaEnumMembers, 2, 3, 'n', 'e', 'w', 2, 0xe9, '"'),
		tlv(metaPrimaryKey, 1, 0),
		tlv(metaVisibility, 0xff, 0xc0),
	))
	want := []change.Column{
		{Name: "id", Type: change.Uint, Bits: 64},
		{Name: "n", Type: change.Int, Bits: 8},
		{Name: "name", Type: change.Text, Length: 300, Charset: "utf8mb4", Nullable: true},
		{Name: "amount", Type: change.Decimal, Precision: 12, Scale: 2},
		{Name: "state", Type: change.Enum, Charset: "latin1", Members: []string{"new", `é"`}},
		{Name: "note", Type: change.Text, Length: 344, Charset: "utf8mb4"},
		{Name: "hash", Type: change.Bytes, Length: 16},
		{Name: "flags", Type: change.Bit, Bits: 9},
		{Name: "y", Type: change.Year},
		{Name: "at", Type: change.Timestamp, Scale: 3},
	}
	got := m.Table()
	if got.Database != "shop" || got.Name != "orders" || len(got.Columns) != len(want) {
		t.Fatalf("table %s.%s of %d columns, want shop.orders of %d", got.Database, got.Name, len(got.Columns), len(want))
	}
	for i, w := range want {
		g := got.Columns[i]
		if strings.Join(g.Members, "|") != strings.Join(w.Members, "|") {
			t.Errorf("column %s has members %q, want %q", w.Name, g.Members, w.Members)
		}
		g.Members, w.Members = nil, nil
		if !equalColumn(g, w) {
			t.Errorf("column %d: got %+v, want %+v", i, g, w)
		}
	}
	if len(got.PrimaryKey) != 2 || got.PrimaryKey[0] != 1 || got.PrimaryKey[1] != 0 {
		t.Errorf("primary key %v, want [1 0]", got.PrimaryKey)
	}
}

func equalColumn(a, b change.Column) bool {
	return a.Name == b.Name && a.Type == b.Type && a.Bits == b.Bits && a.Length == b.Length && a.Precision == b.Precision &&
		a.Scale == b.Scale && a.Charset == b.Charset && a.Nullable == b.Nullable
}

func TestTableMap_SignednessCountsYearAndSkipsOthers(t *testing.T) {
	// A bit each for the numeric columns a, y, d and z; s has none.
	m := mustParse(t, mapBody([]mapColumn{{wire: wireLong}, {wire: wireYear}, {wire: wireBlob, meta: []byte{2}}, {wire: wireDouble, meta: []byte{8}}, {wire: wireLong}},
		tlv(metaSignedness, 0b0101_0000), tlv(metaColumnCharset, 63), names("a", "y", "s", "d", "z")))
	got := m.Table().Columns
	if got[0].Type != change.Int || got[4].Type != change.Uint {
		t.Errorf("a is %s and z is %s, want int and uint", got[0].Type, got[4].Type)
	}
}

func TestTableMap_HiddenColumnsStandBehindTheOthers(t *testing.T) {
	m := mustParse(t, mapBody([]mapColumn{{wire: wireTiny}, {wire: wireTiny}, {wire: wireTiny}},
		tlv(metaSignedness, 0), names("a", "!hidden!i!0!0", "b"), tlv(metaPrimaryKey, 2)))
	if got := m.Table(); len(got.Columns) != 2 || got.Columns[1].Name != "b" || got.PrimaryKey[0] != 1 {
		t.Fatalf("table %+v, want columns a and b with key b", got)
	}
	var text []byte
	err := m.rows(rowsWriteV2, writeBody(3, []byte{0, 1, 2, 3}), func(_ change.Op, _, after change.Row) (err error) {
		if text, err = after.AppendJSON(text, 0); err != nil {
			return err
		}
		text, err = after.AppendJSON(append(text, ' '), 1)
		if after.State(2) != change.Absent {
			t.Error("the hidden column can be read")
		}
		return err
	})
	if err != nil || string(text) != "1 3" {
		t.Errorf("a and b are %q, %v, want 1 3", text, err)
	}
}

func TestTableMap_AKeyWithAHiddenColumnIsNone(t *testing.T) {
	m := mustParse(t, mapBody([]mapColumn{{wire: wireTiny}, {wire: wireTiny}}, tlv(metaSignedness, 0), names("a", "DB_ROW_HASH_1"), tlv(metaPrimaryKey, 0, 1)))
	if got := m.Table().PrimaryKey; got != nil {
		t.Errorf("primary key %v, want none", got)
	}
}

func TestTableMap_SameComparesEveryByteAndKeepsItsOwn(t *testing.T) {
	body := mapBody([]mapColumn{{wire: wireTiny}}, tlv(metaSignedness, 0), names("a"))
	m := mustParse(t, body)
	other := bytes.Clone(body)
	other[len(other)-1] = 'b'
	if !m.same(body) || m.same(other) || m.same(body[:len(body)-1]) {
		t.Error("same does not compare the whole body")
	}
	clear(body)
	if m.Table().Columns[0].Name != "a" {
		t.Error("the table aliases the event's buffer")
	}
}

func TestTableMapName_LooksNoFurther(t *testing.T) {
	id, db, table, err := tableMapName([]byte{1, 2, 3, 4, 5, 6, 0, 0, 1, 'd', 0, 2, 't', 't', 0})
	if id != 0x060504030201 || string(db) != "d" || string(table) != "tt" || err != nil {
		t.Errorf("id %x, %s.%s, %v", id, db, table, err)
	}
	for n := range 15 {
		if _, _, _, err := tableMapName([]byte{1, 2, 3, 4, 5, 6, 0, 0, 1, 'd', 0, 2, 't', 't', 0}[:n]); err == nil {
			t.Errorf("%d bytes parse, want an error", n)
		}
	}
	if _, _, _, err := tableMapName([]byte{1, 2, 3, 4, 5, 6, 0, 0, 1, 'd', 'x', 2, 't', 't', 0}); err == nil {
		t.Error("a name that is not terminated parses, want an error")
	}
}

func TestHazard_A43_ATableMapWithoutNamesIsRefused(t *testing.T) {
	body := mapBody([]mapColumn{{wire: wireTiny}}, tlv(metaSignedness, 0))
	_, err := parseTableMap(body, MySQL)
	want := "decode table shop.orders: the server logs no column names: run SET GLOBAL binlog_row_metadata=FULL"
	if !errors.Is(err, errMetadataMinimal) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	m, err := parseTableShape(body)
	if err != nil {
		t.Fatal(err)
	}
	rows := writeBody(1, []byte{0, 1}, []byte{0, 2}, []byte{1})
	if n, err := m.count(rowsWriteV2, rows); n != 3 || err != nil {
		t.Errorf("count %d, %v, want 3: a table that is not followed needs no names", n, err)
	}
	if err := m.rows(rowsWriteV2, rows, nil); !errors.Is(err, errMetadataMinimal) {
		t.Errorf("rows without names: %v, want errMetadataMinimal", err)
	}
}

// brokenTableMaps are bodies by the error that refuses them.
func brokenTableMaps() map[string][]byte {
	sign, a := tlv(metaSignedness, 0), names("a")
	tiny := []mapColumn{{wire: wireTiny}}
	varchar := []mapColumn{{wire: wireVarchar, meta: []byte{9, 0}}}
	enum := []mapColumn{{wire: wireString, meta: []byte{wireEnum, 1}}}
	longNames := binary.LittleEndian.AppendUint16(nil, 0)
	return map[string][]byte{
		"decode table shop.orders, column #1: column type is unknown: 6":                                             mapBody([]mapColumn{{wire: 6}}),
		"decode table shop.orders, column #1: column type is unknown: 51 inside a string":                            mapBody([]mapColumn{{wire: wireString, meta: []byte{0x33, 1}}}),
		"decode table shop.orders, column #1: decimal(66,2) does not exist":                                          mapBody([]mapColumn{{wire: wireNewDecimal, meta: []byte{66, 2}}}),
		"decode table shop.orders, column #1: a bit column has 65 bits, want 1 to 64":                                mapBody([]mapColumn{{wire: wireBit, meta: []byte{1, 8}}}),
		"decode table shop.orders, column #1: a temporal column has 7 fractional digits, at most 6 exist":            mapBody([]mapColumn{{wire: wireTime2, meta: []byte{7}}}),
		"decode table shop.orders, column #1: a floating point number has 8 bytes, want 4":                           mapBody([]mapColumn{{wire: wireFloat, meta: []byte{8}}}),
		"decode table shop.orders, column #1: a blob's length takes 5 bytes, want 1 to 4":                            mapBody([]mapColumn{{wire: wireBlob, meta: []byte{5}}}),
		"decode table shop.orders, column #1: an enum has 3 bytes, want 1 or 2":                                      mapBody([]mapColumn{{wire: wireString, meta: []byte{wireEnum, 3}}}),
		"decode table shop.orders, column #1: a set has 9 bytes, want 1 to 8":                                        mapBody([]mapColumn{{wire: wireString, meta: []byte{wireSet, 9}}}),
		"decode table shop.orders, column #1: event ends inside a field":                                             mapBody([]mapColumn{{wire: wireVarchar, meta: []byte{9}}}),
		"decode table shop.orders: 1 bytes of type metadata belong to no column":                                     mapBody([]mapColumn{{wire: wireTiny, meta: []byte{9}}}),
		"decode table shop.orders: the event names 0 columns, want 1 to 4096":                                        mapBody(nil),
		"decode table shop.orders: optional metadata of type 14 is unknown":                                          mapBody(tiny, sign, a, tlv(14, 1)),
		"decode table shop.orders: optional metadata of type 0 is unknown":                                           mapBody(tiny, sign, a, tlv(0)),
		"decode table shop.orders: optional metadata of type 1 comes twice":                                          mapBody(tiny, sign, sign, a),
		"decode table shop.orders: optional metadata of type 4: event ends inside a field":                           append(mapBody(tiny, sign), metaColumnName, 9),
		"decode table shop.orders: column names: event ends inside a field":                                          mapBody(tiny, sign, tlv(metaColumnName, 5, 'a')),
		"decode table shop.orders: the event has 1 columns and 2 column names":                                       mapBody(tiny, sign, names("a", "b")),
		"decode table shop.orders: 0 bytes of signedness for 1 numeric columns":                                      mapBody(tiny, a),
		"decode table shop.orders: 2 bytes of signedness for 1 numeric columns":                                      mapBody(tiny, a, tlv(metaSignedness, 0, 0)),
		"decode table shop.orders, column a: the event does not say the character set in one way":                    mapBody(varchar, a),
		"decode table shop.orders, column a: character set: event ends inside a field":                               mapBody(varchar, a, tlv(metaColumnCharset)),
		"decode table shop.orders: the event has more character sets than columns":                                   mapBody(varchar, a, tlv(metaColumnCharset, 45, 45)),
		"decode table shop.orders, column a: the default character set has exceptions for columns that do not exist": mapBody(varchar, a, tlv(metaDefaultCharset, 45, 1, 8)),
		"decode table shop.orders, column a: members: event ends inside a field":                                     mapBody(enum, a, tlv(metaEnumSetDefault, 45)),
		"decode table shop.orders: the event has members for more ENUM or SET columns than the table":                mapBody(enum, a, tlv(metaEnumSetDefault, 45), tlv(metaEnumMembers, 1, 1, 'x', 0)),
		"decode table shop.orders: the primary key names a column that does not exist":                               mapBody(tiny, sign, a, tlv(metaPrimaryKey, 1)),
		"decode table shop.orders: the event has two primary keys":                                                   mapBody(tiny, sign, a, tlv(metaPrimaryKey, 0), tlv(metaPrimaryKeyPrefix, 0, 0)),
		"decode table shop.orders: 2 bytes of visibility for 1 columns":                                              mapBody(tiny, sign, a, tlv(metaVisibility, 0, 0)),
		"decode table shop.orders, column a: the event does not say the vector's dimension":                          mapBody([]mapColumn{{wire: wireVector, meta: []byte{4}}}, a, tlv(metaDefaultCharset, 63)),
		"decode table shop.orders, column a: the event does not say the geometry's type":                             mapBody([]mapColumn{{wire: wireGeometry, meta: []byte{4}}}, a),
		"decode table shop.orders: the event has types for more GEOMETRY columns than the table":                     mapBody(tiny, sign, a, tlv(metaGeometryType, 1)),
		"decode table shop.orders: the event has dimensions for more VECTOR columns than the table":                  mapBody(tiny, sign, a, tlv(metaVectorDimension, 1)),
		"parse table map: event ends inside a field":                                                                 longNames,
	}
}

func TestTableMap_ErrorsNameTableColumnAndWayOut(t *testing.T) {
	for want, body := range brokenTableMaps() {
		if _, err := parseTableMap(body, MySQL); err == nil || err.Error() != want {
			t.Errorf("error %v\nwant  %s", err, want)
		}
	}
}

func TestHazard_A70_OldTemporalTypesAreRefusedByName(t *testing.T) {
	for _, wire := range []byte{wireTime, wireTimestamp, wireDateTime} {
		body := mapBody([]mapColumn{{wire: wire}}, names("at"))
		_, err := parseTableMap(body, MySQL)
		want := "decode table shop.orders, column at: the column has a temporal type from before MySQL 5.6, whose length is not logged: " +
			"set mysql56_temporal_format=ON and rebuild the table with ALTER TABLE … FORCE"
		if err == nil || err.Error() != want {
			t.Errorf("type %d: error %v\nwant %s", wire, err, want)
		}
		if _, err := parseTableShape(body); !errors.Is(err, errOldTemporal) {
			t.Errorf("type %d: a table that is not followed: %v, want errOldTemporal: its rows cannot be counted", wire, err)
		}
	}
}

func TestTableMap_EveryTruncationIsAnErrorOrSaysSo(t *testing.T) {
	m, _ := recorded(t, "mysql.txt", "enum_")
	for n := range len(m.body) {
		short, err := parseTableMap(m.body[:n], MySQL)
		if err == nil && len(short.Table().Columns) != len(m.Table().Columns) {
			t.Errorf("the first %d of %d bytes parse as another table", n, len(m.body))
		}
	}
}
