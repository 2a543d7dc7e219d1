package expr

import (
	"bytes"
	"encoding/json"
	"strconv"

	"tailwater/change"
)

// step is one step of a path: a member of an object, or an element of an array
// when index is not negative.
type step struct {
	key   string
	index int
}

// path leads into a JSON document. It finds by walking over the text: nothing
// of the document is built, and what is not on the way is only skipped.
type path []step

// String returns the path as it is written behind a column.
func (p path) String() string {
	var b []byte
	for _, s := range p {
		switch {
		case s.index >= 0:
			b = append(strconv.AppendInt(append(b, '['), int64(s.index), 10), ']')
		case isIdent(s.key):
			b = append(append(b, '.'), s.key...)
		default:
			b = append(strconv.AppendQuote(append(b, '['), s.key), ']')
		}
	}
	return string(b)
}

func isIdent(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z' || s[i] == '_' || i > 0 && s[i] >= '0' && s[i] <= '9') {
			return false
		}
	}
	return s != ""
}

// find returns the text of the value at p, a part of doc without space around
// it, or nil when the path leads nowhere or to null. Of two members with one
// name the first counts; MySQL stores only one.
func (p path) find(doc []byte) ([]byte, error) {
	at := skipSpace(doc, 0)
	for _, s := range p {
		if at >= len(doc) {
			return nil, errJSON
		}
		var err error
		switch {
		case s.index < 0 && doc[at] == '{':
			at, err = findMember(doc, at, s.key)
		case s.index >= 0 && doc[at] == '[':
			at, err = findElement(doc, at, s.index)
		default:
			return nil, nil
		}
		if err != nil || at < 0 {
			return nil, err
		}
	}
	end, err := skipValue(doc, at)
	if err != nil {
		return nil, err
	}
	if string(doc[at:end]) == "null" {
		return nil, nil
	}
	return doc[at:end], nil
}

// findMember returns where the value of member key of the object at at begins, or -1.
func findMember(doc []byte, at int, key string) (int, error) {
	at = skipSpace(doc, at+1)
	for at < len(doc) && doc[at] == '"' {
		end, err := skipString(doc, at)
		if err != nil {
			return 0, err
		}
		hit := keyEquals(doc[at+1:end-1], key)
		at = skipSpace(doc, end)
		if at >= len(doc) || doc[at] != ':' {
			return 0, errJSON
		}
		at = skipSpace(doc, at+1)
		if hit {
			return at, nil
		}
		if at, err = skipValue(doc, at); err != nil {
			return 0, err
		}
		if at = skipSpace(doc, at); at < len(doc) && doc[at] == ',' {
			at = skipSpace(doc, at+1)
			continue
		}
		break
	}
	if at >= len(doc) || doc[at] != '}' {
		return 0, errJSON
	}
	return -1, nil
}

// keyEquals compares the inside of a JSON string with a key.
func keyEquals(in []byte, key string) bool {
	if indexByte(in, '\\') < 0 {
		return string(in) == key
	}
	text, err := appendUnescaped(nil, in)
	return err == nil && string(text) == key
}

// findElement returns where element n of the array at at begins, or -1.
func findElement(doc []byte, at, n int) (int, error) {
	at = skipSpace(doc, at+1)
	if at < len(doc) && doc[at] == ']' {
		return -1, nil
	}
	for i := 0; ; i++ {
		if i == n {
			return at, nil
		}
		var err error
		if at, err = skipValue(doc, at); err != nil {
			return 0, err
		}
		at = skipSpace(doc, at)
		switch {
		case at < len(doc) && doc[at] == ',':
			at = skipSpace(doc, at+1)
		case at < len(doc) && doc[at] == ']':
			return -1, nil
		default:
			return 0, errJSON
		}
	}
}

// countItems counts the elements of an array or the members of an object.
func countItems(doc []byte) (int, error) {
	closing := byte('}')
	if doc[0] == '[' {
		closing = ']'
	}
	at := skipSpace(doc, 1)
	if at < len(doc) && doc[at] == closing {
		return 0, nil
	}
	for n := 1; ; n++ {
		var err error
		if closing == '}' {
			if at, err = skipString(doc, at); err != nil {
				return 0, err
			}
			at = skipSpace(doc, at)
			if at >= len(doc) || doc[at] != ':' {
				return 0, errJSON
			}
			at = skipSpace(doc, at+1)
		}
		if at, err = skipValue(doc, at); err != nil {
			return 0, err
		}
		at = skipSpace(doc, at)
		switch {
		case at < len(doc) && doc[at] == ',':
			at = skipSpace(doc, at+1)
		case at < len(doc) && doc[at] == closing:
			return n, nil
		default:
			return 0, errJSON
		}
	}
}

func skipSpace(doc []byte, at int) int {
	for at < len(doc) && (doc[at] == ' ' || doc[at] == '\n' || doc[at] == '\t' || doc[at] == '\r') {
		at++
	}
	return at
}

// skipString returns the place behind the string that begins at at.
func skipString(doc []byte, at int) (int, error) {
	if at >= len(doc) || doc[at] != '"' {
		return 0, errJSON
	}
	for at++; at < len(doc); at++ {
		i := bytes.IndexByte(doc[at:], '"')
		if i < 0 {
			return 0, errJSON
		}
		at += i
		slashes := 0
		for doc[at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at + 1, nil
		}
	}
	return 0, errJSON
}

// skipValue returns the place behind the value that begins at at. It follows
// brackets with a counter, so depth costs no stack; it does not prove that
// what it skips is JSON.
func skipValue(doc []byte, at int) (int, error) {
	depth := 0
	for at < len(doc) {
		switch c := doc[at]; c {
		case '"':
			end, err := skipString(doc, at)
			if err != nil {
				return 0, err
			}
			at = end
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			if depth == 0 {
				return 0, errJSON
			}
			depth--
			at++
		case ',', ':', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return 0, errJSON
			}
			at++
			continue
		default:
			start := at
			for at < len(doc) && isScalarByte(doc[at]) {
				at++
			}
			if at == start {
				return 0, errJSON
			}
		}
		if depth == 0 {
			return at, nil
		}
	}
	return 0, errJSON
}

// isScalarByte reports whether c may stand in a number, true, false or null.
func isScalarByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// findIn returns what the path finds in a cell: of a JSON column, or of a text
// column, whose content may be JSON. Text that is not leads nowhere. buf is
// what a text is unquoted into; it is returned for the next cell.
func (p path) findIn(t change.Type, cell, buf []byte) (raw, kept []byte, err error) {
	if t != change.Text {
		raw, err = p.find(cell)
		return raw, buf, err
	}
	doc, buf, err := unquote(cell, buf)
	if err != nil {
		return nil, buf, errCell
	}
	if !json.Valid(doc) {
		// A path walks over what it does not need without proving anything.
		return nil, buf, nil
	}
	raw, err = p.find(doc)
	return raw, buf, err
}

func indexByte(b []byte, c byte) int { return bytes.IndexByte(b, c) }
