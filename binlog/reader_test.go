package binlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/change"
	"tailwater/internal/testenv"
)

// source is a primary in this process with one table, d.t (id INT, s TEXT).
type source struct {
	*primary.Server
	t testing.TB
}

func newSource(t testing.TB, o primary.Options) *source {
	t.Helper()
	s, err := primary.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	err = s.CreateTable(encode.Table{Database: "d", Name: "t", PrimaryKey: []int{0},
		Columns: []encode.Column{{Name: "id", Kind: encode.Int}, {Name: "s", Kind: encode.Text, Length: 1 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	return &source{Server: s, t: t}
}

// insert commits the ids in one transaction.
func (s *source) insert(ids ...int) {
	s.t.Helper()
	tx := s.Begin()
	for _, id := range ids {
		if err := tx.Insert("d", "t", encode.Row{int64(id), "x"}); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// options reach the source.
func (s *source) options(change ...func(*Options)) Options {
	host, port, _ := net.SplitHostPort(s.Addr())
	n, _ := strconv.Atoi(port)
	o := Options{Shard: "00", Host: host, Port: uint16(n), User: "root", ReadTimeout: 10 * time.Second}
	for _, c := range change {
		c(&o)
	}
	return o
}

// follow starts a reader of the source.
func (s *source) follow(position []byte, change ...func(*Options)) *following {
	s.t.Helper()
	return followWith(s.t, s.options(change...), newJournal(), position)
}

// ids are the ids of the committed rows.
func (f *following) ids() []int {
	var out []int
	for _, row := range f.rows() {
		_, after, _ := strings.Cut(row, "[")
		n, _ := strconv.Atoi(strings.SplitN(after, ",", 2)[0])
		out = append(out, n)
	}
	return out
}

// wantIDs waits for n rows and checks that they are from..from+n-1.
func (f *following) wantIDs(from, n int) {
	f.t.Helper()
	f.await(fmt.Sprintf("%d rows", n), func(j *journal) bool { return len(j.rows) >= n })
	for i, id := range f.ids() {
		if id != from+i {
			f.t.Fatalf("row %d is %d, want %d", i, id, from+i)
		}
	}
}

func TestReader_FollowsInEveryModeAndFormat(t *testing.T) {
	for _, o := range []primary.Options{{}, {NoChecksum: true}, {Compress: true}, {Compress: true, NoChecksum: true}} {
		for _, mode := range []PositionMode{ByGTID, ByFile} {
			t.Run(fmt.Sprintf("checksum=%v/compress=%v/%s", !o.NoChecksum, o.Compress, mode), func(t *testing.T) {
				t.Parallel()
				s := newSource(t, o)
				s.insert(1, 2)
				by := func(o *Options) { o.Position = mode }
				f := s.follow(nil, by)
				f.wantIDs(1, 2)
				s.insert(3)
				f.wantIDs(1, 3)
				f.await("a watermark", func(j *journal) bool { return len(j.watermarks) > 0 })
				position, err := f.stop()
				if !errors.Is(err, context.Canceled) {
					t.Errorf("a reader that is told to end says %v", err)
				}
				s.Rotate()
				s.insert(4)
				s.follow(position, by).wantIDs(4, 1)
			})
		}
	}
}

// supervise runs readers one after the other, as the pipeline does, until the
// journal holds n rows. Errors must be of class Retry.
func (s *source) supervise(j *journal, n int, each func(attempt int)) {
	s.t.Helper()
	var position []byte
	for attempt := 0; ; attempt++ {
		each(attempt)
		f := followWith(s.t, s.options(), j, position)
		select {
		case <-f.done:
			if Classify(f.err) != Retry {
				s.t.Fatalf("attempt %d ended with %v", attempt, f.err)
			}
		case <-waitRows(j, n):
			f.stop()
			return
		}
		unlock := j.lock()
		position, j.open, j.ended = j.position, nil, false
		unlock()
	}
}

// waitRows is closed when the journal holds n rows or its reader has ended.
func waitRows(j *journal, n int) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		for len(j.rows) < n && !j.ended {
			j.more.Wait()
		}
		if len(j.rows) >= n {
			close(done)
		}
	}()
	return done
}

func TestHazard_A3_CutConnectionsRepeatNothing(t *testing.T) {
	s := newSource(t, primary.Options{})
	const transactions, rows = 300, 5
	for i := range transactions {
		ids := make([]int, rows)
		for k := range ids {
			ids[k] = i*rows + k
		}
		s.insert(ids...)
		if i%50 == 49 {
			s.Rotate()
		}
	}
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 7))
		cuts := 0
		j := newJournal()
		s.supervise(j, transactions*rows, func(attempt int) {
			if attempt < 60 {
				cuts++
				s.CutAfter(1000 + r.Int64N(3000))
			}
		})
		f := &following{t: t, j: j}
		f.wantIDs(0, transactions*rows)
		if got := len(f.ids()); got != transactions*rows || cuts < 10 {
			t.Errorf("seed %d: %d rows over %d cuts, want %d over many", seed, got, cuts, transactions*rows)
		}
		s.CutAfter(1 << 60)
	}
}

func TestHazard_A32_FlippedBitOnTheWireStops(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insert(1)
	f := s.follow(nil)
	f.wantIDs(1, 1)
	s.FlipBit()
	s.insert(2)
	f.wantStop("checksum of", "was damaged", "binlog.000001:")
	position, _ := f.stop()
	s.follow(position).wantIDs(2, 1)
}

func TestReader_StopsAtEventsThatNobodyKnows(t *testing.T) {
	for _, c := range []struct {
		kind byte
		body string
		want string
	}{
		{99, "", "event type 99 is not understood"},
		{26, "\x01\x00", "INCIDENT"},
		{200, "x", "event type 200 is not understood"},
		{byte(evGTID), "garbage", "GTID cannot be read"},
		{byte(evQuery), "garbage", "QUERY cannot be read"},
	} {
		s := newSource(t, primary.Options{})
		s.insert(1)
		// By GTID a server passes over what follows a transaction that the
		// reader has, up to the next one; by file nothing is passed over.
		byFile := func(o *Options) { o.Position = ByFile }
		f := s.follow(nil, byFile)
		f.wantIDs(1, 1)
		s.WriteEvent(c.kind, []byte(c.body))
		s.insert(2)
		f.wantStop("shard 00: at binlog.000001:", c.want)
		position, _ := f.stop()
		again := s.follow(position, byFile)
		again.wantStop(c.want)
		again.wantRows()
	}
}

func TestReader_ClassesOfServerErrors(t *testing.T) {
	for _, c := range []struct {
		code    uint16
		message string
		want    Class
	}{
		{mysql.ER_SERVER_SHUTDOWN, "Server shutdown in progress", Retry},
		{mysql.ER_QUERY_INTERRUPTED, "Query execution was interrupted", Retry},
		{1236, "A replica with the same server_uuid/server_id as this replica has connected", Retry},
		{4052, "A slave with the same server_id is already connected", Retry},
		{1236, "Could not find first log file name in binary log index file", Stop},
		{mysql.ER_ACCESS_DENIED_ERROR, "Access denied", Stop},
	} {
		s := newSource(t, primary.Options{})
		f := s.follow(nil).ready()
		s.SendError(c.code, c.message)
		s.insert(1)
		if err := f.wait(); Classify(err) != c.want || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%d %s: %v is of class %v, want %v", c.code, c.message, err, Classify(err), c.want)
		}
	}
}

func TestReader_SilenceIsRetried(t *testing.T) {
	s := newSource(t, primary.Options{})
	f := s.follow(nil, func(o *Options) { o.Heartbeat, o.ReadTimeout = 50*time.Millisecond, 500*time.Millisecond }).ready()
	s.Silence(true)
	if err := f.wait(); Classify(err) != Retry {
		t.Errorf("silence ends the reader with %v", err)
	}
	s.Silence(false)
	s.Down()
	if err := s.follow(nil).wait(); Classify(err) != Retry {
		t.Errorf("a server that is down ends the reader with %v", err)
	}
}

func TestReader_RotateStorm(t *testing.T) {
	s := newSource(t, primary.Options{})
	f := s.follow(nil).ready()
	s.insert(1)
	s.RotateStorm(500)
	s.insert(2)
	f.wantIDs(1, 2)
}

func TestReader_LargeTransactionsStreamThrough(t *testing.T) {
	s := newSource(t, primary.Options{KeepBytes: 1 << 30})
	ids := make([]int, 300_000)
	for i := range ids {
		ids[i] = i
	}
	s.insert(ids...)
	var peak, base runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	count := 0
	f := followWith(t, s.options(), newJournal(), nil)
	f.cancel()
	<-f.done
	r, err := New(s.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = r.Run(ctx, nil, &counter{rows: &count, at: map[int]func(){250_000: func() { runtime.GC(); runtime.ReadMemStats(&peak) }}, done: cancel, want: len(ids)})
	if !errors.Is(err, context.Canceled) || count != len(ids) {
		t.Fatalf("%d rows, then %v", count, err)
	}
	if grown := int64(peak.HeapAlloc) - int64(base.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes inside a transaction of %d rows", grown, len(ids))
	}
}

// counter is a Handler that counts rows.
type counter struct {
	rows *int
	at   map[int]func()
	want int
	done func()
}

func (c *counter) Begin(*Transaction) error                      { return nil }
func (c *counter) Idle(int64, []byte) error                      { return nil }
func (c *counter) Table(*Transaction, *change.TableChange) error { return nil }
func (c *counter) Row(*Transaction, *RowChange) error {
	*c.rows++
	if f := c.at[*c.rows]; f != nil {
		f()
	}
	return nil
}
func (c *counter) Commit(*Transaction, []byte) error {
	if *c.rows >= c.want {
		c.done()
	}
	return nil
}

func TestReader_PanicIsAnErrorOfTheShard(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insert(1)
	healthy := s.follow(nil)
	j := newJournal()
	j.onRow = func(string) error { panic("boom") }
	f := followWith(t, s.options(), j, nil)
	f.wantStop("shard 00", "panic", "boom")
	var panicked *PanicError
	if !errors.As(f.err, &panicked) || len(panicked.Stack) == 0 {
		t.Errorf("error %v carries no stack", f.err)
	}
	s.insert(2)
	healthy.wantIDs(1, 2)
}

func TestReader_HandlerErrorsComeBackAsTheyAre(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insert(1)
	mine := errors.New("the stream is gone")
	j := newJournal()
	j.onRow = func(string) error { return mine }
	f := followWith(t, s.options(), j, nil)
	var handler *HandlerError
	if err := f.wait(); !errors.Is(err, mine) || !errors.As(err, &handler) {
		t.Errorf("got %v, want the handler's error", err)
	}
}

func TestReader_BlockedHandlerHoldsTheServer(t *testing.T) {
	s := newSource(t, primary.Options{})
	for i := range 100 {
		s.insert(i)
	}
	gate := make(chan struct{})
	j := newJournal()
	j.onRow = func(string) error { <-gate; return nil }
	// The block lasts longer than the read time-out: that one is for silence.
	f := followWith(t, s.options(func(o *Options) { o.Heartbeat, o.ReadTimeout = 50*time.Millisecond, time.Second }), j, nil)
	timer := time.AfterFunc(2*time.Second, func() { close(gate) })
	defer timer.Stop()
	f.wantIDs(0, 100)
}

func TestReader_EndsWithItsContextAndLeavesNothingBehind(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insert(1)
	before := runtime.NumGoroutine()
	for range 20 {
		f := s.follow(nil)
		f.wantIDs(1, 1)
		f.stop()
	}
	testenv.Wait(t, patience, "the server to notice and all goroutines to end", func() error {
		if n := s.Followers(); n > 0 {
			return fmt.Errorf("%d followers", n)
		}
		if n := runtime.NumGoroutine(); n > before+3 {
			return fmt.Errorf("%d goroutines, %d before", n, before)
		}
		return nil
	})
	// A server that accepts and never speaks.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	mute := &source{Server: s.Server, t: t}
	o := mute.options()
	o.Port = uint16(ln.Addr().(*net.TCPAddr).Port)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("told to end")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	if err := r.Run(ctx, nil, newJournal()); !errors.Is(err, cause) {
		t.Errorf("a reader that waits for a handshake ends with %v, want its context's cause", err)
	}
}

// balancer is an address behind which the servers take turns.
func balancer(t testing.TB, servers ...*source) *net.TCPAddr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for i := 0; ; i++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", servers[i%len(servers)].Addr())
			if err != nil {
				c.Close()
				continue
			}
			go func() { defer up.Close(); _, _ = io.Copy(up, c) }()
			go func() { defer c.Close(); _, _ = io.Copy(c, up) }()
		}
	}()
	return ln.Addr().(*net.TCPAddr)
}

func TestHazard_A13_OneAddressTwoServers(t *testing.T) {
	a, b := newSource(t, primary.Options{}), newSource(t, primary.Options{})
	a.insert(1)
	b.insert(2)
	for _, mode := range []PositionMode{ByGTID, ByFile} {
		f := a.follow(nil, func(o *Options) { o.Position, o.Port = mode, uint16(balancer(t, a, b).Port) })
		if err := f.wait(); Classify(err) != Retry || !errors.Is(err, errOtherServer) {
			t.Errorf("got %v, want it to notice the other server", err)
		}
		f.wantRows()
	}
	// The end of another server's binlog says nothing about this one.
	r, err := New(a.options(func(o *Options) { o.Port = uint16(balancer(t, b).Port) }))
	if err != nil {
		t.Fatal(err)
	}
	s := &session{r: r, ctx: t.Context(), machine: newMachine(r.o, false, &Position{ServerUUID: a.UUID(), GTID: &GTIDSet{}}, nil)}
	defer s.close()
	if _, _, err := s.question(); !errors.Is(err, errOtherServer) {
		t.Errorf("a question to another server is answered with %v", err)
	}
}

func TestReader_PreflightOfAPrimary(t *testing.T) {
	s := newSource(t, primary.Options{})
	r, err := New(s.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Preflight(t.Context()); err != nil {
		t.Error(err)
	}
	bad := newSource(t, primary.Options{MinimalMetadata: true, Variables: map[string]string{"binlog_row_metadata": "MINIMAL"}})
	if r, err = New(bad.options()); err != nil {
		t.Fatal(err)
	}
	if err := r.Preflight(t.Context()); err == nil || !strings.Contains(err.Error(), "binlog_row_metadata is MINIMAL, want FULL") {
		t.Errorf("preflight says %v", err)
	}
	bad.insert(1)
	bad.follow(nil).wantStop("d.t", "binlog_row_metadata")
}
