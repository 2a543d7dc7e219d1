package status

import (
	"os"
	"strings"
	"testing"
)

func TestOperationsPage_ListsEveryMetricWithItsLabels(t *testing.T) {
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, m := range metricNames {
		_, rest, ok := strings.Cut(page, "| `"+m.name+"` |")
		if !ok {
			t.Errorf("docs/operations.md has no row for %s", m.name)
			continue
		}
		line, _, _ := strings.Cut(rest, "\n")
		for _, label := range m.labels {
			if !strings.Contains(line, label) {
				t.Errorf("docs/operations.md: the row of %s lacks the label %s", m.name, label)
			}
		}
		if counter := strings.HasSuffix(m.name, "_total"); strings.Contains(line, "counter") != counter {
			t.Errorf("docs/operations.md: the row of %s says%s, and the name says otherwise", m.name, line)
		}
	}
	if n := strings.Count(page, "\n| `tailwater_"); n != len(metricNames) {
		t.Errorf("docs/operations.md lists %d metrics, the process has %d", n, len(metricNames))
	}
}
