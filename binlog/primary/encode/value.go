package encode

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Encode checks a row, returns it in canonical form and appends its image (NULL
// bitmap, then the values) to image. row itself is left alone.
func (t *Table) Encode(row Row, image []byte) (Row, []byte, error) {
	if len(row) != len(t.Columns) {
		return nil, nil, fmt.Errorf("encode row of %s.%s: %d values for %d columns", t.Database, t.Name, len(row), len(t.Columns))
	}
	out := make(Row, len(row))
	bitmap := len(image)
	for range (len(row) + 7) / 8 {
		image = append(image, 0)
	}
	for i, v := range row {
		c := &t.Columns[i]
		if v == nil {
			if !c.Nullable {
				return nil, nil, fmt.Errorf("encode row of %s.%s: column %s is NULL but not nullable", t.Database, t.Name, c.Name)
			}
			image[bitmap+i/8] |= 1 << (i % 8)
			continue
		}
		var err error
		if out[i], image, err = c.encode(v, image); err != nil {
			return nil, nil, fmt.Errorf("encode row of %s.%s: column %s: %w", t.Database, t.Name, c.Name, err)
		}
	}
	return out, image, nil
}

// encode returns v in canonical form and appends its bytes.
func (c *Column) encode(v any, dst []byte) (any, []byte, error) {
	switch c.Kind {
	case TinyInt, SmallInt, MediumInt, Int, BigInt:
		return c.encodeInt(v, dst)
	case Float, Double:
		return c.encodeFloat(v, dst)
	case Decimal:
		return c.encodeDecimal(v, dst)
	case Char, Varchar, Text:
		return c.encodeText(v, dst)
	case Binary, Varbinary, Blob:
		return c.encodeBytes(v, dst)
	case Enum, Set:
		return c.encodeMembers(v, dst)
	case Year, Bit:
		return c.encodeSmallNumber(v, dst)
	case JSON:
		if b, ok := v.([]byte); ok {
			return b, append(appendUint(dst, uint64(len(b)), 4), b...), nil
		}
		s, ok := v.(string)
		if !ok {
			return nil, nil, typeError(v, "a string")
		}
		text, dst, err := appendJSONColumn(dst, s)
		return text, dst, err
	}
	return c.encodeTemporal(v, dst)
}

// typeError names the Go type, never the value.
func typeError(v any, want string) error { return fmt.Errorf("got %T, want %s", v, want) }

// integer takes any Go integer apart into sign and magnitude.
func integer(v any) (neg bool, mag uint64, ok bool) {
	var i int64
	switch x := v.(type) {
	case int:
		i = int64(x)
	case int64:
		i = x
	case int32:
		i = int64(x)
	case int16:
		i = int64(x)
	case int8:
		i = int64(x)
	case uint64:
		return false, x, true
	case uint32:
		return false, uint64(x), true
	case uint16:
		return false, uint64(x), true
	case uint8:
		return false, uint64(x), true
	case uint:
		return false, uint64(x), true
	case bool:
		if x {
			i = 1
		}
	default:
		return false, 0, false
	}
	if i < 0 {
		return true, uint64(-i), true
	}
	return false, uint64(i), true
}

func (c *Column) encodeInt(v any, dst []byte) (any, []byte, error) {
	neg, mag, ok := integer(v)
	if !ok {
		return nil, nil, typeError(v, "an integer")
	}
	n := c.intBytes()
	limit := uint64(1)<<(8*n-1) - 1 // the largest positive value
	switch {
	case c.Unsigned:
		limit = limit<<1 | 1
		if neg {
			limit = 0
		}
	case neg:
		limit++
	}
	if mag > limit {
		return nil, nil, fmt.Errorf("value out of range for %s", c.ColumnType())
	}
	if c.Unsigned {
		return mag, appendUint(dst, mag, n), nil
	}
	i := int64(mag)
	if neg {
		i = -i
	}
	return i, appendUint(dst, uint64(i), n), nil
}

func (c *Column) encodeFloat(v any, dst []byte) (any, []byte, error) {
	var f float64
	switch x := v.(type) {
	case float64:
		f = x
	case float32:
		f = float64(x)
	default:
		neg, mag, ok := integer(v)
		if !ok {
			return nil, nil, typeError(v, "a number")
		}
		if f = float64(mag); neg {
			f = -f
		}
	}
	if math.IsNaN(f) || math.IsInf(f, 0) || c.Unsigned && f < 0 {
		return nil, nil, fmt.Errorf("value out of range for %s", c.ColumnType())
	}
	if c.Kind == Float {
		narrow := float32(f)
		return float64(narrow), appendUint(dst, uint64(math.Float32bits(narrow)), 4), nil
	}
	return f, appendUint(dst, math.Float64bits(f), 8), nil
}

func (c *Column) encodeText(v any, dst []byte) (any, []byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, nil, typeError(v, "a string")
	}
	if !utf8.ValidString(s) {
		return nil, nil, errors.New("text is not UTF-8")
	}
	if c.Kind == Char {
		s = strings.TrimRight(s, " ") // MySQL strips the padding on the way in
	}
	if c.Kind != Text && utf8.RuneCountInString(s) > c.Length || len(s) > c.maxBytes() {
		return nil, nil, fmt.Errorf("text of %d bytes is too long for %s", len(s), c.ColumnType())
	}
	return s, append(appendUint(dst, uint64(len(s)), c.prefixBytes()), s...), nil
}

func (c *Column) encodeBytes(v any, dst []byte) (any, []byte, error) {
	var b []byte
	switch x := v.(type) {
	case []byte:
		b = x
	case string:
		b = []byte(x)
	default:
		return nil, nil, typeError(v, "bytes")
	}
	if len(b) > c.maxBytes() {
		return nil, nil, fmt.Errorf("%d bytes are too long for %s", len(b), c.ColumnType())
	}
	if c.Kind != Binary {
		return append([]byte(nil), b...), append(appendUint(dst, uint64(len(b)), c.prefixBytes()), b...), nil
	}
	// BINARY(n) is padded with zeros in the table and stripped of them in the log.
	padded := make([]byte, c.Length)
	copy(padded, b)
	stripped := len(padded)
	for stripped > 0 && padded[stripped-1] == 0 {
		stripped--
	}
	return padded, append(appendUint(dst, uint64(stripped), 1), padded[:stripped]...), nil
}

// prefixBytes is the width of the length before a string value.
func (c *Column) prefixBytes() int {
	switch c.Kind {
	case Text, Blob:
		return c.lengthBytes()
	}
	if c.maxBytes() > 255 {
		return 2
	}
	return 1
}

func (c *Column) encodeMembers(v any, dst []byte) (any, []byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, nil, typeError(v, "a string")
	}
	if c.Kind == Enum {
		for i, m := range c.Members {
			if m == s {
				return m, appendUint(dst, uint64(i+1), c.memberBytes()), nil
			}
		}
		if s == "" { // the invalid value, index 0
			return s, appendUint(dst, 0, c.memberBytes()), nil
		}
		return nil, nil, fmt.Errorf("value is no member of %s", c.ColumnType())
	}
	var bits uint64
	for part := range strings.SplitSeq(s, ",") {
		found := part == ""
		for i, m := range c.Members {
			if m == part {
				bits, found = bits|1<<i, true
			}
		}
		if !found {
			return nil, nil, fmt.Errorf("value has no member of %s", c.ColumnType())
		}
	}
	var members []string
	for i, m := range c.Members {
		if bits>>i&1 == 1 {
			members = append(members, m)
		}
	}
	return strings.Join(members, ","), appendUint(dst, bits, c.memberBytes()), nil
}

func (c *Column) encodeSmallNumber(v any, dst []byte) (any, []byte, error) {
	neg, mag, ok := integer(v)
	if !ok {
		return nil, nil, typeError(v, "an integer")
	}
	if c.Kind == Year {
		if neg || mag != 0 && (mag < 1901 || mag > 2155) {
			return nil, nil, errors.New("value out of range for year")
		}
		b := byte(0)
		if mag != 0 {
			b = byte(mag - 1900)
		}
		return int64(mag), append(dst, b), nil
	}
	if neg || c.Length < 64 && mag>>c.Length != 0 {
		return nil, nil, fmt.Errorf("value out of range for %s", c.ColumnType())
	}
	return mag, appendUintBig(dst, mag, (c.Length+7)/8), nil
}

// Text returns a canonical value as a SELECT prints it; the second result is
// false for NULL.
func (c *Column) Text(v any) (string, bool) {
	switch x := v.(type) {
	case nil:
		return "", false
	case string:
		return x, true
	case []byte:
		return string(x), true
	case int64:
		if c.Kind == Year {
			return fmt.Sprintf("%04d", x), true
		}
		return strconv.FormatInt(x, 10), true
	case uint64:
		if c.Kind == Bit {
			return string(appendUintBig(nil, x, (c.Length+7)/8)), true
		}
		return strconv.FormatUint(x, 10), true
	case float64:
		if c.Kind == Float {
			return FormatFloat(x, 32), true
		}
		return FormatFloat(x, 64), true
	case time.Time:
		return x.UTC().Format("2006-01-02 15:04:05.000000"), true
	}
	return fmt.Sprint(v), true
}

// FormatFloat prints f as MySQL does: the shortest text, with an exponent only
// for very large and very small values. Of a FLOAT (32 bits) MySQL shows six
// digits, though it stores more.
func FormatFloat(f float64, bits int) string {
	if bits == 32 {
		if rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 6, 64), 64); err == nil {
			f = rounded
		}
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-5 || abs >= 1e15) {
		format = 'e'
	}
	s := strconv.FormatFloat(f, format, -1, 64)
	s = strings.Replace(s, "e+0", "e", 1)
	s = strings.Replace(s, "e-0", "e-", 1)
	return strings.Replace(s, "e+", "e", 1)
}
