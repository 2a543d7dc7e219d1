package encode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
)

// decodeJSON encodes a document into a row and lets go-mysql decode it.
func decodeJSON(t testing.TB, text string) (canonical, decoded string) {
	t.Helper()
	table := withColumn(t, Column{Kind: JSON})
	row, image, err := table.Encode(Row{1, text, "guard"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, rowEvents(Writer{}, table, image))[1].Event.(*replication.RowsEvent).Rows[0]
	if got[2] != "guard" {
		t.Fatalf("the column behind the document is %v, want guard", got[2])
	}
	return row[1].(string), fmt.Sprintf("%s", got[1])
}

func TestJSON_IsNormalizedAsMySQLDoes(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{}`, `{}`},
		{`[]`, `[]`},
		{` null `, `null`},
		{`true`, `true`},
		{`"a\u00e9\ud83d\ude00\n\"\\\/"`, `"aé😀\n\"\\/"`},
		{`"\u0001"`, `"\u0001"`},
		{`{"bb":1,"a":2,"ab":[1,2,{"x":null}]}`, `{"a": 2, "ab": [1, 2, {"x": null}], "bb": 1}`},
		{`{"a":1,"a":2}`, `{"a": 2}`},
		{`[0, -1, 32767, 32768, -32769, 2147483648, -2147483649, 4294967296]`, `[0, -1, 32767, 32768, -32769, 2147483648, -2147483649, 4294967296]`},
		{`[9223372036854775807, 9223372036854775808, 18446744073709551615]`, `[9223372036854775807, 9223372036854775808, 18446744073709551615]`},
		{`[1.0, 1.5, 0.1, -0.25]`, `[1.0, 1.5, 0.1, -0.25]`},
		{`[false, true, null]`, `[false, true, null]`},
	} {
		canonical, decoded := decodeJSON(t, tt.in)
		if canonical != tt.want {
			t.Errorf("%s: got text %s, want %s", tt.in, canonical, tt.want)
		}
		var compact bytes.Buffer // go-mysql leaves the spaces out
		if err := json.Compact(&compact, []byte(tt.want)); err != nil {
			t.Fatal(err)
		}
		if decoded != compact.String() {
			t.Errorf("%s: go-mysql decodes %s, want %s", tt.in, decoded, &compact)
		}
	}
}

func TestJSON_LargeDocumentsUseTheLargeFormat(t *testing.T) {
	for name, text := range map[string]string{
		"long string":  `{"a": "` + strings.Repeat("x", 70_000) + `", "b": 70000}`,
		"many members": manyMembers(5000),
		"long array":   "[" + strings.Repeat("1,", 70_000) + "2]",
		"large inside": `{"in": {"deep": ["` + strings.Repeat("y", 66_000) + `"]}, "n": -5}`,
		"varlen edge":  `["` + strings.Repeat("z", 127) + `", "` + strings.Repeat("z", 128) + `", "` + strings.Repeat("z", 16_384) + `"]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, decoded := decodeJSON(t, text)
			var got, want any
			if err := json.Unmarshal([]byte(decoded), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("go-mysql decodes another document")
			}
		})
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"key%d": {"v": %d, "s": "text %d"}`, i, i, i)
	}
	return "{" + b.String()[1:] + "}"
}

func TestJSON_RefusesWhatIsNotJSON(t *testing.T) {
	for _, in := range []string{
		"", " ", "{", "[1,]", `{"a"}`, `{"a":1,}`, `{a:1}`, "01", "1.", "nul", `"`, `"\x"`, `"\u12"`, `"\ud800"`,
		`"\ud800\u0041"`, "[1] 2", "'a'", "+1", "\"\xff\"", "1e999", strings.Repeat("[", 101) + strings.Repeat("]", 101),
		strings.Repeat("[", 100_000),
	} {
		table := withColumn(t, Column{Kind: JSON})
		if _, _, err := table.Encode(Row{1, in, ""}, nil); err == nil {
			t.Errorf("%.40q was accepted", in)
		}
	}
	deepest := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	if got, _ := decodeJSON(t, deepest); got != deepest {
		t.Errorf("a document of depth 100 became %.40q", got)
	}
}

func FuzzJSON_GoMySQLDecodesWhatIsAccepted(f *testing.F) {
	for _, seed := range []string{`{"a": [1, 2.5, "x", null]}`, `[]`, `"\u00e9"`, `-1e3`, `{"":{"":0}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p := jsonParser{in: in}
		root, err := p.document()
		if err != nil {
			return
		}
		if !json.Valid([]byte(in)) {
			t.Fatalf("%q is accepted but not JSON", in)
		}
		if _, err := appendJSONDocument(nil, &root); err != nil {
			return
		}
		_, decoded := decodeJSON(t, in)
		var got, want any
		if json.Unmarshal([]byte(decoded), &got) != nil || json.Unmarshal([]byte(root.appendText(nil)), &want) != nil {
			t.Fatalf("%q decodes to %q", in, decoded)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q decodes to %q", in, decoded)
		}
	})
}
