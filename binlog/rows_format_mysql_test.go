package binlog

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/testenv"
)

// loggedEvent is a rows event with the TABLE_MAP before it.
type loggedEvent struct {
	flavor   Flavor
	tableMap []byte
	rowsEvent
}

// parse compiles the event's table map.
func (e *loggedEvent) parse(t *testing.T) *tableMap {
	t.Helper()
	return mustParseOf(t, e.tableMap, e.flavor)
}

// logSession runs statements on one connection of a server in a database of its
// own, and reads back what they logged.
type logSession struct {
	server *testenv.Server
	conn   *sql.Conn
}

func newLogSession(t *testing.T, server *testenv.Server) *logSession {
	t.Helper()
	conn, err := server.DB(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &logSession{server: server, conn: conn}
	s.exec(t, "DROP DATABASE IF EXISTS d", "CREATE DATABASE d CHARACTER SET utf8mb4", "USE d", "SET SESSION sql_mode=''")
	return s
}

func (s *logSession) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, err := s.conn.ExecContext(context.Background(), q); err != nil {
			t.Fatalf("%.200s: %v", q, err)
		}
	}
}

// logged runs the statements and returns the rows events that they made.
func (s *logSession) logged(t *testing.T, statements ...string) []loggedEvent {
	t.Helper()
	s.exec(t, "FLUSH BINARY LOGS")
	s.exec(t, statements...)
	var out []loggedEvent
	for _, e := range readEvents(t, lastBinlog(t, s.server, s.conn), Flavor(s.server.Kind)) {
		if e.kind != 19 {
			out = append(out, e)
		}
	}
	return out
}

// states renders an image as column=value, where a column that is absent is
// left out.
func states(t *testing.T, m *tableMap, row change.Row) string {
	t.Helper()
	if row == nil {
		return "-"
	}
	var out []string
	for i, c := range m.Table().Columns {
		text, err := row.AppendJSON(nil, i)
		if row.State(i) == change.Absent {
			if err == nil {
				t.Errorf("absent column %s renders as %s, want an error", c.Name, text)
			}
			continue
		}
		if err != nil {
			t.Errorf("column %s: %v", c.Name, err)
		}
		out = append(out, c.Name+"="+string(text))
	}
	return strings.Join(out, " ")
}

// decoded renders the images of all events.
func decoded(t *testing.T, events []loggedEvent) []string {
	t.Helper()
	var out []string
	for _, e := range events {
		m := e.parse(t)
		err := m.rows(e.kind, e.body, func(op change.Op, before, after change.Row) error {
			out = append(out, op.String()+" "+states(t, m, before)+" -> "+states(t, m, after))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func wantRows(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// mysqlFormats are tests of what MySQL alone has.
var mysqlFormats = map[string]func(*testing.T, *logSession){
	"Hazard_A39_PartialJSONIsTheWholeDocument":       hazardA39,
	"Hazard_A46_HiddenColumnsAreNotShown":            hazardA46,
	"Hazard_A47_InvisibleColumnsAndGeneratedKeys":    hazardA47,
	"Hazard_A79_AnEmptyJSONDocumentIsAnErrorNotNull": hazardA79,
	"KeysOfTables": primaryKeys,
}

func hazardA38(t *testing.T, s *logSession) {
	s.exec(t, "CREATE TABLE t (id INT PRIMARY KEY, a TEXT, b BIGINT UNSIGNED, c INT)", "INSERT INTO t VALUES (1,'x',18446744073709551615,NULL)")
	wantRows(t, decoded(t, s.logged(t, "SET binlog_row_image=MINIMAL", "UPDATE t SET b=5", "UPDATE t SET a=NULL", "INSERT INTO t (id,c) VALUES (2,3)", "DELETE FROM t WHERE id=2")),
		`u id=1 -> b=5`,
		`u id=1 -> a=null`,
		`c - -> id=2 c=3`,
		`d id=2 -> -`)
	wantRows(t, decoded(t, s.logged(t, "SET binlog_row_image=NOBLOB", "UPDATE t SET b=18446744073709551615", "UPDATE t SET a='y'")),
		`u id=1 b=5 c=null -> id=1 b=18446744073709551615 c=null`,
		`u id=1 b=18446744073709551615 c=null -> id=1 a="y" b=18446744073709551615 c=null`)
	wantRows(t, decoded(t, s.logged(t, "SET binlog_row_image=FULL", "UPDATE t SET c=0")),
		`u id=1 a="y" b=18446744073709551615 c=null -> id=1 a="y" b=18446744073709551615 c=0`)
	// An insert of nothing but defaults has no column at all in MySQL's image.
	events := s.logged(t, "SET binlog_row_image=MINIMAL", "CREATE TABLE n (a INT DEFAULT 1)", "INSERT INTO n VALUES ()", "SET binlog_row_image=FULL")
	if s.server.Kind == "mariadb" {
		wantRows(t, decoded(t, events), `c - -> a=1`)
		return
	}
	for _, e := range events {
		if err := e.parse(t).rows(e.kind, e.body, func(change.Op, change.Row, change.Row) error { return nil }); err == nil {
			t.Error("an image without columns decodes, want an error")
		}
	}
}

func hazardA43(t *testing.T, s *logSession) {
	s.exec(t, "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)")
	wantRows(t, decoded(t, s.logged(t,
		"INSERT INTO t VALUES (1,10,20)",
		"ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a", "UPDATE t SET a=21",
		"ALTER TABLE t DROP COLUMN a, ADD COLUMN n VARCHAR(5) AFTER id", "UPDATE t SET n='x'",
		"ALTER TABLE t MODIFY n VARCHAR(5) CHARACTER SET utf16", "UPDATE t SET n='é'")),
		`c - -> id=1 a=10 b=20`,
		`u id=1 b=10 a=20 -> id=1 b=10 a=21`,
		`u id=1 n=null b=10 -> id=1 n="x" b=10`,
		`u id=1 n="x" b=10 -> id=1 n="é" b=10`)
}

func hazardA46(t *testing.T, s *logSession) {
	wantRows(t, decoded(t, s.logged(t,
		"CREATE TABLE t (id INT PRIMARY KEY, phone VARCHAR(20), j JSON, KEY ((RIGHT(phone,4))), KEY ((CAST(j->'$.a' AS UNSIGNED ARRAY))))",
		`INSERT INTO t VALUES (1,'5551234','{"a":[1,2]}')`, "ALTER TABLE t ADD COLUMN z INT DEFAULT 7", "UPDATE t SET z=8")),
		`c - -> id=1 phone="5551234" j={"a": [1, 2]}`,
		`u id=1 phone="5551234" j={"a": [1, 2]} z=7 -> id=1 phone="5551234" j={"a": [1, 2]} z=8`)
}

func hazardA47(t *testing.T, s *logSession) {
	events := s.logged(t, "SET sql_generate_invisible_primary_key=ON", "CREATE TABLE t (a INT, b INT INVISIBLE)",
		"SET sql_generate_invisible_primary_key=OFF", "INSERT INTO t (a,b) VALUES (1,2)")
	wantRows(t, decoded(t, events), `c - -> my_row_id=1 a=1 b=2`)
	if got := events[0].parse(t).Table().PrimaryKey; !slices.Equal(got, []int{0}) {
		t.Errorf("primary key %v, want my_row_id", got)
	}
}

func hazardA48(t *testing.T, s *logSession) {
	wantRows(t, decoded(t, s.logged(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT AS (id+1) VIRTUAL, s INT AS (id+2) STORED, n INT AS (NULLIF(id,1)))",
		"INSERT INTO t (id) VALUES (1),(2)")),
		`c - -> id=1 v=2 s=3 n=null`, `c - -> id=2 v=3 s=4 n=2`)
}

func hazardA49(t *testing.T, s *logSession) {
	s.exec(t, "CREATE TABLE t (id INT PRIMARY KEY, a INT)", "INSERT INTO t VALUES (1,1)")
	var statements, want []string
	last := "a=1"
	for i := range 30 {
		name := string(rune('b' + i%20))
		if i%2 == 0 {
			statements = append(statements, "ALTER TABLE t ADD COLUMN "+name+" BIGINT UNSIGNED DEFAULT 3, ALGORITHM=INSTANT", "UPDATE t SET a=-a")
		} else {
			statements = append(statements, "ALTER TABLE t DROP COLUMN "+string(rune('b'+(i-1)%20))+", ALGORITHM=INSTANT", "UPDATE t SET a=-a")
		}
		next := map[string]string{"a=1": "a=-1", "a=-1": "a=1"}[last]
		tail := ""
		if i%2 == 0 {
			tail = " " + name + "=3"
		}
		want = append(want, "u id=1 "+last+tail+" -> id=1 "+next+tail)
		last = next
	}
	wantRows(t, decoded(t, s.logged(t, statements...)), want...)
}

func hazardA50(t *testing.T, s *logSession) {
	s.exec(t, "CREATE TABLE a (id INT PRIMARY KEY, v INT)", "CREATE TABLE b (id INT PRIMARY KEY, w VARCHAR(200))",
		"INSERT INTO a WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200) SELECT i,i FROM n", "INSERT INTO b SELECT id, REPEAT('x',200) FROM a")
	events := s.logged(t, "UPDATE a JOIN b USING (id) SET v=v+1, w=CONCAT('y',LEFT(w,100))")
	rows := map[string]int{}
	for _, e := range events {
		m := e.parse(t)
		n, err := m.count(e.kind, e.body)
		if err != nil {
			t.Fatal(err)
		}
		rows[m.Table().Name] += n
	}
	if rows["a"] != 200 || rows["b"] != 200 || len(events) < 4 {
		t.Errorf("%d events with rows %v, want 200 of each table in several events", len(events), rows)
	}
}

func hazardA79(t *testing.T, s *logSession) {
	events := s.logged(t, "CREATE TABLE t (id INT PRIMARY KEY, j JSON NOT NULL)", "INSERT IGNORE INTO t VALUES (1,NULL)")
	m := events[0].parse(t)
	err := m.rows(events[0].kind, events[0].body, func(_ change.Op, _, after change.Row) error {
		_, err := after.AppendJSON(nil, 1)
		return err
	})
	if !errors.Is(err, errJSONEmpty) || !strings.Contains(err.Error(), "d.t, column j") {
		t.Errorf("error %v, want errJSONEmpty naming d.t and j", err)
	}
}

func primaryKeys(t *testing.T, s *logSession) {
	for definition, want := range map[string][]int{
		"(a INT, b INT, PRIMARY KEY (b,a))":                           {1, 0},
		"(a INT, b VARCHAR(300), c INT, PRIMARY KEY (c,b(10)))":       {2, 1},
		"(a INT, b INT UNIQUE)":                                       nil,
		"(a INT, b INT NOT NULL UNIQUE)":                              {1}, // the server takes it for the key
		"(`odd \"näme` INT PRIMARY KEY) COMMENT='a name with quotes'": {0},
	} {
		s.exec(t, "DROP TABLE IF EXISTS k", "CREATE TABLE k "+definition)
		column := strings.Fields(definition)[0][1:]
		if strings.Contains(definition, "näme") {
			column = "`odd \"näme`"
		}
		insert := "INSERT INTO k (" + column + ") VALUES (1)"
		if strings.Contains(definition, "NOT NULL UNIQUE") {
			insert = "INSERT INTO k (a,b) VALUES (1,1)"
		}
		events := s.logged(t, insert)
		got := events[0].parse(t).Table()
		if !slices.Equal(got.PrimaryKey, want) {
			t.Errorf("%s: key %v, want %v", definition, got.PrimaryKey, want)
		}
		if strings.Contains(definition, "näme") && got.Columns[0].Name != `odd "näme` {
			t.Errorf("column %q", got.Columns[0].Name)
		}
	}
}
