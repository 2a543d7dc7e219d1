package primary

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"tailwater/binlog/primary/encode"
)

// eventually polls until ok, or fails after ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not after 10 s", what)
		case <-tick.C:
		}
	}
}

func TestFault_CutEndsTheStreamAndTheNextOneGoesOn(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1)
	f := followGTID(t, s, "")
	wantIDs(t, f.ids(1), 1)
	s.Cut()
	if err := f.failure(); err == nil {
		t.Fatal("the stream ended without an error")
	}
	insert(t, s, 2)
	wantIDs(t, followGTID(t, s, testUUID+":1-2").ids(1), 2)
}

func TestFault_CutAfterEveryByteLosesAndRepeatsNothing(t *testing.T) {
	s := startWithThings(t, Options{})
	for id := 1; id <= 3; id++ {
		insert(t, s, id)
	}
	_, end := s.Position()
	for n := int64(1); n < int64(end); n += 97 {
		s.CutAfter(n)
		f := followGTID(t, s, "")
		rows := 0
		for {
			e, err := f.event()
			if err != nil {
				break
			}
			if r, ok := e.Event.(*replication.RowsEvent); ok {
				rows++
				if got, want := r.Rows[0][0], int64(rows); got != want {
					t.Fatalf("cut after %d bytes: got row %v, want %d", n, got, want)
				}
			}
		}
		if rows > 3 {
			t.Fatalf("cut after %d bytes: got %d rows of 3", n, rows)
		}
		f.syncer.Close()
	}
	wantIDs(t, followGTID(t, s, "").ids(3), 1, 2, 3)
}

func TestFault_FlippedBitIsFoundByTheChecksumOnce(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1)
	s.FlipBit()
	if err := followGTID(t, s, "").failure(); !strings.Contains(err.Error(), "checksum") {
		t.Fatalf("got error %v, want one about the checksum", err)
	}
	wantIDs(t, followGTID(t, s, "").ids(1), 1)
}

func TestFault_UnknownEventReachesTheFollower(t *testing.T) {
	s := startWithThings(t, Options{})
	s.WriteEvent(99, []byte("future"))
	insert(t, s, 1)
	f := followGTID(t, s, "")
	e := f.until(replication.EventType(99))
	if got := string(e.RawData[encode.HeaderSize : len(e.RawData)-encode.ChecksumSize]); got != "future" {
		t.Errorf("got body %q, want future", got)
	}
	wantIDs(t, f.ids(1), 1)
}

func TestFault_GarbageBodyWithARightChecksumReachesTheFollower(t *testing.T) {
	s := startWithThings(t, Options{})
	s.WriteEvent(encode.TypeGTID, []byte{0, 1, 2})
	if err := followGTID(t, s, "").failure(); strings.Contains(err.Error(), "checksum") {
		t.Errorf("got error %v, want one about the body", err)
	}
}

func TestFault_RotateStormKeepsTheOrder(t *testing.T) {
	s := startWithThings(t, Options{})
	f := followGTID(t, s, "")
	insert(t, s, 1)
	s.RotateStorm(50)
	insert(t, s, 2)
	wantIDs(t, f.ids(2), 1, 2)
	if got, _ := s.Position(); got != "binlog.000051" {
		t.Errorf("got file %s, want binlog.000051", got)
	}
}

func TestFault_SilenceStopsHeartbeatsTooAndEnds(t *testing.T) {
	s := startWithThings(t, Options{})
	host, port := hostPort(t, s)
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 5, Flavor: "mysql", Host: host, Port: port, User: "root", DisableRetrySync: true,
		HeartbeatPeriod: 20 * time.Millisecond, ReadTimeout: 300 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	t.Cleanup(syncer.Close)
	empty, _ := mysql.ParseMysqlGTIDSet("")
	stream, err := syncer.StartSyncGTID(empty)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t, syncer, stream}
	f.until(replication.HEARTBEAT_EVENT)
	s.Silence(true)
	var timeout net.Error
	if err := f.failure(); !strings.Contains(err.Error(), "timeout") && !errors.As(err, &timeout) {
		t.Errorf("got error %v, want the read time-out", err)
	}
	s.Silence(false)
	insert(t, s, 1)
	wantIDs(t, followGTID(t, s, "").ids(1), 1)
}

func TestFault_SlowServerDeliversAll(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1, 2, 3)
	s.Slow(3_000)
	began := time.Now()
	wantIDs(t, followGTID(t, s, "").ids(3), 1, 2, 3)
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("about 700 bytes took %v at 3 kB/s", took)
	}
}

func TestFault_ErrorPacketEndsTheStream(t *testing.T) {
	s := startWithThings(t, Options{})
	f := followGTID(t, s, "")
	f.until(replication.HEARTBEAT_EVENT)
	s.SendError(mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG, "log event entry exceeded max_allowed_packet")
	var my *mysql.MyError
	if err := f.failure(); !errors.As(err, &my) || my.Code != mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		t.Errorf("got error %v, want MySQL's 1236", err)
	}
}

func TestFault_HugeTransactionSplitsIntoManyEventsAndPackets(t *testing.T) {
	s := start(t, Options{FileBytes: 1 << 20})
	if err := s.CreateTable(encode.Table{
		Database: "shop", Name: "blobs", PrimaryKey: []int{0},
		Columns: []encode.Column{{Name: "id", Kind: encode.Int}, {Name: "data", Kind: encode.Text, Length: 1 << 30}},
	}); err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	sizes := []int{17 << 20, 16<<20 - 40, 100} // beyond one packet, near its edge, small
	for i, n := range sizes {
		if err := tx.Insert("shop", "blobs", encode.Row{i, strings.Repeat("x", n)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5000 {
		if err := tx.Insert("shop", "blobs", encode.Row{100 + i, strings.Repeat("y", 200)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	f := followGTID(t, s, "")
	rows, events := 0, 0
	for rows < len(sizes)+5000 {
		e := f.until(replication.WRITE_ROWS_EVENTv2).Event.(*replication.RowsEvent)
		events++
		for _, r := range e.Rows {
			if rows < len(sizes) && len(r[1].([]byte)) != sizes[rows] {
				t.Fatalf("row %d has %d bytes, want %d", rows, len(r[1].([]byte)), sizes[rows])
			}
			rows++
		}
	}
	if events < 100 {
		t.Errorf("got %d row events, want more than a hundred of 8 KiB", events)
	}
}

func TestFault_DDLBetweenRowsChangesTheTableMap(t *testing.T) {
	s := startWithThings(t, Options{})
	f := followGTID(t, s, "")
	insert(t, s, 1)
	if err := s.AddColumn("shop", "things", encode.Column{Name: "extra", Kind: encode.Int, Default: 7}); err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	if err := tx.Update("shop", "things", []any{1}, encode.Row{1, "changed", 8}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	first := f.until(replication.TABLE_MAP_EVENT).Event.(*replication.TableMapEvent)
	ddl := f.until(replication.QUERY_EVENT).Event.(*replication.QueryEvent)
	if got, want := string(ddl.Query), "ALTER TABLE `shop`.`things` ADD COLUMN `extra` int NOT NULL DEFAULT '7'"; got != want {
		t.Errorf("got statement %s, want %s", got, want)
	}
	second := f.until(replication.TABLE_MAP_EVENT).Event.(*replication.TableMapEvent)
	if first.TableID == second.TableID || second.ColumnCount != 3 {
		t.Errorf("got table ids %d and %d with %d columns, want another id and 3", first.TableID, second.TableID, second.ColumnCount)
	}
	rows := f.until(replication.UPDATE_ROWS_EVENTv2).Event.(*replication.RowsEvent).Rows
	if got, want := fmt.Sprint(rows), "[[1 thing 1 7] [1 changed 8]]"; got != want {
		t.Errorf("got rows %s, want %s", got, want)
	}
}

func TestDown_RefusesAndUpGoesOnAtTheSameAddress(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1)
	f := followGTID(t, s, "")
	wantIDs(t, f.ids(1), 1)
	addr := s.Addr()
	s.Down()
	if err := f.failure(); err == nil {
		t.Error("the stream outlived its server")
	}
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		t.Error("a stopped server accepts connections")
	}
	insert(t, s, 2) // what a workload wrote before it noticed
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr {
		t.Errorf("got address %s, want %s", s.Addr(), addr)
	}
	wantIDs(t, followGTID(t, s, testUUID+":1-2").ids(1), 2)
}

func TestClose_EndsFollowersAndIsIdempotent(t *testing.T) {
	s := startWithThings(t, Options{})
	f := followGTID(t, s, "")
	f.until(replication.HEARTBEAT_EVENT)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.failure(); err == nil {
		t.Error("the stream outlived its server")
	}
	if _, err := s.Begin().Commit(CommitOptions{GTID: testUUID + ":99"}); err == nil {
		t.Error("a closed server commits")
	}
}

func TestKill_EndsTheStreamThatIsNamed(t *testing.T) {
	s := startWithThings(t, Options{})
	f := followGTID(t, s, "")
	f.until(replication.HEARTBEAT_EVENT)
	c := connect(t, s)
	r, err := c.Execute("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.GetInt(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Execute(fmt.Sprint("KILL ", id)); err != nil {
		t.Fatal(err)
	}
	if err := f.failure(); err == nil {
		t.Error("the stream went on")
	}
	eventually(t, "no followers", func() bool { return s.Followers() == 0 })
	if _, err := c.Execute("KILL 999999999"); err == nil {
		t.Error("an unknown connection was killed")
	}
}

func TestFollower_ThatLeavesIsNoticed(t *testing.T) {
	s := startWithThings(t, Options{})
	f := followGTID(t, s, "")
	eventually(t, "a follower", func() bool { return s.Followers() == 1 })
	f.syncer.Close()
	eventually(t, "no followers", func() bool { return s.Followers() == 0 })
}

func TestServe_GarbageFromAClientEndsItsConnectionOnly(t *testing.T) {
	s := startWithThings(t, Options{})
	for _, garbage := range []string{"\x00", "GET / HTTP/1.1\r\n\r\n", "\x05\x00\x00\x01\xff\xff\xff\xff\xff", strings.Repeat("\xff", 100)} {
		c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if _, err := connect(t, s).Execute("SELECT 1"); err != nil {
		t.Error(err)
	}
}
