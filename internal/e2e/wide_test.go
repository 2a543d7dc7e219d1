package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/status"
)

// mib is a text of so many MiB that compresses a little.
func mib(seed, n int) string {
	return fmt.Sprintf("REPEAT(SHA2('%d', 512), %d)", seed, n<<20/128)
}

// Rows of a mebibyte and of up to fifteen on three shards, beside the workload,
// with memory for 256 MiB. One that is larger than stream.max_record stops its
// shard, and that one only.
func TestRun_WideRowsStayWithinMemoryAndTheWidestStopsItsShard(t *testing.T) {
	r := newRig(t, rigOptions{shards: 3, shop: shop.Options{Seed: 4, Rate: 200, HistoryTxs: 20}, mysql: []string{"--max-allowed-packet=64M"}})
	text := strings.NewReplacer(
		"memory: 512MiB", "memory: 256MiB",
		"views:\n", "  docs:\n    from: { source: shop, schema: docs, table: docs }\n    key: [shard, id]\nviews:\n  docs:\n    from: docs\n",
		"  metrics:\n", "  metrics:\n    docs: { view: docs, value: count(), group_by: [kind] }\n",
	).Replace(r.config())
	r.program.configure(text)
	for _, s := range r.shards {
		s.Exec(t, "CREATE DATABASE docs", "CREATE TABLE docs.docs (id INT PRIMARY KEY, kind VARCHAR(10), body LONGTEXT)")
	}
	l := r.program.start()
	l.streaming(r.ids()...)
	r.goLive()
	rows := 0
	for i := range 60 {
		size := 1
		if i%12 == 11 {
			size = 8 + i%8
		}
		for _, s := range r.shards {
			s.Exec(t, fmt.Sprintf("INSERT INTO docs.docs VALUES (%d, 'wide', %s)", i, mib(i, size)))
			rows++
		}
	}
	r.rest()
	l.caughtUp(2*time.Minute, r.byID())
	r.verified()
	s, err := l.status()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows of 1 to 15 MiB; RSS peak %d MiB with limits.memory 256MiB", rows, s.Process.RSSPeakBytes>>20)
	if got := s.Process.RSSPeakBytes >> 20; got > 700 {
		t.Errorf("RSS peak: got %d MiB, want at most 700 with limits.memory 256MiB", got)
	}
	r.shards[2].Exec(t, "INSERT INTO docs.docs VALUES (777, 'widest', "+mib(1, 17)+")")
	l.stopped("02", "docs", "777", "stream.max_record")
	l.streaming("00", "01")
	l.undrained("02")
	// It is there after the limit was raised.
	r.program.configure(strings.Replace(text, "http:", "stream: { max_record: 32MiB }\nhttp:", 1))
	l = r.program.start()
	l.caughtUp(time.Minute, r.byID())
	l.seen("the lake and the windows to go on", func(s *status.Snapshot) bool { return faultsOf(s) == "" })
	r.verified()
	l.drain()
}
