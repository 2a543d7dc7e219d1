package windowing

import (
	"errors"
	"maps"
	"testing"

	"tailwater/change"
)

// textIs is a condition over the column city that fails on what is no text, as
// an expression does.
type textIs string

func (c textIs) Columns() []int { return []int{1} }
func (c textIs) Eval(row change.Row) (bool, error) {
	text, err := row.AppendJSON(nil, 1)
	if errors.Is(err, change.ErrInvalidText) {
		return false, nil
	}
	return string(text) == string(c), err
}

func TestHazard_A75_BytesAreAGroupOfTheirOwn(t *testing.T) {
	const at = `,"at":"1970-01-01 00:01:40"`
	for name, c := range map[string]struct {
		op, rest string
		latest   bool
		want     map[string]string
	}{
		"bytes":                   {"c", `"_raw":["city"],"city":"rg==","amount":2`, false, map[string]string{`100 [{"_raw":"rg=="}]`: "1 200"}},
		"the text of the same":    {"c", `"city":"rg==","amount":2`, false, map[string]string{`100 ["rg=="]`: "1 200"}},
		"another column's":        {"c", `"_raw":["note"],"city":"rg==","amount":2`, false, map[string]string{`100 ["rg=="]`: "1 200"}},
		"put in":                  {"c", `"_raw":["city"],"city":"rg==","amount":2` + at, true, map[string]string{`100 [{"_raw":"rg=="}]`: "1 200"}},
		"taken out":               {"d", `"_raw":["city"],"city":"rg==","amount":2` + at, true, map[string]string{`100 [{"_raw":"rg=="}]`: "-1 -200"}},
		"bytes before":            {"u", `"city":"x","amount":2` + at + `,"_old":{"_raw":["city"],"city":"rg=="}`, true, map[string]string{`100 [{"_raw":"rg=="}]`: "-1 -200", `100 ["x"]`: "1 200"}},
		"bytes after":             {"u", `"_raw":["city"],"city":"rg==","amount":2` + at + `,"_old":{"city":"x"}`, true, map[string]string{`100 ["x"]`: "-1 -200", `100 [{"_raw":"rg=="}]`: "1 200"}},
		"the text of the bytes":   {"u", `"city":"rg==","amount":2` + at + `,"_old":{"_raw":["city"],"city":"rg=="}`, true, map[string]string{`100 [{"_raw":"rg=="}]`: "-1 -200", `100 ["rg=="]`: "1 200"}},
		"bytes of the text":       {"u", `"_raw":["city"],"city":"rg==","amount":2` + at + `,"_old":{"city":"rg=="}`, true, map[string]string{`100 ["rg=="]`: "-1 -200", `100 [{"_raw":"rg=="}]`: "1 200"}},
		"bytes that stay":         {"u", `"_raw":["city"],"city":"rg==","amount":3` + at + `,"_old":{"amount":2}`, true, map[string]string{`100 [{"_raw":"rg=="}]`: "0 100"}},
		"bytes elsewhere, before": {"u", `"city":"x","amount":3` + at + `,"_old":{"_raw":["note"],"amount":2,"note":"rg=="}`, true, map[string]string{`100 ["x"]`: "0 100"}},
		"bytes both times":        {"u", `"_raw":["city","note"],"city":"rw==","amount":3` + at + `,"_old":{"_raw":["city"],"city":"rg=="}`, true, map[string]string{`100 [{"_raw":"rg=="}]`: "-1 -300", `100 [{"_raw":"rw=="}]`: "1 300"}},
	} {
		m := compile(t, func(d *Definition) {
			if c.latest {
				d.Rows, d.Time = Latest, "at"
			}
		})
		f := started(m)
		var offset int64
		r := (&writer{shard: "00", offset: &offset}).event(c.op, 101, c.rest)
		// The event before has none: what is remembered of it must not matter.
		add(t, f, (&writer{shard: "01", offset: new(int64)}).event("r", 101, `"city":"x","amount":2`+at))
		r.Offset, offset = 1, 1
		add(t, f, r)
		if got := signed(f.Cut()); !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestHazard_A75_ConditionsAreToldThatBytesAreNoText(t *testing.T) {
	d := compile(t, nil).Definition
	d.Where = "city == 'rg=='"
	m, err := Compile(d, columns, textIs(`"rg=="`))
	if err != nil {
		t.Fatal(err)
	}
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	add(t, f, w.event("c", 101, `"_raw":["city"],"city":"rg==","amount":1`), w.event("c", 101, `"city":"rg==","amount":2`))
	if got := texts(m, f.Cut())[`100 ["rg=="]`]; got != "2.00" {
		t.Errorf("sum: got %s, want 2.00", got)
	}
	least, err := Compile(func() Definition { d := d; d.Where, d.Aggregate = "", "min(city)"; return d }(), columns, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := &writer{shard: "00", offset: new(int64)}
	if err := started(least).Add(other.event("c", 101, `"_raw":["city"],"city":"rg==","amount":1`)); !errors.Is(err, change.ErrInvalidText) {
		t.Errorf("the least of bytes: %v", err)
	}
	if err := f.Add(w.event("c", 101, `"_raw":"city","city":"rg==","amount":1`)); err == nil {
		t.Error("a _raw that is no array is taken")
	}
}

func TestHazard_A75_TheRouterFindsTheGroupOfBytes(t *testing.T) {
	const buckets = 16
	m := compile(t, func(d *Definition) { d.Buckets, d.Rows, d.Time = buckets, Latest, "at" })
	var at int64
	w := &writer{shard: "00", offset: &at}
	got := NewRouter(m).Route(w.event("u", 101, `"city":"rg==","_old":{"_raw":["city"],"city":"rg=="}`))
	want := uint64(1)<<BucketOf(`["rg=="]`, buckets) | 1<<BucketOf(`[{"_raw":"rg=="}]`, buckets)
	if got != want {
		t.Errorf("buckets %b, want %b", got, want)
	}
}
