package view

import (
	"strings"
	"testing"

	"tailwater/change"
)

func TestCapture_TakesTablesByPattern(t *testing.T) {
	for _, c := range []struct {
		include, exclude string
		takes, leaves    string
	}{
		{"", "", "shop.orders a.b shop._x tmp.x_new a.#x", "mysql.user sys.x SYS.x performance_schema.x information_schema.x shop._orders_gho shop._orders_ghc shop._orders_del shop._orders_new shop._orders_old shop.__orders_old shop.#sql-1f_2 shop.#sql2-x"},
		{"shop_*.*", "", "shop_00.orders shop_.x", "shop.orders xshop_1.a mysql.shop_1 shop_00._a_gho"},
		{"shop.*,crm.cust*", "*.tmp_*,shop.log", "shop.orders crm.customers crm.cust", "crm.orders shop.tmp_1 shop.log"},
		{"a.b.c", "", "a.b.c", "a.b a.bxc"},
		{"A.b", "", "A.b", "a.b"},
	} {
		split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
		capture, err := NewCapture(split(c.include), split(c.exclude))
		if err != nil {
			t.Fatal(err)
		}
		for want, names := range map[bool]string{true: c.takes, false: c.leaves} {
			for _, name := range strings.Fields(names) {
				database, table, _ := strings.Cut(name, ".")
				if got := capture.Takes(database, table); got != want {
					t.Errorf("include %q, exclude %q: takes %s is %v", c.include, c.exclude, name, got)
				}
				if want && !capture.TakesDatabase(database) {
					t.Errorf("include %q: database %s is not taken, and its table %s is", c.include, database, table)
				}
			}
		}
	}
}

func TestNewCapture_RefusesPatternsWithoutBothNames(t *testing.T) {
	for _, text := range []string{"", "orders", ".orders", "shop."} {
		if _, err := NewCapture(nil, []string{text}); err == nil || !strings.Contains(err.Error(), "schema.table") {
			t.Errorf("%q: %v, want an error that says the form", text, err)
		}
	}
}

func TestCompile_WholeRowIsTheKeyWithoutAPrimaryKey(t *testing.T) {
	def := &Definition{Name: "s.t", WholeRow: true, ShardKey: true}
	columns := []change.Column{{Name: "a", Type: change.Int, Bits: 32}, {Name: "b", Type: change.Text, Nullable: true}}
	for _, c := range []struct {
		primary []int
		want    string
	}{{nil, "shard a b"}, {[]int{1}, "shard b"}} {
		plan, err := Compile(def, "03", &change.Table{Database: "s", Name: "t", Columns: columns, PrimaryKey: c.primary}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(plan.Schema().Key, " "); got != c.want {
			t.Errorf("with the primary key %v the key is %q, want %q", c.primary, got, c.want)
		}
	}
}
