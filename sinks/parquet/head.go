package parquet

import "bytes"

// head reads the metadata that decides where an event goes, of an event that
// begins as the one before did. The order of members is fixed, and within a
// transaction only _op, _ts_us and _lsn differ from row to row: comparing the
// texts between them is a fraction of parsing them. What it passes over is
// what a Picker has parsed before, but for the inside of _lsn; the whole event
// is parsed when its file is built.
type head struct {
	// shard is the text from behind the letter of _op to before the number of
	// _ts_us, rest the one from behind _lsn to behind _schema.
	shard, rest []byte
	print       string
}

const (
	headOp  = `{"_op":"`
	headLSN = `,"_lsn":"`
	lsnText = 32
)

// read returns the commit time and the schema of an event; ok is false when it
// does not begin as the last one learned.
func (h *head) read(value []byte) (micros int64, print string, ok bool) {
	const open = len(headOp) + 1
	if len(h.shard) == 0 || len(value) < open+len(h.shard) || string(value[:len(headOp)]) != headOp ||
		!bytes.Equal(value[open:open+len(h.shard)], h.shard) {
		return 0, "", false
	}
	at := open + len(h.shard)
	digits := at
	for at < len(value) && '0' <= value[at] && value[at] <= '9' && at-digits < 18 {
		micros = micros*10 + int64(value[at]-'0')
		at++
	}
	end := at + len(headLSN) + lsnText + 1 + len(h.rest)
	if at == digits || value[digits] == '0' || end >= len(value) || string(value[at:at+len(headLSN)]) != headLSN {
		return 0, "", false
	}
	at += len(headLSN) + lsnText
	if value[at] != '"' || !bytes.Equal(value[at+1:end], h.rest) || value[end] != ',' && value[end] != '}' {
		return 0, "", false
	}
	return micros, h.print, true
}

// learn remembers an event whose _ts_us and _schema, slices of it, were parsed.
// It remembers nothing of one that has not the usual order.
func (h *head) learn(value, ts, schema []byte, print string) {
	h.shard, h.rest = h.shard[:0], h.rest[:0]
	if schema == nil || !bytes.HasPrefix(value, []byte(headOp)) {
		return
	}
	// A slice's capacity tells where in its array it begins.
	from, end := cap(value)-cap(ts), cap(value)-cap(schema)+len(schema)
	lsn := from + len(ts)
	rest := lsn + len(headLSN) + lsnText + 1
	if from <= len(headOp) || rest > end || end > len(value) || !bytes.HasPrefix(value[lsn:], []byte(headLSN)) {
		return
	}
	h.shard = append(h.shard, value[len(headOp)+1:from]...)
	h.rest = append(h.rest, value[rest:end]...)
	h.print = print
}
