package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pipePatience is how long a pipe may keep its reader waiting.
const pipePatience = 5 * time.Second

// readBounded reads a file, and of one that has more than most bytes no more
// than one more. A pipe is read too, as the shell's <(…) is one, but one that
// nobody writes into is not waited for without end.
func readBounded(path string, most int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	over := time.Now().Add(pipePatience)
	info, err := f.Stat()
	pipe := err == nil && info.Mode()&fs.ModeNamedPipe != 0
	if pipe {
		_ = f.SetReadDeadline(over) // without one it is waited for
	}
	for {
		b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), pipe && err == nil && len(b) == 0 && time.Now().After(over):
			return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is a pipe, and nobody has written into it for %v", pipePatience)}
		case err != nil || !pipe || len(b) > 0:
			return b, err
		}
		<-time.After(20 * time.Millisecond) // its writer has not come yet
	}
}

// maxPEM bounds a file of certificates.
const maxPEM = 4 << 20

// FileError says that a file which the configuration names cannot be used.
type FileError struct{ Err error }

// Error names key and file.
func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// readPEM reads a file of certificates.
func readPEM(path string) ([]byte, error) {
	b, err := readBounded(path, maxPEM)
	if err == nil && len(b) > maxPEM {
		err = fmt.Errorf("%s has more than %d bytes", path, maxPEM)
	}
	return b, err
}
