package change

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func orders() *Schema {
	return &Schema{
		View: "orders",
		Columns: []Column{
			{Name: "id", Type: Uint, Bits: 64},
			{Name: "status", Type: Enum, Members: []string{"new", "paid"}, Charset: "utf8mb4", Nullable: true},
			{Name: "amount", Type: Decimal, Precision: 12, Scale: 2},
			{Name: "note", Type: Text, Length: 1020, Charset: "utf8mb4", Nullable: true},
		},
		Key: []string{"id"},
	}
}

// The fingerprint stands in every stored event and schema record, so that a
// change of it is a change of a format that others have on disk.
func TestSchema_FingerprintIsTheStoredOne(t *testing.T) {
	if got, want := orders().Fingerprint(), "8ac848e4ff642a77"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (&Schema{}).Fingerprint(), "71160752038eb73d"; got != want {
		t.Errorf("of the empty schema: got %s, want %s", got, want)
	}
}

func TestSchema_FingerprintFollowsTheShapeAndNotTheName(t *testing.T) {
	base := orders().Fingerprint()
	for _, c := range []struct {
		name   string
		change func(*Schema)
		same   bool
	}{
		{"the view's name", func(s *Schema) { s.View = "other" }, true},
		{"a copy", func(s *Schema) { s.Columns = append([]Column(nil), s.Columns...) }, true},
		{"a column's name", func(s *Schema) { s.Columns[0].Name = "ID" }, false},
		{"a column's type", func(s *Schema) { s.Columns[0].Type = Int }, false},
		{"a column's width", func(s *Schema) { s.Columns[0].Bits = 32 }, false},
		{"a column's length", func(s *Schema) { s.Columns[3].Length = 40 }, false},
		{"a column's precision", func(s *Schema) { s.Columns[2].Precision = 13 }, false},
		{"a column's scale", func(s *Schema) { s.Columns[2].Scale = 3 }, false},
		{"a column's charset", func(s *Schema) { s.Columns[3].Charset = "latin1" }, false},
		{"a member", func(s *Schema) { s.Columns[1].Members = []string{"new", "paid", "sent"} }, false},
		{"the members' order", func(s *Schema) { s.Columns[1].Members = []string{"paid", "new"} }, false},
		{"whether NULL is allowed", func(s *Schema) { s.Columns[0].Nullable = true }, false},
		{"the columns' order", func(s *Schema) { s.Columns[0], s.Columns[1] = s.Columns[1], s.Columns[0] }, false},
		{"a column more", func(s *Schema) { s.Columns = append(s.Columns, Column{Name: "x", Type: Int, Bits: 8}) }, false},
		{"the key", func(s *Schema) { s.Key = []string{"id", "status"} }, false},
		{"no key", func(s *Schema) { s.Key = nil }, false},
	} {
		s := orders()
		c.change(s)
		if got := s.Fingerprint() == base; got != c.same {
			t.Errorf("%s: got the same fingerprint %t, want %t", c.name, got, c.same)
		}
	}
}

func TestSchema_FingerprintTellsNamesFromStructure(t *testing.T) {
	a := &Schema{Columns: []Column{{Name: `a","type":"int"},{"name":"b`, Type: Int}}}
	b := &Schema{Columns: []Column{{Name: "a", Type: Int}, {Name: "b", Type: Int}}}
	if a.Fingerprint() == b.Fingerprint() {
		t.Error("a column's name that looks like two columns has their fingerprint")
	}
}

func TestSchema_ComesBackFromJSON(t *testing.T) {
	want := orders()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := new(Schema)
	if err := json.Unmarshal(text, got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	if strings.Contains(string(text), `"bits":0`) {
		t.Errorf("got %s, want no attribute that a column has not", text)
	}
}

func TestTable_ColumnIndexIgnoresTheCaseOfASCIILetters(t *testing.T) {
	table := &Table{Columns: []Column{{Name: "Id"}, {Name: "straße"}, {Name: "STATUS"}}}
	for name, want := range map[string]int{"id": 0, "ID": 0, "Id": 0, "status": 2, "straße": 1, "STRAßE": 1, "strasse": -1, "": -1, "i": -1, "idd": -1} {
		if got := table.ColumnIndex(name); got != want {
			t.Errorf("%q: got %d, want %d", name, got, want)
		}
	}
	if got := new(Table).ColumnIndex("id"); got != -1 {
		t.Errorf("in a table without columns: got %d, want -1", got)
	}
}

func TestEqualFold_FoldsASCIILettersAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true}, {"a", "A", true}, {"Zz", "zZ", true}, {"order_7", "ORDER_7", true},
		{"a", "b", false}, {"a", "", false}, {"a", "aa", false},
		{"[", "{", false}, {"@", "`", false}, // the neighbours of the letters, 32 apart
		{"É", "é", false}, {"\u212a", "k", false}, // the Kelvin sign folds to k in Unicode
		{"\x00", " ", false},
	} {
		if got := EqualFold(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: got %t, want %t", c.a, c.b, got, c.want)
		}
		if got := EqualFold(c.b, c.a); got != c.want {
			t.Errorf("%q and %q: got %t, want %t", c.b, c.a, got, c.want)
		}
	}
}

func TestEqualFold_AgreesWithStringsOnASCII(t *testing.T) {
	for a := range 128 {
		for b := range 128 {
			x, y := string(rune(a)), string(rune(b))
			if got, want := EqualFold(x, y), strings.EqualFold(x, y); got != want {
				t.Errorf("%q and %q: got %t, want %t", x, y, got, want)
			}
		}
	}
}

func TestOp_OnlyTheFourLettersAreValid(t *testing.T) {
	for i := range 256 {
		o := Op(i)
		if got, want := o.Valid(), strings.ContainsRune("cudr", rune(i)); got != want {
			t.Errorf("%q: got valid %t, want %t", o, got, want)
		}
	}
	if got, want := Create.String()+Update.String()+Delete.String()+Read.String(), "cudr"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
