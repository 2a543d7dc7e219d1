package encode

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
)

// file builds a log file of the given events behind a format description.
func file(w Writer, add ...func(dst []byte) []byte) []byte {
	b := w.AppendFormatDescription([]byte(Magic), Header{Timestamp: 1}, "8.4.6", 1)
	for _, f := range add {
		b = f(b)
	}
	w.Seal(b[4+FormatDescriptionSize:], 4+int64(FormatDescriptionSize))
	return b
}

// parse reads the events behind the format description with go-mysql, the judge
// that shares nothing with this package.
func parse(t testing.TB, b []byte) []*replication.BinlogEvent {
	t.Helper()
	p := replication.NewBinlogParser()
	p.SetVerifyChecksum(true)
	p.SetTimestampStringLocation(time.UTC)
	p.SetRenderJSONAsMySQLText(true)
	var out []*replication.BinlogEvent
	err := p.ParseReader(bytes.NewReader(b[4:]), func(e *replication.BinlogEvent) error {
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatalf("go-mysql cannot parse: %v", err)
	}
	return out[1:]
}

// rowEvents frames one insert.
func rowEvents(w Writer, table *Table, image []byte) []byte {
	return file(w, func(dst []byte) []byte {
		return w.AppendUnsealed(dst, Header{Type: TypeTableMap}, table.TableMap(77, true))
	}, func(dst []byte) []byte {
		body := AppendRowsHeader(nil, TypeWriteRows, 77, len(table.Columns), true)
		return w.AppendUnsealed(dst, Header{Type: TypeWriteRows}, append(body, image...))
	})
}

// columnCase is one value of one column: what SELECT prints, and what go-mysql decodes.
type columnCase struct {
	name   string
	column Column
	in     any
	text   string
	judge  any
}

var columnCases = []columnCase{
	{"tinyint low", Column{Kind: TinyInt}, -128, "-128", int8(-128)},
	{"tinyint unsigned high", Column{Kind: TinyInt, Unsigned: true}, 255, "255", uint8(255)},
	{"smallint", Column{Kind: SmallInt}, -32768, "-32768", int16(-32768)},
	{"mediumint", Column{Kind: MediumInt}, -8388608, "-8388608", int32(-8388608)},
	{"mediumint unsigned", Column{Kind: MediumInt, Unsigned: true}, 16777215, "16777215", uint32(16777215)},
	{"int", Column{Kind: Int}, -2147483648, "-2147483648", int32(-2147483648)},
	{"bigint low", Column{Kind: BigInt}, int64(-1 << 63), "-9223372036854775808", int64(-1 << 63)},
	{"bigint unsigned high", Column{Kind: BigInt, Unsigned: true}, uint64(1<<64 - 1), "18446744073709551615", uint64(1<<64 - 1)},
	{"float", Column{Kind: Float}, 1.5, "1.5", float32(1.5)},
	{"double", Column{Kind: Double}, 0.1, "0.1", 0.1},
	{"double large", Column{Kind: Double}, 1e300, "1e300", 1e300},
	{"decimal", Column{Kind: Decimal, Precision: 12, Scale: 2}, "1234567890.05", "1234567890.05", "1234567890.05"},
	{"decimal negative", Column{Kind: Decimal, Precision: 12, Scale: 2}, "-7.5", "-7.50", "-7.50"},
	{"decimal negative zero", Column{Kind: Decimal, Precision: 5, Scale: 2}, "-0.00", "0.00", "0.00"},
	{"decimal integer", Column{Kind: Decimal, Precision: 20, Scale: 0}, "98765432109876543210", "98765432109876543210", "98765432109876543210"},
	{"decimal fraction only", Column{Kind: Decimal, Precision: 3, Scale: 3}, "0.125", "0.125", "0.125"},
	{"decimal largest", Column{Kind: Decimal, Precision: 65, Scale: 30}, strings.Repeat("9", 35) + "." + strings.Repeat("9", 30), strings.Repeat("9", 35) + "." + strings.Repeat("9", 30), strings.Repeat("9", 35) + "." + strings.Repeat("9", 30)},
	{"char", Column{Kind: Char, Length: 10}, "ab  ", "ab", "ab"},
	{"char 255", Column{Kind: Char, Length: 255}, strings.Repeat("é", 255), strings.Repeat("é", 255), strings.Repeat("é", 255)},
	{"varchar short", Column{Kind: Varchar, Length: 20}, "Zürich 東京 😀", "Zürich 東京 😀", "Zürich 東京 😀"},
	{"varchar long", Column{Kind: Varchar, Length: 1000}, strings.Repeat("x", 999), strings.Repeat("x", 999), strings.Repeat("x", 999)},
	{"text", Column{Kind: Text}, "a\x00b", "a\x00b", []byte("a\x00b")},
	{"longtext", Column{Kind: Text, Length: 1 << 30}, strings.Repeat("t", 70_000), strings.Repeat("t", 70_000), []byte(strings.Repeat("t", 70_000))},
	{"binary", Column{Kind: Binary, Length: 4}, []byte{1, 0}, "\x01\x00\x00\x00", "\x01"},
	{"varbinary", Column{Kind: Varbinary, Length: 16}, []byte{0, 255}, "\x00\xff", "\x00\xff"},
	{"tinyblob", Column{Kind: Blob, Length: 9}, []byte{9}, "\x09", []byte{9}},
	{"enum", Column{Kind: Enum, Members: []string{"new", "paid"}}, "paid", "paid", int64(2)},
	{"enum of many", Column{Kind: Enum, Members: many(300)}, "m299", "m299", int64(300)},
	{"set", Column{Kind: Set, Members: []string{"a", "b", "c"}}, "c,a", "a,c", int64(5)},
	{"date", Column{Kind: Date}, "2026-11-20", "2026-11-20", "2026-11-20"},
	{"date zero", Column{Kind: Date}, "0000-00-00", "0000-00-00", "0000-00-00"},
	{"time", Column{Kind: Time}, "12:34:56", "12:34:56", "12:34:56"},
	{"time negative", Column{Kind: Time, Scale: 3}, "-838:59:58.250", "-838:59:58.250", "-838:59:58.250"},
	{"datetime", Column{Kind: DateTime}, "2026-11-20 10:10:10", "2026-11-20 10:10:10", "2026-11-20 10:10:10"},
	{"datetime(3)", Column{Kind: DateTime, Scale: 3}, "9999-12-31 23:59:59.999", "9999-12-31 23:59:59.999", "9999-12-31 23:59:59.999"},
	{"datetime(1)", Column{Kind: DateTime, Scale: 1}, "2026-11-20 10:10:10.55", "2026-11-20 10:10:10.5", "2026-11-20 10:10:10.5"},
	{"timestamp(6)", Column{Kind: Timestamp, Scale: 6}, "2026-11-20 10:10:10.123456", "2026-11-20 10:10:10.123456", "2026-11-20 10:10:10.123456"},
	{"timestamp of time.Time", Column{Kind: Timestamp, Scale: 3}, time.Date(2026, 11, 20, 15, 40, 10, 5_000_000, time.FixedZone("IST", 19800)), "2026-11-20 10:10:10.005", "2026-11-20 10:10:10.005"},
	{"timestamp zero", Column{Kind: Timestamp}, "0000-00-00 00:00:00", "0000-00-00 00:00:00", "0000-00-00 00:00:00"},
	{"year", Column{Kind: Year}, 2026, "2026", 2026},
	{"bit", Column{Kind: Bit, Length: 12}, 0xabc, "\x0a\xbc", int64(0xabc)},
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("m", i)
	}
	return out
}

// withColumn is a table of a key, the column under test and a column behind it
// that comes out wrong when the one under test has the wrong length.
func withColumn(t testing.TB, c Column) *Table {
	t.Helper()
	c.Name = "value"
	table, err := New(Table{Database: "d", Name: "t", PrimaryKey: []int{0}, Columns: []Column{
		{Name: "id", Kind: BigInt}, c, {Name: "guard", Kind: Varchar, Length: 5},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestEncode_EveryTypeIsDecodedByGoMySQL(t *testing.T) {
	for _, tt := range columnCases {
		t.Run(tt.name, func(t *testing.T) {
			table := withColumn(t, tt.column)
			row, image, err := table.Encode(Row{1, tt.in, "guard"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := table.Columns[1].Text(row[1]); got != tt.text {
				t.Errorf("got text %q, want %q", got, tt.text)
			}
			again, same, err := table.Encode(row, nil)
			if err != nil || !bytes.Equal(same, image) || fmt.Sprint(again) != fmt.Sprint(row) {
				t.Errorf("the canonical form encodes differently: %v", err)
			}
			events := parse(t, rowEvents(Writer{ServerID: 1, Checksum: true}, table, image))
			got := events[1].Event.(*replication.RowsEvent).Rows[0]
			if fmt.Sprintf("%T %v", got[1], got[1]) != fmt.Sprintf("%T %v", tt.judge, tt.judge) || got[2] != "guard" {
				t.Errorf("go-mysql decodes %T %v and guard %v, want %T %v", got[1], got[1], got[2], tt.judge, tt.judge)
			}
		})
	}
}

func TestEncode_NullsOfManyColumns(t *testing.T) {
	def := Table{Database: "d", Name: "t", PrimaryKey: []int{0}, Columns: []Column{{Name: "id", Kind: Int}}}
	row := Row{1}
	for i := range 20 {
		def.Columns = append(def.Columns, Column{Name: fmt.Sprint("c", i), Kind: Int, Nullable: true})
		if i%3 == 0 {
			row = append(row, nil)
		} else {
			row = append(row, i)
		}
	}
	table, err := New(def)
	if err != nil {
		t.Fatal(err)
	}
	_, image, err := table.Encode(row, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, rowEvents(Writer{}, table, image))[1].Event.(*replication.RowsEvent).Rows[0]
	if fmt.Sprint(got) != fmt.Sprint([]any(row)) {
		t.Errorf("got %v, want %v", got, row)
	}
}

func TestEncode_RefusesWhatMySQLRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		column Column
		in     any
	}{
		{"null", Column{Kind: Int}, nil},
		{"tinyint above", Column{Kind: TinyInt}, 128},
		{"unsigned below", Column{Kind: BigInt, Unsigned: true}, -1},
		{"text for a number", Column{Kind: Int}, "1"},
		{"number for text", Column{Kind: Varchar, Length: 5}, 1},
		{"long text", Column{Kind: Varchar, Length: 2}, "abc"},
		{"not UTF-8", Column{Kind: Text}, "\xff"},
		{"long bytes", Column{Kind: Varbinary, Length: 2}, []byte("abc")},
		{"decimal digits", Column{Kind: Decimal, Precision: 5, Scale: 2}, "1.234"},
		{"decimal size", Column{Kind: Decimal, Precision: 5, Scale: 2}, "1000.00"},
		{"decimal text", Column{Kind: Decimal, Precision: 5, Scale: 2}, "1e2"},
		{"decimal empty", Column{Kind: Decimal, Precision: 5, Scale: 2}, ""},
		{"enum", Column{Kind: Enum, Members: []string{"a"}}, "b"},
		{"set", Column{Kind: Set, Members: []string{"a"}}, "a,b"},
		{"date", Column{Kind: Date}, "2026-13-01"},
		{"date with time", Column{Kind: Date}, "2026-01-01 00:00:00"},
		{"time", Column{Kind: Time}, "839:00:00"},
		{"datetime", Column{Kind: DateTime}, "yesterday"},
		{"timestamp after 2038", Column{Kind: Timestamp}, "2038-01-19 03:14:08"},
		{"timestamp before 1970", Column{Kind: Timestamp}, "1969-12-31 23:59:59"},
		{"year", Column{Kind: Year}, 1900},
		{"bit", Column{Kind: Bit, Length: 2}, 4},
		{"infinity", Column{Kind: Double}, math.Inf(1)},
		{"json", Column{Kind: JSON}, `{"a":}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := withColumn(t, tt.column).Encode(Row{1, tt.in, ""}, nil)
			if err == nil || !strings.Contains(err.Error(), "column value") {
				t.Errorf("got error %v, want one that names the column", err)
			}
		})
	}
}

func TestNew_ReportsEveryMistake(t *testing.T) {
	_, err := New(Table{Name: "t", PrimaryKey: []int{0, 17}, Columns: []Column{
		{Name: "id", Kind: Int, Nullable: true}, {Name: "ID", Kind: Int}, {Name: "d", Kind: Decimal, Precision: 70},
		{Name: "e", Kind: Enum}, {Name: "v", Kind: Varchar}, {Name: "t", Kind: DateTime, Scale: 7},
		{Name: "k", Kind: 99}, {Kind: Int}, {Name: "c", Kind: Char, Length: 256}, {Name: "b", Kind: Bit, Length: 65},
	}})
	for _, want := range []string{
		"database name", "id must not be nullable", "column 17 of 10", "ID is declared twice", "decimal(70,0)",
		"enum has 0 members", "varchar(0)", "fraction of 7", "unknown kind 99", "1 to 64 bytes", "char(256)", "bit(65)",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestTableMap_CarriesFullMetadata(t *testing.T) {
	table, err := New(Table{Database: "shop", Name: "orders", PrimaryKey: []int{2, 0}, Columns: []Column{
		{Name: "id", Kind: BigInt, Unsigned: true},
		{Name: "amount", Kind: Decimal, Precision: 12, Scale: 2},
		{Name: "shard", Kind: Char, Length: 2, Collation: CollationUTF8Bin},
		{Name: "city", Kind: Varchar, Length: 64},
		{Name: "note", Kind: Text, Nullable: true},
		{Name: "blob", Kind: Blob},
		{Name: "status", Kind: Enum, Members: []string{"new", "paid"}},
		{Name: "flags", Kind: Set, Members: []string{"x", "y"}},
		{Name: "payload", Kind: JSON},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := Writer{Checksum: true}
	e := parse(t, file(w, func(dst []byte) []byte {
		return w.AppendUnsealed(dst, Header{Type: TypeTableMap}, table.TableMap(5, true))
	}))[0].Event.(*replication.TableMapEvent)
	if got, want := fmt.Sprint(e.ColumnNameString()), "[id amount shard city note blob status flags payload]"; got != want {
		t.Errorf("got names %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(e.UnsignedMap()), "map[0:true 1:false]"; got != want {
		t.Errorf("got unsigned %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(e.CollationMap()), "map[2:46 3:255 4:255 5:63]"; got != want {
		t.Errorf("got collations %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(e.EnumSetCollationMap()), "map[6:255 7:255]"; got != want {
		t.Errorf("got collations of members %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(e.EnumStrValueMap(), e.SetStrValueMap()), "map[6:[new paid]] map[7:[x y]]"; got != want {
		t.Errorf("got members %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(e.PrimaryKey), "[2 0]"; got != want {
		t.Errorf("got primary key %s, want %s", got, want)
	}
	if _, nullable := e.Nullable(4); !nullable {
		t.Error("column note is not nullable")
	}
	if got, want := fmt.Sprint(e.VisibilityMap()[8], len(e.VisibilityMap())), "true 9"; got != want {
		t.Errorf("got visibility %s, want %s", got, want)
	}
}

func TestTableMap_MinimalHasNoNames(t *testing.T) {
	table := withColumn(t, Column{Kind: Int})
	w := Writer{}
	e := parse(t, file(w, func(dst []byte) []byte {
		return w.AppendUnsealed(dst, Header{Type: TypeTableMap}, table.TableMap(5, false))
	}))[0].Event.(*replication.TableMapEvent)
	if len(e.ColumnName) != 0 || len(e.PrimaryKey) != 0 || len(e.SignednessBitmap) == 0 {
		t.Errorf("got names %q, key %v, signedness %v; want signedness only", e.ColumnName, e.PrimaryKey, e.SignednessBitmap)
	}
}

func TestGTID_CarriesTimesAndLength(t *testing.T) {
	for _, rest := range []int{0, 150, 300, 70_000, 20_000_000} {
		for _, g := range []GTID{
			{UUID: [16]byte{1, 2}, GNO: 9, LastCommitted: 3, Sequence: 4, ImmediateMicros: 1_763_632_210_123_456, OriginalMicros: 1_763_632_210_123_456, ServerVersion: 80406},
			{UUID: [16]byte{1, 2}, GNO: 1 << 40, Sequence: 1, ImmediateMicros: 1_763_632_210_123_456, OriginalMicros: 1_763_600_000_000_001, ServerVersion: 90704, DDL: true},
		} {
			w := Writer{Checksum: true}
			b := file(w, func(dst []byte) []byte {
				return w.AppendUnsealed(dst, Header{Type: TypeGTID}, g.Append(nil, w, rest))
			})
			e := parse(t, b)[0].Event.(*replication.GTIDEvent)
			if e.GNO != g.GNO || e.LastCommitted != g.LastCommitted || e.SequenceNumber != g.Sequence || !bytes.Equal(e.SID, g.UUID[:]) {
				t.Errorf("got %+v, want %+v", e, g)
			}
			if int64(e.ImmediateCommitTimestamp) != g.ImmediateMicros || int64(e.OriginalCommitTimestamp) != g.OriginalMicros {
				t.Errorf("got times %d, %d, want %d, %d", e.ImmediateCommitTimestamp, e.OriginalCommitTimestamp, g.ImmediateMicros, g.OriginalMicros)
			}
			if size := len(b) - 4 - FormatDescriptionSize + rest; int(e.TransactionLength) != size {
				t.Errorf("got transaction length %d, want %d", e.TransactionLength, size)
			}
			if e.ImmediateServerVersion != g.ServerVersion {
				t.Errorf("got version %d, want %d", e.ImmediateServerVersion, g.ServerVersion)
			}
		}
	}
}

func TestQuery_KeepsDatabaseAndText(t *testing.T) {
	w := Writer{Checksum: true}
	e := parse(t, file(w, func(dst []byte) []byte {
		return w.AppendUnsealed(dst, Header{Type: TypeQuery}, Query("shop", "ALTER TABLE t ADD c INT"))
	}))[0].Event.(*replication.QueryEvent)
	if string(e.Schema) != "shop" || string(e.Query) != "ALTER TABLE t ADD c INT" {
		t.Errorf("got %s in %s", e.Query, e.Schema)
	}
}

func TestSeal_FlippedBitIsFound(t *testing.T) {
	w := Writer{Checksum: true}
	b := file(w, func(dst []byte) []byte {
		return w.AppendUnsealed(dst, Header{Type: TypeXID}, XID(5))
	})
	b[len(b)-6] ^= 1
	p := replication.NewBinlogParser()
	p.SetVerifyChecksum(true)
	err := p.ParseReader(bytes.NewReader(b[4:]), func(*replication.BinlogEvent) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("got error %v, want one about the checksum", err)
	}
}

func TestDDL_IsMySQLs(t *testing.T) {
	table, err := New(Table{Database: "d", Name: "t", PrimaryKey: []int{0}, Columns: []Column{
		{Name: "id", Kind: BigInt, Unsigned: true}, {Name: "a", Kind: Decimal, Precision: 12, Scale: 2, Nullable: true},
		{Name: "s", Kind: Enum, Members: []string{"it's", "x"}}, {Name: "at", Kind: Timestamp, Scale: 3, Nullable: true},
		{Name: "m", Kind: Text, Length: 1 << 20}, {Name: "k", Kind: Varchar, Length: 9, Collation: CollationUTF8Bin, Default: "a'b"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := "CREATE TABLE `d`.`t` (\n" +
		"  `id` bigint unsigned NOT NULL,\n  `a` decimal(12,2),\n" +
		"  `s` enum('it''s','x') CHARACTER SET utf8mb4 NOT NULL,\n  `at` timestamp(3) NULL,\n" +
		"  `m` mediumtext CHARACTER SET utf8mb4 NOT NULL,\n" +
		"  `k` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'a''b',\n" +
		"  PRIMARY KEY (`id`)\n) DEFAULT CHARSET=utf8mb4"
	if got := table.CreateSQL(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestKey_OrderIsThatOfTheValues(t *testing.T) {
	for _, tt := range []struct {
		column Column
		values []any
	}{
		{Column{Kind: BigInt}, []any{int64(-1 << 63), -5, 0, 7, int64(1<<63 - 1)}},
		{Column{Kind: BigInt, Unsigned: true}, []any{0, 1, uint64(1 << 63), uint64(1<<64 - 1)}},
		{Column{Kind: Double}, []any{-2.5, -1.0, 0.0, 0.5, 1e9}},
		{Column{Kind: Decimal, Precision: 8, Scale: 3}, []any{"-10.000", "-9.999", "0.000", "2.000", "10.000"}},
		{Column{Kind: Varchar, Length: 9}, []any{"", "\x00", "\x00a", "a", "a\x00", "aa", "b"}},
		{Column{Kind: Enum, Members: []string{"z", "a"}}, []any{"", "z", "a"}},
		{Column{Kind: Date}, []any{"0000-00-00", "2026-01-31", "2026-02-01"}},
		{Column{Kind: Varbinary, Length: 9}, []any{[]byte{}, []byte{0}, []byte{1}}},
	} {
		tt.column.Name = "k"
		table, err := New(Table{Database: "d", Name: "t", PrimaryKey: []int{0}, Columns: []Column{tt.column}})
		if err != nil {
			t.Fatal(err)
		}
		var last []byte
		for i, v := range tt.values {
			row, _, err := table.Encode(Row{v}, nil)
			if err != nil {
				t.Fatal(err)
			}
			key := table.AppendKey(nil, row)
			if same, err := table.EncodeKey(nil, []any{v}); err != nil || !bytes.Equal(same, key) {
				t.Errorf("%v: EncodeKey differs from AppendKey: %v", v, err)
			}
			if i > 0 && bytes.Compare(last, key) >= 0 {
				t.Errorf("%s: %v does not sort behind %v", tt.column.Kind, v, tt.values[i-1])
			}
			last = key
		}
	}
}

func BenchmarkEncode_Row(b *testing.B) {
	table, err := New(Table{Database: "d", Name: "t", PrimaryKey: []int{0}, Columns: []Column{
		{Name: "id", Kind: BigInt}, {Name: "city", Kind: Varchar, Length: 64}, {Name: "amount", Kind: Decimal, Precision: 12, Scale: 2},
		{Name: "payload", Kind: JSON}, {Name: "at", Kind: Timestamp, Scale: 3},
	}})
	if err != nil {
		b.Fatal(err)
	}
	row := Row{int64(5), "Pune", "12.50", `{"ship": {"city": "Pune"}, "items": [{"sku": "tea", "qty": 2}]}`, "2026-11-20 10:00:00.000"}
	var image []byte
	b.ReportAllocs()
	for b.Loop() {
		if _, image, err = table.Encode(row, image[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(image)))
}
