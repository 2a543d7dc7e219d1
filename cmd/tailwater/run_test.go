package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// The table of exit codes in docs/operations.md says 3.
func TestRun_ABucketThatRefusesIsTheEnvironment(t *testing.T) {
	server := testenv.S3(t)
	t.Setenv("AWS_DEFAULT_REGION", "")
	for name, c := range map[string]struct {
		lake string
		env  map[string]string
		want string
	}{
		"not there": {fmt.Sprintf("url: s3://other, endpoint: %q, path_style: true", server.URL), nil, "bucket other does not exist"},
		"denied":    {fmt.Sprintf("url: s3://%s, endpoint: %q, path_style: true", server.Bucket, server.URL), map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS_SECRET_ACCESS_KEY"},
		"region":    {"url: s3://other", nil, "lake.region"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			path := filepath.Join(t.TempDir(), "tailwater.yaml")
			text := fmt.Sprintf(`version: 1
name: shop
state: { dir: state }
sources: { shop: { shards: { list: [{ name: a, host: 127.0.0.1, user: tw, password: pw }] }, server_id: 77 } }
tables: { t: { from: { source: shop, schema: s, table: t }, key: [id] } }
views: { t: { from: t } }
lake: { %s }
http: { listen: "127.0.0.1:0" }
`, c.lake)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, code := runVerbAsUsersSeeIt(t, newRootCommand(), "run", path)
			if code != exitEnvironment || !strings.Contains(out, c.want) {
				t.Errorf("run: exit code %d and %q, want %d and %q", code, out, exitEnvironment, c.want)
			}
		})
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if row := fmt.Sprintf("\n| %d | what is around refuses", exitEnvironment); !strings.Contains(string(page), row) {
		t.Errorf("docs/operations.md has no row %q", row)
	}
}

// A cluster that does not answer is what is around, as a bucket is.
func TestRun_BrokersThatDoNotAnswerAreTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tailwater.yaml")
	text := `version: 1
name: shop
state: { dir: state }
sources: { shop: { shards: { list: [{ name: a, host: 127.0.0.1, user: tw, password: pw }] }, server_id: 77 } }
tables: { t: { from: { source: shop, schema: s, table: t }, key: [id] } }
views: { t: { from: t } }
stream: { type: kafka, brokers: ["127.0.0.1:1"], connect: { timeout: 500ms } }
http: { listen: "127.0.0.1:0" }
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := runVerbAsUsersSeeIt(t, newRootCommand(), "run", path)
	if code != exitEnvironment || !strings.Contains(out, "stream.brokers") {
		t.Errorf("run: exit code %d and %q, want %d and stream.brokers", code, out, exitEnvironment)
	}
}
