package envelope

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"tailwater/change"
)

// read reads a value into a struct that holds all members of the format and no
// other.
func read(t *testing.T, value []byte, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(value)))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, value)
	}
}

func TestDebezium_ReadsAsItsStruct(t *testing.T) {
	type row map[string]any
	var e struct {
		Before, After row
		Source        struct {
			Version, Connector, Name, Snapshot, DB, Table, File string
			Sequence, GTID, Query                               *string
			TSms                                                int64 `json:"ts_ms"`
			TSus                                                int64 `json:"ts_us"`
			TSns                                                int64 `json:"ts_ns"`
			Server                                              int64 `json:"server_id"`
			Pos                                                 int64
			Row                                                 int32
			Thread                                              *int64
		}
		Transaction *struct{}
		Op          string
		TSms        int64 `json:"ts_ms"`
		TSus        int64 `json:"ts_us"`
		TSns        int64 `json:"ts_ns"`
	}
	value, err := New(Debezium, exampleShape()).Append(nil, exampleEvent(change.Update))
	if err != nil {
		t.Fatal(err)
	}
	read(t, value, &e)
	if e.Op != "u" || e.Before["status"] != "new" || e.After["id"] != json.Number("18446744073709551615") || e.After["nothing"] != nil {
		t.Errorf("got %+v", e)
	}
	if _, ok := e.After["nothing"]; !ok {
		t.Error("a NULL is absent")
	}
	if e.Source.TSms != 1763633410123 || e.Source.Row != 0 || e.Source.Server != 223344 || *e.Source.GTID != "3e11fa47-71ca-11e1-9e33-c80aa9429562:8812" {
		t.Errorf("got the source %+v", e.Source)
	}
}

func TestMaxwell_ReadsAsItsStruct(t *testing.T) {
	var e struct {
		Database, Table, Type string
		TS, XID               int64
		Commit                bool
		Data, Old             map[string]any
	}
	value, err := New(Maxwell, exampleShape()).Append([]byte("before"), exampleEvent(change.Update))
	if err != nil {
		t.Fatal(err)
	}
	value = AddCommit(value, len("before"))
	read(t, value[len("before"):], &e)
	want := map[string]any{"price": json.Number("10.00"), "status": "new", "payload": nil, "nothing": json.Number("7")}
	if e.Type != "update" || e.TS != 1763633410 || !e.Commit || !reflect.DeepEqual(e.Old, want) {
		t.Errorf("got %+v", e)
	}
	if got := e.Data["payload"]; !reflect.DeepEqual(got, map[string]any{"a": []any{json.Number("1"), "x"}}) {
		t.Errorf("got the document %v", got)
	}
}

func TestCanal_ReadsAsItsStruct(t *testing.T) {
	var m struct {
		ID, ES, TS                       int64
		Database, Table, Type, SQL, GTID string
		IsDDL                            bool
		PKNames                          []string
		SQLType                          map[string]int
		MySQLType                        map[string]string
		Data, Old                        []map[string]*string
	}
	value, err := New(Canal, exampleShape()).Append(nil, exampleEvent(change.Update))
	if err != nil {
		t.Fatal(err)
	}
	read(t, value, &m)
	if len(m.Data) != 1 || len(m.Old) != 1 || len(m.Data[0]) != len(examples) || len(m.SQLType) != len(examples) || len(m.MySQLType) != len(examples) {
		t.Fatalf("got %+v, want one row of all columns", m)
	}
	if *m.Data[0]["raw"] != "\x00\u00ff\x10\"" || m.Data[0]["nothing"] != nil || *m.Old[0]["nothing"] != "7" || len(m.Old[0]) != 4 {
		t.Errorf("got %+v", m.Data)
	}
}

func TestAddCommit_IsNotMisledByNames(t *testing.T) {
	s := exampleShape()
	s.Database, s.Table = `a","data":{`, `,"data":`
	value, err := New(Maxwell, s).Append(nil, exampleEvent(change.Create))
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Database, Table string
		Commit          bool
		Data            map[string]any
	}
	if err := json.Unmarshal(AddCommit(value, 0), &e); err != nil || !e.Commit || e.Database != s.Database || e.Table != s.Table || len(e.Data) != len(examples) {
		t.Errorf("got %+v and %v", e, err)
	}
}

func TestUpdateThatChangesNoColumn(t *testing.T) {
	e := exampleEvent(change.Update)
	e.Before = e.After
	for kind, want := range map[Kind]string{Maxwell: `"zday":"0000-00-00"}}`, Canal: `"old":[{}],`} {
		got, err := New(kind, exampleShape()).Append(nil, e)
		if err != nil || !strings.Contains(string(got), want) || kind == Maxwell && strings.Contains(string(got), `"old"`) {
			t.Errorf("%s: got %s and %v, want %s in it", kind, got, err, want)
		}
	}
}

func TestWithoutGTID(t *testing.T) {
	e := exampleEvent(change.Create)
	e.TxID, e.Read = "mysql-bin.000003:154", 0
	for kind, want := range map[Kind][]string{
		Debezium: {`"gtid":null,"file":"mysql-bin.000003","pos":154`, `"op":"c","ts_ms":1763633410123,`},
		Maxwell:  {`"xid":154,`},
		Canal:    {`"gtid":"","id":154,`, `"ts":1763633410123,`},
	} {
		got, err := New(kind, exampleShape()).Append(nil, e)
		for _, part := range want {
			if err != nil || !strings.Contains(string(got), part) {
				t.Errorf("%s: got %s and %v, want %s in it", kind, got, err, part)
			}
		}
	}
	for id, want := range map[string]uint64{"0-101-7": 7, "": 0, "x": 0, "3e11fa47-71ca-11e1-9e33-c80aa9429562:blue:12": 12} {
		if got := (&Event{TxID: id}).number(); got != want {
			t.Errorf("%q: got the number %d, want %d", id, got, want)
		}
	}
	if !(&Event{TxID: "0-101-7"}).hasGTID() || (&Event{}).hasGTID() {
		t.Error("a GTID is not told from none")
	}
}

// An unsigned number beyond the signed range has the next larger type.
func TestCanal_CodesOfUnsignedNumbers(t *testing.T) {
	for bits, c := range map[int]struct {
		at, above   string
		usual, next string
	}{
		8: {"127", "128", "-6", "5"}, 16: {"32767", "32768", "5", "4"}, 24: {"8388607", "8388608", "4", "4"},
		32: {"2147483647", "2147483648", "4", "-5"}, 64: {"9223372036854775807", "9223372036854775808", "-5", "3"},
	} {
		s := &Shape{Columns: []change.Column{{Name: "x", Type: change.Uint, Bits: bits}}, Shown: 1}
		for text, want := range map[string]string{c.at: c.usual, c.above: c.next, "0": c.usual, "null": c.usual} {
			got, err := New(Canal, s).Append(nil, &Event{Op: change.Create, After: cells{[]byte(text)}})
			if err != nil || !strings.Contains(string(got), `"sqlType":{"x":`+want+`}`) {
				t.Errorf("%d bits, %s: got %s and %v, want code %s", bits, text, got, err, want)
			}
		}
	}
}

func TestDeclared_AsTheServerWritesIt(t *testing.T) {
	for want, c := range map[string]change.Column{
		"mediumint unsigned": {Type: change.Uint, Bits: 24}, "smallint": {Type: change.Int, Bits: 16}, "decimal(65,30)": {Type: change.Decimal, Precision: 65, Scale: 30},
		"char(10)": {Type: change.Text, Native: "char", Length: 30, Charset: "utf8mb3"}, "varchar(9)": {Type: change.Text, Native: "varchar", Length: 18, Charset: "gbk"},
		"longtext": {Type: change.Text, Native: "longtext", Length: 1<<32 - 1}, "binary(4)": {Type: change.Bytes, Native: "binary", Length: 4}, "mediumblob": {Type: change.Bytes, Native: "mediumblob"},
		"blob": {Type: change.Bytes}, "text": {Type: change.Text}, "varchar(64)": {Type: change.Text, Length: 64}, "time": {Type: change.Time}, "timestamp(6)": {Type: change.Timestamp, Scale: 6},
		"enum('it''s','b')": {Type: change.Enum, Members: []string{"it's", "b"}}, "tinyint(1)": {Type: change.Bool}, "vector": {Type: change.Vector}, "bit(7)": {Type: change.Bit, Bits: 7},
	} {
		if got := declared(&c); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParse_NamesWhatThereIs(t *testing.T) {
	for _, k := range Kinds {
		if got, err := Parse(string(k)); err != nil || got != k {
			t.Errorf("%s: got %s and %v", k, got, err)
		}
	}
	if _, err := Parse("Debezium"); err == nil || err.Error() != `"Debezium" is none of flat, debezium, maxwell, canal` {
		t.Errorf("got %v, want an error with the names", err)
	}
	if !Kind("").IsFlat() || !Flat.IsFlat() || Canal.IsFlat() || New(Flat, nil) != nil || New("", nil) != nil {
		t.Error("flat events have a renderer")
	}
}
