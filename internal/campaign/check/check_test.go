package check

import (
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// delivered is what a small pipeline has delivered, as it should be.
type delivered struct {
	truth  Truth
	events []Event
	lake   []Event
	stored Stored
}

// sound makes transactions of two rows each: the accounts 1 and 2 of a lane are
// made, and then changed together.
func sound() *delivered {
	d := &delivered{truth: Truth{Rows: map[Place]Row{}}, stored: Stored{Values: map[Value]string{}}}
	var lsn LSN
	event := func(e Event) {
		lsn[9]++
		e.LSN, e.Offset, e.Published = lsn, int64(len(d.events)), int64(len(d.events))
		d.events = append(d.events, e)
	}
	for seq := int64(1); seq <= 5; seq++ {
		txn := fmt.Sprintf("uuid:%d", seq)
		commit := 1_700_000_001_000_000 + seq*4_000_000
		var lines []string
		for id := int64(1); id <= 2; id++ {
			row := Row{Lane: 0, ID: id, N: 100 + seq*(2*id-3), Ver: seq, Tag: fmt.Sprintf("0-%d", seq)}
			op := "u"
			if seq == 1 {
				op = "c"
			}
			lines = append(lines, Line("accounts", op, row))
			event(Event{Table: "accounts", Shard: "00", Txn: txn, TS: commit, Op: op, Row: row})
			d.truth.Rows[Place{"accounts", "00", 0, id}] = row
		}
		entry := Entry{Shard: "00", Seq: seq, Rows: 2, Digest: Digest(lines), Kind: "transfer", Cents: seq, At: commit - 1000}
		d.truth.Entries = append(d.truth.Entries, entry)
		event(Event{Table: Ledger, Shard: "00", Txn: txn, TS: commit, Op: "c", Entry: &entry})
	}
	for start, txs := range map[int64][2]string{1_700_000_000: {"2", "3"}, 1_700_000_010: {"2", "7"}, 1_700_000_020: {"1", "5"}} {
		for _, by := range []string{"", "_by_row"} {
			d.stored.Values[Value{"txs" + by, start, `["transfer"]`}] = txs[0]
			d.stored.Values[Value{"cents" + by, start, `["transfer"]`}] = txs[1]
		}
	}
	d.lake = slices.Clone(d.events)
	return d
}

func (d *delivered) check() Findings {
	found := Transactions(&d.truth, d.events)
	found.Merge(Fold(&d.truth, d.events))
	found.Merge(Windows(&d.truth, d.events, &d.stored, 10))
	found.Merge(Lake(d.events, d.lake))
	return found
}

func TestCheck_SoundDeliveryHasNoViolation(t *testing.T) {
	if got := sound().check(); got.Count != 0 || got.Looked == 0 {
		t.Errorf("got %d violations of %d looked at, want none of some: %v", got.Count, got.Looked, got.First)
	}
}

func TestCheck_EveryKindOfDamageIsReported(t *testing.T) {
	key := Value{"cents", 1_700_000_010, `["transfer"]`}
	for _, c := range []struct {
		name, want string
		doctor     func(*delivered)
	}{
		{"a lost record", "1 events in the stream, 2 were committed", func(d *delivered) { d.events = slices.Delete(d.events, 6, 7); d.lake = d.events }},
		{"a lost transaction", "number 3 (transfer) was committed and is not in the stream", func(d *delivered) { d.events = slices.Delete(d.events, 6, 9); d.lake = d.events }},
		{"a lost ledger row", "2 events without their ledger row", func(d *delivered) { d.events = slices.Delete(d.events, 8, 9); d.lake = d.events }},
		{"a doubled record", "3 events in the stream, 2 were committed", func(d *delivered) { d.events = slices.Insert(d.events, 7, d.events[6]) }},
		{"a doubled transaction", "number 3 stands twice in the stream", func(d *delivered) {
			again := slices.Clone(d.events[6:9])
			for i := range again {
				again[i].Txn = "uuid:again"
				again[i].LSN[3] = 1
			}
			d.events = append(d.events, again...)
		}},
		{"a swapped pair", "comes after", func(d *delivered) { d.events[3], d.events[6] = d.events[6], d.events[3] }},
		{"swapped transactions", "lane 0: number 3 comes after 4", func(d *delivered) {
			d.events[8].LSN, d.events[11].LSN = d.events[11].LSN, d.events[8].LSN
		}},
		{"a torn transaction", "without their ledger row: it is torn", func(d *delivered) { d.events[6].Txn = "uuid:other" }},
		{"a wrong value", "are not those that were committed", func(d *delivered) { d.events[6].Row.N++ }},
		{"a transaction that was rolled back", "a row that was rolled back", func(d *delivered) { d.events[6].Row.Tag = Rolled + "-0-3" }},
		{"a transaction that nobody committed", "number 5 is in the stream and was not committed", func(d *delivered) { d.truth.Entries = d.truth.Entries[:4] }},
		{"a commit time before the row", "its row was inserted at", func(d *delivered) { d.events[8].TS -= 2000 }},
		{"a key in two partitions", "is in the partitions 0 and 1", func(d *delivered) { d.events[6].Partition = 1 }},
		{"a key that goes backwards", "version 2 comes after 3", func(d *delivered) { d.events[6].Row, d.events[3].Row = d.events[3].Row, d.events[6].Row }},
		{"a row that is inserted twice", "inserted while it is there", func(d *delivered) { d.events[6].Op = "c" }},
		{"a row that the server lacks", "is in the stream and not in the server", func(d *delivered) { delete(d.truth.Rows, Place{"accounts", "00", 0, 1}) }},
		{"a row that the stream has otherwise", "the server has", func(d *delivered) { d.truth.Rows[Place{"accounts", "00", 0, 1}] = Row{ID: 1, N: 7} }},
		{"a wrong sum in Redis", `Redis has "8", the ledger 7`, func(d *delivered) { d.stored.Values[key] = "8" }},
		{"a lost window", `Redis has "", the ledger 7`, func(d *delivered) { delete(d.stored.Values, key) }},
		{"a window of nothing", "the ledger nothing", func(d *delivered) { d.stored.Values[Value{"txs", 50, `["x"]`}] = "1" }},
		{"a window that is marked lost", "it is marked lost", func(d *delivered) { d.stored.Lost = []string{"txs 1700000010"} }},
		{"a doubled Parquet row", "stands twice", func(d *delivered) { d.lake = append(d.lake, d.lake[4]) }},
		{"a lost Parquet row", "is in the stream and not in the lake", func(d *delivered) { d.lake = d.lake[1:] }},
		{"a foreign Parquet row", "is in the lake and not in the stream", func(d *delivered) { d.lake = append(d.lake, Event{Table: "accounts", Shard: "07"}) }},
		{"a wrong Parquet row", "the lake has u", func(d *delivered) { d.lake[4].Row.N++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := sound()
			c.doctor(d)
			got := d.check()
			var all []string
			for _, v := range got.First {
				all = append(all, v.String())
			}
			if text := strings.Join(all, "\n"); got.Count == 0 || !strings.Contains(text, c.want) {
				t.Errorf("got %d violations, want one that says %q\n%s", got.Count, c.want, text)
			}
		})
	}
}

// record is a record with Tailwater's headers, as docs/format/stream.md has them.
func record(kind string, epoch, txn, n uint64) *kgo.Record {
	id := []byte{1}
	id = binary.BigEndian.AppendUint32(id, uint32(epoch))
	id = append(id, binary.BigEndian.AppendUint64(nil, txn)[2:]...)
	id = append(id, 0, 0, 0, 1, 0, 0)
	id = binary.AppendVarint(binary.AppendUvarint(id, n), 1_700_000_000_000_000)
	id = binary.AppendUvarint(id, 1)
	id = append(append(id, 2), "00"...)
	id = append(append(id, 6), "uuid:7"...)
	r := &kgo.Record{Topic: "tw.camp.accounts", Headers: []kgo.RecordHeader{{Key: "tw", Value: []byte(kind)}, {Key: "tw.id", Value: id}}}
	if kind == "ev" {
		r.Key = []byte(`["00","0","1"]`)
		r.Value = fmt.Appendf(nil, `{"_op":"c","_shard":"00","_ts_us":5,"_lsn":"%08x%012x000000010000","_gtid":"uuid:7","lane":0,"id":1,"n":2,"ver":3,"tag":"a","body":"b"}`, epoch, txn)
	}
	return r
}

func TestRecord_TheRuleOfTheFormatDropsAndCounts(t *testing.T) {
	type in struct {
		kind          string
		epoch, txn, n uint64
	}
	first := []in{{"fence", 1, 0, 0}, {"ev", 1, 5, 1}, {"ev", 1, 6, 2}}
	for _, c := range []struct {
		name   string
		in     []in
		rule   bool
		events int
		want   string
	}{
		{"as they come", append(first, in{"hb", 1, 6, 2}, in{"ev", 1, 7, 3}), true, 3, ""},
		{"a doubled event under the rule", append(first, in{"ev", 1, 6, 2}), true, 2, ""},
		{"a doubled event among committed ones", append(first, in{"ev", 1, 6, 2}), false, 2, "an event of shard 00 at or below the one before it"},
		{"a late event of the session before", append(first, in{"fence", 2, 0, 0}, in{"ev", 1, 7, 3}, in{"ev", 2, 1, 1}), true, 3, ""},
		{"a lost event", append(first, in{"ev", 1, 8, 4}), true, 3, "event number 4 comes after 2: records are missing"},
		{"a lost event before a heartbeat", append(first, in{"hb", 1, 7, 3}), true, 2, "event number 3 comes after 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var found Findings
			marks, events := acceptance{}, 0
			r := &reader{Log: Log{Rule: c.rule}, texts: map[string]string{}}
			for _, i := range c.in {
				if e, ok := r.record(&found, marks, "accounts", record(i.kind, i.epoch, i.txn, i.n)); ok {
					events++
					if want := (Row{ID: 1, N: 2, Ver: 3, Tag: "a", Body: BodyHash("b")}); e.Row != want || e.Txn != "uuid:7" {
						t.Errorf("got row %+v of %s, want %+v of uuid:7", e.Row, e.Txn, want)
					}
				}
			}
			text := fmt.Sprint(found.First)
			if events != c.events || (found.Count > 0) != (c.want != "") || !strings.Contains(text, c.want) {
				t.Errorf("got %d events and %s, want %d and %q", events, text, c.events, c.want)
			}
		})
	}
}

func TestRecord_WhatIsNotOfTailwaterIsNamed(t *testing.T) {
	good := record("ev", 1, 5, 1)
	short := record("ev", 1, 5, 1)
	short.Headers[1].Value = short.Headers[1].Value[:20]
	other := record("ev", 1, 5, 1)
	other.Value = []byte(strings.Replace(string(good.Value), "0000000000050000", "0000000000060000", 1))
	text := record("ev", 1, 5, 1)
	text.Value = []byte("no JSON")
	for want, rec := range map[string]*kgo.Record{
		"header tw is":             {Topic: "tw.camp.accounts", Value: []byte("x")},
		"ends too early":           short,
		"its header":               other,
		"invalid character":        text,
		"partition 0, offset 0: h": {Topic: "tw.camp.accounts"},
	} {
		var found Findings
		(&reader{texts: map[string]string{}}).record(&found, acceptance{}, "accounts", rec)
		if got := fmt.Sprint(found.First); found.Count != 1 || !strings.Contains(got, want) {
			t.Errorf("got %d violations %s, want one with %q", found.Count, got, want)
		}
	}
}

func TestLake_RowsOfDuckDBAreEvents(t *testing.T) {
	r := &reader{texts: map[string]string{}}
	in := "00,uuid:7,00000001000000000005000000010000,5,u,2,3,4,5,tag,abc,\n"
	got, err := r.parseRows(csv.NewReader(strings.NewReader(in)), "items")
	if want := (Row{2, 3, 4, 5, "tag", "abc"}); err != nil || len(got) != 1 || got[0].Row != want || got[0].Op != "u" || got[0].TS != 5 {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	in = "00,uuid:7,00000001000000000005000000010000,5,c,2,3,4,-5,digest,kind,9\n"
	got, err = r.parseRows(csv.NewReader(strings.NewReader(in)), Ledger)
	if want := (Entry{"00", 2, 3, 4, "digest", "kind", -5, 9}); err != nil || len(got) != 1 || got[0].Entry == nil || *got[0].Entry != want {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"00\n", "00,uuid:7,xx,5,c,2,3,4,-5,digest,kind,9\n", "00,uuid:7,00000001000000000005000000010000,5,c,2,x,4,-5,d,k,9\n"} {
		if _, err := r.parseRows(csv.NewReader(strings.NewReader(bad)), Ledger); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
