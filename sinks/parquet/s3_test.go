package parquet

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tailwater/internal/objstore"
	"tailwater/internal/objstore/s3"
	"tailwater/internal/testenv"
)

// road is the way to an S3 server on which requests and replies are lost.
type road struct {
	mu    sync.Mutex
	rng   *rand.Rand
	proxy *httputil.ReverseProxy
	// bad is how many requests of a hundred go wrong.
	bad int
	// lost counts replies to writes that the server had obeyed.
	lost int
}

func newRoad(t *testing.T, to string, bad int) (r *road, endpoint string) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	r = &road{rng: rand.New(rand.NewPCG(7, 1)), bad: bad}
	r.proxy = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // it is signed
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

// ServeHTTP passes a request on, refuses it, or loses its reply.
func (r *road) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	roll := r.rng.IntN(100)
	kind := r.rng.IntN(4)
	r.mu.Unlock()
	if roll >= r.bad {
		r.proxy.ServeHTTP(w, req)
		return
	}
	if kind == 0 {
		_, _ = io.Copy(io.Discard, req.Body)
		http.Error(w, "slow down", http.StatusServiceUnavailable)
		return
	}
	reply := httptest.NewRecorder()
	if kind > 1 {
		r.proxy.ServeHTTP(reply, req)
	}
	if reply.Code == http.StatusOK && kind > 1 && req.Method == http.MethodPut {
		r.mu.Lock()
		r.lost++
		r.mu.Unlock()
	}
	if kind == 3 {
		w.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	panic(http.ErrAbortHandler)
}

func openBucket(t *testing.T, server *testenv.Server, endpoint string) objstore.Store {
	t.Helper()
	return openAt(t, server, endpoint, "lake")
}

func openPrefix(t *testing.T, server *testenv.Server, prefix string) objstore.Store {
	t.Helper()
	return openAt(t, server, server.URL, prefix)
}

func openAt(t *testing.T, server *testenv.Server, endpoint, prefix string) objstore.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), s3.Options{
		Bucket: server.Bucket, Prefix: prefix, Endpoint: endpoint, PathStyle: true, Attempts: 4, Backoff: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLakeOnS3_TwoWorkersOnABadRoadWriteEachRowOnceAndDuckDBReadsThem(t *testing.T) {
	const rows = 300
	server := testenv.S3(t)
	bad, endpoint := newRoad(t, server.URL, 25)
	f := newFixture(t)
	f.store = openBucket(t, server, server.URL)
	w := newWriter("00", f.print)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	var workers []*Worker
	var wg sync.WaitGroup
	for i := range 2 {
		o := f.options()
		o.Store = openBucket(t, server, endpoint)
		o.RollRows = 4 + 3*i
		wk := NewWorker(o)
		workers = append(workers, wk)
		wg.Go(func() { _ = wk.Run(ctx) }) // what it could not write at its end, the drain below does
	}
	for i := range rows {
		f.log.append(w.event(int32(i%2), day+int64(i%3)*3600e6, row0(i)))
	}
	for _, wk := range workers {
		f.await(t, wk, ctx)
	}
	cancel()
	wg.Wait()
	f.drain(t, f.options())
	f.wantIDs(t, "orders", rows)
	for b, err := range Committed(t.Context(), f.store, "orders", DefaultLayout) {
		if err != nil {
			t.Fatalf("batch %+v: %v", b.Manifest, err)
		}
	}
	if bad.lost == 0 {
		t.Error("no reply to a write was lost, want the test to lose some")
	}
	files := filepath.Join(server.DataDir, server.Bucket, "lake", "orders", "**", "*.parquet")
	got := testenv.DuckDB(t, fmt.Sprintf(`SELECT count(*)::VARCHAR AS n, count(DISTINCT id)::VARCHAR AS ids, count(DISTINCT hr)::VARCHAR AS dirs
		FROM read_parquet('%s', hive_partitioning=true)`, files))
	if want := fmt.Sprint(map[string]any{"n": "300", "ids": "300", "dirs": "3"}); len(got) != 1 || fmt.Sprint(got[0]) != want {
		t.Errorf("DuckDB reads %v, want %v", got, want)
	}
}

func TestLakeOnS3_AWorkerThatDiesInTheMiddleIsFinishedByTheNext(t *testing.T) {
	server := testenv.S3(t)
	f := newFixture(t)
	f.store = openBucket(t, server, server.URL)
	w := newWriter("00", f.print)
	for i := range 12 {
		f.log.append(w.event(int32(i%2), day+int64(i%3)*3600e6, row0(i)))
	}
	for step := 1; step <= 8; step++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		o := f.options()
		o.Store = &dying{Store: f.store, left: step, cancel: cancel, after: step%2 == 0}
		o.Grace = time.Millisecond
		_ = NewWorker(o).Run(ctx)
		cancel()
		f.log.append(w.event(int32(step%2), day, row0(11+step)))
	}
	f.drain(t, f.options())
	f.wantIDs(t, "orders", 20)
}
