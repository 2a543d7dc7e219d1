package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/expr"
	"tailwater/internal/status"
	"tailwater/internal/view"
	"tailwater/stream"
)

// fakeSession records what it is given. Publish waits for a token of hold when
// that is set.
type fakeSession struct {
	mu        sync.Mutex
	published []stream.Record
	publishes int
	sizes     []int // records of each publish
	saves     []stream.SourcePosition
	savedAt   []int // events published at each save
	recovered stream.Recovered
	hold      chan struct{}
	fail      error
}

func (f *fakeSession) Epoch() uint32               { return 7 }
func (f *fakeSession) Recovered() stream.Recovered { return f.recovered }
func (f *fakeSession) Close() error                { return nil }

func (f *fakeSession) Publish(ctx context.Context, records []stream.Record) error {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.publishes++
	f.sizes = append(f.sizes, len(records))
	for _, r := range records {
		r.Key, r.Value = slices.Clone(r.Key), slices.Clone(r.Value)
		f.published = append(f.published, r)
	}
	return nil
}

func (f *fakeSession) Save(_ context.Context, p stream.SourcePosition) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Source = slices.Clone(p.Source)
	f.saves = append(f.saves, p)
	n := 0
	for _, r := range f.published {
		if r.Kind == stream.Event {
			n++
		}
	}
	f.savedAt = append(f.savedAt, n)
	return nil
}

func (f *fakeSession) events() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.published {
		if r.Kind == stream.Event {
			out = append(out, fmt.Sprintf("%s.%d.%d", r.TxID, r.Row, r.LSN.Part))
		}
	}
	return out
}

// schemaLog is a stream.Log of which a publisher only stores schemas.
type schemaLog struct {
	stream.Log
	stored []change.Schema
	fail   error
}

func (l *schemaLog) PutSchema(_ context.Context, s change.Schema) error {
	if l.fail != nil {
		return l.fail
	}
	l.stored = append(l.stored, s)
	return nil
}

var ordersTable = &change.Table{Database: "shop", Name: "orders", PrimaryKey: []int{0}, Columns: []change.Column{
	{Name: "id", Type: change.Int, Bits: 64}, {Name: "city", Type: change.Text},
}}

// rig is a publisher with everything around it faked, and a clock of its own.
type rig struct {
	t        *testing.T
	p        *publisher
	session  *fakeSession
	log      *schemaLog
	counters *counters
	clock    time.Time
	mu       sync.Mutex
	number   uint64
}

func newRig(t *testing.T, session *fakeSession, change func(*publisherOptions)) *rig {
	t.Helper()
	def := &view.Definition{Name: "orders", Source: "s", Database: "shop", Table: "orders"}
	m, err := view.NewMatcher([]*view.Definition{def})
	if err != nil {
		t.Fatal(err)
	}
	tg := &target{view: "orders", topic: "tw.t.orders", partitions: 2}
	r := &rig{t: t, session: session, log: &schemaLog{}, clock: time.Unix(1_000_000, 0),
		counters: &counters{lag: new(status.Latency), state: status.Connecting}}
	o := publisherOptions{
		Shard: "00", Session: session, Log: r.log, BatchBytes: 1 << 20, SaveEvery: time.Second, Counters: r.counters,
		Views: &viewSet{source: "s", matcher: m, targets: []*target{tg}, byDef: map[*view.Definition]*target{def: tg}},
		Gate:  func(context.Context, int) error { return nil },
		Now:   r.now, Logger: slog.New(slog.DiscardHandler),
		ServerChanged: func() bool { return false },
	}
	if change != nil {
		change(&o)
	}
	r.p = newPublisher(o)
	go func() { _ = r.p.run(t.Context()) }()
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

// begin opens the next transaction.
func (r *rig) begin(id string) *binlog.Transaction {
	r.t.Helper()
	r.number++
	tx := &binlog.Transaction{ID: id, Number: r.number, CommitMicros: int64(r.number) * 1e6}
	if err := r.p.Begin(tx); err != nil {
		r.t.Fatal(err)
	}
	return tx
}

func (r *rig) row(tx *binlog.Transaction, id int) error {
	tx.Rows++
	image := &expr.Texts{[]byte(fmt.Sprint(id)), []byte(`"Pune"`)}
	return r.p.Row(tx, &binlog.RowChange{Op: change.Create, Table: ordersTable, Row: tx.Rows, After: image})
}

func (r *rig) commit(tx *binlog.Transaction) {
	r.t.Helper()
	if err := r.p.Commit(tx, []byte("behind "+tx.ID)); err != nil {
		r.t.Fatal(err)
	}
}

// tx is a whole transaction of n rows.
func (r *rig) tx(id string, n int) {
	r.t.Helper()
	tx := r.begin(id)
	for i := range n {
		if err := r.row(tx, i); err != nil {
			r.t.Fatal(err)
		}
	}
	r.commit(tx)
}

func TestPublisher_PublishesCommittedRowsInOrderAndSavesThePosition(t *testing.T) {
	r := newRig(t, &fakeSession{}, nil)
	r.tx("g1", 2)
	r.tx("g2", 1)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(r.session.events()), "[g1.1.0 g1.2.0 g2.1.0]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	last := r.session.saves[len(r.session.saves)-1]
	if string(last.Source) != "behind g2" || last.LSN != (change.LSN{Epoch: 7, Txn: 2, Row: 1}) || len(last.Skip) != 0 {
		t.Errorf("last save = %+v, want behind g2 at its last event", last)
	}
	if len(r.log.stored) != 1 {
		t.Errorf("%d schemas stored, want 1, once", len(r.log.stored))
	}
	first := r.session.published[0]
	if first.Watermark != 1e6 || first.Shard != "00" || first.TxID != "g1" || first.Row != 1 {
		t.Errorf("first record = %+v, want watermark 1 s, shard, transaction and row", first)
	}
}

func TestPublisher_ARowAllocatesNothing(t *testing.T) {
	r := newRig(t, &fakeSession{}, func(o *publisherOptions) { o.BatchBytes = 64 << 20 })
	tx := r.begin("g1")
	rc := &binlog.RowChange{Op: change.Create, Table: ordersTable, After: &expr.Texts{[]byte("1"), []byte(`"Pune"`)}}
	var failed error
	one := func() {
		tx.Rows++
		rc.Row = tx.Rows
		failed = errors.Join(failed, r.p.Row(tx, rc))
	}
	for range 40_000 { // lists and buffers have their size then
		one()
	}
	if got := testing.AllocsPerRun(10_000, one); got != 0 || failed != nil {
		t.Errorf("%v allocations for a row, want none; error %v", got, failed)
	}
	r.commit(tx)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
}

func TestHazard_A1_RowsOfAnUncommittedTransactionAreNeverPublished(t *testing.T) {
	r := newRig(t, &fakeSession{}, nil)
	r.tx("g1", 1)
	tx := r.begin("g2")
	if err := r.row(tx, 1); err != nil {
		t.Fatal(err)
	}
	r.number--
	r.tx("g2", 1) // the connection broke: the reader hands it over again
	tx = r.begin("g3")
	if err := r.row(tx, 1); err != nil {
		t.Fatal(err)
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(r.session.events()), "[g1.1.0 g2.1.0]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	if last := r.session.saves[len(r.session.saves)-1]; string(last.Source) != "behind g2" {
		t.Errorf("position = %s, want behind g2", last.Source)
	}
}

func TestPublisher_TransactionsGatherWhileAPublishIsInFlight(t *testing.T) {
	s := &fakeSession{hold: make(chan struct{})}
	r := newRig(t, s, nil)
	for i := range 50 {
		r.tx(fmt.Sprintf("g%d", i), 1)
	}
	close(s.hold)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if len(s.events()) != 50 || s.publishes > 3 {
		t.Errorf("%d events in %d publishes, want 50 in at most 3", len(s.events()), s.publishes)
	}
}

// The reader waits for its server after the last commit of a burst.
func TestPublisher_WhatGatheredGoesOutWhenThePublishBeforeItEnds(t *testing.T) {
	s := &fakeSession{hold: make(chan struct{})}
	r := newRig(t, s, nil)
	for i := range 10 {
		r.tx(fmt.Sprintf("g%d", i), 1)
	}
	for range 2 {
		select {
		case s.hold <- struct{}{}:
		case <-time.After(10 * time.Second):
			t.Fatal("the second batch waits for another call of the reader")
		}
	}
	close(s.hold)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if len(s.events()) != 10 {
		t.Errorf("%d events published, want 10", len(s.events()))
	}
}

func TestHazard_A34_HugeTransactionGoesInPiecesAndNoPositionLiesInsideIt(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, func(o *publisherOptions) { o.BatchBytes, o.SaveEvery = 2000, 0 })
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
	if n := r.counters.events.Load(); n != 101 || len(s.events()) != 101 {
		t.Errorf("%d events counted, %d published, want 101", n, len(s.events()))
	}
	if s.publishes < 5 {
		t.Errorf("%d publishes, want the transaction in pieces", s.publishes)
	}
	for i, p := range s.saves {
		if s.savedAt[i] > 1 && s.savedAt[i] < 101 || s.savedAt[i] > 1 && string(p.Source) == "behind small" {
			t.Errorf("the position before the transaction was saved behind %d records of it", s.savedAt[i]-1)
		}
	}
}

func TestPublisher_StopInsideAPartlyPublishedTransactionSavesNothing(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, func(o *publisherOptions) { o.BatchBytes = 500 })
	tx := r.begin("huge")
	for i := range 20 {
		if err := r.row(tx, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if len(s.published) == 0 || len(s.saves) != 0 {
		t.Errorf("%d records published, %d positions saved, want some and none", len(s.published), len(s.saves))
	}
}

// standing says that events stand in the log already.
func standing(txID string, rows ...uint32) (out []stream.Published) {
	for _, row := range rows {
		key := fmt.Sprintf(`["%d"]`, row-1)
		out = append(out, stream.Published{Topic: "tw.t.orders", TxID: txID, Row: row, KeyHash: stream.KeyHash([]byte(key))})
	}
	return out
}

func TestPublisher_WhatStandsInTheLogIsNotPublishedAgainEventByEvent(t *testing.T) {
	s := &fakeSession{recovered: stream.Recovered{Found: true, Skip: append(standing("g1", 1, 3), standing("g9", 1)...)}}
	r := newRig(t, s, func(o *publisherOptions) { o.ServerChanged, o.SaveEvery = func() bool { return true }, 0 })
	r.tx("g1", 3)
	r.tx("g2", 1)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.events()), "[g1.2.0 g2.1.0]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	last := s.saves[len(s.saves)-1]
	if len(last.Skip) != 1 || last.Skip[0].TxID != "g9" {
		t.Errorf("skip list of the last position = %+v, want g9 kept until it completes", last.Skip)
	}
	if n := r.counters.skipped.Load(); n != 2 {
		t.Errorf("skipped = %d, want 2", n)
	}
}

func TestPublisher_AnotherKeyUnderTheSameNameOnAnotherServerStopsTheShard(t *testing.T) {
	for _, changed := range []bool{true, false} {
		skip := standing("g1", 1)
		skip[0].KeyHash++
		s := &fakeSession{recovered: stream.Recovered{Found: true, Skip: skip}}
		r := newRig(t, s, func(o *publisherOptions) { o.ServerChanged = func() bool { return changed } })
		err := r.row(r.begin("g1"), 0)
		if (err != nil) != changed || changed && !strings.Contains(err.Error(), "go back to the server") {
			t.Errorf("server changed %v: error = %v", changed, err)
		}
		if err := r.p.Finish(); err != nil {
			t.Fatal(err)
		}
	}
}

// beatsOf counts the heartbeats.
func (f *fakeSession) beatsOf() (n int, last stream.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.published {
		if r.Kind == stream.Heartbeat {
			n, last = n+1, r
		}
	}
	return n, last
}

func TestPublisher_HeartbeatsGoWhereNothingWentForASecondThenEveryFive(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, nil)
	r.tx("g1", 3)
	for range 60 {
		r.pass(time.Second)
		if err := r.p.Idle(r.now().UnixMicro(), []byte("idle")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	minute, last := s.beatsOf()
	if minute < 2*58 || minute > 2*60 {
		t.Errorf("%d heartbeats in the first idle minute of 2 partitions, want about 120", minute)
	}
	if last.LSN != (change.LSN{Epoch: 7, Txn: 1, Row: 3}) || last.Key != nil {
		t.Errorf("heartbeat = %+v, want the last event's lsn and no key", last)
	}
	if last.Watermark != r.now().UnixMicro() {
		t.Errorf("heartbeat's watermark = %d, want the idle shard's %d", last.Watermark, r.now().UnixMicro())
	}

	s2 := &fakeSession{}
	r = newRig(t, s2, nil)
	r.pass(2 * time.Minute)
	for range 60 {
		r.pass(time.Second)
		if err := r.p.Idle(r.now().UnixMicro(), []byte("idle")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if n, _ := s2.beatsOf(); n < 2*12 || n > 2*14 {
		t.Errorf("%d heartbeats in a later idle minute of 2 partitions, want about 24", n)
	}
}

func TestPublisher_WatermarkNeverFalls(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, nil)
	tx := r.begin("g1")
	tx.CommitMicros = 100e6
	if err := r.row(tx, 1); err != nil {
		t.Fatal(err)
	}
	r.commit(tx)
	for i, micros := range []int64{40e6, 60e6} { // the source's clock stepped back, and goes on from there
		tx = r.begin(fmt.Sprintf("g%d", i+2))
		tx.CommitMicros = micros
		if err := r.row(tx, 1); err != nil {
			t.Fatal(err)
		}
		r.commit(tx)
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`"_ts_us":40000000`, `"_ts_us":60000000`} {
		rec := s.published[len(s.published)-2+i]
		if rec.Kind != stream.Event || rec.TxID != fmt.Sprintf("g%d", i+2) || rec.Watermark != 100e6 {
			t.Errorf("record after the clock stepped back = %+v, want an event with watermark 100000000", rec)
		}
		if !strings.Contains(string(rec.Value), want) {
			t.Errorf("event = %s, want its own commit time", rec.Value)
		}
	}
}

func TestPublisher_FirstErrorEndsTheSession(t *testing.T) {
	boom := errors.New("disk full")
	s := &fakeSession{fail: boom}
	r := newRig(t, s, nil)
	// The failure is heard of at any commit after the first publish began: at
	// the first one's own, when the publishing goroutine is quick.
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		tx := r.begin("g1")
		if err = r.row(tx, 1); err == nil {
			err = r.p.Commit(tx, []byte("x"))
		}
	}
	if !errors.Is(err, boom) {
		t.Errorf("handler's error = %v, want the publish's", err)
	}
	if err := r.p.Finish(); !errors.Is(err, boom) {
		t.Errorf("Finish = %v, want the publish's error", err)
	}
	if len(s.published) != 0 || len(s.saves) != 0 {
		t.Errorf("%d records and %d positions after the error, want none", len(s.published), len(s.saves))
	}
}

func TestPublisher_ClosedGateHoldsTheSourceBack(t *testing.T) {
	var g gate
	g.set("full")
	s := &fakeSession{}
	r := newRig(t, s, func(o *publisherOptions) { o.Gate, o.BatchBytes = g.wait, 100 })
	blocked := make(chan struct{})
	go func() {
		defer close(blocked)
		for i := range 5 {
			r.tx(fmt.Sprintf("g%d", i), 2)
		}
	}()
	select {
	case <-blocked:
		t.Fatal("five transactions went through a closed gate")
	case <-time.After(50 * time.Millisecond):
	}
	if n := len(s.events()); n != 0 {
		t.Errorf("%d events published through a closed gate", n)
	}
	g.set("")
	<-blocked
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.events()); n != 10 {
		t.Errorf("%d events after the gate opened, want 10", n)
	}
}

func TestPublisher_UnfollowedTableCountsAsFiltered(t *testing.T) {
	r := newRig(t, &fakeSession{}, nil)
	tx := r.begin("g1")
	other := *ordersTable
	other.Name = "sessions"
	image := &expr.Texts{[]byte("1"), []byte(`"x"`)}
	if err := r.p.Row(tx, &binlog.RowChange{Op: change.Create, Table: &other, Row: 1, After: image}); err != nil {
		t.Fatal(err)
	}
	r.commit(tx)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if n := r.counters.filtered.Load(); n != 1 || len(r.session.events()) != 0 {
		t.Errorf("filtered = %d, events %v, want 1 and none", n, r.session.events())
	}
}

func TestHazard_B9_TooLargeAnEventNamesItsRow(t *testing.T) {
	s := &fakeSession{fail: fmt.Errorf("%w: %w", stream.ErrSessionEnded, &stream.RecordTooLargeError{Topic: "tw.t.orders", Size: 100, Limit: 50})}
	r := newRig(t, s, nil)
	tx := r.begin("g1")
	if err := r.row(tx, 0); err != nil {
		t.Fatal(err)
	}
	// The commit hears of it when the publishing goroutine is quick.
	err := r.p.Commit(tx, []byte("x"))
	if err == nil {
		err = r.p.Finish()
	}
	for _, want := range []string{"table shop.orders", `key ["0"]`, "transaction g1, row 1", "stream.max_record"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want one that says %q", err, want)
		}
	}
	if classify(err) != binlog.Stop {
		t.Errorf("class of %v = %v, want stop: no attempt would end otherwise", err, classify(err))
	}
}

// A broker that is away while a schema is stored is no fault of the row: the
// shard does not wait for a person, or for a minute.
func TestPublisher_ASchemaThatCannotBeStoredAtTheMomentIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		fail error
		want binlog.Class
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, binlog.Retry},
		{fmt.Errorf("%w: no leader", stream.ErrUnavailable), binlog.Retry},
		{context.DeadlineExceeded, binlog.Retry},
		{errors.New("the account may not"), binlog.Stop},
	} {
		r := newRig(t, &fakeSession{}, nil)
		r.log.fail = c.fail
		err := r.row(r.begin("g1"), 0)
		if got := classify(&binlog.HandlerError{Err: err}); !errors.Is(err, c.fail) || got != c.want {
			t.Errorf("%v: the row says %v, class %v, want %v", c.fail, err, got, c.want)
		}
		if err := r.p.Finish(); err != nil {
			t.Fatal(err)
		}
	}
}
