package binlog

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tailwater/change"
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

// showSQL is what the server is asked for, by sqlColumn.show.
var showSQL = map[string]string{
	"number": "CAST(c AS CHAR)", "float": "CAST(CAST(c AS DOUBLE) AS CHAR)", "year": "CAST(c AS CHAR)",
	"bit": "CAST(CAST(c AS UNSIGNED) AS CHAR)", "quoted": "CAST(c AS CHAR)", "timestamp": "CAST(c AS CHAR)",
	"text": "HEX(CONVERT(c USING utf8mb4))", "bytes": "HEX(c)", "json": "CAST(c AS CHAR)",
	"geometry": "HEX(c)", "vector": "HEX(c)",
}

// wantJSON turns what the server showed into the JSON text of an event. It
// uses nothing of the decoder.
func wantJSON(t *testing.T, show, got string) string {
	t.Helper()
	unhex := func() []byte {
		b, err := hex.DecodeString(got)
		if err != nil {
			t.Fatalf("the server shows %q, want hex", got)
		}
		return b
	}
	switch show {
	case "number", "bit", "json":
		return got
	case "year":
		if got == "0000" {
			return "0"
		}
		return got
	case "float":
		f, err := strconv.ParseFloat(got, 64)
		if err != nil {
			t.Fatalf("the server shows %q, want a number", got)
		}
		return strconv.FormatFloat(f, 'g', -1, 32)
	case "quoted":
		return `"` + got + `"`
	case "timestamp":
		if strings.HasPrefix(got, "0000") {
			return `"` + got + `"`
		}
		return `"` + strings.Replace(got, " ", "T", 1) + `Z"`
	case "text":
		return string(unhex())
	case "bytes":
		return `"` + base64.StdEncoding.EncodeToString(unhex()) + `"`
	case "geometry":
		b := unhex()
		return fmt.Sprintf(`{"srid":%d,"wkb":"%s"}`, binary.LittleEndian.Uint32(b), base64.StdEncoding.EncodeToString(b[4:]))
	case "vector":
		b := unhex()
		floats := make([]string, len(b)/4)
		for i := range floats {
			f := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			floats[i] = strconv.FormatFloat(float64(f), 'g', -1, 32)
		}
		return strings.Join(floats, " ")
	}
	t.Fatalf("no form %q", show)
	return ""
}

// comparable brings the decoder's text into the form of wantJSON where the two
// may differ in spelling: escapes of text, layout of floats.
func comparable(t *testing.T, show, got string) string {
	t.Helper()
	switch show {
	case "text":
		var s string
		if err := json.Unmarshal([]byte(got), &s); err != nil {
			t.Fatalf("text %s is no JSON string: %v", got, err)
		}
		return s
	case "float":
		f, err := strconv.ParseFloat(got, 32)
		if err != nil {
			t.Fatalf("float %s: %v", got, err)
		}
		if got == "-0" {
			return "-0"
		}
		return strconv.FormatFloat(f, 'g', -1, 32)
	case "vector":
		var list []float32
		if err := json.Unmarshal([]byte(got), &list); err != nil {
			t.Fatalf("vector %s: %v", got, err)
		}
		out := make([]string, len(list))
		for i, f := range list {
			out[i] = strconv.FormatFloat(float64(f), 'g', -1, 32)
		}
		return strings.Join(out, " ")
	}
	return got
}

// rowEvents are the bodies of a table's events in a binlog file.
type rowEvents struct {
	tableMap []byte
	events   []rowsEvent
}

type rowsEvent struct {
	kind byte
	body []byte
}

// readEvents reads a binlog file, 4 bytes of magic, then events with a header
// of 19 bytes and a checksum of 4, and returns its table maps and rows events.
func readEvents(t *testing.T, file []byte) []loggedEvent {
	t.Helper()
	var out []loggedEvent
	maps := map[uint64][]byte{}
	for pos := 4; pos < len(file); {
		head := file[pos:]
		kind, size := head[4], int(binary.LittleEndian.Uint32(head[9:]))
		body := head[19 : size-4]
		pos += size
		switch kind {
		case 19:
			maps[tableID(body)] = body
			out = append(out, loggedEvent{tableMap: body, rowsEvent: rowsEvent{kind: kind}})
		case rowsWriteV1, rowsUpdateV1, rowsDeleteV1, rowsWriteV2, rowsUpdateV2, rowsDeleteV2, rowsPartial:
			id, _, err := rowsTableID(kind, body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, loggedEvent{tableMap: maps[id], rowsEvent: rowsEvent{kind, body}})
		}
	}
	return out
}

// readRowEvents gathers the events of a binlog file by table. Every table has
// one shape in it.
func readRowEvents(t *testing.T, file []byte) map[string]*rowEvents {
	t.Helper()
	tables := map[string]*rowEvents{}
	for _, ev := range readEvents(t, file) {
		_, _, name, err := tableMapName(ev.tableMap)
		if err != nil {
			t.Fatal(err)
		}
		e := tables[string(name)]
		if e == nil {
			e = &rowEvents{tableMap: ev.tableMap}
			tables[string(name)] = e
		}
		if ev.kind != 19 {
			e.events = append(e.events, ev.rowsEvent)
		}
	}
	return tables
}

// images renders column c of every image of the events, by id.
func (e *rowEvents) images(t *testing.T) map[string]map[int]string {
	t.Helper()
	m, err := parseTableMap(e.tableMap)
	if err != nil {
		t.Fatal(err)
	}
	id, c := m.Table().ColumnIndex("id"), m.Table().ColumnIndex("c")
	out := map[string]map[int]string{}
	add := func(which string, row change.Row) {
		n, err := row.AppendJSON(nil, id)
		if err != nil {
			t.Fatal(err)
		}
		text, err := row.AppendJSON(nil, c)
		if err != nil {
			t.Errorf("%s image of row %s: %v", which, n, err)
		}
		if out[which] == nil {
			out[which] = map[int]string{}
		}
		key, _ := strconv.Atoi(string(n))
		out[which][key] = string(text)
	}
	for _, ev := range e.events {
		rows := 0
		err := m.rows(ev.kind, ev.body, func(op change.Op, before, after change.Row) error {
			rows++
			if before != nil {
				add(op.String()+" before", before)
			}
			if after != nil {
				add(op.String()+" after", after)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if n, err := m.count(ev.kind, ev.body); err != nil || n != rows {
			t.Errorf("count %d rows, %v, want %d", n, err, rows)
		}
	}
	return out
}

// differential fills a table for every column, changes and deletes its rows,
// and holds every image in the binlog against what the server shows.
func differential(t *testing.T, s *logSession, columns []sqlColumn, golden string) {
	exec := func(q string) { t.Helper(); s.exec(t, q) }
	exec("SET NAMES utf8mb4")
	exec("SET SESSION time_zone='+00:00'")
	shown := map[string]map[int]string{}
	for _, c := range columns {
		exec(fmt.Sprintf("CREATE TABLE %s (id INT PRIMARY KEY, c %s, touch INT NOT NULL DEFAULT 0)", c.name, c.definition))
	}
	exec("FLUSH BINARY LOGS")
	for _, c := range columns {
		values := []string{"(0,NULL)"}
		for i, v := range c.values {
			values = append(values, fmt.Sprintf("(%d,%s)", i+1, v))
		}
		exec(fmt.Sprintf("INSERT INTO %s (id,c) VALUES %s", c.name, strings.Join(values, ",")))
		shown[c.name] = showRows(t, s.conn, c)
		exec(fmt.Sprintf("UPDATE %s SET touch=touch+1", c.name))
		exec(fmt.Sprintf("DELETE FROM %s", c.name))
	}
	tables := readRowEvents(t, lastBinlog(t, s.server, s.conn))
	var record bytes.Buffer
	for _, c := range columns {
		t.Run(c.name, func(t *testing.T) {
			events := tables[c.name]
			if events == nil {
				t.Fatal("the binlog has no rows of the table")
			}
			checkImages(t, c, events.images(t), shown[c.name])
			if err := events.record(&record, c); err != nil {
				t.Fatal(err)
			}
		})
	}
	if *updateRows && !t.Failed() {
		if err := os.WriteFile(filepath.Join("testdata", "rows", golden), record.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// showRows asks the server for the texts of column c, by id.
func showRows(t *testing.T, conn *sql.Conn, c sqlColumn) map[int]string {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), fmt.Sprintf("SELECT id, %s FROM %s", showSQL[c.show], c.name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := map[int]string{}
	for rows.Next() {
		var id int
		var text sql.NullString
		if err := rows.Scan(&id, &text); err != nil {
			t.Fatal(err)
		}
		out[id] = "null"
		if text.Valid {
			out[id] = wantJSON(t, c.show, text.String)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(out) != len(c.values)+1 {
		t.Fatalf("the server shows %d rows, want %d", len(out), len(c.values)+1)
	}
	return out
}

func checkImages(t *testing.T, c sqlColumn, images map[string]map[int]string, shown map[int]string) {
	t.Helper()
	for _, which := range []string{"c after", "u before", "u after", "d before"} {
		if len(images[which]) != len(shown) {
			t.Errorf("%s: %d images, want %d", which, len(images[which]), len(shown))
		}
		for id, want := range shown {
			got := images[which][id]
			if !json.Valid([]byte(got)) {
				t.Errorf("%s, value %d: %.200q is not JSON", which, id, got)
			}
			if id > 0 {
				got = comparable(t, c.show, got)
			}
			if got != want {
				t.Errorf("%s, value %s: got %.300q, want %.300q", which, value(c, id), got, want)
			}
		}
	}
}

// value names value id of c in a message.
func value(c sqlColumn, id int) string {
	if id == 0 {
		return "NULL"
	}
	return c.values[id-1]
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

// TestRealMySQL runs everything that needs a MySQL server on one.
func TestRealMySQL(t *testing.T) {
	server := testenv.MySQL(t, 1)[0]
	t.Run("ShowsWhatWeShow", func(t *testing.T) { differential(t, newLogSession(t, server), allColumns(), "mysql.txt") })
	t.Run("Orders", func(t *testing.T) { orders(t, newLogSession(t, server)) })
	t.Run("CharsetsAreTheServers", func(t *testing.T) { charsetsOfMySQL(t, newLogSession(t, server)) })
	t.Run("KnowEveryCollation", func(t *testing.T) {
		knowCollations(t, server, "SELECT id, character_set_name FROM information_schema.collations", 280)
	})
	for name, test := range mysqlFormats {
		t.Run(name, func(t *testing.T) { test(t, newLogSession(t, server)) })
	}
}

// TestRealMariaDB is TestRealMySQL for the other flavour.
func TestRealMariaDB(t *testing.T) {
	server := testenv.MariaDB(t)
	t.Run("ShowsWhatWeShow", func(t *testing.T) {
		var columns []sqlColumn
		for _, c := range allColumns() {
			if !c.mysqlOnly {
				columns = append(columns, c)
			}
		}
		differential(t, newLogSession(t, server), columns, "mariadb.txt")
	})
	t.Run("KnowEveryCollation", func(t *testing.T) {
		knowCollations(t, server, "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability", 1000)
	})
	for name, test := range mariadbFormats {
		t.Run(name, func(t *testing.T) { test(t, newLogSession(t, server)) })
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
		lines, err := imageLines(mustParse(t, ev.tableMap), ev.rowsEvent)
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
