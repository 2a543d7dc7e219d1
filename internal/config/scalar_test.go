package config

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// textCase is a text, what it means in its own words, or the mistake in it.
type textCase struct{ text, want, code, fix string }

// checkTexts parses each text into a new value and compares its words.
func checkTexts(t *testing.T, parse func(text string) (string, error), cases []textCase) {
	t.Helper()
	for _, c := range cases {
		got, err := parse(c.text)
		checkText(t, c.text, err, c.code, c.fix)
		if err == nil && got != c.want {
			t.Errorf("%q means %q, want %q", c.text, got, c.want)
		}
	}
}

func TestIDRange_IsWithinMySQLsIDs(t *testing.T) {
	checkTexts(t, func(text string) (string, error) {
		var r IDRange
		err := r.parseText(text)
		return r.String(), err
	}, []textCase{
		{text: "5400-5499", want: "5400-5499"},
		{text: "5400", want: "5400"},
		{text: "5400 - 5401", want: "5400-5401"},
		{text: "4294967295", want: "4294967295"},
		{text: "0", code: "bad-range"},
		{text: "0-5", code: "bad-range"},
		{text: "4294967296", code: "bad-range"},
		{text: "9-5", code: "bad-range", fix: "5-9"},
		{text: "5..9", code: "bad-range"},
		{text: "-5", code: "bad-range"},
		{text: "", code: "bad-range"},
		{text: "1-2-3", code: "bad-range"},
	})
	all := IDRange{1, math.MaxUint32}
	if got := all.Len(); got != math.MaxUint32 {
		t.Errorf("Len() = %d, want %d", got, uint32(math.MaxUint32))
	}
	if a, b := (IDRange{1, 5}), (IDRange{5, 9}); !a.Overlaps(b) || !b.Overlaps(a) || a.Overlaps(IDRange{6, 9}) {
		t.Error("ranges overlap when they share an id, and only then")
	}
}

func TestNames_ExpandRanges(t *testing.T) {
	checkTexts(t, func(text string) (string, error) {
		var n Names
		err := n.parseText(text)
		return fmt.Sprint([]string(n)), err
	}, []textCase{
		{text: "00..03", want: "[00 01 02 03]"},
		{text: "8..11", want: "[8 9 10 11]"},
		{text: "08..11", want: "[08 09 10 11]"},
		{text: "a08..a10,eu, us", want: "[a08 a09 a10 eu us]"},
		{text: "5..5", want: "[5]"},
		{text: "11..00", code: "bad-range"},
		{text: "a1..b2", code: "bad-range"},
		{text: "..", code: "bad-range"},
		{text: "1..", code: "bad-range"},
		{text: "a b", code: "bad-name"},
		{text: "", code: "bad-name"},
		{text: "eu,,us", code: "bad-name"},
		{text: "-a", code: "bad-name"},
		{text: "0..1023,x", code: "out-of-range"},
		{text: "0..4294967295", code: "out-of-range"},
	})
}

func TestStart_IsAPlaceThatAServerKnows(t *testing.T) {
	const id = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	checkTexts(t, func(text string) (string, error) {
		var s Start
		err := s.parseText(text)
		return s.String(), err
	}, []textCase{
		{text: "earliest", want: "earliest"},
		{text: "latest", want: "latest"},
		{text: "gtid:" + id + ":1-100", want: "gtid:" + id + ":1-100"},
		{text: "gtid:" + id + ":1-5:7," + id + ":tag:3", want: "gtid:" + id + ":1-5:7," + id + ":tag:3"},
		{text: "file:binlog.000042:4", want: "file:binlog.000042:4"},
		{text: "gtid:0-101-100", want: "gtid:0-101-100"},
		{text: "gtid:0-101-100,1-102-7", want: "gtid:0-101-100,1-102-7"},
		{text: "gtid:0-101-100,1-102", code: "bad-position"},
		{text: "gtid:0-101-0", code: "bad-position"},
		{text: "gtid:0-101-5,0-102-7", code: "bad-position"},
		{text: "earliset", code: "not-one-of", fix: "earliest"},
		{text: "newest", code: "not-one-of"},
		{text: "earliest:now", code: "not-one-of", fix: "earliest"},
		{text: "gtid", code: "not-one-of"},
		{text: "gtid:", code: "bad-position"},
		{text: "gtid:" + id, code: "bad-position"},
		{text: "gtid:" + id + ":0-5", code: "bad-position"},
		{text: "file:binlog.000042", code: "bad-position"},
		{text: "file::4", code: "bad-position"},
		{text: "file:binlog.000042:3", code: "bad-position"},
		{text: "timestamp:2026-11-20", code: "not-supported-yet"},
	})
}

func TestMask_IsOneOfThree(t *testing.T) {
	checkTexts(t, func(text string) (string, error) {
		var m Mask
		err := m.parseText(text)
		return m.String(), err
	}, []textCase{
		{text: "hash", want: "hash"},
		{text: "drop", want: "drop"},
		{text: "truncate(3)", want: "truncate(3)"},
		{text: "truncate( 12 )", want: "truncate(12)"},
		{text: "truncate(0)", code: "bad-mask"},
		{text: "truncate(x)", code: "bad-mask"},
		{text: "truncate", code: "not-one-of"},
		{text: "hassh", code: "not-one-of", fix: "hash"},
		{text: "", code: "not-one-of"},
	})
}

func TestAggregate_IsAFunctionOfAColumn(t *testing.T) {
	checkTexts(t, func(text string) (string, error) {
		var a Aggregate
		err := a.parseText(text)
		return a.String(), err
	}, []textCase{
		{text: "count()", want: "count()"},
		{text: "count(*)", want: "count()"},
		{text: " sum( amount ) ", want: "sum(amount)"},
		{text: "sum()", code: "bad-aggregate"},
		{text: "sum(a*b)", code: "bad-aggregate"},
		{text: "count(x)", code: "bad-aggregate"},
		{text: "avg(x)", want: "avg(x)"},
		{text: "min(x)", want: "min(x)"},
		{text: "max(at)", want: "max(at)"},
		{text: "avg(*)", code: "bad-aggregate"},
		{text: "approx_distinct(x)", code: "not-supported-yet"},
		{text: "total", code: "not-one-of"},
		{text: "sum)(", code: "not-one-of"},
	})
}

func TestLevel_IsAColumnOrItsDayOrHour(t *testing.T) {
	checkTexts(t, func(text string) (string, error) {
		var l Level
		err := l.parseText(text)
		return l.String() + " in " + l.directory(), err
	}, []textCase{
		{text: "dt", want: "dt in dt"},
		{text: "hr", want: "hr in hr"},
		{text: "city", want: "city in city"},
		{text: "dt(updated_at)", want: "dt(updated_at) in dt"},
		{text: "hr( updated_at )", want: "hr(updated_at) in hr"},
		{text: "month(updated_at)", code: "bad-layout"},
		{text: "a/b", code: "bad-layout"},
		{text: "dt()", code: "bad-layout"},
		{text: "", code: "bad-layout"},
	})
}

func TestClosest_FindsWhatWasMeant(t *testing.T) {
	keys := sectionKeys()
	for text, want := range map[string]string{
		"tabels": "tables", "source": "sources", "Views": "views", "stat": "state", "verison": "version",
		"zebra": "", "": "", "x": "",
	} {
		if got := closest(text, keys); got != want {
			t.Errorf("closest(%q) = %q, want %q", text, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"tabels", "tables", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
	if !slices.Contains(keys, "views") {
		t.Fatal("the sections of the file have no views")
	}
}
