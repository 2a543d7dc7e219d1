package view

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/expr"
)

var update = flag.Bool("update", false, "write the golden files anew")

// orders is a table of a shop.
func orders() *change.Table {
	return &change.Table{
		Database: "shop_03", Name: "orders_7",
		Columns: []change.Column{
			{Name: "id", Type: change.Int, Bits: 64},
			{Name: "status", Type: change.Enum, Members: []string{"new", "paid", "test"}},
			{Name: "amount", Type: change.Decimal, Precision: 12, Scale: 2},
			{Name: "email", Type: change.Text, Length: 255, Charset: "utf8mb4", Nullable: true},
			{Name: "phone", Type: change.Text, Length: 20, Nullable: true},
			{Name: "payload", Type: change.JSON, Nullable: true},
			{Name: "items", Type: change.JSON, Nullable: true},
			{Name: "user_id", Type: change.Uint, Bits: 64},
			{Name: "updated_at", Type: change.Timestamp, Scale: 3},
			{Name: "qty", Type: change.Int, Bits: 32},
		},
		PrimaryKey: []int{0},
	}
}

// order is a row of orders with the given cells changed.
func order(cells ...string) *expr.Texts {
	t := orders()
	row := expr.Texts{
		[]byte(`42`), []byte(`"paid"`), []byte(`12.50`), []byte(`"ann@example.com"`), []byte(`"+49 30 1234"`),
		[]byte(`{"ship": {"city": "Pune", "zip": 411001, "gift": true}, "tags": ["a", "b"], "none": null}`), []byte(`[{"sku": "a\"b", "qty": 2}]`),
		[]byte(`18446744073709551615`), []byte(`"2026-11-20T10:10:10.123Z"`), []byte(`3`),
	}
	for i := 0; i < len(cells); i += 2 {
		c := t.ColumnIndex(cells[i])
		if cells[i+1] == "absent" {
			row[c] = nil
			continue
		}
		row[c] = []byte(cells[i+1])
	}
	return &row
}

const (
	testShard = "03"
	testGTID  = "3e11fa47-71ca-11e1-9e33-c80aa9429562:8812"
)

func testChange(op change.Op, before, after *expr.Texts) *Change {
	c := &Change{
		Op: op, Shard: testShard, TSMicros: 1763633410123456, GTID: testGTID,
		LSN: change.LSN{Epoch: 1, Txn: 0x2d093, Row: 1},
	}
	// A nil pointer in an interface would not be nil.
	if before != nil {
		c.Before = before
	}
	if after != nil {
		c.After = after
	}
	return c
}

func mustCompile(t testing.TB, def *Definition, table *change.Table) *Plan {
	t.Helper()
	m, err := NewMatcher([]*Definition{def})
	if err != nil {
		t.Fatal(err)
	}
	found := m.Match(def.Source, testShard, table.Database, table.Name)
	if len(found) != 1 {
		t.Fatalf("%d views take %s.%s, want 1", len(found), table.Database, table.Name)
	}
	p, err := Compile(def, testShard, table, found[0].Captures)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// apply returns the events of a change, copied.
func apply(t testing.TB, p *Plan, c *Change) []Event {
	t.Helper()
	var out []Event
	err := p.Apply(c, func(e Event) error {
		e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range out {
		checkEvent(t, p, e)
	}
	return out
}

// checkEvent checks what holds for every event: it is JSON, as is its key, its
// members are the metadata and the schema's columns in order, and the letters
// agree.
func checkEvent(t testing.TB, p *Plan, e Event) {
	t.Helper()
	if !json.Valid(e.Value) || !json.Valid(e.Key) {
		t.Fatalf("not JSON: %s %s", e.Key, e.Value)
	}
	var key []any
	if err := json.Unmarshal(e.Key, &key); err != nil || len(key) != len(p.Schema().Key) {
		t.Fatalf("key %s has not the %d texts of the schema: %v", e.Key, len(p.Schema().Key), err)
	}
	names := members(t, e.Value)
	want := []string{"_op", "_shard", "_ts_us", "_lsn"}
	for _, optional := range []string{"_db", "_table", "_gtid", "_schema", "_raw"} {
		if bytes.Contains(e.Value, []byte(`"`+optional+`":`)) {
			if optional == "_raw" && !strings.Contains(strings.Join(names, " "), " _raw ") {
				continue // it stands in _old only
			}
			want = append(want, optional)
		}
	}
	for _, c := range p.Schema().Columns {
		want = append(want, c.Name)
	}
	if names[len(names)-1] == "_old" {
		want = append(want, "_old")
	}
	if got := strings.Join(names, " "); got != strings.Join(want, " ") {
		t.Fatalf("members: got %s, want %s", got, strings.Join(want, " "))
	}
	if !bytes.HasPrefix(e.Value, fmt.Appendf(nil, `{"_op":"%s","_shard":"03","_ts_us":`, e.Op)) || !bytes.Contains(e.Value, fmt.Appendf(nil, `,"_lsn":"%s"`, e.LSN)) {
		t.Fatalf("event %s does not say %s and %s", e.Value, e.Op, e.LSN)
	}
}

// members returns the names of an object's members in order.
func members(t testing.TB, object []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
	}
	return names
}

// golden compares text with a golden file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n got %s\nwant %s", file, got, want)
	}
}

func shopView() *Definition {
	return &Definition{
		Name: "order_items", Source: "orders", Database: "shop_{shard}", Table: "orders_{part}",
		Select: []Item{
			{Name: "id"}, {Name: "part"}, {Name: "status"}, {Name: "amount"},
			{Name: "ship_city", Expr: "payload.ship.city"}, {Name: "zip", Expr: "payload.ship.zip"}, {Name: "ship", Expr: "payload.ship"},
			{Name: "items"}, {Name: "total", Expr: "amount * qty"}, {Name: "updated_at"},
		},
		Where: "status != 'test'",
		Key:   []string{"shard", "id"},
	}
}
