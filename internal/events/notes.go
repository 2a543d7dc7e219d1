package events

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"tailwater/binlog"
)

// beginning is where a reader begins.
type beginning struct {
	version, server, gtid, file string
	pos                         uint64
}

// readBeginning reads a position of the reader's.
func readBeginning(position []byte, version string) (beginning, error) {
	p, err := binlog.ParsePosition(position)
	if err != nil {
		return beginning{}, err
	}
	return beginning{version: version, server: p.ServerUUID, gtid: p.GTIDText(), file: p.File, pos: p.Pos}, nil
}

// notes is the reader's log: warnings and errors go to note.
type notes struct {
	note func(l slog.Level, text string)
}

var _ slog.Handler = notes{}

// Enabled takes warnings and errors.
func (n notes) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle tells a warning.
func (n notes) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "shard" && a.Key != "stack" {
			fmt.Fprintf(&b, ", %s %s", a.Key, a.Value)
		}
		return true
	})
	n.note(r.Level, b.String())
	return nil
}

// WithAttrs returns the same handler.
func (n notes) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup returns the same handler.
func (n notes) WithGroup(string) slog.Handler { return n }
