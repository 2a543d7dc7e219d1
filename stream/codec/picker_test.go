package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func pick(t *testing.T, p *Picker, value string, n int) []string {
	t.Helper()
	out := make([][]byte, n)
	if err := p.Pick([]byte(value), out); err != nil {
		t.Fatalf("Pick(%s): %v", value, err)
	}
	got := make([]string, n)
	for i, raw := range out {
		got[i] = string(raw)
		if raw == nil {
			got[i] = "absent"
		}
	}
	return got
}

func TestPicker_FindsMembersInAnyOrder(t *testing.T) {
	names := []string{"b", "a", "ö", `q"`}
	tests := []struct {
		value string
		want  []string
	}{
		{`{"a":1,"b":"x","ö":null,"q\"":[1,{"a":2}]}`, []string{`"x"`, "1", "null", `[1,{"a":2}]`}},
		{`{"b":"x","a":1}`, []string{`"x"`, "1", "absent", "absent"}},
		{` { "a" : -1.5e+3 , "b" : {"a":7} } `, []string{`{"a":7}`, "-1.5e+3", "absent", "absent"}},
		{`{}`, []string{"absent", "absent", "absent", "absent"}},
		{`{"\u0061":true,"\u00f6":false,"z":0}`, []string{"absent", "true", "false", "absent"}},
		{`{"a":1,"a":2,"b":3,"b":4}`, []string{"3", "1", "absent", "absent"}},
	}
	shared := NewPicker(names)
	for _, tt := range tests {
		for name, p := range map[string]*Picker{"fresh": NewPicker(names), "shared": shared} {
			if got := pick(t, p, tt.value, len(names)); !slices.Equal(got, tt.want) {
				t.Errorf("%s picker, %s: got %q, want %q", name, tt.value, got, tt.want)
			}
		}
	}
}

func TestPicker_RefusesWhatIsNotOneObject(t *testing.T) {
	for _, value := range []string{
		``, ` `, `null`, `[]`, `"a"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a" 1}`, `{"a":1 "b":2}`,
		`{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`, `{"a":+1}`, `{"a":tru}`, `{"a":nul}`, `{"a":"x}`, `{"a":"\x"}`,
		`{"a":"\u12g4"}`, `{"a":"\`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[}`, `{"a":{"b"}}`, `{} {}`, `{}x`, "{\"a\":\"\n\"}",
	} {
		p := NewPicker([]string{"a", "never"})
		if err := p.Pick([]byte(value), make([][]byte, 2)); !errors.Is(err, ErrSyntax) {
			t.Errorf("Pick(%q): got %v, want ErrSyntax", value, err)
		}
	}
}

func TestEventPicker_LooksForRawInFrontOfTheColumnsOnly(t *testing.T) {
	tests := []struct {
		value string
		want  []string
	}{
		{`{"_op":"c","_raw":["a"],"a":"x","b":1,"z":2}`, []string{`["a"]`, `"x"`, "1"}},
		{`{"_op":"c","a":"x","b":1,"z":2}`, []string{"absent", `"x"`, "1"}},
		{`{"_op":"c","a":"x","b":1,what follows is not read`, []string{"absent", `"x"`, "1"}},
		{`{"_raw":["a"],"a":"x","b":1,nor here`, []string{`["a"]`, `"x"`, "1"}},
		{`{"_op":"u","_old":{"a":1},"_raw":[]}`, []string{"[]", "absent", "absent"}},
	}
	shared := NewEventPicker([]string{RawName, "a", "b"})
	for _, tt := range tests {
		for name, p := range map[string]*Picker{"fresh": NewEventPicker([]string{RawName, "a", "b"}), "shared": shared} {
			if got := pick(t, p, tt.value, 3); !slices.Equal(got, tt.want) {
				t.Errorf("%s picker, %s: got %q, want %q", name, tt.value, got, tt.want)
			}
		}
	}
	// Alone, it is settled by the first column.
	alone := NewEventPicker([]string{RawName})
	if got := pick(t, alone, `{"_op":"c","a":what follows is not read`, 1); got[0] != "absent" {
		t.Errorf("got %q", got)
	}
}

func TestRawNames_AreAnArrayOfTexts(t *testing.T) {
	if names, err := RawNames(nil); names != nil || err != nil {
		t.Errorf("absent: %q, %v", names, err)
	}
	if names, err := RawNames([]byte(`["a","\u00f6\""]`)); !slices.Equal(names, []string{"a", `ö"`}) || err != nil {
		t.Errorf("got %q, %v", names, err)
	}
	for _, bad := range []string{`"a"`, `[1]`, `{}`, `[`} {
		if _, err := RawNames([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestPicker_RefusesAnOutputOfAnotherLength(t *testing.T) {
	if err := NewPicker([]string{"a"}).Pick([]byte(`{}`), nil); err == nil {
		t.Error("got no error for an output without a place")
	}
}

func TestPicker_BoundsTheNesting(t *testing.T) {
	deep := func(n int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	p := NewPicker([]string{"a"})
	if err := p.Pick(deep(maxDepth-1), make([][]byte, 1)); err != nil {
		t.Errorf("depth %d: got %v, want none", maxDepth-1, err)
	}
	if err := p.Pick(deep(1<<20), make([][]byte, 1)); !errors.Is(err, ErrSyntax) {
		t.Errorf("depth %d: got %v, want ErrSyntax", 1<<20, err)
	}
}

func TestPicker_AllocatesNothing(t *testing.T) {
	values := [][]byte{[]byte(event), []byte(strings.Replace(event, `"_gtid":"3e11fa47-71ca-11e1-9e33-c80aa9429562:8812",`, "", 1))}
	p := NewPicker([]string{"_op", "_ts_us", "amount", "absent"})
	out := make([][]byte, 4)
	i := 0
	if got := testing.AllocsPerRun(100, func() {
		if err := p.Pick(values[i%2], out); err != nil {
			t.Fatal(err)
		}
		i++
	}); got != 0 {
		t.Errorf("got %v allocations for a record, want 0", got)
	}
}

func TestMembers_WalksInOrder(t *testing.T) {
	var got []string
	for m, err := range Members([]byte(`{"b":1,"\u0061":"x","b":[ 2 ]}`)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.Name)+"="+string(m.Value))
	}
	if want := []string{"b=1", `a="x"`, "b=[ 2 ]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range []string{`{"a":1`, `{"a":1}x`, `[]`, ``} {
		var last error
		for _, err := range Members([]byte(bad)) {
			last = err
		}
		if !errors.Is(last, ErrSyntax) {
			t.Errorf("Members(%q) ended with %v, want ErrSyntax", bad, last)
		}
	}
	for range Members([]byte(`{"a":1,"b":2}`)) {
		break
	}
}

type pair struct{ name, value string }

// decode reads the top-level members of an object with encoding/json.
func decode(data []byte) ([]pair, bool) {
	if !json.Valid(data) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	var all []pair
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, false
		}
		all = append(all, pair{name.(string), string(raw)})
	}
	return all, true
}

func FuzzPicker(f *testing.F) {
	for _, s := range []string{event, `{"a":1,"b":"\ud83d\ude00\ud800"}`, `{"a":[1,{"b":null}],"a":2}`, `{"é":1}`, "{\"\xff\":1}", `[]`, `{"a":1e-9} `, `{"_op":"c","_raw":["a"],"a":"rg=="}`, `{"a":1,"_raw":[]}`} {
		f.Add([]byte(s), []byte(s))
	}
	names := []string{"a", "b", "_op", "amount", "é", "\ufffd", "never"}
	f.Fuzz(func(t *testing.T, before, data []byte) {
		p := NewPicker(names)
		out := make([][]byte, len(names))
		// The layout of another record must not change the result.
		_ = p.Pick(before, out)
		err := p.Pick(data, out)
		all, ok := decode(data)
		if ok != (err == nil) {
			t.Fatalf("Pick(%q): got %v, encoding/json says valid = %v", data, err, ok)
		}
		for i, name := range names {
			want := ""
			if at := slices.IndexFunc(all, func(m pair) bool { return m.name == name }); at >= 0 {
				want = all[at].value
			}
			if ok && string(out[i]) != want {
				t.Errorf("member %q of %q: got %q, want %q", name, data, out[i], want)
			}
		}
		// What is looked for in front of the columns only changes nothing else.
		events, picked := NewEventPicker(append(slices.Clone(names), RawName)), make([][]byte, len(names)+1)
		if err := events.Pick(data, picked); ok {
			for i := range names {
				if err != nil || string(picked[i]) != string(out[i]) {
					t.Errorf("member %q of event %q: got %q, %v, want %q", names[i], data, picked[i], err, out[i])
				}
			}
		}
		var walked []pair
		for m, werr := range Members(data) {
			if (werr == nil) != (err == nil) && werr != nil {
				t.Errorf("Members(%q): %v", data, werr)
			}
			walked = append(walked, pair{string(m.Name), string(m.Value)})
		}
		if ok && !slices.Equal(walked, all) {
			t.Errorf("Members(%q): got %q, want %q", data, walked, all)
		}
	})
}

const event = `{"_op":"u","_shard":"03","_ts_us":1763632210123456,"_lsn":"0000000100000002d093000000000000","_db":"shop_03","_table":"orders_7",` +
	`"_gtid":"3e11fa47-71ca-11e1-9e33-c80aa9429562:8812","_schema":"7f3a91c20b5e4d18","id":42,"status":"paid","amount":12.50,"ship_city":"Pune",` +
	`"items":"[{\"sku\":\"a\",\"n\":2}]","updated_at":"2026-11-20T10:10:10.123Z","_old":{"status":"new"}}`

func BenchmarkPicker(b *testing.B) {
	for name, names := range map[string][]string{
		"window": {"_op", "_ts_us", "amount"},
		"lake":   {"_op", "_shard", "_ts_us", "_lsn", "id", "status", "amount", "ship_city", "items", "updated_at", "_old"},
	} {
		b.Run(name, func(b *testing.B) {
			p, out, value := NewPicker(names), make([][]byte, len(names)), []byte(event)
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Pick(value, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
