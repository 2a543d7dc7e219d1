package view

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/expr"
)

const eventDoc = "../../docs/format/event.md"

func docTable() *change.Table {
	t := orders()
	t.Columns = append(t.Columns, change.Column{Name: "city_of_hub", Type: change.Text, Nullable: true})
	return t
}

// docRow is the row of the page's examples.
func docRow(cells ...string) *expr.Texts {
	row := order(append([]string{"payload", `{"ship": {"city": "Pune", "zip": 411001}, "tags": ["a", "b"]}`, "items", `[{"sku": "a", "qty": 2}]`}, cells...)...)
	*row = append(*row, []byte("null"))
	return row
}

func docView() *Definition {
	return &Definition{
		Name: "order_items", Source: "orders", Database: "shop_{shard}", Table: "orders_{part}",
		Where: "status != 'test'", Key: []string{"shard", "id"},
		Select: []Item{
			{"id", "id"}, {"status", "status"}, {"amount", "amount"}, {"city", "payload.ship.city"}, {"items", "items"},
			{"total", "amount * qty"}, {"updated_at", "updated_at"},
		},
	}
}

// docBlocks makes the text of every example block of the page.
func docBlocks(t *testing.T) map[string]string {
	p := mustCompile(t, docView(), docTable())
	one := func(p *Plan, c *Change) Event {
		events := apply(t, p, c)
		if len(events) != 1 {
			t.Fatalf("got %d events, want 1", len(events))
		}
		return events[0]
	}
	// later makes a change one of a later transaction.
	later := func(c *Change, by uint64) *Change {
		c.LSN.Txn += by
		c.TSMicros += int64(by) * 250_001
		c.GTID = fmt.Sprintf("%s:%d", testGTID[:36], 8812+by)
		return c
	}
	moved := apply(t, p, later(testChange(change.Update, docRow(), docRow("id", "43")), 2))
	masked := docView()
	masked.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("salt")}, "status": {Kind: "truncate", Keep: 2}}
	masked.Select, masked.Key = []Item{{Name: "email"}, {Name: "status"}, {Name: "amount"}}, []string{"email"}
	hidden := one(mustCompile(t, masked, docTable()), testChange(change.Create, nil, docRow()))
	table := func(by uint64, c *change.TableChange) string {
		of := later(testChange(change.Create, nil, docRow()), by)
		of.LSN.Row, of.LSN.Part = c.Row, 7
		return string(AppendTableEvent(nil, &TableChange{TableChange: c, Shard: of.Shard, TSMicros: of.TSMicros, LSN: of.LSN, GTID: of.GTID}))
	}
	bytes := docView()
	bytes.Where, bytes.Select = "", []Item{{Name: "id"}, {Name: "email"}}
	kept := later(&Change{Op: change.Update, Before: withRaw("email", "J\xae"), After: withRaw("email", "J\xaex")}, 5)
	kept.Shard, kept.LSN.Epoch, kept.LSN.Txn, kept.LSN.Row, kept.TSMicros = testShard, 1, kept.LSN.Txn+0x2d093, 1, kept.TSMicros+1763633410123456
	orders, old := change.TableName{Database: "shop_03", Name: "orders_7"}, change.TableName{Database: "archive", Name: "orders"}
	return map[string]string{
		"truncated":    table(3, &change.TableChange{DDL: change.Truncated, Table: orders, Row: 1}),
		"renamed-to":   table(4, &change.TableChange{DDL: change.Renamed, Table: orders, To: old, Row: 1}),
		"renamed-from": table(4, &change.TableChange{DDL: change.Renamed, Table: orders, From: change.TableName{Database: "shop_03", Name: "orders_next"}, Row: 4}),
		"create":       string(one(p, testChange(change.Create, nil, docRow("status", `"new"`, "amount", "10.00"))).Value),
		"update":       string(one(p, later(testChange(change.Update, docRow("status", `"new"`, "amount", "10.00"), docRow()), 1)).Value),
		"leaves":       string(one(p, later(testChange(change.Update, docRow("status", `"new"`, "amount", "10.00"), docRow("status", `"test"`)), 1)).Value),
		"moved-from":   string(moved[0].Value), "moved-to": string(moved[1].Value),
		"raw":        string(one(mustCompile(t, bytes, docTable()), kept).Value),
		"masked-key": string(hidden.Key), "masked": string(hidden.Value),
	}
}

// fold breaks an event into lines for the page; unfold undoes it.
func fold(event string) string {
	var out strings.Builder
	width := 0
	for i, member := range strings.SplitAfter(event, `,"`) {
		member = strings.TrimSuffix(member, `"`)
		if i > 0 {
			if member = `"` + member; width+len(member) > 118 {
				out.WriteString("\n ")
				width = 1
			}
		}
		out.WriteString(member)
		width += len(member)
	}
	return out.String()
}

func unfold(block string) string { return strings.ReplaceAll(block, "\n ", "") }

func TestEventDoc_ExamplesAreRealEvents(t *testing.T) {
	page, err := os.ReadFile(eventDoc)
	if err != nil {
		t.Fatal(err)
	}
	blocks := docBlocks(t)
	block := regexp.MustCompile("(?s)```json ([a-z-]+)\n(.*?)```\n")
	if *update {
		page = block.ReplaceAllFunc(page, func(b []byte) []byte {
			name := string(block.FindSubmatch(b)[1])
			return []byte("```json " + name + "\n" + fold(blocks[name]) + "\n```\n")
		})
		if err := os.WriteFile(eventDoc, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range block.FindAllSubmatch(page, -1) {
		name, got := string(m[1]), unfold(strings.TrimSuffix(string(m[2]), "\n"))
		want, ok := blocks[name]
		if !ok || got != want {
			t.Errorf("example %s (go test -update writes it anew):\n got %s\nwant %s", name, got, want)
		}
		delete(blocks, name)
	}
	for name := range blocks {
		t.Errorf("the page has no example %s", name)
	}
	if n := bytes.Count(page, []byte("```")); n != 2*11 {
		t.Errorf("the page has %d fences: a block is not checked", n)
	}
}

// docTableRows returns the cells of the table whose header begins with head,
// without the back quotes.
func docTableRows(t *testing.T, head string) [][]string {
	t.Helper()
	page, err := os.ReadFile(eventDoc)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n"+head+"\n")
	if !ok {
		t.Fatalf("the page has no table %s", head)
	}
	var rows [][]string
	for _, line := range strings.Split(rest, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var row []string
		for _, cell := range strings.Split(strings.Trim(line, "| "), " | ") {
			row = append(row, strings.Trim(strings.TrimSpace(cell), "`"))
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		t.Fatalf("the table %s is empty", head)
	}
	return rows
}

func TestEventDoc_View(t *testing.T) {
	var got []Item
	for _, row := range docTableRows(t, "| column | made of |") {
		got = append(got, Item{row[0], row[1]})
	}
	if want := docView().Select; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEventDoc_TextOfTypes(t *testing.T) {
	table := everyType()
	table.PrimaryKey = []int{0}
	p := mustCompile(t, ordersView(nil), table)
	apply(t, p, testChange(change.Create, nil, everyTypeRow()))
	want := map[string]string{"bool": "true"}
	for i, e := range typeExamples {
		want[string(e.column.Type)] = string(p.after.cell(i))
	}
	for _, row := range docTableRows(t, "| type | of | example |") {
		if got := row[2]; got != want[row[0]] {
			t.Errorf("type %s: the page says %s, an event %s", row[0], got, want[row[0]])
		}
		delete(want, row[0])
	}
	for missing := range want {
		t.Errorf("the page has no type %s", missing)
	}
}

func TestEventDoc_QuoteBig(t *testing.T) {
	for _, row := range docTableRows(t, "| type | without | with `quote_big` |") {
		for i, quote := range []bool{false, true} {
			table := &change.Table{Database: "shop_03", Name: "orders_7", PrimaryKey: []int{0},
				Columns: []change.Column{{Name: "x", Type: change.Type(row[0]), Bits: 64, Precision: 12, Scale: 2}}}
			if table.Columns[0].Type == change.Decimal {
				table.Columns[0].Bits = 0
			}
			p := mustCompile(t, ordersView(func(d *Definition) { d.QuoteBig = quote }), table)
			apply(t, p, testChange(change.Create, nil, &expr.Texts{[]byte(row[1])}))
			if got := string(p.after.cell(0)); got != row[1+i] {
				t.Errorf("%s %s, quoted %v: the page says %s, an event %s", row[0], row[1], quote, row[1+i], got)
			}
		}
	}
}

func TestEventDoc_Expressions(t *testing.T) {
	for _, row := range docTableRows(t, "| expression | text | type |") {
		d := docView()
		d.Where, d.Select = "", []Item{{"id", "id"}, {"x", row[0]}}
		p := mustCompile(t, d, docTable())
		apply(t, p, testChange(change.Create, nil, docRow()))
		column := p.Schema().Columns[1]
		typ := string(column.Type)
		if column.Type == change.Decimal {
			typ = fmt.Sprintf("decimal(%d,%d)", column.Precision, column.Scale)
		}
		if got := string(p.after.cell(1)); got != row[1] || typ != row[2] {
			t.Errorf("%s: the page says %s %s, an event %s %s", row[0], row[1], row[2], got, typ)
		}
	}
}

func TestEventDoc_Keys(t *testing.T) {
	for _, row := range docTableRows(t, "| key | record key |") {
		d := docView()
		d.Select = append(d.Select, Item{Name: "city_of_hub"})
		d.Key = strings.Split(strings.ReplaceAll(row[0], "`", ""), ", ")
		e := apply(t, mustCompile(t, d, docTable()), testChange(change.Create, nil, docRow()))[0]
		if string(e.Key) != row[1] {
			t.Errorf("key %s: the page says %s, an event %s", row[0], row[1], e.Key)
		}
	}
}

func TestEventDoc_Members(t *testing.T) {
	var named []string
	for _, row := range docTableRows(t, "| member | text | always | meaning |") {
		named = append(named, row[0])
	}
	e := apply(t, mustCompile(t, docView(), docTable()), rawChange(change.Update, docRow("amount", "1.00"), withRaw("status", "\xae")))[0]
	var got []string
	for _, m := range members(t, e.Value) {
		if !strings.HasPrefix(m, "_") {
			m = "columns"
		}
		if len(got) == 0 || got[len(got)-1] != m {
			got = append(got, m)
		}
	}
	if strings.Join(got, " ") != strings.Join(named, " ") {
		t.Errorf("the page has %v, an event %v", named, got)
	}
}
