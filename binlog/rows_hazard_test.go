package binlog

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
)

// flavorOf is the flavour of the server that a recording is of.
func flavorOf(file string) Flavor { return flavorIf(file == "mariadb.txt") }

// recorded returns the table map and events of one table of a recording.
func recorded(t testing.TB, file, table string) (*tableMap, []rowsEvent) {
	t.Helper()
	all, err := os.ReadFile(filepath.Join("testdata", "rows", file))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(all), "table "+table+" ")
	if !ok {
		t.Fatalf("%s has no table %s", file, table)
	}
	rest, _, _ = strings.Cut(rest, "\ntable ")
	var m *tableMap
	var events []rowsEvent
	for _, line := range strings.Split(rest, "\n") {
		switch f := strings.Fields(line); {
		case strings.HasPrefix(line, "map "):
			m = mustParseOf(t, unhexed(t, f[1]), flavorOf(file))
		case strings.HasPrefix(line, "event "):
			kind := byte(0)
			for _, d := range f[1] {
				kind = kind*10 + byte(d-'0')
			}
			events = append(events, rowsEvent{kind: kind, body: unhexed(t, f[2])})
		}
	}
	return m, events
}

// columnTexts are the images of the lone columns of one server.
type columnTexts struct {
	testing.TB
	images map[string]imaged
	// compared counts what was compared.
	compared *int
}

// runTypeHazards checks the hazards of a server: each of them compares
// something.
func runTypeHazards(t *testing.T, label servers, images map[string]imaged) {
	for _, hazard := range typeHazards {
		if hazard.only.have(string(label)) {
			t.Run(hazard.name, func(t *testing.T) {
				w := columnTexts{t, images, new(int)}
				hazard.check(w)
				if *w.compared == 0 {
					t.Error("nothing was compared")
				}
			})
		}
	}
}

// want compares the inserted texts of a column that the server has. The NULL
// that every table begins with is left out.
func (w columnTexts) want(table string, want ...string) {
	w.Helper()
	inserted := w.images[table]["c after"]
	var got []string
	for n := 1; n < len(inserted); n++ {
		got = append(got, inserted[n][0])
	}
	if inserted == nil {
		return
	}
	*w.compared++
	if !slices.Equal(got, want) {
		w.Errorf("%s:\ngot  %q\nwant %q", table, got, want)
	}
}

// recordedTexts are those of a recording.
func recordedTexts(t *testing.T, file string) columnTexts {
	t.Helper()
	w := columnTexts{TB: t, images: map[string]imaged{}}
	all, err := os.ReadFile(filepath.Join("testdata", "rows", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range allColumns() {
		if !strings.Contains(string(all), "table "+c.name+" ") {
			continue
		}
		table := lone(c)
		g := gathered{t: t, tables: map[string]*matrixTable{c.name: &table}, images: w.images}
		m, events := recorded(t, file, c.name)
		for _, ev := range events {
			err := m.rows(ev.kind, ev.body, func(op change.Op, before, after change.Row) error {
				g.add(&RowChange{Op: op, Table: m.Table(), Before: before, After: after})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// typeHazards state what the values of each type read like. They are checked on
// real servers, and on what such servers once logged.
var typeHazards = []struct {
	name  string
	only  servers
	check func(columnTexts)
}{
	{name: "Hazard_A61_UnsignedIntegersStayPositive", check: checkA61},
	{name: "Hazard_A62_MediumintHasThreeBytesAndASign", check: checkA62},
	{name: "Hazard_A63_BitIsAnUnsignedNumber", check: checkA63},
	{name: "Hazard_A64_DecimalKeepsEveryDigit", check: checkA64},
	{name: "Hazard_A65_FloatIsTheShortestTextThatReadsBack", check: checkA65},
	{name: "Hazard_A66_ZeroAndPartialDatesKeepTheirText", check: checkA66},
	{name: "Hazard_A67_YearZeroIsZero", check: checkA67},
	{name: "Hazard_A68_TimeKeepsItsSignAndHours", check: checkA68},
	{name: "Hazard_A69_FractionsArePaddedToThePrecision", check: checkA69},
	{name: "Hazard_A71_TimestampIsUTC", check: checkA71},
	{name: "Hazard_A72_DatetimeIsNotShifted", check: checkA72},
	{name: "Hazard_A73_EnumIsItsMember", check: checkA73},
	{name: "Hazard_A74_SetIsItsMembers", check: checkA74},
	{name: "Hazard_A75_TextIsConvertedFromItsCharacterSet", check: checkA75},
	{name: "Hazard_A76_BinaryIsPaddedToItsLength", check: checkA76},
	{name: "Hazard_A77_CharAndBinaryAreToldApartByCollation", check: checkA77},
	{name: "Hazard_A78_JSONTextIsTheServers", only: onMySQL, check: checkA78},
	{name: "Hazard_A80_GeometryIsSRIDAndWKB", check: checkA80},
	{name: "Hazard_A81_VectorIsAListOfNumbers", only: "mysql 11.8", check: checkA81},
	{name: "Hazard_A82_BytesAreBase64", check: checkA82},
	{name: "Hazard_A83_AnUntouchedColumnReadsTheSameInEveryImage", check: checkA83},
}

func TestTypes_ReadAsStated(t *testing.T) {
	for _, file := range []string{"mysql.txt", "mariadb.txt"} {
		label := servers(map[string]string{"mysql.txt": "mysql", "mariadb.txt": "11.8"}[file])
		t.Run(file, func(t *testing.T) { runTypeHazards(t, label, recordedTexts(t, file).images) })
	}
}

func checkA61(w columnTexts) {
	w.want("utiny", "0", "127", "128", "255")
	w.want("usmall", "0", "32768", "65535")
	w.want("uint_", "0", "2147483648", "4294967295")
	w.want("ubig", "0", "9007199254740993", "9223372036854775808", "18446744073709551615")
	w.want("big", "-9223372036854775808", "-1", "0", "9223372036854775807")
}

func checkA62(w columnTexts) {
	w.want("umedium", "0", "8388608", "16777215")
	w.want("medium", "-8388608", "-1", "0", "8388607")
}

func checkA63(w columnTexts) {
	w.want("bit1", "0", "1")
	w.want("bit9", "0", "256", "511")
	w.want("bit64", "0", "1", "18446744073709551615", "9223372036854775808")
}

func checkA64(w columnTexts) {
	w.want("dec65",
		"99999999999999999999999999999999999.999999999999999999999999999999",
		"-99999999999999999999999999999999999.999999999999999999999999999999",
		"0.000000000000000000000000000000", "0.000000000000000000000000000001", "-0.000000000000000000000000000001",
		"1.000000000000000000000000000000", "-1.000000000000000000000000000000", "123456789012345678901234567890.500000000000000000000000000000")
	w.want("dec12", "0.00", "0.01", "-0.01", "12.50", "-9999999999.99", "9999999999.99", "1000000000.00", "999999999.99", "0.00")
}

func checkA65(w columnTexts) {
	w.want("float_", "0", "3.14", "1e38", "16777216", "16777216", "-1.5e-38", "0.1", "0.0000000001", "123456.7", "1e15", "1.17549e-38", "3.40282e38")
	w.want("float_minus", "-0")
}

func checkA66(w columnTexts) {
	w.want("date_", `"2026-11-20"`, `"0000-00-00"`, `"2023-00-15"`, `"2023-05-00"`, `"2023-00-00"`, `"0000-01-01"`, `"1000-01-01"`, `"9999-12-31"`, `"2024-02-29"`)
	w.want("datetime0", `"2026-11-20 10:10:10"`, `"0000-00-00 00:00:00"`, `"2023-00-15 01:02:03"`, `"0000-01-01 00:00:00"`, `"9999-12-31 23:59:59"`, `"1000-01-01 00:00:00"`)
	w.want("timestamp2", `"2026-11-20T10:10:10.12Z"`, `"0000-00-00 00:00:00.00"`)
}

func checkA67(w columnTexts) {
	w.want("year_", "0", "0", "1901", "2026", "2155")
}

func checkA68(w columnTexts) {
	w.want("time0", `"00:00:00"`, `"-838:59:59"`, `"838:59:59"`, `"01:02:03"`, `"-00:00:01"`, `"100:00:00"`, `"-99:59:59"`)
	w.want("time2", `"-00:00:00.01"`, `"-00:00:01.99"`, `"00:00:00.01"`, `"-00:00:01.00"`)
	w.want("time6", `"01:02:03.000000"`, `"-00:00:00.000001"`, `"-838:59:58.999999"`, `"838:59:59.000000"`)
}

func checkA69(w columnTexts) {
	w.want("time1", `"-00:00:00.1"`, `"-838:59:59.0"`, `"12:00:00.9"`, `"-01:00:00.0"`)
	w.want("datetime3", `"2026-11-20 10:10:10.123"`, `"0000-00-00 00:00:00.000"`, `"9999-12-31 23:59:59.999"`, `"2026-11-20 10:10:10.007"`)
	w.want("datetime5", `"2026-11-20 10:10:10.00009"`)
}

func checkA71(w columnTexts) {
	w.want("timestamp0", `"1970-01-01T00:00:01Z"`, `"2038-01-19T03:14:07Z"`, `"0000-00-00 00:00:00"`, `"2026-11-01T05:30:00Z"`, `"2026-11-01T06:30:00Z"`,
		`"2000-02-29T23:59:59Z"`, `"2024-03-01T00:00:00Z"`)
	w.want("timestamp6", `"2026-11-20T10:10:10.000001Z"`, `"2038-01-19T03:14:07.499999Z"`)
}

func checkA72(w columnTexts) {
	w.want("datetime1", `"2026-11-20 10:10:10.9"`, `"2026-11-20 10:10:10.0"`)
}

func checkA73(w columnTexts) {
	w.want("enum_", `"new"`, `"a b"`, `"é"`, `"d\"q"`, `""`, `""`)
	w.want("enum300", `"m1"`, `"m255"`, `"m256"`, `"m300"`, `""`)
	w.want("enum_latin1", `"é"`, `"ü"`)
}

func checkA74(w columnTexts) {
	w.want("set_", `""`, `"a"`, `"a,c"`, `"b,é\""`, `"a,b,c,é\""`)
	all := `"` + strings.ReplaceAll(manyMembers(64), "'", "") + `"`
	w.want("set64", `""`, `"m1"`, all, `"m64"`)
}

func checkA75(w columnTexts) {
	w.want("gbk_", `"中文 GBK 漢字"`, `"乗"`)
	w.want("sjis_", `"日本語ｶﾅ表"`, `"\\~\\〜"`)
	w.want("utf16_", `"a日😀"`, `""`)
	w.want("utf32_", `"a日😀"`, `"\""`)
	w.want("koi8r_", `"Привет"`)
	m, _ := recorded(w, "mysql.txt", "latin1_")
	if got := m.Table().Columns[1].Charset; got != "latin1" {
		w.Errorf("character set %q, want latin1", got)
	}
}

func checkA76(w columnTexts) {
	w.want("binary16", `"AAAAAAAAAAAAAAAAAAAAAA=="`, `"ESIzRFVmd4iZqrvM3e7/AA=="`, `"ESIzRFVmd4iZqrvM3e7//w=="`, `"YWIAAAAAAAAAAAAAAAAAAA=="`, `"AAAAAAAAAAAAAAAAAAAAAA=="`)
}

func checkA77(w columnTexts) {
	w.want("char5", `""`, `"a"`, `"abc"`, `"ééééé"`)
	for table, want := range map[string]change.Type{"char5": change.Text, "binary16": change.Bytes, "varbinary_": change.Bytes, "text_": change.Text, "blob_": change.Bytes} {
		m, _ := recorded(w, "mysql.txt", table)
		if got := m.Table().Columns[1].Type; got != want {
			w.Errorf("%s is %s, want %s", table, got, want)
		}
	}
}

func checkA80(w columnTexts) {
	w.want("geometry_", `{"srid":0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA"}`, `{"srid":0,"wkb":"AQcAAAAAAAAA"}`,
		`{"srid":0,"wkb":"AQIAAAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8AAAAAAAAAQAAAAAAAAABA"}`,
		`{"srid":0,"wkb":"AQMAAAABAAAABQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAkQAAAAAAAAAAAAAAAAAAAJEAAAAAAAAAkQAAAAAAAAAAAAAAAAAAAJEAAAAAAAAAAAAAAAAAAAAAA"}`)
	w.want("geometry4326", `{"srid":4326,"wkb":"AQEAAAAAAAAAAAAkQAAAAAAAADRA"}`, `{"srid":4326,"wkb":"AQcAAAAAAAAA"}`)
	w.want("point4326", `{"srid":4326,"wkb":"AQEAAAAAAAAAAAA0QAAAAAAAACRA"}`)
}

func checkA81(w columnTexts) {
	w.want("vector_maria", `"AADAPwAAAEAAAAAAAAAAAA=="`, `"AAAAAAAAAAAAAAAAAAAAAA=="`, `"AACAvwAAgEvD9UhAzczMPQ=="`)
	w.want("vector_", "[1.5,2]", "[0,-1,3.14,1e38,1.5e-30,16777216,0.1,1]")
	m, _ := recorded(w, "mysql.txt", "vector_")
	if got := m.Table().Columns[1]; got.Type != change.Vector || got.Length != 32 {
		w.Errorf("column %+v, want a vector of 32 bytes", got)
	}
}

func checkA82(w columnTexts) {
	w.want("varbinary_", `""`, `"YQA="`,
		`"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vW1xdfn8="`,
		`"gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp+gob/A3+D+/w=="`)
}

func checkA78(w columnTexts) {
	documents := w.images["json_"]["c after"]
	*w.compared += len(documents)
	for id, want := range map[int]string{
		14: "1.0", 15: "-0.0", 16: "1e308", 17: "1e15", 18: "1e16",
		24: `{"": 3, "a": 2, "b": 1, "aa": [1, 2.5, {"x": null}]}`,
		25: `{"d": 1.10, "n": -1.500000000000000000000000000000, "t": "00:00:00.000000", "x": 1.0}`,
	} {
		if len(documents[id]) == 0 || documents[id][0] != want {
			got := documents[id]
			w.Errorf("document %d: got %q, want %s", id, got, want)
		}
	}
}

// checkA83 compares the images of one server with each other.
func checkA83(w columnTexts) {
	if len(w.images) < 60 {
		w.Errorf("%d columns, want more", len(w.images))
	}
	for table, images := range w.images {
		for which, rows := range images {
			for id, want := range images["c after"] {
				*w.compared++
				if got := rows[id]; len(got) == 0 || got[0] != want[0] {
					w.Errorf("%s, image %s of row %d: got %.200q, want %.200q", table, which, id, got, want[0])
				}
			}
		}
	}
}
