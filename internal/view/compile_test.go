package view

import (
	"fmt"
	"strings"
	"testing"

	"tailwater/change"
)

func TestCompile_Mistakes(t *testing.T) {
	salt := []byte("salt")
	noKey := orders()
	noKey.PrimaryKey = nil
	underscore := orders()
	underscore.Columns[1].Name = "_status"
	twins := orders()
	twins.Columns[1].Name = "Id"
	for _, c := range []struct {
		name  string
		edit  func(*Definition)
		table *change.Table
		want  string
	}{
		{"unknown column", func(d *Definition) { d.Select = []Item{{Name: "stats"}} }, nil, `select.stats: the table has no column "stats" (did you mean "status"?)`},
		{"vanished column", func(d *Definition) { d.Select = []Item{{Name: "city", Expr: "town"}} }, nil, `select.city: compile expression "town": offset 0: unknown column "town"`},
		{"dropped column", func(d *Definition) {
			d.Select, d.Masking = []Item{{Name: "phone"}}, map[string]Mask{"phone": {Kind: "drop"}}
		}, nil, `select.phone: column "phone" is dropped by its mask`},
		{"dropped column renamed", func(d *Definition) {
			d.Select, d.Masking = []Item{{Name: "tel", Expr: "phone"}}, map[string]Mask{"phone": {Kind: "drop"}}
		}, nil, `select.tel: column "phone" is dropped by its mask`},
		{"dropped column in where", func(d *Definition) {
			d.Where, d.Masking = "phone == null", map[string]Mask{"phone": {Kind: "drop"}}
		}, nil, `where: compile expression "phone == null": offset 0: unknown column "phone" (column "phone" is dropped by its mask)`},
		{"masked type in where", func(d *Definition) {
			d.Where, d.Masking = "user_id > 1", map[string]Mask{"user_id": {Kind: "hash", Salt: salt}}
		}, nil, `where: compile expression "user_id > 1": offset 8: text cannot be compared with int (write it in quotes, or int(...) around the text)`},
		{"path into a masked document", func(d *Definition) {
			d.Select, d.Masking = []Item{{Name: "c", Expr: "payload.c"}}, map[string]Mask{"payload": {Kind: "hash", Salt: salt}}
		}, nil, `select.c: compile expression "payload.c": offset 0: column payload is text: only a JSON column, or text that holds JSON, has members`},
		{"mask of an unknown column", func(d *Definition) { d.Masking = map[string]Mask{"e_mail": {Kind: "drop"}} }, nil, `masking.e_mail: the table has no column "e_mail" (did you mean "email"?)`},
		{"mask twice", func(d *Definition) { d.Masking = map[string]Mask{"email": {Kind: "drop"}, "Email": {Kind: "drop"}} }, nil, `masking.email: the column is masked twice`},
		{"mask without salt", func(d *Definition) { d.Masking = map[string]Mask{"email": {Kind: "hash"}} }, nil, `masking.email: hash needs a salt: without a secret the values can be guessed`},
		{"mask of an unknown kind", func(d *Definition) { d.Masking = map[string]Mask{"email": {Kind: "md5"}} }, nil, `masking.email: unknown mask "md5": it is hash, drop or truncate`},
		{"truncated number", func(d *Definition) { d.Masking = map[string]Mask{"qty": {Kind: "truncate"}} }, nil, `masking.qty: truncate is for text, the column is int: use hash or drop`},
		{"dropped primary key", func(d *Definition) { d.Masking = map[string]Mask{"id": {Kind: "drop"}} }, nil, `column "id" of the primary key is dropped by its mask: hash it, or say which columns identify a row (key)`},
		{"no primary key", nil, noKey, `the table has no primary key: say which columns identify a row (key: [id, ...]), or give the table a primary key`},
		{"unknown key", func(d *Definition) { d.Key = []string{"shard", "idd"} }, nil, `key[1]: the view has no column "idd" (did you mean "id"?)`},
		{"key not selected", func(d *Definition) { d.Select, d.Key = []Item{{Name: "status"}}, []string{"amount"} }, nil, `key[0]: the view has no column "amount"`},
		{"metadata clash", nil, underscore, `select._status: the column name "_status" begins with _, which is kept for metadata (select it under another name: status: _status)`},
		{"clash ignoring case", nil, twins, `select.Id: the column name "Id" clashes with "id": names differ in more than case (give one another name)`},
		{"clash with an expression", func(d *Definition) { d.Select = []Item{{Name: "ID", Expr: "qty"}, {Name: "id"}} }, nil, `select.id: the column name "id" clashes with "ID": names differ in more than case (give one another name)`},
		{"where is no condition", func(d *Definition) { d.Where = "amount" }, nil, `where: compile expression "amount": offset 0: a condition is needed here, not decimal(12,2) (compare it: ... != 0)`},
		{"too many digits", func(d *Definition) {
			d.Select = []Item{{Name: "x", Expr: "amount * amount * amount * amount * amount * amount"}}
		}, nil, `select.x: compile expression "amount * amount * amount * amount * amount * amount": the result may have 72 digits, 12 of them behind the point; a DECIMAL has at most 65 and 30`},
		{"geometry", func(d *Definition) { d.Select = []Item{{Name: "s", Expr: "true ? spot : null"}} }, everyType(), `select.s: compile expression "true ? spot : null": a geometry or vector cannot be computed`},
		{"nothing left", func(d *Definition) {
			d.Masking = map[string]Mask{}
			for _, c := range orders().Columns {
				d.Masking[c.Name] = Mask{Kind: "drop"}
			}
		}, nil, `no column is left to select`},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := c.table
			if table == nil {
				table = orders()
			}
			_, err := Compile(ordersView(c.edit), testShard, table, map[string]string{"shard": "03", "part": "7"})
			if want := "compile view orders for table shop_03.orders_7: " + c.want; err == nil || err.Error() != want {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
}

func TestCompile_CapturesMustFitShardAndTable(t *testing.T) {
	for _, c := range []struct {
		captures map[string]string
		want     string
	}{
		{map[string]string{"shard": "04"}, `{shard} stands for the shard's id, which is "03", but the name says "04": name the capture otherwise ({db}), or narrow its pattern ({db:regex})`},
		{map[string]string{"QTY": "7"}, `{QTY} has the name of the column qty: name the capture otherwise`},
	} {
		_, err := Compile(ordersView(nil), testShard, orders(), c.captures)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.captures, err, c.want)
		}
	}
}

func TestCompile_ColumnsByNameWhateverItsCaseAndCharacters(t *testing.T) {
	table := orders()
	table.Columns[1].Name = `order "№" id`
	p := mustCompile(t, ordersView(func(d *Definition) {
		d.Select = []Item{{Name: "STATUS", Expr: ` Order "№" ID `}, {Name: "ID"}, {Name: "x", Expr: `col("order \"№\" id")`}, {Name: `a"b`, Expr: "1"}}
	}), table)
	e := apply(t, p, testChange(change.Update, order("status", `"new"`), order()))[0]
	if want := `"STATUS":"paid","ID":42,"x":"paid","a\"b":1,"_old":{"STATUS":"new","x":"new"}}`; !strings.HasSuffix(string(e.Value), want) {
		t.Errorf("got %s, want %s", e.Value, want)
	}
}

func TestHazard_A46_ColumnsWithoutANameAreNotSelected(t *testing.T) {
	table := orders()
	table.Columns[9].Name = ""
	p := mustCompile(t, ordersView(nil), table)
	if got, want := len(p.Schema().Columns), 9; got != want {
		t.Errorf("got %d columns, want %d", got, want)
	}
	apply(t, p, testChange(change.Create, nil, order()))
}

func TestAlter_AddedColumnJoinsStarAndRemovedOneIsNamed(t *testing.T) {
	d := ordersView(func(d *Definition) { d.Select = []Item{{Name: "total", Expr: "amount"}, {Name: "*"}} })
	before := mustCompile(t, d, orders()).Schema()
	added := orders()
	added.Columns = append(added.Columns, change.Column{Name: "note", Type: change.Text, Nullable: true})
	after := mustCompile(t, d, added).Schema()
	if got, want := len(after.Columns), len(before.Columns)+1; got != want || after.Fingerprint() == before.Fingerprint() {
		t.Errorf("got %d columns, want %d and another fingerprint", got, want)
	}
	removed := orders()
	removed.Columns = append(removed.Columns[:2:2], removed.Columns[3:]...)
	_, err := Compile(d, testShard, removed, nil)
	if err == nil || !strings.Contains(err.Error(), `select.total: compile expression "amount": offset 0: unknown column "amount"`) {
		t.Errorf("got %v", err)
	}
}

// TestMask_HashIsHMAC holds the hash to values that another implementation
// (Python's hmac) gave.
func TestMask_HashIsHMAC(t *testing.T) {
	p := mustCompile(t, ordersView(func(d *Definition) {
		d.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("salt")}, "id": {Kind: "hash", Salt: []byte("salt")}}
		d.Select = []Item{{Name: "id"}, {Name: "email"}}
	}), orders())
	const email, id = "8dbf86487e8fb70c73c4a7e24ece98aa58be0c693f69a36bcc5a098f82b26db8", "98c2d78e000f17f1958ac5ae7ca5293f16a4dcdf996afc0253bcd8accac9c6a2"
	e := apply(t, p, testChange(change.Create, nil, order("email", `"ann@\u0065xample.com"`)))[0]
	if want := fmt.Sprintf(`"id":"%s","email":"%s"}`, id, email); !strings.HasSuffix(string(e.Value), want) {
		t.Errorf("got %s, want %s", e.Value, want)
	}
	if want := fmt.Sprintf(`["%s"]`, id); string(e.Key) != want {
		t.Errorf("key: got %s, want %s", e.Key, want)
	}
}

func TestMask_TruncateCountsCharacters(t *testing.T) {
	for keep, want := range map[int]string{0: `""`, 1: `"é"`, 2: `"é\""`, 3: `"é\"x"`, 9: `"é\"x"`} {
		p := mustCompile(t, ordersView(func(d *Definition) {
			d.Masking = map[string]Mask{"email": {Kind: "truncate", Keep: keep}}
			d.Select = []Item{{Name: "email"}}
		}), orders())
		if e := apply(t, p, testChange(change.Create, nil, order("email", `"é\"x"`)))[0]; !strings.HasSuffix(string(e.Value), `"email":`+want+"}") {
			t.Errorf("keep %d: got %s, want %s", keep, e.Value, want)
		}
	}
}

// TestMask_NothingUnmaskedLeaves looks for the bytes of masked cells in every
// byte that a plan hands out.
func TestMask_NothingUnmaskedLeaves(t *testing.T) {
	d := ordersView(func(d *Definition) {
		d.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("s")}, "phone": {Kind: "drop"}, "status": {Kind: "truncate", Keep: 1}, "payload": {Kind: "hash", Salt: []byte("s")}}
		d.Select = []Item{{Name: "*"}, {Name: "e2", Expr: "upper(email) + status"}, {Name: "p2", Expr: "string(payload)"}}
		d.Key = []string{"email", "status", "id"}
	})
	p := mustCompile(t, d, orders())
	for _, c := range []*Change{
		testChange(change.Update, order("email", `"secret1"`, "phone", `"secret2"`, "status", `"xsecret3"`, "payload", `"secret4"`), order()),
		testChange(change.Update, order("phone", `"secret2"`, "payload", `"secret4"`), order()),
		testChange(change.Delete, order("email", `"secret1"`, "payload", `{"secret4": 1}`), nil),
	} {
		for _, e := range apply(t, p, c) {
			for _, secret := range []string{"secret", "SECRET", "ann@", "ANN@", "+49", "paid", "Pune"} {
				if strings.Contains(string(e.Value)+string(e.Key), secret) {
					t.Errorf("%q leaves in %s %s", secret, e.Key, e.Value)
				}
			}
		}
	}
}
