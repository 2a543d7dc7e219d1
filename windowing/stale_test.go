package windowing

import (
	"fmt"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/stream"
)

// datedColumns are those of the metrics of this file.
var datedColumns = []change.Column{{Name: "city", Type: change.Text}, {Name: "at", Type: change.DateTime}}

func datedMetric(t *testing.T, rows Rows) *Metric {
	t.Helper()
	d := Definition{Name: "m", View: "v", Topic: "tw.p.v", Size: 10 * time.Second, Aggregate: "count()", Rows: rows, GroupBy: []string{"city"}, Shards: []string{"00"}, Partitions: 1}
	if rows == Latest {
		d.Time = "at"
	}
	m, err := Compile(d, datedColumns, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tableRecord is the event of a change of a table, n-th of its partition.
func tableRecord(n uint64, micros, watermark int64, name string) stream.Record {
	return stream.Record{
		Kind: stream.Event, Shard: "00", LSN: change.LSN{Epoch: 1, Txn: n, Row: 1}, N: n, Offset: int64(n - 1), Watermark: watermark,
		Value: fmt.Appendf(nil, `{"_op":"t","_shard":"00","_ts_us":%d,"_lsn":"x","_db":"d","_table":%s,"_gtid":"g:%d","_ddl":"drop"}`, micros, name, n),
	}
}

func TestFold_ATableThatIsGoneMakesRowsAsTheyAreStale(t *testing.T) {
	for _, c := range []struct {
		rows Rows
		name string
		want Stale
	}{
		{Latest, `"t\"x"`, Stale{7_000_000, `drop of d.t"x on shard 00 in transaction g:1`}},
		{Latest, `null`, Stale{7_000_000, `drop of d.* on shard 00 in transaction g:1`}},
		{Changes, `"t"`, Stale{}},
		{Inserts, `"t"`, Stale{}},
	} {
		f := NewFold(datedMetric(t, c.rows))
		f.Start(0, Position{}, Position{Incarnation: "i", Marks: stream.Marks{}})
		// The rows before it may follow a clock that is ahead of that of DDL.
		r := tableRecord(1, 5_000_000, 7_000_000, c.name)
		if err := f.Add(&r); err != nil {
			t.Fatal(err)
		}
		d := f.Cut()
		if d.Stale != c.want || len(d.Windows) != 0 || d.Counts != (Counts{}) {
			t.Errorf("%s, %s: got %+v with %v and %+v, want %+v only", c.rows, c.name, d.Stale, d.Windows, d.Counts, c.want)
		}
		if next, _ := f.Next(0); next != 1 || f.Stopped(0) != nil {
			t.Errorf("%s: the position is %d, stopped %v, want it behind the event", c.rows, next, f.Stopped(0))
		}
		if f.Commit(); f.Cut().Stale != (Stale{}) {
			t.Errorf("%s: it is said again after the commit", c.rows)
		}
	}
}

func TestFold_KnowsHowFarRowsAreDatedAhead(t *testing.T) {
	f := NewFold(datedMetric(t, Latest))
	f.Start(0, Position{}, Position{Incarnation: "i", Marks: stream.Marks{}})
	for i, at := range []string{"1970-01-01 00:00:05", "1970-01-01 00:00:47", "1970-01-01 00:00:31"} {
		n := uint64(i + 1)
		r := stream.Record{
			Kind: stream.Event, Shard: "00", LSN: change.LSN{Epoch: 1, Txn: n, Row: 1}, N: n, Offset: int64(i), Key: []byte(`["1"]`),
			Value: fmt.Appendf(nil, `{"_op":"c","_shard":"00","_ts_us":10000000,"_lsn":"x","city":"Pune","at":%q}`, at),
		}
		if err := f.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Cut().Ahead; got != 30_000_000 {
		t.Errorf("got %d µs, want the 30 s from 10 s to the window of 40 s", got)
	}
}

func TestStale_MaxDoesNotDependOnTheOrder(t *testing.T) {
	all := []Stale{{}, {3, "a"}, {3, "b"}, {2, "z"}}
	for _, a := range all {
		for _, b := range all {
			if a.Max(b) != b.Max(a) || a.Max(b).Max(a) != a.Max(b) {
				t.Errorf("%v and %v: %v, the other way %v", a, b, a.Max(b), b.Max(a))
			}
		}
	}
}

func TestRouter_ATableConcernsEveryBucket(t *testing.T) {
	d := Definition{Name: "m", View: "v", Topic: "tw.p.v", Aggregate: "count()", Rows: Latest, Time: "at", GroupBy: []string{"city"}, Shards: []string{"00"}, Partitions: 1, Buckets: 3}
	m, err := Compile(d, datedColumns, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := tableRecord(1, 5, 5, `"t"`)
	if got := NewRouter(m).Route(&r); got&0b111 != 0b111 {
		t.Errorf("routed to %b, want every bucket", got)
	}
}
