package embedded

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/stream"
)

// cpu returns the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perCPU reports records per second of processor time, client and broker
// together.
func perCPU(b *testing.B, records int, start time.Duration) {
	b.ReportMetric(float64(records)/(cpu()-start).Seconds(), "records/cpu-s")
}

func benchLog(b *testing.B, parts int) (*Log, stream.Session) {
	b.Helper()
	l := openDir(b, filepath.Join(b.TempDir(), "log"))
	if _, err := l.EnsureTopic(b.Context(), stream.TopicSpec{Name: topic1, Partitions: parts}); err != nil {
		b.Fatal(err)
	}
	s, err := l.OpenShard(b.Context(), stream.ShardOptions{Shard: "03", Topics: []string{topic1}})
	if err != nil {
		b.Fatal(err)
	}
	return l, s
}

// renumber makes the records the next ones of a session.
func renumber(records []stream.Record, epoch uint32, from uint64, parts int) {
	for i := range records {
		records[i].LSN = change.LSN{Epoch: epoch, Txn: from + uint64(i), Row: 1}
		records[i].Partition = int32(i % parts)
	}
}

// A publish of records of about 300 bytes to 12 partitions, synced.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{100, 2000, 10_000} {
		b.Run(fmt.Sprint(n, "records"), func(b *testing.B) {
			_, s := benchLog(b, 12)
			records := sampleRecords(n, 260)
			b.ReportAllocs()
			start, txn := cpu(), uint64(1)
			for b.Loop() {
				renumber(records, s.Epoch(), txn, 12)
				txn += uint64(n)
				if err := s.Publish(b.Context(), records); err != nil {
					b.Fatal(err)
				}
			}
			perCPU(b, b.N*n, start)
		})
	}
}

func BenchmarkSave(b *testing.B) {
	_, s := benchLog(b, 12)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Save(b.Context(), stream.SourcePosition{Source: []byte("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-8812")}); err != nil {
			b.Fatal(err)
		}
	}
}

// Twelve shards publish 100 records each at the same time: what the group
// commit is for.
func BenchmarkPublish12Shards(b *testing.B) {
	l, _ := benchLog(b, 12)
	var sessions []stream.Session
	for i := range 12 {
		s, err := l.OpenShard(b.Context(), stream.ShardOptions{Shard: fmt.Sprint(i), Topics: []string{topic1}})
		if err != nil {
			b.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	start, txn := cpu(), uint64(1)
	for b.Loop() {
		var wg sync.WaitGroup
		for i, s := range sessions {
			wg.Go(func() {
				records := sampleRecords(100, 260)
				for k := range records {
					records[k].Shard = fmt.Sprint(i)
				}
				renumber(records, s.Epoch(), txn, 12)
				if err := s.Publish(b.Context(), records); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		txn += 100
	}
	perCPU(b, b.N*1200, start)
}

func BenchmarkConsume(b *testing.B) {
	l, s := benchLog(b, 12)
	const n = 120_000
	for txn := uint64(1); txn < n; txn += 10_000 {
		records := sampleRecords(10_000, 260)
		renumber(records, s.Epoch(), txn, 12)
		if err := s.Publish(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	offsets := make(map[stream.TopicPartition]int64)
	for p := range int32(12) {
		offsets[stream.TopicPartition{Topic: topic1, Partition: p}] = 0
	}
	c := l.newConsumer(stream.ConsumerOptions{})
	b.Cleanup(func() { _ = c.Close() })
	b.ReportAllocs()
	start := cpu()
	for b.Loop() {
		if err := c.Assign(offsets); err != nil {
			b.Fatal(err)
		}
		for seen := 0; seen < n+12; {
			records, err := c.Poll(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			seen += len(records)
		}
	}
	perCPU(b, b.N*(n+12), start)
}
