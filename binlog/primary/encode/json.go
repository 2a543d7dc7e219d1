package encode

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKind says which fields of a jsonNode count.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonTrue
	jsonFalse
	jsonInt    // num, as int64
	jsonUint   // num
	jsonDouble // num, as float64 bits
	jsonString // str
	jsonArray  // kids
	jsonObject // keys, kids
)

// jsonWords are the literals, by kind.
var jsonWords = [...]string{jsonNull: "null", jsonTrue: "true", jsonFalse: "false"}

// jsonNode is a parsed JSON value.
type jsonNode struct {
	kind jsonKind
	num  uint64
	str  string
	keys []string
	kids []jsonNode
}

// maxJSONDepth is MySQL's limit on nesting.
const maxJSONDepth = 100

// appendJSONColumn appends a JSON column's value, four bytes of length and the
// binary document, and returns the document's text as MySQL prints it.
func appendJSONColumn(dst []byte, text string) (string, []byte, error) {
	p := jsonParser{in: text}
	root, err := p.document()
	if err != nil {
		return "", nil, err
	}
	at := len(dst)
	dst, err = appendJSONDocument(append(dst, 0, 0, 0, 0), &root)
	if err != nil {
		return "", nil, err
	}
	n := len(dst) - at - 4
	for i := range 4 {
		dst[at+i] = byte(n >> (8 * i))
	}
	return string(root.appendText(make([]byte, 0, len(text)+16))), dst, nil
}

// appendText appends the node as MySQL prints it: a space after ':' and ','.
func (n *jsonNode) appendText(dst []byte) []byte {
	switch n.kind {
	case jsonNull:
		return append(dst, "null"...)
	case jsonTrue:
		return append(dst, "true"...)
	case jsonFalse:
		return append(dst, "false"...)
	case jsonInt:
		return strconv.AppendInt(dst, int64(n.num), 10)
	case jsonUint:
		return strconv.AppendUint(dst, n.num, 10)
	case jsonDouble:
		s := FormatFloat(math.Float64frombits(n.num), 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return append(dst, s...)
	case jsonString:
		return appendJSONString(dst, n.str)
	}
	open, end := byte('['), byte(']')
	if n.kind == jsonObject {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i := range n.kids {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if n.kind == jsonObject {
			dst = append(appendJSONString(dst, n.keys[i]), ": "...)
		}
		dst = n.kids[i].appendText(dst)
	}
	return append(dst, end)
}

func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b', '\t', '\n', '\f', '\r':
			dst = append(dst, '\\', "btn-fr"[c-'\b'])
		default:
			if c < 0x20 {
				dst = fmt.Appendf(dst, "\\u%04x", c)
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}

// sortKeys puts an object's members in MySQL's order, by length, then by bytes,
// and keeps the last of equal keys.
func (n *jsonNode) sortKeys() {
	order := make([]int, len(n.keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(len(n.keys[a]), len(n.keys[b])), strings.Compare(n.keys[a], n.keys[b]))
	})
	keys := make([]string, 0, len(order))
	kids := make([]jsonNode, 0, len(order))
	for _, i := range order {
		if last := len(keys) - 1; last >= 0 && keys[last] == n.keys[i] {
			kids[last] = n.kids[i]
			continue
		}
		keys, kids = append(keys, n.keys[i]), append(kids, n.kids[i])
	}
	n.keys, n.kids = keys, kids
}

// jsonParser reads JSON text. It exists because encoding/json keeps neither
// integers apart from doubles nor costs little enough per row.
type jsonParser struct {
	in string
	at int
}

var errJSON = errors.New("text is not valid JSON")

func (p *jsonParser) document() (jsonNode, error) {
	n, err := p.value(1)
	if err == nil {
		if p.space(); p.at != len(p.in) {
			err = errJSON
		}
	}
	return n, err
}

func (p *jsonParser) space() {
	for p.at < len(p.in) && strings.IndexByte(" \t\r\n", p.in[p.at]) >= 0 {
		p.at++
	}
}

// take consumes c when it is next.
func (p *jsonParser) take(c byte) bool {
	p.space()
	if p.at < len(p.in) && p.in[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *jsonParser) value(depth int) (jsonNode, error) {
	if p.space(); p.at == len(p.in) {
		return jsonNode{}, errJSON
	}
	if depth > maxJSONDepth {
		return jsonNode{}, fmt.Errorf("JSON is nested deeper than %d", maxJSONDepth)
	}
	switch p.in[p.at] {
	case '{', '[':
		return p.container(depth)
	case '"':
		s, err := p.str()
		return jsonNode{kind: jsonString, str: s}, err
	}
	for kind, word := range jsonWords {
		if strings.HasPrefix(p.in[p.at:], word) {
			p.at += len(word)
			return jsonNode{kind: jsonKind(kind)}, nil
		}
	}
	return p.number()
}

func (p *jsonParser) container(depth int) (jsonNode, error) {
	n := jsonNode{kind: jsonArray}
	end := byte(']')
	if p.in[p.at] == '{' {
		n.kind, end = jsonObject, '}'
	}
	p.at++
	if p.take(end) {
		return n, nil
	}
	for {
		if n.kind == jsonObject {
			p.space()
			key, err := p.str()
			if err != nil || !p.take(':') {
				return n, errJSON
			}
			n.keys = append(n.keys, key)
		}
		kid, err := p.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.kids = append(n.kids, kid)
		if p.take(end) {
			break
		}
		if !p.take(',') {
			return n, errJSON
		}
	}
	if n.kind == jsonObject {
		n.sortKeys()
	}
	return n, nil
}

func (p *jsonParser) number() (jsonNode, error) {
	start := p.at
	for p.at < len(p.in) && strings.IndexByte("+-.0123456789eE", p.in[p.at]) >= 0 {
		p.at++
	}
	text := p.in[start:p.at]
	if !json.Valid([]byte(text)) {
		return jsonNode{}, errJSON
	}
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil && i <= math.MaxUint32 {
			return jsonNode{kind: jsonInt, num: uint64(i)}, nil
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return jsonNode{kind: jsonUint, num: u}, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return jsonNode{}, errors.New("JSON number is out of range")
	}
	return jsonNode{kind: jsonDouble, num: math.Float64bits(f)}, nil
}

func (p *jsonParser) str() (string, error) {
	if p.at == len(p.in) || p.in[p.at] != '"' {
		return "", errJSON
	}
	p.at++
	end := strings.IndexAny(p.in[p.at:], `"\`)
	if end < 0 {
		return "", errJSON
	}
	if p.in[p.at+end] == '"' { // the common case: nothing escaped
		s := p.in[p.at : p.at+end]
		if strings.IndexFunc(s, isControl) >= 0 {
			return "", errJSON
		}
		p.at += end + 1
		return checkJSONString(s)
	}
	var out []byte
	for p.at < len(p.in) {
		c := p.in[p.at]
		p.at++
		switch c {
		case '"':
			return checkJSONString(string(out))
		case '\\':
			var err error
			if out, err = p.escape(out); err != nil {
				return "", err
			}
		default:
			if isControl(rune(c)) {
				return "", errJSON
			}
			out = append(out, c)
		}
	}
	return "", errJSON
}

func checkJSONString(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errJSON
	}
	return s, nil
}

// isControl reports whether c must be escaped in a JSON string.
func isControl(c rune) bool { return c < 0x20 }

func (p *jsonParser) escape(out []byte) ([]byte, error) {
	if p.at == len(p.in) {
		return nil, errJSON
	}
	c := p.in[p.at]
	p.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return append(out, "\"\\/\b\f\n\r\t"[i]), nil
	}
	r, ok := p.hex4()
	if c != 'u' || !ok {
		return nil, errJSON
	}
	if utf16.IsSurrogate(r) {
		if !strings.HasPrefix(p.in[p.at:], `\u`) {
			return nil, errJSON
		}
		p.at += 2
		low, ok := p.hex4()
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return nil, errJSON
		}
	}
	return utf8.AppendRune(out, r), nil
}

func (p *jsonParser) hex4() (rune, bool) {
	if len(p.in)-p.at < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(p.in[p.at:p.at+4], 16, 16)
	p.at += 4
	return rune(v), err == nil
}
