// Package jsontext has the parts of writing JSON strings (RFC 8259, section 7)
// that every renderer of the project shares, so that a text looks the same
// wherever it was made: quote, backslash and control characters are escaped,
// with the short escapes where there are any, and nothing else is.
package jsontext

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// Clean returns the length of the longest prefix of s that is its own text
// inside a JSON string and ASCII. It looks at eight bytes at a time: a byte
// that is below the one tested for, or equal to it, borrows into its high bit.
func Clean(s []byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		v := binary.LittleEndian.Uint64(s[i:])
		quote, backslash := v^'"'*eachByte, v^'\\'*eachByte
		if (v|(v-0x20*eachByte)|(quote-eachByte)|(backslash-eachByte))&highBits != 0 {
			break
		}
	}
	for i < len(s) && isClean[s[i]] {
		i++
	}
	return i
}

// isClean says which bytes Clean passes.
var isClean = func() (clean [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		clean[c] = c != '"' && c != '\\'
	}
	return clean
}()

// AppendASCII appends one ASCII character, escaped where it must be.
func AppendASCII(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c < 0x20 {
		return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
	return append(dst, c)
}

// AppendValid appends s as the inside of a JSON string up to the first byte that
// is not UTF-8, and returns the rest from there on, which is empty when all of s
// is valid. nested says that the string stands in another JSON string, so that
// what escapes is escaped itself.
func AppendValid(dst, s []byte, nested bool) (out, rest []byte) {
	if len(s) > large && cap(dst)-len(dst) < len(s) {
		// A text that grows its buffer bit by bit leaves several times its size
		// behind. Most need no escape, and the quotes have room as well.
		dst = append(make([]byte, 0, len(dst)+len(s)+len(s)/64), dst...)
	}
	for {
		n := Clean(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			return dst, s
		}
		if s[0] < utf8.RuneSelf {
			dst = appendASCII(dst, s[0], nested)
			s = s[1:]
			continue
		}
		n = 0
		for n < len(s) && s[n] >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[n:])
			if r == utf8.RuneError && size == 1 {
				return append(dst, s[:n]...), s[n:]
			}
			n += size
		}
		dst, s = append(dst, s[:n]...), s[n:]
	}
}

// large is the least text for which room is made at once.
const large = 64 << 10

func appendASCII(dst []byte, c byte, nested bool) []byte {
	if !nested {
		return AppendASCII(dst, c)
	}
	var escape [8]byte
	for _, c := range AppendASCII(escape[:0], c) {
		dst = AppendASCII(dst, c)
	}
	return dst
}

// AppendQuoted appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, so that the result is always JSON.
func AppendQuoted(dst, s []byte) []byte {
	dst, s = AppendValid(append(dst, '"'), s, false)
	for len(s) > 0 {
		dst, s = AppendValid(append(dst, "\ufffd"...), s[1:], false)
	}
	return append(dst, '"')
}
