package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Apply returns text, that of m's file, with the bug in it. The error says that
// the old text of a hunk does not stand there exactly once.
func (m Mutant) Apply(text string) (string, error) {
	// Whole lines are compared: text in front of the first one would be part of it.
	text = "\n" + text
	for _, h := range m.Hunks {
		first, _, _ := strings.Cut(h.Old, "\n")
		switch n := strings.Count(text, "\n"+h.Old); {
		case n == 0:
			return "", fmt.Errorf("%s: mutant %s: the old text from %q on is not in %s: write it as the file does now, tabs included", m.At, m.Name, first, m.File)
		case n > 1:
			return "", fmt.Errorf("%s: mutant %s: the old text from %q on stands %d times in %s: add lines around it", m.At, m.Name, first, n, m.File)
		}
		text = strings.Replace(text, "\n"+h.Old, "\n"+h.New, 1)
	}
	return text[1:], nil
}

// plant writes m's file with the bug into dir, and beside it the overlay that
// the go command reads, whose path it returns.
func (m Mutant) plant(root, dir string) (string, error) {
	at := filepath.Join(root, filepath.FromSlash(m.File))
	text, err := os.ReadFile(at)
	if err != nil {
		return "", fmt.Errorf("%s: mutant %s: read its file: %w", m.At, m.Name, err)
	}
	mutated, err := m.Apply(string(text))
	if err != nil {
		return "", err
	}
	// A folder for each, so that the compiler's messages name the file.
	other := filepath.Join(dir, m.Name, filepath.Base(m.File))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {at: other}})
	if err != nil {
		return "", fmt.Errorf("plant mutant %s: %w", m.Name, err)
	}
	list := filepath.Join(dir, m.Name, "overlay.json")
	if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
		return "", fmt.Errorf("plant mutant %s: %w", m.Name, err)
	}
	if err := os.WriteFile(other, []byte(mutated), 0o644); err != nil {
		return "", fmt.Errorf("plant mutant %s: %w", m.Name, err)
	}
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		return "", fmt.Errorf("plant mutant %s: %w", m.Name, err)
	}
	return list, nil
}
