package events

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// beginning is where a reader has begun, as its log says it.
type beginning struct {
	version, server, gtid, file string
	pos                         uint64
}

// notes is the reader's log: warnings go to note, and began is called where the
// reader begins, on its goroutine and before the handler. A position reaches a
// Handler with the first transaction or the first silence only, and the
// beginning is needed before both.
type notes struct {
	note  func(string)
	began func(beginning)
}

var _ slog.Handler = notes{}

// Enabled takes everything from Info on.
func (n notes) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle keeps the beginning and tells warnings.
func (n notes) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		var b strings.Builder
		b.WriteString(r.Message)
		r.Attrs(func(a slog.Attr) bool {
			if a.Key != "shard" && a.Key != "stack" {
				fmt.Fprintf(&b, ", %s %s", a.Key, a.Value)
			}
			return true
		})
		n.note(b.String())
		return nil
	}
	if r.Message != "following" {
		return nil
	}
	var at beginning
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "version":
			at.version = a.Value.String()
		case "server_uuid":
			at.server = a.Value.String()
		case "gtid":
			at.gtid = a.Value.String()
		case "file":
			at.file = a.Value.String()
		case "pos":
			at.pos = a.Value.Uint64()
		}
		return true
	})
	n.began(at)
	return nil
}

// WithAttrs returns the same handler.
func (n notes) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup returns the same handler.
func (n notes) WithGroup(string) slog.Handler { return n }
