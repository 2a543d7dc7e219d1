package standstill

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestNotice_SaysOnceThatItStandsAndOnceThatItMoves(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	n := New(Options{
		Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
		Level: slog.LevelWarn, Stops: "it stands", Moves: "it moves", Args: []any{"thing", "a"}, Now: func() time.Time { return now },
	})
	down := errors.New("down")
	n.Moves(0) // nothing stood
	for range 61 {
		n.Stands(0, down)
		n.Stands(1, down)
		now = now.Add(time.Second)
	}
	n.Moves(0)
	n.Moves(0)
	n.Moves(1)
	n.Stands(0, down)
	want := `level=WARN msg="it stands" thing=a error=down
level=WARN msg="it stands" thing=a error=down for=1m0s
level=INFO msg="it moves" thing=a stood=1m1s
level=WARN msg="it stands" thing=a error=down
`
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
