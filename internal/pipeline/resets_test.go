package pipeline

import (
	"log/slog"
	"testing"
	"time"

	"tailwater/internal/status"
	"tailwater/stream/embedded"
)

func TestResets_OneThatWasBegunAndNeverMadeIsUnsure(t *testing.T) {
	l, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Name: "x", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var r resets
	first := status.Reset{Source: "s", Shard: "00", At: time.Unix(1, 0).UTC(), Target: "gtid:a", Passed: "1-2", Transactions: 2}
	second := first
	second.Target = "gtid:b"
	other := status.Reset{Source: "s", Shard: "01", Target: "now"}
	for _, step := range []struct {
		state string
		reset status.Reset
	}{{resetBegun, first}, {resetMade, first}, {resetBegun, second}} {
		if err := r.put(t.Context(), l, step.state, step.reset); err != nil {
			t.Fatal(err)
		}
	}
	var another resets
	if err := another.put(t.Context(), l, resetBegun, other); err != nil {
		t.Fatal(err)
	}
	all, err := Resets(t.Context(), l)
	if err != nil || len(all) != 3 {
		t.Fatalf("got %+v, %v, want three", all, err)
	}
	for i, want := range []struct {
		target string
		unsure bool
	}{{"gtid:a", false}, {"gtid:b", true}, {"now", true}} {
		if all[i].Target != want.target || all[i].Unsure != want.unsure {
			t.Errorf("reset %d: got %+v, want %+v", i, all[i], want)
		}
	}
	if list := r.get(); len(list) != 2 || list[0].Unsure || !list[1].Unsure {
		t.Errorf("in memory: got %+v", list)
	}
}
