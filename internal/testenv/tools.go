package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// DuckDB runs SQL statements in a DuckDB of their own, which sees the local
// files, and returns the rows of the last one that has any. Numbers are
// json.Number, so that none loses a digit; DECIMAL and most other types are
// strings. No row is an empty slice.
func DuckDB(t testing.TB, statements string) []map[string]any {
	t.Helper()
	out := script(t, "duckdb", "-json", "-c", statements)
	rows, err := parseDuckDB(out)
	if err != nil {
		t.Fatalf("read what DuckDB prints: %v\n%s", err, lastLines(string(out), 5))
	}
	return rows
}

// parseDuckDB reads the JSON array that DuckDB prints for each statement that
// has rows, and returns the last.
func parseDuckDB(out []byte) ([]map[string]any, error) {
	rows := []map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.UseNumber()
	for dec.More() {
		var next []map[string]any
		if err := dec.Decode(&next); err != nil {
			return nil, fmt.Errorf("decode rows: %w", err)
		}
		rows = next
	}
	return rows, nil
}

// Kcat runs kcat, a Kafka client that shares no code with ours, and returns
// what it prints on stdout. It must end by itself: give -e to a consumer.
func Kcat(t testing.TB, args ...string) []byte {
	t.Helper()
	script(t, "tools", "kcat")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("run kcat %q: %v\n%s", args, err, lastLines(stderr.String(), 10))
	}
	return stdout.Bytes()
}

// SchemaChange returns a command, not yet started, of a tool that changes the
// schema of a table while it is in use: gh-ost or pt-online-schema-change. It
// takes the server as the tool's own arguments say, and ends with the test's
// process, however that dies.
func SchemaChange(t testing.TB, tool string, args ...string) *exec.Cmd {
	t.Helper()
	script(t, "osc-tools", "--get")
	cmd := exec.Command(filepath.Join(Root(t), "deploy", "dev", "osc-tools"), append([]string{tool}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// FlinkRead reads values, one a line and an empty line for null, with a JSON
// format of Apache Flink (debezium, maxwell or canal), which shares no code with
// ours. It returns a line for each row that they make: its kind, a space, and
// the columns, which columns declares as SQL does, with | between them.
func FlinkRead(t testing.TB, format, columns string, values []byte) []string {
	t.Helper()
	out := scriptOn(t, bytes.NewReader(values), "flink-read", format, columns)
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// Tailwater returns the path of the program, built once per test process, or
// the one that TAILWATER_BIN names: `make test` builds it for all packages.
func Tailwater(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv("TAILWATER_BIN"); bin != "" {
		return bin
	}
	bin, err := buildTailwater()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// TailwaterFailpoints returns the path of the program in which named steps can
// be disturbed, built once per test process; see package failpoint.
func TailwaterFailpoints(t testing.TB) string {
	t.Helper()
	bin, err := buildFailpoints()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

var (
	buildTailwater  = sync.OnceValues(func() (string, error) { return build("tailwater-under-test") })
	buildFailpoints = sync.OnceValues(func() (string, error) { return build("tailwater-failpoints-under-test", "-tags", "failpoints") })
)

// build builds the program under a name of the folder bin.
func build(name string, flags ...string) (string, error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	// The same path for every process: the last build is as good as any other
	// of the same tree, and rename keeps a running program whole.
	dir := filepath.Join(root, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build tailwater: %w", err)
	}
	fresh := filepath.Join(dir, fmt.Sprintf(".%s.%d", name, os.Getpid()))
	cmd := exec.Command("go", append(append([]string{"build", "-o", fresh}, flags...), "./cmd/tailwater")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tailwater: %w\n%s", err, lastLines(string(out), 20))
	}
	bin := filepath.Join(dir, name)
	if err := os.Rename(fresh, bin); err != nil {
		return "", fmt.Errorf("build tailwater: %w", err)
	}
	return bin, nil
}
