package envelope

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/bits"
	"strconv"

	"tailwater/internal/jsontext"
)

var (
	errNumber = errors.New("the text is no number of the column's type")
	errBytes  = errors.New("the text is no base64")
)

// maxKept is how much memory one column's buffer holds between rows.
const maxKept = 1 << 20

// appendUnscaled writes a decimal as java.math.BigInteger's bytes of its digits
// without the point: two's complement, big endian, as few as hold it.
func appendUnscaled(dst, cell []byte) ([]byte, error) {
	text := cell
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	var limbs [4]uint64 // the lowest first
	for _, c := range text {
		if c == '.' {
			continue
		}
		if c < '0' || c > '9' {
			return dst, errNumber
		}
		carry := uint64(c - '0')
		for i := range limbs {
			high, low := bits.Mul64(limbs[i], 10)
			var over uint64
			limbs[i], over = bits.Add64(low, carry, 0)
			carry = high + over
		}
		if carry != 0 || limbs[3]>>63 != 0 {
			return dst, errNumber
		}
	}
	if negative {
		borrow := uint64(0)
		for i := range limbs {
			limbs[i], borrow = bits.Sub64(0, limbs[i], borrow)
		}
	}
	var b [32]byte
	for i := range b {
		b[i] = byte(limbs[3-i/8] >> (56 - 8*(i%8)))
	}
	short := b[:]
	for len(short) > 1 && (short[0] == 0 && short[1] < 0x80 || short[0] == 0xff && short[1] >= 0x80) {
		short = short[1:]
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), short)
	return append(dst, '"'), nil
}

// appendFlag writes a BIT(1).
func appendFlag(dst, cell []byte) ([]byte, error) {
	return strconv.AppendBool(dst, string(cell) != "0"), nil
}

// bitBytes writes a BIT of several bits: so many bytes, little endian, in base64.
func bitBytes(size int) writer {
	return func(dst, cell []byte) ([]byte, error) {
		v, err := strconv.ParseUint(string(cell), 10, 64)
		if err != nil {
			return dst, errNumber
		}
		var b [8]byte
		for i := range b {
			b[i] = byte(v >> (8 * i))
		}
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), b[:size])
		return append(dst, '"'), nil
	}
}

// appendBoolText writes what an expression says as MySQL would: "1" or "0".
func appendBoolText(dst, cell []byte) ([]byte, error) {
	if string(cell) == "true" {
		return append(dst, `"1"`...), nil
	}
	return append(dst, `"0"`...), nil
}

// content is what stands between the quotes of a JSON string.
func content(cell []byte) []byte {
	if len(cell) < 2 {
		return nil
	}
	return cell[1 : len(cell)-1]
}

// appendMembers writes a SET as an array. No member has a comma, so the text
// between two is a member's, escaped as it shall be.
func appendMembers(dst, cell []byte) ([]byte, error) {
	dst = append(dst, '[')
	for member := range members(content(cell)) {
		dst = append(append(dst, '"'), member...)
		dst = append(dst, '"', ',')
	}
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, ']'), nil
}

// members yields the members in the text of a SET.
func members(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			member, rest, _ := bytes.Cut(text, []byte{','})
			if !yield(member) {
				return
			}
			text = rest
		}
	}
}

// memberNumber writes the number of an ENUM's member from 1; that of the
// invalid value is 0.
func memberNumber(names []string) writer {
	texts := make([][]byte, len(names))
	for i, name := range names {
		texts[i] = quoted(name)
	}
	return func(dst, cell []byte) ([]byte, error) {
		n := 0
		for i := range texts {
			if bytes.Equal(texts[i], cell) {
				n = i + 1
				break
			}
		}
		if n == 0 && len(content(cell)) > 0 {
			return dst, errors.New("the column has no such member")
		}
		dst = strconv.AppendInt(append(dst, '"'), int64(n), 10)
		return append(dst, '"'), nil
	}
}

// memberBits writes the number that the members of a SET make, a bit for each.
func memberBits(names []string) writer {
	texts := make([][]byte, len(names))
	for i, name := range names {
		texts[i] = content(quoted(name))
	}
	return func(dst, cell []byte) ([]byte, error) {
		mask := uint64(0)
		for member := range members(content(cell)) {
			known := false
			for i := range texts {
				if bytes.Equal(texts[i], member) {
					mask |= 1 << i
					known = true
				}
			}
			if !known {
				return dst, errors.New("the column has no such member")
			}
		}
		dst = strconv.AppendUint(append(dst, '"'), mask, 10)
		return append(dst, '"'), nil
	}
}

// latin1 writes bytes as a text with a character for each, U+0000 to U+00FF.
func latin1() writer {
	var raw, text []byte
	return func(dst, cell []byte) ([]byte, error) {
		var err error
		if raw, err = base64.StdEncoding.AppendDecode(raw[:0], content(cell)); err != nil {
			return dst, errBytes
		}
		text = appendLatin1(text[:0], raw)
		dst = jsontext.AppendQuoted(dst, text)
		if cap(text) > maxKept {
			raw, text = nil, nil
		}
		return dst, nil
	}
}

func appendLatin1(dst, raw []byte) []byte {
	for _, b := range raw {
		if b < 0x80 {
			dst = append(dst, b)
		} else {
			dst = append(dst, 0xc0|b>>6, 0x80|b&0x3f)
		}
	}
	return dst
}
