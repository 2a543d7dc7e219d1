package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/failpoint"
	"tailwater/windowing"
)

// totals are what a merge replies.
type totals struct {
	watermark, floor                int64
	closed, incomplete              int64
	late, dropped, below, overflows int64
	skipped, negatives              int64
	// groups of the last window touched; 0 when none was.
	groups int64
	// stale is up to where windows are stale, in microseconds, 0 when none is;
	// staleBy is why.
	stale   int64
	staleBy string
	// need are windows whose keys the script wanted and did not have: the next
	// merge must declare them, and is due at once.
	need []string
}

// merge sends one batch of deltas, with the keys of the windows that the last
// one asked for. An error wraps one of the sentinels when the script answered;
// otherwise it is unknown whether the batch is stored.
func (t *table) merge(ctx context.Context, d *windowing.Deltas, need []string) (totals, error) {
	names, args := t.batch(d, need)
	if err := failpoint.Err(failpoint.RedisScriptSending, io.EOF); err != nil {
		return totals{}, explain("merge deltas", err)
	}
	reply, err := t.s.run(ctx, flushScript, names, args)
	if err == nil {
		err = failpoint.Err(failpoint.RedisScriptSent, io.EOF)
	}
	if err != nil {
		return totals{}, explain("merge deltas", err)
	}
	if err := replyError(reply); err != nil {
		return totals{}, fmt.Errorf("merge deltas: %w", err)
	}
	return parseTotals(reply)
}

// batch builds the keys and arguments of the flush script. They are valid
// until the next call.
func (t *table) batch(d *windowing.Deltas, need []string) (names []string, args []any) {
	names = append(t.names[:0], t.keys.generations(), t.keys.state(), t.keys.windows(), t.keys.events())
	m := t.m
	args = append(t.args[:0],
		m.Generation(), string(t.role), m.Aggregate().Kind(),
		m.Aggregate().Scale(), t.size(), m.BucketMaxGroups(),
		m.Lateness.Microseconds(), m.WaitForShards.Microseconds(), m.Retain.Microseconds(),
		millis(t.windowTTL()), millis(t.stateTTL()), m.Partitions, t.shards(),
		d.Counts.Late, d.Counts.Dropped, d.Counts.Skipped, boolean(m.Rows == windowing.Latest), maxOpen(m), t.maxEvents(), boolean(t.b.wide()),
		d.Stale.Micros, d.Stale.By, d.Ahead, len(d.Steps))
	for i := range d.Steps {
		args = appendStep(args, &d.Steps[i])
	}
	at := len(args)
	args = append(args, 0)
	count := len(d.Windows)
	for i := range d.Windows {
		w := &d.Windows[i]
		start := itoa(w.Start)
		names = t.keys.window(names, start)
		args = append(args, start, len(w.Groups))
		for j := range w.Groups {
			g := &w.Groups[j]
			args = m.Aggregate().AppendDelta(append(args, g.Group, itoa(g.Cell.Images)), g)
		}
	}
	for _, start := range need {
		if !hasWindow(d, start) {
			names = t.keys.window(names, start)
			args = append(args, start, 0)
			count++
		}
	}
	args[at] = count
	t.names, t.args = names, args
	return names, args
}

// maxDated bounds the windows that are not yet closed of a metric whose rows
// say themselves when they are.
const maxDated = 20_000

// maxOpen is the most windows that a metric may hold open; 0 is no bound, where
// the watermark is the bound.
func maxOpen(m *windowing.Metric) int {
	if m.Time == windowing.CommitTime {
		return 0
	}
	return maxDated
}

// minEvents is how many events are kept at least.
const minEvents = 1_000

// maxEvents is about how many publications of windows are kept: two for each
// window.
func (t *table) maxEvents() int64 {
	return max(minEvents, 2*int64(t.m.Retain/t.m.Size))
}

func boolean(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func appendStep(args []any, s *windowing.Step) []any {
	args = append(args, int(s.Partition), positionText(s.From))
	if !s.Moved() {
		return append(args, "", "", "")
	}
	return append(args, positionText(s.To), marksText(s.To.Marks), boundsText(s.Watermarks))
}

func hasWindow(d *windowing.Deltas, start string) bool {
	for i := range d.Windows {
		if itoa(d.Windows[i].Start) == start {
			return true
		}
	}
	return false
}

func parseTotals(reply []string) (totals, error) {
	var t totals
	into := []*int64{&t.watermark, &t.floor, &t.closed, &t.incomplete, &t.late, &t.dropped, &t.below, &t.overflows, &t.skipped, &t.negatives, &t.groups, &t.stale}
	if len(reply) < 2+len(into) {
		return t, fmt.Errorf("merge deltas: reply has %d places, want %d", len(reply), 2+len(into))
	}
	for i, p := range into {
		n, err := strconv.ParseInt(reply[1+i], 10, 64)
		if err != nil {
			return t, fmt.Errorf("merge deltas: place %d of the reply is no number", 1+i)
		}
		*p = n
	}
	t.staleBy, t.need = reply[1+len(into)], reply[2+len(into):]
	return t, nil
}

// call runs a script whose reply is OK or an error.
func (t *table) call(ctx context.Context, verb string, sc *goredis.Script, names []string, args []any) error {
	reply, err := t.s.run(ctx, sc, names, args)
	if err != nil {
		return explain(verb, err)
	}
	if err := replyError(reply); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// errNeed means that a script saw windows whose keys it was not given.
var errNeed = errors.New("windows appeared in between")

// crossing moves the position of a partition, and gives up the windows below a
// floor. One that moves nothing only raises the floor.
type crossing struct {
	p        int32
	from, to windowing.Position
	floor    int64
	// shards is the stored list of shards.
	shards string
}

// gap makes a crossing if the store still holds its from.
func (t *table) gap(ctx context.Context, c crossing) error {
	starts, err := t.s.client.ZRange(ctx, t.keys.windows(), 0, -1).Result()
	if err != nil {
		return explain("list windows", err)
	}
	names := []string{t.keys.state(), t.keys.windows(), t.keys.events()}
	args := []any{
		string(t.role), t.maxEvents(), t.m.Generation(), t.size(), c.floor, millis(t.windowTTL()), millis(t.stateTTL()), t.m.Partitions, c.shards,
		int(c.p), positionText(c.from), positionText(c.to), 0,
	}
	at := len(args) - 1
	n := 0
	for _, start := range starts {
		if s, err := strconv.ParseInt(start, 10, 64); err != nil || s >= c.floor {
			continue
		}
		n++
		names = t.keys.window(names, start)
		args = append(args, start)
	}
	args[at] = n
	return t.retryNeed(ctx, "move position over a gap", gapScript, names, args)
}

// retryNeed is call for scripts that may ask for more keys; the caller tries again.
func (t *table) retryNeed(ctx context.Context, verb string, sc *goredis.Script, names []string, args []any) error {
	reply, err := t.s.run(ctx, sc, names, args)
	if err != nil {
		return explain(verb, err)
	}
	if reply[0] == "NEED" {
		return fmt.Errorf("%s: %w", verb, errNeed)
	}
	if err := replyError(reply); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// rebuild forgets everything of this generation. force does so without the
// marker of a script that ended while it wrote.
func (t *table) rebuild(ctx context.Context, force bool) error {
	starts, err := t.s.client.ZRange(ctx, t.keys.windows(), 0, -1).Result()
	if err != nil {
		return explain("list windows", err)
	}
	names := []string{t.keys.state(), t.keys.windows()}
	args := []any{0, len(starts)}
	if force {
		args[0] = 1
	}
	for _, start := range starts {
		names = t.keys.window(names, start)
		args = append(args, start)
	}
	return t.retryNeed(ctx, "rebuild metric", rebuildScript, names, args)
}
