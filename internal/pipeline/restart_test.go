package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/shop"
	"tailwater/internal/status"
)

// incompressible is text of n bytes that takes nearly as many when compressed.
func incompressible(n int, seed uint64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	rng := rand.New(rand.NewPCG(seed, 77))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rng.Uint32()%64]
	}
	return string(b)
}

// hugeTx is a transaction of one shard with about 2n events, whose rows carry
// payloads of the given size: creates, then updates, changed keys and deletes
// of some of them.
func (r *shopRig) hugeTx(shard int, firstID int64, n, payload int) *shop.Tx {
	r.t.Helper()
	id := fmt.Sprintf("%02d", shard)
	table := shop.OrdersTable(id, 1)
	at := time.Now().UnixMicro()
	tx := &shop.Tx{Shard: id, CommitMicros: at}
	now := time.UnixMicro(at).UTC().Format("2006-01-02 15:04:05.000")
	note := strings.Repeat("x", payload)
	if r.dense {
		note = incompressible(payload, uint64(firstID))
	}
	row := func(id int64, status, amount string) encode.Row {
		out, _, err := table.Encode(encode.Row{id, int64(1), status, "Pune", amount, nil, "a@b.example",
			`{"ship": {"city": "Pune"}, "note": "` + note + `"}`, now, now}, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		return out
	}
	do := func(kind shop.Kind, before, after encode.Row) {
		tx.Ops = append(tx.Ops, shop.Op{Kind: kind, Table: &table, Before: before, After: after})
		tx.Rows++
		changed := func(op byte, before, after encode.Row) {
			tx.Changes = append(tx.Changes, shop.Change{Shard: id, Table: &table, Op: op, Before: before, After: after, CommitMicros: at})
		}
		if kind == shop.Update && before[shop.OrderID] != after[shop.OrderID] {
			changed('d', before, nil)
			changed('c', nil, after)
			return
		}
		changed(byte(kind), before, after)
	}
	for i := range int64(n) {
		do(shop.Create, nil, row(firstID+i, "new", "10.01"))
	}
	for i := range int64(n) {
		before := row(firstID+i, "new", "10.01")
		switch i % 4 {
		case 0:
			do(shop.Delete, before, nil)
		case 1:
			do(shop.Update, before, row(firstID+int64(n)+i, "new", "10.01"))
		default:
			do(shop.Update, before, row(firstID+i, "paid", "20.02"))
		}
	}
	return tx
}

// commit executes a transaction and enters it in the books.
func (r *shopRig) commit(shard int, tx *shop.Tx) {
	r.t.Helper()
	if err := shop.OnPrimary(r.servers[shard]).Apply(r.t.Context(), tx); err != nil {
		r.t.Fatal(err)
	}
	if err := r.ledger.Committed(tx); err != nil {
		r.t.Fatal(err)
	}
}

func TestPipeline_CrashedInsideHugeTransactionsLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	r := newShop(t, 2, 200)
	r.extra = "limits: { memory: 64MiB }\n"
	rng := rand.New(rand.NewPCG(5, 9))
	inside := 0
	for life := range 15 {
		if life%5 == 0 {
			for i := range r.servers {
				r.commit(i, r.hugeTx(i, int64(1+life)*1_000_000, 2500, 1000))
			}
		}
		r.start()
		// The moment is counted in events, so that it lies in the work however
		// busy the machine is.
		cut := uint64(rng.IntN(2000))
		r.await("so many events, or all", func(s status.Snapshot) bool {
			all := true
			for i := range s.Shards {
				all = all && s.Shards[i].GTID == r.servers[i].Executed()
			}
			return all || r.publishedIn(s) > cut
		})
		before := r.pipe.Snapshot()
		r.crash()
		for i := range before.Shards {
			if before.Shards[i].GTID != r.servers[i].Executed() && r.publishedIn(before) > 0 {
				inside++
			}
		}
	}
	t.Logf("%d of 30 readers were crashed between the first event and the end", inside)
	if inside < 10 {
		t.Errorf("only %d readers were crashed inside their work: the test proves little", inside)
	}
	r.start()
	r.await("caught up", func(s status.Snapshot) bool {
		for i := range s.Shards {
			if s.Shards[i].GTID != r.servers[i].Executed() {
				return false
			}
		}
		return true
	})
	skipped := r.shard(0).Skipped + r.shard(1).Skipped
	t.Logf("the last life skipped %d events that stood in the log", skipped)
	r.drainAndCompare()
}

// publishedIn counts the events of every view in the life that s shows.
func (r *shopRig) publishedIn(s status.Snapshot) (n uint64) {
	for _, v := range s.Views {
		n += v.Events
	}
	return n
}

func TestPipeline_ChangedViewsDoubleNothingInTheOthers(t *testing.T) {
	t.Parallel()
	r := newShop(t, 3, 1500)
	r.start()
	end := r.background()
	texts := []func(string) string{
		// A view more, on a table that another view has too.
		func(s string) string {
			return strings.Replace(s, "views:\n", "views:\n  rich: { from: orders, where: amount > 2500, select: { id: id, city: city } }\n", 1)
		},
		// The same view with another condition, and other columns.
		func(s string) string {
			return strings.Replace(s, "views:\n", "views:\n  rich: { from: orders, where: \"amount > 100 && city != 'Pune'\", select: { id: id } }\n", 1)
		},
		// Gone, and a metric with it.
		func(s string) string {
			return strings.Replace(s, "    gmv:", "    extra: { view: customers, value: count() }\n    gmv:", 1)
		},
		func(s string) string { return s },
	}
	for i, edit := range texts {
		r.await("events of this life", func(s status.Snapshot) bool { return r.publishedIn(s) > 300 })
		if i%2 == 0 {
			r.crash()
		} else {
			r.stop()
			if err := <-r.done; err != nil {
				t.Fatalf("Run = %v, want a clean drain", err)
			}
			if err := r.pipe.Close(); err != nil {
				t.Fatal(err)
			}
		}
		r.edit = edit
		r.start()
	}
	end()
	r.drainAndCompare()
}

func TestPipeline_AnotherPartitionCountIsRefusedByName(t *testing.T) {
	t.Parallel()
	r := newShop(t, 1, 300)
	r.start()
	r.caughtUp()
	r.crash()
	r.extra = "stream: { partitions: 6 }\n"
	p, err := r.open()
	if err == nil {
		p.Close()
		t.Fatal("got no error: every key would move to another partition")
	}
	for _, want := range []string{"topic of view ", "12 partitions", "6", "stream.partitions"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	r.extra = ""
	r.start()
	r.drainAndCompare()
}

func TestPipeline_EventTooLargeStopsItsShardAndIsThereAfterTheLimitWasRaised(t *testing.T) {
	t.Parallel()
	r := newShop(t, 2, 300)
	r.extra = "stream: { max_record: 64KiB }\n"
	r.start()
	r.caughtUp()
	r.commit(1, r.hugeTx(1, 7_000_000, 4, 80<<10))
	r.await("stopped", func(s status.Snapshot) bool { return s.Shards[1].State == status.Stopped })
	stopped := r.shard(1)
	for _, want := range []string{"shop_01.orders_1", `["01","7000000"]`, "stream.max_record", "65536"} {
		if !strings.Contains(stopped.Error, want) {
			t.Errorf("error %q does not say %q", stopped.Error, want)
		}
	}
	r.write(200 * time.Millisecond)
	r.caughtUp(1)
	if got := r.shard(1); got.GTID != stopped.GTID || got.File != stopped.File || got.Pos != stopped.Pos {
		t.Errorf("the stopped shard moved from %s to %s", stopped.GTID, got.GTID)
	}
	r.crash()
	r.extra = "stream: { max_record: 1MiB }\n"
	r.start()
	r.drainAndCompare()
}

func TestPipeline_MaskedKeyIsNotToldWhenAnEventIsTooLarge(t *testing.T) {
	t.Parallel()
	r := newShop(t, 1, 300)
	r.extra = "stream: { max_record: 64KiB }\n"
	r.edit = func(s string) string {
		return strings.Replace(s, `table: "orders_{part}" }, key: [shard, id] }`,
			`table: "orders_{part}" }, key: [shard, email], masking: { email: hash }, masking_salt: "0123456789abcdef" }`, 1)
	}
	r.start()
	r.caughtUp()
	r.commit(0, r.hugeTx(0, 7_000_000, 4, 80<<10))
	tick := time.NewTimer(3 * time.Second)
	<-tick.C

	r.await("stopped", func(s status.Snapshot) bool { return s.Shards[0].State == status.Stopped })
	if got := r.shard(0).Error; strings.Contains(got, "a@b.example") || !strings.Contains(got, `["00","`) {
		t.Errorf("error %q, want the masked key and not the address", got)
	}
}
