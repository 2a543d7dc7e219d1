package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStateDir_IsPrivateAndLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{".": 0o700, "lock": 0o600, "VERSION": 0o600} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("mode of %s = %v, %v, want %v", name, st.Mode().Perm(), err, want)
		}
	}
	_, err = openState(dir)
	if !errors.Is(err, ErrStateInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second open = %v, want ErrStateInUse that names %s", err, dir)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = openState(dir)
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	s.Close()
}

func TestStateDir_RefusesANewerOrForeignVersion(t *testing.T) {
	for content, want := range map[string]string{"2\n": "format version 2", "xyz": "not a version", "": "not a version"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open with VERSION %q = %v, want an error with %q", content, err, want)
		}
	}
}

func TestStateDir_SweepsWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, ".tmp-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary file after open: %v, want it gone", err)
	}
}

func TestStateDir_KeepsItsToken(t *testing.T) {
	s, err := openState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.token()
	if err != nil || len(first) < 16 {
		t.Fatalf("token = %q, %v, want at least 16 characters", first, err)
	}
	second, err := s.token()
	if err != nil || second != first {
		t.Errorf("second token = %q, %v, want the first one", second, err)
	}
	st, err := os.Stat(filepath.Join(s.path, "api-token"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of the token = %v, %v, want 0600", st.Mode(), err)
	}
}
