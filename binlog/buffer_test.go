package binlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
)

// headerOf is a packet's first byte and an event's header that announces size.
func headerOf(kind eventType, size uint32) []byte {
	b := make([]byte, 1+headerSize)
	b[5] = byte(kind)
	binary.LittleEndian.PutUint32(b[10:], size)
	return b
}

func TestPacketBuffer_RefusesByTheHeaderAlone(t *testing.T) {
	p := packetBuffer{limit: 1000, lead: 1, take: func(int) error { return errors.New("room was asked for") }}
	if _, err := p.Write(headerOf(evPayload, 1000)); err != nil {
		t.Errorf("an event of the bound's size: %v", err)
	}
	p.reset()
	_, err := p.Write(headerOf(evPayload, 1001))
	var large *errEventTooLarge
	if !errors.As(err, &large) || large.kind != evPayload || large.size != 1001 {
		t.Errorf("got %v, want the kind and size of the event", err)
	}
	if _, err := p.Write([]byte("more")); err == nil {
		t.Error("it goes on behind a refusal")
	}
	p.reset()
	// The size of an error packet is in no header.
	if _, err := p.Write(append([]byte{packetError}, strings.Repeat("\xff", 100)...)); err != nil {
		t.Errorf("a packet that is no event: %v", err)
	}
}

func TestPacketBuffer_HoldsLittleMoreThanWhatIsThere(t *testing.T) {
	const size = 100 << 20
	p := packetBuffer{limit: 1 << 30, lead: 1}
	piece := make([]byte, 16<<10)
	if _, err := p.Write(headerOf(evPayload, size)); err != nil {
		t.Fatal(err)
	}
	left, was := 0, 0
	for len(p.b) < size+1 {
		if _, err := p.Write(piece[:min(len(piece), size+1-len(p.b))]); err != nil {
			t.Fatal(err)
		}
		if c := cap(p.b); c != was {
			if c > growBuffer*(len(p.b)+keepBuffer) {
				t.Fatalf("%d bytes are there and %d allocated", len(p.b), c)
			}
			left, was = left+was, c
		}
	}
	if was > size+size/100 || left > size/4 {
		t.Errorf("%d bytes end in %d, and left %d behind", size, was, left)
	}
	p.reset()
	if _, err := p.Write(piece[:100]); err != nil {
		t.Fatal(err)
	}
	if p.reset(); cap(p.b) > keepBuffer {
		t.Errorf("%d bytes are kept for small events", cap(p.b))
	}
}

func TestReadFull_AllocatesNothingThatIsNotThere(t *testing.T) {
	b, err := readFull(bytes.NewReader(make([]byte, 100)), nil, 1<<30)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(b) != 100 || cap(b) > growBuffer*keepBuffer {
		t.Errorf("%d bytes in %d, %v", len(b), cap(b), err)
	}
	if b, err = readFull(bytes.NewReader(make([]byte, 100)), b[:0], 100); err != nil || len(b) != 100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// insertLarge commits n rows of 1 KiB.
func (s *source) insertLarge(n int, compress bool) {
	s.t.Helper()
	if _, err := s.InsertLarge(largeRows(n, compress)); err != nil {
		s.t.Fatal(err)
	}
}

func TestHazard_A35_A40_LargeEventsAreRefusedByShardSizeAndSetting(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insertLarge(2000, true)
	setting := func(max int) func(*Options) {
		return func(o *Options) { o.Shard, o.MaxEvent, o.MaxEventSetting = "07", max, "limits.memory" }
	}
	for _, test := range []struct {
		name string
		max  int
		want []string
	}{
		{"the payload", 16 << 10, []string{"TRANSACTION_PAYLOAD of ", "larger than the bound of 16384 bytes", "binlog_transaction_compression=OFF"}},
		// Compressed it takes less than one of its events.
		{"an event inside", 1 << 10, nil},
	} {
		if test.want == nil {
			s = newSource(t, primary.Options{Compress: true})
			tx := s.Begin()
			if err := tx.Insert("d", "t", encode.Row{int64(1), strings.Repeat("x", 3000)}); err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
				t.Fatal(err)
			}
			test.want = []string{"WRITE_ROWS of 30", "larger than the bound of 1024 bytes", "split the change"}
		}
		t.Run(test.name, func(t *testing.T) {
			f := s.follow(nil, setting(test.max))
			f.wantStop(append(test.want, "shard 07", "raise limits.memory", "binlog.0")...)
			f.wantRows()
			if got := len(f.j.transactions); got != 1 {
				t.Errorf("%d transactions, want that of the table and not the one that was refused", got)
			}
		})
	}
}

func TestReader_EndsInsideACompressedTransaction(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insertLarge(2000, true)
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	r, err := New(s.options(func(o *Options) {
		// It is asked inside the payload; nobody follows the table, so that no
		// handler could end it.
		o.Filter = func(string, string) bool { cancel(over); return false }
	}))
	if err != nil {
		t.Fatal(err)
	}
	j := newJournal()
	if err := r.Run(ctx, nil, j); !errors.Is(err, over) {
		t.Errorf("got %v, want the context's cause", err)
	}
	if j.open == nil || len(j.transactions) != 1 {
		t.Errorf("%d transactions were handed over, open is %v: it read to the end", len(j.transactions), j.open)
	}
}

// logged calls fn with each line of a log.
type logged struct {
	slog.Handler
	fn func(string)
}

func (l logged) Handle(_ context.Context, r slog.Record) error {
	l.fn(r.Message)
	return nil
}
func (l logged) Enabled(context.Context, slog.Level) bool { return true }

// insertLarge commits row 1, of 2 MiB.
func insertLarge(t *testing.T, s *source) {
	t.Helper()
	tx := s.Begin()
	if err := tx.Insert("d", "t", encode.Row{int64(1), strings.Repeat("x", 2<<20)}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestRoom_LargeEventsOfSeveralShardsTakeTurns(t *testing.T) {
	s := newSource(t, primary.Options{})
	insertLarge(t, s)
	s.insert(2)
	room := NewRoom(3 << 20)
	reader := func(onRow func(string) error, waits chan<- string) *following {
		j := newJournal()
		j.onRow = onRow
		o := s.options(func(o *Options) {
			o.Room = room
			o.Logger = slog.New(logged{slog.DiscardHandler, func(text string) {
				if strings.Contains(text, "large event waits") {
					waits <- text
				}
			}})
		})
		return followWith(t, o, j, nil)
	}
	inside, goOn := make(chan bool), make(chan error)
	first := reader(func(row string) error {
		if !strings.Contains(row, "[1,") {
			return nil
		}
		inside <- true
		return <-goOn
	}, nil)
	<-inside
	waits := make(chan string, 2)
	second := reader(nil, waits)
	third := reader(nil, waits)
	<-waits
	<-waits
	// Who is told to end does not wait for room.
	third.stop()
	if got := len(second.rows()) + len(third.rows()); got != 0 {
		t.Errorf("%d rows came while another shard had the room", got)
	}
	// A small event behind it gives the room back, and so does the end.
	goOn <- nil
	first.wantIDs(1, 2)
	second.wantIDs(1, 2)
	first.stop()
	second.stop()
	if err := room.take(t.Context(), 3<<20, func() { t.Error("a reader that has ended holds room") }); err != nil {
		t.Error(err)
	}
}

func TestRoom_IsGivenBackByAReaderThatFails(t *testing.T) {
	s := newSource(t, primary.Options{})
	insertLarge(t, s)
	room := NewRoom(1 << 20)
	r, err := New(s.options(func(o *Options) { o.Room = room }))
	if err != nil {
		t.Fatal(err)
	}
	for _, onRow := range []func(string) error{
		func(string) error { return errors.New("refused") },
		func(string) error { panic("broken") },
	} {
		j := newJournal()
		j.onRow = onRow
		if err := r.Run(t.Context(), nil, j); err == nil {
			t.Error("the handler failed, and the reader did not")
		}
		if !room.free.TryAcquire(1 << 20) {
			t.Fatal("a reader that has failed holds room")
		}
		room.free.Release(1 << 20)
	}
}
