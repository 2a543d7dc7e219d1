package codec

import (
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUnquote appends the text of a JSON string, given with its quotes. As
// in encoding/json, a surrogate without its other half and bytes that are not
// UTF-8 become U+FFFD. On an error dst is returned as it was.
func AppendUnquote(dst, raw []byte) ([]byte, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return dst, syntaxError(0, "expected a string")
	}
	end, err := skipString(raw, 0)
	if err != nil {
		return dst, err
	}
	if end != len(raw) {
		return dst, syntaxError(end, "something follows the string")
	}
	return appendUnescaped(dst, raw[1:len(raw)-1]), nil
}

// AppendText appends the text of a JSON string that a Picker found, given with
// its quotes: AppendUnquote for what has been checked.
func AppendText(dst, raw []byte) []byte { return appendUnescaped(dst, raw[1:len(raw)-1]) }

// appendUnescaped appends the text of the inside of a checked JSON string.
func appendUnescaped(dst, s []byte) []byte {
	if !utf8.Valid(s) {
		return appendRepaired(dst, s)
	}
	dst = slices.Grow(dst, len(s))
	for start := 0; ; {
		// A document in a string has an escape every few bytes: calls for such
		// short runs would cost more than the bytes.
		end := start
		for end < len(s) && s[end] != '\\' {
			dst = append(dst, s[end])
			if end++; end-start == shortRun {
				run := cleanRun(s, end)
				dst = append(dst, s[end:run]...)
				end = run
				break
			}
		}
		if end == len(s) {
			return dst
		}
		dst, start = appendEscaped(dst, s, end)
	}
}

// shortRun is the length up to which bytes are copied one by one.
const shortRun = 16

// appendRepaired is appendUnescaped for text with bytes that are not UTF-8.
func appendRepaired(dst, s []byte) []byte {
	for start := 0; ; {
		end := cleanRun(s, start)
		dst = appendUTF8(dst, s[start:end])
		if end == len(s) {
			return dst
		}
		dst, start = appendEscaped(dst, s, end)
	}
}

// appendUTF8 appends s with U+FFFD for each byte that is not UTF-8.
func appendUTF8(dst, s []byte) []byte {
	if utf8.Valid(s) {
		return append(dst, s...)
	}
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		dst = utf8.AppendRune(dst, r)
		s = s[n:]
	}
	return dst
}

// appendEscaped appends what the checked escape at pos means, and returns the
// position behind it.
func appendEscaped(dst, s []byte, pos int) ([]byte, int) {
	switch c := s[pos+1]; c {
	case 'u':
		r, _ := hex4(s, pos+2)
		pos += 6
		if !utf16.IsSurrogate(r) {
			return utf8.AppendRune(dst, r), pos
		}
		if pos+6 <= len(s) && s[pos] == '\\' && s[pos+1] == 'u' {
			low, _ := hex4(s, pos+2)
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return utf8.AppendRune(dst, r), pos + 6
			}
		}
		return utf8.AppendRune(dst, utf8.RuneError), pos
	case 'n':
		return append(dst, '\n'), pos + 2
	case 'r':
		return append(dst, '\r'), pos + 2
	case 't':
		return append(dst, '\t'), pos + 2
	case 'b':
		return append(dst, '\b'), pos + 2
	case 'f':
		return append(dst, '\f'), pos + 2
	default:
		return append(dst, c), pos + 2
	}
}
