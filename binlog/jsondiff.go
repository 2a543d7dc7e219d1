package binlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Operations of a jsonDiff.
const (
	diffReplace = 0
	diffInsert  = 1
	diffRemove  = 2
)

// hintDiff is the way out where changes of a document do not fit it.
const hintDiff = "set binlog_row_value_options='' globally and in every session that has another, start behind this transaction, and compare the table"

var (
	errDiffFraming = errors.New("the changes of the JSON document cannot be read")
	errDiffPath    = errors.New("the path is none that leads to one part of a JSON document")
	errDiffMissing = errors.New("the document before has no such part")
	errDiffExists  = errors.New("the document before has that key already")
	errDiffOfNull  = errors.New("the document before is NULL, which has no parts: " + hintDiff)
)

// jsonDiff is one change of a JSON document, as MySQL logs it in place of the
// whole one:
//
//	operation 1, path (lenenc length and text), and unless it is REMOVE
//	value (lenenc length and binary JSON)
//
// The value has at least the byte of its type.
type jsonDiff struct {
	op    byte
	path  []jsonLeg
	value []byte
}

// jsonLeg is one step of a path: the member of an object, or the element of an
// array. The index of an element counts from 0, or from the last one backwards.
type jsonLeg struct {
	member  bool
	key     []byte
	index   uint64
	fromEnd bool
}

// readJSONDiff takes one change off the front of r. Its value aliases r.
func readJSONDiff(r *fieldReader) (d jsonDiff, err error) {
	op, ok := r.bytes(1)
	if !ok || op[0] > diffRemove {
		return d, errDiffFraming
	}
	d.op = op[0]
	path, ok := r.lenencBytes()
	if !ok {
		return d, errDiffFraming
	}
	if d.op != diffRemove {
		if d.value, ok = r.lenencBytes(); !ok || len(d.value) == 0 {
			return d, errDiffFraming
		}
	}
	d.path, err = parseJSONPath(string(path))
	return d, err
}

// parseJSONPath reads a path as the server writes it: $ and then .name,
// ."any text", [n], [last] and [last-n], without spaces. What can stand for
// several parts is refused, and so is $ alone.
func parseJSONPath(path string) ([]jsonLeg, error) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok || rest == "" || !utf8.ValidString(path) {
		return nil, errDiffPath
	}
	var legs []jsonLeg
	for rest != "" {
		var leg jsonLeg
		switch {
		case rest[0] == '[':
			leg, rest, ok = parseElement(rest[1:])
		case strings.HasPrefix(rest, `."`):
			leg, rest, ok = parseQuoted(rest[1:])
		case rest[0] == '.':
			n := strings.IndexAny(rest[1:], ".[") + 1
			if n == 0 {
				n = len(rest)
			}
			leg, rest, ok = jsonLeg{member: true, key: []byte(rest[1:n])}, rest[n:], n > 1 && !strings.ContainsAny(rest[1:n], " \t\r\n*]\"\\")
		default:
			ok = false
		}
		if !ok || len(legs) == jsonbMaxDepth {
			return nil, errDiffPath
		}
		legs = append(legs, leg)
	}
	return legs, nil
}

// parseElement reads what follows the bracket.
func parseElement(s string) (leg jsonLeg, rest string, ok bool) {
	text, rest, ok := strings.Cut(s, "]")
	if !ok {
		return leg, rest, false
	}
	if text == "last" {
		return jsonLeg{fromEnd: true}, rest, true
	}
	text, leg.fromEnd = strings.CutPrefix(text, "last-")
	if text == "" || text[0] < '0' || text[0] > '9' {
		return leg, rest, false
	}
	var err error
	leg.index, err = strconv.ParseUint(text, 10, 32)
	return leg, rest, err == nil
}

// parseQuoted reads a key in quotes, escaped as in JSON.
func parseQuoted(s string) (leg jsonLeg, rest string, ok bool) {
	end := 1
	for end < len(s) && s[end] != '"' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return leg, "", false
	}
	var key string
	if json.Unmarshal([]byte(s[:end+1]), &key) != nil {
		return leg, "", false
	}
	return jsonLeg{member: true, key: []byte(key)}, s[end+1:], true
}

// appendPatchedJSON appends the text of doc with the changes in diffs, one
// behind the other, each of which sees what those before it left.
func appendPatchedJSON(dst, doc, diffs []byte) ([]byte, error) {
	if len(doc) == 0 {
		return dst, errJSONEmpty
	}
	tree := jsonTree{root: jsonNode{kind: doc[0], data: doc[1:]}, budget: len(doc) + len(diffs)}
	r := fieldReader{diffs}
	for n := 1; len(r.b) > 0; n++ {
		d, err := readJSONDiff(&r)
		if err == nil {
			err = tree.apply(&d)
		}
		if err != nil {
			return dst, fmt.Errorf("apply change %d of the document: %w: %s", n, err, hintDiff)
		}
	}
	t := jsonbText{dst: dst, budget: len(doc) + len(diffs)}
	err := tree.root.render(&t, 0)
	return t.dst, err
}
