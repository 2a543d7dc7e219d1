package jsontext

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every byte at every place of a word and beyond it is quoted so that another
// implementation reads it back.
func TestAppendQuoted_IsReadBackByEncodingJSON(t *testing.T) {
	for c := range 256 {
		for place := range 18 {
			in := []byte(strings.Repeat("x", place) + string([]byte{byte(c)}) + strings.Repeat("y", 17-place))
			quoted := AppendQuoted([]byte("before"), in)
			var got string
			if err := json.Unmarshal(quoted[len("before"):], &got); err != nil {
				t.Fatalf("byte %#x at %d: %s: %v", c, place, quoted, err)
			}
			if want := strings.ToValidUTF8(string(in), "\ufffd"); got != want {
				t.Errorf("byte %#x at %d: got %q, want %q", c, place, got, want)
			}
		}
	}
}

func TestAppendQuoted_EscapesNothingElse(t *testing.T) {
	for in, want := range map[string]string{
		"":                        `""`,
		"a/b<c>&é\u2028\u007f😀":   "\"a/b<c>&é\u2028\u007f😀\"",
		"\"\\\b\f\n\r\t\x01\x1f":  `"\"\\\b\f\n\r\t\u0001\u001f"`,
		"\xff\xfe":                "\"\ufffd\ufffd\"",
		"é\xe9é":                  "\"é\ufffdé\"",
		"cut off \xe2\x82":        "\"cut off \ufffd\ufffd\"",
		"12345678\"12345678\\123": `"12345678\"12345678\\123"`,
	} {
		if got := string(AppendQuoted(nil, []byte(in))); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestClean_StopsAtTheFirstByteThatIsNotItsOwnText(t *testing.T) {
	for c := range 256 {
		clean := c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\'
		for place := range 20 {
			s := []byte(strings.Repeat("z", 20))
			s[place] = byte(c)
			want := place
			if clean {
				want = 20
			}
			if got := Clean(s); got != want {
				t.Fatalf("byte %#x at %d: got %d, want %d", c, place, got, want)
			}
		}
	}
}

func TestAppendQuoted_ALargeTextIsMadeOnce(t *testing.T) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 9_999)+`"`), 800)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := AppendQuoted(nil, text)
	runtime.ReadMemStats(&after)
	if len(got) != len(text)+800+2 {
		t.Fatalf("%d bytes, want each quote escaped", len(got))
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(len(text))*3/2 {
		t.Errorf("a text of %d bytes took %d, which is more than once", len(text), took)
	}
}
