package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/expr"
)

func ordersView(edit func(*Definition)) *Definition {
	d := &Definition{Name: "orders", Source: "orders", Database: "shop_{shard}", Table: "orders_{part}"}
	if edit != nil {
		edit(d)
	}
	return d
}

func TestApply_UpdateThatChangesNothingShownIsStillAnEvent(t *testing.T) {
	p := mustCompile(t, shopView(), orders())
	events := apply(t, p, testChange(change.Update, order(), order("email", `"x"`)))
	if len(events) != 1 || events[0].Op != change.Update || bytes.Contains(events[0].Value, []byte("_old")) {
		t.Errorf("got %v, want one u without _old", events)
	}
}

func TestApply_EventsOfOneChangeStayValidTogether(t *testing.T) {
	p := mustCompile(t, shopView(), orders())
	var events []Event
	err := p.Apply(testChange(change.Update, order(), order("id", "43")), func(e Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 || string(events[0].Key) != `["03","42"]` || string(events[1].Key) != `["03","43"]` || !json.Valid(events[0].Value) || !json.Valid(events[1].Value) {
		t.Errorf("the first event was overwritten: %v", events)
	}
}

func TestHazard_A85_KeyChangeIsDeleteOfTheOldAndCreateOfTheNew(t *testing.T) {
	p := mustCompile(t, shopView(), orders())
	events := apply(t, p, testChange(change.Update, order(), order("id", "43")))
	if len(events) != 2 {
		t.Fatalf("got %d events, want 2", len(events))
	}
	for i, want := range []struct {
		op  change.Op
		key string
	}{{change.Delete, `["03","42"]`}, {change.Create, `["03","43"]`}} {
		if e := events[i]; e.Op != want.op || string(e.Key) != want.key || e.LSN.Part != uint16(i) || e.LSN.Row != 1 {
			t.Errorf("event %d: got %s %s %s, want %s %s part %d", i, e.Op, e.Key, e.LSN, want.op, want.key, i)
		}
	}
}

func TestHazard_A86_KeysThatDifferInCaseAreTwoKeys(t *testing.T) {
	p := mustCompile(t, ordersView(func(d *Definition) { d.Key = []string{"email"} }), orders())
	events := apply(t, p, testChange(change.Update, order("email", `"A"`), order("email", `"a"`)))
	if len(events) != 2 || string(events[0].Key) != `["A"]` || string(events[1].Key) != `["a"]` {
		t.Errorf("got %v, want d of [\"A\"] and c of [\"a\"]", events)
	}
}

func TestHazard_A38_AbsentColumnStopsTheShardAndIsNeverNULL(t *testing.T) {
	const want = `view order_items: table shop_03.orders_7: a row image has no column %s: the session that wrote it used a smaller binlog_row_image (set it to FULL on the server and in every session), or the column is a generated one of MariaDB, which leaves them out of updates and deletes (take it out of the view, by select or masking: drop)`
	p := mustCompile(t, shopView(), orders())
	for column, c := range map[string]*Change{
		"items":  testChange(change.Update, order(), order("items", "absent")),
		"status": testChange(change.Update, order("status", "absent"), order()),
		"qty":    testChange(change.Create, nil, order("qty", "absent")),
		"id":     testChange(change.Delete, order("id", "absent"), nil),
	} {
		err := p.Apply(c, func(e Event) error { t.Errorf("%s absent: got event %s", column, e.Value); return nil })
		if err == nil || err.Error() != fmt.Sprintf(want, column) {
			t.Errorf("%s absent: got %v", column, err)
		}
	}
	// What the view does not read may be absent.
	if events := apply(t, p, testChange(change.Create, nil, order("email", "absent", "phone", "absent", "user_id", "absent"))); len(events) != 1 {
		t.Errorf("got %d events, want 1", len(events))
	}
}

func TestApply_RefusesImpossibleChanges(t *testing.T) {
	p := mustCompile(t, shopView(), orders())
	foreign := testChange(change.Create, nil, order())
	foreign.Shard = "04"
	for want, c := range map[string]*Change{
		`view order_items: a change has the unknown operation "x"`:                testChange('x', nil, order()),
		`view order_items: a change with operation "c" has the wrong images`:      testChange(change.Create, order(), order()),
		`view order_items: a change with operation "u" has the wrong images`:      testChange(change.Update, nil, order()),
		`view order_items: a change with operation "d" has the wrong images`:      testChange(change.Delete, nil, order()),
		`view order_items: a change of shard "04" came to the plan of shard "03"`: foreign,
	} {
		if err := p.Apply(c, func(Event) error { return nil }); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestApply_ErrorsNameViewKeyAndExpressionButNoUnmaskedValue(t *testing.T) {
	d := ordersView(func(d *Definition) {
		d.Masking = map[string]Mask{"email": {Kind: "truncate", Keep: 1}}
		d.Key = []string{"email", "id"}
		d.Select = []Item{{Name: "id"}, {Name: "email"}, {Name: "n", Expr: "int(payload.ship.city)"}}
	})
	p := mustCompile(t, d, orders())
	err := p.Apply(testChange(change.Create, nil, order()), func(Event) error { return errors.New("called") })
	want := `view orders: key ["a","42"], select.n: evaluate expression "int(payload.ship.city)", column payload: int: the text is not a whole number`
	if err == nil || err.Error() != want {
		t.Errorf("select:\n got %v\nwant %s", err, want)
	}
	d.Where = "int(email) > 1"
	p = mustCompile(t, d, orders())
	err = p.Apply(testChange(change.Delete, order(), nil), func(Event) error { return errors.New("called") })
	want = `view orders: key ["a","42"], where: evaluate expression "int(email) > 1", column email: int: the text is not a whole number`
	if err == nil || err.Error() != want {
		t.Errorf("where:\n got %v\nwant %s", err, want)
	}
	// A key that cannot be made itself.
	d.Key, d.Where = []string{"n"}, "int(email) > 1"
	p = mustCompile(t, d, orders())
	if err = p.Apply(testChange(change.Delete, order(), nil), func(Event) error { return nil }); err == nil || !strings.HasPrefix(err.Error(), "view orders: key unknown, where: ") {
		t.Errorf("key: got %v", err)
	}
}

func TestApply_ReturnsErrorsOfEmitAsTheyAre(t *testing.T) {
	p := mustCompile(t, shopView(), orders())
	full := errors.New("full")
	n := 0
	err := p.Apply(testChange(change.Update, order(), order("id", "43")), func(Event) error { n++; return full })
	if err != full || n != 1 {
		t.Errorf("got %v after %d events, want %v after 1", err, n, full)
	}
}

func TestApply_MorePartsThanAnLSNHolds(t *testing.T) {
	p := mustCompile(t, shopView(), orders())
	apply(t, p, testChange(change.Create, nil, order()))
	p.parts = maxParts
	err := p.emit(testChange(change.Create, nil, order()), change.Create, &p.after, func(Event) error { return nil })
	if want := `view order_items, key ["03","42"]: one change becomes more than 65535 events: narrow where, or split the view`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestApply_RowThatGivesNothingIsAnErrorNotBrokenJSON(t *testing.T) {
	p := mustCompile(t, ordersView(nil), orders())
	for _, column := range []string{"id", "payload", "email"} {
		if err := p.Apply(testChange(change.Create, nil, order(column, "")), func(e Event) error { t.Errorf("got %s", e.Value); return nil }); err == nil {
			t.Errorf("an empty cell of %s gave no error", column)
		}
	}
	d := ordersView(func(d *Definition) { d.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("x")}} })
	if err := mustCompile(t, d, orders()).Apply(testChange(change.Create, nil, order("email", `"\q"`)), func(e Event) error { t.Errorf("got %s", e.Value); return nil }); err == nil {
		t.Error("a malformed text under a mask gave no error")
	}
}

// nullDocument is a row whose JSON column holds the JSON value null.
type nullDocument struct{ *expr.Texts }

func (r nullDocument) State(col int) change.CellState {
	if col == 5 {
		return change.Present
	}
	return r.Texts.State(col)
}

func TestApply_JSONNullIsNotNULL(t *testing.T) {
	p := mustCompile(t, ordersView(func(d *Definition) {
		d.Select = []Item{{Name: "id"}, {Name: "payload"}, {Name: "city", Expr: "payload.ship.city"}}
	}), orders())
	c := testChange(change.Create, nil, nil)
	c.After = nullDocument{order("payload", "null")}
	if got, want := string(apply(t, p, c)[0].Value), `"payload":"null","city":null}`; !strings.HasSuffix(got, want) {
		t.Errorf("document null: got %s, want %s", got, want)
	}
	if got, want := string(apply(t, p, testChange(change.Create, nil, order("payload", "null")))[0].Value), `"payload":null,"city":null}`; !strings.HasSuffix(got, want) {
		t.Errorf("NULL: got %s, want %s", got, want)
	}
}

func TestApply_HugeRowIsNotKept(t *testing.T) {
	p := mustCompile(t, ordersView(nil), orders())
	huge := `"` + strings.Repeat("x", 8<<20) + `"`
	if got := apply(t, p, testChange(change.Update, order("email", huge), order("email", huge, "qty", "4"))); len(got[0].Value) < 8<<20 {
		t.Fatalf("the event has %d bytes", len(got[0].Value))
	}
	apply(t, p, testChange(change.Update, order(), order()))
	for name, b := range map[string][]byte{"out": p.out, "scratch": p.scratch, "before": p.before.buf, "after": p.after.buf, "key": p.after.key} {
		if cap(b) > maxKept {
			t.Errorf("buffer %s keeps %d bytes", name, cap(b))
		}
	}
	if p.src.row != nil {
		t.Error("the plan keeps the row")
	}
}

func TestSchema_HasTypesOfColumnsPathsAndExpressions(t *testing.T) {
	d := shopView()
	d.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("s")}, "status": {Kind: "truncate", Keep: 4}}
	d.Select = append(d.Select, Item{Name: "email"}, Item{Name: "paid", Expr: "status == 'paid'"}, Item{Name: "zipcode", Expr: "int(payload.ship.zip)"})
	s := mustCompile(t, d, orders()).Schema()
	var got []string
	for _, c := range s.Columns {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	want := []string{
		`{"name":"id","type":"int","bits":64}`,
		`{"name":"part","type":"text"}`,
		`{"name":"status","type":"text"}`,
		`{"name":"amount","type":"decimal","precision":12,"scale":2}`,
		`{"name":"ship_city","type":"text","nullable":true}`,
		`{"name":"zip","type":"text","nullable":true}`,
		`{"name":"ship","type":"text","nullable":true}`,
		`{"name":"items","type":"json","nullable":true}`,
		`{"name":"total","type":"decimal","precision":22,"scale":2}`,
		`{"name":"updated_at","type":"timestamp","scale":3}`,
		`{"name":"email","type":"text","length":64,"nullable":true}`,
		`{"name":"paid","type":"bool"}`,
		`{"name":"zipcode","type":"int","bits":64,"nullable":true}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s.View != "order_items" || fmt.Sprint(s.Key) != "[shard id]" {
		t.Errorf("got view %s, key %v", s.View, s.Key)
	}
	if !strings.Contains(string(apply(t, mustCompile(t, d, orders()), testChange(change.Create, nil, order()))[0].Value), `"_schema":"`+s.Fingerprint()+`"`) {
		t.Error("events do not carry the schema's fingerprint")
	}
}

func TestDefaultKey_IsThePrimaryKeyShownOrNot(t *testing.T) {
	table := orders()
	table.PrimaryKey = []int{7, 0}
	p := mustCompile(t, ordersView(func(d *Definition) { d.Select = []Item{{Name: "order_id", Expr: "id"}} }), table)
	if got, want := fmt.Sprint(p.Schema().Key), "[user_id order_id]"; got != want {
		t.Errorf("key names: got %s, want %s", got, want)
	}
	e := apply(t, p, testChange(change.Create, nil, order()))[0]
	if got, want := string(e.Key), `["18446744073709551615","42"]`; got != want {
		t.Errorf("key: got %s, want %s", got, want)
	}
	if bytes.Contains(e.Value, []byte("user_id")) {
		t.Errorf("the key's column is shown: %s", e.Value)
	}
}

func TestKey_TakesCapturesShardAndMaskedText(t *testing.T) {
	d := ordersView(func(d *Definition) {
		d.Key = []string{"Shard", "part", "email"}
		d.Masking = map[string]Mask{"email": {Kind: "truncate", Keep: 3}}
		d.Select = []Item{{Name: "email"}}
	})
	if got, want := string(apply(t, mustCompile(t, d, orders()), testChange(change.Create, nil, order()))[0].Key), `["03","7","ann"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExpressions_SeeCapturesAndTheShard(t *testing.T) {
	d := ordersView(func(d *Definition) {
		d.Select = []Item{{Name: "id"}, {Name: "at", Expr: "shard + '/' + part"}}
		d.Where = "part in ['7', '8'] && shard != '99'"
	})
	if got, want := string(apply(t, mustCompile(t, d, orders()), testChange(change.Create, nil, order()))[0].Value), `"at":"03/7"}`; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTableColumnCalledShard_DoesNotBecomeTheKeysShard(t *testing.T) {
	table := orders()
	table.Columns[8] = change.Column{Name: "shard", Type: change.Text}
	d := ordersView(func(d *Definition) { d.Select, d.Key = []Item{{Name: "id"}}, []string{"shard", "id"} })
	if got, want := string(apply(t, mustCompile(t, d, table), testChange(change.Create, nil, order()))[0].Key), `["03","42"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.Select = nil
	_, err := Compile(d, testShard, table, map[string]string{"shard": "03", "part": "7"})
	if err == nil || !strings.Contains(err.Error(), `key[0]: "shard" is the shard's id and a column of the view`) {
		t.Errorf("got %v", err)
	}
}

func TestApply_AllocatesNothingPerRow(t *testing.T) {
	emit := func(Event) error { return nil }
	for name, d := range benchViews() {
		if name == "cel" {
			continue
		}
		p := mustCompile(t, d, orders())
		for _, c := range []*Change{
			testChange(change.Create, nil, order()), testChange(change.Update, order("status", `"new"`), order()),
			testChange(change.Update, order(), order("id", "43")), testChange(change.Delete, order(), nil),
		} {
			if n := testing.AllocsPerRun(100, func() {
				if err := p.Apply(c, emit); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("view %s, %s: %v allocations per row, want 0", name, c.Op, n)
			}
		}
	}
}

// benchViews are the views of the benchmarks: ten columns each.
func benchViews() map[string]*Definition {
	return map[string]*Definition{
		"copy":  ordersView(nil),
		"where": ordersView(func(d *Definition) { d.Where = "status != 'test' && amount > 1" }),
		"path": ordersView(func(d *Definition) {
			d.Select = []Item{{Name: "id"}, {Name: "status"}, {Name: "amount"}, {Name: "email"}, {Name: "phone"}, {Name: "city", Expr: "payload.ship.city"}, {Name: "zip", Expr: "payload.ship.zip"}, {Name: "user_id"}, {Name: "updated_at"}, {Name: "qty"}}
		}),
		"masked": ordersView(func(d *Definition) {
			d.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("0123456789abcdef")}, "phone": {Kind: "truncate", Keep: 3}}
		}),
		"quoted": ordersView(func(d *Definition) { d.QuoteBig = true }),
		"cel":    ordersView(func(d *Definition) { d.Select = []Item{{Name: "*"}, {Name: "total", Expr: "amount * qty"}} }),
	}
}

func BenchmarkApply(b *testing.B) {
	emit := func(Event) error { return nil }
	for name, d := range benchViews() {
		for _, c := range []*Change{testChange(change.Create, nil, order()), testChange(change.Update, order("status", `"new"`), order())} {
			b.Run(name+"/"+c.Op.String(), func(b *testing.B) {
				p := mustCompile(b, d, orders())
				b.SetBytes(int64(len(apply(b, p, c)[0].Value)))
				b.ReportAllocs()
				for b.Loop() {
					if err := p.Apply(c, emit); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func TestApply_AHugeRowIsRenderedOnceAndNotKept(t *testing.T) {
	p := mustCompile(t, shopView(), orders())
	huge := `"` + strings.Repeat("x", 8<<20) + `"`
	c := testChange(change.Create, nil, order("status", huge))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	size := 0
	if err := p.Apply(c, func(e Event) error { size = len(e.Value); return nil }); err != nil || size < len(huge) {
		t.Fatalf("an event of %d bytes and %v, want it to hold the row", size, err)
	}
	runtime.ReadMemStats(&after)
	// The text that where compares, the image, and the event, which slices.Grow
	// makes twice where races are looked for.
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(size)*9/2 {
		t.Errorf("an event of %d bytes took %d", size, took)
	}
	if cap(p.out) > maxKept || cap(p.after.buf) > maxKept {
		t.Error("what the row has grown is still held")
	}
}
