package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/config"
	"tailwater/internal/pipeline"
	"tailwater/internal/verify"
)

// runningPipeline starts a server with two rows and a pipeline behind it, and
// returns the configuration's path and what drains the pipeline.
func runningPipeline(t *testing.T) (s *primary.Server, path string, drain func()) {
	t.Helper()
	s, err := primary.Start(primary.Options{User: "tw", Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	err = s.CreateTable(encode.Table{Database: "s", Name: "t", PrimaryKey: []int{0}, Columns: []encode.Column{
		{Name: "id", Kind: encode.Int}, {Name: "name", Kind: encode.Varchar, Length: 20}}})
	if err != nil {
		t.Fatal(err)
	}
	insert(t, s, 1, 2)
	host, port, _ := net.SplitHostPort(s.Addr())
	path = filepath.Join(t.TempDir(), "tailwater.yaml")
	text := fmt.Sprintf(`version: 1
name: shop
state: { dir: state }
sources: { shop: { shards: { list: [{ name: a, host: %s, port: %s, user: tw, password: pw }] }, server_id: 77, heartbeat: { every: 100ms } } }
tables: { t: { from: { source: shop, schema: s, table: t }, key: [id] } }
views: { t: { from: t } }
windows: { metrics: { n: { view: t, value: count() } } }
http: { listen: "127.0.0.1:0" }
`, host, port)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, findings := config.Load(path, nil)
	if cfg == nil {
		t.Fatal(findings)
	}
	p, err := pipeline.Open(t.Context(), pipeline.Options{Config: cfg.Resolved(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, context.Background(), 10*time.Second) }()
	stopped := false
	drain = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(drain)
	return s, path, drain
}

func insert(t *testing.T, s *primary.Server, ids ...int64) {
	t.Helper()
	tx := s.Begin()
	defer tx.Rollback()
	for _, id := range ids {
		if err := tx.Insert("s", "t", encode.Row{id, fmt.Sprintf("row %d", id)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestVerify_ExitCodeSaysWhatWasFound(t *testing.T) {
	_, path, drain := runningPipeline(t)
	out, code := runVerb(t, newVerifyCommand(), "--timeout", "30s", path)
	if code != exitOK || !strings.Contains(out, "✓ no difference in 2 rows, 1 window and 0 lake files") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	out, code = runVerb(t, newVerifyCommand(), "--only", "lake", path)
	if code != exitEnvironment || !strings.Contains(out, "✗ nothing was there to compare") {
		t.Errorf("without a lake, exit code %d:\n%s", code, out)
	}
	drain()
	out, code = runVerb(t, newVerifyCommand(), "-o", "json", "-q", "--only", "rows", path)
	var e struct {
		Command string
		OK      bool
		Result  map[string]any
		Error   *fault
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != exitOK || !e.OK || e.Command != "verify" || e.Error != nil {
		t.Errorf("exit code %d, %v:\n%s", code, err, out)
	}
	for _, name := range []string{"tables", "rows_compared", "columns_compared", "unseen", "unseen_rows", "busy", "views", "windows_compared", "values_compared", "lake_files", "lake_rows", "events", "differences", "seconds", "passes"} {
		if e.Result[name] == nil {
			t.Errorf("the result has no %s", name)
		}
	}
	// A configuration under which the stream has two rows too many.
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(filepath.Dir(path), "narrow.yaml")
	text = bytes.Replace(text, []byte("{ t: { from: t } }"), []byte(`{ t: { from: t, where: "id > 2" } }`), 1)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, code = runVerb(t, newVerifyCommand(), "--only", "rows", path)
	if code != exitFound || !strings.Contains(out, `rows extra: view t, shard a, s.t, key ["1"], lsn `) || !strings.Contains(out, "✗ 2 differences") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	out, code = runVerb(t, newVerifyCommand(), "--only", "rows", "--max-differences", "1", path)
	if code != exitFound || !strings.Contains(out, "and 1 more") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestVerify_SaysWhatCannotBeReached(t *testing.T) {
	s, path, drain := runningPipeline(t)
	if out, code := runVerb(t, newVerifyCommand(), "--timeout", "30s", path); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	drain()
	insert(t, s, 3)
	out, code := runVerb(t, newVerifyCommand(), "-o", "json", path)
	if code != exitEnvironment || !strings.Contains(out, `"code": "unreachable"`) || !strings.Contains(out, "no pipeline runs that could read it") {
		t.Errorf("behind the drained pipeline, exit code %d:\n%s", code, out)
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"/no/such.yaml"}, exitUsage, "no such file"},
		{[]string{"--only", "rows,columns", path}, exitUsage, ""},
		{[]string{"--timeout", "0s", path}, exitUsage, ""},
		{[]string{"--max-differences", "-1", path}, exitUsage, ""},
		{[]string{path, path}, exitUsage, ""},
	} {
		if out, code := runVerb(t, newVerifyCommand(), c.args...); code != c.code || !strings.Contains(out, c.text) {
			t.Errorf("%v: exit code %d, want %d:\n%s", c.args, code, c.code, out)
		}
	}
}

func TestVerify_ProgressIsALine(t *testing.T) {
	for want, p := range map[string]verify.Progress{
		"reading: 7": {Stage: "reading", Done: 7},
		"[#####...............] reading: 25 of 100":  {Stage: "reading", Done: 25, Total: 100},
		"[####################] reading: 101 of 100": {Stage: "reading", Done: 101, Total: 100},
	} {
		if got := progressText(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	var b bytes.Buffer
	show, every := progressTo(&b)
	show(verify.Progress{Stage: "reading", Done: 1})
	if b.String() != "reading: 1\n" || every != 10*time.Second {
		t.Errorf("got %q every %s", b.String(), every)
	}
}
