package binlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/internal/jsontext"
)

// renderJSONB renders a document as a JSON column does. That quoting it at once
// gives the same as quoting it afterwards is checked in passing.
func renderJSONB(doc string) (string, error) {
	out, err := appendJSONCell(nil, nil, []byte(doc))
	if err == nil {
		err = sameQuoted([]byte(doc), out)
	}
	return string(out), err
}

// sameQuoted reports whether a document quoted at once differs from its text,
// quoted.
func sameQuoted(doc, text []byte) error {
	quoted, err := appendJSONString([]byte("x"), doc)
	if want := jsontext.AppendQuoted([]byte("x"), text); err != nil || !bytes.Equal(quoted, want) {
		return fmt.Errorf("quoted at once %s (%v), afterwards %s", quoted, err, want)
	}
	return nil
}

func TestJSONB_ValuesAsTheFormatSays(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"\x04\x00", "null"}, {"\x04\x01", "true"}, {"\x04\x02", "false"},
		{"\x05\xff\xff", "-1"}, {"\x06\xff\xff", "65535"},
		{"\x07\xff\xff\xff\xff", "-1"}, {"\x08\xff\xff\xff\xff", "4294967295"},
		{"\x09\xff\xff\xff\xff\xff\xff\xff\xff", "-1"}, {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"},
		{"\x0b\x00\x00\x00\x00\x00\x00\xf0\x3f", "1.0"},
		{"\x0b\x00\x00\x00\x00\x00\x00\x00\x80", "-0.0"},
		{"\x0b\xa0\xc8\xeb\x85\xf3\xcc\xe1\x7f", "1e308"},
		{"\x0c\x00", `""`}, {"\x0c\x05a\"\\\x01/", `"a\"\\\u0001/"`},
		{"\x0c\x80\x01" + strings.Repeat("x", 128), `"` + strings.Repeat("x", 128) + `"`},
		{"\x00\x00\x00\x04\x00", "{}"}, {"\x02\x00\x00\x04\x00", "[]"},
		// [1, "a"]
		{"\x02\x02\x00\x0c\x00\x05\x01\x00\x0c\x0a\x00\x01a", `[1, "a"]`},
		// {"b": 1, "aa": null}, as stored: shorter keys first
		{"\x00\x02\x00\x15\x00\x12\x00\x01\x00\x13\x00\x02\x00\x05\x01\x00\x04\x00\x00baa", `{"b": 1, "aa": null}`},
		// a large array with an int32 in its entry
		{"\x03\x01\x00\x00\x00\x0d\x00\x00\x00\x07\xff\xff\xff\xff", "[-1]"},
		// decimal(5,2) 1.10
		{"\x0f\xf6\x05\x05\x02\x80\x01\x0a", "1.10"},
		// TIME -00:00:00.000001
		{"\x0f\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff", `"-00:00:00.000001"`},
		{"\x0f\x0f\x03foo", `"base64:type15:Zm9v"`},
		{"\x0f\x10\x02\x01\x05", `"base64:type16:AQU="`},
	} {
		if got, err := renderJSONB(c.doc); got != c.want || err != nil {
			t.Errorf("%x: got %s, %v, want %s", c.doc, got, err, c.want)
		}
	}
}

// packed is a date or time inside a JSON document.
func packed(wire byte, v int64) string {
	return "\x0f" + string(wire) + "\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(v)))
}

func TestJSONB_DatesAndTimesHaveTheirSQLText(t *testing.T) {
	date := func(year, month, day, hour, minute, second int64) int64 {
		return ((year*13+month)<<5|day)<<41 | (hour<<12|minute<<6|second)<<24
	}
	for _, c := range []struct{ doc, want string }{
		{packed(wireDate, date(2015, 1, 15, 0, 0, 0)), `"2015-01-15"`},
		{packed(wireDate, 0), `"0000-00-00"`},
		{packed(wireDateTime, date(2015, 1, 15, 23, 24, 25)|120000), `"2015-01-15 23:24:25.120000"`},
		{packed(wireTimestamp, date(9999, 12, 31, 23, 59, 59)|999999), `"9999-12-31 23:59:59.999999"`},
		{packed(wireTime, 0), `"00:00:00.000000"`},
		{packed(wireTime, (838<<12|59<<6|59)<<24), `"838:59:59.000000"`},
		{packed(wireTime, -((838<<12 | 59<<6 | 59) << 24)), `"-838:59:59.000000"`},
	} {
		if got, err := renderJSONB(c.doc); got != c.want || err != nil {
			t.Errorf("%x: got %s, %v, want %s", c.doc, got, err, c.want)
		}
	}
	for _, doc := range []string{
		packed(wireTime, -1<<63), packed(wireTime, 1<<62), packed(wireDate, -1), packed(wireDateTime, 1<<63-1), packed(wireTime, 1000000), packed(wireTime, 60<<24),
		"\x0f\x0b\x07\x00\x00\x00\x00\x00\x00\x00",
	} {
		if got, err := renderJSONB(doc); err == nil {
			t.Errorf("%x renders as %s, want an error", doc, got)
		}
	}
}

func TestHazard_A79_AnEmptyDocumentIsAnErrorNotNull(t *testing.T) {
	if got, err := renderJSONB(""); !errors.Is(err, errJSONEmpty) {
		t.Errorf("got %s, %v, want errJSONEmpty", got, err)
	}
}

func TestJSONB_DocumentsThatLieAreRefused(t *testing.T) {
	for name, doc := range map[string]string{
		"unknown type":             "\x0d\x00",
		"unknown literal":          "\x04\x03",
		"no value":                 "\x05",
		"half a value":             "\x09\x00\x00\x00",
		"string longer":            "\x0c\x05abc",
		"string without length":    "\x0c\x80\x80",
		"length of six bytes":      "\x0c\x80\x80\x80\x80\x80\x01a",
		"string not UTF-8":         "\x0c\x01\xff",
		"size beyond the end":      "\x02\x00\x00\x05\x00",
		"size below the head":      "\x02\x00\x00\x03\x00",
		"more elements than bytes": "\x02\xff\xff\x04\x00",
		"huge count":               "\x01\xff\xff\xff\xff\x08\x00\x00\x00",
		"value before the entries": "\x02\x01\x00\x07\x00\x0c\x00\x00",
		"value behind the end":     "\x02\x01\x00\x07\x00\x0c\x08\x00",
		"key behind the end":       "\x00\x01\x00\x0b\x00\x0b\x00\x01\x00\x04\x01\x00",
		"opaque without type":      "\x0f",
		"opaque without length":    "\x0f\x0f",
		"decimal without digits":   "\x0f\xf6\x02\x05\x02",
		"decimal that is none":     "\x0f\xf6\x03\x01\x00\x8a",
		"decimal scale too large":  "\x0f\xf6\x03\x01\x02\x80",
		"infinite double":          "\x0b\x00\x00\x00\x00\x00\x00\xf0\x7f",
	} {
		if got, err := renderJSONB(doc); err == nil {
			t.Errorf("%s: renders as %s, want an error", name, got)
		}
	}
}

// nested writes arrays around an empty one.
func nested(depth int) string {
	doc := "\x00\x00\x04\x00"
	for range depth - 1 {
		size := 4 + 3 + len(doc)
		doc = "\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(size))) + "\x02\x07\x00" + doc
	}
	return "\x02" + doc
}

func TestJSONB_NestsAsDeepAsTheServerAllowsAndNotForEver(t *testing.T) {
	if got, err := renderJSONB(nested(100)); got != strings.Repeat("[", 100)+strings.Repeat("]", 100) || err != nil {
		t.Errorf("100 arrays: %s, %v", got, err)
	}
	if _, err := renderJSONB(nested(2000)); !errors.Is(err, errJSONDepth) {
		t.Errorf("2000 arrays: %v, want errJSONDepth", err)
	}
}

func TestJSONB_PartsThatOverlapCannotBlowUp(t *testing.T) {
	// Each of 60 arrays has two elements, both the next array: 2^60 values.
	var doc []byte
	const levels, head = 60, 4 + 2*3
	for i := range levels {
		rest := (levels - i) * head
		doc = binary.LittleEndian.AppendUint16(doc, 2)
		doc = binary.LittleEndian.AppendUint16(doc, uint16(rest+4))
		for range 2 {
			doc = binary.LittleEndian.AppendUint16(append(doc, jsonbSmallArray), head)
		}
	}
	doc = append(doc, 0, 0, 4, 0)
	if got, err := renderJSONB("\x02" + string(doc)); !errors.Is(err, errJSONOverlap) {
		t.Errorf("%.100s, %v, want errJSONOverlap", got, err)
	}
	// A thousand elements that are all one string.
	text := strings.Repeat("x", 1000)
	doc = binary.LittleEndian.AppendUint16(nil, 1000)
	doc = binary.LittleEndian.AppendUint16(doc, 4+3000+1002)
	for range 1000 {
		doc = binary.LittleEndian.AppendUint16(append(doc, jsonbString), 3004)
	}
	doc = append(append(doc, 0xe8, 0x07), text...)
	if _, err := renderJSONB("\x02" + string(doc)); !errors.Is(err, errJSONOverlap) {
		t.Errorf("%v, want errJSONOverlap", err)
	}
}

// FuzzJSONB holds that every document is refused or renders as JSON.
func FuzzJSONB(f *testing.F) {
	m, events := recorded(f, "mysql.txt", "json_")
	e := rowEvents{tableMap: m.body, events: events[:1]}
	e.eachCell(f, 1, func(cell []byte) { f.Add(cell) })
	f.Add([]byte(nested(3)))
	whole := string(jsonbOf(f, `{"a": [1, "text", null, 2.5, -70000, 5000000000], "b": {"c": true}}`, false))
	for n := range whole {
		f.Add([]byte(whole[:n]))
		f.Add([]byte(whole[:n] + "\xff" + whole[n+1:]))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, err := appendJSONCell(nil, nil, doc)
		if err == nil && !json.Valid(out) {
			t.Errorf("%x renders as %s", doc, out)
		}
		if quoted, quotedErr := appendJSONString(nil, doc); (err == nil) != (quotedErr == nil) {
			t.Errorf("%x: %v, quoted at once %s, %v", doc, err, quoted, quotedErr)
		} else if err == nil {
			if err := sameQuoted(doc, out); err != nil {
				t.Errorf("%x: %v", doc, err)
			}
		}
		if len(out) > 16*len(doc)+64 {
			t.Errorf("%d bytes render as %d", len(doc), len(out))
		}
	})
}

// eachCell calls fn with the bytes of column col in every inserted row.
func (e *rowEvents) eachCell(t testing.TB, col int, fn func(cell []byte)) {
	t.Helper()
	m := mustParse(t, e.tableMap)
	h, err := m.parseRowsHeader(e.events[0].kind, e.events[0].body)
	if err != nil {
		t.Fatal(err)
	}
	r := &m.images[1]
	for pos := h.start; pos < len(e.events[0].body); {
		if pos = r.split(h.after, e.events[0].body, pos); pos < 0 {
			t.Fatal("a recorded row is cut")
		}
		if at := r.cells[col]; at.length >= 0 {
			fn(r.body[at.offset : at.offset+uint32(at.length)])
		}
	}
}

func BenchmarkJSONB(b *testing.B) {
	m, ev := loadOrders(b)
	var cells [][]byte
	e := rowEvents{tableMap: m.body, events: []rowsEvent{ev}}
	e.eachCell(b, 6, func(cell []byte) { cells = append(cells, cell) })
	var dst []byte
	b.SetBytes(int64(len(cells[0])))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var err error
		if dst, err = appendJSONCell(nil, dst[:0], cells[i%len(cells)]); err != nil {
			b.Fatal(err)
		}
	}
}
