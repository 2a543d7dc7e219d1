package windowing

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

func TestFold_GivesDeltasByWindowAndGroup(t *testing.T) {
	m := compile(t, nil)
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	add(t, f,
		w.event("c", 100, `"city":"Pune","amount":12.50`),
		w.event("u", 109.999999, `"city":"Pune","amount":"-0.25"`),
		w.event("d", 110, `"city":"Pune","amount":1`),
		w.event("c", 105, `"city":null,"amount":null`),
		w.event("c", 105, `"city":"a\"b","amount":3`),
		w.event("r", 105, `"city":"Pune","amount":1000`), // a snapshot's row is no change
		w.event("c", 106, `"id":1`),                      // columns that the event does not carry are NULL
	)
	d := f.Cut()
	want := map[string]string{`100 ["Pune"]`: "12.25", `110 ["Pune"]`: "1.00", `100 [null]`: "null", `100 ["a\"b"]`: "3.00"}
	if got := texts(m, d); !maps.Equal(got, want) {
		t.Errorf("deltas: got %v, want %v", got, want)
	}
	if got, want := d.Counts, (Counts{Events: 6}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
	s := d.Steps[0]
	if s.From.Incarnation != "" || s.To.Offset != 7 || s.To.Incarnation != "log" || !s.Moved() {
		t.Errorf("step: got %+v", s)
	}
	f.Commit()
	d = f.Cut()
	if len(d.Windows) != 0 || d.Steps[0].Moved() || d.Steps[0].From.Offset != 7 || f.Dirty() {
		t.Errorf("after commit: got %+v, dirty %v", d, f.Dirty())
	}
}

func TestFold_InsertsAreTheRowsThatEnterTheView(t *testing.T) {
	m := compile(t, func(d *Definition) { d.Rows = Inserts })
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	add(t, f,
		w.event("c", 100, `"city":"Pune","amount":1`),
		w.event("u", 101, `"city":"Pune","amount":2,"_old":{"amount":1}`),
		w.event("d", 102, `"city":"Pune","amount":2`),
		w.event("c", 102, `"city":"Delhi","amount":2`), // the other half of a changed key
		w.event("r", 103, `"city":"Pune","amount":8`))
	d := f.Cut()
	want := map[string]string{`100 ["Pune"]`: "1.00", `100 ["Delhi"]`: "2.00"}
	if got := texts(m, d); !maps.Equal(got, want) {
		t.Errorf("deltas: got %v, want %v", got, want)
	}
	if got, want := d.Counts, (Counts{Events: 2}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestHazard_B27_WindowsAreHalfOpen(t *testing.T) {
	for _, c := range []struct{ micros, want int64 }{
		{99_999_999, 90}, {100_000_000, 100}, {100_000_001, 100}, {109_999_999, 100}, {110_000_000, 110},
	} {
		if got := WindowStart(c.micros, 10); got != c.want {
			t.Errorf("window of %d µs: got %d, want %d", c.micros, got, c.want)
		}
	}
	for _, c := range []struct {
		watermark int64
		want      bool
	}{{109_999_999, false}, {110_000_000, true}, {110_000_001, true}} {
		if got := Ended(100, 10, c.watermark); got != c.want {
			t.Errorf("[100, 110) ended at watermark %d: got %v, want %v", c.watermark, got, c.want)
		}
	}
}

func TestHazard_B26_LateIsDecidedByThePartitionsOwnWatermarkBeforeTheRecord(t *testing.T) {
	m := compile(t, func(d *Definition) { d.OnLate = Drop })
	f := started(m)
	var at int64
	a, b := &writer{shard: "00", offset: &at}, &writer{shard: "01", offset: &at}
	for i, shard := range []string{"00", "01"} { // the other partition is far ahead, which says nothing of this one
		offset := int64(i)
		add(t, f, (&writer{shard: shard, partition: 1, offset: &offset}).heartbeat(300))
	}
	add(t, f,
		a.heartbeat(200),
		a.event("c", 101, `"city":"x","amount":1`), // shard 01 was not heard: in time
		b.heartbeat(110),
		b.event("c", 102, `"city":"x","amount":10`), // late: the window ended at 110
		b.event("c", 111, `"city":"x","amount":100`),
	)
	d := f.Cut()
	want := map[string]string{`100 ["x"]`: "1.00", `110 ["x"]`: "100.00"}
	if got := texts(m, d); !maps.Equal(got, want) {
		t.Errorf("deltas: got %v, want %v", got, want)
	}
	if got, want := d.Counts, (Counts{Events: 2, Dropped: 1}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestFold_RecordsOwnWatermarkDoesNotMakeItLate(t *testing.T) {
	m := compile(t, func(d *Definition) { d.OnLate, d.Shards = Drop, []string{"00"} })
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	r := w.event("c", 105, `"city":"x","amount":1`)
	r.Watermark = 110e6 // says that no later record is older
	add(t, f, r)
	if got, want := f.Cut().Counts, (Counts{Events: 1}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestFold_LatenessKeepsWindowsOpen(t *testing.T) {
	m := compile(t, func(d *Definition) { d.OnLate, d.Shards, d.Lateness = Drop, []string{"00"}, 5e9 })
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	add(t, f,
		w.heartbeat(114.999999), w.event("c", 101, `"city":"x","amount":1`),
		w.heartbeat(115), w.event("c", 101, `"city":"x","amount":1`))
	if got, want := f.Cut().Counts, (Counts{Events: 1, Dropped: 1}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestFold_DuplicatesAndRecordsBelowThePositionAreLeftOut(t *testing.T) {
	m := compile(t, nil)
	f := NewFold(m)
	var at int64 = 5
	w := &writer{shard: "00", offset: &at, txn: 4, n: 4}
	marks := stream.Marks{"00": {LSN: change.LSN{Epoch: 1, Txn: 4}, N: 4}}
	f.Start(0, Position{Incarnation: "log", Offset: 5}, Position{Incarnation: "log", Offset: 5, Marks: marks})
	first := w.event("c", 101, `"city":"x","amount":1`)
	again := *first
	again.Offset = at
	at++
	old := *first
	old.Offset, old.LSN.Txn = 4, 9
	add(t, f, &old, first, &again)
	if got, want := f.Cut().Counts, (Counts{Events: 1}); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
	if marks["00"].LSN.Txn != 4 {
		t.Error("the fold changed the marks that it was given")
	}
}

func TestFold_GapStopsThePartitionBeforeTheRecord(t *testing.T) {
	m := compile(t, nil)
	f := started(m)
	var at0, at1 int64
	w := &writer{shard: "00", offset: &at0}
	v := &writer{shard: "00", partition: 1, offset: &at1}
	add(t, f, w.event("c", 101, `"city":"x","amount":1`))
	w.n++ // a record is missing
	var gap *stream.GapError
	if err := f.Add(w.event("c", 102, `"city":"x","amount":1`)); !errors.As(err, &gap) {
		t.Fatalf("got %v, want a gap", err)
	}
	add(t, f, w.event("c", 103, `"city":"x","amount":1`), v.event("c", 104, `"city":"x","amount":4`))
	d := f.Cut()
	if got := texts(m, d)[`100 ["x"]`]; got != "5.00" {
		t.Errorf("sum: got %s, want 5.00", got)
	}
	if got, want := d.Steps[0].To.Offset, int64(1); got != want {
		t.Errorf("offset of the stopped partition: got %d, want %d", got, want)
	}
	if f.Stopped(0) == nil || f.Stopped(1) != nil {
		t.Errorf("stopped: got %v and %v, want partition 0 only", f.Stopped(0), f.Stopped(1))
	}
}

func TestFold_BadRecordsStopThePartitionWithoutShowingValues(t *testing.T) {
	for name, value := range map[string]string{
		"no object":   `[1]`,
		"cut":         `{"_op":"c","_ts_us":101000000,"city":"se`,
		"no op":       `{"_ts_us":101000000,"city":"secret","amount":1}`,
		"unknown op":  `{"_op":"x","_ts_us":101000000,"city":"secret","amount":1}`,
		"no time":     `{"_op":"c","city":"secret","amount":1}`,
		"time zero":   `{"_op":"c","_ts_us":0,"city":"secret","amount":1}`,
		"time minus":  `{"_op":"c","_ts_us":-5,"city":"secret","amount":1}`,
		"time float":  `{"_op":"c","_ts_us":1.5e9,"city":"secret","amount":1}`,
		"time huge":   `{"_op":"c","_ts_us":9999999999999999,"city":"secret","amount":1}`,
		"no number":   `{"_op":"c","_ts_us":101000000,"city":"secret","amount":"secret"}`,
		"exponent":    `{"_op":"c","_ts_us":101000000,"city":"secret","amount":1e3}`,
		"more digits": `{"_op":"c","_ts_us":101000000,"city":"secret","amount":1.005}`,
		"long group":  `{"_op":"c","_ts_us":101000000,"city":"secret` + strings.Repeat("x", MaxGroupBytes) + `","amount":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := started(compile(t, nil))
			var at int64
			w := &writer{shard: "00", offset: &at}
			r := w.event("c", 101, "")
			r.Value = []byte(value)
			err := f.Add(r)
			var bad *RecordError
			if !errors.As(err, &bad) || bad.Offset != 0 || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got %.200v, want a RecordError without the row's values", err)
			}
			d := f.Cut()
			if d.Steps[0].To.Offset != 0 || len(d.Windows) != 0 || len(d.Steps[0].To.Marks) != 0 {
				t.Errorf("something of the record was applied: %+v", d)
			}
		})
	}
}

func TestFold_BadRecordLeavesTheMarkOfTheOneBefore(t *testing.T) {
	f := started(compile(t, nil))
	var at int64
	w := &writer{shard: "00", offset: &at}
	good := w.event("c", 101, `"city":"x","amount":1`)
	add(t, f, good)
	if err := f.Add(w.event("c", 102, `"city":"x","amount":"much"`)); err == nil {
		t.Fatal("got no error")
	}
	to := f.Cut().Steps[0].To
	if got, want := to.Marks["00"].LSN, good.LSN; got != want || to.Offset != 1 {
		t.Errorf("position: got mark %v at offset %d, want %v at 1", got, to.Offset, want)
	}
}

func TestFold_BatchIsCutAtItsBounds(t *testing.T) {
	m := compile(t, nil)
	for name, c := range map[string]struct {
		group string
		want  int
	}{"cells": {"%d", MaxCells}, "bytes": {"%0100000d", 3}} {
		t.Run(name, func(t *testing.T) {
			f := started(m)
			var at int64
			w := &writer{shard: "00", offset: &at}
			n := 0
			for !f.Full() {
				add(t, f, w.event("c", 101, fmt.Sprintf(`"city":"`+c.group+`","amount":1`, n)))
				n++
			}
			if n != c.want {
				t.Errorf("full after %d groups, want %d", n, c.want)
			}
			if got := f.Cut().Steps[0].To.Offset; got != int64(n) {
				t.Errorf("offset: got %d, want %d", got, n)
			}
			f.Commit()
			if f.Full() {
				t.Error("full after commit")
			}
		})
	}
}

// cityIs is a Predicate over the column city.
type cityIs string

func (c cityIs) Columns() []int { return []int{1} }
func (c cityIs) Eval(row change.Row) (bool, error) {
	text, err := row.AppendJSON(nil, 1)
	return row.State(1) == change.Present && string(text) == string(c), err
}

func TestFold_WhereSeesTheColumnsOfTheView(t *testing.T) {
	d := compile(t, nil).Definition
	d.Where = "city == 'x'"
	m, err := Compile(d, columns, cityIs(`"x"`))
	if err != nil {
		t.Fatal(err)
	}
	f := started(m)
	var at int64
	w := &writer{shard: "00", offset: &at}
	add(t, f,
		w.event("c", 101, `"city":"x","amount":1`),
		w.event("c", 101, `"city":"y","amount":2`),
		w.event("c", 101, `"city":null,"amount":4`))
	if got := texts(m, f.Cut())[`100 ["x"]`]; got != "1.00" {
		t.Errorf("sum: got %s, want 1.00", got)
	}
}

func TestMembers_HandOutValuesAsARowDoes(t *testing.T) {
	e := members{columns: []change.Column{{Type: change.Decimal}, {Type: change.JSON}, {Type: change.Text}, {Type: change.Int}}, byCol: []int{0, 1, 2, -1}}
	e.raw = [][]byte{[]byte(`"12.50"`), []byte(`"{\"a\":1}"`), []byte(`"t"`)}
	for col, want := range []string{`12.50`, `{"a":1}`, `"t"`, `null`} {
		got, err := e.AppendJSON(nil, col)
		if err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("column %d: got %s, %v, want %s", col, got, err, want)
		}
	}
	if e.State(3) != change.Null || e.State(99) != change.Null || e.State(0) != change.Present {
		t.Error("states are wrong")
	}
}

// load makes n events over the groups, and returns them.
func load(n, groups int) []*stream.Record {
	var at int64
	w := &writer{shard: "00", offset: &at}
	records := make([]*stream.Record, n)
	for i := range records {
		op, old := "c", ""
		if i%3 == 0 {
			op, old = "u", `,"_old":{"amount":1.00,"note":"another"}`
		}
		records[i] = w.event(op, 100+float64(i)/float64(n)*10, fmt.Sprintf(
			`"_lsn":"00000001000000000001000000010000","_db":"shop_03","_table":"orders_7","id":%d,"status":"paid","amount":%d.%02d,"city":"city %d","at":"1970-01-01 00:01:40","note":"some text that is not looked at"%s`, i, i%900, i%100, i%groups, old))
	}
	return records
}

func TestFold_AllocatesNothingPerEvent(t *testing.T) {
	for _, aggregate := range []string{"sum(amount)", "max(amount)"} {
		allocatesNothing(t, compile(t, func(d *Definition) { d.Aggregate = aggregate }))
		allocatesNothing(t, compile(t, func(d *Definition) { d.Aggregate, d.Rows, d.Time = aggregate, Latest, "at" }))
	}
}

func allocatesNothing(t *testing.T, m *Metric) {
	t.Helper()
	records := load(1000, 50)
	f := NewFold(m)
	run := func() {
		f.Drop()
		f.Start(0, Position{Incarnation: "log"}, Position{Incarnation: "log"})
		for _, r := range records {
			if err := f.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		if len(f.cells) == 0 {
			t.Fatal("nothing was folded")
		}
	}
	run()
	if got := testing.AllocsPerRun(20, run); got > 8 { // of Start, none of the events
		t.Errorf("allocations per 1,000 events: got %v, want at most 8", got)
	}
}

func BenchmarkFold(b *testing.B) {
	for _, c := range []struct {
		groups    int
		aggregate string
		rows      Rows
	}{
		{1, "sum(amount)", Changes}, {900, "sum(amount)", Changes}, {900, "sum(amount)", Latest}, {900, "max(amount)", Changes}, {900, "max(amount)", Latest},
	} {
		b.Run(fmt.Sprintf("%s/%s/%dgroups", c.aggregate, c.rows, c.groups), func(b *testing.B) {
			m := compile(b, func(d *Definition) {
				if d.Aggregate, d.Rows = c.aggregate, c.rows; d.Rows == Latest {
					d.Time = "at"
				}
			})
			records := load(10_000, c.groups)
			f := NewFold(m)
			size := 0
			for _, r := range records {
				size += len(r.Value)
			}
			b.SetBytes(int64(size / len(records)))
			b.ReportAllocs()
			i := len(records)
			for b.Loop() {
				if i == len(records) {
					i = 0
					f.Drop()
					f.Start(0, Position{Incarnation: "log"}, Position{Incarnation: "log"})
				}
				if err := f.Add(records[i]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
