package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tailwater/stream"
	"tailwater/windowing"
)

// The schedules are random and seeded: two workers that own partitions by
// turns, two metrics at positions of their own, replies that are lost, scripts
// that land late, stores that lose their newest writes or everything,
// duplicates in the log, silent shards, clocks that step back, and records
// that the log has already dropped. After every step each metric must equal
// the fold of the log up to its stored positions. Of a wide metric every bucket
// takes steps of its own, and what readers see must be what the buckets have.

const (
	scheduleSteps = 70
	miniSchedules = 40
	realSchedules = 15
)

// schedule is one run.
type schedule struct {
	b       *bench
	rng     *rand.Rand
	log     *fakeLog
	shown   []int64 // what of each partition is in the log already
	metrics []*windowing.Metric
	workers [2]map[*windowing.Metric][]*hand // by bucket
	owned   [2][2]bool
	late    []lateScript
	past    []image
	trace   []string
	// published remembers every (metric, window, revision) with its content.
	published map[string]string
	stats     map[string]int
}

// lateScript is a merge that was sent and not yet run.
type lateScript struct {
	names []string
	args  []any
}

func TestProtocol_RandomSchedulesAreExactAtEveryState(t *testing.T) {
	total := map[string]int{}
	run := func(n, buckets int) func(b *bench) {
		return func(b *bench) {
			b.buckets = buckets
			for seed := range uint64(n) {
				b.client.FlushAll(context.Background())
				s := newSchedule(b, seed)
				s.run()
				for k, v := range s.stats {
					total[k] += v
				}
			}
		}
	}
	t.Run("miniredis", func(t *testing.T) { onMini(t, run(miniSchedules, 1)) })
	t.Run("miniredis, 3 buckets", func(t *testing.T) { onMini(t, run(miniSchedules/2, 3)) })
	t.Run("redis", func(t *testing.T) { run(realSchedules, 1)(newBench(t, nil, realRedis(t))) })
	t.Run("redis, 3 buckets", func(t *testing.T) { run(realSchedules/2, 3)(newBench(t, nil, realRedis(t))) })
	for _, what := range []string{"merged", "refused", "lost reply", "landed late", "rollback", "flushall", "trimmed", "gap", "complete", "incomplete", "latest", "together"} {
		if total[what] == 0 {
			t.Errorf("no schedule had a %q: %v", what, total)
		}
	}
	t.Log(total)
}

func newSchedule(b *bench, seed uint64) *schedule {
	s := &schedule{
		b: b, rng: rand.New(rand.NewPCG(seed, 7)), log: newFakeLog(2), shown: []int64{0, 0},
		published: map[string]string{}, stats: map[string]int{}, trace: []string{fmt.Sprintf("seed %d", seed)},
	}
	onLate := []windowing.OnLate{windowing.Revise, windowing.Drop}[s.rng.IntN(2)]
	wait := []time.Duration{0, 15 * time.Second}[s.rng.IntN(2)]
	kind := s.rng.IntN(4)
	rows := []windowing.Rows{windowing.Changes, windowing.Inserts}[kind%2]
	aggregates := []string{"sum(amount)", "count()", "avg(amount)", "min(amount)", "max(at)", "max(amount)", "min(city)"}
	for i, at := range s.rng.Perm(len(aggregates))[:2] {
		agg := aggregates[at]
		s.metrics = append(s.metrics, b.metric(func(d *windowing.Definition) {
			d.Name, d.Aggregate, d.Rows, d.OnLate, d.WaitForShards = fmt.Sprintf("m%d", i), agg, rows, onLate, wait
			d.Retain, d.WriteDelay = 40*time.Second, 30*time.Second
			if kind > 1 {
				d.Time = "at"
			}
			if kind == 3 {
				dated(d)
			}
		}))
	}
	for w := range s.workers {
		s.workers[w] = map[*windowing.Metric][]*hand{}
		for _, m := range s.metrics {
			for number := range m.Buckets {
				s.workers[w][m] = append(s.workers[w][m], b.handOf(s.log, m, number))
			}
		}
	}
	s.owned[0] = [2]bool{true, true}
	s.fill()
	return s
}

// fill writes the whole log; steps show more and more of it.
func (s *schedule) fill() {
	shards := []*fakeShard{s.log.shard("00"), s.log.shard("01")}
	rows := []*history{{rng: s.rng}, {rng: s.rng}}
	now := []float64{100 + s.rng.Float64()*4, 100 + s.rng.Float64()*4}
	silent, from, length := s.rng.IntN(5), 2+s.rng.IntN(4), 1+s.rng.IntN(4)
	for _, sh := range shards {
		sh.beat(85) // rows that are taken back are kept from behind this on
	}
	for step := range 8 {
		for i, sh := range shards {
			if i == silent && step >= from && step < from+length {
				continue
			}
			now[i] += []float64{0, 1, 3, 6, 11}[s.rng.IntN(5)]
			for range 1 + s.rng.IntN(2) {
				at := now[i]
				if s.rng.IntN(7) == 0 {
					at -= []float64{12, 25}[s.rng.IntN(2)] // its clock stepped back
				}
				for _, r := range rows[i].change(sh, at) {
					if s.rng.IntN(4) == 0 {
						s.log.append(r.Partition, r) // written again by a retry or a zombie
					}
				}
			}
			for p := range int32(2) {
				if s.rng.IntN(10) < 7 {
					sh.heartbeat(p, now[i])
				}
			}
			if s.rng.IntN(12) == 0 {
				sh.fence()
			}
		}
	}
	for range 2 {
		now[0] = max(now[0], now[1]) + 60
		now[1] = now[0]
		for i, sh := range shards {
			sh.beat(now[i])
		}
	}
}

func (s *schedule) run() {
	s.b.Helper()
	for range scheduleSteps {
		s.act()
		s.check()
	}
	s.finish()
}

// act takes one random step.
func (s *schedule) act() {
	w := s.rng.IntN(2)
	m := s.metrics[s.rng.IntN(2)]
	switch x := s.rng.IntN(100); {
	case x < 22:
		p := s.rng.IntN(2)
		s.shown[p] = min(s.log.end(int32(p)), s.shown[p]+1+int64(s.rng.IntN(5)))
		s.note("show %d to %d", p, s.shown[p])
	case x < 27:
		p := s.rng.IntN(2)
		s.owned[w][p] = !s.owned[w][p]
		for _, h := range s.workers[w][m] {
			h.r.detach(nil, 0)
		}
		s.note("worker %d owns %v", w, s.owned[w])
	case x < 82:
		for _, h := range s.workers[w][m] {
			if m.Buckets == 1 || s.rng.IntN(5) > 0 {
				s.work(w, h)
			}
		}
	case x < 88 && len(s.late) > 0:
		i := s.rng.IntN(len(s.late))
		q := s.late[i]
		s.late = slices.Delete(s.late, i, i+1)
		reply, err := s.b.store.run(context.Background(), flushScript, q.names, q.args)
		s.note("late script: %v %v", reply, err)
		s.stats["landed late"]++
	case x < 92 && len(s.past) > 0:
		i := s.rng.IntN(len(s.past))
		s.b.restore(s.past[i])
		s.past = s.past[:i]
		s.note("rollback")
		s.stats["rollback"]++
	case x < 93:
		s.b.client.FlushAll(context.Background())
		s.b.tick()
		s.past = nil
		s.note("flushall")
		s.stats["flushall"]++
	case x < 95:
		p := int32(s.rng.IntN(2))
		s.log.trim(p, min(s.shown[p], s.log.first[p]+4, s.log.end(p)-4))
		for _, workers := range s.workers {
			for _, hands := range workers {
				for _, h := range hands {
					h.r.detach(nil, 0)
				}
			}
		}
		s.note("trim %d to %d", p, s.log.first[p])
		s.stats["trimmed"]++
	}
}

// work loads, or folds a little and sends it one way or another.
func (s *schedule) work(w int, h *hand) {
	if s.owned[w] == [2]bool{} {
		return
	}
	if !h.r.loaded {
		err := h.tryLoad()
		s.note("worker %d loads %s: %v", w, h.r.t.tag, err)
		return
	}
	for p := range int32(2) {
		if next, ok := h.r.fold.Next(p); ok && s.owned[w][p] {
			h.fold(p, min(int64(s.rng.IntN(6)), s.shown[p]-next))
		}
	}
	d := s.mine(w, h.r.fold.Cut())
	switch s.rng.IntN(8) {
	case 0: // sent, and not yet run; the worker gives up
		names, args := h.r.t.batch(d, h.r.need)
		s.late = append(s.late, lateScript{slices.Clone(names), slices.Clone(args)})
		h.r.detach(nil, 0)
		s.note("worker %d sends %s late", w, h.r.t.tag)
	case 1: // run, and the reply is lost
		_, err := h.r.t.merge(context.Background(), d, h.r.need)
		h.r.detach(nil, 0)
		s.note("worker %d merges %s, reply lost: %v", w, h.r.t.tag, err)
		s.stats["lost reply"]++
	default:
		err := h.tryFlush()
		s.note("worker %d merges %s: %v", w, h.r.t.tag, err)
		switch {
		case err == nil:
			s.stats["merged"]++
		case errors.Is(err, errRefused):
			s.stats["refused"]++
		default:
			s.b.Fatalf("merge: %v\n%v", err, s.trace)
		}
	}
}

// mine leaves out the partitions that the worker does not own: it says
// nothing about them, not even where they should stand.
func (s *schedule) mine(w int, d *windowing.Deltas) *windowing.Deltas {
	d.Steps = slices.DeleteFunc(d.Steps, func(st windowing.Step) bool { return !s.owned[w][st.Partition] && !st.Moved() })
	return d
}

func (s *schedule) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *schedule) check() {
	s.b.Helper()
	for _, m := range s.metrics {
		for number, st := range bookkeeping(s.b, s.b.store, m) {
			if m.Rows != windowing.Latest || !st.exists {
				continue
			}
			s.stats["latest"]++
			if n, _ := s.b.client.HGet(context.Background(), s.b.store.table(m, number).keys.state(), "negatives").Int(); n > 0 {
				s.b.Fatalf("metric %s, bucket %d: rows were taken back that never came\n%s", m.Name, number, s.story())
			}
		}
		if diff := inexact(s.b, s.b.store, s.log, m); diff != "" {
			s.b.Fatalf("metric %s: %s\n%s", m.Name, diff, s.story())
		}
		for number := range m.Buckets {
			s.checkClosed(m, number)
		}
		if m.Buckets > 1 {
			s.checkTogether(m)
		}
	}
	if s.rng.IntN(3) == 0 {
		if s.past = append(s.past, s.b.snapshot()); len(s.past) > 4 {
			s.past = s.past[1:]
		}
	}
}

func (s *schedule) story() string {
	out := ""
	for _, line := range s.trace {
		out += line + "\n"
	}
	for p, records := range s.log.parts {
		for _, r := range records {
			out += fmt.Sprintf("%d/%d %c %s %s n=%d wm=%d %s\n", p, r.Offset, r.Kind, r.Shard, r.LSN, r.N, r.Watermark, r.Value)
		}
	}
	return out
}

// checkClosed looks for windows that are called complete while an event that
// is in time still lies ahead, and for revisions used twice.
func (s *schedule) checkClosed(m *windowing.Metric, number int) {
	s.b.Helper()
	ctx := context.Background()
	name := bucket{number, m.Buckets}.tag(m.Name)
	infos, err := s.b.store.Windows(ctx, name, 0)
	if err != nil {
		s.b.Fatal(err)
	}
	st := bookkeeping(s.b, s.b.store, m)[number]
	ahead := s.ahead(m, number, st)
	_, announced := s.b.events(name)
	for _, info := range infos {
		start := info.Start.Unix()
		if info.Complete {
			s.stats["complete"]++
			if start >= st.floor && ahead[start] {
				s.b.Fatalf("metric %s: window %d is complete, and an event in time lies ahead\n%s", name, start, s.story())
			}
		} else if info.State == StateClosed || info.State == StateRevised {
			s.stats["incomplete"]++
		}
		if info.State == StateLost {
			s.stats["gap"]++
		}
		if info.State == StateClosed || info.State == StateRevised {
			w := s.onceOnly(name, info)
			if got := announced[fmt.Sprint(start)]; got != fmt.Sprint(w.Revision) {
				s.b.Fatalf("metric %s: window %d has revision %d, and its last event says %q\n%s", name, start, w.Revision, got, s.story())
			}
		}
	}
}

// onceOnly reads a published window, and looks whether its revision ever had
// another content.
func (s *schedule) onceOnly(name string, info WindowInfo) *Window {
	s.b.Helper()
	w, err := s.b.store.Window(context.Background(), name, info.Start)
	if err != nil {
		s.b.Fatal(err)
	}
	key := fmt.Sprint(name, info.Start.Unix(), w.Revision)
	content := fmt.Sprint(w.Values, w.Complete, w.Missing)
	if before, ok := s.published[key]; ok && before != content {
		s.b.Fatalf("metric %s: revision %d of window %d has two contents: %s and %s\n%s", name, w.Revision, info.Start.Unix(), before, content, s.story())
	}
	s.published[key] = content
	return w
}

// checkTogether does for what readers see of a wide metric what checkClosed does
// for a bucket.
func (s *schedule) checkTogether(m *windowing.Metric) {
	s.b.Helper()
	infos, err := s.b.store.Windows(context.Background(), m.Name, 0)
	if err != nil {
		s.b.Fatal(err)
	}
	for _, info := range infos {
		if info.State == StateClosed || info.State == StateRevised {
			s.onceOnly(m.Name, info)
		}
		for number, st := range bookkeeping(s.b, s.b.store, m) {
			start := info.Start.Unix()
			if info.Complete && start >= st.floor && s.ahead(m, number, st)[start] {
				s.b.Fatalf("metric %s: window %d is complete, and an event in time lies ahead of bucket %d\n%s", m.Name, start, number, s.story())
			}
		}
		if info.Complete {
			s.stats["together"]++
		}
	}
}

// ahead returns the windows of events of a bucket that are in time and lie behind
// its stored positions.
func (s *schedule) ahead(m *windowing.Metric, number int, st *stored) map[int64]bool {
	out := map[int64]bool{}
	for p, records := range s.log.parts {
		marks := map[string]oracleMark{}
		for _, r := range records {
			mark, low := marks[r.Shard], oracleLow(marks, m.Shards)
			if lsn := r.LSN.String(); lsn < mark.lsn || r.Kind == stream.Event && lsn == mark.lsn {
				continue
			}
			marks[r.Shard] = oracleMark{r.LSN.String(), max(mark.wm, r.Watermark)}
			if r.Kind != stream.Event || r.Offset < st.positions[p].Offset {
				continue
			}
			e := oracleEvent(s.b, r.Value)
			at, ok := oracleTime(s.b, m, e)
			start := at / 10 * 10
			if ok && oracleBucket(oracleGroup(m, e), m) == number && (start+10)*1e6 > low {
				out[start] = true
			}
		}
	}
	return out
}

// finish lets one worker read everything to the end: nothing may be stuck. It
// rests before the last watermarks, which end what is kept.
func (s *schedule) finish() {
	s.b.Helper()
	s.owned[0] = [2]bool{true, true}
	for _, before := range []int64{4, 0} {
		for p := range s.shown {
			s.shown[p] = max(s.shown[p], s.log.end(int32(p))-before)
		}
		for _, m := range s.metrics {
			for _, h := range s.workers[0][m] {
				h.r.detach(nil, 0)
				h.load()
				for p := range int32(2) {
					if next, ok := h.r.fold.Next(p); ok {
						h.fold(p, s.shown[p]-next)
					}
				}
				h.flush()
				s.check()
			}
		}
	}
	for _, m := range s.metrics {
		for number, st := range bookkeeping(s.b, s.b.store, m) {
			for p, at := range st.positions {
				if at.Offset != s.log.end(int32(p)) {
					s.b.Fatalf("metric %s, bucket %d is stuck in partition %d at %d of %d\n%s", m.Name, number, p, at.Offset, s.log.end(int32(p)), s.story())
				}
			}
		}
		infos, err := s.b.store.Windows(context.Background(), m.Name, 0)
		if err != nil {
			s.b.Fatal(err)
		}
		for _, info := range infos {
			if info.State != StateLost && !info.Complete {
				s.b.Fatalf("metric %s: window %d never closed: %+v\n%s", m.Name, info.Start.Unix(), info, s.story())
			}
		}
	}
}
