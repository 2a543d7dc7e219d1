package parquet

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

// table appends the event of a change of a table to both partitions; rest is the
// JSON from _db on.
func (w *writer) table(log *memLog, rest string) {
	w.txn++
	for p := range int32(2) {
		w.n[p]++
		lsn := change.LSN{Epoch: w.epoch, Txn: w.txn, Row: 1, Part: uint16(p)}
		value := fmt.Sprintf(`{"_op":"t","_shard":%q,"_ts_us":%d,"_lsn":"%s",%s}`, w.shard, day, lsn, rest)
		log.append(stream.Record{Topic: topic.Name, Partition: p, Kind: stream.Event, Shard: w.shard, LSN: lsn, N: w.n[p], Watermark: day, Value: []byte(value)})
	}
}

// inTable is the JSON of a row of a physical table.
func inTable(table string, id int, city string) string {
	return fmt.Sprintf(`"_db":"shop","_table":%q,"_gtid":"g","id":%d,"city":%q,"day":"2026-11-20"`, table, id, city)
}

// truncated is a lake of a table that was emptied and filled again, beside one
// that was not, in small batches.
func truncated(t *testing.T, o func(*Options)) *fixture {
	t.Helper()
	f := newFixture(t)
	w := newWriter("00", f.print)
	for id := range 8 {
		f.log.append(w.event(int32(id%2), day, inTable("orders", id, "Pune")))
	}
	f.log.append(w.event(0, day, inTable("items", 100, "Goa")))
	w.table(f.log, `"_db":"shop","_table":"orders","_gtid":"g:9","_ddl":"truncate"`)
	for id := 6; id < 9; id++ {
		f.log.append(w.event(int32(id%2), day, inTable("orders", id, "Delhi")))
	}
	options := f.options()
	if o != nil {
		o(&options)
	}
	f.drain(t, options)
	return f
}

// tableRows are the rows of the lake with the operation t.
func tableRows(t *testing.T, s objstore.Store, table string) []map[string]string {
	t.Helper()
	return slices.DeleteFunc(readLake(t, s, table), func(r map[string]string) bool { return r["_op"] != "t" })
}

func TestTables_TheEventIsARowWhoseColumnsAreNULL(t *testing.T) {
	f := truncated(t, nil)
	rows := tableRows(t, f.store, "orders")
	if len(rows) != 2 || rows[0]["_lsn"] == rows[1]["_lsn"] {
		t.Fatalf("got %v, want one row of each partition", rows)
	}
	for _, r := range rows {
		if !strings.Contains(r["_file"], "/dt=2025-11-20/hr=09/") {
			t.Errorf("it lies in %s, want the hour of its commit", r["_file"])
		}
		for name := range r {
			if !strings.HasPrefix(name, "_") || name == "_schema" || name == "_to" || name == "_from" || name == "_old" {
				t.Errorf("column %s is %q, want NULL", name, r[name])
			}
		}
		for name, want := range map[string]string{"_shard": "00", "_db": "shop", "_table": "orders", "_gtid": "g:9", "_ddl": "truncate"} {
			if r[name] != want {
				t.Errorf("column %s is %q, want %q", name, r[name], want)
			}
		}
	}
	ids, err := committed(t, f.store)
	if err != nil || len(ids) != 8+1+2+3 {
		t.Errorf("the reader gives %d rows, %v, want 14", len(ids), err)
	}
}

func TestTables_TheRowGoesWhereNULLGoes(t *testing.T) {
	f := truncated(t, func(o *Options) {
		var err error
		if o.Layout, err = ParseLayout("by_city", []string{"city", "dt(day)", "hr"}); err != nil {
			t.Fatal(err)
		}
	})
	rows := tableRows(t, f.store, "orders__by_city")
	if len(rows) != 2 {
		t.Fatalf("got %d rows, want 2", len(rows))
	}
	for _, r := range rows {
		if want := "/city=__HIVE_DEFAULT_PARTITION__/dt=__HIVE_DEFAULT_PARTITION__/hr=09/"; !strings.Contains(r["_file"], want) {
			t.Errorf("it lies in %s, want %s", r["_file"], want)
		}
	}
}

// A batch may hold nothing but such an event, and a view may never have had a
// row: the table was dropped before.
func TestTables_AViewWithoutSchemasTakesTheEvent(t *testing.T) {
	f := newFixture(t)
	f.log = newMemLog(2)
	w := newWriter("00", "")
	w.table(f.log, `"_db":"shop","_table":null,"_gtid":"g:1","_ddl":"drop"`)
	o := f.options()
	o.RollRows = 1
	f.drain(t, o)
	rows := tableRows(t, f.store, "orders")
	if len(rows) != 2 {
		t.Fatalf("got %v, want the row of each partition", rows)
	}
	if _, there := rows[0]["_table"]; there || rows[0]["_ddl"] != "drop" {
		t.Errorf("got %v, want a drop without a table", rows[0])
	}
}

// A lake that is older has no column for it, and gets them behind the others.
func TestTables_TheirColumnsJoinALakeThatIsThere(t *testing.T) {
	f := filled(t)
	if got := len(tableRows(t, f.store, "orders")); got != 0 {
		t.Fatalf("%d rows, want none yet", got)
	}
	w := newWriter("00", f.print)
	w.txn, w.n[0] = 22, 22
	w.table(f.log, `"_db":"shop","_table":"orders","_gtid":"g:9","_ddl":"rename","_to":["old","orders"]`)
	f.drain(t, f.options())
	rows := tableRows(t, f.store, "orders")
	if len(rows) != 2 || rows[0]["_to"] != `["old","orders"]` {
		t.Errorf("got %v, want the two rows of the rename", rows)
	}
}

// lakeSQL is a block of the page.
func lakeSQL(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/format/lake.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```sql " + name + "\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatalf("the page has no block %s", name)
	}
	return string(m[1])
}

func TestTables_TheSQLOfThePageKnowsWhichRowsAreGone(t *testing.T) {
	d := objstoreDir{t.TempDir()}
	f := newFixture(t)
	f.store = d.open(t)
	w := newWriter("00", f.print)
	put := func(table string, ids ...int) {
		for _, id := range ids {
			f.log.append(w.event(int32(id%2), day, inTable(table, id, table)))
		}
	}
	orders := func(ddl string) { w.table(f.log, `"_db":"shop","_table":"orders","_gtid":"g","_ddl":`+ddl) }
	put("orders", 1, 2, 3)
	put("items", 11, 12)
	f.drain(t, f.options()) // files without the columns of tables' events
	orders(`"truncate"`)
	put("orders", 2, 4)
	w.table(f.log, `"_db":"shop","_table":"items","_gtid":"g","_ddl":"rename","_to":["shop","old"]`)
	w.table(f.log, `"_db":"shop","_table":"items","_gtid":"g","_ddl":"rename","_from":["shop","next"]`)
	put("items", 12, 13)
	f.drain(t, f.options())
	view := fmt.Sprintf("CREATE VIEW orders AS SELECT * FROM read_parquet('%s/orders/**/*.parquet', union_by_name=true);\n", d.dir)
	fold := func() string {
		var out []string
		for _, r := range testenv.DuckDB(t, view+strings.Replace(lakeSQL(t, "fold"), "SELECT * FROM newest", "SELECT _table || id AS row FROM newest", 1)+" ORDER BY id;") {
			out = append(out, fmt.Sprint(r["row"]))
		}
		return strings.Join(out, " ")
	}
	unknown := func() string {
		var out []string
		for _, r := range testenv.DuckDB(t, view+lakeSQL(t, "unknown")+";") {
			out = append(out, fmt.Sprint(r["_table"], " ", r["_ddl"], " ", r["_from"]))
		}
		return strings.Join(out, "; ")
	}
	if got, want := fold(), "orders2 orders4 items12 items13"; got != want {
		t.Errorf("rows as they are: %s, want %s", got, want)
	}
	if got, want := unknown(), `items rename ["shop","next"]`; got != want {
		t.Errorf("tables that are not known: %s, want %s", got, want)
	}
	orders(`"partition"`)
	w.table(f.log, `"_db":"shop","_table":"items","_gtid":"g","_ddl":"drop"`)
	f.drain(t, f.options())
	if got, want := fold(), "orders2 orders4"; got != want {
		t.Errorf("without items: %s, want %s", got, want)
	}
	if got, want := unknown(), "orders partition <nil>"; got != want {
		t.Errorf("tables that are not known: %s, want %s", got, want)
	}
	w.table(f.log, `"_db":"shop","_table":null,"_gtid":"g","_ddl":"drop"`)
	f.drain(t, f.options())
	if got := fold() + unknown(); got != "" {
		t.Errorf("after the database was dropped: %s, want nothing", got)
	}
}

// objstoreDir is a directory of objects.
type objstoreDir struct{ dir string }

func (d objstoreDir) open(t *testing.T) objstore.Store {
	t.Helper()
	s, err := objstore.OpenDir(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
