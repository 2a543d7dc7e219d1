package encode

import "encoding/binary"

// Column types as a table map states them.
const (
	wireTiny       = 1
	wireShort      = 2
	wireLong       = 3
	wireFloat      = 4
	wireDouble     = 5
	wireLongLong   = 8
	wireInt24      = 9
	wireDate       = 10
	wireYear       = 13
	wireVarchar    = 15
	wireBit        = 16
	wireTimestamp2 = 17
	wireDateTime2  = 18
	wireTime2      = 19
	wireJSON       = 245
	wireDecimal    = 246
	wireEnum       = 247
	wireSet        = 248
	wireBlob       = 252
	wireString     = 254
)

// wireType returns the type byte and the metadata of c in a table map.
func (c *Column) wireType() (typ byte, meta []byte) {
	switch c.Kind {
	case TinyInt:
		return wireTiny, nil
	case SmallInt:
		return wireShort, nil
	case MediumInt:
		return wireInt24, nil
	case Int:
		return wireLong, nil
	case BigInt:
		return wireLongLong, nil
	case Float:
		return wireFloat, []byte{4}
	case Double:
		return wireDouble, []byte{8}
	case Decimal:
		return wireDecimal, []byte{byte(c.Precision), byte(c.Scale)}
	case Varchar, Varbinary:
		return wireVarchar, binary.LittleEndian.AppendUint16(nil, uint16(c.maxBytes()))
	case Char, Binary:
		// Lengths above 255 put their two high bits, inverted, in the type.
		n := c.maxBytes()
		return wireString, []byte{wireString ^ byte(n&0x300>>4), byte(n)}
	case Text, Blob:
		return wireBlob, []byte{byte(c.lengthBytes())}
	case Enum:
		return wireString, []byte{wireEnum, byte(c.memberBytes())}
	case Set:
		return wireString, []byte{wireSet, byte(c.memberBytes())}
	case Date:
		return wireDate, nil
	case Year:
		return wireYear, nil
	case Time:
		return wireTime2, []byte{byte(c.Scale)}
	case DateTime:
		return wireDateTime2, []byte{byte(c.Scale)}
	case Timestamp:
		return wireTimestamp2, []byte{byte(c.Scale)}
	case Bit:
		return wireBit, []byte{byte(c.Length % 8), byte(c.Length / 8)}
	}
	return wireJSON, []byte{4}
}

// memberBytes is the width of an ENUM's index or a SET's bits.
func (c *Column) memberBytes() int {
	n := len(c.Members)
	if c.Kind == Enum {
		if n > 255 {
			return 2
		}
		return 1
	}
	switch bytes := (n + 7) / 8; {
	case bytes > 4:
		return 8
	default:
		return bytes
	}
}

// The fields of a table map's optional metadata, as binlog_row_metadata=FULL
// writes them.
const (
	metaSignedness     = 1
	metaDefaultCharset = 2
	metaColumnNames    = 4
	metaSetMembers     = 5
	metaEnumMembers    = 6
	metaPrimaryKey     = 8
	metaEnumSetCharset = 10
	metaVisibility     = 12
)

// TableMap returns the body of the event that describes t to the row events
// after it. Without full metadata it carries what binlog_row_metadata=MINIMAL
// does: signedness and character sets only.
func (t *Table) TableMap(id uint64, full bool) []byte {
	b := appendUint(nil, id, 6)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = append(b, byte(len(t.Database)))
	b = append(append(b, t.Database...), 0)
	b = append(b, byte(len(t.Name)))
	b = append(append(b, t.Name...), 0)
	b = appendLength(b, uint64(len(t.Columns)))
	var metas []byte
	for i := range t.Columns {
		typ, meta := t.Columns[i].wireType()
		b = append(b, typ)
		metas = append(metas, meta...)
	}
	b = appendLength(b, uint64(len(metas)))
	b = append(b, metas...)
	nulls := make([]byte, (len(t.Columns)+7)/8)
	for i := range t.Columns {
		if t.Columns[i].Nullable {
			nulls[i/8] |= 1 << (i % 8)
		}
	}
	b = append(b, nulls...)
	b = appendField(b, metaSignedness, t.signedness())
	b = appendField(b, metaDefaultCharset, t.charsets(func(c *Column) bool { return c.isText() || c.isBytes() }))
	if !full {
		return b
	}
	return t.appendFullMetadata(b)
}

func (t *Table) appendFullMetadata(b []byte) []byte {
	var names, sets, enums, key []byte
	for i := range t.Columns {
		c := &t.Columns[i]
		names = append(append(names, byte(len(c.Name))), c.Name...)
		switch c.Kind {
		case Set:
			sets = appendMembers(sets, c.Members)
		case Enum:
			enums = appendMembers(enums, c.Members)
		}
	}
	for _, k := range t.PrimaryKey {
		key = appendLength(key, uint64(k))
	}
	b = appendField(b, metaColumnNames, names)
	b = appendField(b, metaSetMembers, sets)
	b = appendField(b, metaEnumMembers, enums)
	b = appendField(b, metaPrimaryKey, key)
	b = appendField(b, metaEnumSetCharset, t.charsets(func(c *Column) bool { return c.Kind == Enum || c.Kind == Set }))
	visible := make([]byte, (len(t.Columns)+7)/8)
	for i := range t.Columns {
		visible[i/8] |= 0x80 >> (i % 8)
	}
	return appendField(b, metaVisibility, visible)
}

// appendField appends one type-length-value triple, nothing for no value.
func appendField(b []byte, field byte, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	b = appendLength(append(b, field), uint64(len(value)))
	return append(b, value...)
}

func appendMembers(b []byte, members []string) []byte {
	b = appendLength(b, uint64(len(members)))
	for _, m := range members {
		b = append(appendLength(b, uint64(len(m))), m...)
	}
	return b
}

// signedness has one bit per numeric column, the first one highest, set when
// the column is unsigned.
func (t *Table) signedness() []byte {
	var bits []byte
	n := 0
	for i := range t.Columns {
		c := &t.Columns[i]
		if !c.isNumeric() {
			continue
		}
		if n%8 == 0 {
			bits = append(bits, 0)
		}
		if c.Unsigned {
			bits[n/8] |= 0x80 >> (n % 8)
		}
		n++
	}
	return bits
}

// charsets lists the commonest collation of the columns that of selects, then
// a pair (index among those columns, collation) for each that differs.
func (t *Table) charsets(of func(*Column) bool) []byte {
	count := map[int]int{}
	best := 0
	for i := range t.Columns {
		if c := &t.Columns[i]; of(c) {
			count[c.Collation]++
			if best == 0 || count[c.Collation] > count[best] {
				best = c.Collation
			}
		}
	}
	if best == 0 {
		return nil
	}
	b := appendLength(nil, uint64(best))
	n := 0
	for i := range t.Columns {
		c := &t.Columns[i]
		if !of(c) {
			continue
		}
		if c.Collation != best {
			b = appendLength(appendLength(b, uint64(n)), uint64(c.Collation))
		}
		n++
	}
	return b
}
