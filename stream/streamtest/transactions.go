package streamtest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"tailwater/stream"
)

// These are the schedules of a log with transactions, on which the position of
// a publish stands exactly when its records do.

// stepAt publishes with the position.
func (e *env) stepAt(r *Reader, n int) {
	e.t.Helper()
	if err := r.PublishAt(e.ctx, n, false); err != nil {
		e.t.Fatal(err)
	}
}

// endsAt publishes with the position and wants the session to end.
func (e *env) endsAt(r *Reader, n int) error {
	e.t.Helper()
	err := r.PublishAt(e.ctx, n, false)
	if !errors.Is(err, stream.ErrSessionEnded) {
		e.t.Fatalf("publish with a position: got %v, want the session to end", err)
	}
	return err
}

// stands checks that exactly n transactions of one row are in the log, that the
// recovered position is behind them, and that so many events are behind it.
func (e *env) stands(r *Reader, n, skip int) {
	e.t.Helper()
	if got := len(events(e.all())); got != n+skip {
		e.t.Errorf("got %d events in the log, want %d", got, n+skip)
	}
	if got := len(r.done); got != n {
		e.t.Errorf("the recovered position is behind %d transactions, want %d", got, n)
	}
	if got := len(r.Session.Recovered().Skip); got != skip {
		e.t.Errorf("got %d events behind the position, want %d", got, skip)
	}
}

func testPublishAt(t *testing.T, e *env) {
	optional[CommitLoser](e)
	src := simple(30)
	r := e.reader(src, 0)
	e.stepAt(r, 7)
	e.stepAt(r, 1)
	e.kill()
	heir := e.reader(src, 0)
	e.stands(heir, 8, 0)
	e.stepAt(heir, 4)
	if err := heir.PublishAt(e.ctx, 0, false); err != nil {
		t.Errorf("a position without records: %v", err)
	}
	if err := heir.Session.Close(); err != nil {
		t.Error(err)
	}
	e.reopen()
	e.stands(e.reader(src, 0), 12, 0)
	e.finish(src, 0)
}

// The process dies when all is sent and nothing is committed.
func testLostCommit(t *testing.T, e *env) {
	f := optional[CommitLoser](e)
	src := simple(20)
	r := e.reader(src, 0)
	e.stepAt(r, 5)
	for range 2 {
		f.LoseCommit(t, e.log)
		_ = e.endsAt(r, 6)
		e.kill()
		r = e.reader(src, 0)
		e.stands(r, 5, 0)
	}
	f.LoseCommit(t, e.log)
	if err := r.Save(e.ctx); !errors.Is(err, stream.ErrSessionEnded) {
		t.Errorf("save: got %v, want the session to end", err)
	}
	e.finish(src, 0)
}

// The commit is done, or is not; who asked for it cannot know, and the session
// behind it reads from the log which.
func testLostCommitAnswer(t *testing.T, e *env) {
	optional[CommitLoser](e)
	f := e.faulty()
	src := simple(20)
	r := e.reader(src, 0)
	e.stepAt(r, 3)
	f.LoseAnswer(t, e.log, tp(0))
	_ = e.endsAt(r, 4)
	if err := r.PublishAt(e.ctx, 1, false); !errors.Is(err, stream.ErrSessionEnded) {
		t.Errorf("the next publish: got %v, want the session to have ended", err)
	}
	heir := e.reader(src, 0)
	switch got := len(heir.done); got {
	case 3, 7:
		e.stands(heir, got, 0)
	default:
		t.Errorf("the recovered position is behind %d transactions, want 3 or 7", got)
	}
	e.finish(src, 0)
}

// One of the batches is refused: the others, and the position, go with it.
func testFailedPublishAt(t *testing.T, e *env) {
	optional[CommitLoser](e)
	f := e.faulty()
	src := simple(20)
	r := e.reader(src, 0)
	e.stepAt(r, 3)
	for p := range int32(Partitions) {
		f.FailWrite(t, e.log, tp(p))
		_ = e.endsAt(r, 6)
		r = e.reader(src, 0)
		e.stands(r, 3, 0)
	}
	e.finish(src, 0)
}

func testZombiePublishAt(t *testing.T, e *env) {
	optional[CommitLoser](e)
	src := simple(20)
	zombie := e.reader(src, 0)
	e.stepAt(zombie, 4)
	heir := e.reader(src, 0)
	if err := e.endsAt(zombie, 5); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("publish of a zombie: got %v, want fenced", err)
	}
	e.stands(heir, 4, 0)
	e.stepAt(heir, 2)
	if err := zombie.Session.Close(); err != nil {
		t.Error(err)
	}
	e.stands(e.reader(src, 0), 6, 0)
	e.finish(src, 0)
}

// A position of which one transaction is partly published names what is.
func testPublishAtSplit(t *testing.T, e *env) {
	optional[CommitLoser](e)
	src := &Source{Tx: [][]Row{{{"a", 0}}, {{"b", 1}, {"c", 2}, {"b", 1}}, {{"a", 0}}}, Orders: [][]int{{0, 1, 2}}}
	r := e.reader(src, 0)
	if err := r.PublishAt(e.ctx, 2, true); err != nil {
		t.Fatal(err)
	}
	e.kill()
	heir := e.reader(src, 0)
	if got := heir.Session.Recovered().Skip; len(got) != 1 || got[0].TxID != txid(1) || got[0].Row != 1 {
		t.Errorf("got %v, want the first row of the transaction", got)
	}
	e.finish(src, 0)
}

// Positions that lie behind the data, as Save leaves them, and such that came
// with it follow each other in any order.
func testOldPosition(t *testing.T, e *env) {
	optional[CommitLoser](e)
	src := simple(40)
	var skip []string
	r := e.reader(src, 0)
	for i := range 3 {
		e.step(r, 2, false)
		e.save(r)
		e.step(r, 3, false)
		e.kill()
		r = e.reader(src, 0)
		e.stands(r, 5*2*i+2, 3)
		e.stepAt(r, 3) // what stands there already
		e.step(r, 2, false)
		e.stepAt(r, 1)
		e.step(r, 1, false)
		e.kill()
		r = e.reader(src, 0)
		skip = append(skip, fmt.Sprint(len(r.done), len(r.Session.Recovered().Skip)))
		e.stepAt(r, 2)
	}
	if want := []string{"8 1", "18 1", "28 1"}; !slices.Equal(skip, want) {
		t.Errorf("behind the positions: got %v, want %v", skip, want)
	}
	e.finish(src, 0)
}
