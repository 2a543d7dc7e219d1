package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// path leads into a JSON document: names and numbers.
type path []any

// parsePath reads column.name[0]["a name"], and is false for anything else. The
// column is the first name.
func parsePath(text string) (column string, p path, ok bool) {
	column, rest := word(text)
	if column == "" {
		return "", nil, false
	}
	for rest != "" {
		switch rest[0] {
		case '.':
			var name string
			if name, rest = word(rest[1:]); name == "" {
				return "", nil, false
			}
			p = append(p, name)
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return "", nil, false
			}
			inside := strings.TrimSpace(rest[1:end])
			if n, err := strconv.Atoi(inside); err == nil && n >= 0 {
				p = append(p, n)
			} else if name, err := strconv.Unquote(inside); err == nil && strings.HasPrefix(inside, `"`) {
				p = append(p, name)
			} else {
				return "", nil, false
			}
			rest = rest[end+1:]
		default:
			return "", nil, false
		}
	}
	return column, p, len(p) > 0
}

// word cuts an identifier off the front.
func word(s string) (string, string) {
	n := 0
	for n < len(s) && (s[n] == '_' || 'a' <= s[n]|0x20 && s[n]|0x20 <= 'z' || n > 0 && '0' <= s[n] && s[n] <= '9') {
		n++
	}
	return s[:n], s[n:]
}

// find returns what stands at the path in a document: a string's content, the
// text of anything else, NULL where the path leads nowhere or to null.
func (p path) find(doc string) (cell, error) {
	raw := json.RawMessage(doc)
	if !json.Valid(raw) {
		return null, errors.New("read JSON path: the document is damaged")
	}
	for _, step := range p {
		raw = bytes.TrimSpace(raw)
		switch step := step.(type) {
		case string:
			if raw[0] != '{' {
				return null, nil
			}
			var err error
			if raw, err = member(raw, step); err != nil {
				return null, fmt.Errorf("read JSON path: %w", err)
			}
		case int:
			if raw[0] != '[' {
				return null, nil
			}
			var array []json.RawMessage
			if err := json.Unmarshal(raw, &array); err != nil {
				return null, fmt.Errorf("read JSON path: %w", err)
			}
			raw = nil
			if step < len(array) {
				raw = array[step]
			}
		}
		if raw == nil {
			return null, nil
		}
	}
	return plainJSON(bytes.TrimSpace(raw))
}

// member returns the first member of an object with that name, or nil. MySQL
// keeps one only; text may have several.
func member(object json.RawMessage, name string) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if key == name {
			return value, nil
		}
	}
	return nil, nil
}
