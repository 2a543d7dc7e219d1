package binlog

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
)

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
			m = mustParse(t, unhexed(t, f[1]))
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

// wantColumn holds column c of a table's recorded inserts against want, in both
// recordings where both have the table. The first row of every table is NULL.
func wantColumn(t *testing.T, table string, want ...string) {
	t.Helper()
	for _, file := range []string{"mysql.txt", "mariadb.txt"} {
		all, err := os.ReadFile(filepath.Join("testdata", "rows", file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(all), "table "+table+" ") {
			if file == "mysql.txt" {
				t.Fatalf("no table %s was recorded", table)
			}
			continue
		}
		m, events := recorded(t, file, table)
		var got []string
		err = m.rows(events[0].kind, events[0].body, func(_ change.Op, _, after change.Row) error {
			text, err := after.AppendJSON(nil, 1)
			if after.State(1) == change.Null {
				text = []byte("NULL")
			}
			got = append(got, string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := append([]string{"NULL"}, want...); !slices.Equal(got, want) {
			t.Errorf("%s, %s:\ngot  %q\nwant %q", file, table, got, want)
		}
	}
}

func TestHazard_A61_UnsignedIntegersStayPositive(t *testing.T) {
	wantColumn(t, "utiny", "0", "127", "128", "255")
	wantColumn(t, "usmall", "0", "32768", "65535")
	wantColumn(t, "uint_", "0", "2147483648", "4294967295")
	wantColumn(t, "ubig", "0", "9007199254740993", "9223372036854775808", "18446744073709551615")
	wantColumn(t, "big", "-9223372036854775808", "-1", "0", "9223372036854775807")
}

func TestHazard_A62_MediumintHasThreeBytesAndASign(t *testing.T) {
	wantColumn(t, "umedium", "0", "8388608", "16777215")
	wantColumn(t, "medium", "-8388608", "-1", "0", "8388607")
}

func TestHazard_A63_BitIsAnUnsignedNumber(t *testing.T) {
	wantColumn(t, "bit1", "0", "1")
	wantColumn(t, "bit9", "0", "256", "511")
	wantColumn(t, "bit64", "0", "1", "18446744073709551615", "9223372036854775808")
}

func TestHazard_A64_DecimalKeepsEveryDigit(t *testing.T) {
	wantColumn(t, "dec65",
		"99999999999999999999999999999999999.999999999999999999999999999999",
		"-99999999999999999999999999999999999.999999999999999999999999999999",
		"0.000000000000000000000000000000", "0.000000000000000000000000000001", "-0.000000000000000000000000000001",
		"1.000000000000000000000000000000", "-1.000000000000000000000000000000", "123456789012345678901234567890.500000000000000000000000000000")
	wantColumn(t, "dec12", "0.00", "0.01", "-0.01", "12.50", "-9999999999.99", "9999999999.99", "1000000000.00", "999999999.99", "0.00")
}

func TestHazard_A65_FloatIsTheShortestTextThatReadsBack(t *testing.T) {
	wantColumn(t, "float_", "0", "3.14", "1e38", "16777216", "16777216", "-1.5e-38", "0.1", "0.0000000001", "123456.7", "1e15", "1.17549e-38", "3.40282e38")
	wantColumn(t, "float_minus", "-0")
}

func TestHazard_A66_ZeroAndPartialDatesKeepTheirText(t *testing.T) {
	wantColumn(t, "date_", `"2026-11-20"`, `"0000-00-00"`, `"2023-00-15"`, `"2023-05-00"`, `"2023-00-00"`, `"0000-01-01"`, `"1000-01-01"`, `"9999-12-31"`, `"2024-02-29"`)
	wantColumn(t, "datetime0", `"2026-11-20 10:10:10"`, `"0000-00-00 00:00:00"`, `"2023-00-15 01:02:03"`, `"0000-01-01 00:00:00"`, `"9999-12-31 23:59:59"`, `"1000-01-01 00:00:00"`)
	wantColumn(t, "timestamp2", `"2026-11-20T10:10:10.12Z"`, `"0000-00-00 00:00:00.00"`)
}

func TestHazard_A67_YearZeroIsZero(t *testing.T) {
	wantColumn(t, "year_", "0", "0", "1901", "2026", "2155")
}

func TestHazard_A68_TimeKeepsItsSignAndHours(t *testing.T) {
	wantColumn(t, "time0", `"00:00:00"`, `"-838:59:59"`, `"838:59:59"`, `"01:02:03"`, `"-00:00:01"`, `"100:00:00"`, `"-99:59:59"`)
	wantColumn(t, "time2", `"-00:00:00.01"`, `"-00:00:01.99"`, `"00:00:00.01"`, `"-00:00:01.00"`)
	wantColumn(t, "time6", `"01:02:03.000000"`, `"-00:00:00.000001"`, `"-838:59:58.999999"`, `"838:59:59.000000"`)
}

func TestHazard_A69_FractionsArePaddedToThePrecision(t *testing.T) {
	wantColumn(t, "time1", `"-00:00:00.1"`, `"-838:59:59.0"`, `"12:00:00.9"`, `"-01:00:00.0"`)
	wantColumn(t, "datetime3", `"2026-11-20 10:10:10.123"`, `"0000-00-00 00:00:00.000"`, `"9999-12-31 23:59:59.999"`, `"2026-11-20 10:10:10.007"`)
	wantColumn(t, "datetime5", `"2026-11-20 10:10:10.00009"`)
}

func TestHazard_A71_TimestampIsUTC(t *testing.T) {
	wantColumn(t, "timestamp0", `"1970-01-01T00:00:01Z"`, `"2038-01-19T03:14:07Z"`, `"0000-00-00 00:00:00"`, `"2026-11-01T05:30:00Z"`, `"2026-11-01T06:30:00Z"`,
		`"2000-02-29T23:59:59Z"`, `"2024-03-01T00:00:00Z"`)
	wantColumn(t, "timestamp6", `"2026-11-20T10:10:10.000001Z"`, `"2038-01-19T03:14:07.499999Z"`)
}

func TestHazard_A72_DatetimeIsNotShifted(t *testing.T) {
	wantColumn(t, "datetime1", `"2026-11-20 10:10:10.9"`, `"2026-11-20 10:10:10.0"`)
}

func TestHazard_A73_EnumIsItsMember(t *testing.T) {
	wantColumn(t, "enum_", `"new"`, `"a b"`, `"é"`, `"d\"q"`, `""`, `""`)
	wantColumn(t, "enum300", `"m1"`, `"m255"`, `"m256"`, `"m300"`, `""`)
	wantColumn(t, "enum_latin1", `"é"`, `"ü"`)
}

func TestHazard_A74_SetIsItsMembers(t *testing.T) {
	wantColumn(t, "set_", `""`, `"a"`, `"a,c"`, `"b,é\""`, `"a,b,c,é\""`)
	all := `"` + strings.ReplaceAll(manyMembers(64), "'", "") + `"`
	wantColumn(t, "set64", `""`, `"m1"`, all, `"m64"`)
}

func TestHazard_A75_TextIsConvertedFromItsCharacterSet(t *testing.T) {
	wantColumn(t, "gbk_", `"中文 GBK 漢字"`, `"乗"`)
	wantColumn(t, "sjis_", `"日本語ｶﾅ表"`, `"\\~\\〜"`)
	wantColumn(t, "utf16_", `"a日😀"`, `""`)
	wantColumn(t, "utf32_", `"a日😀"`, `"\""`)
	wantColumn(t, "koi8r_", `"Привет"`)
	m, _ := recorded(t, "mysql.txt", "latin1_")
	if got := m.Table().Columns[1].Charset; got != "latin1" {
		t.Errorf("character set %q, want latin1", got)
	}
}

func TestHazard_A76_BinaryIsPaddedToItsLength(t *testing.T) {
	wantColumn(t, "binary16", `"AAAAAAAAAAAAAAAAAAAAAA=="`, `"ESIzRFVmd4iZqrvM3e7/AA=="`, `"ESIzRFVmd4iZqrvM3e7//w=="`, `"YWIAAAAAAAAAAAAAAAAAAA=="`, `"AAAAAAAAAAAAAAAAAAAAAA=="`)
}

func TestHazard_A77_CharAndBinaryAreToldApartByCollation(t *testing.T) {
	wantColumn(t, "char5", `""`, `"a"`, `"abc"`, `"ééééé"`)
	for table, want := range map[string]change.Type{"char5": change.Text, "binary16": change.Bytes, "varbinary_": change.Bytes, "text_": change.Text, "blob_": change.Bytes} {
		m, _ := recorded(t, "mysql.txt", table)
		if got := m.Table().Columns[1].Type; got != want {
			t.Errorf("%s is %s, want %s", table, got, want)
		}
	}
}

func TestHazard_A80_GeometryIsSRIDAndWKB(t *testing.T) {
	wantColumn(t, "point4326", `{"srid":4326,"wkb":"AQEAAAAAAAAAAAA0QAAAAAAAACRA"}`)
}

func TestHazard_A81_VectorIsAListOfNumbers(t *testing.T) {
	wantColumn(t, "vector_", "[1.5,2]", "[0,-1,3.14,1e38,1.5e-30,16777216,0.1,1]")
	m, _ := recorded(t, "mysql.txt", "vector_")
	if got := m.Table().Columns[1]; got.Type != change.Vector || got.Length != 32 {
		t.Errorf("column %+v, want a vector of 32 bytes", got)
	}
}

func TestHazard_A82_BytesAreBase64(t *testing.T) {
	wantColumn(t, "varbinary_", `""`, `"YQA="`,
		`"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vW1xdfn8="`,
		`"gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp+gob/A3+D+/w=="`)
}

func TestHazard_A83_AnUntouchedColumnReadsTheSameInEveryImage(t *testing.T) {
	for _, c := range allColumns() {
		if c.mysqlOnly && c.name == "json_large" || strings.Contains("varchar300 char255 mediumtext_", c.name) {
			continue // not recorded
		}
		m, events := recorded(t, "mysql.txt", c.name)
		images := (&rowEvents{tableMap: m.body, events: events}).images(t)
		for _, which := range []string{"u before", "u after", "d before"} {
			for id, want := range images["c after"] {
				if got := images[which][id]; got != want {
					t.Errorf("%s, %s of row %d: got %s, want %s", c.name, which, id, got, want)
				}
			}
		}
	}
}
