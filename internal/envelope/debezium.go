package envelope

import (
	"strconv"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

// debezium writes the events of Debezium's MySQL connector as the JSON
// converter does without schemas: before, after, source, op and times.
type debezium struct {
	fields []field
	shown  []field
	key    []int
	// names are the key's members.
	names [][]byte
	// head, db and table are the texts of source between what changes.
	head, db, table []byte
	scratch         []byte
}

func newDebezium(s *Shape) *debezium {
	d := &debezium{fields: s.fields(debeziumWriter), key: s.Key}
	d.shown = d.fields[:s.Shown]
	for _, name := range s.KeyNames {
		d.names = append(d.names, member(name))
	}
	d.head = jsontext.AppendQuoted([]byte(`,"source":{"version":"tailwater","connector":`), []byte(s.Connector))
	d.head = jsontext.AppendQuoted(append(d.head, `,"name":`...), []byte(s.Shard))
	d.db = jsontext.AppendQuoted([]byte(`,"db":`), []byte(s.Database))
	d.db = append(d.db, `,"sequence":null`...)
	d.table = jsontext.AppendQuoted([]byte(`,"table":`), []byte(s.Table))
	return d
}

// AppendKey appends an object of the key columns.
func (d *debezium) AppendKey(dst []byte, m Image) ([]byte, error) {
	dst = append(dst, '{')
	for n, i := range d.key {
		if n > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendCell(append(dst, d.names[n]...), &d.fields[i], m.Cell(i)); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// Append appends one event.
func (d *debezium) Append(dst []byte, e *Event) ([]byte, error) {
	dst, err := d.appendImage(append(dst, `{"before":`...), e.Before)
	if err != nil {
		return dst, err
	}
	if dst, err = d.appendImage(append(dst, `,"after":`...), e.After); err != nil {
		return dst, err
	}
	dst = d.appendSource(dst, e)
	dst = append(dst, `,"transaction":null,"op":"`...)
	dst = append(dst, byte(e.Op), '"')
	read := e.Read
	if read == 0 {
		read = e.Commit
	}
	dst = strconv.AppendInt(append(dst, `,"ts_ms":`...), millis(read), 10)
	return append(appendFiner(dst, read), '}'), nil
}

func (d *debezium) appendImage(dst []byte, m Image) ([]byte, error) {
	if m == nil {
		return append(dst, "null"...), nil
	}
	return appendRow(dst, d.shown, m)
}

// appendSource appends where the event comes from. Its place is that of the
// transaction and the number of the row in it, from 0: together they order the
// events of a shard.
func (d *debezium) appendSource(dst []byte, e *Event) []byte {
	dst = append(append(dst, d.head...), `,"ts_ms":`...)
	dst = strconv.AppendInt(dst, millis(e.Commit), 10)
	dst = append(dst, `,"snapshot":"`...)
	dst = strconv.AppendBool(dst, e.Op == change.Read)
	dst = append(append(dst, '"'), d.db...)
	dst = append(appendFiner(dst, e.Commit), d.table...)
	dst = strconv.AppendUint(append(dst, `,"server_id":`...), uint64(e.Server), 10)
	dst = append(dst, `,"gtid":`...)
	if e.hasGTID() {
		dst = d.appendText(dst, e.TxID)
	} else {
		dst = append(dst, "null"...)
	}
	dst = d.appendText(append(dst, `,"file":`...), e.File)
	dst = strconv.AppendUint(append(dst, `,"pos":`...), e.Pos, 10)
	dst = strconv.AppendUint(append(dst, `,"row":`...), uint64(max(e.Row, 1)-1), 10)
	return append(dst, `,"thread":null,"query":null}`...)
}

func (d *debezium) appendText(dst []byte, text string) []byte {
	d.scratch = append(d.scratch[:0], text...)
	return jsontext.AppendQuoted(dst, d.scratch)
}

// appendFiner appends a time in microseconds and nanoseconds.
func appendFiner(dst []byte, micros int64) []byte {
	dst = strconv.AppendInt(append(dst, `,"ts_us":`...), micros, 10)
	return append(strconv.AppendInt(append(dst, `,"ts_ns":`...), micros, 10), "000"...)
}

// debeziumWriter is how a column is written by the connector's defaults:
// decimal.handling.mode precise, time.precision.mode adaptive_time_microseconds,
// binary.handling.mode bytes.
func debeziumWriter(c *change.Column) writer {
	switch c.Type {
	case change.Decimal:
		return appendUnscaled
	case change.Date:
		return instant(c.Nullable, func(t moment) int64 { return t.days })
	case change.DateTime:
		if c.Scale > 3 {
			return instant(c.Nullable, moment.unixMicros)
		}
		return instant(c.Nullable, func(t moment) int64 { return millis(t.unixMicros()) })
	case change.Timestamp:
		return zoned(c.Nullable)
	case change.Time:
		return appendSpan
	case change.Bit:
		if c.Bits == 1 {
			return appendFlag
		}
		return bitBytes((c.Bits + 7) / 8)
	}
	return nil
}
