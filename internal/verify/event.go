package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tailwater/change"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// event is a change event as a consumer reads it.
type event struct {
	op    change.Op
	shard string
	// partition is that of a record of the stream.
	partition int32
	// key is the shard and the record's key; empty for a row of the lake.
	key    string
	micros int64
	lsn    change.LSN
	// txid is empty where only the lake has the event, and the view does not
	// show the transaction.
	txid string
	// database, table and schema are empty where the view does not show them.
	database, table, schema string
	old                     cell
	hasOld                  bool
	// ddl, to and from are those of an event of a table as a whole.
	ddl, to, from string
	// raw are the members of an event of the stream, cells those of a row of the
	// lake.
	raw   map[string]json.RawMessage
	cells map[string]cell
	// noText are the columns with bytes in place of a text.
	noText []string
}

// metadata are the members of an event that are no columns.
func isMetadata(name string) bool { return strings.HasPrefix(name, "_") }

// isOp reports whether a text is an operation.
func isOp(text string) bool {
	return len(text) == 1 && (change.Op(text[0]).Valid() || change.Op(text[0]) == change.OnTable)
}

// decodeEvent reads the JSON of a record, and holds it against the headers.
func decodeEvent(r *stream.Record) (*event, error) {
	e := &event{partition: r.Partition}
	if err := json.Unmarshal(r.Value, &e.raw); err != nil {
		return nil, fmt.Errorf("no JSON object: %w", err)
	}
	var op, lsn string
	for _, m := range []struct {
		name string
		into any
		must bool
	}{
		{"_op", &op, true}, {"_shard", &e.shard, true}, {"_ts_us", &e.micros, true}, {"_lsn", &lsn, true},
		{"_db", &e.database, false}, {"_table", &e.table, false}, {"_schema", &e.schema, false},
	} {
		raw, ok := e.raw[m.name]
		if !ok && !m.must {
			continue
		}
		if err := json.Unmarshal(raw, m.into); err != nil {
			return nil, fmt.Errorf("member %s is missing or of another type", m.name)
		}
	}
	if raw, ok := e.raw["_old"]; ok {
		e.old, e.hasOld = cell{text: string(raw)}, true
	}
	if raw, ok := e.raw[rawMember]; ok {
		var err error
		if e.noText, err = rawNames(raw); err != nil {
			return nil, err
		}
	}
	if !isOp(op) {
		return nil, fmt.Errorf("_op %q is none", op)
	}
	if (change.Op(op[0]) == change.OnTable) != (r.Key == nil) {
		return nil, fmt.Errorf("_op %q, and the key is %q: only the event of a table has none", op, r.Key)
	}
	if r.Key == nil {
		if err := json.Unmarshal(e.raw["_ddl"], &e.ddl); err != nil {
			return nil, fmt.Errorf("member _ddl is missing or of another type")
		}
		e.to, e.from = string(e.raw["_to"]), string(e.raw["_from"])
	}
	e.op, e.txid, e.lsn = change.Op(op[0]), r.TxID, r.LSN
	e.key = r.Shard + "\x00" + string(r.Key)
	if lsn != r.LSN.String() || e.shard != r.Shard {
		return nil, fmt.Errorf("_lsn %s and _shard %q, but the record's header says %s and %q", lsn, e.shard, r.LSN, r.Shard)
	}
	return e, nil
}

// get returns a column's value, and whether the event has the column.
func (e *event) get(name string) (cell, bool, error) {
	if e.cells != nil {
		c, ok := e.cells[name]
		return c, ok, nil
	}
	raw, ok := e.raw[name]
	if !ok {
		return null, false, nil
	}
	c, err := plainJSON(raw)
	c.raw = slices.Contains(e.noText, name)
	return c, true, err
}

// decodeRow makes an event of a row of the lake. schemas are the view's.
func decodeRow(row *parquet.FileRow, m *parquet.Manifest) (*event, error) {
	e := &event{cells: make(map[string]cell)}
	text := func(name string) string { s, _ := row.Text(name); return s }
	op := text("_op")
	if !isOp(op) {
		return nil, fmt.Errorf("_op %q is none", op)
	}
	e.op, e.shard = change.Op(op[0]), text("_shard")
	e.ddl, e.to, e.from = text("_ddl"), text("_to"), text("_from")
	var err error
	if e.lsn, err = change.ParseLSN(text("_lsn")); err != nil {
		return nil, err
	}
	if _, err := fmt.Sscan(text("_ts_us"), &e.micros); err != nil {
		return nil, fmt.Errorf("_ts_us is no number")
	}
	e.database, e.table, e.txid, e.schema = text("_db"), text("_table"), text("_gtid"), text("_schema")
	if s, ok := row.Text("_old"); ok {
		e.old, e.hasOld = cell{text: s}, true
	}
	if s, ok := row.Text(rawMember); ok {
		if e.noText, err = rawNames([]byte(s)); err != nil {
			return nil, err
		}
	}
	for i := range m.Columns {
		c := &m.Columns[i]
		if isMetadata(c.From) {
			continue
		}
		v, ok := row.Text(c.Name)
		if !ok {
			if _, has := e.cells[c.From]; !has {
				e.cells[c.From] = null
			}
			continue
		}
		if old, has := e.cells[c.From]; has && !old.null {
			return nil, fmt.Errorf("column %s has two values, one of them in %s", c.From, c.Name)
		}
		e.cells[c.From] = cell{text: fromLake(c, v), raw: slices.Contains(e.noText, c.From)}
	}
	return e, nil
}

// fromLake returns the text of an event for a value of a file.
func fromLake(c *parquet.Column, text string) string {
	switch c.Kind {
	case parquet.KindTimestamp, parquet.KindDateTime:
		return microsText(text)
	case parquet.KindBytes:
		return encodeBase64(text)
	}
	return text
}

// marks decide which records of a partition count: by shard, the highest lsn
// that has counted, and the number of the last event of its epoch.
type marks map[string]mark

type mark struct {
	lsn       change.LSN
	n         uint64
	watermark int64
}

// accept decides by the rule of the stream's format. gap is what is missing
// before the record, if anything is.
func (m marks) accept(r *stream.Record) (ok bool, gap string) {
	old, known := m[r.Shard]
	order := r.LSN.Compare(old.lsn)
	if known && (order < 0 || order == 0 && r.Kind == stream.Event) {
		return false, ""
	}
	next := mark{lsn: r.LSN, n: r.N, watermark: max(old.watermark, r.Watermark)}
	sameEpoch := known && old.lsn.Epoch == r.LSN.Epoch
	switch {
	case r.Kind == stream.Fence:
		next.n = 0
	case r.Kind == stream.Heartbeat && known:
		next.n = 0
		if sameEpoch {
			next.n = old.n
		}
	}
	if known && r.Kind != stream.Fence {
		var last uint64
		if sameEpoch {
			last = old.n
		}
		if r.Kind == stream.Event {
			last++
		}
		if r.N > last {
			gap = fmt.Sprintf("events %d to %d of epoch %d", last, r.N-1, r.LSN.Epoch)
			if r.Kind == stream.Heartbeat {
				gap = fmt.Sprintf("events %d to %d of epoch %d", last+1, r.N, r.LSN.Epoch)
			}
		}
	}
	m[r.Shard] = next
	return true, gap
}
