package envelope

import (
	"encoding/json"
	"testing"

	"tailwater/change"
)

func TestAppendTableEvent(t *testing.T) {
	orders := change.TableName{Database: "shop", Name: "ord`ers"}
	for _, c := range []struct {
		kind Kind
		what change.TableChange
		want string
	}{
		{Debezium, change.TableChange{DDL: change.Truncated, Table: orders, Row: 2},
			`{"before":null,"after":null,"source":{"version":"tailwater","connector":"mysql","name":"03","ts_ms":1700000000123,"snapshot":"false","db":"shop","sequence":null,"ts_us":1700000000123456,"ts_ns":1700000000123456000,"table":"ord` + "`" + `ers","server_id":7,"gtid":"u-1:42","file":"b.000001","pos":99,"row":1,"thread":null,"query":null},"transaction":null,"op":"t","ts_ms":1700000001000,"ts_us":1700000001000000,"ts_ns":1700000001000000000}`},
		{Debezium, change.TableChange{DDL: change.Dropped, Table: orders}, ""},
		{Debezium, change.TableChange{DDL: change.Renamed, Table: orders}, ""},
		{Maxwell, change.TableChange{DDL: change.Dropped, Table: orders},
			`{"type":"table-drop","database":"shop","table":"ord` + "`" + `ers","ts":1700000000123,"sql":"DROP TABLE ` + "`shop`.`ord``ers`" + `"}`},
		{Maxwell, change.TableChange{DDL: change.Dropped, Table: change.TableName{Database: "shop"}},
			`{"type":"database-drop","database":"shop","ts":1700000000123,"sql":"DROP DATABASE ` + "`shop`" + `"}`},
		{Maxwell, change.TableChange{DDL: change.Truncated, Table: orders}, ""},
		{Canal, change.TableChange{DDL: change.Truncated, Table: orders}, canalText("TRUNCATE", "TRUNCATE TABLE `shop`.`ord``ers`")},
		{Canal, change.TableChange{DDL: change.Dropped, Table: orders}, canalText("ERASE", "DROP TABLE `shop`.`ord``ers`")},
		{Canal, change.TableChange{DDL: change.Renamed, Table: orders, To: change.TableName{Database: "old", Name: "o"}}, canalText("RENAME", "RENAME TABLE `shop`.`ord``ers` TO `old`.`o`")},
		{Canal, change.TableChange{DDL: change.Renamed, Table: orders, From: change.TableName{Database: "old", Name: "o"}}, canalText("RENAME", "RENAME TABLE `old`.`o` TO `shop`.`ord``ers`")},
		{Canal, change.TableChange{DDL: change.Dropped, Table: change.TableName{Database: "shop"}}, ""},
		{Canal, change.TableChange{DDL: change.Repartitioned, Table: orders}, ""},
		{Flat, change.TableChange{DDL: change.Truncated, Table: orders}, ""},
	} {
		e := TableEvent{TableChange: &c.what, Shard: "03", Connector: "mysql", Commit: 1700000000123456, Read: 1700000001000000, TxID: "u-1:42", File: "b.000001", Pos: 99, Server: 7}
		got, ok := AppendTableEvent(c.kind, []byte("x"), &e)
		if ok != (c.want != "") || string(got[1:]) != c.want {
			t.Errorf("%s, %s of %s: %v\n got %s\nwant %s", c.kind, c.what.DDL, c.what.Table, ok, got[1:], c.want)
		}
		if ok && !json.Valid(got[1:]) {
			t.Errorf("%s is no JSON", got[1:])
		}
	}
}

func canalText(kind, sql string) string {
	return `{"data":null,"database":"shop","es":1700000000123,"gtid":"u-1:42","id":42,"isDdl":true,"mysqlType":null,"old":null,"pkNames":null,"sql":"` + sql +
		`","sqlType":null,"table":"ord` + "`" + `ers","ts":1700000001000,"type":"` + kind + `"}`
}
