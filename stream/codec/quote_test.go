package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"tailwater/internal/jsontext"
)

func TestAppendQuote_EscapesOnlyWhatItMust(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", `""`},
		{"plain text of some length", `"plain text of some length"`},
		{"<a href='x'>&</a> é 😀 \u2028 \x7f", "\"<a href='x'>&</a> é 😀 \u2028 \x7f\""},
		{`say "hi" \ there`, `"say \"hi\" \\ there"`},
		{"\x00\x01\b\t\n\f\r\x1f", `"\u0000\u0001\b\t\n\f\r\u001f"`},
		{"1234567\"", `"1234567\""`},
		{"a\xffb", "\"a\ufffdb\""},
	}
	for _, tt := range tests {
		if got := string(jsontext.AppendQuoted([]byte("x"), []byte(tt.in))); got != "x"+tt.want {
			t.Errorf("jsontext.AppendQuoted(%q): got %s, want %s", tt.in, got[1:], tt.want)
		}
	}
}

func TestAppendUnquote_RefusesWhatIsNoString(t *testing.T) {
	for _, raw := range []string{``, `a`, `"`, `"a`, `"a"b`, `"\q"`, `"\u00"`, "\"\x01\"", `null`, `1`} {
		dst, err := AppendUnquote([]byte("keep"), []byte(raw))
		if !errors.Is(err, ErrSyntax) || string(dst) != "keep" {
			t.Errorf("AppendUnquote(%q): got %q, %v, want the buffer as it was and ErrSyntax", raw, dst, err)
		}
	}
}

func FuzzUnquoteLikeEncodingJSON(f *testing.F) {
	for _, s := range []string{`""`, `"plain"`, `"\u00e9\ud83d\ude00"`, `"\ud800\u0041"`, `"\udc00"`, `"\ud800\ud800\udc00"`, `"\b\f\n\r\t\/\\\""`, "\"\xc3\x28\"", `"a`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := AppendUnquote(nil, raw)
		var want string
		wantErr := json.Unmarshal(raw, &want)
		if trimmed := bytes.TrimSpace(raw); len(trimmed) != len(raw) || len(raw) == 0 || raw[0] != '"' {
			if err == nil {
				t.Fatalf("AppendUnquote(%q): got no error", raw)
			}
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("AppendUnquote(%q): got %v, encoding/json says %v", raw, err, wantErr)
		}
		if err == nil && string(got) != want {
			t.Errorf("AppendUnquote(%q): got %q, want %q", raw, got, want)
		}
	})
}

func FuzzQuoteRoundTrip(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\"\\", "é😀", "\xff\xfe", strings.Repeat("x", 70) + "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		quoted := jsontext.AppendQuoted(nil, s)
		var std string
		if err := json.Unmarshal(quoted, &std); err != nil {
			t.Fatalf("jsontext.AppendQuoted(%q) = %q is not JSON: %v", s, quoted, err)
		}
		got, err := AppendUnquote(nil, quoted)
		if err != nil || string(got) != std || std != string([]rune(string(s))) {
			t.Errorf("round trip of %q: got %q (%v), encoding/json %q", s, got, err, std)
		}
	})
}

func TestQuote_AllocatesNothing(t *testing.T) {
	in := []byte("a clean run, é, and \"quotes\"\n")
	dst := make([]byte, 0, 128)
	raw := jsontext.AppendQuoted(nil, in)
	if got := testing.AllocsPerRun(100, func() {
		dst = jsontext.AppendQuoted(dst[:0], in)
		dst, _ = AppendUnquote(dst[:0], raw)
	}); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func BenchmarkAppendQuoted(b *testing.B) {
	in := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 4))
	dst := make([]byte, 0, 512)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		dst = jsontext.AppendQuoted(dst[:0], in)
	}
}
