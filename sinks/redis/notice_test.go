package redis

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"tailwater/internal/standstill"
	"tailwater/windowing"
)

func TestRunner_BucketsOfAMetricWaitAndGoOnInOneLineEach(t *testing.T) {
	var out strings.Builder
	logger := slog.New(slog.NewTextHandler(&out, nil))
	notice := standstill.New(Waits(logger, "n"))
	var runners []*runner
	for _, b := range bucketsOf(4) {
		runners = append(runners, &runner{o: &WorkerOptions{Logger: logger}, notice: notice, t: &table{b: b, tag: b.tag("n")}})
	}
	for _, why := range []string{"dial tcp: refused", "read tcp: reset", "dial tcp: refused"} {
		for _, r := range runners {
			r.report(errors.New(why))
		}
	}
	for _, r := range runners {
		r.merged(totals{}, 0)
	}
	got := out.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, `msg="metric waits" metric=n error="dial tcp: refused"`) || !strings.Contains(got, `msg="metric goes on" metric=n `) {
		t.Errorf("log =\n%swant that it waits, and that it goes on", got)
	}
	if status := runners[3].status; status.LastError != "" {
		t.Errorf("last error = %q, want none once it goes on", status.LastError)
	}
}

func TestLatest_SaysOnceThatItsWindowsBeginLater(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(3)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Partitions = 3 })
		l.shard("00").beat(50)
		h := b.hand(l, m)
		var out strings.Builder
		for _, r := range h.all {
			r.o.Logger = slog.New(slog.NewTextHandler(&out, nil))
		}
		h.load()
		if got := out.String(); strings.Count(got, "older windows are not kept") != 1 || !strings.Contains(got, "partitions=\"[0 1 2]\"") {
			b.Errorf("log =\n%swant one line about all partitions", got)
		}
	})
}

func TestWorker_BucketsThatCatchUpSayItOnceEach(t *testing.T) {
	var out strings.Builder
	w := &Worker{o: WorkerOptions{Logger: slog.New(slog.NewTextHandler(&out, nil))}, behind: map[string]int{}}
	m := &windowing.Metric{Definition: windowing.Definition{Name: "n"}}
	for _, step := range []int{1, -1} {
		for _, b := range bucketsOf(4) {
			w.catching(&runner{t: &table{m: m, b: b, tag: b.tag("n")}}, step)
		}
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `catches up by itself" metric=n`) || !strings.Contains(got, `caught up" metric=n`) {
		t.Errorf("log =\n%swant that the metric catches up, and that it has", got)
	}
}
