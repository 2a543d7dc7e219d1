package windowing

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/stream"
)

var columns = []change.Column{
	{Name: "id", Type: change.Int, Bits: 64},
	{Name: "city", Type: change.Text},
	{Name: "amount", Type: change.Decimal, Precision: 12, Scale: 2},
	{Name: "rate", Type: change.Double},
	{Name: "small", Type: change.Float},
	{Name: "doc", Type: change.JSON},
	{Name: "at", Type: change.DateTime, Nullable: true},
}

func compile(t testing.TB, edit func(d *Definition)) *Metric {
	t.Helper()
	d := Definition{
		Name: "gmv", View: "orders", Topic: "tw.shop.orders", Size: 10 * time.Second, Aggregate: "sum(amount)",
		GroupBy: []string{"city"}, Shards: []string{"01", "00"}, Partitions: 2,
	}
	if edit != nil {
		edit(&d)
	}
	m, err := Compile(d, columns, nil)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return m
}

// writer numbers the records of one shard in one partition.
type writer struct {
	shard     string
	partition int32
	offset    *int64
	txn, n    uint64
	watermark int64
}

func (w *writer) record(kind stream.Kind, value string) *stream.Record {
	r := &stream.Record{
		Topic: "tw.shop.orders", Partition: w.partition, Offset: *w.offset, Kind: kind, Shard: w.shard,
		LSN: change.LSN{Epoch: 1, Txn: w.txn}, N: w.n, Watermark: w.watermark, Value: []byte(value),
	}
	*w.offset++
	return r
}

func (w *writer) event(op string, at float64, rest string) *stream.Record {
	w.txn++
	w.n++
	micros := int64(at * 1e6)
	w.watermark = max(w.watermark, micros)
	return w.record(stream.Event, fmt.Sprintf(`{"_op":%q,"_shard":%q,"_ts_us":%d,%s}`, op, w.shard, micros, rest))
}

func (w *writer) heartbeat(at float64) *stream.Record {
	w.watermark = max(w.watermark, int64(at*1e6))
	return w.record(stream.Heartbeat, "")
}

// started returns a fold that stands at offset 0 of every partition.
func started(m *Metric) *Fold {
	f := NewFold(m)
	for p := range int32(m.Partitions) {
		f.Start(p, Position{}, Position{Incarnation: "log"})
	}
	return f
}

// add folds records and fails the test on an error.
func add(t testing.TB, f *Fold, records ...*stream.Record) {
	t.Helper()
	for _, r := range records {
		if err := f.Add(r); err != nil {
			t.Fatalf("add offset %d: %v", r.Offset, err)
		}
	}
}

// text is the public text of a cell that is a whole value.
func text(m *Metric, c *Cell) string {
	switch {
	case m.aggregate.Kind() == "count":
		return fmt.Sprint(c.Rows)
	case c.Values == 0:
		return "null"
	}
	sum, _ := new(big.Int).SetString(c.Sum.String(), 10)
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(m.aggregate.Scale())), nil)
	return new(big.Rat).SetFrac(sum, scale).FloatString(m.aggregate.Scale())
}

// texts returns the deltas as public texts by "start group".
func texts(m *Metric, d *Deltas) map[string]string {
	out := map[string]string{}
	for _, w := range d.Windows {
		for _, g := range w.Groups {
			out[fmt.Sprint(w.Start, " ", g.Group)] = text(m, &g.Cell)
		}
	}
	return out
}
