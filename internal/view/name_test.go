package view

import (
	"slices"
	"testing"
)

func TestSplitName(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want []string
	}{
		{"shop.orders", 2, []string{"shop", "orders"}},
		{"a.b.c", 2, []string{"a", "b.c"}},
		{"a.b.c", 3, []string{"a", "b", "c"}},
		{"`my.db`.orders", 2, []string{"my.db", "orders"}},
		{"`my.*`.`a.b`", 2, []string{"my.*", "a.b"}},
		{"`my.db`.a.b", 2, []string{"my.db", "a.b"}},
		{"`a``b`.c", 2, []string{"a`b", "c"}},
		{"`my.db`.`a.b`.note", 3, []string{"my.db", "a.b", "note"}},
		{"a`b.c", 2, []string{"a`b", "c"}},
		{"`my.db`", 2, nil},
		{"`my.db`x.c", 2, nil},
		{"`my.db", 2, nil},
		{"``.c", 2, nil},
		{"`a`.`b`.c", 2, nil},
		{"a.", 2, nil},
		{".b", 2, nil},
		{"", 2, nil},
		{"a", 2, nil},
	} {
		if got, ok := SplitName(c.text, c.n); ok != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("SplitName(%q, %d) = %q, %v, want %q", c.text, c.n, got, ok, c.want)
		}
	}
}

func TestCapture_TakesADatabaseWithADot(t *testing.T) {
	capture, err := NewCapture([]string{"`my.db`.orders*"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !capture.Takes("my.db", "orders_1") || capture.Takes("my", "db.orders") || !capture.TakesDatabase("my.db") {
		t.Error("the pattern does not take the table of the database my.db alone")
	}
}
