package binlog

import (
	"bytes"
	"strings"
)

// lexMode is what a session's settings change about the meaning of a text.
type lexMode struct {
	// ansiQuotes makes "…" an identifier.
	ansiQuotes bool
	// noBackslash makes a backslash in a string an ordinary character.
	noBackslash bool
	// unsafeCharset says that bytes above 0x7f may hide a quote.
	unsafeCharset bool
}

// tokenKind is the kind of a token.
type tokenKind byte

const (
	tokenEnd    tokenKind = iota
	tokenWord             // bare: keyword, identifier or number
	tokenQuoted           // quoted identifier
	tokenString           // string literal
	tokenMark             // one other character
)

// token is one token of a statement.
type token struct {
	kind tokenKind
	// text is a quoted identifier without its quotes, or as it stands.
	text string
}

// is reports whether the token is one of the keywords, given in upper case.
func (t token) is(words ...string) bool {
	if t.kind != tokenWord {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(t.text, w) {
			return true
		}
	}
	return false
}

// mark reports whether the token is the character c.
func (t token) mark(c byte) bool { return t.kind == tokenMark && t.text[0] == c }

// lexer cuts a statement into tokens. Comments are white space, but the inside
// of a versioned one (/*!80000 … */) is text, whatever the version: taking a
// little too much for executed can only stop a shard, never lose rows. Where more
// than that hangs on it, doubtful says so.
type lexer struct {
	text      []byte
	at        int
	mode      lexMode
	versioned bool
	// doubtful is true once a versioned comment was met of which it is not known
	// whether the server has executed it.
	doubtful bool
	// bad is true once the text cannot be a statement.
	bad bool
	// seen is the token last returned by next, for peeking.
	seen   token
	peeked bool
}

// newLexer returns a lexer of a statement, without what servers append to it.
func newLexer(text []byte, mode lexMode) *lexer {
	end := len(text)
	for end > 0 && (text[end-1] == 0 || text[end-1] == ';' || space(text[end-1])) {
		end--
	}
	l := &lexer{text: text[:end], mode: mode}
	if mode.unsafeCharset {
		for _, c := range l.text {
			l.bad = l.bad || c >= 0x80
		}
	}
	return l
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// peek returns the next token without consuming it.
func (l *lexer) peek() token {
	if !l.peeked {
		l.seen, l.peeked = l.scan(), true
	}
	return l.seen
}

// next consumes and returns the next token; behind the last it is tokenEnd.
func (l *lexer) next() token {
	t := l.peek()
	l.peeked = false
	return t
}

// accept consumes the next token if it is one of the keywords.
func (l *lexer) accept(words ...string) bool {
	if l.peek().is(words...) {
		l.next()
		return true
	}
	return false
}

// acceptMark consumes the next token if it is the character c.
func (l *lexer) acceptMark(c byte) bool {
	if l.peek().mark(c) {
		l.next()
		return true
	}
	return false
}

// scan reads one token.
func (l *lexer) scan() token {
	if !l.skipSpace() || l.bad || l.at >= len(l.text) {
		return token{}
	}
	c := l.text[l.at]
	switch {
	case c == '`', c == '"' && l.mode.ansiQuotes:
		return l.quoted(c, tokenQuoted, false)
	case c == '\'', c == '"':
		return l.quoted(c, tokenString, !l.mode.noBackslash)
	case wordByte(c):
		from := l.at
		for l.at < len(l.text) && wordByte(l.text[l.at]) {
			l.at++
		}
		return token{tokenWord, string(l.text[from:l.at])}
	}
	l.at++
	return token{tokenMark, string(c)}
}

// quoted reads up to the closing quote; a doubled quote stands for itself.
func (l *lexer) quoted(quote byte, kind tokenKind, escapes bool) token {
	var b []byte
	for i := l.at + 1; i < len(l.text); i++ {
		c := l.text[i]
		switch {
		case escapes && c == '\\' && i+1 < len(l.text):
			i++
			b = append(b, l.text[i])
		case c == quote && i+1 < len(l.text) && l.text[i+1] == quote:
			i++
			b = append(b, quote)
		case c == quote:
			l.at = i + 1
			return token{kind, string(b)}
		default:
			b = append(b, c)
		}
	}
	l.bad = true
	return token{}
}

// skipSpace passes over white space and comments. It reports false, and marks
// the text bad, when a comment does not end.
func (l *lexer) skipSpace() bool {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case space(rest[0]):
			l.at++
		case rest[0] == '#', hasPrefix(rest, "--") && (len(rest) == 2 || space(rest[2])):
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.at++
			}
		case hasPrefix(rest, "/*!") && !l.versioned:
			l.at += 3
			l.version()
		case hasPrefix(rest, "/*M!") && !l.versioned:
			l.at += 4
			l.version()
			l.doubtful = true // a comment to MySQL
		case hasPrefix(rest, "*/") && l.versioned:
			l.versioned = false
			l.at += 2
		case hasPrefix(rest, "/*"):
			end := bytes.Index(rest[2:], []byte("*/"))
			if end < 0 {
				l.bad = true
				return false
			}
			l.at += 2 + end + 2
		default:
			return true
		}
	}
	if l.versioned {
		l.bad = true
	}
	return !l.bad
}

// surely is the newest version that every server has which can be followed.
const surely = 50600

// version reads the number behind the beginning of a versioned comment.
func (l *lexer) version() {
	l.versioned = true
	n := 0
	for l.at < len(l.text) && l.text[l.at] >= '0' && l.text[l.at] <= '9' && n <= surely {
		n = 10*n + int(l.text[l.at]-'0')
		l.at++
	}
	for l.at < len(l.text) && l.text[l.at] >= '0' && l.text[l.at] <= '9' {
		l.at++
	}
	l.doubtful = l.doubtful || n > surely
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
