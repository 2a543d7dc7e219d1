package parquet

import (
	"bytes"
	"fmt"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"tailwater/change"
)

func testSchema() *change.Schema {
	return &change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{
		{Name: "id", Type: change.Int, Bits: 64},
		{Name: "amount", Type: change.Decimal, Precision: 12, Scale: 2, Nullable: true},
		{Name: "city", Type: change.Text, Nullable: true},
		{Name: "big", Type: change.Uint, Bits: 64},
		{Name: "wide", Type: change.Decimal, Precision: 38, Scale: 10},
		{Name: "day", Type: change.Date},
		{Name: "at", Type: change.DateTime, Scale: 3},
		{Name: "ts", Type: change.Timestamp, Scale: 6},
		{Name: "raw", Type: change.Bytes},
		{Name: "ok", Type: change.Bool},
		{Name: "d", Type: change.Double},
	}}
}

func TestFileWriter_WritesTypedColumnsInViewOrder(t *testing.T) {
	s := testSchema()
	print := s.Fingerprint()
	m := &Manifest{View: "orders", Columns: merge(metadataColumns, s), Codec: Codec{Compression: "zstd"}, Files: []FileRef{{Key: "f", Rows: 1}}}
	value := fmt.Sprintf(`{"_op":"c","_shard":"03","_ts_us":1763632210123456,"_lsn":"00","_schema":%q,"id":-42,"amount":-12.50,"city":"K\u00f6ln",`+
		`"big":18446744073709551615,"wide":-1234567890123456789012345678.0123456789,"day":"2026-11-20","at":"2026-11-20 10:11:12.123",`+
		`"ts":"2026-11-20T10:11:12.123456Z","raw":"AAEC","ok":true,"d":1.5e3}`, print)
	w := newFileWriter(m, map[string]*change.Schema{print: s}, newCodecs())
	files, err := w.build([]row{{value: []byte(value), schema: print}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := pq.OpenFile(bytes.NewReader(files[0].body), int64(len(files[0].body)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range f.Schema().Fields() {
		names = append(names, c.Name())
	}
	if got, want := fmt.Sprint(names), "[_op _shard _ts_us _lsn _db _table _gtid _schema _old id amount city big wide day at ts raw ok d]"; got != want {
		t.Errorf("columns = %s, want %s", got, want)
	}
	rows := make([]pq.Row, 1)
	r := f.RowGroups()[0].Rows()
	defer r.Close()
	if n, err := r.ReadRows(rows); n != 1 {
		t.Fatalf("ReadRows = %d, %v, want 1 row", n, err)
	}
	got := make(map[string]string)
	for i, v := range rows[0] {
		if !v.IsNull() {
			got[names[i]] = fmt.Sprintf("%v", v)
		}
	}
	for name, want := range map[string]string{
		"_op": "c", "_ts_us": "1763632210123456", "id": "-42", "amount": "-1250", "city": "Köln",
		"day": "20777", "at": "1795169472123000", "ts": "1795169472123456", "raw": "\x00\x01\x02", "ok": "true", "d": "1500",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
	if _, there := got["_old"]; there {
		t.Errorf("_old = %q, want null", got["_old"])
	}
}
