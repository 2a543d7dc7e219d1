package envelope

import (
	"strconv"
	"strings"

	"tailwater/change"
)

// The java.sql.Types that Canal gives to columns.
const (
	sqlBit       = -7
	sqlTinyint   = -6
	sqlBigint    = -5
	sqlChar      = 1
	sqlDecimal   = 3
	sqlInteger   = 4
	sqlSmallint  = 5
	sqlReal      = 7
	sqlDouble    = 8
	sqlVarchar   = 12
	sqlDate      = 91
	sqlTime      = 92
	sqlTimestamp = 93
	sqlBlob      = 2004
	sqlClob      = 2005
)

// sqlCode is the type of a column, and of an unsigned one the type of its
// values above limit.
type sqlCode struct {
	usual, above int
	limit        string
}

// codeOf returns Canal's code of a column.
func codeOf(c *change.Column) sqlCode {
	switch c.Type {
	case change.Int, change.Uint:
		code := integerCode(c.Bits)
		if c.Type == change.Int {
			code.above = 0
		}
		return code
	case change.Float:
		return sqlCode{usual: sqlReal}
	case change.Double:
		return sqlCode{usual: sqlDouble}
	case change.Decimal:
		return sqlCode{usual: sqlDecimal}
	case change.Bytes, change.Geometry, change.Vector:
		return sqlCode{usual: sqlBlob}
	case change.Date:
		return sqlCode{usual: sqlDate}
	case change.DateTime, change.Timestamp:
		return sqlCode{usual: sqlTimestamp}
	case change.Time:
		return sqlCode{usual: sqlTime}
	case change.Bit, change.Set:
		return sqlCode{usual: sqlBit}
	case change.Enum:
		return sqlCode{usual: sqlInteger}
	case change.Bool:
		return sqlCode{usual: sqlTinyint}
	case change.Text:
		switch {
		case c.Native == "char":
			return sqlCode{usual: sqlChar}
		case strings.HasSuffix(c.Native, "text"):
			return sqlCode{usual: sqlClob}
		}
	}
	return sqlCode{usual: sqlVarchar}
}

// integerCode is that of an unsigned integer of so many bits.
func integerCode(bits int) sqlCode {
	switch bits {
	case 8:
		return sqlCode{sqlTinyint, sqlSmallint, "127"}
	case 16:
		return sqlCode{sqlSmallint, sqlInteger, "32767"}
	case 24:
		return sqlCode{sqlInteger, sqlInteger, "8388607"}
	case 32:
		return sqlCode{sqlInteger, sqlBigint, "2147483647"}
	}
	return sqlCode{sqlBigint, sqlDecimal, "9223372036854775807"}
}

// beyond reports whether an unsigned number is above limit.
func beyond(cell []byte, limit string) bool {
	return !isNull(cell) && (len(cell) > len(limit) || len(cell) == len(limit) && string(cell) > limit)
}

// declared is a column's type as SHOW COLUMNS of MySQL 8 writes it, as far as
// the binlog tells: it logs no display widths and no ZEROFILL.
func declared(c *change.Column) string {
	arg := func(name string, n int) string { return name + "(" + strconv.Itoa(n) + ")" }
	switch c.Type {
	case change.Int:
		return integerName(c.Bits)
	case change.Uint:
		return integerName(c.Bits) + " unsigned"
	case change.Decimal:
		return arg("decimal", c.Precision)[:len("decimal(")+len(strconv.Itoa(c.Precision))] + "," + strconv.Itoa(c.Scale) + ")"
	case change.Bit:
		return arg("bit", c.Bits)
	case change.Bool:
		return "tinyint(1)"
	case change.DateTime, change.Timestamp, change.Time:
		if c.Scale > 0 {
			return arg(string(c.Type), c.Scale)
		}
	case change.Enum, change.Set:
		return string(c.Type) + "('" + strings.Join(doubled(c.Members), "','") + "')"
	case change.Text, change.Bytes:
		switch c.Native {
		case "char", "varchar", "binary", "varbinary":
			return arg(c.Native, c.Length/charBytes(c.Charset))
		case "":
			return textName(c)
		}
		return c.Native
	}
	return string(c.Type)
}

func integerName(bits int) string {
	switch bits {
	case 8:
		return "tinyint"
	case 16:
		return "smallint"
	case 24:
		return "mediumint"
	case 32:
		return "int"
	}
	return "bigint"
}

// textName is the type of a column that no table declares: an expression, a
// capture or a masked text.
func textName(c *change.Column) string {
	if c.Type == change.Bytes {
		return "blob"
	}
	if c.Length > 0 {
		return "varchar(" + strconv.Itoa(c.Length) + ")"
	}
	return "text"
}

// doubled doubles the quotes of members, as SQL does.
func doubled(members []string) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = strings.ReplaceAll(m, "'", "''")
	}
	return out
}

// charBytes is how many bytes a character of a set may take: lengths are logged
// in bytes and declared in characters.
func charBytes(charset string) int {
	switch charset {
	case "utf8mb4", "utf16", "utf16le", "utf32", "gb18030":
		return 4
	case "utf8", "utf8mb3", "ujis", "eucjpms":
		return 3
	case "ucs2", "big5", "gbk", "gb2312", "sjis", "cp932", "euckr":
		return 2
	}
	return 1
}
