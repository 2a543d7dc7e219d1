package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"tailwater/internal/failpoint"
)

// tempPrefix begins the names of files that are being written. A key may not
// have a part that begins with it.
const tempPrefix = ".tw-tmp-"

// Dir is a Store in a local directory: an object is a file.
//
// PutNew writes a temporary file beside the target, syncs it, and links it to
// its name: link(2) fails when the name exists, which is the If-None-Match of
// a file system. The directory is synced before the call returns, so that a
// power cut cannot take back what a caller was told.
type Dir struct {
	root string
}

var _ Store = (*Dir)(nil)

// OpenDir opens a store in root, which it creates, and removes temporary files
// that a killed process left more than an hour ago.
func OpenDir(root string) (*Dir, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open object directory %s: %w", root, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fmt.Errorf("open object directory: %w", err)
	}
	if err := os.Chmod(abs, 0o755); err != nil {
		return nil, fmt.Errorf("open object directory: %w", err)
	}
	d := &Dir{root: abs}
	return d, d.sweep(time.Hour)
}

// Root returns the absolute path of the directory.
func (d *Dir) Root() string { return d.root }

// sweep removes temporary files older than age.
func (d *Dir) sweep(age time.Duration) error {
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), tempPrefix) {
			return ignoreMissing(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		if time.Since(info.ModTime()) < age {
			return nil
		}
		return ignoreMissing(os.Remove(path))
	})
	if err != nil {
		return fmt.Errorf("sweep temporary files in %s: %w", d.root, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// path turns a key into a file name; a key that would leave the directory, or
// that names no file, is an error.
func (d *Dir) path(key string) (string, error) {
	if key == "" || strings.HasPrefix(key, "/") || strings.ContainsAny(key, "\\\x00") {
		return "", fmt.Errorf("object key %q: not a relative slash-separated path", key)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || strings.HasPrefix(part, tempPrefix) {
			return "", fmt.Errorf("object key %q: part %q is not allowed", key, part)
		}
	}
	return filepath.Join(d.root, filepath.FromSlash(key)), nil
}

// PutNew writes an object that must not exist yet.
func (d *Dir) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	target, err := d.path(key)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(target); err == nil {
		return fmt.Errorf("put %s: %w", key, ErrExists)
	}
	return d.write(ctx, key, body, size, func(tmp string) error {
		err := os.Link(tmp, target)
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return err
	})
}

// Put writes an object, over an older one if there is one.
func (d *Dir) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	target, err := d.path(key)
	if err != nil {
		return err
	}
	return d.write(ctx, key, body, size, func(tmp string) error { return os.Rename(tmp, target) })
}

// write makes a synced temporary file of body beside the target and lets place
// give it its name.
func (d *Dir) write(ctx context.Context, key string, body io.Reader, size int64, place func(tmp string) error) (err error) {
	target, err := d.path(key)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	if err := d.mkdir(dir); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	defer func() {
		f.Close()
		os.Remove(f.Name())
	}()
	if err := fill(ctx, f, body, size); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := place(f.Name()); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := failpoint.Err(failpoint.DirLinked, syscall.EIO); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	failpoint.At(failpoint.DirSynced)
	return nil
}

func fill(ctx context.Context, f *os.File, body io.Reader, size int64) error {
	n, err := io.Copy(f, &contextReader{ctx, body})
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("body has %d bytes, %d were announced", n, size)
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := failpoint.Err(failpoint.DirTempWritten, syscall.ENOSPC); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := failpoint.Err(failpoint.DirTempSynced, syscall.EIO); err != nil {
		return err
	}
	return f.Close()
}

// contextReader ends a copy when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// mkdir makes dir and syncs every parent in which a name is new.
func (d *Dir) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); len(parent) >= len(d.root) {
		if err := d.mkdir(parent); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		// Whatever the process's umask is: a lake is there to be read.
		err = os.Chmod(dir, 0o755)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Get opens an object.
func (d *Dir) Get(_ context.Context, key string) (io.ReadCloser, Info, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, Info{}, err
	}
	if err := failpoint.Err(failpoint.DirRead, syscall.EIO); err != nil {
		return nil, Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Info{}, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return nil, Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = ErrNotFound
	}
	if err != nil {
		f.Close()
		return nil, Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	return f, Info{Key: key, Size: st.Size(), Modified: st.ModTime()}, nil
}

// List yields the objects whose keys begin with prefix, in key order.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		start := ""
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i]
		}
		if start != "" {
			if _, err := d.path(start); err != nil {
				yield(Info{}, err)
				return
			}
		}
		infos, err := d.walk(ctx, start, prefix)
		if err != nil {
			yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		for _, i := range infos {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// walk collects the files below the folder start whose keys have the prefix.
func (d *Dir) walk(ctx context.Context, start, prefix string) ([]Info, error) {
	var out []Info
	err := filepath.WalkDir(filepath.Join(d.root, filepath.FromSlash(start)), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return ignoreMissing(err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e.IsDir() || strings.HasPrefix(e.Name(), tempPrefix) {
			return nil
		}
		rel, err := filepath.Rel(d.root, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		st, err := e.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		out = append(out, Info{Key: key, Size: st.Size(), Modified: st.ModTime()})
		return nil
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out, err
}

// Delete removes an object.
func (d *Dir) Delete(_ context.Context, key string) error {
	path, err := d.path(key)
	if err != nil {
		return err
	}
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if err := ignoreMissing(syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}
