package primary

import (
	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/minisql"
)

// resultWriter writes a result set to the connection, row by row: the columns
// go out with the first row, because an expression's type is its value's.
type resultWriter struct {
	packets
	se     *session
	rel    minisql.Relation
	binary bool
	cols   []minisql.Column
	source []*encode.Column // nil for an expression
	begun  bool
	row    []byte
}

var _ minisql.Sink = (*resultWriter)(nil)

// Columns notes the columns.
func (w *resultWriter) Columns(cols []minisql.Column) error {
	w.cols = cols
	w.source = make([]*encode.Column, len(cols))
	if t, ok := w.rel.(*tableRelation); ok {
		for i, c := range cols {
			if c.Source >= 0 {
				w.source[i] = &t.v.def.Columns[c.Source]
			}
		}
	}
	return nil
}

// Row writes a row.
func (w *resultWriter) Row(row []any) error {
	if !w.begun {
		w.begin(row)
	}
	b := w.row[:0]
	if w.binary {
		b = append(b, make([]byte, 1+(len(row)+9)/8)...)
	}
	for i, v := range row {
		switch {
		case v != nil && w.source[i] != nil:
			text, _ := w.source[i].Text(v)
			b = appendText(b, text)
		case v != nil:
			b = appendText(b, minisql.Text(v))
		case w.binary:
			b[1+(i+2)/8] |= 1 << ((i + 2) % 8)
		default:
			b = append(b, 0xfb)
		}
	}
	w.row = b
	w.payload(b)
	if len(w.out) >= flushBytes {
		return w.flush()
	}
	return nil
}

func appendText(b []byte, s string) []byte {
	return append(append(b, mysql.PutLengthEncodedInt(uint64(len(s)))...), s...)
}

// begin writes the columns.
func (w *resultWriter) begin(row []any) {
	w.begun = true
	w.payload(mysql.PutLengthEncodedInt(uint64(len(w.cols))))
	for i, c := range w.cols {
		f := &mysql.Field{Name: []byte(c.Name), OrgName: []byte(c.Name), Charset: encode.CollationUTF8, ColumnLength: 1 << 16}
		f.Type = mysql.MYSQL_TYPE_VAR_STRING
		var v any
		if row != nil {
			v = row[i]
		}
		describe(f, w.source[i], v)
		if w.binary { // in that protocol every value is sent as text
			f.Type = mysql.MYSQL_TYPE_VAR_STRING
		}
		w.payload(f.Dump())
	}
	w.payload([]byte{mysql.EOF_HEADER, 0, 0, 2, 0})
}

// describe fills in the type of a column, or of a value.
func describe(f *mysql.Field, c *encode.Column, v any) {
	if c != nil {
		f.Type = columnFieldType(c)
		if c.Unsigned {
			f.Flag |= mysql.UNSIGNED_FLAG
		}
		if !c.Nullable {
			f.Flag |= mysql.NOT_NULL_FLAG
		}
		f.Decimal = uint8(c.Scale)
		switch c.Kind {
		case encode.Binary, encode.Varbinary, encode.Blob, encode.Bit:
			f.Charset, f.Flag = encode.CollationBinary, f.Flag|mysql.BINARY_FLAG
		case encode.Enum:
			f.Flag |= mysql.ENUM_FLAG
		case encode.Set:
			f.Flag |= mysql.SET_FLAG
		}
		return
	}
	switch v.(type) {
	case int64:
		f.Type = mysql.MYSQL_TYPE_LONGLONG
	case uint64:
		f.Type, f.Flag = mysql.MYSQL_TYPE_LONGLONG, mysql.UNSIGNED_FLAG
	case float64:
		f.Type = mysql.MYSQL_TYPE_DOUBLE
	case minisql.Decimal:
		f.Type = mysql.MYSQL_TYPE_NEWDECIMAL
	case []byte:
		f.Charset, f.Flag = encode.CollationBinary, mysql.BINARY_FLAG
	}
}

// columnFieldType is a column's type in a result set.
func columnFieldType(c *encode.Column) byte {
	switch c.Kind {
	case encode.TinyInt:
		return mysql.MYSQL_TYPE_TINY
	case encode.SmallInt:
		return mysql.MYSQL_TYPE_SHORT
	case encode.MediumInt:
		return mysql.MYSQL_TYPE_INT24
	case encode.Int:
		return mysql.MYSQL_TYPE_LONG
	case encode.BigInt:
		return mysql.MYSQL_TYPE_LONGLONG
	case encode.Float:
		return mysql.MYSQL_TYPE_FLOAT
	case encode.Double:
		return mysql.MYSQL_TYPE_DOUBLE
	case encode.Decimal:
		return mysql.MYSQL_TYPE_NEWDECIMAL
	case encode.Date:
		return mysql.MYSQL_TYPE_DATE
	case encode.Time:
		return mysql.MYSQL_TYPE_TIME
	case encode.DateTime:
		return mysql.MYSQL_TYPE_DATETIME
	case encode.Timestamp:
		return mysql.MYSQL_TYPE_TIMESTAMP
	case encode.Year:
		return mysql.MYSQL_TYPE_YEAR
	case encode.Bit:
		return mysql.MYSQL_TYPE_BIT
	case encode.JSON:
		return mysql.MYSQL_TYPE_JSON
	case encode.Text, encode.Blob:
		return mysql.MYSQL_TYPE_BLOB
	case encode.Char, encode.Binary, encode.Enum, encode.Set:
		return mysql.MYSQL_TYPE_STRING
	}
	return mysql.MYSQL_TYPE_VAR_STRING
}

// finish writes what is left, and the columns of an empty result.
func (w *resultWriter) finish() error {
	if !w.begun {
		w.begin(nil)
	}
	return w.flush()
}

func (w *resultWriter) flush() error {
	_, err := w.se.net.Write(w.out)
	w.reset()
	return err
}
