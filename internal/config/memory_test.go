package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryHere_IsTheKeyElseTheDefaultOrFourFifthsOfTheGroup(t *testing.T) {
	if got := (&Limits{Memory: 1 << 30}).MemoryHere(); got != 1<<30 {
		t.Errorf("with the key: %v, want 1GiB", got)
	}
	if got := (&Limits{}).MemoryHere(); got <= 0 || got > DefaultMemory {
		t.Errorf("without the key: %v, want at most %v and not 0", got, DefaultMemory)
	}
	name := filepath.Join(t.TempDir(), "memory.max")
	for text, want := range map[string]Size{
		"max\n": DefaultMemory, "104857600\n": 83886080, "1099511627776": DefaultMemory, "": DefaultMemory, "garbage": DefaultMemory, "0": DefaultMemory,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := defaultMemory([]string{name + ".absent", name}); got != want {
			t.Errorf("memory.max %q: %v, want %v", text, got, want)
		}
	}
}
