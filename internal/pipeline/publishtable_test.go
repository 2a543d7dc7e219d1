package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/stream"
)

// table is a change of a whole table inside a transaction.
func (r *rig) table(tx *binlog.Transaction, ddl change.DDL, t change.TableName) error {
	tx.Rows++
	tx.Tables++
	return r.p.Table(tx, &change.TableChange{DDL: ddl, Table: t, Row: tx.Rows})
}

var theOrders = change.TableName{Database: "shop", Name: "orders"}

// truncate is a transaction that empties the table of the rig's view.
func (r *rig) truncate(id string) {
	r.t.Helper()
	tx := r.begin(id)
	if err := r.table(tx, change.Truncated, theOrders); err != nil {
		r.t.Fatal(err)
	}
	r.commit(tx)
}

func TestHazard_A59_TheEventOfATableIsInEveryPartition(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, nil)
	r.tx("g1", 3)
	r.truncate("g2")
	r.tx("g3", 1)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.events()), "[g1.1.0 g1.2.0 g1.3.0 g2.1.0 g2.1.1 g3.1.0]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	seen := map[int32]int{}
	for _, rec := range s.published {
		if !rec.OfTable() {
			continue
		}
		seen[rec.Partition]++
		want := fmt.Sprintf(`{"_op":"t","_shard":"00","_ts_us":2000000,"_lsn":"%s","_db":"shop","_table":"orders","_gtid":"g2","_ddl":"truncate"}`, rec.LSN)
		if string(rec.Value) != want || int32(rec.LSN.Part) != rec.Partition {
			t.Errorf("partition %d: got %s with %v, want %s", rec.Partition, rec.Value, rec.LSN, want)
		}
		if rec.Watermark != 1e6 {
			t.Errorf("the watermark is %d, want that of the rows before: DDL may carry another clock", rec.Watermark)
		}
	}
	if len(seen) != 2 || seen[0] != 1 || seen[1] != 1 {
		t.Errorf("events of the table by partition: %v, want one in each of two", seen)
	}
	if got := r.counters.tables.Load(); got != 1 {
		t.Errorf("%d changes of tables counted, want 1", got)
	}
	if last := s.saves[len(s.saves)-1]; string(last.Source) != "behind g3" {
		t.Errorf("position = %s, want behind g3", last.Source)
	}
}

func TestPublisher_AViewInAnotherFormIsNotTold(t *testing.T) {
	var log bytes.Buffer
	s := &fakeSession{}
	r := newRig(t, s, func(o *publisherOptions) {
		o.Views.targets[0].foreign = true
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	r.truncate("g1")
	r.tx("g2", 1)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.events()), "[g2.1.0]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	for _, want := range []string{"view=orders", "ddl=truncate", "table=shop.orders", "transaction=g1", "by hand"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
	}
}

func TestPublisher_AViewInAnotherFormIsToldWhatThatHas(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, func(o *publisherOptions) {
		o.Views.targets[0].foreign, o.Views.targets[0].tables, o.Views.targets[0].connector = true, envelope.Debezium, "mysql"
	})
	r.truncate("g1")
	tx := r.begin("g2")
	if err := r.table(tx, change.Dropped, theOrders); err != nil {
		t.Fatal(err)
	}
	r.commit(tx)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.events()), "[g1.1.0 g1.1.1]"; got != want {
		t.Errorf("events = %s, want %s: Debezium has none of a table that is dropped", got, want)
	}
	for _, rec := range s.published {
		if v := string(rec.Value); rec.Key == nil && rec.Kind == stream.Event && (!rec.OfTable() || !strings.Contains(v, `"db":"shop"`) || !strings.Contains(v, `"op":"t"`)) {
			t.Errorf("got %s, want a truncate of Debezium", v)
		}
	}
}

// A workload may set its commit times, and DDL has the server's.
func TestPublisher_TheClockOfDDLDoesNotMoveTheWatermark(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, nil)
	tx := r.begin("g1")
	tx.CommitMicros = 500e6
	if err := r.table(tx, change.Truncated, theOrders); err != nil {
		t.Fatal(err)
	}
	r.commit(tx)
	r.tx("g2", 1)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, rec := range s.published {
		if want := map[string]int64{"g1": 0, "g2": 2e6}[rec.TxID]; rec.Watermark != want {
			t.Errorf("a record of %s has the watermark %d, want %d", rec.TxID, rec.Watermark, want)
		}
	}
}

func TestPublisher_ADatabaseThatIsDroppedIsToldToEveryViewOfIt(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, nil)
	tx := r.begin("g1")
	for _, name := range []string{"shop", "other"} {
		if err := r.table(tx, change.Dropped, change.TableName{Database: name}); err != nil {
			t.Fatal(err)
		}
	}
	r.commit(tx)
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.events()), "[g1.1.0 g1.1.1]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	if v := string(s.published[0].Value); !strings.Contains(v, `"_db":"shop","_table":null`) {
		t.Errorf("got %s, want the database without a table", v)
	}
}

func TestPublisher_ATablesEventThatIsHalfWrittenIsCompletedOnce(t *testing.T) {
	for part := range uint16(2) {
		standing := stream.Published{Topic: "tw.t.orders", TxID: "g1", Row: 1, Part: part, KeyHash: stream.KeyHash(nil)}
		s := &fakeSession{recovered: stream.Recovered{Found: true, Skip: []stream.Published{standing}}}
		r := newRig(t, s, func(o *publisherOptions) { o.ServerChanged = func() bool { return true } })
		r.truncate("g1")
		r.truncate("g2")
		if err := r.p.Finish(); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(s.events()), fmt.Sprintf("[g1.1.%d g2.1.0 g2.1.1]", 1-part); got != want {
			t.Errorf("with partition %d written: events = %s, want %s", part, got, want)
		}
		if n := r.counters.skipped.Load(); n != 1 {
			t.Errorf("skipped = %d, want 1", n)
		}
	}
}

func TestPublisher_APublishOfATablesEventThatFailsEndsTheSession(t *testing.T) {
	s := &fakeSession{fail: errors.New("no answer")}
	r := newRig(t, s, nil)
	tx := r.begin("g1")
	if err := r.table(tx, change.Truncated, theOrders); err != nil {
		t.Fatal(err)
	}
	_ = r.p.Commit(tx, []byte("behind g1")) // or the one after it
	if err := r.p.Finish(); err == nil || len(s.saves) > 0 {
		t.Errorf("got %v and %d saved positions, want the error and none", err, len(s.saves))
	}
}

// A row behind the event is never in one publish with it: were the publish to
// reach some partitions only, the row would have an lsn below those that the
// event gets in the others.
func TestPublisher_NoRowFollowsATablesEventInItsPublish(t *testing.T) {
	s := &fakeSession{hold: make(chan struct{})}
	r := newRig(t, s, nil)
	r.tx("g1", 1) // its publish waits, and all that follows gathers
	done := make(chan error, 1)
	go func() {
		r.tx("g2", 1)
		r.truncate("g3")
		tx := r.begin("g4") // MariaDB's CREATE OR REPLACE .. SELECT
		done <- errors.Join(r.table(tx, change.Dropped, theOrders), r.row(tx, 1), r.p.Commit(tx, []byte("behind g4")))
	}()
	s.hold <- struct{}{}
	s.hold <- struct{}{}
	if got, want := fmt.Sprint(s.events()), "[g1.1.0 g2.1.0 g3.1.0 g3.1.1 g4.1.0 g4.1.1]"; !strings.HasPrefix(want, strings.TrimSuffix(got, "]")) {
		t.Errorf("the first two publishes have %s, want no more than %s", got, want)
	}
	close(s.hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.events()), "[g1.1.0 g2.1.0 g3.1.0 g3.1.1 g4.1.0 g4.1.1 g4.2.0]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range s.sizes {
		part := s.published[:n]
		s.published = s.published[n:]
		seen := false
		for _, rec := range part {
			if seen && rec.Kind == stream.Event && !rec.OfTable() {
				t.Errorf("publish %d has a row behind the event of a table", i)
			}
			seen = seen || rec.OfTable()
		}
	}
}

func TestPublisher_AHeartbeatIsNotBelowTheEventOfATable(t *testing.T) {
	s := &fakeSession{}
	r := newRig(t, s, nil)
	r.truncate("g1")
	r.pass(6 * time.Second)
	if err := r.p.Idle(9e6, []byte("idle")); err != nil {
		t.Fatal(err)
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	marks := map[int32]stream.Marks{0: {}, 1: {}}
	beats := 0
	for i := range s.published {
		rec := &s.published[i]
		rec.N = 1
		ok, err := marks[rec.Partition].Accept(rec)
		if err != nil || !ok {
			t.Errorf("partition %d: a %c with %v does not count: %v", rec.Partition, rec.Kind, rec.LSN, err)
		}
		if rec.Kind == stream.Heartbeat {
			beats++
		}
	}
	if beats != 2 || marks[0]["00"].Watermark != 9e6 {
		t.Errorf("%d heartbeats, watermark %d, want 2 and 9 s", beats, marks[0]["00"].Watermark)
	}
}
