package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"tailwater/internal/status"
)

// breakLake puts a file where the lake's directory was, and returns what puts
// it back.
func (r *shopRig) breakLake() (mend func()) {
	r.t.Helper()
	lake := filepath.Join(r.dir, "lake")
	if err := os.Rename(lake, lake+".away"); err != nil {
		r.t.Fatal(err)
	}
	// A worker may make the directory again in between.
	for {
		err := os.WriteFile(lake, []byte("a file in its place"), 0o600)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EISDIR) {
			r.t.Fatal(err)
		}
		if err := os.RemoveAll(lake); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			r.t.Fatal(err)
		}
	}
	return func() {
		r.t.Helper()
		if err := os.Remove(lake); err != nil {
			r.t.Fatal(err)
		}
		if err := os.Rename(lake+".away", lake); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestPipeline_StalledLakePausesReadersAtTheDiskLimitAndNothingIsDropped(t *testing.T) {
	t.Parallel()
	const limit = 16 << 20
	r := newShop(t, 2, 100)
	r.dense = true
	r.extra = "stream: { retention: { bytes: 16MiB } }\nlimits: { disk: 16MiB }\n"
	r.start()
	r.caughtUp()
	r.await("a first file", func(s status.Snapshot) bool { return s.Lake[0].Files > 0 && s.Lake[1].Files > 0 })
	mend := r.breakLake()
	for i := range 4 {
		r.commit(i%2, r.hugeTx(i%2, int64(i+1)*1_000_000, 50, 80<<10))
	}
	r.await("paused", func(s status.Snapshot) bool {
		return s.Stream.Paused && s.Shards[0].State == status.Paused && s.Shards[1].State == status.Paused
	})
	at := r.pipe.Snapshot()
	for _, want := range []string{"limits.disk", "sink"} {
		if !strings.Contains(at.Stream.Error, want) {
			t.Errorf("stream: %q does not say %q", at.Stream.Error, want)
		}
	}
	if at.Verdict != status.Degraded || status.Ready(at).Ready {
		t.Errorf("verdict %s, ready %+v, want degraded and not ready", at.Verdict, status.Ready(at))
	}
	r.metric("tailwater_stream_paused 1")
	if at.Stream.Bytes < limit || at.Stream.Bytes > limit+(24<<20) {
		t.Errorf("the stream holds %d MiB, want a little above the %d MiB allowed", at.Stream.Bytes>>20, limit>>20)
	}
	mend()
	r.await("going on", func(s status.Snapshot) bool { return !s.Stream.Paused && s.Verdict == status.OK })
	// And on, far beyond the limit.
	for i := range 3 {
		r.commit(i%2, r.hugeTx(i%2, int64(i+11)*1_000_000, 50, 80<<10))
	}
	r.drainAndCompare()
}

func TestPipeline_RedisThatIsAwayHoldsNothingElseBackAndEverySumIsThereAfterwards(t *testing.T) {
	for name, c := range map[string]struct{ empty bool }{"back with its data": {false}, "back empty": {true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := miniredis.NewMiniRedis()
			if err := m.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			addr := m.Addr()
			r := newShop(t, 2, 500)
			r.edit = func(text string) string {
				return strings.Replace(text, "windows:\n", "windows:\n  store: { type: redis, url: \"redis://"+addr+"/0\" }\n", 1)
			}
			r.start()
			end := r.background()
			r.await("windows", func(s status.Snapshot) bool { return s.Metrics[0].Flushes > 0 && s.Metrics[1].Flushes > 0 })
			m.Close()
			// The first error may be that the server hung up; the next names it.
			r.await("the metrics' errors", func(s status.Snapshot) bool {
				return strings.Contains(s.Metrics[0].Error, addr) && strings.Contains(s.Metrics[1].Error, addr)
			})
			s := r.pipe.Snapshot()
			if s.Verdict != status.Degraded {
				t.Errorf("verdict %s with %q, want degraded", s.Verdict, s.Metrics[0].Error)
			}
			r.metric(`tailwater_window_failed{metric="gmv"} 1`)
			r.await("the lake and the readers going on", func(now status.Snapshot) bool {
				return now.Lake[1].Rows > s.Lake[1].Rows+50 && now.Shards[0].Events > s.Shards[0].Events+50
			})
			if c.empty {
				m.FlushAll()
			}
			if err := m.Restart(); err != nil {
				t.Fatal(err)
			}
			r.await("the metrics going on", func(s status.Snapshot) bool { return s.Metrics[0].Error == "" && s.Metrics[1].Error == "" })
			end()
			r.drainAndCompare()
		})
	}
}

func TestPipeline_StartsWithoutRedisAndDrainsToIt(t *testing.T) {
	t.Parallel()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	addr := m.Addr()
	m.Close()
	r := newShop(t, 1, 300)
	r.edit = func(text string) string {
		return strings.Replace(text, "windows:\n", "windows:\n  store: { type: redis, url: \"redis://:very-secret@"+addr+"/0\" }\n", 1)
	}
	r.start()
	r.caughtUp()
	r.await("the metric's error", func(s status.Snapshot) bool { return strings.Contains(s.Metrics[0].Error, addr) })
	if s := r.pipe.Snapshot(); strings.Contains(s.Metrics[0].Error, "very-secret") {
		t.Errorf("the error shows the password: %s", s.Metrics[0].Error)
	}
	m.RequireAuth("very-secret")
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	r.await("merges", func(s status.Snapshot) bool { return s.Metrics[0].Error == "" && s.Metrics[0].Flushes > 0 })
	r.drainAndCompare()
}

func TestPipeline_DrainThatASinkHoldsUpEndsWithItsGraceAndNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	r := newShop(t, 1, 300)
	r.grace = 300 * time.Millisecond
	r.start()
	r.caughtUp()
	mend := r.breakLake()
	r.write(200 * time.Millisecond)
	r.caughtUp()
	r.await("the lake's error", func(s status.Snapshot) bool { return s.Lake[1].Error != "" })
	began := time.Now()
	r.stop()
	err := <-r.done
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the drain took %v with a grace of 300ms", took)
	}
	if err == nil || !strings.Contains(err.Error(), "lake of view orders") {
		t.Errorf("Run = %v, want what is left named", err)
	}
	if cerr := r.pipe.Close(); cerr != nil {
		t.Error(cerr)
	}
	mend()
	r.grace = 0
	r.start()
	r.drainAndCompare()
}
