package status

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

type fixed Snapshot

func (f fixed) Snapshot() Snapshot { return Snapshot(f) }

func sample() Snapshot {
	return Snapshot{
		Name: "shop", Version: "1.2.3",
		Shards: []Shard{
			{Source: "orders", Shard: "00", State: Streaming, Connected: true, Rows: 7, LastEvent: time.Unix(1000, 0)},
			{Source: "orders", Shard: "01", State: Stopped, Error: "table orders_1 was truncated"},
		},
		Metrics: []Metric{{Metric: "gmv", View: "orders", Closed: 3, Watermark: time.Unix(900, 0)}},
		Lake:    []Lake{{View: "orders", Layout: "default", Rows: 7}},
		Stream:  Stream{Type: "kafka", Held: []Held{{Topic: "tw.shop.orders", Partition: 3, Stable: 5, End: 9, Shard: "01"}}},
	}
}

// serve runs a server and returns its base URL.
func serve(t *testing.T, o ServerOptions) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listener, o.Log = l, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(o).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

func do(t *testing.T, method, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServer_ServesStatusHealthAndMetrics(t *testing.T) {
	base := serve(t, ServerOptions{Source: fixed(sample())})
	code, body := do(t, "GET", base+"/api/v1/status", "")
	var got Snapshot
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 || len(got.Shards) != 2 || got.Shards[1].State != Stopped || len(got.Stream.Held) != 1 || !got.Stream.Held[0].Same(sample().Stream.Held[0]) {
		t.Errorf("status = %d, %v, %s", code, err, body)
	}
	if code, body := do(t, "GET", base+"/-/healthy", ""); code != 200 || body != "ok\n" {
		t.Errorf("healthy = %d %q, want 200 ok", code, body)
	}
	code, body = do(t, "GET", base+"/metrics", "")
	if code != 200 {
		t.Errorf("metrics = %d, want 200", code)
	}
	for _, want := range []string{
		`tailwater_source_state{shard="01",source="orders",state="stopped"} 1`,
		`tailwater_source_state{shard="01",source="orders",state="streaming"} 0`,
		`tailwater_source_rows_total{shard="00",source="orders"} 7`,
		`tailwater_source_last_event_timestamp_seconds{shard="00",source="orders"} 1000`,
		`tailwater_windows_closed_total{metric="gmv"} 3`,
		`tailwater_stream_held_partitions 1`,
		`tailwater_build_info{go=`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(body, `tailwater_source_last_event_timestamp_seconds{shard="01"`) {
		t.Error("a shard without an event has a time of one")
	}
}

func TestServer_UnknownPathIsAProblemWithAWayOut(t *testing.T) {
	base := serve(t, ServerOptions{Source: fixed(sample())})
	code, body := do(t, "GET", base+"/nope", "")
	var p Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || code != 404 || p.Code != "not_found" || p.Suggestion == "" {
		t.Errorf("GET /nope = %d %s, want a problem with a suggestion", code, body)
	}
}

func TestServer_PostsNeedTheToken(t *testing.T) {
	var called string
	base := serve(t, ServerOptions{Source: fixed(sample()), Token: "0123456789abcdef", Actions: map[string]Action{
		"shards/{shard}/retry": func(r *http.Request) (any, error) {
			switch called = r.PathValue("shard"); called {
			case "00":
				return nil, nil
			case "boom":
				return nil, errors.New("no")
			}
			return nil, &Problem{Status: 404, Title: "no such shard", Code: "no_shard", Detail: called}
		},
	}})
	for _, c := range []struct {
		path, token string
		want        int
		called      string
	}{
		{"shards/00/retry", "", 401, ""},
		{"shards/00/retry", "wrong", 401, ""},
		{"shards/00/retry", "0123456789abcdef", 202, "00"},
		{"shards/99/retry", "0123456789abcdef", 404, "99"},
		{"shards/boom/retry", "0123456789abcdef", 500, "boom"},
	} {
		called = ""
		code, body := do(t, "POST", base+"/api/v1/"+c.path, c.token)
		if code != c.want || called != c.called {
			t.Errorf("POST %s with token %q = %d, called %q, want %d, %q: %s", c.path, c.token, code, called, c.want, c.called, body)
		}
	}
	if code, _ := do(t, "GET", base+"/api/v1/shards/00/retry", "0123456789abcdef"); code != 404 && code != 405 {
		t.Errorf("GET of an action = %d, want 404 or 405", code)
	}
}

func TestServer_WithoutATokenEveryPostIsRefused(t *testing.T) {
	base := serve(t, ServerOptions{Source: fixed(sample()), Actions: map[string]Action{"x": func(*http.Request) (any, error) { return nil, nil }}})
	if code, _ := do(t, "POST", base+"/api/v1/x", ""); code != 401 {
		t.Errorf("POST = %d, want 401", code)
	}
}

func TestServer_SurvivesGarbage(t *testing.T) {
	base := serve(t, ServerOptions{Source: fixed(sample())})
	for _, garbage := range []string{"\x00\x01\x02\xff\xfe\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", strings.Repeat("A", 200_000) + "\r\n\r\n"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, garbage)
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	// Whoever connects and says nothing takes no more than there is room for.
	for range 2 * maxClients {
		c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if code, _ := do(t, "GET", base+"/-/healthy", ""); code != 200 {
		t.Errorf("healthy after garbage = %d, want 200", code)
	}
}

func TestReady_AsksForProgressNotForAProcess(t *testing.T) {
	s := sample()
	if r := Ready(s); !r.Ready || len(r.NotReady) != 1 || !strings.Contains(r.NotReady[0], "01") {
		t.Errorf("one of two shards streams: %+v, want ready, shard 01 named", r)
	}
	s.Metrics[0].Error = "redis is read-only"
	if r := Ready(s); r.Ready || !strings.Contains(strings.Join(r.NotReady, ";"), "gmv") {
		t.Errorf("metric in error: %+v, want not ready, gmv named", r)
	}
	s = sample()
	s.Shards = s.Shards[1:]
	if r := Ready(s); r.Ready {
		t.Errorf("no shard streams: %+v, want not ready", r)
	}
	s = sample()
	s.Stream.Paused = true
	if r := Ready(s); r.Ready {
		t.Errorf("stream paused: %+v, want not ready", r)
	}
}

// Others have the shards, or there are none: nothing is wanting here.
func TestReady_WhoStandsByIsReady(t *testing.T) {
	s := sample()
	s.Shards = nil
	if r := Ready(s); !r.Ready {
		t.Errorf("without shards: %+v, want ready", r)
	}
	s.Shards = []Shard{{Shard: "00", State: Elsewhere, Owner: "db1:7"}}
	if r := Ready(s); !r.Ready || len(r.NotReady) > 0 {
		t.Errorf("the shard is elsewhere: %+v, want ready", r)
	}
	s.Shards = append(s.Shards, Shard{Shard: "01", State: Waiting})
	if r := Ready(s); r.Ready {
		t.Errorf("nobody has said whose shard 01 is: %+v, want not ready", r)
	}
}

func TestLatency_QuantilesAreWithinTwoPercent(t *testing.T) {
	var l Latency
	if q := l.Quantiles(); q != (Quantiles{}) {
		t.Errorf("empty: %+v, want zeros", q)
	}
	for i := 1; i <= 1000; i++ {
		l.Observe(time.Duration(i)*time.Millisecond, 1)
	}
	l.Observe(-time.Second, 1)
	l.Observe(time.Second, 0)
	q := l.Quantiles()
	if q.Count != 1001 || q.P50 < 499 || q.P50 > 512 || q.P99 < 989 || q.P99 > 1000 || q.Max != 1000 {
		t.Errorf("quantiles of 1..1000 ms = %+v, want p50 about 500, p99 about 990, max 1000", q)
	}
	l.Observe(1000*time.Hour, 1)
	if q := l.Quantiles(); q.Max != 3.6e9 {
		t.Errorf("max after 1000 h = %v ms, want 3.6e9", q.Max)
	}
}
