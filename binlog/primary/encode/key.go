package encode

import (
	"fmt"
	"math"
)

// AppendKey appends the primary key of a canonical row to dst, in a form whose
// byte order is the order of the key: numbers by value, strings by their bytes
// (as utf8mb4_bin and binary order them; declare such keys so).
func (t *Table) AppendKey(dst []byte, row Row) []byte {
	for _, i := range t.PrimaryKey {
		dst = t.Columns[i].appendKey(dst, row[i])
	}
	return dst
}

func (c *Column) appendKey(dst []byte, v any) []byte {
	switch x := v.(type) {
	case int64:
		return appendUintBig(dst, uint64(x)^1<<63, 8)
	case uint64:
		return appendUintBig(dst, x, 8)
	case float64:
		bits := math.Float64bits(x)
		if x < 0 {
			bits = ^bits
		} else {
			bits ^= 1 << 63
		}
		return appendUintBig(dst, bits, 8)
	case []byte:
		return appendKeyString(dst, string(x))
	case string:
		switch c.Kind {
		case Enum:
			for i, m := range c.Members {
				if m == x {
					return appendUintBig(dst, uint64(i+1), 2)
				}
			}
			return append(dst, 0, 0)
		case Decimal:
			return c.appendDecimalKey(dst, x)
		}
		return appendKeyString(dst, x)
	}
	return dst
}

// appendDecimalKey uses that the packed form already sorts by value.
func (c *Column) appendDecimalKey(dst []byte, text string) []byte {
	_, out, err := c.encodeDecimal(text, dst)
	if err != nil {
		panic("encode: canonical decimal does not fit its column: " + err.Error())
	}
	return out
}

// appendKeyString escapes zero bytes and ends with two of them, so that a
// prefix sorts first and what follows cannot reach into it.
func appendKeyString(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == 0 {
			dst = append(dst, 0, 0xff)
		} else {
			dst = append(dst, s[i])
		}
	}
	return append(dst, 0, 0)
}

// EncodeKey appends the key whose columns have the given values, in key order.
// The values need not be canonical.
func (t *Table) EncodeKey(dst []byte, values []any) ([]byte, error) {
	if len(values) != len(t.PrimaryKey) {
		return nil, fmt.Errorf("key of %s.%s: %d values for %d columns", t.Database, t.Name, len(values), len(t.PrimaryKey))
	}
	return t.EncodeKeyPrefix(dst, values)
}

// EncodeKeyPrefix is EncodeKey for the first columns of the key only: keys that
// begin with the result have these values there.
func (t *Table) EncodeKeyPrefix(dst []byte, values []any) ([]byte, error) {
	var scratch [64]byte
	for n, i := range t.PrimaryKey[:len(values)] {
		if values[n] == nil {
			return nil, fmt.Errorf("key of %s.%s: column %s is NULL", t.Database, t.Name, t.Columns[i].Name)
		}
		v, _, err := t.Columns[i].encode(values[n], scratch[:0])
		if err != nil {
			return nil, fmt.Errorf("key of %s.%s: column %s: %w", t.Database, t.Name, t.Columns[i].Name, err)
		}
		dst = t.Columns[i].appendKey(dst, v)
	}
	return dst, nil
}
