package windowing

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"tailwater/change"
)

// signed returns what a batch does to each window and group: rows, sum.
func signed(d *Deltas) map[string]string {
	out := map[string]string{}
	for _, w := range d.Windows {
		for _, g := range w.Groups {
			out[fmt.Sprint(w.Start, " ", g.Group)] = fmt.Sprint(g.Cell.Rows, " ", g.Cell.Sum.String())
		}
	}
	return out
}

func TestLatest_EachImageGoesByItsOwnColumns(t *testing.T) {
	const before, after = `"1970-01-01 00:01:40"`, `"1970-01-01 00:02:00"` // windows 100 and 120
	for name, c := range map[string]struct {
		op, rest string
		want     map[string]string
	}{
		"put in":            {"c", `"city":"x","amount":2,"at":` + before, map[string]string{`100 ["x"]`: "1 200"}},
		"taken out":         {"d", `"city":"x","amount":2,"at":` + before, map[string]string{`100 ["x"]`: "-1 -200"}},
		"another value":     {"u", `"city":"x","amount":3,"at":` + before + `,"_old":{"amount":"2.00"}`, map[string]string{`100 ["x"]`: "0 100"}},
		"another group":     {"u", `"city":"y","amount":2,"at":` + before + `,"_old":{"city":"x"}`, map[string]string{`100 ["x"]`: "-1 -200", `100 ["y"]`: "1 200"}},
		"another window":    {"u", `"city":"x","amount":2,"at":` + after + `,"_old":{"at":` + before + `}`, map[string]string{`100 ["x"]`: "-1 -200", `120 ["x"]`: "1 200"}},
		"got a time":        {"u", `"city":"x","amount":2,"at":` + after + `,"_old":{"at":null}`, map[string]string{`120 ["x"]`: "1 200"}},
		"lost its time":     {"u", `"city":"x","amount":2,"at":"0000-00-00 00:00:00","_old":{"at":` + before + `}`, map[string]string{`100 ["x"]`: "-1 -200"}},
		"began to be taken": {"u", `"city":"x","amount":2,"at":` + before + `,"_old":{"city":"hidden"}`, map[string]string{`100 ["x"]`: "1 200"}},
		"ceased to be":      {"u", `"city":"hidden","amount":2,"at":` + before + `,"_old":{"city":"x","amount":7}`, map[string]string{`100 ["x"]`: "-1 -700"}},
		"nothing it reads":  {"u", `"city":"x","amount":2,"at":` + before + `,"_old":{"id":7}`, map[string]string{}},
		"nothing at all":    {"u", `"city":"x","amount":2,"at":` + before, map[string]string{}},
		"a snapshot's":      {"r", `"city":"x","amount":2,"at":` + before, map[string]string{}},
	} {
		d := compile(t, func(d *Definition) { d.Rows, d.Time = Latest, "at" }).Definition
		d.Where = "city != 'hidden'"
		m, err := Compile(d, columns, notHidden{})
		if err != nil {
			t.Fatal(err)
		}
		f := started(m)
		var at int64
		add(t, f, (&writer{shard: "00", offset: &at}).event(c.op, 500, c.rest))
		if got := signed(f.Cut()); !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// notHidden is the condition city != 'hidden'.
type notHidden struct{}

func (notHidden) Columns() []int { return []int{1} }
func (notHidden) Eval(row change.Row) (bool, error) {
	text, err := row.AppendJSON(nil, 1)
	return string(text) != `"hidden"`, err
}

func TestLatest_NothingOfAnEventIsAppliedWhenOneImageCannotBeRead(t *testing.T) {
	m := compile(t, func(d *Definition) { d.Rows, d.Time = Latest, "at" })
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	err := f.Add(w.event("u", 101, `"city":"x","amount":"?","at":"1970-01-01 00:01:40","_old":{"amount":1}`))
	if err == nil {
		t.Fatal("got no error")
	}
	if d := f.Cut(); len(d.Windows) != 0 || d.Counts != (Counts{}) {
		t.Errorf("got %+v, want nothing", d)
	}
}

func TestLatest_ValuesAreTakenBack(t *testing.T) {
	m := compile(t, func(d *Definition) { d.Rows, d.Time, d.Aggregate = Latest, "at", "min(amount)" })
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	const when = `,"at":"1970-01-01 00:01:40"`
	add(t, f,
		w.event("c", 101, `"city":"x","amount":1`+when), w.event("c", 101, `"city":"x","amount":1`+when),
		w.event("u", 101, `"city":"x","amount":5`+when+`,"_old":{"amount":1}`), w.event("d", 101, `"city":"x","amount":3`+when))
	got := map[string]int64{}
	for _, v := range f.Cut().Windows[0].Groups[0].Values {
		got[v.Text] = v.N
	}
	if want := map[string]int64{"1": 1, "5": 1, "3": -1}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFold_BatchIsFullOfValuesToo(t *testing.T) {
	m := compile(t, func(d *Definition) { d.Rows, d.Time, d.Aggregate = Latest, "at", "min(amount)" })
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	for n := 0; !f.Full(); n++ {
		if n > MaxCells {
			t.Fatal("a batch of one group and many values is never full")
		}
		add(t, f, w.event("c", 101, fmt.Sprintf(`"city":"x","amount":%d,"at":"1970-01-01 00:01:40"`, n)))
	}
}

func TestCompile_LatestNeedsATimeAndKeepsEveryRow(t *testing.T) {
	for want, edit := range map[string]func(d *Definition){
		"needs a column of the row":                 func(d *Definition) { d.Rows = Latest },
		"want revise":                               func(d *Definition) { d.Rows, d.Time, d.OnLate = Latest, "at", Drop },
		`no column "when"`:                          func(d *Definition) { d.Time = "when" },
		"is text, want date, datetime or timestamp": func(d *Definition) { d.Time = "city" },
	} {
		d := compile(t, nil).Definition
		d.Time = ""
		edit(&d)
		if _, err := Compile(d, columns, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestMoment_IsUTC(t *testing.T) {
	for raw, want := range map[string]string{
		`"2026-11-20"`: "2026-11-20T00:00:00Z", `"2026-11-20 10:10:10.999"`: "2026-11-20T10:10:10Z", `"2024-02-29T23:59:59Z"`: "2024-02-29T23:59:59Z",
		`"1970-01-01 00:00:00"`: "1970-01-01T00:00:00Z", `"2100-03-01"`: "2100-03-01T00:00:00Z", `"2000-12-31"`: "2000-12-31T00:00:00Z",
	} {
		seconds, ok, err := moment([]byte(raw))
		if got := time.Unix(seconds, 0).UTC().Format(time.RFC3339); !ok || err != nil || got != want {
			t.Errorf("%s: got %s, %v, %v, want %s", raw, got, ok, err, want)
		}
	}
	for _, raw := range []string{"null", `"0000-00-00"`, `"2026-00-10"`, `"2026-02-30"`, `"2026-13-01"`, `"1969-12-31 23:59:59"`, `"9999-12-31 23:59:59"`, `"2100-02-29"`} {
		if _, ok, err := moment([]byte(raw)); ok || err != nil {
			t.Errorf("%s: got %v, %v, want no moment and no error", raw, ok, err)
		}
	}
	for _, raw := range []string{`"x"`, `5`, `"2026-1-1"`, `"2026-11-20 10"`, `"aaaa-bb-cc"`} {
		if _, _, err := moment([]byte(raw)); err == nil {
			t.Errorf("%s: want an error", raw)
		}
	}
	for day := range int64(366 * 140) {
		at := time.Unix(day*86400, 0).UTC()
		if seconds, ok, err := moment([]byte(at.Format(`"2006-01-02"`))); seconds != day*86400 || !ok || err != nil {
			t.Fatalf("%s: got %d, %v, %v", at, seconds, ok, err)
		}
	}
}
