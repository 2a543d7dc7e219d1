package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestEndServers_EndsOnlyTheServersBelowItsFolder(t *testing.T) {
	other := Redis(t)
	// The script's own temporary folder would be too long for a socket below
	// the test's.
	temp, err := os.MkdirTemp("", "tw-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	servers, err := parseServers(script(t, "redis-start", "--shards", "2", "--dir", filepath.Join(temp, "set")))
	if err != nil {
		t.Fatal(err)
	}
	servers[1].Kill(t)
	got, err := EndServers(temp)
	if want := []string{servers[0].Dir}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q and %v, want %q", got, err, want)
	}
	if pid, ok := servers[0].running(); ok {
		t.Errorf("process %d still runs", pid)
	}
	if _, ok := other.running(); !ok {
		t.Error("a server elsewhere was ended too")
	}
	if got, err := EndServers(temp); err != nil || len(got) != 0 {
		t.Errorf("the second time: got %q and %v, want nothing to end", got, err)
	}
}

func TestEndServers_EmptyFolderIsNoError(t *testing.T) {
	if got, err := EndServers(t.TempDir()); err != nil || len(got) != 0 {
		t.Errorf("got %q and %v, want nothing", got, fmt.Sprint(err))
	}
}
