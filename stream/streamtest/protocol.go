package streamtest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"tailwater/stream"
)

// These are the shortest schedules that break a log without transactions when
// one rule is left out.

// A request of a session that was fenced arrives behind the fence.
func testLateWrite(t *testing.T, e *env) {
	f := e.faulty()
	src := simple(12)
	old := e.reader(src, 0)
	e.step(old, 3, false)
	late := rows(old.Session.Epoch(), 3, 3)
	for i := range late {
		late[i].N = 2
	}
	heir := e.reader(src, 0)
	for i := range late {
		f.WriteLate(t, e.log, late[i:i+1])
	}
	e.step(heir, 6, false)
	e.save(heir)
	e.finish(src, 0)
}

// The late request comes to a partition to which the heir has written nothing
// but its fence. Without the fence a consumer takes it, and then takes the
// heir's own copy.
func testFence(t *testing.T, e *env) {
	f := e.faulty()
	src := simple(9)
	old := e.reader(src, 0)
	late := rows(old.Session.Epoch(), 0, 3)
	for i := range late {
		late[i].N = 1
	}
	heir := e.reader(src, 0)
	if got := len(heir.Session.Recovered().Skip); got != 0 {
		t.Fatalf("got %d events before the late write, want none", got)
	}
	f.WriteLate(t, e.log, late[1:2])
	e.step(heir, 3, false)
	f.WriteLate(t, e.log, late[2:3])
	e.finish(src, 0)
}

// The same batch stands in the log twice.
func testDuplicate(t *testing.T, e *env) {
	f := e.faulty()
	src := simple(9)
	r := e.reader(src, 0)
	e.step(r, 3, false)
	for i := range r.Last {
		f.WriteLate(t, e.log, r.Last[i:i+1])
	}
	e.step(r, 3, false)
	e.save(r)
	e.finish(src, 0)
}

// The batch is written, the answer is lost: the session ends, and the next one
// finds the batch.
func testLostAnswer(t *testing.T, e *env) {
	f := e.faulty()
	src := simple(12)
	for p := range Partitions {
		r := e.reader(src, 0)
		f.LoseAnswer(t, e.log, tp(int32(p)))
		if err := r.Publish(e.ctx, 3*(p+1), false); !errors.Is(err, stream.ErrSessionEnded) {
			t.Fatalf("publish without an answer: got %v, want the session to end", err)
		}
		if err := r.Save(e.ctx); !errors.Is(err, stream.ErrSessionEnded) {
			t.Errorf("save after it: got %v, want the session to have ended", err)
		}
	}
	e.finish(src, 0)
}

// The first batch of a publish fails, the second is taken: nothing behind the
// failed one may follow, and the second must not be written again.
func testFailedBatch(t *testing.T, e *env) {
	f := e.faulty()
	src := simple(12)
	r := e.reader(src, 0)
	e.step(r, 3, false)
	e.save(r)
	f.FailWrite(t, e.log, tp(0))
	if err := r.Publish(e.ctx, 6, false); !errors.Is(err, stream.ErrSessionEnded) {
		t.Fatalf("publish with a failed batch: got %v, want the session to end", err)
	}
	if err := r.Publish(e.ctx, 6, false); !errors.Is(err, stream.ErrSessionEnded) {
		t.Errorf("publish behind it: got %v, want the session to have ended", err)
	}
	heir := e.reader(src, 0)
	for _, p := range heir.Session.Recovered().Skip {
		if p.TxID == txid(3) {
			t.Error("the failed batch is taken for published")
		}
	}
	e.finish(src, 0)
}

// All batches of a publish fail: nobody ever sees any of it.
func testFailedPublish(t *testing.T, e *env) {
	f := e.faulty()
	src := simple(6)
	r := e.reader(src, 0)
	for p := range int32(Partitions) {
		f.FailWrite(t, e.log, tp(p))
	}
	if err := r.Publish(e.ctx, 3, false); !errors.Is(err, stream.ErrSessionEnded) {
		t.Fatalf("got %v, want the session to end", err)
	}
	if got := len(events(e.all())); got != 0 {
		t.Errorf("got %d events in the log, want none", got)
	}
	e.finish(src, 0)
}

// Of a transaction over two partitions one half is written. Who skips by
// transaction loses the other half; who does not skip doubles the first.
func testHalfTransaction(t *testing.T, e *env) {
	f := e.faulty()
	src := &Source{Tx: [][]Row{{{"a", 0}, {"b", 1}}, {{"a", 0}}}, Orders: [][]int{{0, 1}}}
	r := e.reader(src, 0)
	f.FailWrite(t, e.log, tp(1))
	if err := r.Publish(e.ctx, 1, false); !errors.Is(err, stream.ErrSessionEnded) {
		t.Fatalf("got %v, want the session to end", err)
	}
	e.finish(src, 0)
}

// Behind the position stands an event that every consumer drops: it came late.
// Who folds the tail in another way than a consumer takes it for published.
func testFoldMarks(t *testing.T, e *env) {
	f := e.faulty()
	src := simple(6)
	old := e.reader(src, 0)
	e.step(old, 3, false)
	e.save(old)
	late := rows(old.Session.Epoch(), 3, 1)
	late[0].N = 2
	heir := e.reader(src, 0)
	f.WriteLate(t, e.log, late)
	_ = heir // it dies before it publishes
	third := e.reader(src, 0)
	if got := third.Session.Recovered().Skip; len(got) != 0 {
		t.Errorf("got %v, want nothing: consumers drop what came late", got)
	}
	e.finish(src, 0)
}

// Rows of a transaction stand in the log; two sessions later it is still not
// complete, and they must still not be published again.
func testSkipListStays(t *testing.T, e *env) {
	src := &Source{Tx: [][]Row{{{"a", 0}}, {{"b", 1}, {"c", 2}, {"b", 1}}, {{"a", 0}}}, Orders: [][]int{{0, 1, 2}}}
	first := e.reader(src, 0)
	e.step(first, 2, true)
	e.save(first)
	for range 3 {
		r := e.reader(src, 0)
		e.save(r)
		if err := r.Session.Close(); err != nil {
			t.Fatal(err)
		}
		e.reopen()
	}
	if got := e.reader(src, 0).Session.Recovered().Skip; len(got) != 1 || got[0].TxID != txid(1) || got[0].Row != 1 {
		t.Errorf("got %v, want the first row of the transaction", got)
	}
	e.finish(src, 0)
}

// The server that the shard fails over to has the open transaction behind one
// that the first server had behind it.
func testOtherOrder(t *testing.T, e *env) {
	src := &Source{
		Tx:     [][]Row{{{"a", 0}}, {{"b", 1}, {"c", 2}}, {{"d", 0}}, {{"e", 1}}},
		Orders: [][]int{{0, 1, 2, 3}, {0, 2, 3, 1}},
	}
	r := e.reader(src, 0)
	e.step(r, 2, true)
	e.save(r)
	other := e.reader(src, 1)
	e.step(other, 2, false)
	e.save(other)
	back := e.reader(src, 1)
	if got := back.Session.Recovered().Skip; len(got) != 1 || got[0].TxID != txid(1) {
		t.Errorf("got %v, want the row that the first server's order left behind", got)
	}
	e.finish(src, 1)
}

// The positions come from an older copy than the log: the epochs of the log
// count as well, or a new session would write below what stands there.
func testRolledBackPosition(t *testing.T, e *env) {
	back := optional[Rollback](e)
	src := simple(20)
	r := e.reader(src, 0)
	e.step(r, 4, false)
	e.save(r)
	if err := r.Session.Close(); err != nil {
		t.Fatal(err)
	}
	restore := back.CopyPositions(t)
	for range 3 {
		r = e.reader(src, 0)
		e.step(r, 4, false)
		e.save(r)
	}
	high := r.Session.Epoch()
	if err := e.log.Close(); err != nil {
		t.Fatal(err)
	}
	restore()
	e.open()
	heir := e.reader(src, 0)
	if heir.Session.Epoch() <= high {
		t.Errorf("got epoch %d, the log has %d", heir.Session.Epoch(), high)
	}
	if got := len(heir.Session.Recovered().Skip); got != 12 {
		t.Errorf("got %d events behind the old position, want 12", got)
	}
	e.finish(src, 0)
}

// randomSeeds is how many schedules are tried.
const randomSeeds = 12

func testRandom(t *testing.T, e *env) {
	for seed := range uint64(randomSeeds) {
		run := &schedule{e: e, rng: rand.New(rand.NewPCG(seed, 7))}
		run.f, run.c = e.faulty(), e.crasher()
		run.loser, _ = e.store.(CommitLoser)
		run.src = RandomSource(run.rng, 14)
		run.run()
		if t.Failed() {
			t.Logf("seed %d: %v", seed, run.done)
			return
		}
		if err := e.log.Close(); err != nil {
			t.Fatal(err)
		}
		e.store = e.factory(t)
		e.open()
	}
}

// schedule is one random run over all faults.
type schedule struct {
	e *env
	f Faulty
	c Crasher
	// loser is nil on a log without transactions.
	loser   CommitLoser
	rng     *rand.Rand
	src     *Source
	readers []*Reader
	late    [][]stream.Record
	server  int
	ended   bool
	done    []string
}

func (s *schedule) note(what string) { s.done = append(s.done, what) }

func (s *schedule) run() {
	for range 40 {
		s.step()
	}
	s.f.Heal(s.e.t, s.e.log)
	s.deliver(len(s.late))
	s.e.finish(s.src, s.server)
}

// current is the newest reader, nil when it was killed.
func (s *schedule) current() *Reader {
	if len(s.readers) == 0 {
		return nil
	}
	return s.readers[len(s.readers)-1]
}

func (s *schedule) step() {
	r := s.current()
	if r == nil || s.ended && s.rng.IntN(2) == 0 || s.rng.IntN(12) == 0 {
		if s.rng.IntN(3) == 0 {
			s.server = len(s.src.Orders) - 1
		}
		s.note("start")
		if r, err := OpenReader(s.e.ctx, s.e.log, s.src, s.server); err == nil {
			s.readers, s.ended = append(s.readers, r), false
		}
		return
	}
	switch x := s.rng.IntN(20); {
	case x < 8:
		s.publish(r, "publish", nil)
	case x < 11:
		s.note("save")
		_ = r.Save(s.e.ctx)
	case x < 13:
		s.publish(r, "lose an answer", s.f.LoseAnswer)
	case x < 15:
		s.publish(r, "fail a write", s.f.FailWrite)
	case x == 15 && s.loser != nil && s.rng.IntN(2) == 0:
		s.publish(r, "lose a commit", func(t *testing.T, l stream.Log, _ stream.TopicPartition) { s.loser.LoseCommit(t, l) })
	case x < 16:
		s.note("heartbeat")
		_ = r.Heartbeat(s.e.ctx)
	case x < 18:
		s.note("late")
		s.deliver(1)
	case x < 19:
		s.note("kill")
		s.c.Kill(s.e.t, s.e.log)
		s.readers = nil
		s.e.open()
	default:
		s.note("power")
		s.c.PowerCut(s.e.t, s.e.log)
		s.readers = nil
		s.e.open()
	}
}

// publish publishes, maybe under a fault. What was not acknowledged may come
// late, and so may what was: a request can be delivered twice.
func (s *schedule) publish(r *Reader, what string, fault func(*testing.T, stream.Log, stream.TopicPartition)) {
	s.note(what)
	n, split := 1+s.rng.IntN(3), s.rng.IntN(3) == 0
	before := r.at
	if fault != nil && before < len(r.order) {
		row := r.src.Tx[r.order[before]][0]
		fault(s.e.t, s.e.log, tp(row.Part))
	}
	publish := r.Publish
	if s.loser != nil && s.rng.IntN(2) == 0 {
		s.note("with the position")
		publish = r.PublishAt
	}
	s.ended = publish(s.e.ctx, n, split) != nil
	if s.rng.IntN(3) > 0 || len(r.Last) == 0 || r.Last[0].N == 0 {
		return
	}
	p := r.Last[s.rng.IntN(len(r.Last))].Partition
	s.late = append(s.late, slices.DeleteFunc(slices.Clone(r.Last), func(rec stream.Record) bool { return rec.Partition != p }))
}

func (s *schedule) deliver(n int) {
	for ; n > 0 && len(s.late) > 0; n-- {
		s.f.WriteLate(s.e.t, s.e.log, s.late[0])
		s.late = s.late[1:]
	}
}
