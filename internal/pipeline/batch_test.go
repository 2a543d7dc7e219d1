package pipeline

import "testing"

func TestPlaceOf_EveryFormNamesTheTable(t *testing.T) {
	for value, want := range map[string][2]string{
		`{"_op":"c","_db":"shop","_table":"orders","database":"x","table":"y"}`:                         {"shop", "orders"},
		`{"_op":"c","_shard":"03","database":"x","table":"y"}`:                                          {"?", "?"},
		`{"before":null,"after":{"db":"x"},"source":{"db":"shop","ts_us":1,"table":"orders"},"op":"c"}`: {"shop", "orders"},
		`{"database":"shop","table":"orders","type":"insert","data":{"table":"y"}}`:                     {"shop", "orders"},
		`{"data":[{"table":"y"}],"database":"shop","table":"orders"}`:                                   {"shop", "orders"},
		`{"before":null`: {"?", "?"},
		`{}`:             {"?", "?"},
	} {
		place := placeOf([]byte(value))
		if got := [2]string{unquoted(place[0]), unquoted(place[1])}; got != want {
			t.Errorf("%s: got %v, want %v", value, got, want)
		}
	}
}
