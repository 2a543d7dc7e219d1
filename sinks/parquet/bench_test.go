package parquet

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/stream"
)

// sinkhole is a store that forgets files and keeps metadata.
type sinkhole struct {
	objstore.Store
}

func (s sinkhole) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	if len(key) > 8 && key[len(key)-8:] == ".parquet" {
		_, err := io.Copy(io.Discard, body)
		return err
	}
	return s.Store.PutNew(ctx, key, body, size)
}

func (s sinkhole) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.Store.List(ctx, prefix)
}

// benchSchema has twelve columns as an order has them.
func benchSchema() change.Schema {
	return change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{
		{Name: "id", Type: change.Int, Bits: 64}, {Name: "customer", Type: change.Int, Bits: 64}, {Name: "status", Type: change.Enum, Members: []string{"new", "paid", "sent"}},
		{Name: "amount", Type: change.Decimal, Precision: 12, Scale: 2}, {Name: "tax", Type: change.Decimal, Precision: 12, Scale: 2}, {Name: "city", Type: change.Text},
		{Name: "qty", Type: change.Int, Bits: 32}, {Name: "weight", Type: change.Double}, {Name: "gift", Type: change.Bool}, {Name: "note", Type: change.Text, Nullable: true},
		{Name: "made", Type: change.DateTime, Scale: 3}, {Name: "seen", Type: change.Timestamp, Scale: 3},
	}}
}

// benchRecords are n events of the schema over one partition and two hours.
func benchRecords(n int, print string) []stream.Record {
	rng := rand.New(rand.NewPCG(1, 2))
	w := newWriter("03", print)
	out := make([]stream.Record, n)
	for i := range out {
		at := time.UnixMicro(day + int64(i)*2000).UTC()
		note := "null"
		if i%5 == 0 {
			note = fmt.Sprintf(`"leave at door %d"`, rng.IntN(1000))
		}
		out[i] = w.event(0, at.UnixMicro(), fmt.Sprintf(`"id":%d,"customer":%d,"status":%q,"amount":%d.%02d,"tax":%d.%02d,"city":%q,"qty":%d,"weight":%d.5,"gift":%v,"note":%s,"made":%q,"seen":%q`,
			1_000_000+i, rng.IntN(100_000), []string{"new", "paid", "sent"}[rng.IntN(3)], rng.IntN(5000), rng.IntN(100), rng.IntN(500), rng.IntN(100),
			[]string{"Pune", "Oslo", "Rome", "Quito", "Hanoi"}[rng.IntN(5)], rng.IntN(9), rng.IntN(300), i%7 == 0, note,
			at.Format("2006-01-02 15:04:05.000"), at.Format("2006-01-02T15:04:05.000Z")))
		out[i].Offset = int64(i)
	}
	return out
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSession measures the way of a row from the record to the bytes of
// its file: take, cut, convert, encode, compress. The log and the store cost
// nothing.
func BenchmarkSession(b *testing.B) {
	const rows = 100_000
	schema := benchSchema()
	log := newMemLog(1)
	if err := log.PutSchema(b.Context(), schema); err != nil {
		b.Fatal(err)
	}
	records := benchRecords(rows, schema.Fingerprint())
	var bytes int64
	for i := range records {
		bytes += int64(len(records[i].Value))
	}
	dir, err := objstore.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(bytes)
	b.ReportAllocs()
	var cpu time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		w := NewWorker(Options{Log: log, Store: sinkhole{dir}, View: "orders", Topic: stream.Topic{Name: "tw.t.orders", Partitions: 1, Incarnation: fmt.Sprint("inc-", n)}})
		s := newSession(w)
		if err := s.open(b.Context()); err != nil {
			b.Fatal(err)
		}
		before := cpuTime()
		b.StartTimer()
		for i := range records {
			if err := s.take(b.Context(), &records[i]); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.cut(b.Context(), &s.parts[0]); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		cpu += cpuTime() - before
		b.StartTimer()
	}
	b.ReportMetric(float64(rows)*float64(b.N)/cpu.Seconds(), "rows/cpu-s")
}
