package binlog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tailwater/internal/testenv"
)

// testAcknowledgesNothing follows a server that waits for semi-synchronous
// replicas: a reader must not be taken for one, for what it has is not durable.
func testAcknowledgesNothing(s *shared) {
	side := "source"
	if s.server.Kind == "mariadb" {
		side = "master"
	} else {
		s.Cleanup(func() { s.server.Exec(s.T, "UNINSTALL PLUGIN rpl_semi_sync_source") })
		s.sql("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
	}
	s.Cleanup(func() { s.server.Exec(s.T, "SET GLOBAL rpl_semi_sync_"+side+"_enabled=OFF") })
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("SET GLOBAL rpl_semi_sync_"+side+"_timeout=200", "SET GLOBAL rpl_semi_sync_"+side+"_enabled=ON", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[1]"), s.row("c", "t", 1, "[2]"))
	for _, name := range []string{"clients", "yes_tx"} {
		if got := s.server.Query(s.T, "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_"+side+"_"+name+"'")[0][1]; got != "0" {
			s.Errorf("the server counts %s of %s, want 0: it takes a reader for a replica that acknowledges", got, name)
		}
	}
	f.stop()
}

// testProtocolCompression follows rows of more than a packet from a server that
// offers to compress the protocol.
func testProtocolCompression(s *shared) {
	if offered := s.server.Query(s.T, "SELECT @@GLOBAL.protocol_compression_algorithms")[0][0]; !strings.Contains(offered, "zlib") || !strings.Contains(offered, "zstd") {
		s.Fatalf("the server offers %s, want it to offer compression", offered)
	}
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, b LONGTEXT)")
	f := s.follow(nil)
	const size = 20 << 20
	s.sql(fmt.Sprintf("INSERT INTO t VALUES (1, REPEAT('x', %d))", size), "INSERT INTO t VALUES (2, 'y')")
	f.upTo(s.server)
	rows := f.rows()
	if len(rows) != 2 || strings.Count(rows[0], "x") != size {
		s.Errorf("%d rows, want 2 of which the first is whole", len(rows))
	}
	f.stop()
}

// testEncryptedBinlogs starts a server beside the shared one that encrypts its
// binlogs, with a key in a file. A keyring is loaded before all else, by a
// manifest beside the program: one of this server alone is where its argv[0]
// says that the program is.
func testEncryptedBinlogs(s *shared) {
	const component = "component_keyring_file"
	from, to := s.server.Query(s.T, "SELECT @@GLOBAL.plugin_dir")[0][0], s.TempDir()
	program, err := os.ReadFile(filepath.Join(from, component+".so"))
	if err != nil {
		s.Fatal(err)
	}
	settings := fmt.Sprintf(`{"path": %q, "read_only": false}`, filepath.Join(to, "keys"))
	manifest := `{"components": "file://` + component + `"}`
	for name, b := range map[string][]byte{component + ".so": program, component + ".cnf": []byte(settings), "mysqld.my": []byte(manifest)} {
		if err := os.WriteFile(filepath.Join(to, name), b, 0o700); err != nil {
			s.Fatal(err)
		}
	}
	server := testenv.MySQL(s.T, 1, "--plugin-dir="+to)[0]
	server.Stop(s.T)
	command := filepath.Join(server.Dir, "command")
	words, err := os.ReadFile(command)
	if err != nil {
		s.Fatal(err)
	}
	before, after, ok := strings.Cut(string(words), "--argv0\n")
	_, rest, more := strings.Cut(after, "\n")
	if !ok || !more {
		s.Fatalf("the server's command names no argv0:\n%s", words)
	}
	if err := os.WriteFile(command, []byte(before+"--argv0\n"+filepath.Join(to, "mysqld")+"\n"+rest), 0o600); err != nil {
		s.Fatal(err)
	}
	server.Restart(s.T)
	server.Exec(s.T, "SET GLOBAL binlog_encryption=ON", "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v TEXT)")
	file := server.Query(s.T, "SHOW BINARY LOG STATUS")[0][0]
	server.Exec(s.T, "INSERT INTO d.t VALUES (1, 'marker')")
	raw, err := os.ReadFile(filepath.Join(server.DataDir, file))
	if err != nil || !bytes.HasPrefix(raw, []byte("\xfdbin")) || bytes.Contains(raw, []byte("marker")) {
		s.Fatalf("%v: %s is not encrypted", err, file)
	}
	for _, mode := range []PositionMode{ByGTID, ByFile} {
		f := follow(s.T, server, nil, by(mode))
		f.await("the row", func(j *journal) bool { return len(j.rows) > 0 && len(j.watermarks) > 0 })
		f.wantRows(`c d.t#1 [1,"marker"]`)
		position, _ := f.stop()
		server.Exec(s.T, "INSERT INTO d.t VALUES (2, 'next')")
		f = follow(s.T, server, position, by(mode))
		f.await("the next row", func(j *journal) bool { return len(j.rows) > 0 })
		f.wantRows(`c d.t#1 [2,"next"]`)
		f.stop()
		server.Exec(s.T, "RESET BINARY LOGS AND GTIDS", "SET sql_log_bin=0", "DELETE FROM d.t", "SET sql_log_bin=1", "INSERT INTO d.t VALUES (1, 'marker')")
	}
}

// testMariaEncrypted tells a server whose files are encrypted from one whose are
// not by the files themselves, and reads both.
func testMariaEncrypted(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
	f := s.follow(nil)
	file := s.server.Query(s.T, "SHOW MASTER STATUS")[0][0]
	s.sql("INSERT INTO t VALUES (1, 'mark')")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, `[1,"mark"]`))
	raw, err := os.ReadFile(filepath.Join(s.server.DataDir, file))
	if err != nil {
		s.Fatal(err)
	}
	encrypted := s.server.Query(s.T, "SELECT @@GLOBAL.encrypt_binlog")[0][0] == "1"
	if got := bytes.Contains(raw, []byte("mark")); got == encrypted {
		s.Errorf("encrypt_binlog is %v, and that %s shows the row is %v", encrypted, file, got)
	}
	position, _ := f.stop()
	s.sql("FLUSH BINARY LOGS", "INSERT INTO t VALUES (2, 'next')")
	f = s.follow(position)
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, `[2,"next"]`))
	f.stop()
}

// testHeadroom asks a real server how long it keeps a position's binlog.
func testHeadroom(s *shared) {
	setting := "binlog_expire_logs_seconds"
	before := s.server.Query(s.T, "SELECT @@GLOBAL."+setting)[0][0]
	s.Cleanup(func() { s.server.Exec(s.T, "SET GLOBAL "+setting+"="+before) })
	s.sql("SET GLOBAL "+setting+"=36000", "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (2)")
	f.upTo(s.server)
	position, _ := f.stop()
	h, err := f.r.Headroom(s.Context(), position)
	if err != nil || h.Left != 10*time.Hour || h.Method != methodLast || h.Low() {
		s.Errorf("at the end: got %+v, %v", h, err)
	}
	s.sql("FLUSH BINARY LOGS", "INSERT INTO t VALUES (3)")
	other := s.follow(nil) // a dump that must not be ended by the question
	h, err = f.r.Headroom(s.Context(), position)
	if err != nil || h.Left > 10*time.Hour || h.Left < 10*time.Hour-patience || h.Method != methodNext || h.Behind == 0 {
		s.Errorf("behind a rotation: got %+v, %v", h, err)
	}
	s.sql("INSERT INTO t VALUES (4)")
	other.upTo(s.server)
	other.wantRows(s.row("c", "t", 1, "[4]"))
	other.stop()
}
