package verify

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	// settleWindows is how many windows are read between two looks at the
	// positions at the most.
	settleWindows = 64
	// settleTries bounds how often windows are read again that a merge came
	// between.
	settleTries = 200
)

// settle compares windows of f's one metric that later rows may change while
// they are looked at. The positions of the metric are read before and after the
// windows: when they are the same, the windows are the fold up to exactly these,
// and the fold is taken there. A busy stream never has to stand still for that.
func (w *windows) settle(ctx context.Context, f *folding, starts []string, c *windowCount) error {
	m, size := f.metrics[0], settleWindows
	for try := 0; len(starts) > 0; {
		part := starts[:min(size, len(starts))]
		at, found, err := w.still(ctx, f, part)
		if err != nil {
			return err
		}
		if at == nil {
			if try++; try == settleTries {
				w.v.findings.note("metric %s: %d windows were not compared: they changed faster than they could be read", m.Name, len(starts))
				c.skipped += int64(len(starts))
				return nil
			}
			size = max(1, size/2)
			if !pause(ctx, 5*time.Millisecond) {
				return context.Cause(ctx)
			}
			continue
		}
		if err := f.read(ctx, at); err != nil {
			return err
		}
		floor, err := w.floor(ctx, m)
		if err != nil {
			return err
		}
		for i, text := range part {
			seconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return fmt.Errorf("window %q of metric %s: %w", text, m.Name, err)
			}
			if seconds < floor {
				c.skipped++ // removed while it was looked at
				continue
			}
			c.compare(m, seconds*1e6, found[i])
		}
		starts = starts[len(part):]
	}
	return nil
}

// still reads windows and the positions that they stand at. The positions are
// nil when the windows changed while they were read, or when the metric has
// lost what it had and is being folded again.
func (w *windows) still(ctx context.Context, f *folding, starts []string) (at []int64, found []window, err error) {
	m := f.metrics[0]
	before, err := w.positions(ctx, m, f.topic)
	if err != nil {
		return nil, nil, &UnreachableError{"the window store cannot be read", err}
	}
	for _, start := range starts {
		one, err := w.read(ctx, m, start)
		if err != nil {
			return nil, nil, &UnreachableError{"the window store cannot be read", err}
		}
		found = append(found, one)
	}
	after, err := w.positions(ctx, m, f.topic)
	if err != nil {
		return nil, nil, &UnreachableError{"the window store cannot be read", err}
	}
	if before == nil || !slices.Equal(before, after) {
		return nil, nil, nil
	}
	for p := range before {
		if before[p] < f.at[p] {
			return nil, nil, nil
		}
	}
	return before, found, nil
}
