package binlog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
)

// patchedTable has JSON columns between others: k is mostly left alone, n is
// mostly NULL, and g follows j.
const patchedTable = `CREATE TABLE t (id INT%s, k JSON, a VARCHAR(9), j JSON, n JSON, b INT, g JSON AS (JSON_EXTRACT(j,'$.o')) VIRTUAL)`

// patchedColumns are the columns of patchedTable as text, NULL as null.
const patchedColumns = `COALESCE(CAST(k AS CHAR),'null'), JSON_QUOTE(a), COALESCE(CAST(j AS CHAR),'null'), COALESCE(CAST(n AS CHAR),'null'), CAST(b AS CHAR), COALESCE(CAST(g AS CHAR),'null')`

// patchedPad makes a document so long that the server logs changes in its place.
var patchedPad = `"pad": "` + strings.Repeat("p", 250) + `"`

// patchedRows are the rows of patchedTable. They have objects in arrays and
// arrays in objects, and every key that a path must quote.
var patchedRows = []string{
	`{"o": {"a": 1, "b": [1, 2, 3], "c": {"d": {"e": {"f": [[[[0]]]]}}}}, "l": [10, [20, 21, {"x": "y"}], 30], "s": "text", "": {"": 7}}`,
	`{"o": {"a b": 1, "q\"q": {"back\\slash": [1]}, "é": "ü", "日本": {"語": [true, null]}, "😀": 1.0, "tab\t": 2, "$": 3, "1x": 4, "a.b": 5, "[0]": 6, "*": 7, "last": 8, "c": []}, "l": [], "s": ""}`,
	`{"o": {"a": {}, "b": [[], {}], "f": 1.0, "e": 1e100, "big": 18446744073709551615, "neg": -9223372036854775808, "t": true, "z": null}, "l": [0.1, -0.0, 1e-7, 123456789.5], "s": null}`,
	`[{"a": 1}, [2, 3], "o", ` + strings.Repeat("0, ", 40) + `1]`,
	`{"o": {"a": {` + strings.Repeat(`"k": {`, 90) + strings.Repeat("}", 90) + `}}, "l": [1, 2, 3, 4, 5, 6, 7, 8, 9], "s": "x"}`,
}

// patchedUpdates are what UPDATE t SET is followed by.
var patchedUpdates = []string{
	// What is there is replaced, what is not is added.
	`j=JSON_SET(j,'$.s','new')`, `j=JSON_SET(j,'$.o.a',2,'$.o.new',3)`, `j=JSON_REPLACE(j,'$.s','newer','$.none',1)`, `j=JSON_SET(j,'$.o.c.d.e.f[0][0][0][0]','deep')`,
	`j=JSON_SET(j,'$.o.c.d.e.f[0][0][1]',JSON_ARRAY(1,JSON_OBJECT('k',NULL)))`, `j=JSON_SET(j,'$.""."" ','empty')`, `j=JSON_SET(j,'$.""','empty')`, `j=JSON_REMOVE(j,'$.""')`,
	// Keys that a path quotes.
	`j=JSON_SET(j,'$.o."a b"',2,'$.o."q\\"q"."back\\\\slash"[0]','é')`, `j=JSON_SET(j,'$.o.é','ö','$.o."日本"."語"[1]',1,'$.o."😀"',2.0e0)`, `j=JSON_SET(j,'$.o."tab\\t"',1,'$.o."\\u0001"',2)`,
	`j=JSON_SET(j,'$.o."$"',4,'$.o."1x"',5,'$.o."a.b"',6,'$.o."[0]"',7,'$.o."*"',8,'$.o.last',9)`, `j=JSON_REMOVE(j,'$.o."a b"','$.o."q\\"q"','$.o.é','$.o."a.b"','$.o."[0]"')`, `j=JSON_SET(j,'$.o."new key"',1,'$.o."日"',2,'$.o."ключ"',3,'$.o."x\\"y"',4)`,
	// Elements of arrays: behind the end, from the end, before the begin, one by one.
	`j=JSON_SET(j,'$.l[0]',11,'$.l[1]',12)`, `j=JSON_SET(j,'$.l[100]','end')`, `j=JSON_SET(j,'$.l[last]','was last')`, `j=JSON_SET(j,'$.l[last-1]','second last')`, `j=JSON_SET(j,'$.l[last-100]','first')`,
	`j=JSON_REMOVE(j,'$.l[0]')`, `j=JSON_REMOVE(j,'$.l[last]')`, `j=JSON_REMOVE(j,'$.l[1]','$.l[1]','$.l[0]')`, `j=JSON_REMOVE(j,'$.l[50]','$.none.x')`, `j=JSON_SET(j,'$.l[last].x[last]','z')`, `j=JSON_SET(j,'$[0].a',2,'$[1][5]',4,'$[last]','o')`, `j=JSON_REMOVE(j,'$[1][0]','$[0]')`,
	// A scalar becomes an array of itself.
	`j=JSON_SET(j,'$.s[1]','wrapped')`, `j=JSON_SET(j,'$.o.a[0]','not wrapped')`, `j=JSON_SET(j,'$.o.a[last-1]','before')`,
	// All kinds of values.
	`j=JSON_SET(j,'$.o.v',CAST('2026-11-20' AS DATE))`, `j=JSON_SET(j,'$.o.v',CAST('2026-11-20 10:10:10.123456' AS DATETIME(6)))`, `j=JSON_SET(j,'$.o.v',CAST('-838:59:58.999999' AS TIME(6)))`, `j=JSON_SET(j,'$.o.v',TIMESTAMP'2026-11-20 10:10:10')`,
	`j=JSON_SET(j,'$.o.v',1.10)`, `j=JSON_SET(j,'$.o.v',CAST(-0.5 AS DECIMAL(30,20)))`, `j=JSON_SET(j,'$.o.v',1e0)`, `j=JSON_SET(j,'$.o.v',-0e0)`, `j=JSON_SET(j,'$.o.v',1e300)`, `j=JSON_SET(j,'$.o.v',1)`,
	`j=JSON_SET(j,'$.o.v',-9223372036854775808)`, `j=JSON_SET(j,'$.o.v',18446744073709551615)`, `j=JSON_SET(j,'$.o.v',true)`, `j=JSON_SET(j,'$.o.v',NULL)`, `j=JSON_SET(j,'$.o.v',b'101')`, `j=JSON_SET(j,'$.o.v',CAST(2026 AS YEAR))`,
	`j=JSON_SET(j,'$.o.v',REPEAT('é"',30))`, `j=JSON_SET(j,'$.o.v',CAST('[]' AS JSON))`, `j=JSON_SET(j,'$.o.v',CAST('{}' AS JSON))`, `j=JSON_SET(j,'$.o.v',CAST('{"bb":[1,{"c":1.0}],"a":null}' AS JSON))`, `j=JSON_SET(j,'$.o.v',ST_GeomFromText('POINT(1 2)'))`,
	// Changes that see what those before them left.
	`j=JSON_SET(j,'$.o.v',CAST('{}' AS JSON),'$.o.v.x',CAST('[]' AS JSON),'$.o.v.x[0]',1)`, `j=JSON_REMOVE(JSON_SET(JSON_REPLACE(j,'$.s','r'),'$.o.w',1,'$.l[9]',1),'$.o.v','$.l[0]')`, `j=JSON_SET(j,'$.o.w','one','$.o.w','two')`, `j=JSON_REMOVE(JSON_SET(j,'$.tmp',1),'$.tmp')`,
	// Several columns, some left as they are, some without a change, some not as changes.
	`j=JSON_SET(j,'$.s','both'), k=JSON_SET(k,'$.s','both')`, `j=JSON_SET(j,'$.s','both'), b=b+1`, `b=b+1`, `a='é'`, `k=JSON_REMOVE(k,'$.o'), a='z'`, `j=JSON_SET(j,'$.s','x'), k='{"whole": 1}'`, `k=JSON_SET(k,'$.s',1), n='{}'`, `n=JSON_SET(n,'$.s','only',  '$.o',CAST('[1]' AS JSON)), j=JSON_SET(j,'$.s',id)`,
	`n=NULL, j=JSON_SET(j,'$.s','n is null')`, `j=JSON_SET(j,'$.s','n is null'), b=b+1`, `n=JSON_SET(n,'$.x',1), j=JSON_SET(j,'$.x',1)`, `j=JSON_SET(k,'$.s','from k')`, `j=JSON_MERGE_PATCH(j,'{"m": 1}')`, `j=JSON_SET(j,'$.s',JSON_EXTRACT(j,'$.l'))`, `j=JSON_SET(j,'$','scalar') WHERE id=4`,
	`j=JSON_SET(j,'$.s',j)`, `id=id+100, j=JSON_SET(j,'$.s','moved')`, `id=id-100, j=JSON_REMOVE(j,'$.s')`, `j=JSON_SET(j,'$.one',1) WHERE id=1`, `j=NULL WHERE id=2`, `j=JSON_SET(j,'$.one',1,'$.two',2) WHERE id<=2`, `j=JSON_SET(j,'$.k.k.k',1)`,
}

// rowPair is what the server shows of a row before and after a change.
type rowPair [2][]string

// patchedSession changes patchedTable and knows what it holds.
type patchedSession struct {
	t    *testing.T
	conn *sql.Conn
	// rows are those of the table, by id.
	rows map[int][]string
	// changes are those of all rows so far, by statement.
	changes [][]rowPair
}

// newPatchedSession makes the table on conn; key is what makes id its key.
func newPatchedSession(t *testing.T, conn *sql.Conn, database, key string) *patchedSession {
	t.Helper()
	p := &patchedSession{t: t, conn: conn}
	for _, q := range []string{"USE " + database, "DROP TABLE IF EXISTS t", "SET NAMES utf8mb4", fmt.Sprintf(patchedTable, key),
		"SET SESSION sql_mode=''", "SET SESSION binlog_row_value_options=PARTIAL_JSON"} {
		p.exec(q)
	}
	t.Cleanup(func() {
		// The connection goes back to others.
		p.exec("SET SESSION binlog_row_image=DEFAULT, binlog_row_value_options=DEFAULT, binlog_transaction_compression=DEFAULT")
	})
	return p
}

func (p *patchedSession) exec(q string, args ...any) {
	p.t.Helper()
	if _, err := p.conn.ExecContext(context.Background(), q, args...); err != nil {
		p.t.Fatalf("%.300s %.300v: %v", q, args, err)
	}
}

// fill makes the table hold the documents alone.
func (p *patchedSession) fill(docs []string) {
	p.t.Helper()
	p.exec("DELETE FROM t")
	for i, doc := range docs {
		if doc[0] == '{' {
			doc = "{" + patchedPad + ", " + doc[1:]
		}
		p.exec("INSERT INTO t (id,k,a,j,n,b) VALUES (?,?,'y',?,?,0)", i+1, doc, doc, sql.NullString{String: "{" + patchedPad + "}", Valid: i%2 == 0})
	}
	p.rows = p.show()
}

// show asks the server for all rows.
func (p *patchedSession) show() map[int][]string {
	p.t.Helper()
	rows, err := p.conn.QueryContext(context.Background(), "SELECT id, "+patchedColumns+" FROM t")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := map[int][]string{}
	for rows.Next() {
		var id int
		c := make([]string, 6)
		if err := rows.Scan(&id, &c[0], &c[1], &c[2], &c[3], &c[4], &c[5]); err != nil {
			p.t.Fatal(err)
		}
		out[id] = append([]string{fmt.Sprint(id)}, c...)
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return out
}

// update runs one statement, which adds moved to the ids.
func (p *patchedSession) update(moved int, q string, args ...any) {
	p.t.Helper()
	p.exec(q, args...)
	now := p.show()
	var changed []rowPair
	for id := 1; id <= len(patchedRows); id++ {
		if before, after := p.rows[id], now[id+moved]; !slices.Equal(before, after) {
			changed = append(changed, rowPair{before, after})
		}
	}
	p.rows = now
	p.changes = append(p.changes, changed)
}

// run runs every statement on fresh rows.
func (p *patchedSession) run() {
	p.t.Helper()
	for _, q := range patchedUpdates {
		p.fill(patchedRows)
		moved := 0
		if strings.HasPrefix(q, "id=") {
			fmt.Sscanf(q, "id=id%d", &moved)
		}
		p.update(moved, "UPDATE t SET "+q)
	}
}

// Keys and values that random documents are made of.
var (
	randomKeys   = []string{"a", "b", "aa", "x y", "", "\a\"\\"}
	randomValues = []string{"1", "1.0", `"é\"x"`, "null", "[]", "{}", `[1,[2,{"a":{}}]]`, `{"a":[1,2],"b":{"aa":0}}`, "-1e5", "true"}
)

// randomDocument is one whose parts are mostly there.
func randomDocument(r *rand.Rand, depth int) string {
	var parts []string
	kind := r.IntN(6)
	switch {
	case depth < 2:
		kind = depth // an object of arrays, so that most paths lead somewhere
	case depth == 5 || kind >= 4:
		return randomValues[r.IntN(len(randomValues))]
	}
	if kind%2 == 1 {
		for range r.IntN(5) {
			parts = append(parts, randomDocument(r, depth+1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	for _, key := range randomKeys {
		if depth == 0 || r.IntN(2) == 0 {
			quoted, _ := json.Marshal(key)
			parts = append(parts, string(quoted)+":"+randomDocument(r, depth+1))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// randomPath is a path into such a document.
func randomPath(r *rand.Rand) string {
	path := "$"
	for depth := range 1 + r.IntN(5) {
		element := r.IntN(2) == 0
		if depth < 2 && r.IntN(10) > 0 {
			element = depth == 1
		}
		switch {
		case !element:
			quoted, _ := json.Marshal(randomKeys[r.IntN(len(randomKeys))])
			path += "." + string(quoted)
		case r.IntN(3) == 0:
			path += fmt.Sprintf("[last-%d]", r.IntN(4))
		default:
			path += fmt.Sprintf("[%d]", r.IntN(4))
		}
	}
	return path
}

// random changes random places of random documents with n statements.
func (p *patchedSession) random(seed uint64, n int) {
	p.t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range n {
		if i%20 == 0 {
			var docs []string
			for range patchedRows {
				docs = append(docs, randomDocument(r, 0))
			}
			p.fill(docs)
		}
		call, args := "j", []any(nil)
		for range 1 + r.IntN(3) {
			function := []string{"JSON_SET", "JSON_SET", "JSON_REPLACE", "JSON_REMOVE"}[r.IntN(4)]
			call = function + "(" + call
			for range 1 + r.IntN(3) {
				call += ",?"
				args = append(args, randomPath(r))
				if function != "JSON_REMOVE" {
					call += ",CAST(? AS JSON)"
					args = append(args, randomValues[r.IntN(len(randomValues))])
				}
			}
			call += ")"
		}
		p.update(0, "UPDATE t SET j="+call+" WHERE id<=?", append(args, 1+r.IntN(len(patchedRows)))...)
	}
}

// imageMode is a way to log rows, and which cells it may leave out.
type imageMode struct {
	image, key string
	// lacks says whether a cell may be absent, by its image and whether the
	// statement changed it.
	lacks func(after, json, changed bool) bool
}

var imageModes = []imageMode{
	{"FULL", " PRIMARY KEY", func(after, json, changed bool) bool { return false }},
	{"NOBLOB", " PRIMARY KEY", func(after, json, changed bool) bool { return false }},
	{"MINIMAL", " PRIMARY KEY", func(after, json, changed bool) bool { return !after || json || !changed }},
	{"MINIMAL", "", func(after, json, changed bool) bool { return after && !changed }},
}

// hazardA39 reads the changes of documents from the file, and makes sure that
// changes are what the server logged.
func hazardA39(t *testing.T, s *logSession) {
	for _, mode := range imageModes {
		t.Run(mode.image+mode.key, func(t *testing.T) {
			p := newPatchedSession(t, s.conn, "d", mode.key)
			s.exec(t, "FLUSH BINARY LOGS", "SET SESSION binlog_row_image="+mode.image)
			p.run()
			p.random(39, 200)
			mode.check(t, slices.Concat(p.changes...), readEvents(t, lastBinlog(t, s.server, s.conn), MySQL))
		})
	}
}

// check holds the updates of the events against what the server showed.
func (mode *imageMode) check(t *testing.T, want []rowPair, events []loggedEvent) {
	t.Helper()
	rows, patched, absent := 0, 0, 0
	for _, e := range events {
		if e.kind != rowsPartial {
			continue
		}
		m := e.parse(t)
		start := rows
		err := m.rows(e.kind, e.body, func(_ change.Op, before, after change.Row) error {
			if rows == len(want) {
				return fmt.Errorf("more than the %d row changes of the statements", rows)
			}
			for _, c := range m.images[1].cells {
				if c.length == cellPatched {
					patched++
				}
			}
			absent += mode.checkRow(t, m, want[rows], rowsOf{before, after})
			rows++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := m.count(e.kind, e.body); n != rows-start || err != nil {
			t.Errorf("counted %d rows, %v, want %d", n, err, rows-start)
		}
	}
	t.Logf("%d row changes, %d documents logged as changes, %d cells absent", rows, patched, absent)
	lacking := mode.lacks(true, true, true)
	if rows != len(want) || !lacking && patched < rows/2 || lacking && absent < rows {
		t.Errorf("%d row changes, want %d, most of them of parts", rows, len(want))
	}
}

// rowsOf are the images before and after.
type rowsOf [2]change.Row

// checkRow holds one row against what the server showed, and returns how many
// cells are absent.
func (mode *imageMode) checkRow(t *testing.T, m *tableMap, want rowPair, got rowsOf) (absent int) {
	t.Helper()
	for i, c := range m.Table().Columns {
		for which, row := range got {
			text, err := row.AppendJSON(nil, i)
			if row.State(i) == change.Absent && errors.Is(err, errAbsent) && mode.lacks(which == 1, c.Type == change.JSON, want[0][i] != want[1][i]) {
				absent++
				continue
			}
			if wantState := map[bool]change.CellState{true: change.Null, false: change.Present}[want[which][i] == "null"]; c.Type != change.JSON && row.State(i) != wantState {
				t.Errorf("column %s has state %d, want %d", c.Name, row.State(i), wantState)
			}
			if err != nil || string(text) != want[which][i] {
				t.Fatalf("column %s of image %d: %v\n got %s\nwant %s\nfrom %s", c.Name, which, err, text, want[which][i], want[0][i])
			}
		}
	}
	return absent
}

// testFollowsPartialJSON follows sessions that log changes of documents, with
// and without compression, and with images that lack the documents.
func testFollowsPartialJSON(s *shared) {
	conn, err := s.server.DB(s.T).Conn(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = conn.Close() })
	for _, compression := range []string{"OFF", "ON"} {
		p := newPatchedSession(s.T, conn, s.db, " PRIMARY KEY")
		p.exec("SET SESSION binlog_transaction_compression=" + compression)
		f := s.follow(nil)
		p.run()
		var want []string
		for _, statement := range p.changes {
			for i, pair := range statement {
				want = append(want, s.row("u", "t", i+1, "["+strings.Join(pair[0], ",")+"] ["+strings.Join(pair[1], ",")+"]"))
			}
		}
		f.upTo(s.server)
		got := slices.DeleteFunc(f.rows(), func(row string) bool { return row[0] != 'u' })
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				s.Fatalf("compression %s, row %d:\n got %s\nwant %s", compression, i, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			s.Errorf("compression %s: %d rows, want %d", compression, len(got), len(want))
		}
		f.stop()
	}
	s.followsMinimalJSON()
}

// followsMinimalJSON reads changes of documents that the image before lacks.
func (s *shared) followsMinimalJSON() {
	s.sql("CREATE TABLE m (id INT PRIMARY KEY, j JSON, b INT)", `INSERT INTO m VALUES (1,'{`+patchedPad+`}',1)`)
	absent := func(column string) string {
		return "decode table " + s.db + ".m, column " + column + ": the row image does not carry the column: binlog_row_image must be FULL, in every session"
	}
	none := "[1," + absent("j") + "," + absent("b") + "] ["
	f := s.follow(nil)
	s.sql("SET SESSION binlog_row_image=MINIMAL, binlog_row_value_options=PARTIAL_JSON", "UPDATE m SET j=JSON_SET(j,'$.a',1)", "UPDATE m SET j=JSON_REMOVE(j,'$.a'), b=2",
		`UPDATE m SET j='{"a": 1.0}'`, "UPDATE m SET j=NULL", "SET SESSION binlog_row_image=FULL", "UPDATE m SET b=3")
	f.upTo(s.server)
	f.wantRows(
		s.row("u", "m", 1, none+absent("id")+","+absent("j")+","+absent("b")+"]"),
		s.row("u", "m", 1, none+absent("id")+","+absent("j")+",2]"),
		s.row("u", "m", 1, none+absent("id")+`,{"a": 1.0},`+absent("b")+"]"),
		s.row("u", "m", 1, none+absent("id")+",null,"+absent("b")+"]"),
		s.row("u", "m", 1, "[1,null,2] [1,null,3]"))
	f.stop()
}
