package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"tailwater/change"
	"tailwater/internal/expr"
)

// rawMember is the member that names columns with bytes in place of a text.
const rawMember = "_raw"

// rawCell is a cell of bytes in place of a text.
func rawCell(b []byte) cell { return cell{text: base64.StdEncoding.EncodeToString(b), raw: true} }

// bytes are those of a cell that is raw.
func (c cell) bytes() []byte {
	b, err := base64.StdEncoding.DecodeString(c.text)
	if err != nil {
		return nil // it comes from an event, and equals no server's
	}
	return b
}

// rawNames reads the text of _raw.
func rawNames(text []byte) ([]string, error) {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return nil, fmt.Errorf("member %s is no array of names", rawMember)
	}
	return names, nil
}

// isChecked reports whether a server is asked for the bytes of a column: it sends
// a question mark for what it cannot convert. What needs no conversion it sends
// as it is.
func isChecked(c *change.Column) bool {
	return isText(c.Type) && c.Charset != "" && c.Charset != "utf8mb4" && c.Charset != "binary"
}

// checked are the columns of a list that are checked.
func checked(columns []change.Column) (at []int) {
	for i := range columns {
		if isChecked(&columns[i]) {
			at = append(at, i)
		}
	}
	return at
}

// selectList is list with the bytes, in hexadecimal digits, of every text behind
// it that does not come back from UTF-8 as it was.
func selectList(columns []change.Column) string {
	out := list(columns)
	for _, i := range checked(columns) {
		c := identifier(columns[i].Name)
		out += fmt.Sprintf(", IF(CAST(CONVERT(CONVERT(%s USING utf8mb4) USING %s) AS BINARY) <=> CAST(%s AS BINARY), NULL, HEX(CAST(%s AS BINARY)))",
			c, columns[i].Charset, c, c)
	}
	return out
}

// textOf decides what a text is of what a server says of it: the text, and its
// bytes in hexadecimal digits, if they are not those that the text has in the
// column's character set. Some characters have two codes and do not come back as
// they were, so only a question mark (or a NUL) that is not in the bytes tells.
func textOf(c *change.Column, text cell, digits any) (cell, error) {
	if !utf8.ValidString(text.text) && !isChecked(c) {
		return rawCell([]byte(text.text)), nil
	}
	var raw []byte
	switch v := digits.(type) {
	case nil:
		return text, nil
	case []byte:
		raw = v
	case string:
		raw = []byte(v)
	default:
		return null, fmt.Errorf("column %s: the driver gives bytes of type %T", c.Name, v)
	}
	raw, err := hex.AppendDecode(nil, raw)
	if err != nil {
		return null, fmt.Errorf("column %s: the server gives no hexadecimal digits", c.Name)
	}
	for _, mark := range []byte{'?', 0} {
		if bytes.Count([]byte(text.text), []byte{mark}) > countOf(c.Charset, raw, mark) {
			return rawCell(raw), nil
		}
	}
	if !utf8.ValidString(text.text) {
		return rawCell(raw), nil
	}
	return text, nil
}

// countOf counts an ASCII character in bytes of a character set. In those whose
// characters have no fixed width it is never a part of another character.
func countOf(charset string, raw []byte, c byte) int {
	unit := []byte{c}
	switch charset {
	case "ucs2", "utf16":
		unit = []byte{0, c}
	case "utf16le":
		unit = []byte{c, 0}
	case "utf32":
		unit = []byte{0, 0, 0, c}
	}
	n := 0
	for ; len(raw) >= len(unit); raw = raw[len(unit):] {
		if bytes.HasPrefix(raw, unit) {
			n++
		}
	}
	return n
}

// textRow is the row that an expression reads, in which cells may be raw.
type textRow struct {
	texts expr.Texts
	raw   func(col int) bool
}

// State reports whether a cell is absent, NULL or present.
func (r *textRow) State(col int) change.CellState { return r.texts.State(col) }

// AppendJSON appends the text of a cell that has one.
func (r *textRow) AppendJSON(dst []byte, col int) ([]byte, error) {
	if r.raw(col) {
		return dst, change.ErrInvalidText
	}
	return r.texts.AppendJSON(dst, col)
}
