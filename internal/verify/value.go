package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"tailwater/change"
)

// cell is a value as plain text: that of an event's JSON without its quotes.
type cell struct {
	text string
	null bool
	// raw says that it is the base64 of bytes that are no text in their
	// character set.
	raw bool
}

var null = cell{null: true}

// show returns the text for a person.
func (c cell) show() string {
	if c.null {
		return "NULL"
	}
	if c.raw {
		return clip("bytes that are no text, base64 " + c.text)
	}
	return clip(c.text)
}

// maxShown bounds the text of one value in a difference.
const maxShown = 200

func clip(s string) string {
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}

// canonical returns the text by which two values of a type are compared: equal
// values have equal texts, wherever they come from. An ALTER TABLE that keeps
// the values of existing rows keeps their canonical texts too.
func canonical(t change.Type, text string) string {
	switch t {
	case change.Int, change.Uint, change.Bit, change.Year, change.Decimal:
		return canonicalNumber(text)
	case change.Float:
		return canonicalFloat(text, 32)
	case change.Double:
		return canonicalFloat(text, 64)
	case change.Date:
		return strings.TrimSuffix(canonicalTime(text), " 00:00:00")
	case change.DateTime, change.Timestamp, change.Time:
		return canonicalTime(text)
	case change.Geometry:
		return canonicalGeometry(text)
	case change.Vector:
		return canonicalVector(text)
	}
	return text
}

// canonicalNumber writes an exact number without digits that mean nothing.
func canonicalNumber(text string) string {
	s, neg := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(s, ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	for _, c := range whole + fraction {
		if c < '0' || c > '9' {
			return text // no number; it equals only itself
		}
	}
	if s == "" || s == "." {
		return text
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if neg && whole != "0" {
		whole = "-" + whole
	}
	return whole
}

// canonicalFloat writes the shortest text that reads back as the number.
func canonicalFloat(text string, bits int) string {
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return text
	}
	if f == 0 && !math.Signbit(f) {
		return "0"
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

// canonicalTime writes a point in time as YYYY-MM-DD hh:mm:ss.ffffff without
// the zeros at its end, and a duration likewise.
func canonicalTime(text string) string {
	s := strings.TrimSuffix(text, "Z")
	if len(s) > 10 && s[10] == 'T' {
		s = s[:10] + " " + s[11:]
	}
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// geometry is the JSON form of a GEOMETRY value.
type geometry struct {
	SRID uint32 `json:"srid"`
	WKB  []byte `json:"wkb"`
}

func canonicalGeometry(text string) string {
	var g geometry
	if json.Unmarshal([]byte(text), &g) != nil {
		return text
	}
	return fmt.Sprintf("%d %x", g.SRID, g.WKB)
}

func canonicalVector(text string) string {
	var fs []json.Number
	if json.Unmarshal([]byte(text), &fs) != nil {
		return text
	}
	var b strings.Builder
	for _, f := range fs {
		b.WriteString(canonicalFloat(string(f), 32))
		b.WriteByte(',')
	}
	return b.String()
}

// plainJSON returns the cell of a raw JSON value: a string's content, the text
// of anything else.
func plainJSON(raw []byte) (cell, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return null, nil
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return null, fmt.Errorf("read JSON string: %w", err)
		}
		return cell{text: s}, nil
	}
	return cell{text: string(raw)}, nil
}

// fromServer returns the cell of a value that the driver gave for a column.
func fromServer(c *change.Column, v any) (cell, error) {
	switch v := v.(type) {
	case nil:
		return null, nil
	case int64:
		return cell{text: strconv.FormatInt(v, 10)}, nil
	case uint64:
		return cell{text: strconv.FormatUint(v, 10)}, nil
	case float32:
		return cell{text: strconv.FormatFloat(float64(v), 'g', -1, 32)}, nil
	case float64:
		return cell{text: strconv.FormatFloat(v, 'g', -1, 64)}, nil
	case string:
		return fromBytes(c, []byte(v))
	case []byte:
		return fromBytes(c, v)
	}
	return null, fmt.Errorf("column %s: the driver gives a value of type %T", c.Name, v)
}

// fromBytes is fromServer of what a server sends as bytes.
func fromBytes(c *change.Column, b []byte) (cell, error) {
	switch c.Type {
	case change.Bytes:
		if native := nativeBytes[c.Charset]; native != nil {
			var err error
			if b, err = native(string(b)); err != nil {
				return null, fmt.Errorf("column %s: read %s: %w", c.Name, c.Charset, err)
			}
		}
		return cell{text: base64.StdEncoding.EncodeToString(b)}, nil
	case change.Bit:
		var word [8]byte
		if len(b) > 8 {
			return null, fmt.Errorf("column %s: a BIT of %d bytes", c.Name, len(b))
		}
		copy(word[8-len(b):], b)
		return cell{text: strconv.FormatUint(binary.BigEndian.Uint64(word[:]), 10)}, nil
	case change.Timestamp:
		s := string(b)
		if len(s) > 10 && s[10] == ' ' {
			s = s[:10] + "T" + s[11:] + "Z"
		}
		return cell{text: s}, nil
	case change.Geometry:
		if len(b) < 4 {
			return null, fmt.Errorf("column %s: a GEOMETRY of %d bytes", c.Name, len(b))
		}
		out, err := json.Marshal(geometry{SRID: binary.LittleEndian.Uint32(b), WKB: b[4:]})
		return cell{text: string(out)}, err
	case change.Vector:
		return cell{text: vectorText(b)}, nil
	}
	return cell{text: string(b)}, nil
}

// vectorText writes the little-endian floats of a VECTOR as JSON.
func vectorText(b []byte) string {
	out := []byte{'['}
	for i := 0; i+4 <= len(b); i += 4 {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendFloat(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))), 'g', -1, 32)
	}
	return string(append(out, ']'))
}

// jsonText returns the JSON that an expression sees for a cell of a column.
func jsonText(t change.Type, c cell) []byte {
	if c.null {
		return []byte("null")
	}
	switch t {
	case change.Int, change.Uint, change.Float, change.Double, change.Decimal, change.Bit, change.JSON,
		change.Geometry, change.Vector, change.Bool:
		return []byte(c.text)
	case change.Year:
		return []byte(canonicalNumber(c.text))
	}
	return quote(c.text)
}

// quote returns a JSON string.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return []byte(`""`) // a string always encodes
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// microsText writes microseconds since the Unix epoch as a date and time in UTC.
func microsText(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	return time.UnixMicro(n).UTC().Format("2006-01-02 15:04:05.000000")
}

func encodeBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
