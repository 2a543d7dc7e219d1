package budget

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// leastCovered is how many percent of a parser's statements the seeds of its
// fuzz target execute at least: what the seeds do not reach, the fuzzer finds by
// luck only.
const leastCovered = 80

// parsers are the fuzz targets of package binlog, and the files whose statements
// the seeds of each execute.
var parsers = []struct {
	what, target string
	files        []string
}{
	{"event framing", "FuzzFraming", []string{"frame.go", "mariadbevent.go"}},
	{"events", "FuzzEvent", []string{"event.go", "gtidevent.go", "queryevent.go"}},
	{"compressed transactions", "FuzzPayload", []string{"payload.go"}},
	{"table maps", "FuzzTableMap", []string{"tablemap.go", "tablemap_metadata.go", "tablemap_reader.go", "types.go"}},
	{"row images", "FuzzRows", []string{"rows.go", "image.go", "partial.go", "types_number.go", "types_text.go", "temporal.go", "decimal.go"}},
	{"character sets", "FuzzCharset", []string{"charset.go", "charset_table.go"}},
	{"binary JSON", "FuzzJSONB", []string{"jsonb.go"}},
	{"changes of JSON", "FuzzJSONDiff", []string{"jsondiff.go", "jsontree.go"}},
	{"GTID sets", "FuzzGTIDSet", []string{"gtid.go", "gtidcode.go"}},
	{"GTIDs of domains", "FuzzDomainPosition", []string{"domain.go"}},
	{"positions", "FuzzPosition", []string{"position.go"}},
}

func TestFuzzSeeds_CoverTheirParsers(t *testing.T) {
	binlog := filepath.Join("..", "..", "binlog")
	program := filepath.Join(t.TempDir(), "binlog.test")
	// Not the race detector's: nothing runs beside the seeds.
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-cover", "-covermode=set", "-o", program, ".")
	build.Dir = binlog
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tests of package binlog: %v\n%s", err, out)
	}
	for _, p := range parsers {
		profile := filepath.Join(t.TempDir(), p.target)
		run := exec.CommandContext(t.Context(), program, "-test.run", "^"+p.target+"$", "-test.coverprofile", profile)
		run.Dir = binlog
		out, err := run.CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("no tests to run")) {
			t.Errorf("the seeds of %s: %v\n%s", p.target, err, out)
			continue
		}
		all, covered, err := statements(profile)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range p.files {
			percent := 100 * covered[file] / max(all[file], 1)
			t.Logf("%-24s %-20s %-22s %3d %% of %d statements", p.what, p.target, file, percent, all[file])
			if percent < leastCovered {
				t.Errorf("the seeds of %s execute %d %% of %s, want %d %%: add seeds", p.target, percent, file, leastCovered)
			}
		}
	}
}

// statements reads a profile and counts, by file, all statements and those that
// were executed.
func statements(profile string) (all, covered map[string]int, err error) {
	f, err := os.Open(profile)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	all, covered = map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// tailwater/binlog/frame.go:36.60,38.16 2 1
		place, counts, ok := strings.Cut(lines.Text(), " ")
		file, _, isBlock := strings.Cut(place, ":")
		if !ok || !isBlock || strings.HasPrefix(place, "mode:") {
			continue
		}
		var n, times int
		if _, err := fmt.Sscan(counts, &n, &times); err != nil {
			return nil, nil, fmt.Errorf("read %s: %q: %w", profile, lines.Text(), err)
		}
		all[path.Base(file)] += n
		if times > 0 {
			covered[path.Base(file)] += n
		}
	}
	return all, covered, lines.Err()
}
