package redis

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"tailwater/internal/standstill"
	"tailwater/windowing"
)

// probe runs Lua that uses what the scripts share.
func (b *bench) probe(body string, args ...any) []string {
	b.Helper()
	src := ""
	for _, name := range []string{"common", "decimal"} {
		text, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			b.Fatal(err)
		}
		src += string(text)
	}
	out, err := b.client.Eval(context.Background(), src+body, nil, args...).StringSlice()
	if err != nil {
		b.Fatalf("eval: %v", err)
	}
	return out
}

func TestDecimal_AddsAsBigNumbersDo(t *testing.T) {
	onEvery(t, func(b *bench) {
		rng := rand.New(rand.NewPCG(3, 4))
		number := func() *big.Int {
			n := new(big.Int)
			for range rng.IntN(9) {
				n.Mul(n, big.NewInt(1_000_000_000)).Add(n, big.NewInt([]int64{0, 1, 999_999_999, rng.Int64N(1e9)}[rng.IntN(4)]))
			}
			if rng.IntN(2) == 0 {
				n.Neg(n)
			}
			return n
		}
		var args []any
		var want []string
		for range 2000 {
			x, y := number(), number()
			args = append(args, x.String(), y.String())
			want = append(want, new(big.Int).Add(x, y).String())
		}
		got := b.probe(`
			local out = {}
			for i = 1, #ARGV, 2 do out[#out + 1] = add(ARGV[i], ARGV[i + 1]) end
			return out`, args...)
		for i := range want {
			if got[i] != want[i] {
				b.Fatalf("%v + %v: got %s, want %s", args[2*i], args[2*i+1], got[i], want[i])
			}
		}
	})
}

func TestDecimal_PlacesThePoint(t *testing.T) {
	onEvery(t, func(b *bench) {
		for _, c := range []struct{ digits, scale, want string }{
			{"0", "0", "0"}, {"0", "2", "0.00"}, {"5", "2", "0.05"}, {"-5", "2", "-0.05"}, {"-1234", "2", "-12.34"}, {"100", "30", "0." + strings.Repeat("0", 27) + "100"},
		} {
			if got := b.probe(`return {decimal(ARGV[1], tonumber(ARGV[2]))}`, c.digits, c.scale)[0]; got != c.want {
				b.Errorf("%s at scale %s: got %s, want %s", c.digits, c.scale, got, c.want)
			}
		}
	})
}

// TestScript_AgreesWithThePureRules lets the script and package windowing
// decide over the same random watermarks.
func TestScript_AgreesWithThePureRules(t *testing.T) {
	onMini(t, func(b *bench) {
		rng := rand.New(rand.NewPCG(5, 6))
		seen := map[string]int{}
		for range 400 {
			b.client.FlushAll(context.Background())
			wait := time.Duration(rng.IntN(2)*15) * time.Second
			m := b.metric(func(d *windowing.Definition) { d.Shards, d.WaitForShards = []string{"00", "01", "02"}, wait })
			l := newFakeLog(2)
			marks := []windowing.Watermarks{{0, 0, 0}, {0, 0, 0}}
			for i, name := range m.Shards {
				s := l.shard(name)
				if i == 0 {
					s.event(0, 100.5, `"city":"x","amount":1`)
				}
				for p := range marks {
					if at := []float64{0, 101, 109.999999, 110, 124, 125, 125.000001, 300}[rng.IntN(8)]; at > 0 {
						s.wm = 0
						s.heartbeat(int32(p), at)
						marks[p][i] = int64(at * 1e6)
					}
				}
			}
			marks[0][0] = max(marks[0][0], 100_500_000)
			b.hand(l, m).sync()
			want := "open incomplete"
			if windowing.Ended(100, 10, windowing.Low(marks)) {
				want = "closed complete"
			} else if missing := windowing.Missing(marks, 110e6, wait.Microseconds()); wait > 0 && missing != nil {
				var names []string
				for _, i := range missing {
					names = append(names, m.Shards[i])
				}
				want = "closed incomplete " + strings.Join(names, ",")
			}
			if got := describe(b.window(m, 100)); got != want {
				b.Fatalf("watermarks %v, wait %v: got %q, want %q", marks, wait, got, want)
			}
			seen[strings.Join(strings.Fields(want)[:2], " ")]++
		}
		if len(seen) != 3 {
			b.Errorf("not every outcome was seen: %v", seen)
		}
	})
}

func TestMerge_TakesBatchesAboveTheLimitOfUnpack(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); d.Aggregate = "count()" })
		h := b.hand(l, m)
		h.load()
		d := &windowing.Deltas{Windows: []windowing.WindowDelta{{Start: 100}}}
		for i := range 9000 {
			d.Windows[0].Groups = append(d.Windows[0].Groups, windowing.GroupDelta{Group: fmt.Sprintf("[%d]", i), Cell: windowing.Cell{Rows: 1}})
		}
		for range 2 {
			if _, err := h.r.t.merge(context.Background(), d, nil); err != nil {
				b.Fatal(err)
			}
		}
		w := b.window(m, 100)
		if len(w.Values) != 9000 || w.Values["[8999]"] != "2" || w.Groups != 9000 {
			b.Errorf("got %d values, %d groups, last %q", len(w.Values), w.Groups, w.Values["[8999]"])
		}
	})
}

func TestFlush_ClosesAndDeletesWindowsItWasNotGivenAtFirst(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard)
		for i := range 450 { // more than one reply asks for
			s0.event(0, 1000+float64(i)*10, `"city":"x","amount":1`)
		}
		h := b.hand(l, m)
		h.sync()
		s0.beat(1000 + 450*10 + 600) // all end, and all but the last 60 are no longer kept
		h.foldAll()
		h.flush()
		infos, err := b.store.Windows(context.Background(), m.Name, 0)
		if err != nil {
			b.Fatal(err)
		}
		for _, info := range infos {
			if !info.Complete || info.Start.Unix() < h.r.status.Floor {
				b.Errorf("window %d: complete %v, floor %d", info.Start.Unix(), info.Complete, h.r.status.Floor)
			}
		}
		if got, want := h.r.status.Floor, int64(5500); got != want {
			b.Errorf("floor: got %d, want %d", got, want)
		}
		if got, want := h.r.status.Closed, int64(450); got != want {
			b.Errorf("closed: got %d, want %d", got, want)
		}
		checkExact(b, b.store, l, m)
	})
}

func BenchmarkMerge(b *testing.B) {
	for _, server := range []string{"redis", "miniredis"} {
		for _, agg := range []string{"count()", "sum(amount)", "avg(amount)", "max(amount)"} {
			for _, fields := range []int{0, 100, 1000} {
				b.Run(fmt.Sprintf("%s/%s/%dfields", server, agg, fields), func(b *testing.B) {
					benchMerge(b, server, agg, fields)
				})
			}
		}
	}
}

func benchMerge(b *testing.B, server, agg string, fields int) {
	url := ""
	if server == "redis" {
		url = realRedis(b)
	} else {
		url = "redis://" + miniredis.RunT(b).Addr()
	}
	s, err := Open(Options{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	shards := make([]string, 12)
	for i := range shards {
		shards[i] = fmt.Sprintf("%02d", i)
	}
	m := compile(b, func(d *windowing.Definition) { d.Aggregate, d.Shards, d.Partitions = agg, shards, 12 })
	l := newFakeLog(12)
	for _, name := range shards {
		l.shard(name).beat(100)
	}
	r := newRunner(m, 0, &WorkerOptions{Source: l, Store: s, Logger: discard()}, standstill.New(Waits(discard(), m.Name)))
	ctx := context.Background()
	if err := r.load(ctx); err != nil {
		b.Fatal(err)
	}
	for p := range l.parts {
		for i := range l.parts[p] {
			if err := r.fold.Add(&l.parts[p][i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	d := r.fold.Cut()
	if _, err := r.t.merge(ctx, d, nil); err != nil {
		b.Fatal(err)
	}
	for i := range d.Steps {
		d.Steps[i].From = d.Steps[i].To
	}
	d.Windows = []windowing.WindowDelta{{Start: 100}}
	for i := range fields {
		g := windowing.GroupDelta{Group: fmt.Sprintf(`["city %d"]`, i), Cell: windowing.Cell{Rows: 3, Values: 3, Sum: windowing.Int{123456789012}}}
		if agg == "max(amount)" {
			g.Values = []windowing.ValueDelta{{Order: fmt.Sprintf("112%012d", i), Text: fmt.Sprint(i), N: 1}}
		}
		d.Windows[0].Groups = append(d.Windows[0].Groups, g)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.t.merge(ctx, d, nil); err != nil {
			b.Fatal(err)
		}
	}
}
