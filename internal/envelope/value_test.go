package envelope

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tailwater/change"
)

// one writes a single cell of a column as a kind does.
func one(t *testing.T, kind Kind, c change.Column, text string) string {
	t.Helper()
	c.Name = "x"
	s := &Shape{Shard: "03", Database: "d", Table: "t", Connector: "mysql", Columns: []change.Column{c}, Shown: 1, Key: []int{0}, KeyNames: []string{"x"}}
	value, err := New(kind, s).Append(nil, &Event{Op: change.Create, After: cells{[]byte(text)}})
	if err != nil {
		return err.Error()
	}
	head := map[Kind]string{Debezium: `{"before":null,"after":{"x":`, Maxwell: `,"data":{"x":`, Canal: `{"data":[{"x":`}[kind]
	_, rest, ok := strings.Cut(string(value), head)
	if !ok {
		t.Fatalf("%s: no row in %s", kind, value)
	}
	var out json.RawMessage
	if err := json.NewDecoder(strings.NewReader(rest)).Decode(&out); err != nil {
		t.Fatalf("%s: %v in %s", kind, err, value)
	}
	return string(out)
}

func TestValues_AtTheirEdges(t *testing.T) {
	null := change.Column{Nullable: true}
	typ := func(c change.Column, typ change.Type) change.Column { c.Type = typ; return c }
	scaled := func(typ change.Type, scale int, nullable bool) change.Column {
		return change.Column{Type: typ, Scale: scale, Nullable: nullable}
	}
	uint64s := change.Column{Type: change.Uint, Bits: 64}
	for _, c := range []struct {
		column                         change.Column
		text, debezium, maxwell, canal string
	}{
		{uint64s, `18446744073709551615`, `18446744073709551615`, `18446744073709551615`, `"18446744073709551615"`},
		{typ(null, change.Int), `null`, `null`, `null`, `null`},
		{typ(null, change.Bytes), `null`, `null`, `null`, `null`},
		{typ(null, change.Set), `null`, `null`, `null`, `null`},
		{typ(null, change.JSON), `null`, `null`, `null`, `null`},
		{typ(null, change.JSON), `"null"`, `"null"`, `null`, `"null"`},
		{typ(null, change.JSON), `"9007199254740993"`, `"9007199254740993"`, `9007199254740993`, `"9007199254740993"`},
		{typ(null, change.Text), `"null"`, `"null"`, `"null"`, `"null"`},
		{scaled(change.Decimal, 2, false), `-0.01`, `"/w=="`, `-0.01`, `"-0.01"`},
		{scaled(change.Decimal, 2, false), `0.00`, `"AA=="`, `0.00`, `"0.00"`},
		{scaled(change.Decimal, 0, false), `128`, `"AIA="`, `128`, `"128"`},
		{scaled(change.Decimal, 0, false), `-128`, `"gA=="`, `-128`, `"-128"`},
		{scaled(change.Decimal, 0, false), strings.Repeat("9", 65), `"APMWJxx/w5CKi+9GTjlF73olNgn//////////w=="`, strings.Repeat("9", 65), `"` + strings.Repeat("9", 65) + `"`},
		{scaled(change.Date, 0, false), `"1000-01-01"`, `-354285`, `"1000-01-01"`, `"1000-01-01"`},
		{scaled(change.Date, 0, false), `"9999-12-31"`, `2932896`, `"9999-12-31"`, `"9999-12-31"`},
		{scaled(change.Date, 0, false), `"0000-00-00"`, `0`, `"0000-00-00"`, `"0000-00-00"`},
		{scaled(change.Date, 0, true), `"2026-11-00"`, `null`, `"2026-11-00"`, `"2026-11-00"`},
		{scaled(change.Date, 0, true), `"2026-02-29"`, `null`, `"2026-02-29"`, `"2026-02-29"`},
		{scaled(change.Date, 0, true), `"2024-02-29"`, `19782`, `"2024-02-29"`, `"2024-02-29"`},
		{scaled(change.DateTime, 0, false), `"1969-12-31 23:59:59"`, `-1000`, `"1969-12-31 23:59:59"`, `"1969-12-31 23:59:59"`},
		{scaled(change.DateTime, 1, false), `"1969-12-31 23:59:59.9"`, `-100`, `"1969-12-31 23:59:59.9"`, `"1969-12-31 23:59:59.9"`},
		{scaled(change.DateTime, 4, false), `"1970-01-01 00:00:00.0001"`, `100`, `"1970-01-01 00:00:00.0001"`, `"1970-01-01 00:00:00.0001"`},
		{scaled(change.DateTime, 6, true), `"0000-00-00 00:00:00.000000"`, `null`, `"0000-00-00 00:00:00.000000"`, `"0000-00-00 00:00:00.000000"`},
		{scaled(change.Timestamp, 0, false), `"2026-11-20T10:10:10Z"`, `"2026-11-20T10:10:10Z"`, `"2026-11-20 10:10:10"`, `"2026-11-20 10:10:10"`},
		{scaled(change.Timestamp, 3, true), `"0000-00-00 00:00:00.000"`, `null`, `"0000-00-00 00:00:00.000"`, `"0000-00-00 00:00:00.000"`},
		{scaled(change.Timestamp, 0, false), `"0000-00-00 00:00:00"`, `"1970-01-01T00:00:00Z"`, `"0000-00-00 00:00:00"`, `"0000-00-00 00:00:00"`},
		{scaled(change.Time, 0, false), `"00:00:00"`, `0`, `"00:00:00"`, `"00:00:00"`},
		{scaled(change.Time, 6, false), `"-00:00:00.000001"`, `-1`, `"-00:00:00.000001"`, `"-00:00:00.000001"`},
		{scaled(change.Time, 0, false), `"838:59:59"`, `3020399000000`, `"838:59:59"`, `"838:59:59"`},
		{change.Column{Type: change.Year}, `0`, `0`, `0`, `"0000"`},
		{change.Column{Type: change.Bit, Bits: 1}, `0`, `false`, `0`, `"0"`},
		{change.Column{Type: change.Bit, Bits: 64}, `18446744073709551615`, `"//////////8="`, `18446744073709551615`, `"18446744073709551615"`},
		{change.Column{Type: change.Bit, Bits: 9}, `256`, `"AAE="`, `256`, `"256"`},
		{change.Column{Type: change.Enum, Members: []string{"a\"b", "c"}}, `""`, `""`, `""`, `"0"`},
		{change.Column{Type: change.Enum, Members: []string{"a\"b", "c"}}, `"a\"b"`, `"a\"b"`, `"a\"b"`, `"1"`},
		{change.Column{Type: change.Set, Members: []string{"a\"b", "é"}}, `""`, `""`, `[]`, `"0"`},
		{change.Column{Type: change.Set, Members: []string{"a\"b", "é"}}, `"a\"b,é"`, `"a\"b,é"`, `["a\"b","é"]`, `"3"`},
		{change.Column{Type: change.Bytes}, `""`, `""`, `""`, `""`},
		{change.Column{Type: change.Bytes}, `"Y2Fm6Qo="`, `"Y2Fm6Qo="`, `"Y2Fm6Qo="`, `"café\n"`},
		{change.Column{Type: change.Vector}, `[1.5,2]`, `[1.5,2]`, `[1.5,2]`, `"[1.5,2]"`},
		{change.Column{Type: change.Bool}, `true`, `true`, `true`, `"1"`},
		{change.Column{Type: change.Bool}, `false`, `false`, `false`, `"0"`},
		{change.Column{Type: change.Double}, `1e100`, `1e100`, `1e100`, `"1e100"`},
	} {
		for kind, want := range map[Kind]string{Debezium: c.debezium, Maxwell: c.maxwell, Canal: c.canal} {
			if got := one(t, kind, c.column, c.text); got != want {
				t.Errorf("%s, %s(%d) %s: got %s, want %s", kind, c.column.Type, c.column.Scale, c.text, got, want)
			}
		}
	}
}

// What no reader renders must not become a value that looks like one.
func TestValues_ATextThatIsNoneOfItsTypeIsAnError(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		typ  change.Type
		text string
	}{
		{Debezium, change.Decimal, `1e5`}, {Debezium, change.Decimal, strings.Repeat("9", 90)}, {Debezium, change.Date, `"tomorrow"`},
		{Debezium, change.Date, `"2026-1a-20"`}, {Debezium, change.DateTime, `"2026-11-20 10"`}, {Debezium, change.Time, `"x"`}, {Debezium, change.Time, `12`},
		{Debezium, change.Bit, `-1`}, {Maxwell, change.JSON, `12`}, {Maxwell, change.Geometry, `{"srid":0,"wkb":"AQ=="}`}, {Maxwell, change.Geometry, `"x"`},
		{Canal, change.Bytes, `"?"`}, {Canal, change.Geometry, `{"srid":-1,"wkb":""}`}, {Canal, change.Enum, `"other"`}, {Canal, change.Set, `"a,other"`},
	} {
		if got := one(t, c.kind, change.Column{Type: c.typ, Members: []string{"a"}, Bits: 2}, c.text); !strings.HasPrefix(got, "column x: ") {
			t.Errorf("%s, %s %s: got %s, want an error that names the column", c.kind, c.typ, c.text, got)
		}
	}
}

func TestDecimal_IsBigIntegersBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		digits := make([]byte, 1+r.IntN(65))
		for i := range digits {
			digits[i] = byte('0' + r.IntN(10))
		}
		text, sign := string(digits), ""
		if r.IntN(2) == 0 {
			sign = "-"
		}
		want, _ := new(big.Int).SetString(sign+text, 10)
		point := r.IntN(len(text) + 1)
		cell := sign + text[:point] + "." + text[point:]
		got, err := appendUnscaled(nil, []byte(cell))
		if err != nil {
			t.Fatalf("%s: %v", cell, err)
		}
		raw, err := base64.StdEncoding.DecodeString(strings.Trim(string(got), `"`))
		if err != nil || len(raw) == 0 {
			t.Fatalf("%s: got %s and %v", cell, got, err)
		}
		back := new(big.Int).SetBytes(raw)
		if raw[0] >= 0x80 {
			back.Sub(back, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
		}
		if back.Cmp(want) != 0 {
			t.Errorf("%s: the bytes %x are %s", cell, raw, back)
		}
		if len(raw) > 1 && (raw[0] == 0 && raw[1] < 0x80 || raw[0] == 0xff && raw[1] >= 0x80) {
			t.Errorf("%s: %x has a byte that is not needed", cell, raw)
		}
	}
}

func TestDays_AreThoseOfTheCalendar(t *testing.T) {
	for day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 10000; day = day.AddDate(0, 0, 17) {
		got, err := parseMoment([]byte(day.Format(`"2006-01-02"`)))
		if want := day.Unix() / 86400; err != nil || !got.real || got.days != want {
			t.Fatalf("%s: got %+v and %v, want day %d", day.Format(time.DateOnly), got, err, want)
		}
	}
}

func TestGeometry_AsText(t *testing.T) {
	for name, c := range map[string]struct{ wkb, want string }{
		"line":       {"AQIAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8=", "LINESTRING (0 0, 1 1)"},
		"collection": {"AQcAAAAAAAAA", "GEOMETRYCOLLECTION EMPTY"},
		"big endian": {"AAAAAAE/8AAAAAAAAMAEAAAAAAAA", "POINT (1 -2.5)"},
		"points":     {"AQQAAAACAAAAAQEAAAAAAAAAAAAAAAAAAAAAAAAAAQEAAAAAAAAAAADwPwAAAAAAAPA/", "MULTIPOINT ((0 0), (1 1))"},
		"polygon": {"AQMAAAABAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADwPwAAAAAAAAAAAAAAAAAA8D8AAAAAAADwPwAAAAAAAAAAAAAAAAAAAAA=",
			"POLYGON ((0 0, 1 0, 1 1, 0 0))"},
		"nested": {"AQcAAAACAAAAAQEAAAAAAAAAAADwPwAAAAAAAATAAQcAAAAAAAAA", "GEOMETRYCOLLECTION (POINT (1 -2.5), GEOMETRYCOLLECTION EMPTY)"},
	} {
		if got := one(t, Maxwell, change.Column{Type: change.Geometry}, `{"srid":0,"wkb":"`+c.wkb+`"}`); got != `"`+c.want+`"` {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func FuzzGeometry(f *testing.F) {
	f.Add([]byte{1, 7, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 7, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, wkb []byte) {
		cell := append(base64.StdEncoding.AppendEncode([]byte(`{"srid":0,"wkb":"`), wkb), `"}`...)
		got, err := appendWKT(nil, cell)
		if err == nil && !json.Valid(got) {
			t.Errorf("%x: got %s, want JSON", wkb, got)
		}
	})
}
