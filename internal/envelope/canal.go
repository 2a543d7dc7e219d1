package envelope

import (
	"strconv"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

// canal writes Canal's FlatMessage with one row in it: every value a string or
// null.
type canal struct {
	shown []field
	codes []sqlCode
	key   []int
	// The texts between what changes, in their order.
	database, types, keys, table []byte
	scratch                      []byte
}

func newCanal(s *Shape) *canal {
	c := &canal{shown: s.fields(canalWriter)[:s.Shown], key: s.Key}
	c.database = jsontext.AppendQuoted([]byte(`],"database":`), []byte(s.Database))
	c.types = []byte(`,"isDdl":false,"mysqlType":{`)
	for i := range c.shown {
		column := &s.Columns[i]
		if i > 0 {
			c.types = append(c.types, ',')
		}
		c.types = append(c.types, c.shown[i].key...)
		c.types = jsontext.AppendQuoted(c.types, []byte(declared(column)))
		c.codes = append(c.codes, codeOf(column))
	}
	c.types = append(c.types, `},"old":`...)
	c.keys = append(appendKeyNames([]byte(`,"pkNames":`), s), `,"sql":"","sqlType":{`...)
	c.table = append(jsontext.AppendQuoted([]byte(`},"table":`), []byte(s.Table)), `,"ts":`...)
	return c
}

// appendKeyNames appends the names of the key's columns that the rows have, or
// null when they have none.
func appendKeyNames(dst []byte, s *Shape) []byte {
	start := len(dst)
	for n, i := range s.Key {
		if i >= s.Shown {
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, quoted(s.KeyNames[n])...)
	}
	if len(dst) == start {
		return append(dst, "null"...)
	}
	dst[start] = '['
	return append(dst, ']')
}

// AppendKey appends the key of a flat event: Canal sends none, and partitions
// are by key.
func (c *canal) AppendKey(dst []byte, m Image) ([]byte, error) {
	dst = append(dst, '[')
	for n, i := range c.key {
		if n > 0 {
			dst = append(dst, ',')
		}
		if cell := m.Cell(i); cell[0] == '"' || isNull(cell) {
			dst = append(dst, cell...)
		} else {
			dst = jsontext.AppendQuoted(dst, cell)
		}
	}
	return append(dst, ']'), nil
}

// canalType names the operations.
func canalType(op change.Op) string {
	switch op {
	case change.Update:
		return "UPDATE"
	case change.Delete:
		return "DELETE"
	}
	return "INSERT"
}

// Append appends one event.
func (c *canal) Append(dst []byte, e *Event) ([]byte, error) {
	row := e.After
	if row == nil {
		row = e.Before
	}
	dst, err := appendRow(append(dst, `{"data":[`...), c.shown, row)
	if err != nil {
		return dst, err
	}
	dst = append(append(dst, c.database...), `,"es":`...)
	dst = strconv.AppendInt(dst, millis(e.Commit), 10)
	c.scratch = c.scratch[:0]
	if e.hasGTID() {
		c.scratch = append(c.scratch, e.TxID...)
	}
	dst = jsontext.AppendQuoted(append(dst, `,"gtid":`...), c.scratch)
	dst = strconv.AppendUint(append(dst, `,"id":`...), e.number(), 10)
	dst = append(dst, c.types...)
	if dst, err = c.appendOld(dst, e); err != nil {
		return dst, err
	}
	dst = c.appendCodes(append(dst, c.keys...), row)
	read := e.Read
	if read == 0 {
		read = e.Commit
	}
	dst = strconv.AppendInt(append(dst, c.table...), millis(read), 10)
	dst = append(append(dst, `,"type":"`...), canalType(e.Op)...)
	return append(dst, `"}`...), nil
}

func (c *canal) appendOld(dst []byte, e *Event) ([]byte, error) {
	if e.Op != change.Update {
		return append(dst, "null"...), nil
	}
	dst, err := appendChanged(append(dst, '['), c.shown, e.Before, e.After)
	return append(dst, ']'), err
}

// appendCodes appends the java.sql.Types of the cells. That of an unsigned
// number beyond the signed range is the next larger type.
func (c *canal) appendCodes(dst []byte, row Image) []byte {
	for i := range c.codes {
		if i > 0 {
			dst = append(dst, ',')
		}
		code := c.codes[i].usual
		if c.codes[i].above != 0 && beyond(row.Cell(i), c.codes[i].limit) {
			code = c.codes[i].above
		}
		dst = strconv.AppendInt(append(dst, c.shown[i].key...), int64(code), 10)
	}
	return dst
}

// canalWriter is how Canal writes a column as a string. An ENUM is the number of
// its member and a SET the number of its bits; binary strings have a character
// for each byte, by ISO-8859-1.
func canalWriter(c *change.Column) writer {
	switch c.Type {
	case change.Text, change.Date, change.DateTime, change.Time, change.JSON:
		return nil
	case change.Timestamp:
		return appendLocal
	case change.Bytes:
		return latin1()
	case change.Geometry:
		return latin1Geometry()
	case change.Year:
		return appendYearText
	case change.Enum:
		return memberNumber(c.Members)
	case change.Set:
		return memberBits(c.Members)
	case change.Bool:
		return appendBoolText
	}
	return func(dst, cell []byte) ([]byte, error) { return jsontext.AppendQuoted(dst, cell), nil }
}
