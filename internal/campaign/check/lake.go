package check

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// lakeColumns are what is asked for in addition to the metadata.
const (
	ledgerColumns = "n, cents, digest, kind, CAST(epoch_us(\"at\") AS VARCHAR)"
	tableColumns  = "n, ver, tag, COALESCE(sha256(body), ''), ''"
)

// Done counts the rows of a view that the lake below dir has committed.
type Done struct {
	Dir, View string
	rows      int64
	counted   map[string]bool
}

// Rows looks for what was committed since the last time.
func (d *Done) Rows() (int64, error) {
	if d.counted == nil {
		d.counted = map[string]bool{}
	}
	err := filepath.WalkDir(filepath.Join(d.Dir, "_tailwater", d.View), func(path string, e os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".done") || d.counted[path] {
			return err
		}
		var batch struct {
			Files []struct {
				Rows int64 `json:"rows"`
			} `json:"files"`
		}
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &batch)
		}
		if err != nil {
			return nil // it is being written
		}
		d.counted[path] = true
		for _, f := range batch.Files {
			d.rows += f.Rows
		}
		return nil
	})
	return d.rows, err
}

// ReadLake reads the Parquet files below dir, a lake's local directory, with
// DuckDB, the program of that path. A table without a file has no rows.
func ReadLake(ctx context.Context, duckdb, dir string) ([]Event, error) {
	var out []Event
	r := &reader{texts: map[string]string{}}
	for _, view := range append([]string{Ledger}, Tables...) {
		if _, err := os.Stat(filepath.Join(dir, view)); errors.Is(err, os.ErrNotExist) {
			continue
		}
		events, err := r.readParquet(ctx, duckdb, dir, view)
		if err != nil {
			return nil, fmt.Errorf("read the lake's table %s: %w", view, err)
		}
		out = append(out, events...)
	}
	return out, nil
}

func (r *reader) readParquet(ctx context.Context, duckdb, dir, view string) ([]Event, error) {
	temp, err := os.MkdirTemp("", "lake-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	columns := tableColumns
	if view == Ledger {
		columns = ledgerColumns
	}
	file := filepath.Join(temp, "rows.csv")
	statement := fmt.Sprintf(`SET memory_limit = '1GB'; SET threads = 2;
COPY (SELECT _shard, _gtid, _lsn, CAST(epoch_us(_ts_us) AS VARCHAR), _op, lane, id, %s
	FROM read_parquet('%s/**/*.parquet', union_by_name = true, hive_partitioning = true)) TO '%s' (FORMAT csv, HEADER false)`,
		columns, filepath.Join(dir, view), file)
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, duckdb, "-c", statement)
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run DuckDB: %w: %s", err, strings.TrimSpace(said.String()))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return r.parseRows(csv.NewReader(f), view)
}

func (r *reader) parseRows(in *csv.Reader, view string) ([]Event, error) {
	var out []Event
	in.ReuseRecord = true
	for {
		row, err := in.Read()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		e, err := r.parseRow(row, view)
		if err != nil {
			return nil, fmt.Errorf("row %d, %q: %w", len(out), row, err)
		}
		out = append(out, e)
	}
}

func (r *reader) parseRow(row []string, view string) (Event, error) {
	if len(row) != 12 {
		return Event{}, fmt.Errorf("%d columns, want 12", len(row))
	}
	var first error
	number := func(i int) int64 {
		n, err := strconv.ParseInt(row[i], 10, 64)
		first = errors.Join(first, err)
		return n
	}
	e := Event{Table: view, Shard: r.intern(row[0]), Txn: r.intern(row[1]), TS: number(3), Op: r.intern(row[4])}
	if n, err := hex.Decode(e.LSN[:], []byte(row[2])); err != nil || n != len(e.LSN) {
		return e, fmt.Errorf("_lsn is %q", row[2])
	}
	if view == Ledger {
		e.Entry = &Entry{e.Shard, number(5), number(6), number(7), strings.Clone(row[9]), r.intern(row[10]), number(8), number(11)}
	} else {
		e.Row = Row{Lane: number(5), ID: number(6), N: number(7), Ver: number(8), Tag: r.intern(row[9]), Body: strings.Clone(row[10])}
	}
	return e, first
}

// Lake holds the rows of the Parquet files against the events of the stream.
func Lake(events, rows []Event) Findings {
	var found Findings
	type id struct {
		table, shard string
		lsn          LSN
	}
	want := make(map[id]*Event, len(events))
	for i := range events {
		e := &events[i]
		want[id{e.Table, e.Shard, e.LSN}] = e
	}
	seen := make(map[id]bool, len(rows))
	for i := range rows {
		got := &rows[i]
		k := id{got.Table, got.Shard, got.LSN}
		found.Looked++
		w := want[k]
		switch {
		case seen[k]:
			found.add("lake", "table %s, shard %s, lsn %x stands twice", k.table, k.shard, k.lsn)
		case w == nil:
			found.add("lake", "table %s, shard %s, lsn %x is in the lake and not in the stream", k.table, k.shard, k.lsn)
		case got.Op != w.Op || got.Txn != w.Txn || got.TS != w.TS || got.Row != w.Row || (got.Entry == nil) != (w.Entry == nil) || got.Entry != nil && *got.Entry != *w.Entry:
			found.add("lake", "table %s, shard %s, lsn %x: the lake has %s %+v, the stream %s %+v", k.table, k.shard, k.lsn, got.Op, got.Row, w.Op, w.Row)
		}
		seen[k] = true
	}
	for k := range want {
		if !seen[k] {
			found.add("lake", "table %s, shard %s, lsn %x is in the stream and not in the lake", k.table, k.shard, k.lsn)
		}
	}
	return found
}
