package verify

import (
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

func TestVerify_AViewInAnotherFormIsCountedAndNamed(t *testing.T) {
	f := newFixture(t, 2, strings.Replace(shopViews, "views:\n", "views:\n  cdc: { from: orders, envelope: maxwell }\n", 1))
	f.start()
	r := f.verify()
	clean(t, r)
	if r.Views != 3 || r.RowsCompared < 100 {
		t.Errorf("got %+v, want the three flat views compared", r)
	}
	var notes []string
	for _, n := range r.Notes {
		if strings.Contains(n, "view cdc has events in the form of maxwell: the numbers of ") && !strings.Contains(n, " of 0 events") {
			notes = append(notes, n)
		}
	}
	if len(notes) != 1 {
		t.Errorf("got the notes %q, want one that names the view that was not compared", r.Notes)
	}
}

func TestVerify_CapturedTablesAreCountedAndNamed(t *testing.T) {
	f := newFixture(t, 2, "\n    capture: { tables: all, include: ['shop_*.customers'] }"+shopViews)
	f.start()
	r := f.verify()
	clean(t, r)
	notes := strings.Join(r.Notes, "\n")
	if r.Views != 3 || !strings.Contains(notes, "2 captured tables: the numbers of ") || strings.Contains(notes, " of 0 events") || !strings.Contains(notes, "their rows were not compared") {
		t.Errorf("got %d views and the notes %q, want three compared and the captured ones counted", r.Views, r.Notes)
	}
}

func TestForeign_AMissingEventIsFound(t *testing.T) {
	f := &foreign{v: &verifier{}, view: "cdc", marks: map[int32]marks{}}
	f.v.findings.limit = 10
	for i, n := range []uint64{1, 2, 4} {
		r := &stream.Record{Topic: "tw.shop.cdc", Partition: 1, Offset: int64(i), Kind: stream.Event, Shard: "00", LSN: change.LSN{Epoch: 1, Txn: n}, N: n}
		if err := f.record(r); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.v.findings.list) != 1 || f.events != 3 {
		t.Fatalf("got %v in %d events, want one difference", f.v.findings.list, f.events)
	}
	if got, want := f.v.findings.list[0].String(), "events 3 to 3 of epoch 1 are missing"; !strings.Contains(got, want) || !strings.Contains(got, "view cdc, shard 00") {
		t.Errorf("got %s, want %s", got, want)
	}
}
