package primary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"tailwater/binlog/primary/encode"
)

func TestPurge_MovesGTIDPurgedAndRefusesWhoNeedsIt(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1)
	s.Rotate()
	insert(t, s, 2)
	file, _ := s.Position()
	if err := s.PurgeTo(file); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	wantTable(t, c, "SELECT @@gtid_purged", []any{testUUID + ":1-2"})
	var my *mysql.MyError
	if err := followGTID(t, s, testUUID+":1").failure(); !errors.As(err, &my) || my.Code != 1236 {
		t.Errorf("got error %v, want MySQL's 1236", err)
	}
	if err := followFile(t, s, "binlog.000001", 4).failure(); !errors.As(err, &my) || my.Code != 1236 {
		t.Errorf("got error %v, want MySQL's 1236", err)
	}
	wantIDs(t, followGTID(t, s, testUUID+":1-2").ids(1), 2)
	if err := s.PurgeTo("binlog.000099"); err == nil {
		t.Error("purged to a file that does not exist")
	}
}

func TestKeepBytes_BoundsTheLogButNotUnderAFollower(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := startWithThings(t, Options{FileBytes: 5_000, KeepBytes: 20_000, Dir: dir})
			s.Slow(1) // the follower stays in the first file
			f := followGTID(t, s, "")
			eventually(t, "a follower", func() bool { return s.Followers() == 1 })
			for id := 1; id <= 500; id++ {
				insert(t, s, id)
			}
			c := connect(t, s)
			if got := table(t, c, "SHOW BINARY LOGS")[0][0]; got != "binlog.000001" {
				t.Errorf("the first file is %s while a follower reads binlog.000001", got)
			}
			f.syncer.Close()
			s.Slow(0)
			eventually(t, "no follower", func() bool { return s.Followers() == 0 })
			insert(t, s, 501)
			total := 0
			for _, r := range table(t, c, "SHOW BINARY LOGS") {
				n := 0
				_, _ = fmt.Sscan(r[1].(string), &n)
				total += n
			}
			if total > 20_000+2*5_000 {
				t.Errorf("the log holds %d bytes, want at most 30000", total)
			}
		})
	}
}

func TestClose_RemovesSpilledFiles(t *testing.T) {
	dir := t.TempDir()
	s := startWithThings(t, Options{FileBytes: 1000, Dir: dir})
	for id := range 20 {
		insert(t, s, id)
	}
	if left, _ := os.ReadDir(dir); len(left) < 3 {
		t.Fatalf("%d files in the folder, want several", len(left))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%d files are left in the folder", len(left))
	}
}

func TestSpill_ThatFailsLosesNothingAndIsReported(t *testing.T) {
	s, err := Start(Options{UUID: testUUID, FileBytes: 1000, Dir: filepath.Join(t.TempDir(), "missing")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateTable(things); err != nil {
		t.Fatal(err)
	}
	for id := range 20 {
		insert(t, s, id)
	}
	if got := len(followGTID(t, s, "").ids(20)); got != 20 {
		t.Errorf("got %d rows, want 20", got)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "spill binlog.000001") {
		t.Errorf("got error %v, want one that names the file", err)
	}
}

// dumpFiles writes the files of the log as they are served, and returns their paths.
func dumpFiles(t testing.TB, s *Server) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, f := range s.log.files {
		path := filepath.Join(dir, "recorded-"+f.name)
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestRecorded_FilesAreServedBeforeTheServersOwn(t *testing.T) {
	source := startWithThings(t, Options{UUID: "99999999-0000-0000-0000-000000000009"})
	insert(t, source, 1)
	source.Rotate()
	insert(t, source, 2)
	paths := dumpFiles(t, source)
	s := start(t, Options{Recorded: paths, NoChecksum: true}) // the recorded ones have checksums
	if got, want := s.Executed(), source.Executed(); got != want {
		t.Errorf("got executed %s, want %s", got, want)
	}
	if err := s.CreateTable(things); err != nil {
		t.Fatal(err)
	}
	insert(t, s, 3)
	wantIDs(t, followGTID(t, s, "").ids(3), 1, 2, 3)
	wantIDs(t, followGTID(t, s, "99999999-0000-0000-0000-000000000009:1-2").ids(2), 2, 3)
	wantIDs(t, followFile(t, s, filepath.Base(paths[1]), 4).ids(2), 2, 3)
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			t.Errorf("a recorded file is gone: %v", err)
		}
	}
}

func TestRecorded_DamagedFilesAreRefusedByName(t *testing.T) {
	source := startWithThings(t, Options{})
	insert(t, source, 1)
	whole, err := os.ReadFile(dumpFiles(t, source)[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": nil, "nomagic": []byte("not a log"), "cut": whole[:len(whole)-3], "header": whole[:len(whole)-31+4],
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Start(Options{Recorded: []string{path}}); err == nil {
			_ = s.Close()
			t.Errorf("%s was accepted", name)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
	}
	if _, err := Start(Options{Recorded: []string{filepath.Join(t.TempDir(), "absent")}}); err == nil {
		t.Error("a missing file was accepted")
	}
}

func TestDump_WithoutChecksumNegotiationIsRefused(t *testing.T) {
	s := start(t, Options{})
	c := connect(t, s)
	c.ResetSequence()
	if err := c.WritePacket([]byte{0, 0, 0, 0, mysql.COM_BINLOG_DUMP, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	packet, err := c.ReadPacket()
	if err != nil || packet[0] != mysql.ERR_HEADER || !strings.Contains(string(packet), "checksum") {
		t.Errorf("got packet %q and error %v, want an error about the checksum", packet, err)
	}
}

func TestDump_NonBlockingEndsAtTheLogsEnd(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1)
	c := connect(t, s)
	if _, err := c.Execute("SET @source_binlog_checksum = 'CRC32'"); err != nil {
		t.Fatal(err)
	}
	c.ResetSequence()
	if err := c.WritePacket([]byte{0, 0, 0, 0, mysql.COM_BINLOG_DUMP, 4, 0, 0, 0, flagNonBlock, 0, 1, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	xids := 0
	for {
		packet, err := c.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		if packet[0] == mysql.EOF_HEADER {
			break
		}
		if packet[5] == encode.TypeXID {
			xids++
		}
	}
	if xids != 1 {
		t.Errorf("got %d transactions, want 1", xids)
	}
}

func TestDump_MalformedCommandsAreErrors(t *testing.T) {
	s := start(t, Options{})
	for _, command := range [][]byte{
		{mysql.COM_BINLOG_DUMP}, {mysql.COM_BINLOG_DUMP_GTID}, {mysql.COM_BINLOG_DUMP_GTID, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255},
		append([]byte{mysql.COM_BINLOG_DUMP_GTID, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0}, "123456789"...),
		{mysql.COM_PROCESS_KILL, 1}, {0x7f},
	} {
		c := connect(t, s)
		c.ResetSequence()
		if err := c.WritePacket(append([]byte{0, 0, 0, 0}, command...)); err != nil {
			t.Fatal(err)
		}
		packet, err := c.ReadPacket()
		if err != nil || packet[0] != mysql.ERR_HEADER {
			t.Errorf("command %x: got packet %x and error %v, want an error packet", command, packet, err)
		}
	}
}

func TestDump_HeartbeatsComeAtThePeriodAskedFor(t *testing.T) {
	s := start(t, Options{})
	f := followGTID(t, s, "") // 50 ms
	file, pos := s.Position()
	for range 3 {
		e := f.until(replication.HEARTBEAT_EVENT)
		if uint64(e.Header.LogPos) != pos {
			t.Errorf("got a heartbeat at %d, want %d of %s", e.Header.LogPos, pos, file)
		}
	}
}

func TestCommit_StatesTimesGTIDAndPlace(t *testing.T) {
	at := time.UnixMicro(1_763_632_210_123_456)
	s := startWithThings(t, Options{Now: func() time.Time { return at }})
	tx := s.Begin()
	if err := tx.Insert("shop", "things", encode.Row{1, nil}); err != nil {
		t.Fatal(err)
	}
	past := at.Add(-15 * time.Minute).UnixMicro()
	done, err := tx.Commit(CommitOptions{OriginalMicros: past})
	if err != nil {
		t.Fatal(err)
	}
	_, end := s.Position()
	if done.GTID != testUUID+":2" || done.CommitMicros != past || done.End != end || done.Rows != 1 {
		t.Errorf("got %+v, want GTID :2 at %d, ending at %d", done, past, end)
	}
	f := followFile(t, s, done.File, uint32(done.Pos))
	e := f.until(replication.GTID_EVENT).Event.(*replication.GTIDEvent)
	if int64(e.OriginalCommitTimestamp) != past || int64(e.ImmediateCommitTimestamp) != at.UnixMicro() {
		t.Errorf("got times %d and %d, want %d and %d", e.OriginalCommitTimestamp, e.ImmediateCommitTimestamp, past, at.UnixMicro())
	}
	if e.TransactionLength != done.End-done.Pos {
		t.Errorf("got transaction length %d, want %d", e.TransactionLength, done.End-done.Pos)
	}
}

func TestCommit_UnderAnotherServersGTIDs(t *testing.T) {
	s := startWithThings(t, Options{})
	other := "aaaaaaaa-0000-0000-0000-000000000001"
	for _, gtid := range []string{other + ":5", other + ":3", other + ":4"} {
		if _, err := s.Begin().Commit(CommitOptions{GTID: gtid}); err != nil { // empty transactions
			t.Fatal(err)
		}
	}
	if got, want := s.Executed(), testUUID+":1,"+other+":3-5"; got != want {
		t.Errorf("got executed %s, want %s", got, want)
	}
	for _, bad := range []string{other + ":4", other + ":1-2", "x", other} {
		if _, err := s.Begin().Commit(CommitOptions{GTID: bad}); err == nil {
			t.Errorf("committed under %s", bad)
		}
	}
	insert(t, s, 1)
	wantIDs(t, followGTID(t, s, testUUID+":1,"+other+":1-9").ids(1), 1)
}

func TestStart_TwelvePrimariesTakeNoTime(t *testing.T) {
	began := time.Now()
	for range 12 {
		start(t, Options{})
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Logf("12 primaries took %v, want less than 100ms on an idle machine", took)
		if took > 2*time.Second {
			t.Error("each start makes a key")
		}
	}
}

func TestStart_ReportsEveryMistake(t *testing.T) {
	_, err := Start(Options{UUID: "x", Version: "eight", FileBytes: -1})
	for _, want := range []string{`uuid "x"`, `version "eight"`, "FileBytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want it to say %s", err, want)
		}
	}
	if _, err := Start(Options{Purged: "zz:1"}); err == nil {
		t.Error("a malformed set was accepted")
	}
	s := start(t, Options{})
	if _, err := Start(Options{Addr: s.Addr()}); err == nil {
		t.Error("an address in use was accepted")
	}
}

func BenchmarkServer_Commit(b *testing.B) {
	for _, rows := range []int{1, 10} {
		b.Run(fmt.Sprint(rows, " rows"), func(b *testing.B) {
			s := startWithThings(b, Options{KeepBytes: 16 << 20})
			id := 0
			b.ReportAllocs()
			for b.Loop() {
				tx := s.Begin()
				for range rows {
					id++
					if err := tx.Insert("shop", "things", encode.Row{id, "label"}); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := tx.Commit(CommitOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(id)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
