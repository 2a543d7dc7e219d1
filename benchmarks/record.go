package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// recording is a fixture's file.
type recording struct {
	*fixture
	path string
	// inserted are the rows that the fixture was made of, changes those and what
	// became of them: what an arm makes events of.
	inserted              int
	changes, transactions int64
}

// bytes is the size of the file.
func (r *recording) bytes() int64 {
	info, err := os.Stat(r.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func defaultCache() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "tailwater", "benchmarks")
	}
	return filepath.Join(os.TempDir(), "tailwater-benchmarks")
}

// newRecording says where a fixture's file is. inserted is its size where it is
// not the fixture's own, 0 for that.
func newRecording(s *settings, f *fixture, inserted int) *recording {
	r := &recording{fixture: f, inserted: f.rows}
	if inserted > 0 {
		r.inserted = inserted
	}
	if s.quick {
		r.inserted = f.quick
	}
	r.changes, r.transactions = f.size(r.inserted)
	// The name of a binary log: a reader wants one. It changes with what a
	// fixture is made of, so that an old one is not taken for it.
	r.path = filepath.Join(s.cache, fmt.Sprintf("%s-%d-v1", f.name, r.inserted), recordedName)
	return r
}

// recordings returns the fixtures of these letters, and records those that the
// cache has not. rows are the sizes of those that are not as the fixture says. One
// for which the disk has no room is left out, which the log is told.
func recordings(ctx context.Context, s *settings, letters string, rows map[string]int) ([]*recording, error) {
	var out []*recording
	var server *mysqlServer
	defer func() {
		if server != nil {
			server.stop()
		}
	}()
	for _, f := range fixtures() {
		if !strings.Contains(letters, f.name) {
			continue
		}
		r := newRecording(s, f, rows[f.name])
		if _, err := os.Stat(r.path); err == nil {
			out = append(out, r)
			continue
		}
		ok, err := room(s, f)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		fmt.Fprintf(s.log, "recording fixture %s: %d rows\n", f.name, r.inserted)
		if server == nil {
			if server, err = startMySQL(ctx); err != nil {
				return nil, err
			}
		}
		if err := r.record(ctx, server); err != nil {
			return nil, fmt.Errorf("record fixture %s: %w", f.name, err)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("of the fixtures %s there is none", letters)
	}
	return out, nil
}

// room reports whether the disk has room for a fixture, and tells the log when it
// has not.
func room(s *settings, f *fixture) (bool, error) {
	free, where, err := leastFree(s.cache, os.TempDir())
	if err != nil || s.quick || free >= f.disk {
		return err == nil, err
	}
	fmt.Fprintf(s.log, "fixture %s is left out: it needs %.1f GiB of disk while it is recorded, and %s has %.1f GiB free\n", f.name, gib(f.disk), where, gib(free))
	return false, nil
}

// gib is a number of bytes in GiB.
func gib(bytes uint64) float64 { return float64(bytes) / (1 << 30) }

// leastFree is what the fuller one of the disks of two folders has free, and
// which folder that is. A folder that is not there yet has its parent's disk.
func leastFree(dirs ...string) (free uint64, where string, err error) {
	for i, dir := range dirs {
		at := dir
		var fs syscall.Statfs_t
		for err = syscall.Statfs(at, &fs); errors.Is(err, syscall.ENOENT) && at != filepath.Dir(at); err = syscall.Statfs(at, &fs) {
			at = filepath.Dir(at)
		}
		if err != nil {
			return 0, "", fmt.Errorf("ask for the room of %s: %w", dir, err)
		}
		if n := fs.Bavail * uint64(fs.Bsize); i == 0 || n < free {
			free, where = n, dir
		}
	}
	return free, where, nil
}

// recordedName is the name of every recorded file.
const recordedName = "binlog.000001"

func record(ctx context.Context, s *settings) error {
	letters := s.fixture
	if letters == "" {
		for _, f := range fixtures() {
			letters += f.name
		}
	}
	all, err := recordings(ctx, s, letters, nil)
	for _, r := range all {
		fmt.Fprintf(s.out, "%s  %d row changes  %d bytes\n", r.path, r.changes, r.bytes())
	}
	return err
}

// record writes the rows to the server and takes its binlog.
func (r *recording) record(ctx context.Context, server *mysqlServer) error {
	if err := r.fill(ctx, server.DSN); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		return err
	}
	// Whoever finds the name finds all of the file. It is complete, so that a link
	// to it takes no room and no time where the disk is the same.
	partial, file := r.path+".partial", filepath.Join(server.DataDir, recordedName)
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if os.Link(file, partial) != nil {
		if err := copyFile(partial, file); err != nil {
			return errors.Join(err, os.Remove(partial))
		}
	}
	return os.Rename(partial, r.path)
}

// fill writes the rows into a binlog that has nothing else, and drops them.
func (r *recording) fill(ctx context.Context, dsn string) error {
	db, err := sql.Open("mysql", dsn+"?multiStatements=true&maxAllowedPacket=0")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	exec := func(text string, affected int) error {
		done, err := c.ExecContext(ctx, text)
		if err != nil {
			return fmt.Errorf("execute %.60q: %w", text, err)
		}
		if n, err := done.RowsAffected(); affected > 0 && (err != nil || n != int64(affected)) {
			return fmt.Errorf("execute %.60q: %d rows are affected, want %d; %w", text, n, affected, errors.Join(err, errAffected))
		}
		return nil
	}
	for _, text := range []string{"SET time_zone='+00:00'", "DROP DATABASE IF EXISTS " + database,
		"CREATE DATABASE " + database, "USE " + database, r.create, "SET SESSION binlog_transaction_compression=OFF", r.session, "RESET BINARY LOGS AND GTIDS"} {
		if text == "" {
			continue
		}
		if err := exec(text, 0); err != nil {
			return err
		}
	}
	if err := r.write(exec); err != nil {
		return err
	}
	for _, text := range []string{"FLUSH BINARY LOGS", "DROP DATABASE " + database} {
		if err := exec(text, 0); err != nil {
			return err
		}
	}
	return nil
}

// errAffected is a statement that does not do what the fixture counts on.
var errAffected = errors.New("the fixture is not what it says")

// write executes the batches; exec takes a statement and how many rows it changes.
func (r *recording) write(exec func(text string, affected int) error) error {
	if r.whole {
		if err := exec("BEGIN", 0); err != nil {
			return err
		}
	}
	rng := rand.New(rand.NewPCG(1, uint64(r.inserted)))
	var text []byte
	for _, b := range r.batches(r.inserted) {
		text = append(text[:0], "INSERT INTO "+table+" VALUES "...)
		for id := b.from; id < b.to; id++ {
			if id > b.from {
				text = append(text, ',')
			}
			text = r.values(text, rng, id)
		}
		if err := exec(string(text), b.to-b.from); err != nil {
			return err
		}
		if b.updated > 0 {
			update := fmt.Sprintf("UPDATE %s SET %s WHERE id >= %d AND id < %d", table, r.update, firstID+b.from, firstID+b.from+b.updated)
			if err := exec(update, b.updated); err != nil {
				return err
			}
		}
		if b.deleted > 0 {
			gone := fmt.Sprintf("DELETE FROM %s WHERE id >= %d AND id < %d", table, firstID+b.to-b.deleted, firstID+b.to)
			if err := exec(gone, b.deleted); err != nil {
				return err
			}
		}
	}
	if r.whole {
		return exec("COMMIT", 0)
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// root is the repository's top folder: the nearest one above that holds go.mod.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(b), "module tailwater\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of tailwater above the working directory: run it in the repository")
		}
		dir = filepath.Dir(dir)
	}
}
