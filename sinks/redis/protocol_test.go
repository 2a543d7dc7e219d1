package redis

import (
	"context"
	"errors"
	"testing"
)

func TestMerge_CountsEachEventOnceAndClosesByWatermark(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(2)
		s0, s1 := l.shard("00"), l.shard("01")
		s0.event(0, 101, `"city":"Pune","amount":12.50`)
		s0.event(1, 102, `"city":"Pune","amount":-0.25`)
		s1.event(0, 103, `"city":null,"amount":null`)
		s1.event(1, 109.999999, `"city":"Delhi","amount":99999999999999999999999999999999999999999999999999999999999999.99`)
		m := b.metric(nil)
		h := b.hand(l, m)
		h.sync()
		w := b.window(m, 100)
		if got, want := describe(w), "open incomplete"; got != want {
			b.Errorf("window: got %q, want %q", got, want)
		}
		for g, want := range map[string]string{`["Pune"]`: "12.25", `[null]`: "null", `["Delhi"]`: "99999999999999999999999999999999999999999999999999999999999999.99"} {
			if got := w.Values[g]; got != want {
				b.Errorf("group %s: got %q, want %q", g, got, want)
			}
		}
		s0.beat(110)
		s1.beat(110)
		s1.event(1, 110, `"city":"Delhi","amount":0.01`)
		h.foldAll()
		h.flush()
		if got, want := describe(b.window(m, 100)), "closed complete"; got != want {
			b.Errorf("window after the watermark: got %q, want %q", got, want)
		}
		if got, want := describe(b.window(m, 110)), "open incomplete"; got != want {
			b.Errorf("next window: got %q, want %q", got, want)
		}
		checkExact(t, b.store, l, m)
	})
}

func TestMerge_RefusesTheSameBatchTwice(t *testing.T) {
	onBoth(t, func(b *bench) {
		l := newFakeLog(2)
		l.shard("00").event(0, 101, `"city":"Pune","amount":1`)
		m := b.metric(nil)
		h := b.hand(l, m)
		h.load()
		h.foldAll()
		if _, err := h.r.t.merge(context.Background(), h.r.fold.Cut(), nil); err != nil {
			b.Fatal(err)
		}
		_, err := h.r.t.merge(context.Background(), h.r.fold.Cut(), nil)
		if !errors.Is(err, errRefused) {
			b.Errorf("second merge: got %v, want %v", err, errRefused)
		}
		checkExact(t, b.store, l, m)
	})
}
