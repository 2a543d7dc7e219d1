package binlog

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
)

// leastCells is what the matrix compares at least on every server. It has
// more; the number is here so that none are lost unnoticed.
const leastCells = 8000

// matrixTable is one table of the matrix: a key, columns whose values stand in
// the rows 1, 2, …, a row 0 that is all NULL, and a number to touch.
type matrixTable struct {
	name    string
	columns []sqlColumn
	// more are keys that stand behind the columns.
	more string
	// key is id, unless the server makes it up.
	key  string
	only servers
}

// lone is a table of one column, which is called c in it: what is recorded.
func lone(c sqlColumn) matrixTable {
	return matrixTable{name: c.name, columns: []sqlColumn{c}, only: c.only}
}

func (m *matrixTable) column(i int) string {
	if len(m.columns) == 1 {
		return "c"
	}
	return m.columns[i].name
}

func (m *matrixTable) keyName() string {
	if m.key != "" {
		return m.key
	}
	return "id"
}

// given lists the columns that a statement gives values to.
func (m *matrixTable) given() []string {
	var out []string
	for i := range m.columns {
		if !m.columns[i].computed {
			out = append(out, m.column(i))
		}
	}
	return out
}

func (m *matrixTable) create() []string {
	var columns []string
	if m.key == "" {
		columns = append(columns, "id INT PRIMARY KEY")
	}
	for i, c := range m.columns {
		columns = append(columns, m.column(i)+" "+c.definition)
	}
	create := fmt.Sprintf("CREATE TABLE %s (%s, touch INT NOT NULL DEFAULT 0%s)", m.name, strings.Join(columns, ", "), m.more)
	if m.key == "" {
		return []string{create}
	}
	return []string{"SET SESSION sql_generate_invisible_primary_key=ON", create, "SET SESSION sql_generate_invisible_primary_key=OFF"}
}

// rows is the number of rows with values.
func (m *matrixTable) rows() int {
	n := 0
	for _, c := range m.columns {
		n = max(n, len(c.values))
	}
	return n
}

// value is the SQL of column i in a row: NULL behind the column's last value.
func (m *matrixTable) value(i, row int) string {
	if c := &m.columns[i]; row > 0 && row <= len(c.values) {
		return c.values[row-1]
	}
	return "NULL"
}

// first is the number of the first row: a key that the server makes up has no 0.
func (m *matrixTable) first() int {
	if m.key != "" {
		return 1
	}
	return 0
}

func (m *matrixTable) insert() string {
	var rows []string
	for n := m.first(); n <= m.rows(); n++ {
		row := []string{fmt.Sprint(n)}
		for i := range m.columns {
			if !m.columns[i].computed {
				row = append(row, m.value(i, n))
			}
		}
		rows = append(rows, "("+strings.Join(row, ",")+")")
	}
	return fmt.Sprintf("INSERT INTO %s (%s,%s) VALUES %s", m.name, m.keyName(), strings.Join(m.given(), ","), strings.Join(rows, ","))
}

// rewrite gives every column the value that it has.
func (m *matrixTable) rewrite() string {
	set := "touch=touch+1"
	for _, name := range m.given() {
		set += fmt.Sprintf(", %s=%s", name, name)
	}
	return fmt.Sprintf("UPDATE %s SET %s", m.name, set)
}

// cells are a table's texts by row and column. NULL is no text of any value,
// unlike the JSON text null; a column that an image lacks is absent.
type cells map[int][]string

const (
	absent  = "absent"
	sqlNull = "NULL"
)

// show asks the server for the text of every cell.
func (m *matrixTable) show(l *teller) cells {
	l.Helper()
	query := "SELECT " + m.keyName()
	for i, c := range m.columns {
		query += ", " + fmt.Sprintf(showSQL[c.show], m.column(i))
	}
	rows, err := l.conn.QueryContext(l.Context(), query+" FROM "+m.name)
	if err != nil {
		l.Fatal(err)
	}
	shown := map[int][]sql.NullString{}
	for rows.Next() {
		var id int
		texts := make([]sql.NullString, len(m.columns))
		into := []any{&id}
		for i := range texts {
			into = append(into, &texts[i])
		}
		if err := rows.Scan(into...); err != nil {
			l.Fatal(err)
		}
		shown[id] = texts
	}
	if err := rows.Err(); err != nil {
		l.Fatal(err)
	}
	out := cells{}
	for id, texts := range shown {
		for i, c := range m.columns {
			text := sqlNull
			if texts[i].Valid && (c.show != "double" || texts[i].String != "[null]") {
				text = l.want(c.show, texts[i].String)
			}
			out[id] = append(out[id], text)
		}
	}
	if want := m.rows() + 1 - m.first(); len(out) != want {
		l.Fatalf("%s: the server shows %d rows, want %d", m.name, len(out), want)
	}
	return out
}

// imaged are the images of a table that a reader was handed, by kind: c, u before,
// u after, w before, w after, d. w is the second update of a row.
type imaged map[string]cells

// gathered are images by table.
type gathered struct {
	t      *testing.T
	tables map[string]*matrixTable
	images map[string]imaged
}

func (s *gathered) add(r *RowChange) {
	m := s.tables[r.Table.Name]
	if m == nil {
		s.t.Errorf("a row of %s, which is no table of the matrix", r.Table.Name)
		return
	}
	of := s.images[m.name]
	if of == nil {
		of = imaged{}
		s.images[m.name] = of
	}
	if want := len(m.columns) + 2; len(r.Table.Columns) != want {
		s.t.Errorf("%s has %d columns, want %d", m.name, len(r.Table.Columns), want)
		return
	}
	key := r.After
	if r.Before != nil {
		key = r.Before
	}
	var id int
	text, err := key.AppendJSON(nil, r.Table.ColumnIndex(m.keyName()))
	if _, scan := fmt.Sscan(string(text), &id); err != nil || scan != nil {
		s.t.Errorf("%s: the key is %q, %v", m.name, text, err)
		return
	}
	kind := r.Op.String()
	if r.Op == change.Update && of["u before"][id] != nil {
		kind = "w"
	}
	for suffix, row := range map[string]change.Row{" before": r.Before, " after": r.After} {
		if row == nil {
			continue
		}
		which := kind + suffix
		if of[which] == nil {
			of[which] = cells{}
		}
		of[which][id] = s.texts(m, r.Table, row)
	}
}

// texts renders the columns of an image, the touched number behind them.
func (s *gathered) texts(m *matrixTable, table *change.Table, row change.Row) []string {
	out := make([]string, 0, len(m.columns)+2)
	one := func(name string) {
		i := table.ColumnIndex(name)
		text, err := row.AppendJSON(nil, i)
		if i >= 0 {
			sameDocument(s.t, row, i, text, err)
		}
		if i < 0 || row.State(i) == change.Absent {
			if err == nil {
				s.t.Errorf("%s, column %s: absent, and renders as %.100q", m.name, name, text)
			}
			text = []byte(absent)
		} else if row.State(i) == change.Null && string(text) == "null" && err == nil {
			text = []byte(sqlNull)
		} else if err != nil || !json.Valid(text) || row.State(i) == change.Null {
			s.t.Errorf("%s, column %s, state %d: %.100q, %v", m.name, name, row.State(i), text, err)
		}
		out = append(out, string(text))
	}
	for i := range m.columns {
		one(m.column(i))
	}
	one(m.keyName())
	one("touch")
	return out
}

// matrix runs the tables of one server.
type matrix struct {
	s      *logSession
	label  servers
	tables []matrixTable
	// full are the images of the lone columns under the full row image.
	full map[string]imaged
}

func newMatrix(t *testing.T, s *logSession, label servers) *matrix {
	t.Helper()
	s.exec(t, "SET NAMES utf8mb4", "SET SESSION time_zone='+00:00'")
	x := &matrix{s: s, label: label, full: map[string]imaged{}}
	tables := charsetTablesOf(t, s)
	tables = append(tables, manyTables()...)
	for _, c := range allColumns() {
		tables = append(tables, lone(c))
	}
	for _, m := range tables {
		m.columns = slices.DeleteFunc(slices.Clone(m.columns), func(c sqlColumn) bool { return !c.only.have(string(label)) })
		if m.only.have(string(label)) {
			s.exec(t, m.create()...)
			x.tables = append(x.tables, m)
		}
	}
	return x
}

// run compares all cells under one row image.
func (x *matrix) run(t *testing.T, image string, compressed bool) {
	s := x.s
	seen := &gathered{t: t, tables: map[string]*matrixTable{}, images: map[string]imaged{}}
	for i := range x.tables {
		seen.tables[x.tables[i].name] = &x.tables[i]
	}
	f := follow(t, s.server, nil, func(o *Options, j *journal) {
		o.Filter = func(database, _ string) bool { return database == "d" }
		j.see = seen.add
	}).ready()
	s.exec(t, "FLUSH BINARY LOGS", "SET SESSION binlog_row_image="+image)
	defer s.exec(t, "SET SESSION binlog_row_image=FULL")
	l := &teller{TB: t, conn: s.conn, floats: map[float32]string{}}
	shown := map[string]cells{}
	for i := range x.tables {
		m := &x.tables[i]
		s.exec(t, m.insert())
		shown[m.name] = m.show(l)
		s.exec(t, "UPDATE "+m.name+" SET touch=touch+1", m.rewrite(), "DELETE FROM "+m.name)
	}
	f.upTo(s.server)
	f.stop()
	count := 0
	for i := range x.tables {
		count += x.check(t, image, &x.tables[i], shown[x.tables[i].name], seen.images[x.tables[i].name])
	}
	t.Logf("%s %s: %d value cells of %d tables, each in 6 images", s.server.Kind, s.server.Version, count, len(x.tables))
	if count < leastCells {
		t.Errorf("%d value cells, want at least %d", count, leastCells)
	}
	if got := isCompressed(t, s); got != compressed {
		t.Errorf("the binlog holds compressed rows: %v, want %v", got, compressed)
	}
	if image == "FULL" && !compressed {
		x.keep(seen.images)
	}
}

// keep remembers what was read of the lone columns.
func (x *matrix) keep(images map[string]imaged) {
	for i := range x.tables {
		if m := &x.tables[i]; len(m.columns) == 1 {
			x.full[m.name] = images[m.name]
		}
	}
}

// check compares every image of a table with what the server showed, and
// returns the number of its value cells.
func (x *matrix) check(t *testing.T, image string, m *matrixTable, shown cells, images imaged) int {
	wrong, count := 0, 0
	for _, which := range []string{"c after", "u before", "u after", "w before", "w after", "d before"} {
		if len(images[which]) != len(shown) {
			t.Errorf("%s, %s: %d images, want %d", m.name, which, len(images[which]), len(shown))
			continue
		}
		for id, texts := range shown {
			for i, want := range texts {
				c := &m.columns[i]
				value := id > 0 && id <= len(c.values) || c.computed && want != sqlNull
				if value && which == "c after" {
					if count++; want == sqlNull {
						t.Errorf("%s.%s %s: the server took %s for NULL", m.name, c.name, c.definition, m.value(i, id))
					}
				}
				got := images[which][id][i]
				if p := x.presence(image, which, c); p == never || p == perhaps && got == absent {
					want = absent
				}
				if got != want {
					if wrong++; wrong <= 10 {
						t.Errorf("%s.%s %s, %s image %s of row %d, %s: got %.200q, want %.200q", m.name, c.name, c.definition, image, which, id, m.value(i, id), got, want)
					}
				}
			}
		}
	}
	return count
}

// A column may be in an image always, never or perhaps.
const (
	always = iota
	never
	perhaps
)

// blobType are the types that NOBLOB leaves out: neither MySQL's JSON and VECTOR
// nor GEOMETRY.
var blobType = regexp.MustCompile(`TEXT|BLOB`)

// presence says whether an image has column c: MINIMAL has what a statement
// gives values to, and of the row before it the key; NOBLOB leaves out blobs
// that no statement gives values to.
func (x *matrix) presence(image, which string, c *sqlColumn) int {
	given := (which == "c after" || which == "w after") && !c.computed
	blob := blobType.MatchString(c.definition) || x.label != onMySQL && c.definition == "JSON"
	switch {
	case c.computed && image == "FULL" && x.label == onMySQL || given:
		return always
	case c.computed:
		return perhaps
	case image == "MINIMAL", image == "NOBLOB" && blob:
		return never
	}
	return always
}

// isCompressed looks into the last binlog for events that are compressed.
func isCompressed(t *testing.T, s *logSession) bool {
	t.Helper()
	found := false
	eachEvent(lastBinlog(t, s.server, s.conn), func(kind byte, _ []byte) {
		_, zipped := uncompressedType[eventType(kind)]
		found = found || zipped || eventType(kind) == evPayload
	})
	return found
}

// record writes what the lone columns logged to testdata/rows.
func (x *matrix) record(t *testing.T, golden string) {
	s := x.s
	s.exec(t, "FLUSH BINARY LOGS")
	for i := range x.tables {
		if m := &x.tables[i]; len(m.columns) == 1 {
			s.exec(t, m.insert(), "UPDATE "+m.name+" SET touch=touch+1", "DELETE FROM "+m.name)
		}
	}
	tables := readRowEvents(t, lastBinlog(t, s.server, s.conn), Flavor(s.server.Kind))
	var record bytes.Buffer
	for i := range x.tables {
		m := &x.tables[i]
		if len(m.columns) > 1 {
			continue
		}
		if err := tables[m.name].record(&record, m.columns[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join("testdata", "rows", golden), record.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
