package parquet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/stream"
)

// BehindError says that a chain and its log do not fit together: rows that the
// lake still needs are gone, or the log ends below what the lake has. The
// chain stops; nothing is skipped.
type BehindError struct {
	Chain   string
	Problem string
}

// Error names the chain, the problem and the choices.
func (e *BehindError) Error() string {
	return fmt.Sprintf("lake chain %s: %s; bring the stream back from a backup, or move the chain's folder away to start a new one from what the stream still has",
		e.Chain, e.Problem)
}

// chain is the chain of manifests of one partition of one layout.
type chain struct {
	store  objstore.Store
	prefix string
	// low is where the chain begins.
	low int64
	// next is where the next batch begins, marks are the marks there.
	next  int64
	marks stream.Marks
	// open is a manifest at the end of the chain whose .done is missing.
	open *Manifest
}

// load walks to the end of the chain. The listing tells which manifests there
// are; only the last one, and one that is not done, are read.
func (c *chain) load(ctx context.Context) error {
	if err := c.loadLow(ctx); err != nil {
		return err
	}
	last, undone, err := c.list(ctx)
	if err != nil {
		return err
	}
	if undone >= 0 && undone != last {
		return fmt.Errorf("lake chain %s: manifest %d is not done although %d follows it: objects were removed by hand; restore %s",
			c.prefix, undone, last, doneKey(c.prefix, undone))
	}
	if last < 0 {
		return nil
	}
	m, err := c.manifest(ctx, last)
	if err != nil {
		return err
	}
	if undone == last {
		c.next, c.marks, c.open = m.First, fromManifestMarks(m.Before), m
		return nil
	}
	c.next, c.marks, c.open = m.Last, fromManifestMarks(m.After), nil
	return nil
}

func (c *chain) loadLow(ctx context.Context) error {
	var low lowMark
	err := getJSON(ctx, c.store, lowKey(c.prefix), &low)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	c.low, c.next, c.marks, c.open = low.Offset, low.Offset, fromManifestMarks(low.Marks), nil
	return nil
}

// list returns the first offset of the last manifest, and of the first one
// that is not done; -1 where there is none. Manifests below the low mark are
// void.
func (c *chain) list(ctx context.Context) (last, undone int64, err error) {
	last, undone = -1, -1
	var manifests []int64
	done := make(map[int64]bool)
	for info, err := range c.store.List(ctx, c.prefix) {
		if err != nil {
			return 0, 0, fmt.Errorf("list lake chain %s: %w", c.prefix, err)
		}
		first, isDone, ok := parseManifestKey(c.prefix, info.Key)
		switch {
		case !ok || first < c.low:
		case isDone:
			done[first] = true
		default:
			manifests = append(manifests, first)
			last = first
		}
	}
	for _, first := range manifests {
		if !done[first] {
			return last, first, nil
		}
	}
	return last, -1, nil
}

func (c *chain) manifest(ctx context.Context, first int64) (*Manifest, error) {
	m := new(Manifest)
	key := manifestKey(c.prefix, first)
	if err := getJSON(ctx, c.store, key, m); err != nil {
		return nil, err
	}
	if m.First != first || m.Last <= m.First {
		return nil, fmt.Errorf("read %s: it speaks of offsets %d to %d: not a manifest of this place", key, m.First, m.Last)
	}
	return m, nil
}

// propose puts a manifest at the end of the chain and returns the one that is
// law there, whoever wrote it.
func (c *chain) propose(ctx context.Context, m *Manifest) (*Manifest, error) {
	key := manifestKey(c.prefix, m.First)
	perr := putJSON(ctx, c.store, key, m)
	won, err := c.manifest(ctx, m.First)
	if err != nil {
		return nil, errors.Join(perr, err)
	}
	low := c.low
	if err := c.reloadLow(ctx); err != nil {
		return nil, err
	}
	if m.First < c.low {
		if perr == nil {
			err = c.store.Delete(ctx, key)
		}
		return nil, errors.Join(fmt.Errorf("lake chain %s: another worker moved the low mark from %d to %d, past this batch", c.prefix, low, c.low), err)
	}
	return won, nil
}

func (c *chain) reloadLow(ctx context.Context) error {
	var low lowMark
	err := getJSON(ctx, c.store, lowKey(c.prefix), &low)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	c.low = low.Offset
	return err
}

// finish writes the files of a manifest from its rows, and its .done.
func (c *chain) finish(ctx context.Context, m *Manifest, rows []row, schemas map[string]*change.Schema) (*Done, error) {
	w := newFileWriter(m, schemas)
	done := &Done{Version: formatVersion}
	var buf bytes.Buffer
	for i, f := range m.Files {
		buf.Reset()
		if err := w.write(&buf, m, rows, i); err != nil {
			return nil, fmt.Errorf("build %s: %w", f.Key, err)
		}
		d, err := c.put(ctx, f, buf.Bytes())
		if err != nil {
			return nil, err
		}
		d.MinLSN, d.MaxLSN = bounds(rows, i)
		done.Files = append(done.Files, d)
	}
	err := putJSON(ctx, c.store, doneKey(c.prefix, m.First), done)
	if err != nil && !errors.Is(err, objstore.ErrExists) {
		return nil, fmt.Errorf("write %s: %w", doneKey(c.prefix, m.First), err)
	}
	c.next, c.marks, c.open = m.Last, fromManifestMarks(m.After), nil
	return done, nil
}

// put writes one file; one that is there already is described as it is.
func (c *chain) put(ctx context.Context, f FileRef, body []byte) (DoneFile, error) {
	err := putNew(ctx, c.store, f.Key, body)
	if errors.Is(err, objstore.ErrExists) {
		return c.describe(ctx, f)
	}
	if err != nil {
		return DoneFile{}, fmt.Errorf("write lake file: %w", err)
	}
	sum := sha256.Sum256(body)
	return DoneFile{Key: f.Key, Bytes: int64(len(body)), Rows: f.Rows, SHA256: hex.EncodeToString(sum[:])}, nil
}

func (c *chain) describe(ctx context.Context, f FileRef) (DoneFile, error) {
	r, info, err := c.store.Get(ctx, f.Key)
	if err != nil {
		return DoneFile{}, fmt.Errorf("read lake file: %w", err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return DoneFile{}, fmt.Errorf("read lake file %s: %w", f.Key, err)
	}
	return DoneFile{Key: f.Key, Bytes: info.Size, Rows: f.Rows, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

func bounds(rows []row, dir int) (lo, hi change.LSN) {
	for i := range rows {
		if rows[i].dir != dir {
			continue
		}
		if lo.IsZero() || rows[i].lsn.Less(lo) {
			lo = rows[i].lsn
		}
		if hi.Less(rows[i].lsn) {
			hi = rows[i].lsn
		}
	}
	return lo, hi
}

// same reports whether two manifests say the same.
func same(a, b *Manifest) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
