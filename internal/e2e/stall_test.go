package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary/shop"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
)

// disk is a small file system of its own.
type disk struct {
	t   *testing.T
	dir string
}

// newDisk mounts a file system of so many MiB at dir, which takes root.
func newDisk(t *testing.T, dir string, mib int) *disk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tailwater-e2e", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount a small disk at %s, as root: %v\n%s", dir, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %v\n%s", dir, err, out)
		}
	})
	return &disk{t: t, dir: dir}
}

func (d *disk) ballast() string { return filepath.Join(d.dir, ".ballast") }

// fill takes all the room that is left.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 4096)
	for {
		if _, err := f.Write(b); err != nil {
			return
		}
	}
}

// free gives it back.
func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.t.Fatal(err)
	}
}

// seen waits until a status is as ok wants it.
func (l *life) seen(what string, ok func(*status.Snapshot) bool) {
	l.t.Helper()
	testenv.Wait(l.t, time.Minute, what+"; see "+l.log, func() error {
		s, err := l.status()
		if err != nil {
			return err
		}
		if !ok(s) {
			return fmt.Errorf("metrics %+v, lake %+v, stream %+v, shards %s", s.Metrics, s.Lake, s.Stream, faultsOf(s))
		}
		return nil
	})
}

// metrics is the page of metrics.
func (l *life) metrics() string {
	l.t.Helper()
	r, err := l.runFile()
	if err != nil {
		l.t.Fatal(err)
	}
	resp, err := l.http.Get("http://" + r.HTTP + "/metrics")
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// E2E_STALL is how long the sinks stand still.
func stallTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("E2E_STALL")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("E2E_STALL: %v", err)
	}
	return d
}

func TestRun_SinksThatStandStillAreShownHoldNothingUpAndHeal(t *testing.T) {
	r := newRig(t, rigOptions{shards: 12, shop: shop.Options{Seed: 5, Rate: 400, HistoryTxs: 20}})
	lake := newDisk(t, r.lake(), 64)
	l := r.program.start()
	r.goLive()
	l.streaming(r.ids()...)
	r.grown(300)
	r.redis.Pause(t)
	lake.fill()
	began := time.Now()
	l.seen("the lake and the metrics to say that they stand still", func(s *status.Snapshot) bool {
		for i := range s.Lake {
			if !strings.Contains(s.Lake[i].Error, "no space left") || !strings.Contains(s.Lake[i].Error, r.lake()) {
				return false
			}
		}
		return len(s.Lake) > 0 && s.Metrics[0].Error != "" && s.Metrics[0].Behind > 0 && s.Verdict != status.OK
	})
	testenv.Wait(t, 2*stallTime(t), "the stall to pass", func() error {
		if gone := time.Since(began); gone < stallTime(t) {
			return fmt.Errorf("%v have passed", gone)
		}
		return nil
	})
	// All the while the readers have read.
	r.grown(200)
	l.streaming(r.ids()...)
	page := l.metrics()
	for _, want := range []string{"tailwater_window_failed{metric=\"gmv\"} 1", "tailwater_lake_failed{layout=\"default\",view=\"orders\"} 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics does not say %s", want)
		}
	}
	r.redis.Resume(t)
	lake.free()
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	l.seen("windows and lake to go on", func(s *status.Snapshot) bool { return faultsOf(s) == "" })
	r.verified()
	l.drain()
	r.balanced()
}

func TestRun_AFullStateDirectoryIsNamedAndHeals(t *testing.T) {
	r := small(t)
	state := newDisk(t, r.program.state, 48)
	l := r.program.start()
	l.caughtUp(time.Minute, r.byID())
	state.fill()
	r.goLive()
	r.grown(400)
	l.seen("the state directory to be named", func(s *status.Snapshot) bool {
		return strings.Contains(l.text(), "the disk of "+state.dir)
	})
	r.grown(200)
	state.free()
	r.rest()
	l.caughtUp(time.Minute, r.byID())
	r.verified()
	l.drain()
	r.balanced()

	// A start on a disk that is full says so, and goes on when there is room.
	state.fill()
	l = r.program.start()
	testenv.Wait(t, 30*time.Second, "the full disk to be named; see "+l.log, func() error {
		if !strings.Contains(l.text(), "the disk of "+state.dir) {
			return errors.New("nothing names it")
		}
		return nil
	})
	state.free()
	l.caughtUp(time.Minute, r.byID())
	l.drain()
	r.balanced()
}
