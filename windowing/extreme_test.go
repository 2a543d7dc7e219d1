package windowing

import (
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"tailwater/change"
)

// ordered returns the order text of a value, and fails the test on an error.
func ordered(t *testing.T, kind change.Type, scale int, value string) string {
	t.Helper()
	o, _ := orderOf(kind)
	text, err := o(nil, []byte(value), scale)
	if err != nil {
		t.Fatalf("order of %s %s: %v", kind, value, err)
	}
	return string(text)
}

func TestOrder_SortsAsTheValuesDo(t *testing.T) {
	for kind, values := range map[change.Type][]string{
		change.Int:       {"-9223372036854775808", "-1000", "-999", "-10", "-9", "-1", "0", "1", "9", "10", "99", "100", `"9223372036854775807"`},
		change.Double:    {"-1.7976931348623157e308", "-2.5", "-5e-324", "0", "5e-324", "0.1", "1e300"},
		change.Date:      {`"0000-00-00"`, `"1999-12-31"`, `"2026-01-01"`},
		change.DateTime:  {`"2026-01-01 00:00:00.000"`, `"2026-01-01 00:00:00.001"`, `"2026-01-01 10:00:00.000"`},
		change.Timestamp: {`"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.5Z"`, `"2026-01-01T00:00:01Z"`},
		change.Time:      {`"-838:59:59.000"`, `"-01:00:00.001"`, `"-01:00:00"`, `"-00:00:00.5"`, `"00:00:00"`, `"09:59:59"`, `"10:00:00"`, `"100:00:00"`},
		change.Text:      {`""`, `"\u0000"`, `"A"`, `"Ab"`, `"a"`, `"a\""`, `"é"`, `"😀"`},
	} {
		for i := 1; i < len(values); i++ {
			if a, b := ordered(t, kind, 0, values[i-1]), ordered(t, kind, 0, values[i]); a >= b {
				t.Errorf("%s: %s gives %q, which is not before %q of %s", kind, values[i-1], a, b, values[i])
			}
		}
	}
	if ordered(t, change.Double, 0, "-0") != ordered(t, change.Double, 0, "0") {
		t.Error("-0 is not 0")
	}
	// They are stored: a change of an order text spoils every minimum.
	for value, want := range map[string]string{"0": "1010", "12.5": "1041250", "-12.5": "0958749"} {
		if got := ordered(t, change.Decimal, 2, value); got != want {
			t.Errorf("order of %s: got %s, want %s", value, got, want)
		}
	}
}

func TestOrder_OfDecimalsAgreesWithBigNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	for range 20_000 {
		scale := rng.IntN(31)
		a, b := randomDecimal(rng, scale), randomDecimal(rng, scale)
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if got, want := strings.Compare(ordered(t, change.Decimal, scale, a), ordered(t, change.Decimal, scale, b)), x.Cmp(y); got != want {
			t.Fatalf("%s against %s: got %d, want %d", a, b, got, want)
		}
	}
}

func TestOrder_RefusesWhatIsNoValueOfTheType(t *testing.T) {
	for kind, value := range map[change.Type]string{
		change.Int: `"x"`, change.Double: "abc", change.Date: `"1"`, change.Time: `"1:x"`, change.Text: "5",
	} {
		o, _ := orderOf(kind)
		if got, err := o(nil, []byte(value), 0); err == nil {
			t.Errorf("%s %s: got %q, want an error", kind, value, got)
		}
	}
	for _, kind := range []change.Type{change.JSON, change.Bytes, change.Geometry, change.Vector, change.Bool} {
		if o, _ := orderOf(kind); o != nil {
			t.Errorf("%s has an order", kind)
		}
	}
}

func TestFold_KeepsTheExtremeOfWhatIsNeverTakenBack(t *testing.T) {
	for name, want := range map[string]string{"min": "-3", "max": "10.50"} {
		m := compile(t, func(d *Definition) { d.Aggregate = name + "(amount)" })
		f := started(m)
		var at int64
		w := &writer{shard: "00", offset: &at}
		add(t, f,
			w.event("c", 101, `"city":"x","amount":9`), w.event("u", 101, `"city":"x","amount":"10.50"`),
			w.event("c", 102, `"city":"x","amount":null`), w.event("d", 102, `"city":"x","amount":-3`), w.event("c", 103, `"city":"y","amount":null`))
		got := map[string]string{}
		for _, g := range f.Cut().Windows[0].Groups {
			got[g.Group] = fmt.Sprint(g.Cell.Rows, g.Cell.Values, len(g.Values))
			for _, v := range g.Values {
				got[g.Group] += " " + v.Text
			}
		}
		if want := map[string]string{`["x"]`: "4 3 1 " + want, `["y"]`: "1 0 0"}; !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestFold_RefusesAValueThatIsTooLong(t *testing.T) {
	m := compile(t, func(d *Definition) { d.Aggregate = "max(city)"; d.GroupBy = nil })
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	if err := f.Add(w.event("c", 101, `"city":"`+strings.Repeat("x", MaxValueBytes)+`"`)); err == nil || strings.Contains(err.Error(), "xx") {
		t.Errorf("got %v, want an error without the value", err)
	}
	if d := f.Cut(); len(d.Windows) != 0 || d.Steps[0].To.Offset != 0 {
		t.Errorf("got %+v, want nothing of the record", d)
	}
}

func TestMetric_GenerationChangesWithTheOrderOfItsValues(t *testing.T) {
	d := compile(t, func(d *Definition) { d.GroupBy = nil }).Definition
	d.Aggregate = "min(v)"
	seen := map[string]change.Type{}
	for _, kind := range []change.Type{change.Int, change.Double, change.Date, change.Time, change.Text} {
		m, err := Compile(d, []change.Column{{Name: "v", Type: kind}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[m.Generation()]; twice {
			t.Errorf("%s and %s are one generation", kind, other)
		}
		seen[m.Generation()] = kind
	}
}
