package view

import (
	"fmt"
	"strings"
	"testing"

	"tailwater/change"
)

// scenario is a view and the changes that are shown in its golden file.
type scenario struct {
	name    string
	def     *Definition
	table   *change.Table
	changes []*Change
}

func scenarios() []scenario {
	paid, test := order(), order("status", `"test"`)
	plain := func(edit func(*Definition)) *Definition {
		d := &Definition{Name: "orders", Source: "orders", Database: "shop_{shard}", Table: "orders_{part}"}
		edit(d)
		return d
	}
	return []scenario{
		{"operations", shopView(), orders(), []*Change{
			testChange(change.Create, nil, order()),
			testChange(change.Read, nil, order()),
			testChange(change.Update, order("status", `"new"`, "payload", "null"), order()),
			testChange(change.Update, order(), order("email", `"not selected"`)),
			testChange(change.Delete, order(), nil),
		}},
		{"where", shopView(), orders(), []*Change{
			testChange(change.Update, test, paid),
			testChange(change.Update, paid, test),
			testChange(change.Update, test, test),
			testChange(change.Create, nil, test),
			testChange(change.Delete, test, nil),
			testChange(change.Read, nil, test),
			testChange(change.Update, test, order("id", "43")),
			testChange(change.Update, order("id", "43"), test),
		}},
		{"key_change", shopView(), orders(), []*Change{
			testChange(change.Update, order(), order("id", "43", "status", `"new"`)),
		}},
		{"masking", plain(func(d *Definition) {
			d.Select = []Item{{Name: "email"}, {Name: "amount"}, {Name: "status"}, {Name: "user_id"}, {Name: "hello", Expr: "'<' + email + '>'"}, {Name: "payload"}}
			d.Masking = map[string]Mask{
				"email": {Kind: "hash", Salt: []byte("salt")}, "phone": {Kind: "drop"}, "status": {Kind: "truncate", Keep: 2},
				"user_id": {Kind: "hash", Salt: []byte("salt")}, "payload": {Kind: "hash", Salt: []byte("salt")},
			}
			d.Where = "status == 'pa' || email == null"
			d.Key = []string{"email", "status"}
		}), orders(), []*Change{
			testChange(change.Update, order("amount", "1.00", "user_id", "1"), order()),
			testChange(change.Create, nil, order("email", "null", "payload", "null")),
			testChange(change.Update, order(), order("email", `"bob@example.com"`)),
		}},
		{"star", plain(func(d *Definition) {
			d.Select = []Item{{Name: "order_id", Expr: "id"}, {Name: "*"}, {Name: "status", Expr: "upper(status)"}, {Name: "shard"}}
			d.Masking = map[string]Mask{"phone": {Kind: "drop"}}
			d.QuoteBig = true
		}), orders(), []*Change{
			testChange(change.Create, nil, order()),
			testChange(change.Update, order("user_id", "9007199254740992"), order("user_id", "9007199254740993")),
		}},
		{"bare", plain(func(d *Definition) {
			d.Metadata = Metadata{NoDB: true, NoTable: true, NoGTID: true, NoSchema: true, NoOld: true}
		}), orders(), []*Change{
			testChange(change.Update, order("amount", "1.00"), order()),
		}},
		{"types", plain(func(d *Definition) { d.Key = []string{"shard", "d", "t"} }), everyType(), []*Change{
			testChange(change.Create, nil, everyTypeRow()),
			testChange(change.Create, nil, everyTypeNull()),
		}},
		{"quoted_types", plain(func(d *Definition) { d.Key, d.QuoteBig = []string{"shard", "d", "t"}, true }), everyType(), []*Change{
			testChange(change.Create, nil, everyTypeRow()),
		}},
	}
}

func TestGolden_Events(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			p := mustCompile(t, s.def, s.table)
			var out strings.Builder
			for i, c := range s.changes {
				fmt.Fprintf(&out, "change %d: %s\n", i+1, c.Op)
				for _, e := range apply(t, p, c) {
					fmt.Fprintf(&out, "  key   %s\n  value %s\n", e.Key, e.Value)
				}
			}
			golden(t, s.name, out.String())
		})
	}
}
