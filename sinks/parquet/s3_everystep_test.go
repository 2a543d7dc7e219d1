package parquet

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/objstore"
	"tailwater/internal/testenv"
)

// toll is a road on which request number at meets a fault, and no other.
type toll struct {
	*road
	mu     sync.Mutex
	n, at  int
	fault  int
	struck string
}

// The faults of a toll.
const (
	slowDown  = iota // 503, and nothing was done
	cutBefore        // the connection breaks before the server hears of it
	cutAfter         // the server obeys, and the connection breaks
	timeOut          // the server obeys, and a gateway answers in its place
	conflict         // 409: another writer is at the key
	tollFaults
)

func (r *toll) set(at, fault int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n, r.at, r.fault, r.struck = 0, at, fault, ""
}

func (r *toll) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.n++
	here, fault := r.n == r.at, r.fault
	if here {
		r.struck = req.Method
	}
	r.mu.Unlock()
	if !here || fault == conflict && req.Method != http.MethodPut {
		r.proxy.ServeHTTP(w, req)
		return
	}
	switch fault {
	case cutAfter, timeOut:
		r.proxy.ServeHTTP(httptest.NewRecorder(), req)
	default:
		_, _ = io.Copy(io.Discard, req.Body)
	}
	switch fault {
	case slowDown:
		http.Error(w, "slow down", http.StatusServiceUnavailable)
	case timeOut:
		w.WriteHeader(http.StatusGatewayTimeout)
	case conflict:
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `<Error><Code>ConditionalRequestConflict</Code><Message>try again</Message></Error>`)
	default:
		panic(http.ErrAbortHandler)
	}
}

// A request of a lake's worker to a real S3 server is refused, cut off, obeyed
// without a reply, or meets another writer, whichever request it is. The worker
// goes on, or the next one does; whoever reads committed batches sees whole ones,
// and DuckDB finds every row once.
func TestHazard_B20_AFaultAtEveryRequestToS3(t *testing.T) {
	const rows = 10
	server := testenv.S3(t)
	passing, _ := newRoad(t, server.URL, 0)
	way := &toll{road: passing}
	proxy := httptest.NewServer(way)
	t.Cleanup(proxy.Close)
	f := newFixture(t)
	w := newWriter("00", f.print)
	for i := range rows {
		f.log.append(w.event(int32(i%2), day+int64(i%3)*3600e6, row0(i)))
	}
	life := func(s objstore.Store) error {
		o := f.options()
		o.Store, o.RollRows, o.RollEvery = s, 3, time.Hour
		return live(t.Context(), NewWorker(o), 1000, maxDirs)
	}
	stride := 4
	if os.Getenv(everyPair) != "" {
		stride = 1
	}
	runs := 0
	for fault := range tollFaults {
		for at := 1 + fault%stride; ; at += stride {
			prefix := fmt.Sprintf("run-%d", runs)
			direct := openPrefix(t, server, prefix)
			way.set(0, 0)
			bad := openAt(t, server, proxy.URL, prefix)
			way.set(at, fault)
			err := life(bad)
			struck := way.struck
			if _, rerr := committed(t, direct); rerr != nil {
				t.Errorf("a reader in between: %v", rerr)
			}
			if err != nil && !errors.Is(err, objstore.ErrConflict) && !strings.Contains(err.Error(), "lake") && !strings.Contains(err.Error(), prefix) && !strings.Contains(err.Error(), "_tailwater") {
				t.Errorf("the error %q names no place", err)
			}
			if err := life(direct); err != nil {
				t.Errorf("the next worker: %v", err)
			}
			if ids, err := committed(t, direct); err != nil || len(ids) != rows {
				t.Errorf("committed are the rows %v, %v, want %d", ids, err, rows)
			}
			if runs++; t.Failed() {
				t.Fatalf("request %d, a %s, fault %d", at, struck, fault)
			}
			if struck == "" {
				break
			}
		}
	}
	got := testenv.DuckDB(t, fmt.Sprintf(`WITH run AS (SELECT regexp_extract(filename, '/run-([0-9]+)/orders/', 1) AS run, count(*) AS n, count(DISTINCT id) AS ids
		FROM read_parquet('%s/*/orders/**/*.parquet', filename=true, union_by_name=true) GROUP BY 1)
		SELECT min(n)::VARCHAR AS least, max(n)::VARCHAR AS most, min(ids)::VARCHAR AS ids, count(*)::VARCHAR AS runs FROM run`, filepath.Join(server.DataDir, server.Bucket)))
	if want := fmt.Sprint(map[string]any{"least": "10", "most": "10", "ids": "10", "runs": fmt.Sprint(runs)}); len(got) != 1 || fmt.Sprint(got[0]) != want {
		t.Errorf("DuckDB reads %v, want %v", got, want)
	}
	t.Logf("%d runs", runs)
}
