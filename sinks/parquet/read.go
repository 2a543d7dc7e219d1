package parquet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"tailwater/internal/objstore"
)

// Batch is a committed batch of a lake: what was promised and what was done.
type Batch struct {
	Manifest *Manifest
	Done     *Done
}

// Committed yields every committed batch of a view and layout, of every
// incarnation and partition, in the order of the chains. A chain that does not
// hang together is an error.
func Committed(ctx context.Context, s objstore.Store, view, layout string) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		l := listing{store: s, done: make(map[string]bool), low: make(map[string]int64)}
		if err := l.read(ctx, "_tailwater/"+view+"/"+layout+"/"); err != nil {
			yield(Batch{}, fmt.Errorf("list the chains of view %s: %w", view, err))
			return
		}
		l.yield(ctx, yield)
	}
}

// listing is what stands below the folder of a layout.
type listing struct {
	store     objstore.Store
	manifests []chainKey
	done      map[string]bool
	// low is where the chains begin that have a low mark.
	low map[string]int64
}

// chainKey is a manifest's place.
type chainKey struct {
	dir   string
	first int64
}

func (l *listing) read(ctx context.Context, root string) error {
	for info, err := range l.store.List(ctx, root) {
		if err != nil {
			return err
		}
		dir := info.Key[:strings.LastIndexByte(info.Key, '/')+1]
		if info.Key == lowKey(dir) {
			c := chain{store: l.store, prefix: dir}
			if err := c.loadLow(ctx); err != nil {
				return err
			}
			l.low[dir] = c.low
			continue
		}
		first, isDone, ok := parseManifestKey(dir, info.Key)
		switch {
		case ok && isDone:
			l.done[manifestKey(dir, first)] = true
		case ok:
			l.manifests = append(l.manifests, chainKey{dir, first})
		}
	}
	return nil
}

// yield reads the manifests that are done. A manifest at a chain's end that is
// not is a batch in progress; a .done without its manifest is damage. What
// lies below a low mark is void.
func (l *listing) yield(ctx context.Context, yield func(Batch, error) bool) {
	if err := l.orphan(); err != nil {
		yield(Batch{}, err)
		return
	}
	dir, next := "", int64(0)
	for i, k := range l.manifests {
		if k.dir != dir {
			dir, next = k.dir, l.low[k.dir]
		}
		isDone := l.done[manifestKey(k.dir, k.first)]
		last := i == len(l.manifests)-1 || l.manifests[i+1].dir != dir
		// A listing is not of one moment: a batch may have been finished, and
		// the next one too, while it was made.
		if k.first < l.low[dir] || !isDone && last {
			continue
		}
		b, err := readBatch(ctx, l.store, k.dir, k.first)
		if err == nil && k.first != next {
			err = fmt.Errorf("lake chain %s: a batch ends at offset %d and the next begins at %d", dir, next, k.first)
		}
		if !yield(b, err) || err != nil {
			return
		}
		next = b.Manifest.Last
	}
}

// orphan returns an error when a .done above the low mark has no manifest.
func (l *listing) orphan() error {
	there := make(map[string]bool, len(l.manifests))
	for _, k := range l.manifests {
		there[manifestKey(k.dir, k.first)] = true
	}
	for _, key := range slices.Sorted(maps.Keys(l.done)) {
		dir := key[:strings.LastIndexByte(key, '/')+1]
		first, _, _ := parseManifestKey(dir, key)
		if !there[key] && first >= l.low[dir] {
			return fmt.Errorf("lake manifest %s is missing: its batch was committed", key)
		}
	}
	return nil
}

func readBatch(ctx context.Context, s objstore.Store, dir string, first int64) (Batch, error) {
	b := Batch{Done: new(Done)}
	if err := getJSON(ctx, s, doneKey(dir, first), b.Done); err != nil {
		return Batch{}, err
	}
	m, err := (&chain{store: s, prefix: dir}).manifest(ctx, first)
	if err == nil && len(m.Files) != len(b.Done.Files) {
		err = fmt.Errorf("read %s: it has %d files, its manifest promised %d", doneKey(dir, first), len(b.Done.Files), len(m.Files))
	}
	b.Manifest = m
	return b, err
}

// FileRow is one row of a file. Values are text: integers and decimals as
// written in SQL, dates as YYYY-MM-DD, times as microseconds since the Unix
// epoch, bytes as they are.
type FileRow struct {
	columns map[string]int
	values  []string
	null    []bool
}

// Text returns the value of a column, and false when it is NULL or the file
// has no such column.
func (r *FileRow) Text(column string) (string, bool) {
	i, ok := r.columns[column]
	if !ok || r.null[i] {
		return "", false
	}
	return r.values[i], true
}

// ReadFile checks a committed file against its .done (bytes, SHA-256, rows)
// and calls f for each row. The row is valid until f returns.
func ReadFile(ctx context.Context, s objstore.Store, d DoneFile, f func(*FileRow) error) error {
	body, err := readObject(ctx, s, d)
	if err != nil {
		return err
	}
	file, err := openFile(body)
	if err != nil {
		return fmt.Errorf("lake file %s: %w", d.Key, err)
	}
	if file.NumRows() != d.Rows {
		return fmt.Errorf("lake file %s: %d rows, its batch promised %d", d.Key, file.NumRows(), d.Rows)
	}
	if err := readRows(file, f); err != nil {
		return fmt.Errorf("lake file %s: %w", d.Key, err)
	}
	return nil
}

// readRows calls f for each row of a file. What the library makes of damage,
// panics included, is an error; a panic of f stays one.
func readRows(file *pq.File, f func(*FileRow) error) (err error) {
	calling := false
	defer func() {
		if calling {
			return
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	r := newRowReader(file)
	for _, g := range file.RowGroups() {
		err := r.group(g, func(row *FileRow) error {
			calling = true
			err := f(row)
			calling = false
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openFile reads the footer of a Parquet file. The library trusts what it
// reads, so that a damaged file may make it panic.
func openFile(body []byte) (f *pq.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("not Parquet: %v", r)
		}
	}()
	if f, err = pq.OpenFile(bytes.NewReader(body), int64(len(body))); err != nil {
		return nil, fmt.Errorf("not Parquet: %w", err)
	}
	return f, nil
}

func readObject(ctx context.Context, s objstore.Store, d DoneFile) ([]byte, error) {
	r, _, err := s.Get(ctx, d.Key)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, fmt.Errorf("lake file %s is missing: its batch was committed with it", d.Key)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read lake file %s: %w", d.Key, err)
	}
	sum := sha256.Sum256(body)
	if int64(len(body)) != d.Bytes || hex.EncodeToString(sum[:]) != d.SHA256 {
		return nil, fmt.Errorf("lake file %s: %d bytes with another SHA-256 than the %d bytes that were committed", d.Key, len(body), d.Bytes)
	}
	return body, nil
}

// rowReader turns Parquet rows into FileRows.
type rowReader struct {
	row  FileRow
	text []func(pq.Value) string
}

func newRowReader(f *pq.File) *rowReader {
	fields := f.Schema().Fields()
	r := &rowReader{row: FileRow{columns: make(map[string]int), values: make([]string, len(fields)), null: make([]bool, len(fields))}}
	for i, c := range fields {
		r.row.columns[c.Name()] = i
		r.text = append(r.text, textOf(c))
	}
	return r
}

func textOf(c pq.Field) func(pq.Value) string {
	if lt := c.Type().LogicalType(); lt != nil {
		switch t := lt.Value.(type) {
		case *format.DecimalType:
			scale := int(t.Scale)
			return func(v pq.Value) string { return decimalText(v, scale) }
		case *format.DateType:
			return func(v pq.Value) string { return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly) }
		}
	}
	switch c.Type().Kind() {
	case pq.Boolean:
		return func(v pq.Value) string { return strconv.FormatBool(v.Boolean()) }
	case pq.Int32:
		return func(v pq.Value) string { return strconv.FormatInt(int64(v.Int32()), 10) }
	case pq.Int64:
		return func(v pq.Value) string { return strconv.FormatInt(v.Int64(), 10) }
	case pq.Float:
		return func(v pq.Value) string { return strconv.FormatFloat(float64(v.Float()), 'g', -1, 32) }
	case pq.Double:
		return func(v pq.Value) string { return strconv.FormatFloat(v.Double(), 'g', -1, 64) }
	}
	return func(v pq.Value) string { return string(v.ByteArray()) }
}

// decimalText writes an unscaled integer with its point.
func decimalText(v pq.Value, scale int) string {
	n := new(big.Int)
	switch v.Kind() {
	case pq.Int32:
		n.SetInt64(int64(v.Int32()))
	case pq.Int64:
		n.SetInt64(v.Int64())
	default:
		b := v.ByteArray()
		n.SetBytes(b)
		if len(b) > 0 && b[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
		n.Neg(n)
	}
	digits := n.String()
	if scale == 0 {
		return sign + digits
	}
	if pad := scale + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

func (r *rowReader) group(g pq.RowGroup, f func(*FileRow) error) error {
	rows := g.Rows()
	defer rows.Close()
	buf := make([]pq.Row, 256)
	left := g.NumRows()
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			for _, v := range row {
				i := v.Column()
				if r.row.null[i] = v.IsNull(); !r.row.null[i] {
					r.row.values[i] = r.text[i](v)
				}
			}
			if err := f(&r.row); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		if left -= int64(n); n == 0 || left < 0 {
			return fmt.Errorf("damaged: its pages do not have the %d rows of its footer", g.NumRows())
		}
	}
}
