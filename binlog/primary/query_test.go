package primary

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	_ "github.com/go-sql-driver/mysql"

	"tailwater/binlog/primary/encode"
)

// table returns a result as text, NULL as nil.
func table(t testing.TB, c *client.Conn, query string) [][]any {
	t.Helper()
	r, err := c.Execute(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	out := [][]any{}
	for i := range r.Values {
		var row []any
		for j := range r.Values[i] {
			if null, _ := r.IsNull(i, j); null {
				row = append(row, nil)
				continue
			}
			s, err := r.GetString(i, j)
			if err != nil {
				t.Fatal(err)
			}
			row = append(row, s)
		}
		out = append(out, row)
	}
	return out
}

func wantTable(t testing.TB, c *client.Conn, query string, want ...[]any) {
	t.Helper()
	got := table(t, c, query)
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %v\nwant %v", query, got, want)
	}
}

func TestQuery_WhatPreflightsAsk(t *testing.T) {
	s := startWithThings(t, Options{ServerID: 7, Purged: "aaaaaaaa-0000-0000-0000-000000000001:1-9", Version: "9.7.4"})
	c := connect(t, s)
	file, pos := s.Position()
	executed := testUUID + ":1,aaaaaaaa-0000-0000-0000-000000000001:1-9"
	for query, want := range map[string][]any{
		"SELECT @@server_uuid, @@global.server_id":                  {testUUID, "7"},
		"SELECT @@GLOBAL.gtid_executed, @@gtid_purged":              {executed, "aaaaaaaa-0000-0000-0000-000000000001:1-9"},
		"SELECT @@log_bin, @@binlog_format, @@gtid_mode, @@version": {"1", "ROW", "ON", "9.7.4"},
		"SELECT VERSION()": {"9.7.4"},
		"SHOW GLOBAL VARIABLES LIKE 'BINLOG_CHECKSUM'":                     {"binlog_checksum", "CRC32"},
		"SHOW VARIABLES WHERE Variable_name IN ('binlog_row_metadata')":    {"binlog_row_metadata", "FULL"},
		"SHOW BINARY LOG STATUS":                                           {file, fmt.Sprint(pos), "", "", executed},
		"SHOW MASTER STATUS;":                                              {file, fmt.Sprint(pos), "", "", executed},
		"SHOW BINARY LOGS":                                                 {file, fmt.Sprint(pos), "No"},
		"SHOW GRANTS":                                                      {"GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"},
		"SHOW GRANTS FOR CURRENT_USER()":                                   {"GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"},
		"SELECT GTID_SUBSET('" + testUUID + ":1', @@gtid_executed)":        {"1"},
		"SELECT GTID_SUBTRACT(@@gtid_executed, '" + testUUID + ":1-5')":    {"aaaaaaaa-0000-0000-0000-000000000001:1-9"},
		"SELECT 1 /* ping */":                                              {"1"},
		"SELECT -2 + 3 * 4, 'a''b', NULL, X'41', 1.50 = 1.5, 7 / 2, 7 % 4": {"10", "a'b", nil, "A", "1", "3.5000", "3"},
		"SELECT COUNT(*) AS n FROM shop.things":                            {"0"},
		"SELECT database(), user()":                                        {nil, "root@localhost"},
		"SELECT @@session.time_zone, @@max_allowed_packet":                 {"+00:00", "1073741824"},
	} {
		wantTable(t, c, query, want)
	}
}

func TestQuery_ServerTime(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 0, 0, 123456000, time.UTC)
	s := start(t, Options{Now: func() time.Time { return at }})
	c := connect(t, s)
	wantTable(t, c, "SELECT NOW(6), UTC_TIMESTAMP(3), UNIX_TIMESTAMP(NOW(6)), UNIX_TIMESTAMP()",
		[]any{"2026-11-20 10:00:00.123456", "2026-11-20 10:00:00.123", fmt.Sprintf("%d.123456", at.Unix()), fmt.Sprint(at.Unix())})
}

func TestQuery_VariablesOfABadlyConfiguredServer(t *testing.T) {
	s := start(t, Options{Variables: map[string]string{"binlog_row_image": "MINIMAL", "log_bin": "OFF"}, Grants: []string{"GRANT USAGE ON *.* TO `r`@`%`"}})
	c := connect(t, s)
	wantTable(t, c, "SELECT @@binlog_row_image, @@log_bin", []any{"MINIMAL", "0"})
	wantTable(t, c, "SHOW GRANTS", []any{"GRANT USAGE ON *.* TO `r`@`%`"})
}

// fill inserts ids 1 to n with labels a, b, c in turn; every fifth is NULL.
func fill(t testing.TB, s *Server, n int) {
	t.Helper()
	tx := s.Begin()
	for id := 1; id <= n; id++ {
		row := encode.Row{id, string(rune('a' + id%3))}
		if id%5 == 0 {
			row[1] = nil
		}
		if err := tx.Insert("shop", "things", row); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(CommitOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestQuery_SelectOfATable(t *testing.T) {
	s := startWithThings(t, Options{})
	fill(t, s, 20)
	c := connect(t, s)
	if err := c.UseDB("shop"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][][]any{
		"SELECT * FROM things ORDER BY id LIMIT 2":                                     {{"1", "b"}, {"2", "c"}},
		"SELECT `id` FROM `shop`.`things` WHERE `id` > 3 ORDER BY `id` LIMIT 2":        {{"4"}, {"5"}},
		"SELECT id FROM things WHERE (id) >= (19) ORDER BY id":                         {{"19"}, {"20"}},
		"SELECT t.id, t.label FROM things t WHERE t.id BETWEEN 5 AND 6 ORDER BY id":    {{"5", nil}, {"6", "a"}},
		"SELECT id FROM things WHERE id IN (3, 99, 7) ORDER BY id DESC":                {{"7"}, {"3"}},
		"SELECT id FROM things WHERE label IS NULL AND NOT id = 5 ORDER BY id":         {{"10"}, {"15"}, {"20"}},
		"SELECT id FROM things WHERE label = 'a' OR id < 3 ORDER BY id LIMIT 3":        {{"1"}, {"2"}, {"3"}},
		"SELECT id FROM things WHERE label <> 'a' ORDER BY id LIMIT 1, 2":              {{"2"}, {"4"}},
		"SELECT id FROM things ORDER BY id LIMIT 2 OFFSET 18":                          {{"19"}, {"20"}},
		"SELECT id FROM things ORDER BY label DESC, id DESC LIMIT 1":                   {{"17"}},
		"SELECT COUNT(*), COUNT(label), MIN(id), MAX(id), SUM(id) FROM things":         {{"20", "16", "1", "20", "210"}},
		"SELECT label, COUNT(*) n FROM things GROUP BY label ORDER BY label":           {{nil, "4"}, {"a", "5"}, {"b", "6"}, {"c", "5"}},
		"SELECT COUNT(*) FROM things WHERE id > 100":                                   {{"0"}},
		"SELECT MAX(id) FROM things WHERE id > 100":                                    {{nil}},
		"SELECT id FROM things WHERE id = '7'":                                         {{"7"}},
		"SELECT COALESCE(label, '-'), CAST(id AS CHAR) FROM things WHERE id = 5":       {{"-", "5"}},
		"SELECT id FROM things WHERE label LIKE 'A%' AND id <= 6":                      {{"3"}, {"6"}},
		"SELECT id FROM things WHERE id > 18 FOR SHARE":                                {{"19"}, {"20"}},
		"SELECT id FROM things WHERE id > 5 AND id < 8 ORDER BY id LOCK IN SHARE MODE": {{"6"}, {"7"}},
		"SELECT id FROM things LIMIT 0":                                                {},
	} {
		wantTable(t, c, query, want...)
	}
}

func TestQuery_PagesByCompoundKey(t *testing.T) {
	s := start(t, Options{})
	if err := s.CreateTable(encode.Table{Database: "d", Name: "pairs", PrimaryKey: []int{1, 0}, Columns: []encode.Column{
		{Name: "b", Kind: encode.Int}, {Name: "a", Kind: encode.Varchar, Length: 9, Collation: encode.CollationUTF8Bin},
	}}); err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	for _, a := range []string{"y", "x", "z"} {
		for b := range 4 {
			if err := tx.Insert("d", "pairs", encode.Row{b, a}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := tx.Commit(CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	var got []string
	a, b := "", -1
	for {
		rows := table(t, c, fmt.Sprintf("SELECT a, b FROM d.pairs WHERE (a, b) > ('%s', %d) ORDER BY a, b LIMIT 5", a, b))
		for _, r := range rows {
			got = append(got, fmt.Sprint(r[0], r[1]))
			a = r[0].(string)
			_, _ = fmt.Sscan(r[1].(string), &b)
		}
		if len(rows) < 5 {
			break
		}
	}
	if want := "[x0 x1 x2 x3 y0 y1 y2 y3 z0 z1 z2 z3]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	wantTable(t, c, "SELECT b FROM d.pairs WHERE a = 'y' AND b >= 2 ORDER BY a, b", []any{"2"}, []any{"3"})
	wantTable(t, c, "SELECT a, b FROM d.pairs WHERE (a, b) > ('x', 2) AND (a, b) <= ('y', 0) ORDER BY a, b",
		[]any{"x", "3"}, []any{"y", "0"})
}

func TestQuery_SchemaOfTables(t *testing.T) {
	s := startWithThings(t, Options{})
	c := connect(t, s)
	wantTable(t, c, "SHOW COLUMNS FROM things FROM shop",
		[]any{"id", "bigint", "NO", "PRI", nil, ""}, []any{"label", "varchar(100)", "YES", "", nil, ""})
	wantTable(t, c, "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.columns "+
		"WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'things' ORDER BY ORDINAL_POSITION",
		[]any{"id", "bigint", "bigint"}, []any{"label", "varchar", "varchar(100)"})
	wantTable(t, c, "SELECT column_name FROM information_schema.statistics WHERE table_schema='shop' AND index_name='PRIMARY' ORDER BY seq_in_index",
		[]any{"id"})
	wantTable(t, c, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop'", []any{"things"})
	wantTable(t, c, "SHOW TABLES FROM shop", []any{"things"})
	wantTable(t, c, "SHOW DATABASES LIKE 'sh%'", []any{"shop"})
	got := table(t, c, "SHOW CREATE TABLE shop.things")
	if want := "CREATE TABLE `things` (\n  `id` bigint NOT NULL"; !strings.HasPrefix(got[0][1].(string), want) {
		t.Errorf("got %s, want it to begin with %s", got[0][1], want)
	}
}

func TestQuery_ErrorsAreMySQLs(t *testing.T) {
	s := startWithThings(t, Options{})
	c := connect(t, s)
	for query, code := range map[string]uint16{
		"SELECT * FROM shop.nothing":                     mysql.ER_NO_SUCH_TABLE,
		"SELECT * FROM things":                           mysql.ER_NO_DB_ERROR,
		"SELECT @@nothing":                               mysql.ER_UNKNOWN_SYSTEM_VARIABLE,
		"INSERT INTO shop.things VALUES (1, 'x')":        mysql.ER_PARSE_ERROR,
		"SELECT 1 FROM shop.things a JOIN shop.things b": mysql.ER_PARSE_ERROR,
		"SELECT 'unclosed":                               mysql.ER_PARSE_ERROR,
		"SHOW PROFILES":                                  mysql.ER_NOT_SUPPORTED_YET,
		"SELECT nothing FROM shop.things":                0,
	} {
		_, err := c.Execute(query)
		var my *mysql.MyError
		if code == 0 { // an empty table evaluates nothing
			continue
		}
		if !errors.As(err, &my) || my.Code != code {
			t.Errorf("%s: got error %v, want %d", query, err, code)
		}
	}
	insert(t, s, 1)
	if _, err := c.Execute("SELECT nothing FROM shop.things"); err == nil {
		t.Error("an unknown column was selected")
	}
	wantTable(t, c, "SELECT 1", []any{"1"}) // the connection goes on
}

func TestSnapshot_HoldsExactlyTheTransactionsOfTheSetReadAroundIt(t *testing.T) {
	s := startWithThings(t, Options{})
	fill(t, s, 3)
	var writer sync.WaitGroup
	writer.Go(func() {
		for id := 100; id < 700; id++ {
			insert(t, s, id, -id) // two rows or none
			runtime.Gosched()
		}
	})
	defer writer.Wait()
	c := connect(t, s)
	agreed := 0
	for range 100 {
		g1 := table(t, c, "SELECT @@gtid_executed")[0][0]
		table(t, c, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
		g2 := table(t, c, "SELECT @@gtid_executed")[0][0].(string)
		n := table(t, c, "SELECT COUNT(*), SUM(id) FROM shop.things")[0]
		again := table(t, c, "SELECT COUNT(*), SUM(id) FROM shop.things")[0]
		if !reflect.DeepEqual(n, again) || n[1] != "6" {
			t.Fatalf("got %v then %v in one snapshot, want the same, with sum 6", n, again)
		}
		table(t, c, "COMMIT")
		if g1 != g2 {
			continue
		}
		agreed++
		var last, rows int
		if _, err := fmt.Sscanf(g2, testUUID+":1-%d", &last); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Sscan(n[0].(string), &rows)
		if want := 3 + 2*(last-2); rows != want { // CREATE TABLE and fill are two
			t.Fatalf("snapshot at %s has %d rows, want %d", g2, rows, want)
		}
	}
	if agreed == 0 {
		t.Error("the set moved around every one of 100 snapshots: nothing was tested")
	}
}

func TestSnapshot_OrdinaryTransactionReadsTheStateOfItsFirstRead(t *testing.T) {
	s := startWithThings(t, Options{})
	c := connect(t, s)
	table(t, c, "BEGIN")
	insert(t, s, 1)
	wantTable(t, c, "SELECT COUNT(*) FROM shop.things", []any{"1"})
	insert(t, s, 2)
	wantTable(t, c, "SELECT COUNT(*) FROM shop.things", []any{"1"})
	table(t, c, "ROLLBACK")
	wantTable(t, c, "SELECT COUNT(*) FROM shop.things", []any{"2"})
}

func TestQuery_OrdinaryDriver(t *testing.T) {
	s := startWithThings(t, Options{User: "app", Password: "secret"})
	fill(t, s, 2000)
	for _, params := range []string{"interpolateParams=true", "interpolateParams=false"} {
		db, err := sql.Open("mysql", "app:secret@tcp("+s.Addr()+")/shop?"+params)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.QueryContext(t.Context(), "SELECT id, label FROM things WHERE id > ? ORDER BY id LIMIT 1500", 4)
		if err != nil {
			t.Fatal(err)
		}
		n, nulls := 0, 0
		for rows.Next() {
			var id int64
			var label sql.NullString
			if err := rows.Scan(&id, &label); err != nil {
				t.Fatal(err)
			}
			if id != int64(n+5) {
				t.Fatalf("%s: got id %d as row %d", params, id, n)
			}
			n++
			if !label.Valid {
				nulls++
			}
		}
		if err := rows.Err(); err != nil || n != 1500 || nulls != 300 {
			t.Errorf("%s: got %d rows with %d NULLs and error %v, want 1500 with 300", params, n, nulls, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
	db, err := sql.Open("mysql", "app:wrong@tcp("+s.Addr()+")/shop")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "1045") {
		t.Errorf("got error %v for a wrong password, want 1045", err)
	}
}
