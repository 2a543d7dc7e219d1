package view

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/expr"
)

// rawRow is a row of orders in which some texts are bytes that mean nothing in
// their character set.
type rawRow struct {
	*expr.Texts
	raw map[int]string
}

func (r rawRow) AppendJSON(dst []byte, col int) ([]byte, error) {
	if _, ok := r.raw[col]; ok {
		return dst, change.ErrInvalidText
	}
	return r.Texts.AppendJSON(dst, col)
}

func (r rawRow) AppendRaw(dst []byte, col int) ([]byte, error) {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), []byte(r.raw[col])), '"'), nil
}

// withRaw is a row whose columns hold bytes; cells are columns and their bytes.
func withRaw(cells ...string) rawRow {
	row := rawRow{Texts: docRow(), raw: make(map[int]string)}
	for i := 0; i < len(cells); i += 2 {
		row.raw[docTable().ColumnIndex(cells[i])] = cells[i+1]
	}
	return row
}

func rawChange(op change.Op, before, after change.Row) *Change {
	c := testChange(op, nil, nil)
	c.Before, c.After = before, after
	return c
}

// rawView shows the texts of orders.
func rawView(edit func(*Definition)) *Definition {
	d := &Definition{
		Name: "orders", Source: "orders", Database: "shop_{shard}", Table: "orders_{part}", Key: []string{"id"},
		Select: []Item{{Name: "id"}, {Name: "email"}, {Name: "phone"}}, Metadata: Metadata{NoDB: true, NoTable: true, NoGTID: true, NoSchema: true},
	}
	if edit != nil {
		edit(d)
	}
	return d
}

// behindLSN is what stands in an event behind the metadata that is always there.
func behindLSN(t *testing.T, e Event) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(e.Value), `"_lsn":"`)
	if !ok || len(rest) < 34 {
		t.Fatalf("the event has no _lsn: %s", e.Value)
	}
	return rest[33:]
}

func TestHazard_A75_BytesThatAreNoTextAreKeptAndNamed(t *testing.T) {
	valid := func(cells ...string) rawRow { return rawRow{Texts: docRow(cells...)} }
	tests := []struct {
		name string
		c    *Change
		want string
	}{
		{"create", rawChange(change.Create, nil, withRaw("email", "\xae")),
			`,"_raw":["email"],"id":42,"email":"rg==","phone":"+49 30 1234"}`},
		{"two of them", rawChange(change.Create, nil, withRaw("phone", "\xff\x00", "email", "")),
			`,"_raw":["email","phone"],"id":42,"email":"","phone":"/wA="}`},
		{"none", rawChange(change.Create, nil, valid()),
			`,"id":42,"email":"ann@example.com","phone":"+49 30 1234"}`},
		{"a column that the view does not show", rawChange(change.Create, nil, withRaw("status", "\xff")),
			`,"id":42,"email":"ann@example.com","phone":"+49 30 1234"}`},
		{"bytes become others", rawChange(change.Update, withRaw("email", "\xae"), withRaw("email", "\xaf")),
			`,"_raw":["email"],"id":42,"email":"rw==","phone":"+49 30 1234","_old":{"_raw":["email"],"email":"rg=="}}`},
		{"a text becomes bytes", rawChange(change.Update, valid(), withRaw("email", "\xae")),
			`,"_raw":["email"],"id":42,"email":"rg==","phone":"+49 30 1234","_old":{"email":"ann@example.com"}}`},
		{"bytes become the text of their base64", rawChange(change.Update, withRaw("email", "\xae"), valid("email", `"rg=="`)),
			`,"id":42,"email":"rg==","phone":"+49 30 1234","_old":{"_raw":["email"],"email":"rg=="}}`},
		{"the text of their base64 becomes bytes", rawChange(change.Update, valid("email", `"rg=="`), withRaw("email", "\xae")),
			`,"_raw":["email"],"id":42,"email":"rg==","phone":"+49 30 1234","_old":{"email":"rg=="}}`},
		{"another column changes", rawChange(change.Update, withRaw("email", "\xae"), rawRow{docRow("phone", `"1"`), map[int]string{3: "\xae"}}),
			`,"_raw":["email"],"id":42,"email":"rg==","phone":"1","_old":{"phone":"+49 30 1234"}}`},
		{"delete", rawChange(change.Delete, withRaw("email", "\xae"), nil),
			`,"_raw":["email"],"id":42,"email":"rg==","phone":"+49 30 1234"}`},
	}
	p := mustCompile(t, rawView(nil), docTable())
	for _, tt := range tests {
		events := apply(t, p, tt.c)
		if len(events) != 1 || behindLSN(t, events[0]) != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, events, tt.want)
			continue
		}
		if want := strings.Count(strings.SplitN(tt.want, `"_old"`, 2)[0], `=`); events[0].Raw != 0 && want == 0 {
			t.Errorf("%s: %d values are counted as bytes", tt.name, events[0].Raw)
		}
	}
}

func TestHazard_A75_AKeyOfBytesIsTheKeyOfNoText(t *testing.T) {
	p := mustCompile(t, rawView(func(d *Definition) { d.Key = []string{"id", "email"} }), docTable())
	hidden := mustCompile(t, rawView(func(d *Definition) { d.Key, d.Select = []string{"email"}, []Item{{Name: "id"}, {Name: "email"}} }), docTable())
	events := apply(t, p, rawChange(change.Update, withRaw("email", "\xae"), rawRow{Texts: docRow("email", `"rg=="`)}))
	if len(events) != 2 || string(events[0].Key) != `["42",{"_raw":"rg=="}]` || string(events[1].Key) != `["42","rg=="]` {
		t.Errorf("got %v, want a delete of the bytes and a create of the text", events)
	}
	if e := apply(t, hidden, rawChange(change.Create, nil, withRaw("email", "\xae")))[0]; string(e.Key) != `[{"_raw":"rg=="}]` || e.Raw != 1 {
		t.Errorf("key %s, %d values of bytes", e.Key, e.Raw)
	}
	// A part of the key that the view does not show is named in the key only.
	table := docTable()
	table.PrimaryKey = []int{table.ColumnIndex("email")}
	bare := mustCompile(t, rawView(func(d *Definition) { d.Key, d.Select = nil, []Item{{Name: "id"}} }), table)
	if e := apply(t, bare, rawChange(change.Create, nil, withRaw("email", "\xae")))[0]; string(e.Key) != `[{"_raw":"rg=="}]` || behindLSN(t, e) != `,"id":42}` {
		t.Errorf("key %s, value %s", e.Key, e.Value)
	}
}

func TestHazard_A75_BytesThatAreNoTextStayMasked(t *testing.T) {
	hash := func(row rawRow) string {
		p := mustCompile(t, rawView(func(d *Definition) {
			d.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("salt")}, "phone": {Kind: "drop"}}
			d.Select = []Item{{Name: "id"}, {Name: "email"}}
		}), docTable())
		e := apply(t, p, rawChange(change.Create, nil, row))[0]
		if strings.Contains(string(e.Value), "_raw") || e.Raw != 0 {
			t.Errorf("a hash is named as bytes: %s", e.Value)
		}
		return behindLSN(t, e)
	}
	// é in Latin 1 is no UTF-8, é in UTF-8 is no ASCII: neither has the hash of the text.
	seen := []string{hash(rawRow{Texts: docRow("email", `"é"`)}), hash(withRaw("email", "\xe9", "phone", "\xff")), hash(withRaw("email", "é"))}
	if slices.Sort(seen); len(slices.Compact(seen)) != 3 {
		t.Errorf("bytes and texts have one hash: %v", seen)
	}
	if a, b := hash(withRaw("email", "\xe9")), hash(withRaw("email", "\xe9")); a != b {
		t.Errorf("one value has two hashes: %s, %s", a, b)
	}
	cut := mustCompile(t, rawView(func(d *Definition) { d.Masking = map[string]Mask{"email": {Kind: "truncate", Keep: 2}} }), docTable())
	for in, want := range map[string]string{"ab\xffcd": "YWI=", "\xff": "/w==", "": ""} {
		if got := behindLSN(t, apply(t, cut, rawChange(change.Create, nil, withRaw("email", in)))[0]); got != `,"_raw":["email"],"id":42,"email":"`+want+`","phone":"+49 30 1234"}` {
			t.Errorf("%q cut to two: %s", in, got)
		}
	}
}

func TestHazard_A75_NothingIsComputedOfBytesThatAreNoText(t *testing.T) {
	row := withRaw("email", "\xae", "status", "\xaf")
	for where, want := range map[string]bool{
		"status != 'test'": true, "status == 'paid'": false, "status in ['paid', 'new']": false, "!(status in ['paid'])": true,
		"email == null": false, "email != null": true, "email != null && qty > 1": true, "status == 'test' || qty == 3": true,
		"email == phone": false, "coalesce(email, 'x') == 'x'": false,
	} {
		p := mustCompile(t, rawView(func(d *Definition) { d.Where, d.Select = where, []Item{{Name: "id"}} }), docTable())
		if got := len(apply(t, p, rawChange(change.Create, nil, row))) == 1; got != want {
			t.Errorf("where %s: taken %v, want %v", where, got, want)
		}
	}
	for text, select_ := range map[string]bool{
		"upper(email)": true, "email + 'x'": true, "size(email)": true, "email.a.b": true, "coalesce(email, 'x')": true, "qty > 1 ? email : 'x'": true,
		"email < 'x'": false, "email.startsWith('x')": false, "lower(email) == 'x'": false, "email == status": false, "email in [status]": false,
	} {
		p := mustCompile(t, rawView(func(d *Definition) {
			if d.Where = text; select_ {
				d.Where, d.Select = "", []Item{{Name: "id"}, {Name: "x", Expr: text}}
			}
		}), docTable())
		err := p.Apply(rawChange(change.Create, nil, row), func(Event) error { t.Errorf("%s: an event", text); return nil })
		if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "email") || !strings.Contains(err.Error(), "select the column by its name") {
			t.Errorf("%s: %v, want an error that names the expression, the column and the way out", text, err)
		}
	}
}

func TestHazard_A75_OtherEnvelopesRefuseBytesThatAreNoText(t *testing.T) {
	for _, kind := range []envelope.Kind{envelope.Debezium, envelope.Maxwell, envelope.Canal} {
		p := mustCompile(t, rawView(func(d *Definition) { d.Envelope = kind }), docTable())
		for _, c := range []*Change{
			rawChange(change.Create, nil, withRaw("email", "\xae")), rawChange(change.Delete, withRaw("email", "\xae"), nil),
			rawChange(change.Update, withRaw("email", "\xae"), docRow()),
		} {
			err := p.Apply(c, func(Event) error { t.Errorf("%s: an event", kind); return nil })
			if !errors.Is(err, change.ErrInvalidText) || !strings.Contains(err.Error(), `view orders, key ["42"]: column email`) || !strings.Contains(err.Error(), "mask the column") {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if events := apply1(t, p, rawChange(change.Create, nil, docRow())); !json.Valid(events) {
			t.Errorf("%s: the row behind it is %s", kind, events)
		}
	}
}

func apply1(t *testing.T, p *Plan, c *Change) (value []byte) {
	t.Helper()
	if err := p.Apply(c, func(e Event) error { value = slices.Clone(e.Value); return nil }); err != nil {
		t.Fatal(err)
	}
	return value
}
