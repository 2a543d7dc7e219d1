package binlog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
)

// keeper is a journal that keeps every position, with the rows before it.
type keeper struct {
	*journal
	positions [][]byte
	before    []int
}

func (k *keeper) keep(position []byte) {
	defer k.lock()()
	k.positions = append(k.positions, bytes.Clone(position))
	k.before = append(k.before, len(k.rows))
}

func (k *keeper) Commit(tx *Transaction, position []byte) error {
	err := k.journal.Commit(tx, position)
	k.keep(position)
	return err
}

func (k *keeper) Idle(watermark int64, position []byte) error {
	err := k.journal.Idle(watermark, position)
	k.keep(position)
	return err
}

// A position between the events of a transaction would resume without the names
// of its tables, or, on old servers, at the transaction behind it.
func TestHazard_A2_A4_PositionsStandBetweenTransactionsOnly(t *testing.T) {
	s := newSource(t, primary.Options{})
	other := encode.Table{Database: "d", Name: "u", PrimaryKey: []int{0}, Columns: []encode.Column{{Name: "id", Kind: encode.Int}}}
	if err := s.CreateTable(other); err != nil {
		t.Fatal(err)
	}
	const each = 6
	for n := range 8 {
		tx := s.Begin()
		for i := range each / 2 {
			id := int64(n*each + 2*i)
			if err := errors.Join(tx.Insert("d", "t", encode.Row{id, "x"}), tx.Insert("d", "u", encode.Row{id + 1})); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			s.Rotate()
		}
	}
	for _, mode := range []PositionMode{ByGTID, ByFile} {
		by := func(o *Options) { o.Position = mode }
		r, err := New(s.options(by))
		if err != nil {
			t.Fatal(err)
		}
		k := &keeper{journal: newJournal()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx, nil, k) }()
		all := &following{t: t, j: k.journal}
		all.await("every row and a watermark", func(j *journal) bool { return len(j.rows) == 8*each && len(j.watermarks) > 0 })
		cancel()
		<-done
		if len(k.positions) < 9 {
			t.Fatalf("by %s: %d positions, want one for each transaction", mode, len(k.positions))
		}
		for i, position := range k.positions {
			f := s.follow(position, by)
			f.await("the rest of the rows", func(j *journal) bool { return len(j.rows) >= 8*each-k.before[i] && len(j.watermarks) > 0 })
			f.wantRows(k.rows[k.before[i]:]...)
			f.stop()
		}
	}
}

func TestHazard_A10_TheWholeSetIsKeptAndNotItsLastTransaction(t *testing.T) {
	s := newSource(t, primary.Options{})
	for id := 1; id <= 300; id++ {
		s.insert(id)
	}
	f := s.follow(nil)
	f.wantIDs(1, 300)
	position, _ := f.stop()
	p, err := ParsePosition(position)
	if err != nil || p.GTIDText() != s.Executed() {
		t.Fatalf("%v: the position holds %s, want %s", err, p.GTIDText(), s.Executed())
	}
	s.insert(301)
	again := s.follow(position)
	again.await("a row", func(j *journal) bool { return len(j.rows) > 0 && len(j.watermarks) > 0 })
	if got := again.ids(); len(got) != 1 || got[0] != 301 {
		t.Errorf("after a restart behind 300 transactions: got the rows %v, want 301 alone", got)
	}
}

func TestHazard_A23_ABinlogThatMayEndBeforeWhatWasReadIsWarnedOfAndRefused(t *testing.T) {
	s := newSource(t, primary.Options{Variables: map[string]string{"sync_binlog": "0"}})
	s.insert(1)
	var log bytes.Buffer
	r, err := New(s.options(func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Preflight(t.Context()); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "a crash of the server can take back what was read") || !strings.Contains(text, "sync_binlog=0") {
		t.Errorf("the start logs %q, want a warning", text)
	}
	// The server has crashed, and its binlog ends before what was read of it.
	for _, mode := range []PositionMode{ByGTID, ByFile} {
		by := func(o *Options) { o.Position = mode }
		f := s.follow(nil, by)
		f.wantIDs(1, 1)
		position, _ := f.stop()
		p, err := ParsePosition(position)
		if err != nil {
			t.Fatal(err)
		}
		p.Pos += 1000
		again := s.follow(p.Append(nil), by)
		again.wantStop("before the saved position: it lost the end of its binlog in a crash", "set sync_binlog=1", "tailwater shard reset 00 --to now")
		again.wantRows()
	}
}

func TestHazard_A24_AnIncidentStopsItsShardByName(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insert(1)
	byFile := func(o *Options) { o.Position = ByFile }
	f := s.follow(nil, byFile)
	f.wantIDs(1, 1)
	s.WriteEvent(byte(evIncident), []byte("\x01\x00"))
	s.insert(2)
	f.wantStop("shard 00: at binlog.000001:", "INCIDENT: the server says that it lost events", "rows are missing in this binlog")
	position, _ := f.stop()
	again := s.follow(position, byFile)
	again.wantStop("INCIDENT")
	again.wantRows()
}

// The library reads and writes the packets of compressed connections since some
// versions only; a reader asks for none, whatever the server offers.
func TestHazard_A36_NoCompressionOfTheProtocolIsAskedFor(t *testing.T) {
	s := newSource(t, primary.Options{})
	o := s.options()
	o.fill()
	c, err := o.dial(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if c.Compression != 0 {
		t.Errorf("the connection is compressed by algorithm %d", c.Compression)
	}
}
