package verify

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"tailwater/change"
)

// table is a physical table as information_schema describes it.
type table struct {
	database, name string
	columns        []change.Column
	// key holds the indexes of the primary key's columns, in key order.
	key []int
}

// ordered reports whether the primary key can be walked in ranges: every column
// of it is compared with an argument exactly, and as it is sorted.
func (t *table) ordered() bool {
	for _, i := range t.key {
		switch t.columns[i].Type {
		case change.Int, change.Uint, change.Text, change.Bytes, change.Date, change.DateTime, change.Timestamp, change.Year:
			if t.columns[i].Type == change.Bytes && t.columns[i].Charset != "" {
				return false
			}
		default:
			return false
		}
	}
	return len(t.key) > 0
}

// systemSchemas hold no tables of users.
const systemSchemas = "'mysql', 'information_schema', 'performance_schema', 'sys'"

// readTables describes every table of a server for which wanted is true, in
// the order of their names.
func readTables(ctx context.Context, q querier, mariadb bool, wanted func(database, name string) bool) ([]*table, error) {
	rows, err := query(ctx, q, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.tables WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ("+systemSchemas+")")
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var out []*table
	for _, r := range rows {
		if !wanted(r[0].text, r[1].text) {
			continue
		}
		t := &table{database: r[0].text, name: r[1].text}
		if err := t.read(ctx, q); err != nil {
			return nil, fmt.Errorf("describe table %s.%s: %w", t.database, t.name, err)
		}
		for i := range t.columns {
			if c := &t.columns[i]; mariadb && c.Type == change.Vector {
				c.Type = change.Bytes // so it logs them
			}
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *table) int {
		return strings.Compare(a.database+"\x00"+a.name, b.database+"\x00"+b.name)
	})
	return out, nil
}

// read fills in columns and key.
func (t *table) read(ctx context.Context, q querier) error {
	where := " WHERE TABLE_SCHEMA = " + literal(t.database) + " AND TABLE_NAME = " + literal(t.name)
	rows, err := query(ctx, q, "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, CHARACTER_MAXIMUM_LENGTH, CHARACTER_SET_NAME FROM information_schema.columns"+where+" ORDER BY ORDINAL_POSITION")
	if err != nil {
		return err
	}
	for _, r := range rows {
		c, err := describe(r)
		if err != nil {
			return err
		}
		t.columns = append(t.columns, c)
	}
	rows, err = query(ctx, q, "SELECT COLUMN_NAME FROM information_schema.statistics"+where+" AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX")
	if err != nil {
		return err
	}
	for _, r := range rows {
		if i := t.index(r[0].text); i >= 0 {
			t.key = append(t.key, i)
		}
	}
	return nil
}

// index returns the place of a column, or -1.
func (t *table) index(name string) int {
	return slices.IndexFunc(t.columns, func(c change.Column) bool { return change.EqualFold(c.Name, name) })
}

// integerBits are the widths of MySQL's integers.
var integerBits = map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

// plainTypes are the types whose name says everything.
var plainTypes = map[string]change.Type{
	"float": change.Float, "double": change.Double, "decimal": change.Decimal, "date": change.Date, "datetime": change.DateTime,
	"timestamp": change.Timestamp, "time": change.Time, "year": change.Year, "bit": change.Bit, "enum": change.Enum, "set": change.Set,
	"json": change.JSON, "vector": change.Vector, "char": change.Text, "varchar": change.Text, "tinytext": change.Text, "text": change.Text,
	"mediumtext": change.Text, "longtext": change.Text, "binary": change.Bytes, "varbinary": change.Bytes, "tinyblob": change.Bytes,
	"blob": change.Bytes, "mediumblob": change.Bytes, "longblob": change.Bytes, "geometry": change.Geometry, "point": change.Geometry,
	"linestring": change.Geometry, "polygon": change.Geometry, "multipoint": change.Geometry, "multilinestring": change.Geometry,
	"multipolygon": change.Geometry, "geomcollection": change.Geometry, "geometrycollection": change.Geometry,
}

// nativeBytes are MariaDB's types that are bytes in the binary log and text to
// a client, and how the one is made of the other. A column has the name of its
// type in place of a character set.
var nativeBytes = map[string]func(text string) ([]byte, error){
	"uuid": func(text string) ([]byte, error) { return hex.DecodeString(strings.ReplaceAll(text, "-", "")) },
	"inet4": func(text string) ([]byte, error) {
		a, err := netip.ParseAddr(text)
		return a.AsSlice(), err
	},
	"inet6": func(text string) ([]byte, error) {
		a, err := netip.ParseAddr(text)
		b := a.As16()
		return b[:], err
	},
}

// describe makes a column of a row of information_schema.columns.
func describe(r []cell) (change.Column, error) {
	dataType, columnType := strings.ToLower(r[1].text), strings.ToLower(r[2].text)
	c := change.Column{Name: r[0].text, Nullable: r[3].text == "YES"}
	if bits, ok := integerBits[dataType]; ok {
		c.Type, c.Bits = change.Int, bits
		if strings.Contains(columnType, "unsigned") {
			c.Type = change.Uint
		}
		return c, nil
	}
	if _, ok := nativeBytes[dataType]; ok {
		c.Type, c.Charset = change.Bytes, dataType
		return c, nil
	}
	t, ok := plainTypes[dataType]
	if !ok {
		return c, fmt.Errorf("column %s has the type %s, which is not known here", c.Name, dataType)
	}
	c.Type = t
	switch t {
	case change.Decimal:
		c.Precision, c.Scale = number(r[4]), number(r[5])
	case change.Bit:
		c.Bits = number(r[4])
	case change.DateTime, change.Timestamp, change.Time:
		c.Scale = number(r[6])
	case change.Enum, change.Set:
		c.Members, c.Charset = members(r[2].text), r[8].text
	case change.Text, change.Bytes:
		c.Length, c.Charset = number(r[7]), r[8].text
	}
	return c, nil
}

func number(c cell) int {
	n := 0
	for _, d := range c.text {
		if d < '0' || d > '9' {
			return 0
		}
		if n = n*10 + int(d-'0'); n > 1<<32 {
			return 1 << 32
		}
	}
	return n
}

// members reads the members of enum('a','it”s').
func members(text string) []string {
	var out []string
	for {
		i := strings.IndexByte(text, '\'')
		if i < 0 {
			return out
		}
		var b strings.Builder
		for i++; i < len(text); i++ {
			if text[i] == '\'' {
				if i+1 >= len(text) || text[i+1] != '\'' {
					break
				}
				i++
			}
			b.WriteByte(text[i])
		}
		out = append(out, b.String())
		text = text[min(i+1, len(text)):]
	}
}

// literal quotes a name as a string of SQL; backslashes escape there.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}

// identifier quotes a name of SQL.
func identifier(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
