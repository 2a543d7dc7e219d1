package minisql

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// tokenKind is the class of a token.
type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokWord             // an identifier or keyword; text as written
	tokQuoted           // a `quoted` identifier
	tokString           // the unescaped text of '…' or "…"
	tokBytes            // X'…' or 0x…, decoded
	tokNumber
	tokUserVar // @name, without @
	tokSysVar  // @@name, without @@
	tokParam   // ?
	tokSymbol
)

type token struct {
	kind tokenKind
	text string
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// tokenize splits a statement. Comments are dropped.
func tokenize(in string) ([]token, error) {
	var out []token
	for i := 0; i < len(in); {
		rest := in[i:]
		switch c := in[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
			continue
		case strings.HasPrefix(rest, "--") || c == '#':
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				i += n
			} else {
				i = len(in)
			}
			continue
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest, "*/")
			if n < 0 {
				return nil, fmt.Errorf("comment at %d has no end", i)
			}
			i += n + 2
			continue
		}
		tok, n, err := nextToken(rest)
		if err != nil {
			return nil, fmt.Errorf("at %d: %w", i, err)
		}
		out = append(out, tok)
		i += n
	}
	return append(out, token{}), nil
}

// nextToken reads the token at the start of s and its length.
func nextToken(s string) (token, int, error) {
	switch c := s[0]; {
	case c == '\'' || c == '"':
		text, n, err := quoted(s, c, true)
		return token{tokString, text}, n, err
	case c == '`':
		text, n, err := quoted(s, c, false)
		return token{tokQuoted, text}, n, err
	case c == '@':
		return variable(s)
	case c == '?':
		return token{tokParam, "?"}, 1, nil
	case (c == 'x' || c == 'X') && len(s) > 1 && s[1] == '\'':
		text, n, err := quoted(s[1:], '\'', false)
		b, hexErr := hex.DecodeString(text)
		if err == nil && hexErr != nil {
			err = fmt.Errorf("literal X'%s' is not hexadecimal", text)
		}
		return token{tokBytes, string(b)}, n + 1, err
	case strings.HasPrefix(s, "0x"):
		n := 2 + span(s[2:], isWordByte)
		b, err := hex.DecodeString(s[2:n])
		return token{tokBytes, string(b)}, n, err
	case c >= '0' && c <= '9', c == '.' && len(s) > 1 && s[1] >= '0' && s[1] <= '9':
		n := span(s, func(c byte) bool { return c >= '0' && c <= '9' || c == '.' })
		if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
			n++
			n += span(s[n:], func(c byte) bool { return c >= '0' && c <= '9' || c == '-' || c == '+' })
		}
		return token{tokNumber, s[:n]}, n, nil
	case isWordByte(c):
		n := span(s, isWordByte)
		return token{tokWord, s[:n]}, n, nil
	}
	for _, sym := range []string{"<=>", "<=", ">=", "<>", "!=", ":=", "||", "&&"} {
		if strings.HasPrefix(s, sym) {
			return token{tokSymbol, sym}, len(sym), nil
		}
	}
	if strings.IndexByte("(),.;=<>+-*/%!", s[0]) < 0 {
		return token{}, 0, fmt.Errorf("unexpected character %q", s[0])
	}
	return token{tokSymbol, s[:1]}, 1, nil
}

// span counts the leading bytes that in accepts.
func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func variable(s string) (token, int, error) {
	kind, at := tokUserVar, 1
	if strings.HasPrefix(s, "@@") {
		kind, at = tokSysVar, 2
	}
	if at < len(s) && (s[at] == '`' || s[at] == '\'') {
		text, n, err := quoted(s[at:], s[at], false)
		return token{kind, text}, at + n, err
	}
	n := span(s[at:], func(c byte) bool { return isWordByte(c) || c == '.' })
	if n == 0 {
		return token{}, 0, fmt.Errorf("%s is followed by no name", s[:at])
	}
	return token{kind, s[at : at+n]}, at + n, nil
}

// quoted reads a string in quotes q; two of them stand for one.
func quoted(s string, q byte, escapes bool) (string, int, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && escapes && i+1 < len(s):
			i++
			b.WriteString(unescape(s[i]))
		case c == q && i+1 < len(s) && s[i+1] == q:
			i++
			b.WriteByte(q)
		case c == q:
			return b.String(), i + 1, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("quote %c has no end", q)
}

func unescape(c byte) string {
	switch c {
	case '0':
		return "\x00"
	case 'b':
		return "\b"
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case 'Z':
		return "\x1a"
	case '%', '_':
		return "\\" + string(c)
	}
	return string([]byte{c})
}
