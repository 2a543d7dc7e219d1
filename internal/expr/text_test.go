package expr

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

func TestAppendQuoted_IsWhatOthersRead(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	for _, text := range []string{"", "plain", `a"b\c`, "\x00\x1f\x7f\n\r\t\b\f", "é№😀", "a/b<c>&", "\u2028", string(all), "cut \xf0\x9f\x98", strings.Repeat("x", 10000)} {
		quoted := jsontext.AppendQuoted([]byte("<"), []byte(text))[1:]
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil || got != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) {
			t.Errorf("%q: got %s, which reads as %q (%v)", text, quoted, got, err)
		}
		back, err := AppendUnquoted([]byte("<"), quoted)
		if err != nil || string(back[1:]) != got {
			t.Errorf("%q: unquoted %q (%v), want %q", text, back, err, got)
		}
	}
}

func TestAppendUnquoted_ReadsEveryEscape(t *testing.T) {
	for _, quoted := range []string{`"\"\\\/\b\f\n\r\t"`, `"\u00e9\u2116\uD83D\uDE00"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ud83d"`, `"\ude00"`, `"\u0000"`, `"a\u00E9b"`} {
		var want string
		if err := json.Unmarshal([]byte(quoted), &want); err != nil {
			t.Fatal(err)
		}
		if got, err := AppendUnquoted(nil, []byte(quoted)); err != nil || string(got) != want {
			t.Errorf("%s: got %q (%v), want %q", quoted, got, err, want)
		}
	}
	for _, bad := range []string{``, `"`, `a`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"abc`} {
		if got, err := AppendUnquoted(nil, []byte(bad)); err == nil {
			t.Errorf("%s: got %q and no error", bad, got)
		}
	}
}

// randomDocument makes a JSON value with every kind of value and key.
func randomDocument(g generator, depth int) any {
	switch n := g.IntN(8); {
	case n == 0 && depth > 0:
		return nil
	case n == 1:
		return g.IntN(2) == 0
	case n == 2:
		return float64(g.IntN(1000)) / 4
	case n <= 4 || depth > 3:
		return g.pick("", "a", `q"x`, `b\`, "é\n", "]", "}", ",")
	case n == 5:
		list := []any{}
		for range g.IntN(4) {
			list = append(list, randomDocument(g, depth+1))
		}
		return list
	}
	object := map[string]any{}
	for range g.IntN(5) {
		object[g.pick("a", "b", `q"x`, "é", "", "a b", `\`)] = randomDocument(g, depth+1)
	}
	return object
}

// TestPath_FindsWhatADecoderFinds walks random documents by random paths, and
// compares with what encoding/json holds there.
func TestPath_FindsWhatADecoderFinds(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(5, 6))}
	found := 0
	for range 20000 {
		doc := randomDocument(g, 0)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if g.IntN(2) == 0 {
			indented, err := json.MarshalIndent(doc, " ", "\t")
			if err != nil {
				t.Fatal(err)
			}
			text = append([]byte(" \n"), append(indented, "\r\n "...)...)
		}
		var p path
		at := doc
		for range g.IntN(4) {
			if g.IntN(2) == 0 {
				s := step{index: g.IntN(3)}
				list, _ := at.([]any)
				p, at = append(p, s), nil
				if s.index < len(list) {
					at = list[s.index]
				}
				continue
			}
			s := step{key: g.pick("a", "b", `q"x`, "é", "", "a b", `\`), index: -1}
			object, _ := at.(map[string]any)
			p, at = append(p, s), object[s.key]
		}
		got, err := p.find(text)
		if err != nil {
			t.Fatalf("%s in %s: %v", p, text, err)
		}
		var value any
		if got != nil {
			found++
			if err := json.Unmarshal(got, &value); err != nil {
				t.Fatalf("%s in %s: got %s: %v", p, text, got, err)
			}
		}
		if fmt.Sprintf("%#v", value) != fmt.Sprintf("%#v", at) {
			t.Fatalf("%s in %s: got %s, want %#v", p, text, got, at)
		}
		items := -1
		switch v := at.(type) {
		case []any:
			items = len(v)
		case map[string]any:
			items = len(v)
		}
		if items >= 0 {
			if n, err := countItems(got); err != nil || n != items {
				t.Fatalf("%s: counted %d items (%v), want %d", got, n, err, items)
			}
		}
	}
	if found < 3000 {
		t.Errorf("only %d paths led anywhere", found)
	}
}

// FuzzPath looks for documents that make the scanner panic, or on which it
// disagrees with encoding/json where both understand them.
func FuzzPath(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[1,2]}}`, `{"a" : "\"}"}`, `[[[`, `{"a":1,"a":2}`, `{"a":nul`, `{"a"`, "\"\\", `{"a":[{},{"b":null}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := path{{key: "a", index: -1}}.find(doc)
		_, _ = path{{index: 1}, {key: "b", index: -1}}.find(doc)
		if len(got) > 0 && (got[0] == '{' || got[0] == '[') {
			_, _ = countItems(got)
		}
		if !json.Valid(doc) {
			return
		}
		if err != nil {
			t.Fatalf("%s is JSON: %v", doc, err)
		}
		if got != nil && !json.Valid(got) {
			t.Fatalf("%s: got %s", doc, got)
		}
	})
}

func TestPath_DepthCostsNoStack(t *testing.T) {
	const depth = 1 << 20
	doc := []byte(`{"deep":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth) + `,"a":7}`)
	got, err := path{{key: "a", index: -1}}.find(doc)
	if err != nil || string(got) != "7" {
		t.Errorf("got %s (%v), want 7", got, err)
	}
}

func TestPath_IsWrittenAsItIsRead(t *testing.T) {
	p := path{{key: "ship", index: -1}, {index: 3}, {key: "a key", index: -1}, {key: "", index: -1}, {key: "x1", index: -1}, {key: "1x", index: -1}}
	if got, want := p.String(), `.ship[3]["a key"][""].x1["1x"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCmpTime_OrdersAsTheDatabase(t *testing.T) {
	for _, c := range []struct {
		typ    change.Type
		sorted []string
	}{
		{change.DateTime, []string{"0000-00-00", "0000-00-00 00:00:00.001", "2023-00-15", "2023-01-00 00:00:00", "2026-11-20", "2026-11-20 00:00:00.000001", "2026-11-20 10:10:10", "2026-11-20 10:10:10.1", "9999-12-31 23:59:59.999999"}},
		{change.Timestamp, []string{"0000-00-00 00:00:00", "1970-01-01T00:00:01Z", "2026-11-20T10:10:10.123Z", "2026-11-20T10:10:10.1234Z"}},
		{change.Time, []string{"-838:59:59", "-01:00:00", "-00:00:00.01", "00:00:00", "00:00:00.000001", "01:02:03", "99:00:00", "100:00:00", "838:59:59.000000"}},
	} {
		for i, a := range c.sorted {
			for j, b := range c.sorted {
				if got, want := cmpTime(c.typ, a, []byte(b)), cmpInt(int64(i), int64(j)); got != want {
					t.Errorf("%s: %s with %s: got %d, want %d", c.typ, a, b, got, want)
				}
			}
		}
	}
	for _, equal := range [][2]string{{"2026-11-20", "2026-11-20 00:00:00.000"}, {"2026-11-20T10:10:10Z", "2026-11-20T10:10:10.000Z"}} {
		if got := cmpTime(change.DateTime, equal[0], equal[1]); got != 0 {
			t.Errorf("%s and %s: got %d, want 0", equal[0], equal[1], got)
		}
	}
}

func TestParseTimeConst_RefusesWhatIsNoTime(t *testing.T) {
	for typ, texts := range map[change.Type][]string{
		change.Date:      {"", "2026", "2026-1-1", "2026-11-32", "2026-11-20 24:00:00", "2026-11-20 10:60:00", "2026-11-20 10:10:10.", "2026-11-20 10:10:10.1234567890", "2026/11/20", "20261120aa"},
		change.Timestamp: {"2026-11-20", "2026-11-20T10:10:10", "2026-11-20 10:10:10Z", "2026-02-30T00:00:00Z"},
		change.Time:      {"", "-", "10:10", "10:10:60", "1000:00:00", "10:10:10.x", "10:1:10", "10-10-10", "10:10:10.1234567890"},
	} {
		for _, text := range texts {
			if v, err := parseTimeConst(typ, text); err == nil {
				t.Errorf("%s %q: got %q and no error", typ, text, v.text)
			}
		}
	}
}

func TestDidYouMean_FindsTheNearName(t *testing.T) {
	names := []string{"id", "status", "updated_at", "amount"}
	for want, meant := range map[string]string{
		"stauts": `did you mean "status"?`, "STATUS": `did you mean "status"?`, "update_at": `did you mean "updated_at"?`, "amuont": `did you mean "amount"?`,
		"ids": `did you mean "id"?`, "city": "", "": "", "zzzzzzzz": "",
	} {
		if got := DidYouMean(want, names); got != meant {
			t.Errorf("%q: got %q, want %q", want, got, meant)
		}
	}
}
