package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadBounded_TakesOneByteTooManyAtMost(t *testing.T) {
	b, err := readBounded("/dev/zero", 1000)
	if err != nil || len(b) != 1001 {
		t.Errorf("got %d bytes and %v, want 1001", len(b), err)
	}
	if _, err := readPEM("/dev/zero"); err == nil || !strings.Contains(err.Error(), "/dev/zero has more than") {
		t.Errorf("got %v, want the file and its bound", err)
	}
}

func TestReadBounded_ReadsAPipeAndDoesNotWaitForOneWithoutEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := readBounded(path, 1000); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "nobody has written") {
		t.Errorf("a pipe that nobody writes into: got %v, want that it is one", err)
	}
	if took := time.Since(began); took > 10*pipePatience {
		t.Errorf("it took %v", took)
	}
	want := bytes.Repeat([]byte("text "), 40_000) // more than a pipe holds
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(path, want, 0o600) }()
	got, err := readBounded(path, 1<<20)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes and %v, want %d", len(got), err, len(want))
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}
