package binlog

import (
	"errors"
	"fmt"

	"tailwater/change"
)

// Column types as TABLE_MAP carries them (enum_field_types of the protocol).
// ENUM and SET travel inside wireString.
const (
	wireTiny              = 1
	wireShort             = 2
	wireLong              = 3
	wireFloat             = 4
	wireDouble            = 5
	wireTimestamp         = 7
	wireLongLong          = 8
	wireInt24             = 9
	wireDate              = 10
	wireTime              = 11
	wireDateTime          = 12
	wireYear              = 13
	wireNewDate           = 14
	wireVarchar           = 15
	wireBit               = 16
	wireTimestamp2        = 17
	wireDateTime2         = 18
	wireTime2             = 19
	wireBlobCompressed    = 140
	wireVarcharCompressed = 141
	wireVector            = 242
	wireJSON              = 245
	wireNewDecimal        = 246
	wireEnum              = 247
	wireSet               = 248
	wireBlob              = 252
	wireString            = 254
	wireGeometry          = 255
)

var (
	// errUnknownType means that a column's length cannot be known, so that not
	// even the columns behind it can be read.
	errUnknownType = errors.New("column type is unknown")
	// errOldTemporal means the same: MariaDB logs a fraction of a second with
	// these types, and not its precision.
	errOldTemporal = errors.New("the column has a temporal type from before MySQL 5.6, whose length is not logged: set mysql56_temporal_format=ON and rebuild the table with ALTER TABLE … FORCE")
)

// appendFunc appends the JSON text of cell, the bytes of one value of c, to
// dst. On an error the caller ignores what was appended.
type appendFunc func(c *column, dst, cell []byte) ([]byte, error)

// column is the plan of one physical column: how long its cells are, and how
// they become JSON.
type column struct {
	change.Column
	wire byte
	// size is the length of every cell, or 0 when prefix bytes before the cell
	// say its length.
	size   int
	prefix int
	append appendFunc
	// refused, when set, is why append fails on every cell.
	refused error
	// slot is the column's index in change.Table and in an image's cells.
	// Columns that the server hides stand behind all others.
	slot   int
	hidden bool

	unsigned bool
	// collation is the id that the server logged for a character, ENUM or SET
	// column.
	collation uint64
	decode    decodeFunc
	// members are the JSON texts of an ENUM's members, or those of a SET's
	// without the quotes.
	members [][]byte
	// rawMembers are the bytes of the members, where some are not valid in the
	// character set: of an ENUM those have no text in members, of a SET a bit in
	// invalid.
	rawMembers [][]byte
	invalid    uint64
	decimal    decimalShape
}

// metaSize returns how many bytes of type metadata a column type has.
func metaSize(wire byte) (int, error) {
	switch wire {
	case wireTiny, wireShort, wireLong, wireLongLong, wireInt24, wireDate, wireNewDate, wireYear:
		return 0, nil
	case wireTimestamp, wireTime, wireDateTime:
		return 0, errOldTemporal
	case wireFloat, wireDouble, wireBlob, wireBlobCompressed, wireJSON, wireGeometry, wireVector,
		wireTimestamp2, wireDateTime2, wireTime2:
		return 1, nil
	case wireVarchar, wireVarcharCompressed, wireBit, wireNewDecimal, wireString:
		return 2, nil
	}
	return 0, fmt.Errorf("%w: %d", errUnknownType, wire)
}

// newColumn reads the type and its metadata: enough to walk over the cells.
func newColumn(wire byte, meta []byte) (column, error) {
	c := column{wire: wire, size: plainSize(wire)}
	switch wire {
	case wireTiny, wireYear, wireShort, wireInt24, wireDate, wireNewDate, wireLong, wireLongLong:
	case wireFloat:
		err := c.fixed(meta[0], 4)
		return c, err
	case wireDouble:
		err := c.fixed(meta[0], 8)
		return c, err
	case wireTimestamp2:
		err := c.fractional(meta[0], 4)
		return c, err
	case wireDateTime2:
		err := c.fractional(meta[0], 5)
		return c, err
	case wireTime2:
		err := c.fractional(meta[0], 3)
		return c, err
	case wireBit:
		c.Bits = int(meta[1])*8 + int(meta[0])
		if c.size = (c.Bits + 7) / 8; c.Bits < 1 || c.Bits > 64 || meta[0] > 7 {
			return c, fmt.Errorf("a bit column has %d bits, want 1 to 64", c.Bits)
		}
	case wireNewDecimal:
		c.Precision, c.Scale = int(meta[0]), int(meta[1])
		if c.Precision < 1 || c.Precision > 65 || c.Scale > 38 || c.Scale > c.Precision {
			return c, fmt.Errorf("decimal(%d,%d) does not exist", c.Precision, c.Scale)
		}
		c.decimal = shapeDecimal(c.Precision, c.Scale)
		c.size = c.decimal.size
	case wireString:
		return newStringColumn(c, meta)
	case wireVarchar, wireVarcharCompressed:
		c.Length = int(meta[0]) | int(meta[1])<<8
		c.prefix = prefixSize(c.Length)
	default: // the BLOB family
		if c.prefix = int(meta[0]); c.prefix < 1 || c.prefix > 4 {
			return c, fmt.Errorf("a blob's length takes %d bytes, want 1 to 4", c.prefix)
		}
		c.Length = 1<<(8*c.prefix) - 1
	}
	return c, nil
}

// plainSize is the size of the types that have no metadata.
func plainSize(wire byte) int {
	switch wire {
	case wireTiny, wireYear:
		return 1
	case wireShort:
		return 2
	case wireInt24, wireDate, wireNewDate:
		return 3
	case wireLong:
		return 4
	case wireLongLong:
		return 8
	}
	return 0
}

// fixed sets the size that the metadata of a floating point number states.
func (c *column) fixed(got byte, want int) error {
	if c.size = int(got); c.size != want {
		return fmt.Errorf("a floating point number has %d bytes, want %d", got, want)
	}
	return nil
}

// fractional sets the size of a temporal column with digits behind the second:
// a byte more for every two.
func (c *column) fractional(digits byte, base int) error {
	if digits > 6 {
		return fmt.Errorf("a temporal column has %d fractional digits, at most 6 exist", digits)
	}
	c.Scale = int(digits)
	c.size = base + (c.Scale+1)/2
	return nil
}

// newStringColumn reads the metadata of CHAR, BINARY, ENUM and SET. The first
// byte is the real type, the second the length; bits 4 and 5 of the first are
// bits 8 and 9 of a length above 255, inverted.
func newStringColumn(c column, meta []byte) (column, error) {
	kind, length := meta[0], int(meta[1])
	if kind&0x30 != 0x30 {
		length |= int(kind&0x30^0x30) << 4
		kind |= 0x30
	}
	switch kind {
	case wireString:
		c.Length = length
		c.prefix = prefixSize(length)
	case wireEnum:
		c.wire, c.size = wireEnum, length
		if length != 1 && length != 2 {
			return c, fmt.Errorf("an enum has %d bytes, want 1 or 2", length)
		}
	case wireSet:
		c.wire, c.size = wireSet, length
		if length < 1 || length > 8 {
			return c, fmt.Errorf("a set has %d bytes, want 1 to 8", length)
		}
	default:
		return c, fmt.Errorf("%w: %d inside a string", errUnknownType, kind)
	}
	return c, nil
}

// prefixSize is the size of a string's length prefix.
func prefixSize(length int) int {
	if length > 255 {
		return 2
	}
	return 1
}

// isNumeric reports whether the column has a bit in the signedness metadata.
// YEAR has one, though it has no sign.
func (c *column) isNumeric() bool {
	switch c.wire {
	case wireTiny, wireShort, wireInt24, wireLong, wireLongLong, wireNewDecimal, wireFloat, wireDouble, wireYear:
		return true
	}
	return false
}

// isCharacter reports whether the column has a collation in the charset
// metadata. Binary strings have one, 63, and so have the vectors of MySQL: who
// does not count them gives the columns behind them another's.
func (c *column) isCharacter() bool {
	switch c.wire {
	case wireVarchar, wireString, wireBlob, wireVarcharCompressed, wireBlobCompressed, wireVector:
		return true
	}
	return false
}

// isCollatedOnMariaDB is isCharacter for MariaDB, where GEOMETRY has the
// collation of binary strings too.
func (c *column) isCollatedOnMariaDB() bool { return c.isCharacter() || c.isGeometry() }

func (c *column) isEnum() bool      { return c.wire == wireEnum }
func (c *column) isSet() bool       { return c.wire == wireSet }
func (c *column) isEnumOrSet() bool { return c.isEnum() || c.isSet() }
func (c *column) isGeometry() bool  { return c.wire == wireGeometry }
func (c *column) isVector() bool    { return c.wire == wireVector }

// compile chooses the logical type and the append function once the optional
// metadata is known.
func (c *column) compile() {
	switch c.wire {
	case wireTiny, wireShort, wireInt24, wireLong, wireLongLong:
		c.compileInt()
	case wireYear:
		c.Type, c.append = change.Year, appendYear
	case wireFloat:
		c.Type, c.append = change.Float, appendFloat
	case wireDouble:
		c.Type, c.append = change.Double, appendDouble
	case wireNewDecimal:
		c.Type, c.append = change.Decimal, appendDecimalCell
	case wireBit:
		c.Type, c.append = change.Bit, appendBit
	case wireDate, wireNewDate:
		c.Type, c.append = change.Date, appendDate
	case wireTimestamp2:
		c.Type, c.append = change.Timestamp, appendTimestamp
	case wireDateTime2:
		c.Type, c.append = change.DateTime, appendDateTime
	case wireTime2:
		c.Type, c.append = change.Time, appendTime
	case wireEnum:
		c.Type = change.Enum
		c.render(appendEnum)
	case wireSet:
		c.Type = change.Set
		c.render(appendSet)
	case wireJSON:
		c.Type, c.Length, c.append = change.JSON, 0, appendJSONCell
	case wireGeometry:
		c.Type, c.Length, c.append = change.Geometry, 0, appendGeometry
	case wireVector:
		c.Type, c.append = change.Vector, appendVector
	case wireVarchar, wireString, wireBlob:
		c.compileString()
	case wireVarcharCompressed, wireBlobCompressed:
		c.Type = change.Bytes
		c.refuse(errors.New("a COMPRESSED column of MariaDB cannot be read: ALTER TABLE … MODIFY it without COMPRESSED, or leave it out of the view"))
	}
}

// refuse makes every rendering of the column fail. Its cells can still be
// walked over, so that a view which leaves it out works.
func (c *column) refuse(err error) {
	c.refused = err
	c.append = func(c *column, dst, _ []byte) ([]byte, error) { return dst, c.refused }
}

// render sets the append function of a column that is not refused.
func (c *column) render(f appendFunc) {
	if c.refused == nil {
		c.append = f
	}
}

func (c *column) compileInt() {
	c.Bits = c.size * 8
	if c.unsigned {
		c.Type, c.append = change.Uint, appendUint
	} else {
		c.Type, c.append = change.Int, appendInt
	}
}

func (c *column) compileString() {
	charset := collationCharset(c.collation)
	c.Native = c.nativeString(charset == "binary")
	if charset == "binary" {
		c.Type, c.append = change.Bytes, appendBytes
		if c.wire == wireString {
			c.append = appendBinary
		}
		return
	}
	c.Type, c.Charset = change.Text, charset
	c.useCharset(appendText, appendDecoded)
}

// nativeString is the server's name of a string's type: the BLOB family by the
// bytes that say a length.
func (c *column) nativeString(binary bool) string {
	name := "char"
	if binary {
		name = "binary"
	}
	switch c.wire {
	case wireString:
		return name
	case wireVarchar:
		return "var" + name
	}
	name = "text"
	if binary {
		name = "blob"
	}
	return [...]string{"", "tiny", "", "medium", "long"}[c.prefix] + name
}

// useCharset sets the append function of text in c.Charset: plain where the
// bytes are UTF-8 already, decoded where they must be converted.
func (c *column) useCharset(plain, decoded appendFunc) {
	if c.Charset == "" {
		c.refuse(fmt.Errorf("collation %d is unknown, so its character set is too: leave the column out of the view, or ALTER its character set to utf8mb4", c.collation))
		return
	}
	decode, ok := charsetDecoder(c.Charset)
	switch {
	case !ok:
		c.refuse(fmt.Errorf("character set %s is not supported: leave the column out of the view, or ALTER its character set to utf8mb4", c.Charset))
	case decode == nil:
		c.append = plain
	default:
		c.decode, c.append = decode, decoded
	}
}
