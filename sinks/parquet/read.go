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
	"math/big"
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
		done := make(map[string]bool)
		var manifests []chainKey
		for info, err := range s.List(ctx, "_tailwater/"+view+"/"+layout+"/") {
			if err != nil {
				yield(Batch{}, fmt.Errorf("list the chains of view %s: %w", view, err))
				return
			}
			dir := info.Key[:strings.LastIndexByte(info.Key, '/')+1]
			first, isDone, ok := parseManifestKey(dir, info.Key)
			switch {
			case ok && isDone:
				done[manifestKey(dir, first)] = true
			case ok:
				manifests = append(manifests, chainKey{dir, first})
			}
		}
		yieldChains(ctx, s, manifests, done, yield)
	}
}

// chainKey is a manifest's place.
type chainKey struct {
	dir   string
	first int64
}

// yieldChains reads the manifests that are done. A manifest that is not is a
// batch in progress; a .done without its manifest is damage.
func yieldChains(ctx context.Context, s objstore.Store, manifests []chainKey, done map[string]bool, yield func(Batch, error) bool) {
	dir, next := "", int64(-1)
	for _, k := range manifests {
		if k.dir != dir {
			dir, next = k.dir, -1
		}
		if !done[manifestKey(k.dir, k.first)] {
			continue
		}
		delete(done, manifestKey(k.dir, k.first))
		b, err := readBatch(ctx, s, k.dir, k.first)
		if err == nil && next >= 0 && k.first != next {
			err = fmt.Errorf("lake chain %s: a batch ends at offset %d and the next begins at %d", dir, next, k.first)
		}
		if !yield(b, err) || err != nil {
			return
		}
		next = b.Manifest.Last
	}
	for key := range done {
		yield(Batch{}, fmt.Errorf("lake manifest %s is missing: its batch was committed", key))
		return
	}
}

func readBatch(ctx context.Context, s objstore.Store, dir string, first int64) (Batch, error) {
	b := Batch{Manifest: new(Manifest), Done: new(Done)}
	if err := getJSON(ctx, s, doneKey(dir, first), b.Done); err != nil {
		return Batch{}, err
	}
	return b, getJSON(ctx, s, manifestKey(dir, first), b.Manifest)
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
	file, err := pq.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return fmt.Errorf("lake file %s: not Parquet: %w", d.Key, err)
	}
	if file.NumRows() != d.Rows {
		return fmt.Errorf("lake file %s: %d rows, its batch promised %d", d.Key, file.NumRows(), d.Rows)
	}
	r := newRowReader(file)
	for _, g := range file.RowGroups() {
		if err := r.group(g, f); err != nil {
			return fmt.Errorf("lake file %s: %w", d.Key, err)
		}
	}
	return nil
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
	}
}
