package primary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"tailwater/binlog/primary/encode"
)

// testUUID makes GTIDs readable in failures.
const testUUID = "11111111-2222-3333-4444-555555555555"

func start(t testing.TB, opts Options) *Server {
	t.Helper()
	if opts.UUID == "" {
		opts.UUID = testUUID
	}
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// things is a table with a key and a text.
var things = encode.Table{
	Database: "shop", Name: "things", PrimaryKey: []int{0},
	Columns: []encode.Column{
		{Name: "id", Kind: encode.BigInt},
		{Name: "label", Kind: encode.Varchar, Length: 100, Nullable: true},
	},
}

func startWithThings(t testing.TB, opts Options) *Server {
	t.Helper()
	s := start(t, opts)
	if err := s.CreateTable(things); err != nil {
		t.Fatal(err)
	}
	return s
}

// insert commits one row per id.
func insert(t testing.TB, s *Server, ids ...int) Committed {
	t.Helper()
	tx := s.Begin()
	for _, id := range ids {
		if err := tx.Insert("shop", "things", encode.Row{id, fmt.Sprint("thing ", id)}); err != nil {
			tx.Rollback()
			t.Fatal(err)
		}
	}
	done, err := tx.Commit(CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func hostPort(t testing.TB, s *Server) (string, uint16) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return host, uint16(n)
}

// follower is a real replication client.
type follower struct {
	t      testing.TB
	syncer *replication.BinlogSyncer
	stream *replication.BinlogStreamer
}

func newSyncer(t testing.TB, s *Server) *replication.BinlogSyncer {
	host, port := hostPort(t, s)
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4711, Flavor: "mysql", Host: host, Port: port, User: "root",
		VerifyChecksum: true, DisableRetrySync: true, HeartbeatPeriod: 50 * time.Millisecond,
		ReadTimeout: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	t.Cleanup(syncer.Close)
	return syncer
}

func followGTID(t testing.TB, s *Server, set string) *follower {
	t.Helper()
	have, err := mysql.ParseMysqlGTIDSet(set)
	if err != nil {
		t.Fatal(err)
	}
	syncer := newSyncer(t, s)
	stream, err := syncer.StartSyncGTID(have)
	if err != nil {
		t.Fatal(err)
	}
	return &follower{t, syncer, stream}
}

func followFile(t testing.TB, s *Server, file string, pos uint32) *follower {
	t.Helper()
	syncer := newSyncer(t, s)
	stream, err := syncer.StartSync(mysql.Position{Name: file, Pos: pos})
	if err != nil {
		t.Fatal(err)
	}
	return &follower{t, syncer, stream}
}

func (f *follower) event() (*replication.BinlogEvent, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return f.stream.GetEvent(ctx)
}

// until reads events up to the first of the type, which it returns.
func (f *follower) until(typ replication.EventType) *replication.BinlogEvent {
	f.t.Helper()
	for {
		e, err := f.event()
		if err != nil {
			f.t.Fatalf("waiting for %v: %v", typ, err)
		}
		if e.Header.EventType == typ {
			return e
		}
	}
}

// failure reads events up to the error that ends the stream.
func (f *follower) failure() error {
	f.t.Helper()
	for {
		if _, err := f.event(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				f.t.Fatal("the stream went on, want an error")
			}
			return err
		}
	}
}

// ids reads n inserted rows and returns their keys.
func (f *follower) ids(n int) []int64 {
	f.t.Helper()
	var out []int64
	for len(out) < n {
		rows := f.until(replication.WRITE_ROWS_EVENTv2).Event.(*replication.RowsEvent)
		for _, r := range rows.Rows {
			out = append(out, r[0].(int64))
		}
	}
	return out
}

func wantIDs(t testing.TB, got []int64, want ...int64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got rows %v, want %v", got, want)
	}
}

func connect(t testing.TB, s *Server) *client.Conn {
	t.Helper()
	c, err := client.Connect(s.Addr(), "root", "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestFollow_FromEmptyGTIDSetThenLive(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1, 2)
	f := followGTID(t, s, "")
	wantIDs(t, f.ids(2), 1, 2)
	insert(t, s, 3)
	wantIDs(t, f.ids(1), 3)
}

func TestFollow_ByGTIDInTheMiddleLeavesOutWhatTheClientHas(t *testing.T) {
	s := startWithThings(t, Options{})
	for id := 1; id <= 5; id++ {
		insert(t, s, id) // GTIDs 2 to 6, 1 is CREATE TABLE
	}
	f := followGTID(t, s, testUUID+":1-3:5")
	wantIDs(t, f.ids(2), 3, 5)
}

func TestFollow_ByFileAndPosition(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1)
	second := insert(t, s, 2)
	f := followFile(t, s, second.File, uint32(second.Pos))
	wantIDs(t, f.ids(1), 2)
	f = followFile(t, s, second.File, 4)
	wantIDs(t, f.ids(2), 1, 2)
}

func TestFollow_AcrossRotationsAndSpilledFiles(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := startWithThings(t, Options{FileBytes: 2000, Dir: dir})
			var want []int64
			for id := 1; id <= 100; id++ {
				insert(t, s, id)
				want = append(want, int64(id))
			}
			if file, _ := s.Position(); file < "binlog.000005" {
				t.Fatalf("the log is at %s, want several files", file)
			}
			wantIDs(t, followGTID(t, s, "").ids(100), want...)
			wantIDs(t, followGTID(t, s, testUUID+":1-51").ids(50), want[50:]...)
			wantIDs(t, followFile(t, s, "binlog.000001", 4).ids(100), want...)
		})
	}
}

func TestFollow_SeveralFollowersAtOnce(t *testing.T) {
	s := startWithThings(t, Options{})
	var fs []*follower
	for range 4 {
		fs = append(fs, followGTID(t, s, ""))
	}
	insert(t, s, 1)
	for _, f := range fs {
		wantIDs(t, f.ids(1), 1)
	}
	if got := s.Followers(); got != 4 {
		t.Errorf("got %d followers, want 4", got)
	}
}

func TestFollow_WithoutChecksums(t *testing.T) {
	s := startWithThings(t, Options{NoChecksum: true})
	insert(t, s, 1)
	wantIDs(t, followGTID(t, s, "").ids(1), 1)
}

func TestFollow_CompressedTransactions(t *testing.T) {
	s := startWithThings(t, Options{Compress: true})
	insert(t, s, 1, 2, 3)
	payload := followGTID(t, s, "").until(replication.TRANSACTION_PAYLOAD_EVENT).Event.(*replication.TransactionPayloadEvent)
	rows := 0
	for _, e := range payload.Events {
		if r, ok := e.Event.(*replication.RowsEvent); ok {
			rows += len(r.Rows)
		}
	}
	if rows != 3 {
		t.Errorf("got %d rows in the payload, want 3", rows)
	}
}
