package pipeline_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
)

// post sends an authenticated POST to the rig's pipeline, which must take it.
func post(r *shopRig, path string) {
	r.t.Helper()
	if code, body := ask(r, path, nil); code != http.StatusAccepted {
		r.t.Errorf("POST %s = %d %s, want 202", path, code, body)
	}
}

// ask sends an authenticated POST, with a form or nil, to the rig's pipeline and
// returns the answer.
func ask(r *shopRig, path string, form url.Values) (code int, body string) {
	r.t.Helper()
	token, err := os.ReadFile(filepath.Join(r.dir, "state", pipeline.TokenFile))
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.pipe.HTTPAddr()+"/api/v1/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// caughtUpOnce waits until every shard has published something.
func (r *shopRig) caughtUpOnce() {
	r.t.Helper()
	r.await("events of every shard", func(s status.Snapshot) bool {
		for i := range s.Shards {
			if s.Shards[i].Events == 0 {
				return false
			}
		}
		return true
	})
}

// metric wants a line of the metrics page.
func (r *shopRig) metric(line string) {
	r.t.Helper()
	resp, err := http.Get("http://" + r.pipe.HTTPAddr() + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(string(page), line+"\n") {
		r.t.Errorf("the metrics page has no line %s", line)
	}
}
