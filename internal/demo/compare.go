package demo

import (
	"context"
	"fmt"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/jsontext"
	"tailwater/internal/objstore"
	"tailwater/sinks/parquet"
	"tailwater/sinks/redis"
)

// maxDifferences bounds how many mismatches are described.
const maxDifferences = 20

// Books are what came out, and the ledger that says what must have.
type Books struct {
	Ledger *shop.Ledger
	// Store is where the windows of the demo's metrics are read.
	Store *redis.Store
	// Lake is the lake's directory.
	Lake string
}

// Comparison is what comparing the books has found.
type Comparison struct {
	LakeRows int64 `json:"lake_rows"`
	// WindowValues is how many values in Redis were compared.
	WindowValues int `json:"window_values"`
	Mismatches   int `json:"mismatches"`
	// DuplicatesApplied counts events that stand twice in the lake.
	DuplicatesApplied int64 `json:"duplicates_applied"`
	// Differences describes the first mismatches, at most maxDifferences.
	Differences []string `json:"differences,omitempty"`
}

// Compare holds every window and every committed file against the ledger. An
// error means that it could not be compared.
func (b *Books) Compare(ctx context.Context) (*Comparison, error) {
	c := new(Comparison)
	if err := b.compareWindows(ctx, c); err != nil {
		return nil, err
	}
	return c, b.compareLake(ctx, c)
}

// differ counts one mismatch.
func (c *Comparison) differ(format string, args ...any) {
	c.Mismatches++
	if len(c.Differences) < maxDifferences {
		c.Differences = append(c.Differences, fmt.Sprintf(format, args...))
	}
}

// compareWindows reads every window of every metric.
func (b *Books) compareWindows(ctx context.Context, c *Comparison) error {
	for _, name := range []string{metricChanges, metricGMV} {
		want := b.windowsOf(name)
		infos, err := b.Store.Windows(ctx, name, 0)
		if err != nil {
			return fmt.Errorf("read the windows of %s back: %w", name, err)
		}
		for _, info := range infos {
			start := info.Start.UnixMicro()
			if want[start] == nil {
				c.differ("metric %s has a window at %s that no row belongs to", name, at(start))
				continue
			}
			w, err := b.Store.Window(ctx, name, info.Start)
			if err != nil {
				return fmt.Errorf("read the window of %s at %s back: %w", name, at(start), err)
			}
			c.compareGroups(name, start, want[start], w.Values)
			delete(want, start)
		}
		for start, groups := range want {
			c.compareGroups(name, start, groups, nil)
		}
	}
	return nil
}

// windowsOf returns what the ledger has of a metric: window, group, value.
func (b *Books) windowsOf(name string) map[int64]map[string]string {
	want := make(map[int64]map[string]string)
	for _, v := range b.Ledger.Windows(name) {
		if want[v.Start] == nil {
			want[v.Start] = make(map[string]string)
		}
		text := fmt.Sprint(v.Count)
		if name == metricGMV {
			text = v.Sum
		}
		want[v.Start][groupJSON(v.Group)] = text
	}
	return want
}

// compareGroups compares the groups of one window.
func (c *Comparison) compareGroups(name string, start int64, want, got map[string]string) {
	for group, value := range want {
		c.WindowValues++
		if got[group] != value {
			c.differ("metric %s, window %s, group %s: Redis has %q, the books %q", name, at(start), group, got[group], value)
		}
	}
	for group, value := range got {
		if _, ok := want[group]; !ok {
			c.differ("metric %s, window %s, group %s: Redis has %q, the books have no such group", name, at(start), group, value)
		}
	}
}

func at(micros int64) string { return time.UnixMicro(micros).UTC().Format(time.RFC3339) }

// groupJSON writes a group as Redis fields are written.
func groupJSON(group []any) string {
	out := []byte{'['}
	for i, v := range group {
		if i > 0 {
			out = append(out, ',')
		}
		if v == nil {
			out = append(out, "null"...)
		} else {
			out = jsontext.AppendQuoted(out, fmt.Append(nil, v))
		}
	}
	return string(append(out, ']'))
}

// lakeBook is what the lake holds of one kind of event.
type lakeBook map[shop.Total]int64

// compareLake reads every row of every committed file.
func (b *Books) compareLake(ctx context.Context, c *Comparison) error {
	store, err := objstore.OpenDir(b.Lake)
	if err != nil {
		return err
	}
	have := make(lakeBook)
	for _, view := range []string{"orders", "customers"} {
		if err := c.readView(ctx, store, view, have); err != nil {
			return err
		}
	}
	for k, n := range b.Ledger.Totals() {
		if have[k] != n {
			c.differ("lake: shard %s, table %s, op %c: %d rows, the books have %d", k.Shard, k.Table, k.Op, have[k], n)
		}
		delete(have, k)
	}
	for k, n := range have {
		c.differ("lake: shard %s, table %s, op %c: %d rows, the books have none", k.Shard, k.Table, k.Op, n)
	}
	return nil
}

// readView counts the rows of one view, and the events that stand twice.
func (c *Comparison) readView(ctx context.Context, store objstore.Store, view string, have lakeBook) error {
	seen := make(map[string]bool)
	for batch, err := range parquet.Committed(ctx, store, view, parquet.DefaultLayout) {
		if err != nil {
			c.differ("lake: %v", err)
			return nil
		}
		for _, f := range batch.Done.Files {
			err := parquet.ReadFile(ctx, store, f, func(row *parquet.FileRow) error {
				shard, _ := row.Text("_shard")
				table, _ := row.Text("_table")
				op, _ := row.Text("_op")
				lsn, _ := row.Text("_lsn")
				if len(op) != 1 || lsn == "" {
					return fmt.Errorf("a row without _op or _lsn")
				}
				if seen[shard+lsn] {
					c.DuplicatesApplied++
					c.differ("lake: view %s, shard %s, lsn %s stands twice", view, shard, lsn)
				}
				seen[shard+lsn] = true
				have[shop.Total{Shard: shard, Table: table, Op: op[0]}]++
				c.LakeRows++
				return nil
			})
			if err != nil {
				c.differ("lake: %v", err)
			}
		}
	}
	return nil
}
