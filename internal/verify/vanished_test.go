package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/change"
	"tailwater/stream"
)

// at is an lsn by transaction, in the second epoch where it is above 100.
func lsnAt(txn uint64) change.LSN { return change.LSN{Epoch: 1 + uint32(txn/100), Txn: txn, Row: 1} }

func TestTableEvents_SayWhichRowsAreGoneAndWhichTablesAreUnknown(t *testing.T) {
	var all tableEvents
	put := func(txn uint64, table string, empties, unknown bool) {
		all.add(tableEvent{txid: fmt.Sprint("g", txn), lsn: lsnAt(txn), database: "d", table: table, empties: empties, unknown: unknown, why: fmt.Sprint("g", txn)})
	}
	// In no order, as partitions are read side by side.
	put(60, "t", true, true) // rename with _from
	put(20, "t", true, false)
	put(40, "t", false, true) // partition
	put(80, "", true, false)  // the database is dropped
	for _, c := range []struct {
		table        string
		last, before uint64
		gone         bool
	}{
		{"t", 10, 20, false}, {"t", 10, 21, true}, {"t", 21, 39, false}, {"t", 21, 59, false}, {"t", 21, 61, true}, {"t", 61, 79, false}, {"t", 61, 99, true},
		{"u", 10, 79, false}, {"u", 10, 81, true}, {"t", 81, 199, false},
	} {
		if got := all.gone("d", c.table, lsnAt(c.last), lsnAt(c.before)); got != c.gone {
			t.Errorf("a row of %s of %d at %d: gone %v, want %v", c.table, c.last, c.before, got, c.gone)
		}
	}
	for txn, want := range map[uint64]string{10: "", 30: "", 41: "g40", 59: "g40", 61: "g60", 79: "g60", 90: ""} {
		got := ""
		if e := all.unknown("d", "t", lsnAt(txn)); e != nil {
			got = e.why
		}
		if got != want {
			t.Errorf("at %d the table is unknown since %q, want %q", txn, got, want)
		}
	}
	if all.unknown("d", "u", never) != nil || all.gone("e", "t", lsnAt(1), never) {
		t.Error("another table is concerned")
	}
	// The copy that a later session wrote to the other partitions is the same event.
	n := len(all)
	all.add(tableEvent{txid: "g20", lsn: lsnAt(120), database: "d", table: "t", empties: true})
	if len(all) != n || !all.gone("d", "t", lsnAt(110), never) || all.gone("d", "t", lsnAt(121), never) {
		t.Error("a second copy is not the same event with the larger lsn")
	}
}

// notesOf says whether a note has all of the parts.
func noted(r *Result, parts ...string) bool {
	for _, n := range r.Notes {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(n, p)
		}
		if all {
			return true
		}
	}
	return false
}

func TestVerify_FoldsTruncatedAndDroppedTables(t *testing.T) {
	f := newFixture(t, 2, shopViews)
	f.start()
	clean(t, f.verify())
	s := f.servers[0]
	if err := errors.Join(s.TruncateTable("shop_00", "orders_2"), f.servers[1].DropTable("shop_01", "customers")); err != nil {
		t.Fatal(err)
	}
	r := f.verify()
	clean(t, r)
	if !noted(r, "metric current", "stale") {
		t.Errorf("notes: %q, want one of the stale windows", r.Notes)
	}
	f.halt()
	// Rows that nobody saw leave are still found.
	p := f.plant("00")
	gone := slices.DeleteFunc(p.last("orders", "00"), func(r stream.Record) bool {
		return r.Key == nil || !bytes.Contains(r.Value, []byte(`"_table":"orders_2"`))
	})
	p.publish(gone[0], op("c"))
	p.close()
	r = f.verify("rows")
	one(t, r, "row that only the stream has, behind the truncate", func(d *Difference) bool { return d.Kind == Extra })
}

// A window that ought to be marked and is not shows as a difference.
func TestVerify_FindsRowsThatAreGoneInAWindowThatIsNotMarked(t *testing.T) {
	views, client := ownRedis(t)
	f := newFixture(t, 1, views)
	f.start()
	f.verify() // everything is there
	if err := f.servers[0].TruncateTable("shop_00", "orders_2"); err != nil {
		t.Fatal(err)
	}
	clean(t, f.verify())
	marked, err := client.Keys(t.Context(), "*{current}:meta:*").Result()
	if err != nil || len(marked) == 0 {
		t.Fatalf("windows of the metric: %v, %v", marked, err)
	}
	f.halt()
	for _, key := range marked {
		if n, err := client.HDel(t.Context(), key, "stale").Result(); err != nil || n != 1 {
			t.Errorf("%s was not marked: %v", key, err)
		}
	}
	if r := f.verify("windows"); r.Found == 0 {
		t.Errorf("got %+v, want differences of the metric", r)
	}
}

func TestHazard_A60_TablesThatGotRowsWithoutEventsAreNotCompared(t *testing.T) {
	f := newFixture(t, 2, shopViews)
	f.start()
	clean(t, f.verify())
	for _, text := range []string{"RENAME TABLE elsewhere TO customers", "ALTER TABLE orders_1 DROP PARTITION p", "RENAME TABLE orders_0 TO _orders_0_del, _orders_0_gho TO orders_0"} {
		if err := f.servers[0].Statement("shop_00", text); err != nil {
			t.Fatal(err)
		}
	}
	r := f.verify()
	clean(t, r)
	for _, table := range []string{"shop_00.customers", "shop_00.orders_1"} {
		if !noted(r, "table "+table+" of shard 00 cannot be compared, because") {
			t.Errorf("notes: %q, want one of %s", r.Notes, table)
		}
	}
	if noted(r, "orders_0") || noted(r, "shard 01 cannot") {
		t.Errorf("notes: %q, want none of other tables", r.Notes)
	}
	// From an empty table on everything is known again.
	if err := f.servers[0].TruncateTable("shop_00", "customers"); err != nil {
		t.Fatal(err)
	}
	if r = f.verify("rows"); noted(r, "customers") {
		t.Errorf("notes after the truncate: %q", r.Notes)
	}
	clean(t, r)
}

func TestVerify_TakesTheEventsOfTablesFromTheLake(t *testing.T) {
	f := notes(t, 40)
	f.start()
	if err := f.servers[0].TruncateTable("s_x", "notes"); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		f.note(100+i, 600<<10)
	}
	f.change(func(tx *primary.Tx) error {
		return tx.Insert("s_x", "notes", encode.Row{int64(5), "2026-11-20 10:00:00.500", "1.10", "again"})
	})
	clean(t, f.verify())
	f.halt()
	if first := f.trim("notes"); first < 41 {
		t.Fatalf("the stream still begins at %d, want it behind the truncate", first)
	}
	f.start()
	clean(t, f.verify())
}
