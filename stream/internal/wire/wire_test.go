package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

func sample(k stream.Kind) stream.Record {
	r := stream.Record{
		Kind: k, Shard: "03", LSN: change.LSN{Epoch: 7, Txn: 184_467, Row: 3, Part: 1}, N: 12_345,
		Watermark: 1_763_632_210_123_456, TxID: "3e11fa47-71ca-11e1-9e33-c80aa9429562:8812", Row: 3,
	}
	switch k {
	case stream.Event:
		r.Key, r.Value = []byte(`["42"]`), []byte(`{"_op":"c"}`)
	case stream.Heartbeat:
		r.Value = AppendHeartbeat(nil, &r)
	}
	return r
}

func TestMostID_IsNeverExceeded(t *testing.T) {
	for _, r := range []stream.Record{
		{}, sample(stream.Event),
		{N: 1<<64 - 1, Watermark: -1 << 63, Row: 1<<32 - 1, Shard: strings.Repeat("s", MaxShard), TxID: strings.Repeat("t", MaxTxID)},
	} {
		if got, most := len(AppendID(nil, &r)), MostID(&r); got > most {
			t.Errorf("an id of %d bytes, at most %d were announced", got, most)
		}
	}
}

func TestID_RoundTrip(t *testing.T) {
	records := []stream.Record{sample(stream.Event), sample(stream.Heartbeat), sample(stream.Fence)}
	table := sample(stream.Event)
	table.Key, table.Value = nil, []byte(`{"_op":"t","_shard":"03"}`)
	records = append(records, table)
	extreme := sample(stream.Event)
	extreme.Shard, extreme.TxID = strings.Repeat("s", MaxShard), strings.Repeat("g", MaxTxID)
	extreme.N, extreme.Watermark, extreme.Row = math.MaxUint64, math.MinInt64, math.MaxUint32
	extreme.LSN = change.LSN{Epoch: math.MaxUint32, Txn: change.MaxTxn, Row: math.MaxUint32, Part: math.MaxUint16}
	records = append(records, extreme)
	var d Decoder
	for _, want := range records {
		if err := Check(&want); err != nil {
			t.Fatal(err)
		}
		id := AppendID(nil, &want)
		if len(id) > MaxID {
			t.Errorf("got %d bytes, at most %d are promised", len(id), MaxID)
		}
		got := stream.Record{Key: want.Key, Value: want.Value}
		if err := d.Decode([]byte(KindName(want.Kind)), id, &got); err != nil {
			t.Fatal(err)
		}
		if got.Kind != want.Kind || got.Shard != want.Shard || got.LSN != want.LSN || got.N != want.N ||
			got.Watermark != want.Watermark || got.TxID != want.TxID || got.Row != want.Row {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// The bytes are public: docs/format/stream.md shows this very header.
func TestID_BytesAreTheDocumentedOnes(t *testing.T) {
	r := sample(stream.Event)
	want := "\x01" + "\x00\x00\x00\x07\x00\x00\x00\x02\xd0\x93\x00\x00\x00\x03\x00\x01" + "\xb9\x60" +
		"\x80\xeb\xb0\xf6\xf3\x80\xa2\x06" + "\x03" + "\x0203" + "\x293e11fa47-71ca-11e1-9e33-c80aa9429562:8812"
	if got := string(AppendID(nil, &r)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestHeartbeat_IsTheDocumentedJSON(t *testing.T) {
	r := sample(stream.Heartbeat)
	want := `{"_op":"h","_shard":"03","_ts_us":1763632210123456,"_lsn":"0000000700000002d093000000030001","_n":12345}`
	if got := string(AppendHeartbeat(nil, &r)); got != want || !json.Valid([]byte(got)) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCheck_RefusesWhatCannotBeRead(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(r *stream.Record)
	}{
		{"no kind", func(r *stream.Record) { r.Kind = 0 }},
		{"no shard", func(r *stream.Record) { r.Shard = "" }},
		{"long shard", func(r *stream.Record) { r.Shard = strings.Repeat("x", MaxShard+1) }},
		{"long transaction id", func(r *stream.Record) { r.TxID = strings.Repeat("x", MaxTxID+1) }},
		{"large transaction number", func(r *stream.Record) { r.LSN.Txn = change.MaxTxn + 1 }},
		{"event of a row without key", func(r *stream.Record) { r.Key = nil }},
		{"event of a table without value", func(r *stream.Record) { r.Key, r.Value = nil, nil }},
		{"event of a table cut off", func(r *stream.Record) { r.Key, r.Value = nil, []byte(stream.TablePrefix) }},
		{"event without value", func(r *stream.Record) { r.Value = nil }},
		{"heartbeat with key", func(r *stream.Record) { r.Kind = stream.Heartbeat }},
	}
	for _, tt := range tests {
		r := sample(stream.Event)
		tt.spoil(&r)
		if Check(&r) == nil {
			t.Errorf("%s: got no error", tt.name)
		}
	}
}

func TestDecode_RefusesForeignAndDamagedHeaders(t *testing.T) {
	good := sample(stream.Event)
	id := AppendID(nil, &good)
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(id)) }
	tests := []struct {
		name       string
		kind, id   []byte
		key, value []byte
	}{
		{"no headers", nil, nil, good.Key, good.Value},
		{"no id", []byte("ev"), nil, good.Key, good.Value},
		{"no kind", nil, id, good.Key, good.Value},
		{"unknown kind", []byte("xx"), id, good.Key, good.Value},
		{"empty id", []byte("ev"), []byte{}, good.Key, good.Value},
		{"newer version", []byte("ev"), edit(func(b []byte) []byte { b[0] = 2; return b }), good.Key, good.Value},
		{"only an lsn", []byte("ev"), id[:17], good.Key, good.Value},
		{"cut off", []byte("ev"), id[:len(id)-1], good.Key, good.Value},
		{"something behind it", []byte("ev"), append(bytes.Clone(id), 0), good.Key, good.Value},
		{"a varint that is longer than it must be", []byte("ev"), edit(func(b []byte) []byte {
			return append(append(b[:17:17], 0x81, 0x80, 0x00), b[19:]...)
		}), good.Key, good.Value},
		{"event without key", []byte("ev"), id, nil, good.Value},
		{"event without value", []byte("ev"), id, good.Key, nil},
		{"heartbeat with key", []byte("hb"), id, good.Key, good.Value},
		{"fence with value", []byte("fence"), id, nil, good.Value},
	}
	for _, tt := range tests {
		var d Decoder
		r := stream.Record{Key: tt.key, Value: tt.value}
		if err := d.Decode(tt.kind, tt.id, &r); err == nil {
			t.Errorf("%s: got no error", tt.name)
		}
	}
}

func TestDecode_AHeartbeatMayBeBare(t *testing.T) {
	want := sample(stream.Heartbeat)
	for _, value := range [][]byte{nil, AppendHeartbeat(nil, &want)} {
		var d Decoder
		r := stream.Record{Value: value}
		if err := d.Decode([]byte("hb"), AppendID(nil, &want), &r); err != nil || r.Watermark != want.Watermark || r.N != want.N || r.LSN != want.LSN {
			t.Errorf("value %q: got %+v and %v, want %+v", value, r, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, k := range []stream.Kind{stream.Event, stream.Heartbeat, stream.Fence} {
		r := sample(k)
		f.Add([]byte(KindName(k)), AppendID(nil, &r), r.Key, r.Value)
	}
	f.Fuzz(func(t *testing.T, kind, id, key, value []byte) {
		var d Decoder
		if len(key) == 0 {
			key = nil
		}
		r := stream.Record{Key: key, Value: value}
		if err := d.Decode(kind, id, &r); err != nil {
			return
		}
		if got := AppendID(nil, &r); !bytes.Equal(got, id) {
			t.Errorf("two headers mean the same record: %x and %x", id, got)
		}
		if err := Check(&r); err != nil {
			t.Errorf("decoded what must not be written: %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	r := sample(stream.Event)
	id, kind := AppendID(nil, &r), []byte("ev")
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(kind, id, &r); err != nil {
			b.Fatal(err)
		}
	}
}
