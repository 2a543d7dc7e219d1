package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailwater/change"
	"tailwater/stream"
)

// deafLog is a stream.Log that cannot be asked for schemas while it is away,
// and has none else.
type deafLog struct {
	stream.Log
	away atomic.Bool
}

func (l *deafLog) Schemas(context.Context, string) (map[string]change.Schema, error) {
	if l.away.Load() {
		return nil, errors.New("read schemas of view orders at b:9092: no broker")
	}
	return map[string]change.Schema{"p": {View: "orders", Columns: []change.Column{{Name: "id"}}}}, nil
}

func TestViewWindows_ThatDoNotMoveSayItOnceOverAllShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l := &deafLog{}
		l.away.Store(true)
		v := &viewWindows{log: l, view: "orders", logger: slog.New(slog.NewTextHandler(&out, nil))}
		for range 3 { // the group is lost and joined again
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			if err := v.work(ctx, nil); err != nil {
				t.Errorf("work = %v, want nil at its end", err)
			}
			cancel()
		}
		if got := out.String(); strings.Count(got, "metrics do not move") != 1 || strings.Count(got, "read schemas of view orders") != 1 {
			t.Errorf("log =\n%swant one line, and in it once what fails", got)
		}
		l.away.Store(false)
		v.notice("").Moves(0)
		if got := out.String(); strings.Count(got, "metrics move again") != 1 {
			t.Errorf("log =\n%swant one line about its end", got)
		}
	})
}

func TestKeepSharing_SaysOnceThatItIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_ = keepSharing(ctx, slog.New(slog.NewTextHandler(&out, nil)), "tw.quiet.windows.orders", func() error { return errors.New("no broker") })
		if got := strings.Count(out.String(), "not shared"); got != 1 {
			t.Errorf("said %d times in half a minute, want once:\n%s", got, out.String())
		}
	})
}
