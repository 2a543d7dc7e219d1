package parquet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// rawRow0 is row0 with bytes in place of the city.
func rawRow0(i int) string {
	return `"_raw":["city"],` + strings.Replace(row0(i), fmt.Sprintf(`"c%d"`, i%3), `"rg=="`, 1)
}

func TestHazard_A75_TheLakeNamesBytesThatAreNoText(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	f.log.append(w.event(0, day, row0(0)), w.event(0, day, row0(1)))
	f.drain(t, f.options()) // files without _raw
	if rows := f.wantIDs(t, "orders", 2); len(rows) == 2 {
		if _, there := rows[0]["_raw"]; there {
			t.Errorf("a row without bytes has _raw: %v", rows[0])
		}
	}
	f.log.append(w.event(0, day, rawRow0(2)), w.event(0, day, strings.Replace(row0(3), `"c0"`, `"rg=="`, 1)),
		w.event(1, day, row0(4)+`,"_old":{"_raw":["city"],"city":"rg=="}`))
	f.drain(t, f.options())
	f.log.append(w.event(0, day, rawRow0(5)))
	f.drain(t, f.options())
	for _, r := range f.wantIDs(t, "orders", 6) {
		raw, city, old := "", "c"+fmt.Sprint(int(r["id"][0]-'0')%3), ""
		switch r["id"] {
		case "2", "5":
			raw, city = `["city"]`, "rg=="
		case "3":
			city = "rg=="
		case "4":
			old = `{"_raw":["city"],"city":"rg=="}`
		}
		if r["_raw"] != raw || r["city"] != city || r["_old"] != old {
			t.Errorf("row %s: _raw %q, city %q, _old %q, want %q, %q, %q", r["id"], r["_raw"], r["city"], r["_old"], raw, city, old)
		}
	}
}

func TestHazard_A75_AnotherWorkersBatchWithBytesIsFinished(t *testing.T) {
	for step := 1; step < 6; step++ {
		f := newFixture(t)
		w := newWriter("00", f.print)
		for i := range 4 {
			f.log.append(w.event(0, day, rawRow0(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		o := f.options()
		o.RollRows, o.Grace, o.Store = 2, time.Millisecond, &dying{Store: f.store, left: step, cancel: cancel, after: true}
		_ = NewWorker(o).Run(ctx)
		cancel()
		f.drain(t, f.options())
		for _, r := range f.wantIDs(t, "orders", 4) {
			if r["_raw"] != `["city"]` || r["city"] != "rg==" {
				t.Errorf("death at write %d: row %v", step, r)
			}
		}
	}
}
