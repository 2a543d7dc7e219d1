package parquet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/internal/testenv"
)

// typed is one column of a logical type, a value as an event has it, and what
// DuckDB calls the type and the value.
type typed struct {
	column    change.Column
	event     string
	duck, sql string
}

// everyType has every logical type of docs/format/lake.md, at its limits.
var everyType = []typed{
	{change.Column{Name: "i", Type: change.Int, Bits: 64}, `-9223372036854775808`, "BIGINT", "-9223372036854775808"},
	{change.Column{Name: "y", Type: change.Year}, `2026`, "BIGINT", "2026"},
	{change.Column{Name: "u32", Type: change.Uint, Bits: 32}, `4294967295`, "BIGINT", "4294967295"},
	{change.Column{Name: "b9", Type: change.Bit, Bits: 9}, `257`, "BIGINT", "257"},
	{change.Column{Name: "u64", Type: change.Uint, Bits: 64}, `18446744073709551615`, "DECIMAL(20,0)", "18446744073709551615"},
	{change.Column{Name: "b64", Type: change.Bit, Bits: 64}, `"18446744073709551615"`, "DECIMAL(20,0)", "18446744073709551615"},
	{change.Column{Name: "d9", Type: change.Decimal, Precision: 9, Scale: 2}, `-1234567.89`, "DECIMAL(9,2)", "-1234567.89"},
	{change.Column{Name: "d18", Type: change.Decimal, Precision: 18, Scale: 4}, `99999999999999.9999`, "DECIMAL(18,4)", "99999999999999.9999"},
	{change.Column{Name: "d38", Type: change.Decimal, Precision: 38, Scale: 30}, `-99999999.999999999999999999999999999999`, "DECIMAL(38,30)", "-99999999.999999999999999999999999999999"},
	{change.Column{Name: "d65", Type: change.Decimal, Precision: 65, Scale: 30}, `99999999999999999999999999999999999.000000000000000000000000000001`, "VARCHAR", "99999999999999999999999999999999999.000000000000000000000000000001"},
	{change.Column{Name: "f", Type: change.Float}, `3.14`, "FLOAT", "3.14"},
	{change.Column{Name: "d", Type: change.Double}, `1.7976931348623157e+308`, "DOUBLE", "1.7976931348623157e+308"},
	{change.Column{Name: "ok", Type: change.Bool}, `true`, "BOOLEAN", "true"},
	{change.Column{Name: "day", Type: change.Date}, `"1000-01-01"`, "DATE", "1000-01-01"},
	{change.Column{Name: "at", Type: change.DateTime, Scale: 6}, `"9999-12-31 23:59:59.999999"`, "TIMESTAMP", "9999-12-31 23:59:59.999999"},
	{change.Column{Name: "ts", Type: change.Timestamp, Scale: 6}, `"2038-01-19T03:14:07.499999Z"`, "TIMESTAMP WITH TIME ZONE", "2038-01-19 03:14:07.499999+00"},
	{change.Column{Name: "raw", Type: change.Bytes}, `"AAEC/w=="`, "BLOB", `\x00\x01\x02\xFF`},
	{change.Column{Name: "txt", Type: change.Text}, `"say \"hé\"\n\ud83d\ude00"`, "VARCHAR", "say \"hé\"\n😀"},
	{change.Column{Name: "en", Type: change.Enum}, `""`, "VARCHAR", ""},
	{change.Column{Name: "st", Type: change.Set}, `"a,b"`, "VARCHAR", "a,b"},
	{change.Column{Name: "tm", Type: change.Time, Scale: 3}, `"-838:59:59.000"`, "VARCHAR", "-838:59:59.000"},
	{change.Column{Name: "js", Type: change.JSON}, `"{\"a\": [1, \"x\"]}"`, "VARCHAR", `{"a": [1, "x"]}`},
	{change.Column{Name: "geo", Type: change.Geometry}, `{"srid":4326,"wkb":"AQEAAAA="}`, "VARCHAR", `{"srid":4326,"wkb":"AQEAAAA="}`},
	{change.Column{Name: "vec", Type: change.Vector}, `[1.5,2]`, "VARCHAR", "[1.5,2]"},
}

func everySchema() change.Schema {
	s := change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{{Name: "id", Type: change.Int, Bits: 64}}}
	for _, c := range everyType {
		c.column.Nullable = true
		s.Columns = append(s.Columns, c.column)
	}
	return s
}

func everyColumns(id int) string {
	out := fmt.Sprintf(`"id":%d`, id)
	for _, c := range everyType {
		out += fmt.Sprintf(`,%q:%s`, c.column.Name, c.event)
	}
	return out
}

// TestLake_DuckDBReadsEveryTypeOverSchemasAndDirectories is the word of a
// reader that shares no code with the writer.
func TestLake_DuckDBReadsEveryTypeOverSchemasAndDirectories(t *testing.T) {
	for _, compression := range []string{"zstd", "snappy", "none"} {
		f := newFixture(t)
		w := newWriter("03", f.print)
		o := f.options()
		o.Codec.Compression = compression
		f.log.append(w.event(0, day, row0(0))) // the narrow schema first
		f.drain(t, o)
		s := everySchema()
		if err := f.log.PutSchema(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		w.print = s.Fingerprint()
		f.log.append(w.event(0, day+3600e6, everyColumns(1)))
		f.drain(t, o)
		null := `"id":2`
		for _, c := range everyType {
			null += fmt.Sprintf(`,%q:null`, c.column.Name)
		}
		f.log.append(w.event(1, day+24*3600e6, null))
		f.drain(t, o)
		checkDuckDB(t, f.store.(*objstore.Dir).Root())
	}
}

func checkDuckDB(t *testing.T, root string) {
	t.Helper()
	from := fmt.Sprintf(`FROM read_parquet('%s/orders/**/*.parquet', hive_partitioning=true, union_by_name=true)`, root)
	sql := "SET TimeZone='UTC'; SELECT id::VARCHAR id, dt::VARCHAR dt, hr::VARCHAR hr, city, _shard, typeof(_ts_us) tstype, epoch_us(_ts_us)::VARCHAR us"
	for _, c := range everyType {
		sql += fmt.Sprintf(`, typeof(%q) "type_%s", %q::VARCHAR "sql_%s"`, c.column.Name, c.column.Name, c.column.Name, c.column.Name)
	}
	rows := testenv.DuckDB(t, sql+" "+from+" ORDER BY id;")
	if len(rows) != 3 {
		t.Fatalf("DuckDB reads %d rows, want 3", len(rows))
	}
	for i, r := range rows {
		at := [][2]string{{"2025-11-20", "09"}, {"2025-11-20", "10"}, {"2025-11-21", "09"}}[i]
		hours := []int64{0, 1, 24}[i]
		if r["dt"] != at[0] || strings.TrimPrefix(fmt.Sprint(r["hr"]), "0") != strings.TrimPrefix(at[1], "0") || r["_shard"] != "03" ||
			r["tstype"] != "TIMESTAMP WITH TIME ZONE" || r["us"] != fmt.Sprint(day+hours*3600e6) {
			t.Errorf("row %d: dt %v, hr %v, shard %v, _ts_us %v %v, want %v", i, r["dt"], r["hr"], r["_shard"], r["tstype"], r["us"], at)
		}
		if want := map[bool]any{true: "c0"}[i == 0]; r["city"] != want {
			t.Errorf("row %d: city = %v, want %v", i, r["city"], want)
		}
		for _, c := range everyType {
			if i != 1 && !(i == 0 && c.column.Name == "day") && r["sql_"+c.column.Name] != nil {
				t.Errorf("row %d: %s = %v, want NULL", i, c.column.Name, r["sql_"+c.column.Name])
			}
			if got := r["sql_"+c.column.Name]; i == 1 && got != c.sql {
				t.Errorf("%s = %v, want %v", c.column.Name, got, c.sql)
			}
			if got := r["type_"+c.column.Name]; i == 1 && got != c.duck {
				t.Errorf("DuckDB calls %s %v, want %v", c.column.Name, got, c.duck)
			}
		}
	}
}

// TestLakeDocument_SaysWhatTheWriterDoes holds docs/format/lake.md against
// the keys and the members of a real lake.
func TestLakeDocument_SaysWhatTheWriterDoes(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "format", "lake.md"))
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	l := newLake(t, 9)
	l.drain(t, l.options())
	l.collect(t)
	l.grow(4)
	l.drain(t, l.options())
	patterns := map[string]*regexp.Regexp{
		"/dt=2026-11-20/hr=10/": regexp.MustCompile(`^orders/dt=\d{4}-\d\d-\d\d/hr=\d\d/inc-1-p\d{5}-\d{20}-\d{20}\.parquet$`),
		"/schema/00000001.json": regexp.MustCompile(`^_tailwater/orders/schema/\d{8}\.json$`),
		"1200.json":             regexp.MustCompile(`^_tailwater/orders/default/inc-1/\d{5}/\d{20}\.json$`),
		"1200.done":             regexp.MustCompile(`^_tailwater/orders/default/inc-1/\d{5}/\d{20}\.done$`),
		"/00003/low":            regexp.MustCompile(`^_tailwater/orders/default/inc-1/\d{5}/low$`),
	}
	seen := make(map[string]bool)
	for key, body := range l.store.objects {
		found := ""
		for example, p := range patterns {
			if p.MatchString(key) {
				found = example
			}
		}
		if found == "" || !strings.Contains(doc, found) {
			t.Errorf("the document shows no key like %s", key)
		}
		seen[found] = true
		if found != "/dt=2026-11-20/hr=10/" {
			checkMembers(t, doc, key, body)
		}
	}
	if len(seen) != len(patterns) {
		t.Errorf("the lake has keys like %v only", seen)
	}
	for _, c := range metadataColumns {
		if !strings.Contains(doc, "`"+c.Name+"`") {
			t.Errorf("the document does not name column %s", c.Name)
		}
	}
	for _, kv := range fileMetadata(&Manifest{}) {
		if !strings.Contains(doc, "`"+kv[0]+"`") {
			t.Errorf("the document does not name the key %s of a file's metadata", kv[0])
		}
	}
}

// checkMembers finds every member of a metadata object in the document.
func checkMembers(t *testing.T, doc, key string, body []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	if m := v.(map[string]any); m["version"] != float64(1) {
		t.Errorf("%s: version %v, want 1", key, m["version"])
	}
	words := regexp.MustCompile(`[a-z_0-9]+`).FindAllString(doc, -1)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				if _, shard := map[string]bool{"00": true, "01": true}[name]; !shard && !slices.Contains(words, name) {
					t.Errorf("%s: the document does not name member %s", key, name)
				}
				walk(e)
			}
		}
	}
	walk(v)
}

// TestSchema_TypesAreThoseOfTheDocument reads the table of types back.
func TestSchema_TypesAreThoseOfTheDocument(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "format", "lake.md"))
	if err != nil {
		t.Fatal(err)
	}
	var left strings.Builder
	for _, line := range strings.Split(string(b), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			left.WriteString(cells[1])
		}
	}
	for _, c := range everyType {
		if !strings.Contains(left.String(), string(c.column.Type)) {
			t.Errorf("the document's tables do not name the type %s", c.column.Type)
		}
	}
}
