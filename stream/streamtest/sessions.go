package streamtest

import (
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

func testPositions(t *testing.T, e *env) {
	s := e.session()
	if rec := s.Recovered(); rec.Found || len(rec.Skip) != 0 || s.Epoch() != 1 {
		t.Errorf("a new shard: got epoch %d, %+v", s.Epoch(), rec)
	}
	e.publish(s, rows(s.Epoch(), 0, 5))
	want := stream.SourcePosition{
		Source: []byte("gtid\x00set"), LSN: change.LSN{Epoch: 1, Txn: 5, Row: 1},
		Skip: []stream.Published{{Topic: Topic, TxID: "open", Row: 3, Part: 2, KeyHash: 1 << 63}},
	}
	if err := s.Save(e.ctx, want); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for epoch := uint32(2); epoch < 5; epoch++ {
		e.reopen()
		s := e.session()
		rec := s.Recovered()
		if s.Epoch() != epoch || !rec.Found || !reflect.DeepEqual(rec.Position, want) || !reflect.DeepEqual(rec.Skip, want.Skip) {
			t.Fatalf("got epoch %d and %+v, want %d and %+v", s.Epoch(), rec, epoch, want)
		}
		if epoch == 3 {
			continue // this one is given up without Close
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testJoiningTopics opens a session without a topic, and others with more and
// more: what each has published before it was killed is found by the next, and
// the position of the first is theirs.
func testJoiningTopics(t *testing.T, e *env) {
	open := func(topics ...string) stream.Session {
		t.Helper()
		for _, name := range topics {
			if _, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: name, Partitions: Partitions}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := e.log.OpenShard(e.ctx, stream.ShardOptions{Source: "suite", Shard: "joining", Topics: topics})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := stream.SourcePosition{Source: []byte("before any topic"), LSN: change.LSN{Epoch: 1}}
	if err := open().Save(e.ctx, want); err != nil {
		t.Fatal(err)
	}
	all := []string{"tw.suite.join1", "tw.suite.join2", "tw.suite.join3"}
	for n := range len(all) + 1 {
		e.reopen() // without Close of the session
		s := open(all[:n]...)
		rec := s.Recovered()
		if s.Epoch() != uint32(n+2) || !rec.Found || string(rec.Position.Source) != string(want.Source) || len(rec.Skip) != max(0, n-1) {
			t.Fatalf("with %d topics: epoch %d and %+v, want epoch %d, the first position and %d events to skip", n, s.Epoch(), rec, n+2, max(0, n-1))
		}
		if n == 0 {
			continue
		}
		r := rows(s.Epoch(), n, 1)
		r[0].Shard, r[0].Topic = "joining", all[n-1]
		e.publish(s, r)
	}
}

func testRefusals(t *testing.T, e *env) {
	tests := []struct {
		name  string
		spoil func(r []stream.Record)
	}{
		{"an lsn that does not rise", func(r []stream.Record) { r[3].LSN = r[0].LSN }},
		{"a heartbeat below the mark", func(r []stream.Record) {
			r[3] = stream.Record{Topic: Topic, Partition: r[0].Partition, Kind: stream.Heartbeat, Shard: Shard, LSN: change.LSN{Epoch: r[0].LSN.Epoch}}
		}},
		{"another epoch", func(r []stream.Record) { r[1].LSN.Epoch++ }},
		{"another shard", func(r []stream.Record) { r[1].Shard = "s1" }},
		{"another topic", func(r []stream.Record) { r[1].Topic = "tw.suite.other" }},
		{"no such partition", func(r []stream.Record) { r[1].Partition = Partitions }},
		{"a fence", func(r []stream.Record) { r[1].Kind, r[1].Key, r[1].Value = stream.Fence, nil, nil }},
		{"no key", func(r []stream.Record) { r[1].Key = nil }},
	}
	for _, tt := range tests {
		s := e.session()
		records := rows(s.Epoch(), 0, 4)
		tt.spoil(records)
		if err := s.Publish(e.ctx, records); !errors.Is(err, stream.ErrSessionEnded) {
			t.Errorf("%s: got %v, want the session to end", tt.name, err)
		}
	}
	if got := len(events(e.all())); got != 0 {
		t.Errorf("got %d events in the log, want none", got)
	}
}

func testFirstError(t *testing.T, e *env) {
	s := e.session()
	bad := rows(s.Epoch(), 0, 1)
	bad[0].Key = nil
	first := s.Publish(e.ctx, bad)
	for name, err := range map[string]error{
		"publish": s.Publish(e.ctx, rows(s.Epoch(), 0, 3)),
		"save":    s.Save(e.ctx, stream.SourcePosition{Source: []byte("x")}),
	} {
		if !errors.Is(err, stream.ErrSessionEnded) || err.Error() != first.Error() {
			t.Errorf("%s after an error: got %v, want %v", name, err, first)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if rec := e.session().Recovered(); rec.Found || len(rec.Skip) != 0 {
		t.Errorf("got %+v, want nothing published and nothing saved", rec)
	}
}

func testCloseInMidProduce(t *testing.T, e *env) {
	src := simple(3000)
	for range 4 {
		r, err := OpenReader(e.ctx, e.log, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			close(started)
			for r.Left() {
				if err := r.Publish(e.ctx, 100, false); err != nil {
					if !errors.Is(err, stream.ErrSessionEnded) {
						t.Errorf("publish of a closed session: got %v", err)
					}
					return
				}
			}
		})
		<-started
		if err := r.Session.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
	e.finish(src, 0)
}

// finish publishes what is left of the source through a last reader, and checks
// the log.
func (e *env) finish(src *Source, server int) {
	e.t.Helper()
	r := e.reader(src, server)
	for r.Left() {
		if err := r.Publish(e.ctx, 50, false); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := r.Heartbeat(e.ctx); err != nil {
		e.t.Fatal(err)
	}
	if err := r.Save(e.ctx); err != nil {
		e.t.Fatal(err)
	}
	e.check(src)
}

func (e *env) reader(src *Source, server int) *Reader {
	e.t.Helper()
	r, err := OpenReader(e.ctx, e.log, src, server)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func (e *env) step(r *Reader, n int, split bool) {
	e.t.Helper()
	if err := r.Publish(e.ctx, n, split); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) save(r *Reader) {
	e.t.Helper()
	if err := r.Save(e.ctx); err != nil {
		e.t.Fatal(err)
	}
}

// Of sessions that are opened at once, those that open have epochs of their
// own, and only the highest can save.
func testTwoSessions(t *testing.T, e *env) {
	const n = 6
	sessions := make([]stream.Session, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			s, err := e.log.OpenShard(e.ctx, stream.ShardOptions{Shard: Shard, Topics: []string{Topic}})
			if err != nil && !errors.Is(err, stream.ErrFenced) {
				t.Errorf("open shard: %v", err)
			}
			if err == nil {
				sessions[i] = s
			}
		})
	}
	wg.Wait()
	var epochs []uint32
	for _, s := range sessions {
		if s != nil {
			epochs = append(epochs, s.Epoch())
		}
	}
	slices.Sort(epochs)
	if len(epochs) == 0 || len(slices.Compact(slices.Clone(epochs))) != len(epochs) {
		t.Fatalf("got the epochs %v, want at least one, each once", epochs)
	}
	saved := 0
	for _, s := range sessions {
		if s == nil {
			continue
		}
		err := s.Save(e.ctx, stream.SourcePosition{Source: []byte("{}")})
		switch {
		case err == nil:
			saved++
			if s.Epoch() != epochs[len(epochs)-1] {
				t.Errorf("epoch %d of %v could save", s.Epoch(), epochs)
			}
		case !errors.Is(err, stream.ErrFenced) || !errors.Is(err, stream.ErrSessionEnded):
			t.Errorf("save of a loser: got %v, want fenced", err)
		}
	}
	if saved > 1 {
		t.Errorf("%d sessions could save, want at most 1", saved)
	}
	e.finish(simple(30), 0)
}

func testZombie(t *testing.T, e *env) {
	src := simple(40)
	unaware := e.reader(src, 0)
	zombie := e.reader(src, 0)
	// Who has not tried to write since it was replaced is refused all the same.
	if err := unaware.Save(e.ctx); !errors.Is(err, stream.ErrSessionEnded) || !errors.Is(err, stream.ErrFenced) {
		t.Errorf("save of a session that does not know it was replaced: got %v, want fenced", err)
	}
	e.step(zombie, 10, false)
	e.save(zombie)
	e.step(zombie, 5, false)
	heir := e.reader(src, 0)
	// What the zombie still does either fails or is dropped by everybody.
	if err := zombie.Publish(e.ctx, 5, false); err != nil && !errors.Is(err, stream.ErrSessionEnded) {
		t.Errorf("publish of a zombie: got %v", err)
	}
	if err := zombie.Save(e.ctx); !errors.Is(err, stream.ErrSessionEnded) || !errors.Is(err, stream.ErrFenced) {
		t.Errorf("save of a zombie: got %v, want fenced", err)
	}
	e.step(heir, 3, false)
	e.save(heir)
	if err := zombie.Session.Close(); err != nil {
		t.Error(err)
	}
	e.finish(src, 0)
}

func testKilledBeforeSave(t *testing.T, e *env) {
	src := simple(60)
	r := e.reader(src, 0)
	e.step(r, 20, false)
	e.save(r)
	e.step(r, 15, false)
	e.kill()
	heir := e.reader(src, 0)
	if got := len(heir.Session.Recovered().Skip); got != 15 {
		t.Errorf("got %d events behind the position, want 15", got)
	}
	e.step(heir, 20, false)
	e.kill()
	e.finish(src, 0)
}

func testPowerCut(t *testing.T, e *env) {
	c := e.crasher()
	src := simple(90)
	r := e.reader(src, 0)
	acknowledged := 0
	for i := range 4 {
		e.step(r, 10, false)
		acknowledged += len(r.Last)
		if i%2 == 0 {
			e.save(r)
		}
		c.PowerCut(t, e.log)
		e.open()
		if got := len(events(e.all())); got < acknowledged {
			t.Fatalf("power cut %d: got %d events in the log, %d were acknowledged", i, got, acknowledged)
		}
		r = e.reader(src, 0)
	}
	e.finish(src, 0)
}
