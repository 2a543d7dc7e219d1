package events

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"tailwater/internal/envelope"
	"tailwater/internal/testenv"
)

// flinkFold applies the rows that Flink makes, by their first column.
func flinkFold(t *testing.T, lines []string) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, line := range lines {
		kind, row, ok := strings.Cut(line, " ")
		id, _, _ := strings.Cut(row, "|")
		switch {
		case ok && (kind == "+I" || kind == "+U"):
			rows[id] = row
		case ok && (kind == "-D" || kind == "-U"):
			if rows[id] != row {
				t.Errorf("%s takes back what is not there: %q", line, rows[id])
			}
			delete(rows, id)
		default:
			t.Fatalf("Flink made %q of the lines", line)
		}
	}
	return rows
}

// unscaled is the number in the bytes of a Debezium decimal.
func unscaled(t *testing.T, text string) string {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) == 0 {
		t.Fatalf("%q is no decimal: %v", text, err)
	}
	n := new(big.Int).SetBytes(raw)
	if raw[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	return n.String()
}

func TestRealMySQL_FlinkReadsEveryEnvelope(t *testing.T) {
	flinkReads(t, testenv.MySQL(t, 1)[0])
}

func TestRealMariaDB_FlinkReadsEveryEnvelope(t *testing.T) {
	flinkReads(t, testenv.MariaDBs(t, "11.8", 1)[0])
}

// flinkReads fails unless what Flink makes of a server's past is what SELECT
// says, in every form.
func flinkReads(t *testing.T, s *testenv.Server) {
	t.Helper()
	prepare(t, s)
	s.Exec(t, "INSERT INTO shop.orders (id,status,amount,note,at,small) VALUES (50,'paid',9999999999.99,'a b é','1969-12-31 23:59:59.999',-128)",
		"UPDATE shop.orders SET amount=-128, at='2026-11-20 10:10:10.5' WHERE id=50")
	for kind, c := range map[envelope.Kind]struct{ columns, query string }{
		envelope.Debezium: {"id DECIMAL(20,0), status STRING, amount BYTES, note STRING, `at` BIGINT, small INT, f DOUBLE",
			"SELECT id, status, CAST(amount*100 AS SIGNED), note, CAST(TIMESTAMPDIFF(MICROSECOND,'1970-01-01',at)/1000 AS SIGNED), small, f FROM shop.orders"},
		envelope.Maxwell: {"id DECIMAL(20,0), status STRING, amount DECIMAL(12,2), note STRING, `at` STRING, small INT, f DOUBLE",
			"SELECT id, status, amount, note, at, small, f FROM shop.orders"},
		envelope.Canal: {"id DECIMAL(20,0), status INT, amount DECIMAL(12,2), note STRING, `at` STRING, small INT, f DOUBLE",
			"SELECT id, status+0, amount, note, at, small, f FROM shop.orders"},
	} {
		got := runOn(t, s, func(o *Options) { o.Envelope, o.Tables = kind, []string{"shop.orders"} })
		if kind == envelope.Debezium && !strings.Contains(got.lines[0], `"connector":"`+s.Kind+`"`) {
			t.Errorf("got %s, want the connector %s", got.lines[0], s.Kind)
		}
		if got.err != nil || len(got.lines) < 8 {
			t.Fatalf("%s: got %d lines and %v", kind, len(got.lines), got.err)
		}
		rows := flinkFold(t, testenv.FlinkRead(t, string(kind), c.columns, []byte(strings.Join(got.lines, "\n"))))
		for id, row := range rows {
			if cells := strings.Split(row, "|"); kind == envelope.Debezium && cells[2] != "null" {
				cells[2] = unscaled(t, cells[2])
				rows[id] = strings.Join(cells, "|")
			}
		}
		want := map[string]string{}
		for _, row := range s.Query(t, c.query) {
			for i := range row {
				row[i] = strings.NewReplacer("NULL", "null", "1e+100", "1.0E100").Replace(row[i])
			}
			want[row[0]] = strings.Join(row, "|")
		}
		if !maps.Equal(rows, want) {
			t.Errorf("%s: Flink has\n%s\nand SELECT says\n%s", kind, strings.Join(slices.Sorted(maps.Values(rows)), "\n"), strings.Join(slices.Sorted(maps.Values(want)), "\n"))
		}
	}
}

// The types that Canal's messages declare are those that the server shows.
func TestRealMySQL_CanalDeclaresTheColumnsTypes(t *testing.T) {
	s := testenv.MySQL(t, 1)[0]
	s.Exec(t, "CREATE DATABASE shop", `CREATE TABLE shop.kinds (a TINYINT PRIMARY KEY, b TINYINT UNSIGNED, c SMALLINT, d MEDIUMINT UNSIGNED, e INT, f BIGINT UNSIGNED,
		g DECIMAL(30,10), h FLOAT, i DOUBLE, j BIT(3), k YEAR, l DATE, m DATETIME, n DATETIME(6), o TIMESTAMP(3) NULL, p TIME(2),
		q CHAR(7) CHARACTER SET utf8mb4, r VARCHAR(300) CHARACTER SET utf8mb4, s VARCHAR(9) CHARACTER SET gbk, t CHAR(3) CHARACTER SET latin1,
		u TINYTEXT, v TEXT, w MEDIUMTEXT, x LONGTEXT, y BINARY(5), z VARBINARY(500), aa TINYBLOB, ab BLOB, ac MEDIUMBLOB, ad LONGBLOB,
		ae ENUM('it''s','b,c'), af SET('x','y'), ag JSON, ah CHAR(5) CHARACTER SET ucs2, ai CHAR(200) CHARACTER SET utf8mb4)`,
		"INSERT INTO shop.kinds (a) VALUES (1)")
	got := runOn(t, s, func(o *Options) { o.Envelope = envelope.Canal })
	if got.err != nil || len(got.lines) != 1 {
		t.Fatalf("got %q and %v, want one line", got.lines, got.err)
	}
	var m struct{ MySQLType map[string]string }
	if err := json.Unmarshal([]byte(got.lines[0]), &m); err != nil {
		t.Fatal(err)
	}
	for _, row := range s.Query(t, "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_NAME='kinds'") {
		if m.MySQLType[row[0]] != row[1] {
			t.Errorf("column %s: got %q, and the server shows %q", row[0], m.MySQLType[row[0]], row[1])
		}
		delete(m.MySQLType, row[0])
	}
	if len(m.MySQLType) != 0 {
		t.Errorf("the table has no columns %v", m.MySQLType)
	}
}
