package change

import (
	"strings"
	"testing"
)

func TestIsSwap_KnowsTheNamesThatToolsGive(t *testing.T) {
	long := strings.Repeat("x", 62)
	for _, c := range []struct {
		table, away, in string
		want            bool
	}{
		{"orders", "_orders_del", "_orders_gho", true},
		{"orders", "_orders_20261120101010_del", "_orders_gho", true},
		{"orders", "_orders_old", "_orders_new", true},
		{"orders", "__orders_old", "___orders_new", true},
		{"_orders", "__orders_old", "__orders_new", true},
		{"ordersé", "_ordersé_old", "_ordersé_new", true},
		{"a_b", "_a_b_del", "_a_b_gho", true},
		// Names of more than 64 characters are cut.
		{long, "_" + long[:59] + "_del", "_" + long[:59] + "_gho", true},
		{long, "_" + long[:44] + "_20261120101010_del", "_" + long[:59] + "_gho", true},
		{long, "_" + long[:40] + "_del", "_" + long[:59] + "_gho", false},
		// gh-ost takes a change back.
		{"orders", "_orders_rev_del", "_orders_del", true},
		{"orders", "_orders_20261120101010_rev_del", "_orders_20261120090000_del", true},
		{long, "_" + long[:55] + "_rev_del", "_" + long[:59] + "_del", true},
		{"orders", "_orders_del", "_orders_rev_del", false},
		{"orders", "_items_rev_del", "_orders_del", false},
		{"orders", "_orders_rev_del", "_orders_old", false},

		{"orders", "_orders_new", "_orders_old", false},
		{"orders", "_orders_gho", "_orders_del", false},
		{"orders", "orders_old", "orders_new", false},
		{"orders", "_items_old", "_orders_new", false},
		{"orders", "_orders_old", "_items_new", false},
		{"orders", "_orders_2_old", "_orders_new", false},
		{"orders", "_order_old", "_order_new", false},
		{"orders", "_old", "_new", false},
		{"orders", "archive", "_orders_new", false},
	} {
		if got := IsSwap(c.table, c.away, c.in); got != c.want {
			t.Errorf("IsSwap(%s, %s, %s) = %v, want %v", c.table, c.away, c.in, got, c.want)
		}
	}
}

func TestOp_AChangeOfATableIsNoOperationOfARow(t *testing.T) {
	if OnTable.Valid() || OnTable.String() != "t" {
		t.Errorf("%v is valid %v, want t and false", OnTable, OnTable.Valid())
	}
}
