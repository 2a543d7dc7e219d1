package binlog

import (
	"database/sql"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// updateRows writes what real servers logged and showed to testdata/rows.
var updateRows = flag.Bool("update-rows", false, "record testdata/rows anew from real servers")

// manyMembers lists n members of an ENUM or SET.
func manyMembers(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("'m%d'", i+1)
	}
	return strings.Join(members, ",")
}

func allColumns() []sqlColumn {
	var all []sqlColumn
	for _, group := range [][]sqlColumn{integerColumns, numberColumns, temporalColumns, textColumns, otherColumns} {
		all = append(all, group...)
	}
	return all
}

// rowEvents are the bodies of a table's events in a binlog file.
type rowEvents struct {
	tableMap []byte
	flavor   Flavor
	events   []rowsEvent
}

type rowsEvent struct {
	kind byte
	body []byte
}

// eachEvent calls fn with the type and the body of every event of a binlog
// file: 4 bytes of magic, then events with a header of 19 bytes and a checksum
// of 4.
func eachEvent(file []byte, fn func(kind byte, body []byte)) {
	for pos := 4; pos < len(file); {
		head := file[pos:]
		size := int(binary.LittleEndian.Uint32(head[9:]))
		fn(head[4], head[19:size-4])
		pos += size
	}
}

// readEvents returns the table maps and rows events of a binlog file.
func readEvents(t *testing.T, file []byte, flavor Flavor) []loggedEvent {
	t.Helper()
	var out []loggedEvent
	maps := map[uint64][]byte{}
	eachEvent(file, func(kind byte, body []byte) {
		switch kind {
		case 19:
			maps[tableID(body)] = body
			out = append(out, loggedEvent{flavor: flavor, tableMap: body, rowsEvent: rowsEvent{kind: kind}})
		case rowsWriteV1, rowsUpdateV1, rowsDeleteV1, rowsWriteV2, rowsUpdateV2, rowsDeleteV2, rowsPartial:
			id, _, err := rowsTableID(kind, body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, loggedEvent{flavor: flavor, tableMap: maps[id], rowsEvent: rowsEvent{kind, body}})
		}
	})
	return out
}

// readRowEvents gathers the events of a binlog file by table. Every table has
// one shape in it.
func readRowEvents(t *testing.T, file []byte, flavor Flavor) map[string]*rowEvents {
	t.Helper()
	tables := map[string]*rowEvents{}
	for _, ev := range readEvents(t, file, flavor) {
		_, _, name, err := tableMapName(ev.tableMap)
		if err != nil {
			t.Fatal(err)
		}
		e := tables[string(name)]
		if e == nil {
			e = &rowEvents{tableMap: ev.tableMap, flavor: ev.flavor}
			tables[string(name)] = e
		}
		if ev.kind != 19 {
			e.events = append(e.events, ev.rowsEvent)
		}
	}
	return tables
}

// lastBinlog returns the server's current binlog file.
func lastBinlog(t *testing.T, server *testenv.Server, conn *sql.Conn) []byte {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, _ := rows.Columns()
	var name string
	for rows.Next() {
		cells := make([]any, len(columns))
		cells[0] = &name
		for i := range cells[1:] {
			cells[i+1] = new(sql.RawBytes)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(filepath.Join(server.DataDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// matrixModes are the settings under which the matrix is read.
var matrixModes = []struct {
	name, image string
	compressed  bool
}{
	{"Full", "FULL", false}, {"Minimal", "MINIMAL", false}, {"Noblob", "NOBLOB", false},
	{"FullCompressed", "FULL", true}, {"MinimalCompressed", "MINIMAL", true}, {"NoblobCompressed", "NOBLOB", true},
}

// showsWhatServersShow runs the matrix, and the hazards of types on what it
// has read.
func showsWhatServersShow(t *testing.T, server *testenv.Server, label servers, golden string) {
	s := newLogSession(t, server)
	x := newMatrix(t, s, label)
	for _, mode := range matrixModes {
		t.Run(mode.name, func(t *testing.T) {
			if mode.compressed {
				compress := []string{"SET SESSION binlog_transaction_compression=ON", "SET SESSION binlog_transaction_compression=OFF"}
				if server.Kind == "mariadb" {
					compress = []string{"SET GLOBAL log_bin_compress=ON, log_bin_compress_min_len=10", "SET GLOBAL log_bin_compress=OFF"}
				}
				s.exec(t, compress[0])
				defer s.exec(t, compress[1])
			}
			x.run(t, mode.image, mode.compressed)
		})
	}
	runTypeHazards(t, label, x.full)
	if *updateRows && golden != "" && !t.Failed() {
		x.record(t, golden)
	}
}

// runFormats runs tests on what one session logs.
func runFormats(t *testing.T, server *testenv.Server, tests map[string]func(*testing.T, *logSession)) {
	for _, name := range sortedKeys(tests) {
		t.Run(name, func(t *testing.T) { tests[name](t, newLogSession(t, server)) })
	}
}

// TestRealMySQL runs everything that needs a MySQL server on one.
func TestRealMySQL(t *testing.T) {
	server := testenv.MySQL(t, 1)[0]
	t.Run("ShowsWhatWeShow", func(t *testing.T) { showsWhatServersShow(t, server, onMySQL, "mysql.txt") })
	t.Run("Orders", func(t *testing.T) { orders(t, newLogSession(t, server)) })
	t.Run("CharsetsAreTheServers", func(t *testing.T) { charsetsOfServer(t, newLogSession(t, server)) })
	t.Run("KnowEveryCollation", func(t *testing.T) {
		knowCollations(t, server, "SELECT id, character_set_name FROM information_schema.collations", 280)
	})
	runFormats(t, server, commonFormats)
	runFormats(t, server, mysqlFormats)
	t.Run("Binlog", func(t *testing.T) { recordBinlog(t, server) })
}

// TestRealMariaDB is TestRealMySQL for the other flavour.
func TestRealMariaDB(t *testing.T) {
	for label, golden := range map[servers]string{"11.8": "mariadb.txt", "10.11": ""} {
		t.Run(string(label), func(t *testing.T) {
			server := testenv.MariaDBs(t, string(label), 1)[0]
			t.Run("ShowsWhatWeShow", func(t *testing.T) { showsWhatServersShow(t, server, label, golden) })
			t.Run("CharsetsAreTheServers", func(t *testing.T) { charsetsOfServer(t, newLogSession(t, server)) })
			t.Run("KnowEveryCollation", func(t *testing.T) {
				knowCollations(t, server, "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability", 320)
			})
			runFormats(t, server, commonFormats)
			runFormats(t, server, mariadbFormats)
			if golden != "" {
				t.Run("Binlog", func(t *testing.T) { recordBinlog(t, server) })
			}
		})
	}
}

// orders checks, and with -update-rows records, the rows that the benchmarks
// decode.
func orders(t *testing.T, s *logSession) {
	events := s.logged(t, "SET time_zone='+00:00'",
		`CREATE TABLE orders (id BIGINT PRIMARY KEY, customer INT NOT NULL, status ENUM('new','paid','shipped','returned') NOT NULL,
			amount DECIMAL(12,2) NOT NULL, country CHAR(2) NOT NULL, email VARCHAR(80) NOT NULL, items JSON NOT NULL,
			created DATETIME(3) NOT NULL, updated TIMESTAMP(3) NOT NULL)`,
		`INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 40)
			SELECT 1000000+i*7, i*i*31, 1+i%4, i*12.34, ELT(1+i%3,'IN','DE','US'), CONCAT('customer',i*i*31,'@example.com'),
			JSON_ARRAY(JSON_OBJECT('sku', CONCAT('A-', 1000+i), 'n', i%5, 'price', i*1.5)),
			'2026-11-20 10:10:10.123' + INTERVAL i*3571 SECOND, '2026-11-20 10:10:10.123' + INTERVAL i*3571 SECOND FROM n`)
	var got, record string
	for _, ev := range events {
		lines, err := imageLines(ev.parse(t), ev.rowsEvent)
		if err != nil {
			t.Fatal(err)
		}
		got += lines
		record += fmt.Sprintf("map %x\nevent %d %x\n", ev.tableMap, ev.kind, ev.body)
	}
	var want string
	for _, r := range s.server.Query(t, `SELECT CONCAT('c - -> ', id, ' ', customer, ' "', status, '" ', amount, ' "', country, '" "', email, '" ',
		items, ' "', created, '" "', REPLACE(updated, ' ', 'T'), 'Z"') FROM d.orders ORDER BY id`) {
		want += r[0] + "\n"
	}
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if *updateRows {
		if err := os.WriteFile(filepath.Join("testdata", "rows", "orders.txt"), []byte(record), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
