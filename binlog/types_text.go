package binlog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

var (
	errMember      = errors.New("the value is no member of the column's ENUM or SET")
	errLong        = errors.New("the value is longer than the column")
	errGeometry    = errors.New("the geometry has no SRID: it is shorter than 4 bytes")
	errVectorBytes = errors.New("the vector's length is no multiple of 4 bytes")
)

// appendText appends text that is UTF-8 already.
func appendText(_ *column, dst, cell []byte) ([]byte, error) {
	dst = append(dst, '"')
	dst, ok := appendEscaped(dst, cell)
	if !ok {
		return dst, change.ErrInvalidText
	}
	return append(dst, '"'), nil
}

// appendDecoded appends text of another character set.
func appendDecoded(c *column, dst, cell []byte) ([]byte, error) {
	dst = append(dst, '"')
	dst, ok := c.decode(dst, cell)
	if !ok {
		return dst, change.ErrInvalidText
	}
	return append(dst, '"'), nil
}

// appendEscaped appends s as the inside of a JSON string: UTF-8, with quote,
// backslash and control characters escaped and nothing else. It reports false
// when s is not UTF-8.
func appendEscaped(dst, s []byte) ([]byte, bool) {
	dst, rest := jsontext.AppendValid(dst, s, false)
	return dst, len(rest) == 0
}

// appendEscapedRune appends one decoded character.
func appendEscapedRune(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return jsontext.AppendASCII(dst, byte(r))
	}
	return utf8.AppendRune(dst, r)
}

// appendBytes appends VARBINARY and BLOB.
func appendBytes(_ *column, dst, cell []byte) ([]byte, error) {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, cell)
	return append(dst, '"'), nil
}

// appendBinary appends BINARY(n). The server cuts the zero bytes at its end
// off; they belong to the value.
func appendBinary(c *column, dst, cell []byte) ([]byte, error) {
	if len(cell) > c.Length {
		return dst, errLong
	}
	var padded [1023]byte // the longest that a length of 10 bits allows
	n := copy(padded[:], cell)
	return appendBytes(c, dst, padded[:n+c.Length-len(cell)])
}

// setMembers renders the members of an ENUM or SET once, and lists them as the
// schema states them.
func (c *column) setMembers(raw [][]byte) {
	c.Charset = collationCharset(c.collation)
	var decode decodeFunc
	if c.Charset != "binary" {
		c.useCharset(nil, nil)
		decode = c.decode
	}
	if c.refused != nil {
		return
	}
	for i, m := range raw {
		plain, ok := string(m), true
		if decode != nil {
			plain, ok = decodeString(decode, m)
		}
		text, valid := appendEscaped(nil, []byte(plain))
		if !ok || !valid {
			plain, text = base64.StdEncoding.EncodeToString(m), nil
			c.RawMembers = append(c.RawMembers, i+1)
			c.invalid |= 1 << i // of a SET: it has 64 members at most
		} else if c.isEnum() {
			text = append(append([]byte{'"'}, text...), '"')
		}
		c.Members = append(c.Members, plain)
		c.members = append(c.members, text)
	}
	if c.RawMembers != nil {
		for _, m := range raw { // they stand in the event, which the column outlives
			c.rawMembers = append(c.rawMembers, bytes.Clone(m))
		}
	}
}

// appendEnum appends the member whose number the cell holds. Number 0 is the
// invalid value, the empty string.
func appendEnum(c *column, dst, cell []byte) ([]byte, error) {
	n := littleEndian(cell)
	if n == 0 {
		return append(dst, '"', '"'), nil
	}
	if n > uint64(len(c.members)) {
		return dst, errMember
	}
	text := c.members[n-1]
	if text == nil {
		return dst, change.ErrInvalidText
	}
	return append(dst, text...), nil
}

// appendSet appends the members whose bits are set, with commas between.
func appendSet(c *column, dst, cell []byte) ([]byte, error) {
	set := littleEndian(cell)
	if len(c.members) < 64 && set>>len(c.members) != 0 {
		return dst, errMember
	}
	if set&c.invalid != 0 {
		return dst, change.ErrInvalidText
	}
	dst = append(dst, '"')
	for first := true; set != 0; first = false {
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, c.members[bits.TrailingZeros64(set)]...)
		set &= set - 1
	}
	return append(dst, '"'), nil
}

// appendRaw appends the bytes of a text that append has refused as base64: those
// of a cell, or of members as the server joins them.
func (c *column) appendRaw(dst, cell []byte) []byte {
	switch {
	case c.isEnum():
		cell = c.rawMembers[littleEndian(cell)-1]
	case c.isSet():
		var all []byte
		for set := littleEndian(cell); set != 0; set &= set - 1 {
			if all != nil {
				all = append(all, charsetComma(c.Charset)...)
			}
			all = append(all, c.rawMembers[bits.TrailingZeros64(set)]...)
		}
		cell = all
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), cell)
	return append(dst, '"')
}

// charsetComma is a comma in a character set.
func charsetComma(charset string) string {
	switch charset {
	case "ucs2", "utf16":
		return "\x00,"
	case "utf16le":
		return ",\x00"
	case "utf32":
		return "\x00\x00\x00,"
	}
	return ","
}

// appendGeometry appends the four bytes of an SRID and the well-known binary
// behind them.
func appendGeometry(c *column, dst, cell []byte) ([]byte, error) {
	if len(cell) < 4 {
		return dst, errGeometry
	}
	dst = append(dst, `{"srid":`...)
	dst = strconv.AppendUint(dst, littleEndian(cell[:4]), 10)
	dst = append(dst, `,"wkb":`...)
	dst, err := appendBytes(c, dst, cell[4:])
	return append(dst, '}'), err
}

// appendVector appends the numbers of a vector, four bytes each.
func appendVector(_ *column, dst, cell []byte) ([]byte, error) {
	if len(cell)%4 != 0 {
		return dst, errVectorBytes
	}
	dst = append(dst, '[')
	for i := 0; i < len(cell); i += 4 {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		f := math.Float32frombits(binary.LittleEndian.Uint32(cell[i:]))
		if dst, err = appendFloatText(dst, float64(f), 32); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}
