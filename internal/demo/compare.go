package demo

import (
	"context"
	"fmt"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/objstore"
	"tailwater/sinks/parquet"
	"tailwater/stream/codec"
)

// maxDifferences bounds how many mismatches are described.
const maxDifferences = 20

// compare holds Redis and the lake against the books.
func (d *demo) compare(ctx context.Context, r *Result) error {
	if err := d.compareWindows(ctx, r); err != nil {
		return err
	}
	return d.compareLake(ctx, r)
}

// differ counts one mismatch.
func (r *Result) differ(format string, args ...any) {
	r.Mismatches++
	if len(r.Differences) < maxDifferences {
		r.Differences = append(r.Differences, fmt.Sprintf(format, args...))
	}
}

// compareWindows reads every window of every metric.
func (d *demo) compareWindows(ctx context.Context, r *Result) error {
	for _, name := range []string{metricChanges, metricGMV} {
		want := make(map[int64]map[string]string)
		for _, v := range d.ledger.Windows(name) {
			if want[v.Start] == nil {
				want[v.Start] = make(map[string]string)
			}
			text := fmt.Sprint(v.Count)
			if name == metricGMV {
				text = v.Sum
			}
			want[v.Start][groupJSON(v.Group)] = text
		}
		infos, err := d.pipeline.Store().Windows(ctx, name, 0)
		if err != nil {
			return fmt.Errorf("read the windows of %s back: %w", name, err)
		}
		for _, info := range infos {
			start := info.Start.UnixMicro()
			if want[start] == nil {
				r.differ("metric %s has a window at %s that no row belongs to", name, at(start))
				continue
			}
			w, err := d.pipeline.Store().Window(ctx, name, info.Start)
			if err != nil {
				return fmt.Errorf("read the window of %s at %s back: %w", name, at(start), err)
			}
			r.compareGroups(name, start, want[start], w.Values)
			delete(want, start)
		}
		for start, groups := range want {
			r.compareGroups(name, start, groups, nil)
		}
	}
	return nil
}

// compareGroups compares the groups of one window.
func (r *Result) compareGroups(name string, start int64, want, got map[string]string) {
	for group, value := range want {
		r.WindowValues++
		if got[group] != value {
			r.differ("metric %s, window %s, group %s: Redis has %q, the books %q", name, at(start), group, got[group], value)
		}
	}
	for group, value := range got {
		if _, ok := want[group]; !ok {
			r.differ("metric %s, window %s, group %s: Redis has %q, the books have no such group", name, at(start), group, value)
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
			out = codec.AppendQuote(out, fmt.Append(nil, v))
		}
	}
	return string(append(out, ']'))
}

// lakeBook is what the lake holds of one kind of event.
type lakeBook map[shop.Total]int64

// compareLake reads every row of every committed file.
func (d *demo) compareLake(ctx context.Context, r *Result) error {
	store, err := objstore.OpenDir(d.dir + "/lake")
	if err != nil {
		return err
	}
	have := make(lakeBook)
	for _, view := range []string{"orders", "customers"} {
		if err := r.readView(ctx, store, view, have); err != nil {
			return err
		}
	}
	for k, n := range d.ledger.Totals() {
		if have[k] != n {
			r.differ("lake: shard %s, table %s, op %c: %d rows, the books have %d", k.Shard, k.Table, k.Op, have[k], n)
		}
		delete(have, k)
	}
	for k, n := range have {
		r.differ("lake: shard %s, table %s, op %c: %d rows, the books have none", k.Shard, k.Table, k.Op, n)
	}
	return nil
}

// readView counts the rows of one view, and the events that stand twice.
func (r *Result) readView(ctx context.Context, store objstore.Store, view string, have lakeBook) error {
	seen := make(map[string]bool)
	for b, err := range parquet.Committed(ctx, store, view, parquet.DefaultLayout) {
		if err != nil {
			r.differ("lake: %v", err)
			return nil
		}
		for _, f := range b.Done.Files {
			err := parquet.ReadFile(ctx, store, f, func(row *parquet.FileRow) error {
				shard, _ := row.Text("_shard")
				table, _ := row.Text("_table")
				op, _ := row.Text("_op")
				lsn, _ := row.Text("_lsn")
				if len(op) != 1 || lsn == "" {
					return fmt.Errorf("a row without _op or _lsn")
				}
				if seen[shard+lsn] {
					r.DuplicatesApplied++
					r.differ("lake: view %s, shard %s, lsn %s stands twice", view, shard, lsn)
				}
				seen[shard+lsn] = true
				have[shop.Total{Shard: shard, Table: table, Op: op[0]}]++
				r.LakeRows++
				return nil
			})
			if err != nil {
				r.differ("lake: %v", err)
			}
		}
	}
	return nil
}
