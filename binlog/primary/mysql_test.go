package primary

import (
	"database/sql"
	"fmt"
	"reflect"
	"testing"

	"tailwater/binlog/primary/encode"
	"tailwater/internal/testenv"
)

// kinds is a table of every type, whose rows real MySQL must print alike.
func kinds() encode.Table {
	t := encode.Table{Database: "d", Name: "kinds", PrimaryKey: []int{0}, Columns: []encode.Column{{Name: "id", Kind: encode.Int}}}
	for _, c := range []encode.Column{
		{Name: "tiny", Kind: encode.TinyInt}, {Name: "ubig", Kind: encode.BigInt, Unsigned: true},
		{Name: "f", Kind: encode.Float}, {Name: "d", Kind: encode.Double}, {Name: "dec1", Kind: encode.Decimal, Precision: 12, Scale: 2},
		{Name: "ch", Kind: encode.Char, Length: 5}, {Name: "vc", Kind: encode.Varchar, Length: 50}, {Name: "tx", Kind: encode.Text},
		{Name: "bi", Kind: encode.Binary, Length: 4}, {Name: "vb", Kind: encode.Varbinary, Length: 9}, {Name: "bl", Kind: encode.Blob, Length: 1 << 20},
		{Name: "en", Kind: encode.Enum, Members: []string{"new", "it's"}}, {Name: "st", Kind: encode.Set, Members: []string{"a", "b", "c"}},
		{Name: "da", Kind: encode.Date}, {Name: "ti", Kind: encode.Time, Scale: 2}, {Name: "dt", Kind: encode.DateTime, Scale: 3},
		{Name: "ts", Kind: encode.Timestamp, Scale: 6}, {Name: "ye", Kind: encode.Year}, {Name: "bt", Kind: encode.Bit, Length: 12},
		{Name: "js", Kind: encode.JSON},
	} {
		c.Nullable = true
		t.Columns = append(t.Columns, c)
	}
	return t
}

var kindRows = []encode.Row{
	{1, -128, uint64(1<<64 - 1), 1.5, 0.1, "-1234567890.05", "ab", "Zürich 東京 😀", "text", []byte{1, 2}, []byte{0, 255}, []byte("blob"), "it's", "a,c", "2026-11-20", "-12:34:56.25", "2026-11-20 10:10:10.123", "2026-11-20 10:10:10.123456", 2026, 0xabc, `{"bb":[1,2.5,"x\"y\n",null,true],"a":{"é":-5},"ccc":18446744073709551615}`},
	{2, 127, 0, -0.25, 1e20, "0.00", "", "", "", []byte{}, []byte{}, []byte{}, "new", "", "1000-01-01", "838:59:59", "9999-12-31 23:59:59.999", "2038-01-19 03:14:07", 1901, 0, `[]`},
	{3, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil},
	{4, 0, 42, 16777216.0, -123456.789, "9999999999.99", "é", "a\\b'c\x00d", "x\ny", []byte("abcd"), []byte("'"), []byte{0}, "new", "b", "2024-02-29", "00:00:00", "2026-01-01 00:00:00", "1970-01-01 00:00:01", 2155, 4095, `"plain"`},
	{5, 1, 1, 1e-3, 1e-7, "1", "x", "x", "x", nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, `{"f":1.0,"g":1e300,"h":123456789.125,"i":-0.5,"j":4294967296}`},
}

// sameQueries are answered by the in-process primary as by MySQL.
var sameQueries = []string{
	"SELECT * FROM d.kinds ORDER BY id",
	"SELECT id, dec1 FROM d.kinds WHERE dec1 > 0.5 ORDER BY dec1 DESC, id",
	"SELECT id FROM d.kinds WHERE (id) > (2) ORDER BY id LIMIT 2",
	"SELECT id, tiny FROM d.kinds WHERE (id, tiny) > (1, 0) AND (id, tiny) <= (4, 0) ORDER BY id",
	"SELECT COUNT(*), COUNT(dec1), SUM(dec1), MIN(da), MAX(ubig) FROM d.kinds",
	"SELECT en, COUNT(*) n FROM d.kinds GROUP BY en ORDER BY n DESC, CAST(en AS CHAR)",
	"SELECT id FROM d.kinds WHERE en = 'new' OR st IS NULL ORDER BY id",
	"SELECT id FROM d.kinds WHERE dt >= '2026-11-20 10:10:10' ORDER BY id DESC LIMIT 1, 5",
	"SELECT id FROM d.kinds WHERE vc LIKE 'Z%' AND NOT id IN (7, 8)",
	"SELECT HEX(vb), CAST(id AS CHAR), COALESCE(tx, '-') FROM d.kinds WHERE id BETWEEN 1 AND 4 ORDER BY id",
	"SELECT 7 / 2, 1.10 + 2.2, 5 % 3, -5 % 3, NULL AND 0, NULL OR 0, 1 IN (2, NULL), NULL <=> NULL, 0.1 + 0.2 = 0.3",
	"SELECT (1, 2) < (1, 3), (1, NULL) = (1, 2), '10' = 10, 1 / 0, CAST(12 AS SIGNED), CONCAT('a', 1, 'b'), 2 * 3 + 4",
	"SELECT GTID_SUBSET('aaaaaaaa-0000-0000-0000-000000000001:2', 'aaaaaaaa-0000-0000-0000-000000000001:1-3')",
	"SELECT GTID_SUBTRACT('aaaaaaaa-0000-0000-0000-000000000001:1-9', 'aaaaaaaa-0000-0000-0000-000000000001:2-3:9')",
	"SELECT @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@binlog_row_value_options, @@gtid_mode, @@log_bin, @@binlog_checksum",
	"SHOW GLOBAL VARIABLES LIKE 'binlog\\_row\\_image'",
	"SHOW COLUMNS FROM d.kinds",
	"SELECT column_name, data_type, column_type, is_nullable, column_key, numeric_precision, numeric_scale, datetime_precision FROM information_schema.columns WHERE table_schema = 'd' AND table_name = 'kinds' ORDER BY ordinal_position",
	"SELECT index_name, seq_in_index, column_name FROM information_schema.statistics WHERE table_schema = 'd' AND table_name = 'kinds'",
	"SELECT table_name FROM information_schema.tables WHERE table_schema = 'd'",
}

// answer returns a result as text, or the error.
func answer(db *sql.DB, query string) any {
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	out := [][]string{}
	for rows.Next() {
		cells := make([]sql.NullString, len(names))
		into := make([]any, len(cells))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		var row []string
		for _, c := range cells {
			if c.Valid {
				row = append(row, "="+c.String)
			} else {
				row = append(row, "NULL")
			}
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return out
}

func open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestQuery_AnswersAreMySQLs(t *testing.T) {
	real := testenv.MySQL(t, 1)[0]
	utc := "?time_zone=%27%2B00%3A00%27"
	theirs := open(t, fmt.Sprintf("%s:%s@tcp(%s:%d)/%s&interpolateParams=true", real.User, real.Password, real.Host, real.Port, utc))
	s := start(t, Options{})
	ours := open(t, "root@tcp("+s.Addr()+")/"+utc)
	def, err := encode.New(kinds())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateTable(*def); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"CREATE DATABASE d", def.CreateSQL()} {
		if _, err := theirs.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	tx := s.Begin()
	defer tx.Rollback()
	for _, row := range kindRows {
		if err := tx.Insert("d", "kinds", row); err != nil {
			t.Fatal(err)
		}
		args := []any(row)
		marks := "?"
		for range len(row) - 1 {
			marks += ",?"
		}
		if _, err := theirs.Exec("INSERT INTO d.kinds VALUES ("+marks+")", args...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, q := range sameQueries {
		got, want := answer(ours, q), answer(theirs, q)
		if _, failed := want.(error); failed {
			t.Errorf("%s: MySQL says %v", q, want)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot   %v\nMySQL %v", q, got, want)
		}
	}
}
