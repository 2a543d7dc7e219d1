package expr

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

var errJSON = errors.New("the cell is not valid JSON")

// isQuoted reports whether text is one JSON string by its ends.
func isQuoted(text []byte) bool {
	return len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"'
}

// unquote returns the content of a JSON string. It is a part of text when
// nothing is escaped, which is the usual case; else it is appended to buf[:0],
// and the buffer returned is buf or its larger successor.
func unquote(text, buf []byte) (content, newBuf []byte, err error) {
	if !isQuoted(text) {
		return nil, buf, errJSON
	}
	in := text[1 : len(text)-1]
	i := indexByte(in, '\\')
	if i < 0 {
		return in, buf, nil
	}
	buf, err = appendUnescaped(buf[:0], in)
	return buf, buf, err
}

// AppendUnquoted appends the content of a JSON string to dst.
func AppendUnquoted(dst, text []byte) ([]byte, error) {
	if !isQuoted(text) {
		return dst, errJSON
	}
	return appendUnescaped(dst, text[1:len(text)-1])
}

func appendUnescaped(dst, in []byte) ([]byte, error) {
	for {
		i := indexByte(in, '\\')
		if i < 0 {
			return append(dst, in...), nil
		}
		dst = append(dst, in[:i]...)
		if i+1 >= len(in) {
			return dst, errJSON
		}
		c := in[i+1]
		in = in[i+2:]
		switch c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(in)
			if !ok {
				return dst, errJSON
			}
			in = in[4:]
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), len(in) >= 6 && in[0] == '\\' && in[1] == 'u'
				if ok {
					low, ok = hex4(in[2:])
				}
				if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
					in = in[6:]
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, errJSON
		}
	}
}

func hex4(in []byte) (rune, bool) {
	if len(in) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range in[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
