package view

import (
	"fmt"
	"strings"
	"testing"
)

func TestMatcher_FindsViewsAndCaptures(t *testing.T) {
	def := func(name, source, database, table string) *Definition {
		return &Definition{Name: name, Source: source, Database: database, Table: table}
	}
	m, err := NewMatcher([]*Definition{
		def("orders", "shop", "shop_{shard}", "orders_{part}"),
		def("even", "shop", "shop_{shard}", "orders_{part:[0-9]*[02468]}"),
		def("two", "shop", "shop_{db:[0-9]{2}}", "orders"),
		def("exact", "shop", "shop.x", "a+b"),
		def("same", "shop", "db_{n}", "t_{n}"),
		def("groups", "shop", "g_{a:(x|y)(z)?}_{b}", `{t:(?:t|\{q\})}`),
		def("other", "billing", "shop_{shard}", "orders_{part}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ database, table, want string }{
		{"shop_03", "orders_7", "orders[part:7 shard:03]"},
		{"shop_03", "orders_8", "orders[part:8 shard:03] even[part:8 shard:03]"},
		{"shop_03", "orders", "two[db:03]"},
		{"shop_003", "orders", ""},
		{"shop_03", "orders_", ""}, {"shop_", "orders_7", ""}, {"xshop_03", "orders_7", ""}, {"shop_03", "orders_7x", "orders[part:7x shard:03]"},
		{"shop_03", "orders_7_x", ""}, {"shop_03", "orders_7\n", ""}, {"SHOP_03", "orders_7", ""}, {"shop_03", "orders_é", ""},
		{"shop.x", "a+b", "exact[]"}, {"shopxx", "a+b", ""}, {"shop.x", "aab", ""},
		{"db_5", "t_5", "same[n:5]"}, {"db_5", "t_6", ""},
		{"g_xz_1", "t", "groups[a:xz b:1 t:t]"}, {"g_y_1", "{q}", "groups[a:y b:1 t:{q}]"}, {"g_q_1", "t", ""},
	} {
		var got []string
		for _, f := range m.Match("shop", testShard, c.database, c.table) {
			got = append(got, f.Definition.Name+strings.TrimPrefix(fmt.Sprint(f.Captures), "map"))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s.%s: got %v, want %s", c.database, c.table, got, c.want)
		}
	}
}

func TestHazard_A57_ShadowTablesOfOnlineSchemaChangesNeverMatch(t *testing.T) {
	m, err := NewMatcher([]*Definition{{Name: "all", Source: "s", Database: "{db:.*}", Table: "{table:.*}"}})
	if err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{
		"_orders_gho": 0, "_orders_ghc": 0, "_orders_ghk": 0, "_orders_del": 0, "_orders_20261120101010_del": 0, "_orders_rev_del": 0, "_orders_new": 0, "_orders_old": 0,
		"__orders_new": 0, "~orders_gho": 0, "~orders_ghc": 0, "~orders_del": 0,
		"orders": 1, "orders_new": 1, "orders_old": 1, "_orders": 1, "_orders_newer": 1, "_new": 1, "orders_gho": 1,
	} {
		if got := len(m.Match("s", testShard, "shop", table)); got != want {
			t.Errorf("%s: %d views, want %d", table, got, want)
		}
	}
}

func TestNewMatcher_NamesTheViewOfABadPattern(t *testing.T) {
	for _, d := range []*Definition{{Name: "v", Database: "a{", Table: "t"}, {Name: "v", Database: "a", Table: "{t"}} {
		if _, err := NewMatcher([]*Definition{d}); err == nil || !strings.HasPrefix(err.Error(), "view v: ") {
			t.Errorf("%s.%s: got %v", d.Database, d.Table, err)
		}
	}
}

func TestValidate_ReportsEveryMistakeWithItsPlace(t *testing.T) {
	problems := Validate(&Definition{
		Database: "shop_{shard", Table: "orders_{1}{part:[}",
		Select: []Item{
			{Name: "id"}, {Name: "ID", Expr: "qty"}, {Name: "_x", Expr: "x"}, {Name: ""}, {Name: "*"}, {Name: "*", Expr: "id"},
			{Name: "bad", Expr: "a == = b"}, {Name: "fn", Expr: "lowwer(a)"}, {Name: "good", Expr: "a.b.c"},
		},
		Where: "status = 'x'",
		Key:   []string{"id", "Id", "shard"},
		Masking: map[string]Mask{
			"a": {Kind: "hash"}, "b": {Kind: "blur"}, "c": {Kind: "truncate", Keep: -1}, "d": {Kind: "drop"}, "D": {Kind: "drop"}, "e": {Kind: "hash", Salt: []byte("x")},
		},
	})
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s@%d: %s | %s", p.Field, p.Offset, p.Message, p.Hint))
	}
	want := []string{
		`name@-1: the view has no name | `,
		`source@-1: the view names no source | `,
		`database@5: the brace is not closed | `,
		`table@8: "1" is no name of a capture | {part} or {part:[0-9]+}`,
		`select.ID@-1: the column name "ID" clashes with "id": names differ in more than case | give one another name`,
		`select._x@-1: the column name "_x" begins with _, which is kept for metadata | select it under another name: x: _x`,
		`select.@-1: a column has no name | `,
		`select.*@-1: * stands twice | `,
		`select.*@-1: * stands for columns and has no expression | `,
		`select.bad@5: unknown character '= ' | equality is written ==`,
		`select.fn@6: unknown function "lowwer" | did you mean "lower"?`,
		`where@7: unknown character '= ' | equality is written ==`,
		`key[1]@-1: "Id" stands twice in the key | `,
		`masking.a@-1: hash needs a salt: without a secret the values can be guessed | `,
		`masking.b@-1: unknown mask "blur": it is hash, drop or truncate | `,
		`masking.c@-1: truncate keeps a number of characters from 0 | `,
		`masking.d@-1: the column "d" is masked twice | `,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestValidate_PatternsAndKeys(t *testing.T) {
	for _, c := range []struct{ database, key, want string }{
		{"", "a", `database@-1: the pattern is empty`},
		{"a}b", "a", `database@1: a brace closes that was not opened`},
		{"{x:[}", "a", "database@3: the regular expression of {x} cannot be compiled: error parsing regexp: missing closing ]: `[`"},
		{"{x}{X}", "a", `database@4: {X} stands twice in the pattern`},
		{"{}", "a", `database@1: "" is no name of a capture`},
		{"db", "aa", `key[0]@-1: the view has no column "aa"`},
		{"db_{x}", "X", ``}, {"db", "SHARD", ``}, {"db", "a", ``},
	} {
		var got []string
		for _, p := range Validate(&Definition{Name: "v", Source: "s", Database: c.database, Table: "t", Select: []Item{{Name: "a"}}, Key: []string{c.key}}) {
			got = append(got, fmt.Sprintf("%s@%d: %s", p.Field, p.Offset, p.Message))
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%q, key %s: got %v, want %s", c.database, c.key, got, c.want)
		}
	}
	if got := Validate(shopView()); len(got) != 0 {
		t.Errorf("a good view has problems: %v", got)
	}
	if got := Validate(&Definition{Name: "v", Source: "s", Database: "d", Table: "t", Key: []string{"anything"}}); len(got) != 0 {
		t.Errorf("a view of all columns has problems: %v", got)
	}
}

func TestMatcher_KnowsItsDatabases(t *testing.T) {
	m, err := NewMatcher([]*Definition{{Name: "v", Source: "s", Database: "shop_{db}", Table: "orders"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source, database string
		want             bool
	}{{"s", "shop_03", true}, {"s", "shop_", false}, {"s", "xshop_03", false}, {"s", "other", false}, {"t", "shop_03", false}} {
		if got := len(m.MatchDatabase(c.source, c.database)) == 1; got != c.want {
			t.Errorf("MatchDatabase(%s, %s) = %v, want %v", c.source, c.database, got, c.want)
		}
	}
}
