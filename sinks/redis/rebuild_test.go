package redis

import (
	"context"
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/windowing"
)

// dying is the flush script, made to end in an error after some of its writes.
func dying(t *testing.T, at string) *goredis.Script {
	t.Helper()
	src := ""
	for _, name := range []string{"common", "decimal", "values", "flush"} {
		text, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			t.Fatal(err)
		}
		src += string(text)
	}
	if strings.Count(src, at) != 1 {
		t.Fatalf("the script has %d times %q, want once", strings.Count(src, at), at)
	}
	return goredis.NewScript(strings.Replace(src, at, at+"\nerror('the server moved a slot')", 1))
}

func TestProtocol_ScriptThatDiesBetweenItsWritesLeavesNothingThatCounts(t *testing.T) {
	for name, at := range map[string]string{
		"before the first value": "redis.call('HSET', S, 'open', '1')",
		"after some values":      "hset(w.a, w.states)",
		"after all values":       "put('w:' .. w.start, entry_text(w.entry))",
		"after the positions":    "hset(S, set)",
		"before the last write":  "redis.call('PEXPIRE', G, state_ttl)",
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(b *bench) {
				ctx := context.Background()
				l := newFakeLog(1)
				s0 := l.shard("00")
				m := b.metric(oneShard)
				s0.event(0, 101, `"city":"Pune","amount":1`)
				h := b.hand(l, m)
				h.sync()
				s0.event(0, 102, `"city":"Pune","amount":2`)
				s0.event(0, 112, `"city":"Pune","amount":4`)
				h.foldAll()
				names, args := h.r.t.batch(h.r.fold.Cut(), nil)
				if _, err := b.store.run(ctx, dying(b.T, at), names, args); err == nil {
					b.Fatal("the script did not die")
				}
				h.r.refused(errors.New("unknown outcome"))
				h.sync()
				if got, want := b.window(m, 100).Values[`["Pune"]`], "3.00"; got != want {
					b.Errorf("sum: got %s, want %s", got, want)
				}
				checkExact(b, b.store, l, m)
			})
		})
	}
}

func TestProtocol_WindowsWithoutBookkeepingAreRebuiltNeverContinued(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard)
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.event(0, 102, `"city":"Delhi","amount":1`)
		h := b.hand(l, m)
		h.sync()
		k := h.r.t.keys
		// The bookkeeping's time to live was over first; a group is left over too.
		b.client.Del(context.Background(), k.state())
		b.client.HSet(context.Background(), k.values("100"), `["Gone"]`, "7.00")
		h.load()
		h.foldAll()
		h.flush()
		checkExact(b, b.store, l, m)
	})
}

func TestProtocol_GapIsCrossedOnlyFromThePositionThatWasSeen(t *testing.T) {
	onEvery(t, func(b *bench) {
		ctx := context.Background()
		l := newFakeLog(1)
		s0 := l.shard("00")
		m := b.metric(oneShard)
		for at := 101.0; at < 140; at += 5 {
			s0.event(0, at, `"city":"Pune","amount":1`)
		}
		l.trim(0, 2)
		h := b.hand(l, m)
		h.sync() // crossed, and read to the end
		to := windowing.Position{Incarnation: l.incarnation, Offset: 2}
		if err := b.store.table(m, 0).gap(ctx, crossing{to: to, floor: 500, shards: "00"}); !errors.Is(err, errRefused) {
			b.Errorf("the gap of a worker that was slow: got %v, want %v", err, errRefused)
		}
		checkExact(b, b.store, l, m)
		if got, want := h.r.status.Saved[0], l.end(0); got != want {
			b.Errorf("position: got %d, want %d", got, want)
		}
	})
}

func TestRebuild_SparesBookkeepingThatSomebodyHasMended(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShard)
		l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
		b.hand(l, m).sync()
		if err := b.store.table(m, 0).rebuild(context.Background(), false); !errors.Is(err, errRefused) {
			b.Errorf("rebuild: got %v, want %v", err, errRefused)
		}
		checkExact(b, b.store, l, m)
	})
}
