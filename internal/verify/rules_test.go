package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/config"
	"tailwater/internal/view"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

const uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"

func TestCut_TellsWhatIsInTheSnapshot(t *testing.T) {
	c, err := newCut(place{gtids: uuid + ":1-5"}, place{gtids: uuid + ":1-7:9", uuid: "s", file: "binlog.000003", pos: "500"})
	if err == nil {
		t.Error("a position without a file before it: want an error")
	}
	c, err = newCut(place{gtids: uuid + ":1-5", file: "binlog.000003", pos: "400"}, place{gtids: uuid + ":1-7:9", uuid: "s", file: "binlog.000003", pos: "500"})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]side{1: inside, 5: inside, 6: between, 7: between, 8: beyond, 9: between, 10: beyond} {
		if got, err := c.side(fmt.Sprintf("%s:%d", uuid, n)); err != nil || got != want {
			t.Errorf("transaction %d: got %d and %v, want %d", n, got, err, want)
		}
	}
	if _, err := c.side("binlog.000001:4"); err == nil {
		t.Error("a file on a server with GTIDs: want an error")
	}
	source := func(gtid, server string, pos int) []byte {
		text := fmt.Sprintf(`{"format":1,"flavor":"mysql","server_uuid":%q,"gtid":%q,"file":"binlog.000003","pos":%d}`, server, gtid, pos)
		return []byte(strings.Replace(text, `"gtid":"",`, "", 1))
	}
	for _, x := range []struct {
		source  []byte
		missing string
	}{
		{source(uuid+":1-9", "other", 4), ""},
		{source(uuid+":1-6:9", "other", 4), uuid + ":7"},
		{source(uuid+":1-6:9", "s", 499), uuid + ":7"},
		{source(uuid+":1-6:9", "s", 500), ""}, // a reader that follows files
		{source("", "s", 500), ""},
		{source("", "s", 4), "binlog.000003:4 to binlog.000003:500"},
		{source("", "other", 900), "a place on the server s: the saved one is of other"},
	} {
		if got, err := c.reached(x.source); err != nil || got != x.missing {
			t.Errorf("%s: got %q and %v, want %q", x.source, got, err, x.missing)
		}
	}
	if _, err := c.reached([]byte("{}")); err == nil {
		t.Error("a damaged position: want an error")
	}
}

func TestCut_OrdersFilesByNumberWhereThereAreNoGTIDs(t *testing.T) {
	c, err := newCut(place{file: "binlog.999999", pos: "100"}, place{file: "binlog.1000000", pos: "50", uuid: "s"})
	if err != nil {
		t.Fatal(err)
	}
	for txid, want := range map[string]side{"binlog.999999:99": inside, "binlog.999999:100": between, "binlog.1000000:49": between, "binlog.1000000:50": beyond} {
		if got, err := c.side(txid); err != nil || got != want {
			t.Errorf("%s: got %d and %v, want %d", txid, got, err, want)
		}
	}
	for _, txid := range []string{"", "x", "binlog:4", "binlog.000001:x"} {
		if _, err := c.side(txid); err == nil {
			t.Errorf("%q: want an error", txid)
		}
	}
}

func TestMarks_DecideAsTheFormatSays(t *testing.T) {
	m := make(marks)
	rec := func(kind stream.Kind, epoch uint32, txn, n uint64) *stream.Record {
		return &stream.Record{Kind: kind, Shard: "a", LSN: change.LSN{Epoch: epoch, Txn: txn}, N: n}
	}
	for i, x := range []struct {
		r   *stream.Record
		ok  bool
		gap string
	}{
		{rec(stream.Fence, 1, 0, 0), true, ""},
		{rec(stream.Event, 1, 1, 1), true, ""},
		{rec(stream.Event, 1, 1, 1), false, ""},
		{rec(stream.Heartbeat, 1, 1, 1), true, ""},
		{rec(stream.Event, 1, 2, 2), true, ""},
		{rec(stream.Heartbeat, 1, 1, 1), false, ""},
		{rec(stream.Event, 1, 5, 4), true, "events 3 to 3 of epoch 1"},
		{rec(stream.Heartbeat, 1, 6, 6), true, "events 5 to 6 of epoch 1"},
		{rec(stream.Fence, 2, 0, 0), true, ""},
		{rec(stream.Event, 1, 9, 7), false, ""},
		{rec(stream.Event, 2, 1, 1), true, ""},
		{rec(stream.Fence, 2, 0, 0), false, ""},
	} {
		ok, gap := m.accept(x.r)
		if ok != x.ok || gap != x.gap {
			t.Errorf("record %d: got %t and %q, want %t and %q", i, ok, gap, x.ok, x.gap)
		}
	}
}

func TestDecodeEvent_HoldsTheValueAgainstTheHeaders(t *testing.T) {
	lsn := change.LSN{Epoch: 1, Txn: 2, Row: 3}
	good := fmt.Sprintf(`{"_op":"u","_shard":"a","_ts_us":5,"_lsn":"%s","_db":"d","id":1,"x":null,"s":"1.0","_old":{"id":2}}`, lsn)
	key := []byte(`["1"]`)
	e, err := decodeEvent(&stream.Record{Kind: stream.Event, Shard: "a", LSN: lsn, TxID: "t", Key: key, Value: []byte(good)})
	if err != nil || e.op != change.Update || e.micros != 5 || e.database != "d" || e.old.text != `{"id":2}` || e.txid != "t" {
		t.Errorf("got %+v and %v", e, err)
	}
	for name, want := range map[string]cell{"id": {text: "1"}, "x": null, "s": {text: "1.0"}} {
		if got, ok, err := e.get(name); !ok || err != nil || got != want {
			t.Errorf("%s: got %+v, %t and %v, want %+v", name, got, ok, err, want)
		}
	}
	for _, change := range [][2]string{{`"_shard":"a"`, `"_shard":"b"`}, {`000003`, `000004`}, {`"_op":"u"`, `"_op":"x"`}, {`"_ts_us":5`, `"_ts_us":"5"`}, {`"_ts_us":5,`, ``}, {`"_old"`, `_old`}} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if e, err := decodeEvent(&stream.Record{Kind: stream.Event, Shard: "a", LSN: lsn, Key: key, Value: []byte(bad)}); err == nil {
			t.Errorf("%s: got %+v, want an error", bad, e)
		}
	}
	table := fmt.Sprintf(`{"_op":"t","_shard":"a","_ts_us":5,"_lsn":"%s","_db":"d","_table":null,"_gtid":"t","_ddl":"drop"}`, lsn)
	if e, err := decodeEvent(&stream.Record{Kind: stream.Event, Shard: "a", LSN: lsn, Value: []byte(table)}); err != nil || e.ddl != "drop" || e.table != "" {
		t.Errorf("the event of a table: got %+v and %v", e, err)
	}
	for _, bad := range []stream.Record{{Value: []byte(good)}, {Key: key, Value: []byte(table)}, {Value: []byte(strings.Replace(table, "_ddl", "_x", 1))}} {
		bad.Kind, bad.Shard, bad.LSN = stream.Event, "a", lsn
		if e, err := decodeEvent(&bad); err == nil {
			t.Errorf("%s with the key %q: got %+v, want an error", bad.Value, bad.Key, e)
		}
	}
}

func TestKeyRange_HalvesCoverAllKeysOnce(t *testing.T) {
	todo, n := []keyRange{allKeys}, 0
	for len(todo) > 0 && n < 1000 {
		r := todo[0]
		todo = todo[1:]
		n++
		low, high, ok := r.halves()
		if !ok {
			continue
		}
		for _, hash := range []uint64{0, 1 << 62, 1 << 63, math.MaxUint64, uint64(low.last) << 32, uint64(high.first) << 32} {
			if r.has(hash) != (low.has(hash) != high.has(hash)) {
				t.Fatalf("%v is not divided into %v and %v at %x", r, low, high, hash)
			}
		}
		todo = append(todo, low, high)
	}
	if _, _, ok := (keyRange{5, 5}).halves(); ok {
		t.Error("one hash cannot be divided")
	}
}

func TestIdentity_KeepsTheHalfByWhichKeysAreDivided(t *testing.T) {
	var h hasher
	key := []cell{{text: "03"}, {text: "42"}}
	id := h.identity([]change.Type{change.Text, change.Int}, "03", key)
	if same := h.identity([]change.Type{change.Text, change.Int}, "03", []cell{{text: "03"}, {text: "042"}}); same != id {
		t.Error("equal keys have different hashes")
	}
	if other := h.identity([]change.Type{change.Text, change.Text}, "03", []cell{{text: "03"}, {text: "042"}}); other == id {
		t.Error("different texts have equal hashes")
	}
	in := h.within(id, "d", "t")
	if in>>32 != id>>32 || in == id || in == h.within(id, "d", "t2") || h.within(id, "", "") != id {
		t.Errorf("within a table: got %x of %x", in, id)
	}
}

// The bound of memory that docs/verify.md gives.
func TestEntries_TakeAbout100BytesAKey(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	entries := make(map[uint64]entry)
	for i := range uint64(defaultMaxKeys) {
		entries[i*0x9e3779b97f4a7c15] = entry{schema: 1}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := (after.HeapAlloc - before.HeapAlloc) / uint64(len(entries)); got > 130 {
		t.Errorf("an entry takes %d bytes, want at most 130", got)
	}
}

func TestUniqueness_NamesRowsThatStandTwice(t *testing.T) {
	lsn := func(txn uint64) change.LSN { return change.LSN{Epoch: 1, Txn: txn} }
	m := &parquet.Manifest{View: "v", Before: map[string]parquet.ManifestMark{"a": {LSN: lsn(2)}}, After: map[string]parquet.ManifestMark{"a": {LSN: lsn(9)}}}
	var u uniqueness
	for _, txn := range []uint64{9, 3, 4, 3} {
		u.add(&event{shard: "a", lsn: lsn(txn)})
	}
	got := u.check(m)
	if len(got) != 1 || got[0].Kind != Doubled || got[0].LSN != lsn(3).String() {
		t.Errorf("got %+v, want row 3 twice", got)
	}
	u = uniqueness{}
	u.add(&event{shard: "a", lsn: lsn(2)})
	u.add(&event{shard: "a", lsn: lsn(10)})
	if got := u.check(m); len(got) != 2 || got[0].Kind != Extra || got[1].Kind != Extra {
		t.Errorf("got %+v, want two rows outside", got)
	}
}

func TestContent_IsAMultiset(t *testing.T) {
	rows := [][16]byte{{1}, {15: 255}, {7: 255, 15: 1}, {15: 255}}
	var a, b, c content
	for i := range rows {
		a.add(rows[i], nil)
		b.add(rows[len(rows)-1-i], nil)
	}
	c.add(rows[0], nil)
	c.add(rows[0], nil)
	c.add(rows[2], nil)
	c.add(rows[1], nil)
	if a.rows != b.rows || a.sum != b.sum {
		t.Error("the order counts")
	}
	if a.sum == c.sum {
		t.Error("a row twice in place of another one makes no difference")
	}
}

func TestMetric_FoldsExactly(t *testing.T) {
	m, err := newMetric(config.ResolvedMetric{Name: "m", Metric: config.Metric{Value: config.Aggregate{Func: "sum", Column: "n"}, GroupBy: []string{"g"}, Where: "n != 3", Size: 1e9, OnLate: "drop", Time: "commit"}},
		map[string]change.Column{"n": {Name: "n", Type: change.Decimal, Precision: 10, Scale: 2, Nullable: true}, "g": {Name: "g", Type: change.Text}})
	if err != nil {
		t.Fatal(err)
	}
	add := func(op change.Op, micros int64, text string) {
		e := &event{op: op, micros: micros}
		if err := json.Unmarshal([]byte(text), &e.raw); err != nil {
			t.Fatal(err)
		}
		if err := m.add(e, func(end int64) bool { return end <= 2e6 }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	add(change.Create, 2_000_001, `{"n":0.10,"g":"x"}`)
	add(change.Update, 2_999_999, `{"n":"0.20","g":"x"}`)
	add(change.Delete, 2_500_000, `{"n":-9999999.99,"g":"x"}`)
	add(change.Create, 3_000_000, `{"n":null,"g":null}`)
	add(change.Create, 3_000_000, `{"n":3.00,"g":"x"}`) // not taken
	add(change.Create, 1_000_000, `{"n":1,"g":"late"}`)
	add(change.Read, 2_000_000, `{"n":1,"g":"x"}`)
	if got, want := m.text(m.cells[2e6][`["x"]`]), "-9999999.69"; got != want {
		t.Errorf("sum: got %s, want %s", got, want)
	}
	if len(m.cells) != 1 {
		t.Errorf("got %d windows, want 1: what is NULL is not unequal to 3", len(m.cells))
	}
}

func TestProjection_KeyOfATableWithoutColumnsShown(t *testing.T) {
	tab := &table{database: "d", name: "t_7", key: []int{1, 0}, columns: []change.Column{{Name: "a", Type: change.Int}, {Name: "b", Type: change.Text}, {Name: "c", Type: change.JSON}}}
	p, err := newProjection(&view.Definition{Name: "v", Masking: map[string]view.Mask{"b": {Kind: "truncate", Keep: 1}}, Select: []view.Item{{Name: "x", Expr: "c.k"}, {Name: "y", Expr: "a + 1"}}, Where: "part == '7'"}, "s", tab, map[string]string{"part": "7"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := p.identify([]cell{{text: "5"}, {text: "long"}, {text: `{"k": [1]}`}})
	if err != nil || len(key) != 2 || key[0].text != "l" || key[1].text != "5" {
		t.Errorf("key: got %+v and %v", key, err)
	}
	if got := showKey(p, key)(); got != `["***","5"]` {
		t.Errorf("shown key: got %s", got)
	}
	values, ok, err := p.evaluate()
	if err != nil || !ok || len(values) != 2 || values[0].text != "[1]" || values[1].text != "6" {
		t.Errorf("values: got %+v, %t and %v", values, ok, err)
	}
	for _, def := range []view.Definition{{Key: []string{"none"}}, {Select: []view.Item{{Name: "x", Expr: "nope + 1"}}}, {Where: "nope"}} {
		if _, err := newProjection(&def, "s", tab, nil); err == nil {
			t.Errorf("%+v: want an error", def)
		}
	}
	if _, err := newProjection(&view.Definition{}, "s", &table{columns: tab.columns}, nil); err == nil {
		t.Error("no key at all: want an error")
	}
}

func TestMetric_ExtremesAreOrderedAsTheTypeIs(t *testing.T) {
	for _, c := range []struct {
		kind     change.Type
		values   string
		min, max string
	}{
		{change.Decimal, `9 10 -3 "2.50" null`, "-3", "10"},
		{change.Uint, `"18446744073709551615" 7`, "7", "18446744073709551615"},
		{change.Time, `"-01:00:00" "-838:59:59" "09:00:00" "100:00:00"`, `"-838:59:59"`, `"100:00:00"`},
		{change.Timestamp, `"2026-01-01T00:00:00Z" "2026-01-01T00:00:00.5Z"`, `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.5Z"`},
		{change.Text, `"b" "B" "é"`, `"B"`, `"é"`},
		{change.Text, `null`, "null", "null"},
	} {
		for name, want := range map[string]string{"min": c.min, "max": c.max} {
			m, err := newMetric(config.ResolvedMetric{Name: "m", Metric: config.Metric{Value: config.Aggregate{Func: name, Column: "v"}, Size: 1e9, Time: "commit"}},
				map[string]change.Column{"v": {Name: "v", Type: c.kind, Nullable: true}})
			if err != nil {
				t.Fatal(err)
			}
			for raw := range strings.FieldsSeq(c.values) {
				e := &event{op: change.Create, micros: 1e6, raw: map[string]json.RawMessage{"v": json.RawMessage(raw)}}
				if err := m.add(e, nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := m.text(m.cells[1e6]["[]"]); got != want {
				t.Errorf("%s of %s %s: got %s, want %s", name, c.kind, c.values, got, want)
			}
		}
	}
}

func TestMetric_LatestIsTheTableAsItIs(t *testing.T) {
	m, err := newMetric(config.ResolvedMetric{Name: "m", Metric: config.Metric{Rows: "latest", Time: "at", Value: config.Aggregate{Func: "min", Column: "n"}, GroupBy: []string{"g"}, Where: "g != 'z'", Size: 60e9}},
		map[string]change.Column{"n": {Name: "n", Type: change.Int}, "g": {Name: "g", Type: change.Text}, "at": {Name: "at", Type: change.DateTime, Scale: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op        change.Op
		key, text string
	}{
		{change.Create, "1", `{"n":5,"g":"x","at":"1970-01-01 00:02:03.5"}`},
		{change.Create, "2", `{"n":3,"g":"x","at":"1970-01-01 00:02:59.9"}`},
		{change.Update, "2", `{"n":3,"g":"y","at":"1970-01-01 00:02:59.9","_old":{"g":"x"}}`},
		{change.Create, "3", `{"n":1,"g":"x","at":"0000-00-00 00:00:00.0"}`},
		{change.Create, "4", `{"n":1,"g":"x","at":"1970-01-01 00:02:00.0"}`},
		{change.Update, "4", `{"n":1,"g":"z","at":"1970-01-01 00:02:00.0"}`},
		{change.Create, "5", `{"n":1,"g":"x","at":"1970-01-01 00:02:00.0"}`},
		{change.Delete, "5", `{"n":1,"g":"x","at":"1970-01-01 00:02:00.0"}`},
	} {
		e := &event{op: c.op, key: c.key, micros: 1}
		if err := json.Unmarshal([]byte(c.text), &e.raw); err != nil {
			t.Fatal(err)
		}
		if err := m.add(e, nil); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	if err := m.recount(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for start, groups := range m.cells {
		for g, total := range groups {
			got[fmt.Sprint(start/1e6, g)] = m.text(total)
		}
	}
	if want := (map[string]string{`120["x"]`: "5", `120["y"]`: "3"}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAverage_IsMySQLs(t *testing.T) {
	for _, c := range []struct {
		sum    string
		values int64
		scale  int
		want   string
	}{
		{"2", 3, 0, "0.6667"}, {"-2", 3, 0, "-0.6667"}, {"0.02", 3, 2, "0.006667"}, {"0.00002", 3, 5, "0.000006666"},
		{"-0.00002", 3, 5, "-0.000006666"}, {"1", 16, 0, "0.0625"}, {"1", 32, 0, "0.0313"}, {"-1", 32, 0, "-0.0313"},
	} {
		sum, _ := new(big.Rat).SetString(c.sum)
		if got := average(sum, c.values, c.scale); got != c.want {
			t.Errorf("%s / %d at scale %d: got %s, want %s", c.sum, c.values, c.scale, got, c.want)
		}
	}
}
