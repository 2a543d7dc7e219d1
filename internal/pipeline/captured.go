package pipeline

import (
	"context"
	"fmt"
	"slices"

	"tailwater/change"
	"tailwater/internal/config"
	"tailwater/internal/status"
	"tailwater/internal/view"
)

// SchemaReader is the part of a stream that knows what is captured.
type SchemaReader interface {
	// Schemas returns every stored schema of a view by fingerprint.
	Schemas(ctx context.Context, view string) (map[string]change.Schema, error)
}

// Captured is what a stream has of the sources that capture their tables.
type Captured struct {
	// Views are the names of the captured views, sorted. The topic of the last
	// ones may not be there yet.
	Views []string
	// Notices are the tables of which a person must know something.
	Notices []status.TableNotice
}

// CapturedViews asks a stream what is captured of a configuration's sources. It
// changes nothing.
func CapturedViews(ctx context.Context, l SchemaReader, cfg *config.Resolved) (*Captured, error) {
	out := &Captured{}
	for i := range cfg.Sources {
		src := &cfg.Sources[i]
		if src.Capture == nil {
			continue
		}
		rule, err := view.NewCapture(src.Capture.Include, src.Capture.Exclude)
		if err != nil {
			return nil, err
		}
		records, err := tableRecords(ctx, l, src.Name, rule)
		if err != nil {
			return nil, fmt.Errorf("captured tables of source %s: %w", src.Name, err)
		}
		for _, r := range records {
			out.Views = append(out.Views, r.Columns[0].Name)
		}
		var m notices
		if err := m.load(ctx, l, src.Name); err != nil {
			return nil, fmt.Errorf("captured tables of source %s: %w", src.Name, err)
		}
		out.Notices = append(out.Notices, m.list()...)
	}
	slices.Sort(out.Views)
	out.Views = slices.Compact(out.Views)
	return out, nil
}
