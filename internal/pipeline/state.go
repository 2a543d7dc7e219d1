package pipeline

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tailwater/internal/failpoint"
)

// stateFormat is the version of the state directory's layout.
const stateFormat = 1

// ErrStateInUse means that another process has the state directory. Nothing
// was touched; stop the other process, or use another directory.
var ErrStateInUse = errors.New("state directory is in use")

// stateDir is the pipeline's own directory, locked for this process:
//
//	VERSION     the layout's version, a decimal number
//	lock        locked with flock while a process runs; holds its pid
//	api-token   the bearer token of the API's POSTs
//	member      the name of the directory's process among those that share shards
//	stream/     the embedded stream
//
// The directory has mode 0700, its files 0600.
type stateDir struct {
	path string
	lock *os.File
}

// openState creates and locks a state directory.
func openState(dir string) (*stateDir, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open state directory %s: %w", dir, err)
	}
	// The embedded stream's library makes its files with the modes of anybody.
	unix.Umask(0o077)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if err != nil {
		return nil, err
	}
	s := &stateDir{path: path, lock: lock}
	if err := errors.Join(s.sweep(), s.checkVersion()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// lockFile takes the lock and writes this process's id into it.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(name)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: process %s has %s; stop it, or set state.dir to another directory",
				ErrStateInUse, strings.TrimSpace(string(holder)), filepath.Dir(name))
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("write %s: %w", name, err), f.Close())
		}
	}
	return f, nil
}

// sweep removes temporary files that a killed process left. The lock is held.
func (s *stateDir) sweep() error {
	left, err := filepath.Glob(filepath.Join(s.path, tempPattern))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return fmt.Errorf("sweep temporary files: %w", err)
	}
	return nil
}

// tempPattern names files that are being written.
const tempPattern = ".tmp-*"

// checkVersion writes VERSION into a new directory and refuses a newer one.
func (s *stateDir) checkVersion() error {
	name := filepath.Join(s.path, "VERSION")
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(name, []byte(strconv.Itoa(stateFormat)+"\n"))
	}
	if err != nil {
		return fmt.Errorf("read version of the state directory: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read %s: %.20q is not a version; the directory belongs to something else, or a disk lost its content: restore it from a copy, or set state.dir to another one", name, b)
	}
	if v != stateFormat {
		return fmt.Errorf("state directory %s has format version %d, this program knows %d: use the Tailwater that wrote it, or a newer one", s.path, v, stateFormat)
	}
	return nil
}

// TokenFile is the name of the file in the state directory that holds the
// bearer token of the API's POSTs.
const TokenFile = "api-token"

// token returns the API's token, which it makes at the first start.
func (s *stateDir) token() (string, error) { return s.text(TokenFile) }

// member returns the name of this directory's process in the group of the
// readers, which is made at the first start too. The lock sees to it that one
// process at a time has it.
func (s *stateDir) member() (string, error) { return s.text("member") }

// text returns the random text that a file holds, and writes it if there is none.
func (s *stateDir) text(file string) (string, error) {
	name := filepath.Join(s.path, file)
	b, err := os.ReadFile(name)
	if err == nil {
		if t := strings.TrimSpace(string(b)); len(t) >= 16 {
			return t, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	t := rand.Text()
	return t, writeFile(name, []byte(t+"\n"))
}

// writeFile writes a file whole or not at all, and durably.
func writeFile(name string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), tempPattern)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := failpoint.Err(failpoint.StateFileSynced, syscall.ENOSPC); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close gives up the lock.
func (s *stateDir) Close() error { return s.lock.Close() }
