package verify

import (
	"testing"

	"tailwater/change"
	"tailwater/internal/view"
)

func TestCanonical_EqualValuesHaveEqualTexts(t *testing.T) {
	for _, c := range []struct {
		t    change.Type
		a, b string
		same bool
	}{
		{change.Int, "42", "042", true},
		{change.Int, "-0", "0", true},
		{change.Int, "42", "42.00", true}, // INT became DECIMAL
		{change.Uint, "18446744073709551615", "18446744073709551614", false},
		{change.Decimal, "12.50", "12.5000", true},
		{change.Decimal, "-0.00", "0", true},
		{change.Decimal, "0.1", "0.10000000000000000000000000001", false},
		{change.Decimal, ".5", "0.5", true},
		{change.Decimal, "", "0", false},
		{change.Decimal, "-", "0", false},
		{change.Year, "0000", "0", true},
		{change.Float, "0.1", "0.100000001", true},
		{change.Float, "0.1", "0.10000002", false},
		{change.Double, "0.1", "0.10000000000000001", true},
		{change.Double, "0.1", "0.10000000000000002", false},
		{change.Double, "1e30", "1000000000000000000000000000000", true},
		{change.Double, "-0", "0", false},
		{change.Date, "2026-11-20", "2026-11-20 00:00:00", true},
		{change.DateTime, "2026-11-20 10:00:00.100", "2026-11-20 10:00:00.1", true},
		{change.DateTime, "2026-11-20 10:00:00.000", "2026-11-20 10:00:00", true},
		{change.DateTime, "2026-11-20 10:00:00", "2026-11-20 10:00:01", false},
		{change.Timestamp, "2026-11-20T10:00:00.120Z", "2026-11-20 10:00:00.120000", true},
		{change.Time, "-838:59:59.000", "-838:59:59", true},
		{change.Text, "a", "a ", false},
		{change.Text, "1.0", "1.00", false},
		{change.JSON, `{"a": 1}`, `{"a":1}`, false},
		{change.Geometry, `{"srid":0,"wkb":"AQ=="}`, `{"srid": 0, "wkb": "AQ=="}`, true},
		{change.Geometry, `{"srid":0,"wkb":"AQ=="}`, `{"srid":4326,"wkb":"AQ=="}`, false},
		{change.Vector, `[1.5,2]`, `[1.50, 2.0]`, true},
		{change.Vector, `[1.5]`, `[1.5,2]`, false},
	} {
		if got := canonical(c.t, c.a) == canonical(c.t, c.b); got != c.same {
			t.Errorf("%s %q and %q: equal is %t, want %t", c.t, c.a, c.b, got, c.same)
		}
	}
}

func TestFromServer_ReadsWhatTheDriverGives(t *testing.T) {
	for _, c := range []struct {
		t    change.Type
		in   any
		want string
	}{
		{change.Int, int64(-5), "-5"},
		{change.Uint, uint64(1<<64 - 1), "18446744073709551615"},
		{change.Float, float32(0.1), "0.1"},
		{change.Double, 0.1, "0.1"},
		{change.Decimal, []byte("1.50"), "1.50"},
		{change.Bit, []byte{5, 85}, "1365"},
		{change.Bytes, []byte{0, 255}, "AP8="},
		{change.Timestamp, []byte("2026-11-20 10:00:00.5"), "2026-11-20T10:00:00.5Z"},
		{change.Geometry, []byte{230, 16, 0, 0, 1}, `{"srid":4326,"wkb":"AQ=="}`},
		{change.Vector, []byte{0, 0, 192, 63, 0, 0, 0, 64}, "[1.5,2]"},
		{change.Text, "text", "text"},
	} {
		got, err := fromServer(&change.Column{Name: "c", Type: c.t}, c.in)
		if err != nil || got.null || got.text != c.want {
			t.Errorf("%s %v: got %+v and %v, want %s", c.t, c.in, got, err, c.want)
		}
	}
	if got, err := fromServer(&change.Column{}, nil); err != nil || !got.null {
		t.Errorf("nil: got %+v and %v, want NULL", got, err)
	}
	for typ, in := range map[change.Type]any{change.Bit: make([]byte, 9), change.Geometry: []byte{1}, change.Int: struct{}{}} {
		if got, err := fromServer(&change.Column{Name: "c", Type: typ}, in); err == nil {
			t.Errorf("%s %v: got %+v, want an error", typ, in, got)
		}
	}
}

func TestMasked_ShowsWhatAViewMaySee(t *testing.T) {
	text := change.Column{Type: change.Text}
	for _, c := range []struct {
		m    view.Mask
		c    change.Column
		in   cell
		want cell
	}{
		{view.Mask{Kind: "truncate", Keep: 2}, text, cell{text: "éàü"}, cell{text: "éà"}},
		{view.Mask{Kind: "truncate", Keep: 9}, text, cell{text: "x"}, cell{text: "x"}},
		{view.Mask{Kind: "drop"}, text, cell{text: "x"}, null},
		{view.Mask{Kind: "hash", Salt: []byte("salt")}, text, null, null},
		// HMAC-SHA-256 of 42, of the number as of the text.
		{view.Mask{Kind: "hash", Salt: []byte("salt")}, text, cell{text: "42"}, masked(view.Mask{Kind: "hash", Salt: []byte("salt")}, &change.Column{Type: change.Int}, cell{text: "42"})},
	} {
		if got := masked(c.m, &c.c, c.in); got != c.want {
			t.Errorf("%s of %+v: got %+v, want %+v", c.m.Kind, c.in, got, c.want)
		}
	}
	hash := view.Mask{Kind: "hash", Salt: []byte("salt")}
	if got := masked(hash, &text, cell{text: "a@b.c"}); len(got.text) != 64 || got == masked(hash, &text, cell{text: "a@b.d"}) {
		t.Errorf("hash: got %+v", got)
	}
}

func TestShows_KnowsWhereAMaskedColumnMayShow(t *testing.T) {
	def := &view.Definition{Masking: map[string]view.Mask{"email": {}}, Select: []view.Item{{Name: "who", Expr: "lower(Email)"}, {Name: "city"}, {Name: "*"}}}
	for column, want := range map[string]bool{"who": true, "city": false, "email": true, "status": false} {
		if got := shows(def, column); got != want {
			t.Errorf("%s: got %t, want %t", column, got, want)
		}
	}
}

func TestPath_FindsWhatMySQLWouldShow(t *testing.T) {
	const doc = `{"ship": {"city": "Pune", "zip": 411001, "a.b": [1, {"x": null}]}, "tags": ["a", "b"], "n": 1.50}`
	for text, want := range map[string]string{
		"doc.ship.city": "Pune", "doc.ship.zip": "411001", "doc.tags[1]": "b", "doc.tags[7]": "NULL", "doc.ship": `{"city": "Pune", "zip": 411001, "a.b": [1, {"x": null}]}`,
		`doc.ship["a.b"][0]`: "1", `doc.ship["a.b"][1].x`: "NULL", "doc.ship.city.x": "NULL", "doc.ship[0]": "NULL", "doc.n": "1.50", "doc.none": "NULL",
	} {
		column, p, ok := parsePath(text)
		if !ok || column != "doc" {
			t.Errorf("%s: no path", text)
			continue
		}
		got, err := p.find(doc)
		if err != nil || got.show() != want {
			t.Errorf("%s: got %q and %v, want %q", text, got.show(), err, want)
		}
	}
	for _, text := range []string{"", "doc", "a + b", "doc.x + 1", "f(x)", "doc.", "doc[", "doc[-1]", "doc[x]", "doc['x']", "1.5", "doc.x.startsWith('a')"} {
		if _, p, ok := parsePath(text); ok {
			t.Errorf("%q: got the path %v, want none", text, p)
		}
	}
	if _, err := (path{"a"}).find("{"); err == nil {
		t.Error("a damaged document: want an error")
	}
}

func TestNames_MatchAsTheConfigurationSays(t *testing.T) {
	for _, c := range []struct {
		database, table, d, n string
		want                  string
	}{
		{"shop_{db}", "orders_{part}", "shop_03", "orders_7", "db=03 part=7 "},
		{"shop_{db}", "orders_{part}", "shop_03", "orders_", "no"},
		{"shop_{db}", "orders_{part}", "xshop_03", "orders_1", "no"},
		{"shop_{db}", "orders_{part}", "shop_03", "_orders_7_gho", "no"},
		{"shop_{x}", "orders_{x}", "shop_3", "orders_3", "x=3 "},
		{"shop_{x}", "orders_{x}", "shop_3", "orders_4", "no"},
		{"s", "o_{y:[0-9]{4}}_{m:\\d+}", "s", "o_2026_11", "m=11 y=2026 "},
		{"s", "o.{y}", "s", "oxa", "no"},
	} {
		n, err := newNames(&view.Definition{Database: c.database, Table: c.table})
		if err != nil {
			t.Fatal(err)
		}
		got := "no"
		if captures, ok := n.match(c.d, c.n); ok {
			got = ""
			for _, x := range []string{"db", "m", "part", "x", "y"} {
				if v, ok := captures[x]; ok {
					got += x + "=" + v + " "
				}
			}
		}
		if got != c.want {
			t.Errorf("%s.%s and %s.%s: got %q, want %q", c.database, c.table, c.d, c.n, got, c.want)
		}
	}
	if _, err := newNames(&view.Definition{Database: "a{b", Table: "t"}); err == nil {
		t.Error("an open brace: want an error")
	}
}

func TestMembers_ReadsTheTypeOfAColumn(t *testing.T) {
	for in, want := range map[string][]string{"enum('a','it''s','x,y')": {"a", "it's", "x,y"}, "set('')": {""}, "int": nil, "enum('open": {"open"}} {
		got := members(in)
		if len(got) != len(want) {
			t.Errorf("%s: got %q, want %q", in, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: got %q, want %q", in, got, want)
			}
		}
	}
}
