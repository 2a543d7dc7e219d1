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

	"tailwater/internal/failpoint"
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
	// empty says that the chain has neither a manifest nor a low mark.
	empty bool
}

// load walks to the end of the chain. The listing tells which manifests there
// are; only the last one, and one that is not done, are read. The low mark is
// read again behind them: whoever moved it past the manifest that was found
// has made it void, and its files may be gone for good.
func (c *chain) load(ctx context.Context) error {
	for {
		if err := c.loadLow(ctx); err != nil {
			return err
		}
		// A manifest that was listed may have been deleted since, behind a low mark.
		err := c.walk(ctx)
		if err != nil && !errors.Is(err, objstore.ErrNotFound) {
			return err
		}
		seen := c.low
		if err := c.reloadLow(ctx); err != nil {
			return err
		}
		if c.low == seen {
			return err
		}
	}
}

func (c *chain) walk(ctx context.Context) error {
	last, undone, err := c.list(ctx)
	if err != nil {
		return err
	}
	if undone >= 0 && undone != last {
		return fmt.Errorf("lake chain %s: manifest %d is not done although %d follows it: objects were removed by hand; restore %s",
			c.prefix, undone, last, doneKey(c.prefix, undone))
	}
	if c.empty = last < 0 && c.low == 0; last < 0 {
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
	failpoint.At(failpoint.LakeManifestPutting)
	perr := putJSON(ctx, c.store, key, m)
	failpoint.At(failpoint.LakeManifestPut)
	won, readErr := c.manifest(ctx, m.First)
	if readErr != nil && !errors.Is(readErr, objstore.ErrNotFound) {
		return nil, errors.Join(perr, readErr)
	}
	failpoint.At(failpoint.LakeManifestGot)
	low := c.low
	if err := c.reloadLow(ctx); err != nil {
		return nil, err
	}
	failpoint.At(failpoint.LakeLowMarkRead)
	if m.First < c.low {
		var err error
		if perr == nil {
			err = c.store.Delete(ctx, key)
		}
		return nil, errors.Join(fmt.Errorf("lake chain %s: another worker moved the low mark from %d to %d, past this batch", c.prefix, low, c.low), err)
	}
	if readErr != nil {
		return nil, errors.Join(perr, readErr)
	}
	return won, nil
}

func (c *chain) reloadLow(ctx context.Context) error {
	var low lowMark
	err := getJSON(ctx, c.store, lowKey(c.prefix), &low)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c.low = low.Offset
	return nil
}

// finish writes the files of a manifest, and its .done.
func (c *chain) finish(ctx context.Context, m *Manifest, files []built) (*Done, error) {
	done := &Done{Version: formatVersion}
	for i, f := range m.Files {
		failpoint.At(failpoint.LakeFilePutting)
		d, err := c.put(ctx, m, f, files[i].body)
		if err != nil {
			return nil, err
		}
		failpoint.At(failpoint.LakeFilePut)
		d.MinLSN, d.MaxLSN = files[i].lo, files[i].hi
		done.Files = append(done.Files, d)
	}
	failpoint.At(failpoint.LakeDonePutting)
	err := putJSON(ctx, c.store, doneKey(c.prefix, m.First), done)
	if err != nil && !errors.Is(err, objstore.ErrExists) {
		return nil, fmt.Errorf("write %s: %w", doneKey(c.prefix, m.First), err)
	}
	failpoint.At(failpoint.LakeDonePut)
	c.next, c.marks, c.open, c.empty = m.Last, fromManifestMarks(m.After), nil, false
	return done, nil
}

// put writes one file; one that is there already is described as it is.
func (c *chain) put(ctx context.Context, m *Manifest, f FileRef, body []byte) (DoneFile, error) {
	err := putNew(ctx, c.store, f.Key, body)
	if errors.Is(err, objstore.ErrExists) {
		return c.describe(ctx, m, f, body)
	}
	if err != nil {
		return DoneFile{}, fmt.Errorf("write lake file: %w", err)
	}
	sum := sha256.Sum256(body)
	return DoneFile{Key: f.Key, Bytes: int64(len(body)), Rows: f.Rows, SHA256: hex.EncodeToString(sum[:])}, nil
}

// describe describes a file that was there before. Its bytes may differ from
// ours when another version of the program wrote it, but its rows may not: a
// file of another batch under this name would lose those of this one.
func (c *chain) describe(ctx context.Context, m *Manifest, f FileRef, body []byte) (DoneFile, error) {
	r, _, err := c.store.Get(ctx, f.Key)
	if err != nil {
		return DoneFile{}, fmt.Errorf("read lake file: %w", err)
	}
	defer r.Close()
	there, err := io.ReadAll(r)
	if err != nil {
		return DoneFile{}, fmt.Errorf("read lake file %s: %w", f.Key, err)
	}
	if !bytes.Equal(there, body) {
		if err := isFileOf(there, m, f); err != nil {
			return DoneFile{}, fmt.Errorf("lake file %s is there and not of this batch: %w; move it away", f.Key, err)
		}
	}
	sum := sha256.Sum256(there)
	return DoneFile{Key: f.Key, Bytes: int64(len(there)), Rows: f.Rows, SHA256: hex.EncodeToString(sum[:])}, nil
}

// isFileOf checks that body is the file f of a manifest.
func isFileOf(body []byte, m *Manifest, f FileRef) error {
	file, err := openFile(body)
	if err != nil {
		return err
	}
	for _, kv := range fileMetadata(m) {
		if got, ok := file.Lookup(kv[0]); !ok || got != kv[1] {
			return fmt.Errorf("its %s is %q, want %q", kv[0], got, kv[1])
		}
	}
	if file.NumRows() != f.Rows {
		return fmt.Errorf("it has %d rows, want %d", file.NumRows(), f.Rows)
	}
	return nil
}

// same reports whether two manifests say the same.
func same(a, b *Manifest) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
