package binlog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func testOneServerID(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	same := func(o *Options, _ *journal) { o.ServerID = 4711 }
	a, b := s.follow(nil, same), s.follow(nil, same)
	for i := range 5 {
		s.sql(fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
	}
	a.upTo(s.server)
	b.upTo(s.server)
	if len(a.rows()) != 5 || len(b.rows()) != 5 {
		s.Errorf("%d and %d rows, want 5 each", len(a.rows()), len(b.rows()))
	}
}

func testKillsNothing(s *shared) {
	kills := func() string { return s.server.Query(s.T, "SHOW GLOBAL STATUS LIKE 'Com_kill'")[0][1] }
	before := kills()
	var position []byte
	for range 3 {
		f := s.follow(position)
		s.sql("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)")
		f.upTo(s.server)
		position, _ = f.stop()
	}
	if after := kills(); after != before {
		s.Errorf("the server counts %s KILLs, want %s as before", after, before)
	}
}

func testChecksums(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	s.Cleanup(func() { s.sql("SET GLOBAL binlog_checksum=CRC32") })
	for _, mode := range []PositionMode{ByGTID, ByFile} {
		s.sql("DELETE FROM t", "SET GLOBAL binlog_checksum=CRC32")
		f := s.follow(nil, func(o *Options, _ *journal) { o.Position = mode })
		var want []string
		for i, algorithm := range []string{"NONE", "CRC32", "NONE", "CRC32"} {
			s.sql(fmt.Sprintf("INSERT INTO t VALUES (%d)", i), "SET GLOBAL binlog_checksum="+algorithm)
			want = append(want, s.row("c", "t", 1, fmt.Sprintf("[%d]", i)))
		}
		f.await("4 rows", func(j *journal) bool { return len(j.rows) == 4 })
		f.wantRows(want...)
		f.stop()
	}
}

func testLargeRows(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, b LONGTEXT)")
	f := s.follow(nil)
	sizes := []int{15 << 20, 1<<24 - 100, 1 << 24, 33 << 20}
	if s.server.Kind == "mariadb" {
		// Its max_allowed_packet is 16M, and a row may be as large as that.
		sizes = []int{1 << 20, 9 << 20, 16_500_000}
	}
	for i, n := range sizes {
		s.sql(fmt.Sprintf("INSERT INTO t VALUES (%d, REPEAT('x', %d))", i, n))
	}
	f.upTo(s.server)
	for i, row := range f.rows() {
		if got, want := strings.Count(row, "x"), sizes[i]; got != want {
			s.Errorf("row %d has %d characters, want %d", i, got, want)
		}
	}
	if got := len(f.rows()); got != len(sizes) {
		s.Errorf("%d rows, want %d", got, len(sizes))
	}
	f.stop()
	small := s.follow(nil, func(o *Options, _ *journal) { o.MaxEvent = 1 << 20 })
	s.sql("INSERT INTO t VALUES (9, REPEAT('x', 2000000))")
	small.wantStop("larger than the bound of 1048576 bytes", "binlog.0")
}

func testCompression(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))")
	f := s.follow(nil)
	var want []string
	insert := func(on string, id int) {
		s.sql("SET SESSION binlog_transaction_compression="+on, "BEGIN", fmt.Sprintf("INSERT INTO t VALUES (%d, REPEAT('a', 100))", id), "SAVEPOINT x",
			fmt.Sprintf("INSERT INTO t VALUES (%d, NULL)", id+1), "COMMIT")
		want = append(want, s.row("c", "t", 1, fmt.Sprintf("[%d,%q]", id, strings.Repeat("a", 100))), s.row("c", "t", 2, fmt.Sprintf("[%d,null]", id+1)))
	}
	for i := range 6 {
		insert([]string{"ON", "OFF"}[i%2], 2*i)
	}
	f.upTo(s.server)
	f.wantRows(want...)
	position, _ := f.stop()
	want = nil
	insert("ON", 100)
	f = s.follow(position)
	f.upTo(s.server)
	f.wantRows(want...)
	f.stop()
	bounded := s.follow(nil, func(o *Options, _ *journal) { o.MaxPayload = 1 << 20 })
	s.sql("SET SESSION binlog_transaction_compression=ON", "CREATE TABLE big (b LONGTEXT)", "INSERT INTO big VALUES (REPEAT('x', 2000000))")
	bounded.wantStop("compressed transaction", "bound of 1048576 bytes", "binlog_transaction_compression=OFF")
	bounded.wantRows()
}

func testCommitTime(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	clock := func() int64 {
		var n int64
		fmt.Sscan(s.server.Query(s.T, "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6))*1000000 AS SIGNED)")[0][0], &n)
		return n
	}
	before := clock()
	s.sql("SET TIMESTAMP=1000000000", "INSERT INTO t VALUES (1)")
	s.sql("SET SESSION original_commit_timestamp=1600000000123456", "INSERT INTO t VALUES (2)")
	after := clock()
	f.upTo(s.server)
	tx := f.j.transactions
	if got := tx[0].CommitMicros; got < before || got > after {
		s.Errorf("commit time is %d, want it in %d..%d whatever SET TIMESTAMP said", got, before, after)
	}
	if got, want := tx[1].CommitMicros, int64(1600000000123456); got != want {
		s.Errorf("commit time is %d, want the original %d", got, want)
	}
	if got := tx[1].ImmediateMicros; got < before || got > after {
		s.Errorf("immediate commit time is %d, want it in %d..%d", got, before, after)
	}
}

func testIdle(s *shared) {
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f := s.follow(nil)
	s.sql("INSERT INTO t VALUES (1)")
	f.upTo(s.server)
	f.await("two watermarks", func(j *journal) bool { return len(j.watermarks) >= 2 })
	margin := idleMargin
	commit, w := f.j.transactions[0].CommitMicros, f.j.watermarks
	if s.server.Kind == "mariadb" {
		margin = mariadbIdleMargin
		if commit%1e6 != 0 {
			s.Errorf("commit time is %d, want the whole second that the server logs", commit)
		}
	}
	if w[0] < commit-margin || w[0] > commit+5e6 || w[1] <= w[0] {
		s.Errorf("watermarks %v around the commit at %d, want them to rise from %d microseconds before", w, commit, margin)
	}
}

func testHeartbeats(s *shared) {
	var o Options
	s.only(&o, nil)
	o.Host, o.Port, o.User, o.Password = s.server.Host, uint16(s.server.Port), s.server.User, s.server.Password
	o.Heartbeat = 50 * time.Millisecond
	r, err := New(o)
	if err != nil {
		s.Fatal(err)
	}
	from := &Position{Flavor: MySQL, ServerUUID: s.server.Query(s.T, "SELECT @@server_uuid")[0][0],
		GTID: mustSet(s.T, s.server.Query(s.T, "SELECT @@GLOBAL.gtid_executed")[0][0])}
	d, err := r.startDump(s.Context(), from)
	if err != nil {
		s.Fatal(err)
	}
	defer d.c.close()
	for {
		ev, err := d.next()
		if err != nil {
			s.Fatal(err)
		}
		if ev.kind != evHeartbeat && ev.kind != evHeartbeatV2 {
			continue
		}
		hb, err := parseHeartbeat(ev)
		status := s.server.Query(s.T, "SHOW BINARY LOG STATUS")[0]
		end, _ := strconv.ParseUint(status[1], 10, 64)
		if err != nil || ev.kind != evHeartbeatV2 || hb.file != status[0] || hb.pos > end {
			s.Fatalf("%v says %+v (%v), want HEARTBEAT_V2 up to %v", ev.kind, hb, err, status[:2])
		}
		if hb.pos < end {
			// The server also tells how far it has passed over what we have.
			continue
		}
		return
	}
}

func testKilledDump(s *shared) {
	f := s.follow(nil)
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)")
	f.upTo(s.server)
	for _, row := range s.server.Query(s.T, "SHOW PROCESSLIST") {
		if strings.HasPrefix(row[4], "Binlog Dump") {
			s.server.Exec(s.T, "KILL "+row[0])
		}
	}
	if err := f.wait(); Classify(err) != Retry {
		s.Errorf("a killed dump ends with %v of class %v, want retry", err, Classify(err))
	}
}

func testTLS(s *shared) {
	pem, err := os.ReadFile(s.server.CA)
	if err != nil {
		s.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	s.sql("CREATE TABLE t (id INT PRIMARY KEY)", "DROP USER IF EXISTS needs_tls", "CREATE USER needs_tls IDENTIFIED BY 'secret' REQUIRE SSL",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO needs_tls")
	account := func(o *Options, _ *journal) { o.User, o.Password = "needs_tls", "secret" }
	// The server's own certificate names no host, so its chain alone is checked.
	config := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(c tls.ConnectionState) error {
		_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool})
		return err
	}}
	f := s.follow(nil, account, func(o *Options, _ *journal) { o.TLS = config })
	s.sql("INSERT INTO t VALUES (1)")
	f.upTo(s.server)
	f.wantRows(s.row("c", "t", 1, "[1]"))
	plain := s.follow(nil, account)
	plain.wantStop("needs_tls", "Access denied")
	if strings.Contains(plain.err.Error(), "secret") {
		s.Errorf("the error tells the password: %v", plain.err)
	}
	unknown := s.follow(nil, account, func(o *Options, _ *journal) { o.TLS = &tls.Config{} })
	unknown.wantStop("certificate")
}

// reader is one of an account, for a preflight.
func (s *shared) reader(user, password string, flavor Flavor) *Reader {
	s.Helper()
	r, err := New(Options{Shard: "03", Host: s.server.Host, Port: uint16(s.server.Port), User: user, Password: password, Flavor: flavor})
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func testPreflight(s *shared) {
	s.server.Exec(s.T, "CREATE USER IF NOT EXISTS poor IDENTIFIED BY 'poor'", "SET GLOBAL binlog_row_image=MINIMAL", "SET GLOBAL binlog_row_metadata=MINIMAL",
		"SET GLOBAL binlog_format=MIXED", "SET GLOBAL binlog_row_value_options=PARTIAL_JSON")
	// Changes of JSON documents are followed, so that their setting is no finding.
	restore := func() {
		s.server.Exec(s.T, "SET GLOBAL binlog_row_image=FULL", "SET GLOBAL binlog_row_metadata=FULL", "SET GLOBAL binlog_format=ROW")
	}
	s.Cleanup(func() {
		restore()
		s.server.Exec(s.T, "SET GLOBAL binlog_row_value_options=''")
	})
	err := s.reader("poor", "poor", MySQL).Preflight(s.Context())
	var preflight *PreflightError
	if !errors.As(err, &preflight) {
		s.Fatalf("preflight says %v, want a list", err)
	}
	want := `shard 03: the server is not ready to be followed:
  binlog_format is MIXED, want ROW: SET PERSIST binlog_format = 'ROW'; and end the sessions that have another
  binlog_row_metadata is MINIMAL, want FULL: SET PERSIST binlog_row_metadata = 'FULL'
  privilege REPLICATION SLAVE is missing, want granted: GRANT REPLICATION SLAVE ON *.* TO 'poor'@'%'
  privilege REPLICATION CLIENT is missing, want granted: GRANT REPLICATION CLIENT ON *.* TO 'poor'@'%'`
	if got := err.Error(); got != want {
		s.Errorf("preflight:\n got %s\nwant %s", got, want)
	}
	restore()
	if err := s.reader(s.server.ReplUser, s.server.ReplPassword, MySQL).Preflight(s.Context()); err != nil {
		s.Errorf("preflight of a good server says %v", err)
	}
	position := []byte(`{"format":1,"flavor":"mysql","server_uuid":"x","gtid":"99999999-2222-3333-4444-555555555555:1-7","file":"","pos":0}`)
	if err := s.reader(s.server.ReplUser, s.server.ReplPassword, MySQL).PreflightFrom(s.Context(), position); err == nil || !strings.Contains(err.Error(), "99999999-2222-3333-4444-555555555555:1-7") {
		s.Errorf("preflight from a foreign position says %v, want the transactions", err)
	}
}
