package view

import (
	"encoding/json"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

func TestTableEvent_IsOneObjectWhateverTheNames(t *testing.T) {
	c := TableChange{
		TableChange: &change.TableChange{DDL: change.Renamed, Table: change.TableName{Database: "d\"b", Name: "t\\\n.x"}, To: change.TableName{Database: "é", Name: "y"}},
		Shard:       "03", TSMicros: 5, LSN: change.LSN{Epoch: 1, Txn: 2, Row: 3, Part: 4}, GTID: "g:1",
	}
	raw := AppendTableEvent([]byte("before "), &c)[len("before "):]
	var got struct {
		Op    string     `json:"_op"`
		DB    string     `json:"_db"`
		Table *string    `json:"_table"`
		To    [2]string  `json:"_to"`
		From  *[]string  `json:"_from"`
		LSN   change.LSN `json:"_lsn"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if got.Op != "t" || got.DB != c.Table.Database || *got.Table != c.Table.Name || got.To != [2]string{"é", "y"} || got.From != nil || got.LSN != c.LSN {
		t.Errorf("got %+v of %s", got, raw)
	}
	if string(raw[:len(stream.TablePrefix)]) != stream.TablePrefix {
		t.Errorf("%s does not begin as the stream wants it", raw)
	}
	c.TableChange = &change.TableChange{DDL: change.Dropped, Table: change.TableName{Database: "d"}}
	got.Table = nil
	if err := json.Unmarshal(AppendTableEvent(nil, &c), &got); err != nil || got.Table != nil {
		t.Errorf("a whole database: table %v, %v, want null", got.Table, err)
	}
}

func TestHazard_A57_ShadowsAreInNoViewWhateverItsPattern(t *testing.T) {
	m, err := NewMatcher([]*Definition{{Name: "v", Source: "s", Database: "{d:.*}", Table: "{t:.*}"}})
	if err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{
		"_orders_gho": 0, "_orders_ghc": 0, "_orders_ghk": 0, "_orders_del": 0, "_orders_new": 0, "_orders_old": 0, "__orders_new": 0, "~orders_gho": 0,
		"#sql-1a2b_3c": 0, "#sql2-1a2b-3c": 0, "#sql-alter-1-2": 0,
		"orders": 1, "orders_new": 1, "_orders": 1, "sql": 1, "x#sql": 1,
	} {
		if got := len(m.Match("s", "03", "shop", table)); got != want {
			t.Errorf("table %s is in %d views, want %d", table, got, want)
		}
	}
}
