package work

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tailwater/internal/campaign/check"
)

// plans makes n plans, as if each had been done.
func plans(seed uint64, n int) []*plan {
	g := newPlanner(Options{Seed: seed, Pause: time.Millisecond, Idle: time.Second, MaxRows: 3000, MaxBody: 5000}, 1, 2)
	out := make([]*plan, n)
	for i := range out {
		out[i] = g.next()
		out[i].settle()
	}
	return out
}

func TestPlanner_SameSeedMakesTheSamePlans(t *testing.T) {
	text := func(seed uint64) string {
		var b strings.Builder
		for _, p := range plans(seed, 300) {
			fmt.Fprintln(&b, p.kind, p.seq, p.pause, p.statements)
		}
		return b.String()
	}
	first := text(7)
	if again := text(7); first != again {
		t.Error("two runs of seed 7 differ")
	}
	if first == text(8) {
		t.Error("the seeds 7 and 8 make the same plans")
	}
}

func TestPlanner_MakesEveryKindAndNumbersWhatIsCommitted(t *testing.T) {
	got := map[string]int{}
	var last int64
	for _, p := range plans(1, 2000) {
		got[p.kind]++
		if p.rolled || p.single {
			if p.seq != 0 {
				t.Fatalf("%s has number %d, want none", p.kind, p.seq)
			}
			continue
		}
		if p.seq != last+1 || p.events == 0 || p.there == "" {
			t.Fatalf("%s: got number %d with %d events after %d", p.kind, p.seq, p.events, last)
		}
		last = p.seq
		if final := p.statements[len(p.statements)-1]; !strings.HasPrefix(final, "INSERT INTO ledger_2 ") {
			t.Fatalf("%s ends with %q, want its ledger row", p.kind, final)
		}
	}
	for _, kind := range []string{"open", "transfer", "insert", "update", "delete", "chain", "several", "large", "many", "many deleted", "rollback", "savepoint", "alter"} {
		if got[kind] == 0 {
			t.Errorf("no plan of kind %s among %v", kind, got)
		}
	}
}

func TestPlanner_AccountsKeepTheirSum(t *testing.T) {
	g := newPlanner(Options{Seed: 3, MaxRows: 10, MaxBody: 10}, 0, 0)
	for range 500 {
		g.next().settle()
	}
	var sum int64
	for _, a := range g.accounts {
		sum += a.N
	}
	if want := int64(8 * 100_000); sum != want {
		t.Errorf("got %d, want %d", sum, want)
	}
}

func TestPlanner_AnOversizedRowIsNumberedWhenItIsItsTurn(t *testing.T) {
	g := newPlanner(Options{Seed: 3, MaxRows: 10, MaxBody: 10}, 0, 0)
	g.next().settle()
	p := new(plan)
	g.oversize(p, 1000)
	p.number(g)
	if p.seq != 2 || p.events != 1 || len(p.statements) != 2 || len(p.statements[0]) < 1000 {
		t.Errorf("got number %d, %d events, %d statements", p.seq, p.events, len(p.statements))
	}
}

func TestPlanner_BulkLinesAreWhatTheStatementInserts(t *testing.T) {
	s := &span{from: 50, to: 50 + 1004, tag: "0-9"}
	lines := s.lines("c", 0)
	want := check.Line("items", "c", check.Row{ID: 50 + 1003, N: 3, Ver: 1, Tag: "0-9"})
	if len(lines) != 1005 || lines[1003] != want {
		t.Errorf("got %d lines, the 1004th %q, want 1005 and %q", len(lines), lines[1003], want)
	}
}
