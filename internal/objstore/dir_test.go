package objstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/internal/objstore"
	"tailwater/internal/objstore/objstoretest"
)

func TestDir_ConformsToStore(t *testing.T) {
	objstoretest.Run(t, func(t *testing.T) objstore.Store {
		d, err := objstore.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestDir_SweepsTemporaryFilesOfKilledProcessesOnly(t *testing.T) {
	root := t.TempDir()
	sub := filepath.Join(root, "view", "dt=2026-11-20")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(sub, ".tw-tmp-old"), filepath.Join(sub, ".tw-tmp-fresh")
	for _, f := range []string{old, fresh} {
		if err := os.WriteFile(f, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	d, err := objstore.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("old temporary file: %v, want it gone", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("fresh temporary file, perhaps of another process: %v, want it kept", err)
	}
	for info, err := range d.List(t.Context(), "") {
		t.Errorf("List shows %+v, %v, want no temporary files", info, err)
	}
}

func TestDir_RefusesARootThatIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.OpenDir(filepath.Join(file, "lake")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("OpenDir below a file: %v, want an error that names %s", err, file)
	}
}
