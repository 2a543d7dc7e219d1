package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/internal/view"
	"tailwater/stream"
)

// togetherSession is a fakeSession of a log with transactions. at holds the
// events published behind each position that came with records.
type togetherSession struct {
	fakeSession
	at []int
}

var _ stream.TransactionalSession = (*togetherSession)(nil)

func (f *togetherSession) PublishAt(ctx context.Context, records []stream.Record, p stream.SourcePosition) error {
	if err := f.Publish(ctx, records); err != nil {
		return err
	}
	if err := f.Save(ctx, p); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, f.savedAt[len(f.savedAt)-1])
	return nil
}

// newTogether is a rig whose log has transactions.
func newTogether(t *testing.T, s *togetherSession, change func(*publisherOptions)) *rig {
	t.Helper()
	return newRig(t, &s.fakeSession, func(o *publisherOptions) {
		o.Session = s
		if change != nil {
			change(o)
		}
	})
}

func TestPublisher_PositionGoesWithItsRowsWhereTheLogHasTransactions(t *testing.T) {
	s := &togetherSession{}
	r := newTogether(t, s, nil)
	for i := range 5 {
		r.tx(fmt.Sprintf("g%d", i), 2)
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	// The clock stood still: the last position alone was due.
	if len(s.at) != s.publishes || s.publishes == 0 {
		t.Errorf("%d of %d publishes had a position, want all", len(s.at), s.publishes)
	}
	if !slices.Contains(s.at, 10) {
		t.Errorf("positions came with %v events before them, want one behind all 10", s.at)
	}
	for i, p := range s.saves {
		if want := fmt.Sprintf("behind g%d", s.savedAt[i]/2-1); string(p.Source) != want || p.LSN.Txn != uint64(s.savedAt[i]/2) {
			t.Errorf("behind %d events: position %q, transaction %d, want %q", s.savedAt[i], p.Source, p.LSN.Txn, want)
		}
	}
	if got := r.counters.lastSaved.Load(); got != r.now().UnixNano() {
		t.Errorf("last saved = %d, want now", got)
	}
}

// A log without transactions stores a position once its rows are durable, and
// no more often than before.
func TestPublisher_PositionIsOnItsOwnWhereTheLogHasNoTransactions(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, nil)
	for i := range 5 {
		r.tx(fmt.Sprintf("g%d", i), 2)
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if len(s.saves) != 1 {
		t.Fatalf("%d positions while the clock stood still, want the last one", len(s.saves))
	}
	if s.savedAt[0] != 10 {
		t.Errorf("the position behind 10 events was saved when %d were published", s.savedAt[0])
	}
}

func TestPublisher_NoPositionInsideATransactionWithItsRows(t *testing.T) {
	s := &togetherSession{}
	r := newTogether(t, s, func(o *publisherOptions) { o.BatchBytes = 2000 })
	r.tx("small", 1)
	tx := r.begin("huge")
	for i := range 100 {
		if err := r.row(tx, i); err != nil {
			t.Fatal(err)
		}
	}
	r.commit(tx)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if s.publishes < 5 {
		t.Errorf("%d publishes, want the transaction in pieces", s.publishes)
	}
	if !slices.Contains(s.at, 101) {
		t.Errorf("positions came with %v events before them, want one with the end of the transaction", s.at)
	}
	for _, n := range s.savedAt {
		if n > 1 && n < 101 {
			t.Errorf("a position was stored behind %d rows of a transaction of 100", n-1)
		}
	}
}

// A position that is larger than the rows it goes with is stored at most once
// in SaveEvery: a long list of what to skip would be written with every row.
func TestPublisher_LargePositionsGoAtTheirOwnPace(t *testing.T) {
	var skip []stream.Published
	for i := range 1000 {
		skip = append(skip, standing("later", uint32(i+1))...)
	}
	s := &togetherSession{fakeSession: fakeSession{recovered: stream.Recovered{Found: true, Skip: skip}}}
	r := newTogether(t, s, nil)
	for i := range 10 {
		r.tx(fmt.Sprintf("g%d", i), 1)
	}
	if len(s.at) != 0 {
		t.Errorf("%d positions while none is due, want none", len(s.at))
	}
	r.pass(2 * time.Second)
	r.tx("due", 1)
	r.tx("later", 1000) // completes what was to be skipped
	r.tx("light", 1)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	last := s.saves[len(s.saves)-1]
	if string(last.Source) != "behind light" || len(last.Skip) != 0 {
		t.Errorf("last position = %q with %d events to skip, want behind light and none", last.Source, len(last.Skip))
	}
	first := s.saves[0]
	if len(first.Skip) != 1000 && len(first.Skip) != 0 {
		t.Errorf("first position has %d events to skip, want all of the transaction or none", len(first.Skip))
	}
}

func TestPublisher_PositionOfLargeRowsMayBeLarge(t *testing.T) {
	s := &togetherSession{}
	r := newTogether(t, s, nil)
	b := &batch{records: make([]stream.Record, 1), position: make([]byte, 100<<10)}
	if r.p.light(b) {
		t.Error("a position of 100 KiB beside no rows is light")
	}
	b.bytes = 200 << 10
	if !r.p.light(b) {
		t.Error("a position of 100 KiB beside 200 KiB of rows is not light")
	}
	b.records = nil
	if r.p.light(b) {
		t.Error("a position without records is light: it would be a transaction of its own")
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
}

func TestPublisher_FailedPublishWithAPositionSavesNothing(t *testing.T) {
	s := &togetherSession{fakeSession: fakeSession{fail: fmt.Errorf("%w: %w", stream.ErrSessionEnded, &stream.RecordTooLargeError{Topic: "tw.t.orders", Size: 100, Limit: 50})}}
	r := newTogether(t, s, nil)
	tx := r.begin("g1")
	if err := r.row(tx, 1); err != nil {
		t.Fatal(err)
	}
	_ = r.p.Commit(tx, []byte("x")) // it may hear of the failure, or come before it
	err := r.p.Finish()
	if !errors.Is(err, stream.ErrSessionEnded) || !strings.Contains(err.Error(), "table shop.orders") {
		t.Errorf("Finish = %v, want the publish's error with its row", err)
	}
	if len(s.saves) != 0 {
		t.Errorf("%d positions stored, want none", len(s.saves))
	}
}

func TestSkipList_CountsWhatIsLeft(t *testing.T) {
	l := newSkipList(append(standing("g1", 1, 2, 3), standing("g2", 1)...))
	if _, err := l.transaction("g1").take("tw.t.orders", view.Event{}, false); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		id   string
		want int
	}{{"none", 4}, {"g1", 1}, {"g1", 1}, {"g2", 0}} {
		l.done(step.id)
		if l.events != step.want || len(l.list()) != step.want {
			t.Errorf("behind %s: %d events counted, %d listed, want %d", step.id, l.events, len(l.list()), step.want)
		}
	}
}
