package binlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// jsonbOf writes JSON text as binary JSON, as the server does: keys in their
// order, integers in entries where they fit. Large makes containers large.
func jsonbOf(t testing.TB, text string, large bool) []byte {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	kind, data := encodeJSONB(t, v, large)
	return append([]byte{kind}, data...)
}

func encodeJSONB(t testing.TB, v any, large bool) (kind byte, data []byte) {
	switch v := v.(type) {
	case nil:
		return jsonbLiteral, []byte{0}
	case bool:
		return jsonbLiteral, []byte{map[bool]byte{true: 1, false: 2}[v]}
	case string:
		return jsonbString, append(jsonbLength(len(v)), v...)
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 16); err == nil {
			return jsonbInt16, binary.LittleEndian.AppendUint16(nil, uint16(n))
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return jsonbDouble, binary.LittleEndian.AppendUint64(nil, math.Float64bits(f))
	case []any:
		kind = jsonbSmallArray
		return encodeContainer(t, kind, nil, v, large)
	}
	object := v.(map[string]any)
	var keys [][]byte
	for key := range object {
		keys = append(keys, []byte(key))
	}
	slices.SortFunc(keys, compareKeys)
	values := make([]any, len(keys))
	for i, key := range keys {
		values[i] = object[string(key)]
	}
	return encodeContainer(t, jsonbSmallObject, keys, values, large)
}

// jsonbLength is the length of a string.
func jsonbLength(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func encodeContainer(t testing.TB, kind byte, keys [][]byte, values []any, large bool) (byte, []byte) {
	width := 2
	if large {
		kind, width = kind+1, 4
	}
	put := func(b []byte, v int) []byte {
		return append(b, binary.LittleEndian.AppendUint32(nil, uint32(v))[:width]...)
	}
	at := 2*width + len(keys)*(width+2) + len(values)*(width+1)
	var head, tail []byte
	for _, key := range keys {
		head = binary.LittleEndian.AppendUint16(put(head, at+len(tail)), uint16(len(key)))
		tail = append(tail, key...)
	}
	for _, v := range values {
		kind, data := encodeJSONB(t, v, large)
		head = append(head, kind)
		if size := jsonbScalarSize(kind); size > 0 && size <= width {
			head = append(append(head, data...), make([]byte, width-size)...)
			continue
		}
		head = put(head, at+len(tail))
		tail = append(tail, data...)
	}
	out := put(put(nil, len(values)), 2*width+len(head)+len(tail))
	return kind, append(append(out, head...), tail...)
}

// diffOf writes one change; value is JSON text.
func diffOf(t testing.TB, op byte, path, value string) []byte {
	t.Helper()
	out := append([]byte{op}, lenenc(len(path))...)
	out = append(out, path...)
	if op == diffRemove {
		return out
	}
	doc := jsonbOf(t, value, false)
	return append(append(out, lenenc(len(doc))...), doc...)
}

func lenenc(n int) []byte {
	if n < 251 {
		return []byte{byte(n)}
	}
	return []byte{252, byte(n), byte(n >> 8)}
}

// diffsOf reads "op path value" a line, where op is =, + or -.
func diffsOf(t testing.TB, lines ...string) (out []byte) {
	t.Helper()
	for _, line := range lines {
		path, value, _ := strings.Cut(line[2:], " <- ")
		out = append(out, diffOf(t, byte(strings.IndexByte("=+-", line[0])), path, value)...)
	}
	return out
}

func TestJSONDiff_EachChangeSeesWhatThoseBeforeItLeft(t *testing.T) {
	const doc = `{"a": 1, "b": [1, [2, 3], {"x": "y"}], "aa": {"": {"é": null}}, "q\"q": 1.5}`
	for _, c := range []struct {
		diffs []string
		want  string
	}{
		{nil, doc},
		{[]string{"= $.a <- 2"}, `{"a": 2, "b": [1, [2, 3], {"x": "y"}], "aa": {"": {"é": null}}, "q\"q": 1.5}`},
		{[]string{"= $.b[1][0] <- {\"k\": 1.5}", "= $.b[1][0].k <- []", "+ $.b[1][0].k[0] <- true"}, `{"a": 1, "b": [1, [{"k": [true]}, 3], {"x": "y"}], "aa": {"": {"é": null}}, "q\"q": 1.5}`},
		{[]string{`- $.b`, `- $.aa`, `- $."q\"q"`}, `{"a": 1}`},
		{[]string{`- $.b`, `- $.aa`, `- $."q\"q"`, `- $.a`}, `{}`},
		{[]string{`- $.b`, `- $.aa`, `- $."q\"q"`, `- $.a`, `+ $.z <- 1`, `+ $.yy <- 2`, `+ $.y <- 3`, `+ $."" <- 4`}, `{"": 4, "y": 3, "z": 1, "yy": 2}`},
		{[]string{`= $.aa."".é <- "ü"`, `+ $.aa."".e <- -1`}, `{"a": 1, "b": [1, [2, 3], {"x": "y"}], "aa": {"": {"e": -1, "é": "ü"}}, "q\"q": 1.5}`},
		{[]string{`- $.aa`, `- $."q\"q"`, `- $.b[0]`, `- $.b[0]`, `- $.b[0]`}, `{"a": 1, "b": []}`},
		{[]string{`- $.aa`, `- $."q\"q"`, `- $.b[last]`, `+ $.b[0] <- "first"`, `+ $.b[1] <- "second"`, `+ $.b[4] <- "end"`, `+ $.b[99] <- "behind"`},
			`{"a": 1, "b": ["first", "second", 1, [2, 3], "end", "behind"]}`},
		{[]string{`- $.aa`, `- $."q\"q"`, `= $.b[last-2] <- "was 1"`, `= $.b[last-1][last] <- "was 3"`, `+ $.b[last-99] <- "before"`}, `{"a": 1, "b": ["before", "was 1", [2, "was 3"], {"x": "y"}]}`},
		{[]string{`+ $."\u0007\"\\/\n" <- 1`, `- $.b`, `- $.aa`, `- $."q\"q"`}, `{"a": 1, "\u0007\"\\/\n": 1}`},
	} {
		for _, large := range []bool{false, true} {
			got, err := appendPatchedJSON([]byte("x"), jsonbOf(t, doc, large), diffsOf(t, c.diffs...))
			if err != nil || string(got) != "x"+c.want {
				t.Errorf("%q: %v\n got %s\nwant x%s", c.diffs, err, got, c.want)
			}
		}
	}
}

func TestHazard_A39_ChangesThatDoNotApplyAreErrorsNeverTheOldDocument(t *testing.T) {
	const doc = `{"a": 1, "b": [1, [2]], "o": {}}`
	for diff, want := range map[string]error{
		"= $.c <- 1": errDiffMissing, "- $.c": errDiffMissing, "= $.b[2] <- 1": errDiffMissing, "- $.b[2]": errDiffMissing, "= $.b[last-2] <- 1": errDiffMissing,
		"= $.a.x <- 1": errDiffMissing, "+ $.a.x <- 1": errDiffMissing, "+ $.a[0] <- 1": errDiffMissing, "- $.a[0]": errDiffMissing,
		"+ $.b.x <- 1": errDiffMissing, "+ $.o[0] <- 1": errDiffMissing, "+ $.c.d <- 1": errDiffMissing, "= $.b[5][0] <- 1": errDiffMissing, "+ $.b[5][0] <- 1": errDiffMissing,
		"+ $.a <- 1": errDiffExists, "= $ <- 1": errDiffPath, "= $[*] <- 1": errDiffPath, "- $**.a": errDiffPath,
	} {
		// The change before is fine, and the error counts it.
		got, err := appendPatchedJSON(nil, jsonbOf(t, doc, false), diffsOf(t, "= $.b[1][0] <- 3", diff))
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "apply change 2 of the document: ") || !strings.HasSuffix(err.Error(), hintDiff) {
			t.Errorf("%s: got %s, %v, want %v with the way out", diff, got, err, want)
		}
	}
	if _, err := appendPatchedJSON(nil, nil, diffsOf(t, "= $.a <- 1")); !errors.Is(err, errJSONEmpty) {
		t.Errorf("a document without bytes: %v, want errJSONEmpty", err)
	}
}

func TestJSONDiff_FramingThatLiesIsRefused(t *testing.T) {
	doc := jsonbOf(t, `{"a": 1, "b": [1]}`, false)
	first := diffsOf(t, `= $.a <- "text"`)
	whole := append(first, diffsOf(t, "- $.b[0]")...)
	for n := range whole {
		got, err := appendPatchedJSON(nil, doc, whole[:n])
		if whole := n == 0 || n == len(first); whole != (err == nil) {
			t.Errorf("the first %d bytes: %s, %v", n, got, err)
		}
	}
	for name, diffs := range map[string]string{
		"unknown operation": "\x03\x03$.a", "path longer": "\x02\x04$.a", "length is NULL": "\x02\xfb$.a", "length of length": "\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff$.a",
		"no value": "\x00\x03$.a", "empty value": "\x00\x03$.a\x00", "value longer": "\x00\x03$.a\x04\x05\x01\x00", "no path": "\x02\x00", "path not UTF-8": "\x02\x03$.\xff",
		"unknown type": "\x00\x03$.a\x02\x0d\x00", "half a number": "\x00\x03$.a\x02\x05\x01", "value of garbage": "\x00\x03$.a\x03\x02\xff\xff",
	} {
		if got, err := appendPatchedJSON(nil, doc, []byte(diffs)); err == nil {
			t.Errorf("%s: %s, want an error", name, got)
		}
	}
}

func TestJSONPath_IsWhatTheServerWrites(t *testing.T) {
	key := func(s string) jsonLeg { return jsonLeg{member: true, key: []byte(s)} }
	for path, want := range map[string][]jsonLeg{
		`$.a`: {key("a")}, `$[0]`: {{}}, `$[4294967295]`: {{index: 1<<32 - 1}}, `$[last]`: {{fromEnd: true}}, `$[last-12]`: {{fromEnd: true, index: 12}},
		`$.$._a1.é[3]."b c"[last]."".""`: {key("$"), key("_a1"), key("é"), {index: 3}, key("b c"), {fromEnd: true}, key(""), key("")},
		`$."a.b"."[0]"."$"."*"."\"\\"`:   {key("a.b"), key("[0]"), key("$"), key("*"), key(`"\`)}, `$."\u0001\t\n\b\f\r"`: {key("\x01\t\n\b\f\r")}, `$.last`: {key("last")}, `$."日本".日`: {key("日本"), key("日")},
	} {
		got, err := parseJSONPath(path)
		if err != nil || !slices.EqualFunc(got, want, jsonLeg.equal) {
			t.Errorf("%s: got %+v, %v, want %+v", path, got, err, want)
		}
	}
	for _, path := range []string{"", "$", "a", "$a", "$.", "$..a", "$.a.", "$[", "$[]", "$[-1]", "$[+1]", "$[ 1]", "$[1 to 2]", "$[*]", "$.*", "$**.a", "$.a*", "$[last-]", "$[last+1]", "$[last--1]", "$[last-last]", "$[4294967296]",
		`$."a`, `$."a\"`, `$."a"b`, `$."\x"`, `$.a"b`, `$.a b`, `$.a]`, `$. a`, "$.\"a\nb\"", " $.a", "$.a ", "$.\xff", "$" + strings.Repeat("[0]", 129)} {
		if got, err := parseJSONPath(path); !errors.Is(err, errDiffPath) {
			t.Errorf("%q: %+v, %v, want errDiffPath", path, got, err)
		}
	}
}

func (l jsonLeg) equal(o jsonLeg) bool {
	return l.member == o.member && l.index == o.index && l.fromEnd == o.fromEnd && bytes.Equal(l.key, o.key)
}

// pathText writes a path with every key in quotes.
func pathText(legs []jsonLeg) string {
	out := "$"
	for _, l := range legs {
		switch {
		case l.member:
			quoted, _ := json.Marshal(string(l.key))
			out += "." + string(quoted)
		case l.fromEnd && l.index == 0:
			out += "[last]"
		case l.fromEnd:
			out += fmt.Sprintf("[last-%d]", l.index)
		default:
			out += fmt.Sprintf("[%d]", l.index)
		}
	}
	return out
}

func TestJSONTree_HostileDocumentsCannotBlowUp(t *testing.T) {
	// Ten elements, all of them the array of 1000 elements behind them: each is
	// taken apart by one change, and removed by the next.
	var inner []byte
	inner = binary.LittleEndian.AppendUint16(inner, 1000)
	inner = binary.LittleEndian.AppendUint16(inner, 4+3000)
	for range 1000 {
		inner = append(inner, jsonbInt16, 1, 0)
	}
	const outer = 10
	var doc, diffs []byte
	doc = append(doc, jsonbSmallArray)
	doc = binary.LittleEndian.AppendUint16(doc, outer)
	doc = binary.LittleEndian.AppendUint16(doc, uint16(4+3*outer+len(inner)))
	for range outer {
		doc = binary.LittleEndian.AppendUint16(append(doc, jsonbSmallArray), 4+3*outer)
		diffs = append(diffs, diffsOf(t, "- $[0][0]", "- $[0]")...)
	}
	doc = append(doc, inner...)
	if got, err := appendPatchedJSON(nil, doc, diffs); !errors.Is(err, errJSONOverlap) {
		t.Errorf("%d bytes, %v, want errJSONOverlap", len(got), err)
	}
	// Keys out of order would be looked for in the wrong place.
	keys := []byte("\x00\x02\x00\x14\x00\x12\x00\x01\x00\x13\x00\x01\x00\x05\x01\x00\x05\x02\x00ba")
	if got, err := appendPatchedJSON(nil, keys, diffsOf(t, "= $.a <- 1")); !errors.Is(err, errJSONOrder) {
		t.Errorf("keys b, a: %s, %v, want errJSONOrder", got, err)
	}
	// A document of the greatest depth, and changes that make it deeper.
	deep, more := nested(100), ""
	for range 99 {
		more += "[0]"
	}
	if _, err := appendPatchedJSON(nil, []byte(deep), diffsOf(t, "+ $"+more+"[0] <- 1")); err != nil {
		t.Errorf("an element at depth 100: %v", err)
	}
	arrays := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	deeper := diffsOf(t, "+ $"+more+"[0] <- "+arrays)
	if _, err := appendPatchedJSON(nil, []byte(deep), deeper); !errors.Is(err, errJSONDepth) {
		t.Errorf("40 arrays at depth 100: %v, want errJSONDepth", err)
	}
	deeper = append(deeper, diffsOf(t, "+ $"+more+strings.Repeat("[0]", 29)+" <- "+arrays)...)
	if _, err := appendPatchedJSON(nil, []byte(deep), deeper); !errors.Is(err, errJSONDepth) {
		t.Errorf("40 arrays at depth 128: %v, want errJSONDepth", err)
	}
}

// FuzzJSONDiff holds that changes are refused, or make a document that is JSON
// and not longer than the bytes allow.
func FuzzJSONDiff(f *testing.F) {
	doc := jsonbOf(f, `{"a": 1, "b": [1, [2, 3], {"x": "y"}], "aa": {"": {"é": null}}}`, false)
	for _, diffs := range [][]byte{nil, diffsOf(f, "= $.a <- 2", "+ $.b[1] <- {}", `- $.aa.""`), diffsOf(f, "+ $.b[last-9] <- 1.5", `+ $."\u0001" <- []`)} {
		f.Add(doc, diffs)
		f.Add(jsonbOf(f, `[{"a": 1}, [[1]]]`, true), diffs)
	}
	f.Fuzz(func(t *testing.T, doc, diffs []byte) {
		out, err := appendPatchedJSON(nil, doc, diffs)
		if err == nil && !json.Valid(out) {
			t.Errorf("%x with %x is %s", doc, diffs, out)
		}
		if len(out) > 16*(len(doc)+len(diffs))+64 {
			t.Errorf("%d and %d bytes render as %d", len(doc), len(diffs), len(out))
		}
		if plain, plainErr := appendJSONCell(nil, nil, doc); len(diffs) == 0 && (!bytes.Equal(plain, out) || (err == nil) != (plainErr == nil)) {
			t.Errorf("%x without a change: %s, %v; plain %s, %v", doc, out, err, plain, plainErr)
		}
		// No change may leave its traces in the event, which the next column reads.
		if again, _ := appendPatchedJSON(nil, doc, diffs); !bytes.Equal(again, out) {
			t.Errorf("%x with %x is %s, and then %s", doc, diffs, out, again)
		}
	})
}

// FuzzJSONPath holds that a path is refused, or reads back as written anew.
func FuzzJSONPath(f *testing.F) {
	for _, path := range []string{`$.a[0]."b c"`, `$[last-3].é."\u0001\""`, `$."".$`} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		legs, err := parseJSONPath(path)
		if err != nil {
			return
		}
		if back, err := parseJSONPath(pathText(legs)); err != nil || !slices.EqualFunc(back, legs, jsonLeg.equal) {
			t.Errorf("%q is %+v, written as %q reads back as %+v, %v", path, legs, pathText(legs), back, err)
		}
	})
}
